"""The last look: a finished file that holds something of a user is never given out."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from datashop_lake import attempt, custom, declared, exported, look_up, page_of, read, reply, said, skill, tool

from torus_assets.datasets import tables_out
from torus_assets.datasets.datashop import mapping, produce, rules
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.release import Finding, PersonalData, refuse, scan

USERS = Redaction({"41207": "ANNA", "one@example.edu": "ANNA", "the-learner": "BERT"})
MAIL, ID = "One@example.edu", "41207"


def xml(inside: str) -> str:
    return f"<?xml?>\n<root>\n{inside}\n</root>\n"


def table(column: str, cell: str) -> str:
    return f"Row\t{column}\tInput\n1\tfine\tfine\n2\t{cell}\tfine\n"


def found(tmp_path: Path, name: str, body: str, columns: list[str] | None = None) -> list[Finding]:
    path = tmp_path / name
    path.write_bytes(body.encode())
    return list(scan(path, name, USERS, columns))


@pytest.mark.parametrize(
    ("name", "body", "line"),
    [
        *[("a.xml", xml(f"<input>I am {text}</input>"), 3) for text in (MAIL, ID, "one%40example.edu", "The-Learner", "one@example&#46;edu", "4120&#55;")],
        ("a.xml", xml(f'<meta id="{ID}"/>'), 3),
        ("a.xml", xml(f"<semantic_event transaction_id='T-{ID}-x'/>"), 3),
        ("a.xml", xml(f"<user_id>{ID}</user_id>"), 3),
        ("a.xml", xml(f"<skill><name>of {ID}</name></skill>"), 3),
        ("a.xml", xml(f"<dataset><name>x</name><level><name>by {MAIL}</name></level></dataset>"), 3),
        ("a.xml", xml(f"<custom_field><name>item</name><value>ask {MAIL}</value></custom_field>"), 3),
        ("a.xml", xml(f"<custom_field><name>feedback</name><value>ask {ID}</value></custom_field>"), 3),
        ("a.txt", table("Input", MAIL), 3),
        ("a.txt", table("Feedback Text", f'"{ID}'), 3),
        ("a.txt", table("CF (theirs)", f"x {ID}"), 3),
        ("a.txt", table("Level (Page)", f"x {MAIL}"), 3),
        ("a.txt", table("KC (Default)", f"x {MAIL}"), 3),
        ("a.txt", table("Anon Student Id", ID), 3),
        ("a.csv", f"user_id,page_id\nANNA,1\n{ID},2\n", 3),
        ("a.csv", f"user_id,feedback\nANNA,\n,{MAIL}\n", 3),
        ("a.csv", 'response\n1\n"{""input"":""\\u0034\\u0031207""}"\n', 3),
        ("a.csv", 'response\n"""fine"""\n"{""input"":41207}"\n', 3),
        ("a.csv", 'response\n"{}"\n"{""input"":0.41207}"\n', 3),
        ("a.csv", 'response\n1\n"[""one\\u0040example.edu""]"\n', 3),
        ("a.html", f"<p>\n<b>\n<i title='x'>{MAIL.replace('@', '&#64;')}</i>\n", 3),
        ("a.json", f'{{\n"a":\n"{MAIL}"}}', 3),
    ],
)  # fmt: skip
def test_an_id_or_address_in_any_kind_of_file_is_found_with_its_place(tmp_path, name, body, line):
    assert found(tmp_path, name, body) == [Finding(name, line)]


def test_it_is_found_in_parquet_too(tmp_path, monkeypatch):
    monkeypatch.setattr("torus_assets.datasets.release.LINES", 2)
    rows = pl.DataFrame({"user_id": ["a", None, "b", ID], "response": [None, f'{{"a":"{MAIL}"}}', None, None], "page_id": [41207] * 4})
    rows.write_parquet(tmp_path / "a.parquet")
    assert list(scan(tmp_path / "a.parquet", "a.parquet", USERS)) == [Finding("a.parquet", 3), Finding("a.parquet", 5)]
    assert list(scan(tmp_path / "a.parquet", "a.parquet", USERS, ["page_id"])) == []


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("a.xml", xml("<custom_field><name>page_id</name><value>41207</value></custom_field>")),
        ("a.xml", xml("<dataset><name>41207</name><level><name>Page 41207</name></level></dataset>")),
        ("a.xml", xml('<selection>Activity 41207, Part 1</selection><action_evaluation hint_id="41207">HINT</action_evaluation>')),
        ("a.xml", xml("<time>2026-01-02 12:00:00.412</time><input>412070</input>")),
        *[
            ("a.txt", table(column, "41207"))
            for column in ("CF (page_id)", "CF (activity_id)", "Level (Page)", "Problem Name", "Step Name", "KC (Default)")
        ],
        ("a.csv", "page_id,score\n41207,41207\n"),
        ("a.csv", "user_id\nanyone@example.edu\n"),
        ("a.html", "<p>41207 attempts</p>"),
    ],
)
def test_ids_of_content_and_numbers_may_be_equal_to_a_users(tmp_path, name, body):
    assert found(tmp_path, name, body) == []


def test_only_the_columns_that_could_name_somebody_are_looked_at_when_they_are_named(tmp_path):
    body = f"user_id,n\nANNA,{ID}\n"
    assert found(tmp_path, "a.csv", body, ["user_id"]) == []
    assert found(tmp_path, "a.csv", body, ["user_id", "n"]) == [Finding("a.csv", 2)]
    assert found(tmp_path, "a.csv", body, ["gone"]) == []


def test_the_refusal_names_places_and_never_what_stands_there():
    refuse([])
    with pytest.raises(PersonalData) as refusal:
        refuse(Finding("chunk_0.xml", line) for line in range(1, 8))
    assert "7 place(s)" in str(refusal.value)
    assert "chunk_0.xml:5 …" in str(refusal.value)
    assert "chunk_0.xml:6" not in str(refusal.value)


# A whole export -------------------------------------------------------------------------------------------------------


def leaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The writers of both kinds of data set forget to replace users in texts."""
    whole, real = tables_out.named, mapping.Mapper
    monkeypatch.setattr(tables_out, "named", lambda rows, names, columns, _: whole(rows, names, columns))
    monkeypatch.setattr(produce, "Mapper", lambda lookup, names, _, *rest: real(lookup, names, Redaction(), *rest))


@pytest.mark.parametrize("keys", [{"format": ["datashop-xml"]}, {"format": ["datashop-tab"]}, {"format": ["csv"]}, {"format": ["parquet"]}])
@pytest.mark.parametrize("leak", ["my id is 41207", "%7Bone%40example.edu"])
def test_an_export_that_would_name_a_user_publishes_nothing_and_leaves_nothing(lake, make, store, monkeypatch, keys, leak):
    monkeypatch.setattr(rules, "MOST_BYTES", 1)  # a file for each session
    look_up(store, {"users": {"41207": {"email": MAIL}}})
    lake.add(
        "2026-01-03", [*(attempt(f"{user}", user) for user in range(4002, 4008)), attempt("a", at="12:01:00", response={"input": leak})]
    )
    action = "attempt_evaluated" if keys["format"][0] in {"csv", "parquet"} else "datashop"
    assert make(action, **keys, chunk_rows=1, job_id="sound").result.ok
    before = {entry.key for entry in store.list()}
    look_up(store, {"users": {"41207": {"email": MAIL}}}, "leaking")
    leaking(monkeypatch)
    with pytest.raises(PersonalData, match=r"chunk_[1-6]\.\w+:\d") as refusal:
        make(action, **keys, chunk_rows=1, job_id="leaking")
    assert ID not in str(refusal.value)
    assert "example" not in str(refusal.value)
    assert {entry.key for entry in store.list()} - before == {"contexts/leaking.json"}


def test_a_users_address_in_content_is_replaced_everywhere_and_her_number_is_content(lake, make, store):
    """Titles, KCs, items, choices and hints are authored; a teacher's own address may stand in them, and she may have tried the course."""
    look_up(store, {
        "dataset_name": f"Course of {MAIL}", "users": {ID: {"email": MAIL}, "50000": {"email": "not-in-this@example.edu"}},
        "skill_titles": {"5": f"Ask {MAIL}"}, **page_of(f"Page of {MAIL}", f"Unit {ID} of {MAIL}"),
        "activities": {"60511": {"type": "oli_likert", "choices": [{"id": "c1", "content": f"Mail {MAIL}"}], "items": [{"id": "1", "content": f"Is {MAIL} nice?"}],
                                 "parts": [{"id": "1", "hints": [{"id": "1", "content": f"Mail {MAIL}"}]}]}},
    })  # fmt: skip
    lake.add("2026-01-03", [attempt("a", response={"input": "c1"}, attached_objectives=[5], hints_requested=["1"])])
    made = exported(make, named=False, rollup="csv")
    one = exported_names(made)
    assert one["levels"] == (("Course", f"Unit 41207 of {one['student']}"), ("Page", f"Page of {one['student']}"))
    assert (one["input"], one["item"], one["kc"]) == (f"Mail {one['student']}", f"Is {one['student']} nice?", f"Ask {one['student']}")
    csv = make(job_id="job-1")
    everything = {entry.key: store.get(entry.key).body for entry in store.list() if not entry.key.startswith("contexts/")}
    assert csv.result.folder + "lookup.json" in everything
    assert not [key for key, body in everything.items() if b"example.edu" in body.lower()]
    named = exported(make)
    assert MAIL.encode() in named.body("chunk_0.xml")


def exported_names(made) -> dict:
    one = read(made)[-1]
    return {"levels": one.levels, "student": one.student, "input": one.input, "item": one.fields["item"], "kc": one.skills[0][2]}


def test_texts_of_users_are_replaced_in_every_form(lake, make, store):
    look_up(store, {"users": {ID: {"email": MAIL}}})
    lake.add("2026-01-03", [
        attempt("a", response={"input": f"I am {ID} ({MAIL})"}, feedback={"content": [{"text": f"Hello {MAIL}"}]}),
        attempt("b", at="12:01:00", response={"input": {"n": 41207, "x": 0.41207}}),
        said(declared(), tool(input=f"'{MAIL}'", more=custom("who", ID)), reply(advice=f"Hi {ID}", more=skill(f"kc of {ID}")), at="12:02:00"),
    ])  # fmt: skip
    bodies = [exported(make, named=False), make(format=["csv", "parquet"])]
    files = b"".join(made.body(name) for made in bodies for name in made.result.chunks if not name.endswith("parquet"))
    assert b"example" not in files.lower()
    assert b"41207" not in files
    parquet = bodies[1].store.path(bodies[1].result.folder + "chunk_0.parquet")
    assert "41207" not in json.dumps(pl.read_parquet(parquet).to_dicts(), default=str)
