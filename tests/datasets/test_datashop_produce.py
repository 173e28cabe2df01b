"""How files are made: in pieces, by several workers, cut between sessions; always the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from datashop_lake import FORMS, attempt, declared, files_of, is_sound, look_up, opened, read, reply, said, tool

from torus_assets.clients.object_store import open_store
from torus_assets.datasets.datashop import out, pieces, produce, rules
from torus_assets.datasets.datashop.verify import iter_transactions, verify
from torus_assets.datasets.export import export
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import parse_request


def some_course(students: int = 6) -> list[dict[str, Any]]:
    """Students with two sessions each, and an embedded tutor in each; two sections."""
    statements = []
    for user in range(4000, 4000 + students):
        section = 3021 + user % 2
        for number, session in enumerate(["morning", "evening"]):
            at = [f"{9 + 8 * number:02d}:0{minute}:00" for minute in range(4)]
            more = {"section": section, "session_id": f"{session} {user}"}
            statements += [
                opened(user, at[0], section=section),
                attempt(f"{user}-{number}-1", user, at[1], hints_requested=["1"], **more),
                attempt(f"{user}-{number}-2", user, at[2], part_id="2", response={"input": "é" * 200}, **more),
                said(declared(), tool(f"T{number}"), reply(f"T{number}"), user=user, at=at[3], section=section),
            ]
    return statements


def bodies(made: Any) -> dict[str, bytes]:
    """Every file of the run but run.json, which has its times."""
    folder = made.result.folder
    keys = [entry.key for entry in made.store.list(folder) if not entry.key.endswith("/run.json")]
    return {key: made.store.get(key).body for key in keys}


@pytest.fixture
def course(lake, store) -> Any:
    lake.add("2026-01-03", some_course())
    look_up(store, {"skill_titles": {"5": "Adding"}})
    return lake


@pytest.fixture
def whole(course, make: Callable[..., Any]) -> Any:
    """The data set in one piece and one file a form."""
    made = make("datashop", sections=(3021, 3022), format=FORMS, rollup="csv")
    is_sound(made)
    assert len(made.result.chunks) == 2
    return made


def again(make: Callable[..., Any], tmp_path: Any, **keys: Any) -> Any:
    """The same request in another store."""
    store = open_store(f"file://{tmp_path / 'again'}")
    look_up(store, {"skill_titles": {"5": "Adding"}})
    return make("datashop", sections=(3021, 3022), format=FORMS, rollup="csv", to=store, **keys)


def test_the_same_request_in_another_place_gives_the_same_bytes(whole, make, tmp_path):
    other = again(make, tmp_path)
    assert not other.result.reused
    assert bodies(other) == bodies(whole)


def test_the_lakes_layout_changes_no_byte(whole, make, tmp_path, lake):
    """A day in several files, in another order of statements."""
    other = type(lake)(tmp_path / "other")
    for first in range(0, 48, 7):
        other.add("2026-01-03", some_course()[::-1][first : first + 7])
    made = again(make, tmp_path, of=other)
    assert made.result.run == whole.result.run
    assert [made.body(name) for name in made.result.chunks] == [whole.body(name) for name in whole.result.chunks]


def test_the_number_of_workers_changes_no_byte(course, tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_ROWS", 10)  # the plan is made here, so workers need not know
    monkeypatch.setattr(out, "READ_BYTES", 1)  # each file is read back by itself
    request = parse_request({"job_id": "job-1", "action": "datashop", "section_ids": [3021, 3022], "format": FORMS, "rollup": "csv"})
    found = []
    for workers in (1, 2):
        store = open_store(f"file://{tmp_path / str(workers)}")
        key = PseudonymKey(b"a key of this test alone")
        result = export(request, course, store, pseudonyms=key, scratch=tmp_path / "scratch", workers=workers)
        assert result.ok
        assert len(result.chunks) == 12
        keys = [entry.key for entry in store.list() if not entry.key.endswith("/run.json")]
        found.append({key: store.get(key).body for key in keys})
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("limit", "slice_", "piece", "files"),
    [
        (1, 2_000, 20_000, (12, 12)),
        (1, 1, 1, (12, 12)),
        (32 << 20, 1, 1, (6, 6)),
        (32 << 20, 1, 20_000, (1, 1)),
        (25_000, 2_000, 20_000, (6, 2)),
        (25_000, 3, 20_000, (6, 2)),
    ],
)
def test_files_are_cut_between_sessions_only_and_each_stands_alone(whole, make, tmp_path, monkeypatch, limit, slice_, piece, files):
    monkeypatch.setattr(rules, "MOST_BYTES", limit)
    monkeypatch.setattr(produce, "SLICE", slice_)
    monkeypatch.setattr(pieces, "PIECE_ROWS", piece)
    cut = again(make, tmp_path)
    is_sound(cut)
    for form, count in zip(("xml", "tab"), files, strict=True):
        alone = [(opener, list(iter_transactions([(name, opener)]))) for name, opener in files_of(cut, form)]
        assert len(alone) == count
        assert all(found and verify([("alone", opener)]).ok for opener, found in alone)
        assert [one for _, found in alone for one in found] == read(whole, form)  # so each context stands in the file that uses it
        sessions = [{(one.section, one.student, one.session) for one in found} for _, found in alone]
        assert sum(map(len, sessions)) == len(set().union(*sessions)) == 12
        if limit == 25_000:
            assert max(len(opener().getvalue()) for opener, _ in alone) < limit + 500  # head and foot


def test_chunks_are_numbered_by_form_in_order_and_described_in_the_receipt(whole, make, tmp_path, monkeypatch):
    monkeypatch.setattr(rules, "MOST_BYTES", 1)
    cut = again(make, tmp_path)
    assert cut.result.chunks == tuple(f"chunk_{n}{end}" for end in (".txt", ".xml") for n in range(12))
    described = {file["name"]: file for file in cut.result.receipt["files"]}
    for name in cut.result.chunks:
        assert described[name]["bytes"] == len(cut.body(name))
        assert described[name]["rows"] == sum(
            1 for _ in iter_transactions([file for form in ("xml", "tab") for file in files_of(cut, form) if file[0] == name])
        )


def test_no_row_is_lost_between_lake_and_receipt(whole):
    counts = whole.result.receipt["rows"]
    assert counts["read"] == counts["exported"] == whole.result.rows == 36
    assert sum(section["transactions"] for section in whole.result.receipt["sections"]) == len(read(whole)) == 6 * 2 * 4
