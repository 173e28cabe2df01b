"""XML and table tell the same story, in words that DataShop takes; and nobody is known by two names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from datashop_lake import (
    FORMS,
    attempt,
    by_guid,
    comparable,
    custom,
    declared,
    exported,
    is_sound,
    judged,
    look_up,
    opened,
    page_of,
    read,
    reply,
    said,
    skill,
    tool,
)  # fmt: skip
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from small_lake import SmallLake

from torus_assets.datasets.datashop import out, pieces, produce
from torus_assets.datasets.datashop.scope import scope
from torus_assets.datasets.datashop.verify import iter_transactions, verify
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.pseudonyms import PseudonymKey, RealNames
from torus_assets.datasets.reading import users
from torus_assets.datasets.request import parse_request


def test_a_small_course_reads_the_same_from_both_forms(lake, make, store):
    long = "\\" * 3 + "long é " * 60
    look_up(store, page_of("Osmosis", "Cells") | {
        "skill_titles": {"5": "Adding\\Sub", "6": "Naming"},
        "activities": {"60511": {"type": "oli_multiple_choice", "parts": [{"id": "1", "hints": [{"id": "1", "content": "a\tb\\c"}]}]}},
    })  # fmt: skip
    lake.add("2026-01-03", [
        opened(at="11:59:00"), attempt("a", response={"input": long}, hints_requested=["1", "2"], attached_objectives=[5, 6]),
        attempt("b", 4002, out_of=0, feedback={"content": [{"text": "\\N"}]}), attempt("c", at="12:01:00", part_attempt_number=2, score=0.5),
        said(declared(more=custom("grade", "a\\b") + "<condition><name>x</name></condition>"), at="12:02:00"),
        said(tool(more=custom("try\\", "\\t")), reply(advice="Well", more=skill("a", "M 1", "c"), numbers=' classification="buggy"'), at="12:02:01"),
        said(tool("T2"), reply("T2", numbers=' classification="alone"'), at="12:02:02"),
    ])  # fmt: skip
    made = exported(make)
    [first, *_] = [one for one in read(made, "tab") if one.input.startswith("\\")]
    assert len(first.input.replace("\\", "\\\\").encode()) == 255
    assert by_guid(made)["a"].input == long.strip()
    for form in ("xml", "tab"):
        assert judged(made, form).sections["Section 3021"].document() == judged(made).sections["Section 3021"].document()
    header, *rows = [line.split("\t") for line in made.body("chunk_0.txt").decode().splitlines()]
    at = header.index("Attempt At Step")
    assert [row[at] for row in rows if row[header.index("CF (part_attempt_guid)")] in {"a", "c"}] == ["1", "2", "3", "4"]


def test_one_form_alone_is_the_same_as_beside_the_other(lake, make):
    lake.add("2026-01-03", [attempt("a"), said(tool(), reply(), at="12:01:00")])
    both = make("datashop", format=FORMS)
    for form, name in zip(FORMS, ("chunk_0.xml", "chunk_0.txt"), strict=True):
        alone = make("datashop", format=[form])
        assert alone.result.chunks == (name,)
        assert alone.body(name) == both.body(name)
        is_sound(alone)


def test_an_empty_data_set_is_no_file_and_sound(lake, make):
    lake.add("2026-01-03", [attempt("a")])
    made = exported(make, date_from="2027-01-01")
    assert made.result.chunks == ()


# Any world ------------------------------------------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab 7\x00\x1b\t\n\r\\'\"&<>;#é中𝛥😀]%@\u2028\ufffe\ufeff"), max_size=8)
PEOPLE = {
    "user": st.sampled_from([4001, "4001", 4002, 41207]),
    "at": st.integers(0, 86_399).map(lambda s: f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}"),
}
IDS = {"context": st.sampled_from(["A", "B"]), "transaction": st.sampled_from(["1", "2"])}
SKILLS = st.builds(
    lambda *three: skill(*three), st.sampled_from(["k", "l'<"]), st.sampled_from(["", "M 1", "select"]), st.sampled_from(["", "c"])
)
CUSTOM = st.builds(lambda name, value: custom(name, value.translate(BARE)), st.sampled_from(["score", "item", "a/b", "time"]), TEXTS)
BARE = {ord(odd): None for odd in "\x00\x1b\ufffe"}  # what no well-formed message holds
ATTEMPTS = st.builds(
    lambda **changes: partial(attempt, **changes), **PEOPLE, score=st.sampled_from([0.0, 0.5, 1.0, 2.0]), out_of=st.sampled_from([0.0, 1.0, None]),
    part_id=st.sampled_from(["1", "2"]) | TEXTS, page=st.sampled_from([60480, 7]), session_id=st.sampled_from([None, "s", "t"]), response=TEXTS.map(lambda text: {"input": text}) | TEXTS,
    feedback=st.none() | TEXTS.map(lambda text: {"content": [{"text": text}]}), hints_requested=st.lists(st.sampled_from(["1", "2", 9]), max_size=2),
    attached_objectives=st.none() | st.lists(st.sampled_from([5, 6]), max_size=2),
)  # fmt: skip
VIEWS = st.builds(lambda **changes: opened(**changes), **PEOPLE)
TOOLS = st.builds(
    lambda text, more, **ids: tool(**ids, input=text.translate(BARE), more="".join(more)), TEXTS, st.lists(CUSTOM, max_size=2), **IDS,
    name=st.sampled_from(["ATTEMPT", "HINT_REQUEST", "OTHER"]),
)  # fmt: skip
REPLIES = st.builds(
    lambda text, more, **ids: reply(**ids, advice=text.translate(BARE), more="".join(more)), TEXTS, st.lists(SKILLS, max_size=2) , **IDS,
    name=st.sampled_from(["RESULT", "HINT_MSG"]), outcome=st.sampled_from(["ok", "BUG", "hint", "?", ""]), numbers=st.sampled_from(["", ' classification="x"', ' current_hint_number="1"']),
)  # fmt: skip
CONTEXTS = st.builds(lambda context, problem: declared(context, problem.translate(BARE)), IDS["context"], TEXTS)
TUTORED = st.builds(
    lambda messages, **changes: said(*messages, **changes), st.lists(TOOLS | REPLIES | CONTEXTS | st.just("<broken"), min_size=1, max_size=3), **PEOPLE,
    activity_attempt_guid=st.sampled_from(["one", "two"]),
)  # fmt: skip
WORLDS = st.tuples(st.lists(ATTEMPTS, max_size=8), st.lists(VIEWS | TUTORED, max_size=10), st.lists(TEXTS, min_size=6, max_size=6))


@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])  # shrinking would take minutes
@given(WORLDS, st.booleans())
def test_in_any_world_both_forms_are_valid_equal_and_what_the_lake_holds(tmp_path_factory, world, named):
    attempts, others, (title, unit, kc, hint, likert, name) = world
    folder = tmp_path_factory.mktemp("world")
    lake = SmallLake(folder / "lake").add(
        "2026-01-03", [one(f"guid-{n}") for n, one in enumerate(attempts)] + [attempt("always", 4003)] + others
    )
    document = page_of(title, unit) | {
        "dataset_name": name, "skill_titles": {"5": kc}, "users": {"41207": {"email": "ab@7.b"}},
        "activities": {"60511": {"type": None, "items": [{"id": "1", "content": likert}], "parts": [{"id": "1", "hints": [{"id": "1", "content": hint}]}]}},
    }  # fmt: skip
    sound(lake, document, {"anonymize": False, "permitted_by": "IRB"} if named else {}, folder)


def sound(lake: SmallLake, document: dict[str, Any], permitted: dict[str, Any], folder: Path) -> None:
    request = parse_request({"job_id": "job", "action": "datashop", "section_ids": [3021], "format": FORMS, **permitted})
    lookup = parse_lookup(json.dumps(document).encode())
    names = RealNames(lookup.users) if permitted else PseudonymKey(b"a key of this test alone").scoped("job")
    found, expected = files(lake, request, lookup, names, folder)
    parsed = {}
    for end in (".xml", ".txt"):
        opened_files = [(path.name, partial(path.open, "rb")) for path in found if path.suffix == end]
        report = verify(opened_files)
        assert report.ok, report.findings
        assert out.differences(expected, report) == []
        parsed[end] = list(map(comparable, iter_transactions(opened_files)))
    assert parsed[".xml"] == parsed[".txt"]


def files(lake: SmallLake, request: Any, lookup: Any, names: Any, folder: Path) -> tuple[list[Path], Any]:
    """What the writers make, without the rest of an export."""
    listed = lake.files()
    paths = [lake.folder / file.path for file in listed]
    with pieces.connect(folder) as connection:
        read = pieces.by_kind(listed, paths, folder)
        plan = pieces.plan(connection, request, read, names)
        held = scope(connection, request, read, lookup)
        redaction = names.redaction(users(request, paths), lookup.users)
        work = produce.Work(request, read, lookup, names, redaction, "set", held.shape, plan.shared_sessions, folder)
        return [file.path for done in produce.pieces_done(work, plan.pieces, 1) for file in done.files], held.sections


# One name for one student ---------------------------------------------------------------------------------------------


def columns_of(made: Any, name: str) -> Iterator[pl.Series]:
    rows = pl.read_csv(made.body(name), separator="\t" if name.endswith("txt") else ",", infer_schema=False)
    yield from rows.iter_columns()


def test_a_student_a_session_and_an_attempt_have_one_name_over_all_files_of_a_scope(lake, make):
    lake.add(
        "2026-01-03", [attempt("a", 4001, attached_objectives=[5]), attempt("b", 4002, attached_objectives=[5]), said(tool(), user=4003)]
    )
    shop = make("datashop", format=FORMS, rollup="csv", scope="study", job_id="one")
    rows = make(scope="study", job_id="two").rows()
    xml, tab = read(shop), read(shop, "tab")
    assert [(one.student, one.session) for one in xml] == [(one.student, one.session) for one in tab]
    students = {one.student for one in xml}
    assert len(students) == 3
    assert {row["user_id"] for row in rows} < students
    assert {row["part_attempt_guid"] for row in rows} == {
        one.id for one in xml if one.student_type == "ATTEMPT" and "part_attempt_guid" in one.fields
    }
    rollups = [file["name"] for file in shop.result.receipt["files"] if file["name"].endswith(".csv")]
    shown = {value for name in rollups for column in columns_of(shop, name) if column.name == "Anon Student Id" for value in column}
    assert shown
    assert shown <= students


def test_two_scopes_share_no_student_session_or_guid(lake, make):
    lake.add("2026-01-03", [attempt("a", hints_requested=["1"]), said(declared(), tool(), reply(), at="12:01:00")])
    words = []
    for job in ("one", "two"):
        made = make("datashop", format=FORMS, rollup="csv", job_id=job, dataset_name="same")
        rows = make(job_id=job).body().decode()
        words.append(
            set(re.findall(r"\b(?:s[a-z2-7]{32}|[0-9a-f]{16,})\b", rows + "".join(made.body(name).decode() for name in made.result.chunks)))
        )
    assert len(words[0]) == len(words[1]) > 6
    assert not words[0] & words[1]


@pytest.mark.parametrize("named", [False, True])
def test_the_students_are_marked_as_pseudonyms_unless_they_are_named(lake, make, named):
    lake.add("2026-01-03", [attempt("a")])
    body = exported(make, named=named).body("chunk_0.xml")
    assert (b'anonFlag="true"' in body, b">41207</user_id>" in body) == (not named, named)
