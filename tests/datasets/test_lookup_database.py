"""The lookup from a real PostgreSQL with the tables of Torus that it reads."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from resources.postgres import PostgresResource
from tests.datasets.postgres_server import PASSWORD, PASSWORD_IN_URL, READER, Server, binaries, postgres
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.lookup_database import LookupDatabaseError, database_place, fetch_lookup, server_version
from torus_assets.doctor import examine
from torus_assets.settings import from_environment

needs_postgres = pytest.mark.skipif(binaries() is None, reason="no PostgreSQL here: neither on PATH nor in /usr/lib/postgresql")

SCHEMA = """
CREATE TABLE projects (id bigserial PRIMARY KEY, slug text);
CREATE TABLE sections (id bigserial PRIMARY KEY, slug text, title text, base_project_id bigint REFERENCES projects);
CREATE TABLE publications (id bigserial PRIMARY KEY, project_id bigint REFERENCES projects, root_resource_id bigint, published timestamp);
CREATE TABLE sections_projects_publications (section_id bigint, project_id bigint, publication_id bigint REFERENCES publications);
CREATE TABLE activity_registrations (id bigserial PRIMARY KEY, slug text);
CREATE TABLE revisions (
    id bigserial PRIMARY KEY, resource_id bigint, title text, slug text, resource_type_id bigint, activity_type_id bigint,
    children bigint[] DEFAULT '{}', content jsonb DEFAULT '{}', objectives jsonb DEFAULT '{}', graded boolean DEFAULT false,
    deleted boolean DEFAULT false
);
CREATE TABLE published_resources (publication_id bigint REFERENCES publications, resource_id bigint, revision_id bigint REFERENCES revisions);
CREATE TABLE users (id bigserial PRIMARY KEY, email text);
CREATE TABLE enrollments (user_id bigint REFERENCES users, section_id bigint REFERENCES sections, status text);
GRANT SELECT ON ALL TABLES IN SCHEMA public TO torus_reader;
"""
PAGE, CONTAINER, ACTIVITY, OBJECTIVE = 1, 2, 3, 4
ROOT, UNIT, QUIZ, PRACTICE, CHOICES, LIKERT, SHARED, OWN, GONE = 10, 11, 20, 21, 30, 31, 40, 41, 22
CHEMISTRY, STATISTICS = 1, 2  # projects
OLD, NEW, DRAFT, OTHER = 100, 101, 102, 200  # publications; the draft is the working one
FIRST, SECOND, THIRD, BARE = 3021, 3022, 3023, 3024  # sections; the second still has the old publication, the third another course


def paragraph(text: str) -> list[dict[str, Any]]:
    return [{"type": "p", "children": [{"text": text}]}]


def multiple_choice(word: str) -> dict[str, Any]:
    hints = [{"id": "h1", "content": paragraph("")}, {"id": 7, "content": {"model": paragraph(f"look {word}")}}]
    return {
        "stem": {"content": paragraph("Which?")},
        "choices": [{"id": "a", "content": paragraph(f"Yes, {word}")}, {"id": 4102, "content": paragraph("No")}],
        "authoring": {"parts": [{"id": "1", "hints": hints, "responses": [{"rule": "input like {a}"}]}, {"id": "2"}]},
    }


LIKERT_CONTENT = {
    "choices": None,
    "items": [{"id": "x", "content": paragraph("I like it")}, {"id": "y", "content": paragraph("I would do it again")}],
    "authoring": {"parts": [{"id": "x", "hints": []}, {"id": "y", "hints": "none"}]},
}


class Torus:
    """A database with the tables, and ways to fill them."""

    def __init__(self, session: psycopg.Connection) -> None:
        self.session = session

    def add(self, table: str, **values: Any) -> int:
        texts = [json.dumps(value) if isinstance(value, dict) else value for value in values.values()]
        statement = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING *"
        [number, *_] = self.session.execute(statement.encode(), texts).fetchone() or [0]
        return number

    def publish(self, publication: int, resource: int, type_id: int, title: str | None, **values: Any) -> None:
        revision = self.add("revisions", resource_id=resource, resource_type_id=type_id, title=title, **values)
        self.add("published_resources", publication_id=publication, resource_id=resource, revision_id=revision)

    def fill(self) -> None:
        for project, slug in ((CHEMISTRY, "chemistry_q3x"), (STATISTICS, "statistics")):
            self.add("projects", id=project, slug=slug)
        self.add("activity_registrations", id=1, slug="oli_multiple_choice")
        self.add("activity_registrations", id=2, slug="oli_likert")
        for publication, project, published in (
            (OLD, CHEMISTRY, "2025-01-01"), (NEW, CHEMISTRY, "2026-01-01"), (DRAFT, CHEMISTRY, None), (OTHER, STATISTICS, "2024-01-01"),
        ):  # fmt: skip
            self.add("publications", id=publication, project_id=project, published=published)
        for section, project, publication in (
            (FIRST, CHEMISTRY, NEW), (SECOND, CHEMISTRY, OLD), (THIRD, STATISTICS, OTHER), (BARE, STATISTICS, None),
        ):  # fmt: skip
            self.add("sections", id=section, base_project_id=project, slug=f"section-{section}")
            if publication is not None:
                self.add("sections_projects_publications", section_id=section, project_id=project, publication_id=publication)
        for publication, word in ((NEW, "new"), (OLD, "old"), (DRAFT, "draft")):
            self.course(publication, word)
        self.publish(OTHER, SHARED, OBJECTIVE, "Shared, of the other course")
        self.publish(OTHER, 50, CONTAINER, "Statistics", children=[51])
        self.publish(OTHER, 51, PAGE, "Means")
        self.people()

    def course(self, publication: int, word: str) -> None:
        self.publish(publication, ROOT, CONTAINER, f"Chemistry, {word}", children=[UNIT])
        self.publish(publication, UNIT, CONTAINER, f"Matter, {word}", children=[QUIZ, PRACTICE, 99])
        self.publish(publication, QUIZ, PAGE, f"Quiz, {word}", graded=True)
        self.publish(publication, PRACTICE, PAGE, None, graded=None)
        self.publish(publication, CHOICES, ACTIVITY, "A question", activity_type_id=1, content=multiple_choice(word))
        self.publish(publication, LIKERT, ACTIVITY, "A poll", activity_type_id=2, content=LIKERT_CONTENT)
        self.publish(publication, SHARED, OBJECTIVE, f"Shared, {word}")
        self.publish(publication, OWN, OBJECTIVE, f"Balance, {word}")
        self.publish(publication, 60, 5, "A tag")
        if word == "old":
            self.publish(publication, GONE, PAGE, "Was taken out later")
        else:
            self.publish(publication, GONE, PAGE, "Is deleted", deleted=True)

    def people(self) -> None:
        for user, email in ((501, "ada@example.org"), (502, None), (503, "teacher@example.org"), (504, "elsewhere@example.org")):
            self.add("users", id=user, email=email)
        for user, section in ((501, FIRST), (501, SECOND), (502, FIRST), (503, FIRST), (504, THIRD)):
            self.add("enrollments", user_id=user, section_id=section, status="suspended" if user == 502 else "enrolled")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres() as started:
        started.execute("CREATE DATABASE torus")
        with psycopg.connect(started.url(database="torus")) as session:
            session.execute(SCHEMA)
            Torus(session).fill()
        yield started


@pytest.fixture
def url(server: Server) -> str:
    return server.url(READER, PASSWORD_IN_URL, "torus")


@needs_postgres
def test_the_document_has_the_form_of_a_lookup_and_parses_without_loss(url):
    document = fetch_lookup(url, [FIRST])
    assert list(document) == ["dataset_name", "skill_titles", "hierarchy", "activities", "users"]
    assert document["dataset_name"] == "chemistry_q3x-sections-3021"
    assert document["hierarchy"][str(QUIZ)] == {"title": "Quiz, new", "graded": True, "children": []}
    assert document["activities"][str(LIKERT)] == {
        "type": "oli_likert",
        "choices": None,
        "items": LIKERT_CONTENT["items"],
        "parts": [{"id": "x", "hints": None}, {"id": "y", "hints": None}],
    }
    assert document["activities"][str(CHOICES)]["parts"][0] == {
        "id": "1",
        "hints": multiple_choice("new")["authoring"]["parts"][0]["hints"],
    }
    assert document["users"] == {"501": {"email": "ada@example.org"}, "502": {"email": None}, "503": {"email": "teacher@example.org"}}


@needs_postgres
def test_it_describes_the_publication_the_students_saw_and_not_the_draft(url):
    lookup = parse_lookup(fetch_lookup(url, [SECOND]))
    assert lookup.place(QUIZ).levels == (("Course", "Chemistry, old"), ("Unit", "Matter, old"), ("Page", "Quiz, old"))
    assert lookup.place(QUIZ).graded
    assert lookup.place(PRACTICE).levels[-1] == ("Page", f"Page {PRACTICE}")
    assert lookup.skills == {SHARED: "Shared, old", OWN: "Balance, old"}
    assert "draft" not in json.dumps(fetch_lookup(url, [FIRST, SECOND, THIRD]))


@needs_postgres
def test_texts_hints_and_items_come_through_with_their_ids_as_text(url):
    lookup = parse_lookup(fetch_lookup(url, [FIRST]))
    question, poll = lookup.activity(CHOICES), lookup.activity(LIKERT)
    assert question is not None
    assert poll is not None
    assert (question.slug, dict(question.choices)) == ("oli_multiple_choice", {"a": "Yes, new", "4102": "No"})
    first = question.part("1")
    assert first is not None
    assert first.total_hints == 1
    assert first.hints["7"] == (1, "look new")
    assert poll.item_text("y") == "I would do it again"


@needs_postgres
def test_of_several_publications_the_newest_that_has_a_resource_wins(url):
    lookup = parse_lookup(fetch_lookup(url, [FIRST, SECOND, THIRD]))
    assert lookup.skills == {SHARED: "Shared, new", OWN: "Balance, new"}
    assert lookup.place(GONE).levels[-1] == ("Page", "Was taken out later")
    assert lookup.place(51).known
    assert not parse_lookup(fetch_lookup(url, [FIRST])).place(GONE).known


@needs_postgres
def test_order_and_repetition_of_the_ids_change_nothing(url):
    assert parse_lookup(fetch_lookup(url, [SECOND, FIRST, SECOND])).sha256 == parse_lookup(fetch_lookup(url, [FIRST, SECOND])).sha256


@needs_postgres
def test_a_section_without_publication_gives_an_empty_lookup(url):
    document = fetch_lookup(url, [BARE])
    assert document == {
        "dataset_name": "statistics-sections-3024",
        "skill_titles": None,
        "hierarchy": None,
        "activities": None,
        "users": None,
    }
    assert not parse_lookup(document).place(QUIZ).known


@needs_postgres
def test_long_names_end_in_a_digest_and_differ(server, url):
    numbers = range(8_000_000, 8_000_040)
    with psycopg.connect(server.url(database="torus")) as session:
        for number in numbers:
            Torus(session).add("sections", id=number, base_project_id=STATISTICS)
    names = {fetch_lookup(url, numbers[:size])["dataset_name"] for size in (30, 31, 40)}
    assert len(names) == 3
    assert {len(name.encode()) for name in names} == {100}


@needs_postgres
def test_a_section_that_is_not_there_is_named(url):
    with pytest.raises(LookupDatabaseError, match=r"^127\.0\.0\.1/torus: no section 7, 8; check section_ids"):
        fetch_lookup(url, [8, FIRST, 7])


@needs_postgres
def test_it_works_over_the_socket_and_says_so(server):
    assert fetch_lookup(server.socket_url("torus"), [FIRST])["dataset_name"] == "chemistry_q3x-sections-3021"
    assert database_place(server.socket_url("torus")) == f"{server.folder}/torus"


@needs_postgres
@pytest.mark.parametrize(
    ("password", "database", "reason"),
    [
        ("wrong%40word", "torus", "127.0.0.1/torus: the server refuses the user or the password"),
        ("", "torus", "127.0.0.1/torus: the server refuses the user or the password"),
        (PASSWORD_IN_URL, "nowhere", "127.0.0.1/nowhere: the server has no such database"),
        (PASSWORD_IN_URL, "postgres", '127.0.0.1/postgres: relation "sections" does not exist; docs/lookup.md lists'),
    ],
)
def test_what_is_refused_is_one_sentence_without_the_password(server, password, database, reason):
    with pytest.raises(LookupDatabaseError) as caught:
        fetch_lookup(server.url(READER, password, database), [FIRST])
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)
    assert PASSWORD not in str(caught.value)
    assert "word" not in str(caught.value).replace("password", "")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@needs_postgres
def test_a_table_that_may_not_be_read_is_named(server, url):
    server.execute(f"REVOKE SELECT ON users FROM {READER}", "torus")
    try:
        with pytest.raises(LookupDatabaseError, match=r"permission denied for table users; docs/lookup\.md lists"):
            fetch_lookup(url, [FIRST])
    finally:
        server.execute(f"GRANT SELECT ON users TO {READER}", "torus")


@needs_postgres
def test_nothing_can_be_written_in_the_session_of_a_lookup(server):
    """A view that writes when it is read: the read-only transaction refuses it."""
    server.execute("CREATE DATABASE writing TEMPLATE torus")
    server.execute(
        """
        CREATE FUNCTION written() RETURNS bigint LANGUAGE plpgsql VOLATILE AS
            $$ BEGIN INSERT INTO projects (slug) VALUES ('written'); RETURN 1; END $$;
        ALTER TABLE users RENAME TO people;
        CREATE VIEW users AS SELECT id, email FROM people WHERE written() = 1;
        """,
        "writing",
    )
    with pytest.raises(LookupDatabaseError, match="ReadOnlySqlTransaction"):
        fetch_lookup(server.url(database="writing"), [FIRST])


@needs_postgres
def test_content_that_is_nested_too_deep_is_an_error_of_the_lookup(server):
    server.execute("CREATE DATABASE deep TEMPLATE torus")
    content = '{"choices": [{"id": "a", "content": ' + "[" * 2000 + "]" * 2000 + "}]}"
    with psycopg.connect(server.url(database="deep")) as session:
        session.execute("UPDATE revisions SET content = %s WHERE resource_id = %s", [content, CHOICES])
    with pytest.raises(LookupDatabaseError, match="nested too deep"):
        fetch_lookup(server.url(database="deep"), [FIRST])


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("postgresql://torus:hush@127.0.0.1:1/torus", "127.0.0.1/torus: the server does not answer"),
        ("postgresql://torus:very@hush@127.0.0.1:1/torus", "127.0.0.1/torus: the server does not answer"),
        ("postgresql://torus:very/hush@127.0.0.1/torus", "torus/"),
        ("postgres//torus:hush@127.0.0.1/torus", "Torus database: the address cannot be read"),
        ("postgresql://torus:hush%zz@127.0.0.1/torus", "Torus database: the address cannot be read"),
    ],
)
def test_an_address_that_leads_nowhere_is_told_without_what_it_holds(address, reason):
    with pytest.raises(LookupDatabaseError) as caught:
        fetch_lookup(address, [FIRST], connect_seconds=2)
    assert str(caught.value).startswith(reason)
    assert "hush" not in str(caught.value)
    assert "very" not in str(caught.value)


def test_a_server_that_is_silent_is_waited_for_only_so_long():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        held: list[socket.socket] = []
        threading.Thread(target=lambda: held.append(silent.accept()[0]), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(LookupDatabaseError, match="does not answer"):
            fetch_lookup(f"postgresql://torus@127.0.0.1:{silent.getsockname()[1]}/torus", [FIRST], connect_seconds=2)
        assert time.monotonic() - began < 8
        for one in held:
            one.close()


@needs_postgres
def test_the_resource_gives_the_lookup_or_none_without_a_database(url):
    assert PostgresResource().lookup([FIRST]) is None
    found = PostgresResource(url=url).lookup([FIRST])
    assert found is not None
    assert found["dataset_name"] == "chemistry_q3x-sections-3021"


def test_the_address_is_a_setting_that_no_repr_shows():
    settings = from_environment({"TORUS_DATABASE_URL": "postgresql://torus:hush@db/torus"})
    assert settings.database_url == "postgresql://torus:hush@db/torus"
    assert "hush" not in repr(settings) + str(settings)
    assert from_environment({"TORUS_DATABASE_URL": " "}).database_url is None


def doctor(tmp_path, **variables: str):
    found = examine(from_environment({"TORUS_HOME": str(tmp_path), **variables}))
    return next(finding for finding in found if finding.system == "Torus database")


@needs_postgres
def test_the_doctor_says_whether_the_database_answers(tmp_path, url):
    finding = doctor(tmp_path, TORUS_DATABASE_URL=url)
    assert (finding.kind, finding.place, finding.ok) == ("real", "127.0.0.1/torus", True)
    assert finding.answer == f"answers: PostgreSQL {server_version(url)}"


def test_the_doctor_shows_no_password_of_a_database_that_does_not_answer(tmp_path):
    finding = doctor(tmp_path, TORUS_DATABASE_URL="postgresql://torus:hush@127.0.0.1:1/torus")
    assert (finding.kind, finding.ok) == ("real", False)
    assert "does not answer" in finding.answer
    assert "hush" not in str(finding)


def test_the_doctor_takes_a_database_that_is_not_set_as_it_is(tmp_path):
    finding = doctor(tmp_path)
    assert (finding.kind, finding.ok) == ("embedded", True)
    assert finding.answer.startswith("not set")
