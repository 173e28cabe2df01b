"""The cells of both dialects: golden files, and the old writer itself for those that have to equal it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from small_lake import activity, page, part, video, view

from torus_assets.datasets.csv_tables import ACTIONS, old_json, old_list

GOLDEN = Path(__file__).parent / "golden"

ATTEMPTS = [
    part(at="2026-01-02T12:00:01Z", attached_objectives=[10, 11], hints_requested=[], response={"input": 'a "q"\nb é', "files": []}),
    part(user="41208", at="2026-01-02T12:00:02Z", feedback=None, score=0.25, out_of=2, part_id="a,b", attached_objectives=[]),
    part(user=41209, at="2026-01-02T12:00:03.5+00:00", response=None, score=1e-7, feedback="Nice — 🎉", hints_requested=["h1", "h2"]),
    activity(at="2026-01-02T12:00:04Z", activity_revision_id=None),
    page(at="2026-01-02T12:00:05Z", project_id=None),
]
VIDEOS = [
    video("played", at="2026-01-02T12:00:01.000001Z", time=0),
    video("paused", at="2026-01-02T12:00:02.000001Z", time=12.5, played_segments="0[.]12.5[,]3[.]", progress=0.04),
    video("seeked", at="2026-01-02T12:00:03.000001Z", length=None, time_from=12.5, time_to=100),
    video("completed", at="2026-01-02T12:00:04.000001Z", time=312.44, played_segments="", progress=None),
    video("experienced", at="2026-01-02T12:00:05.000001Z", time=1),
]
VIEWS = [view(at="2026-01-02T12:00:01.000001Z"), view(user="x", at="2026-01-02T12:00:02Z", project_id=None, page_attempt_number=None)]


def golden(name: str) -> bytes:
    """A golden file without its first line, which states the source."""
    source, _, body = (GOLDEN / name).read_bytes().partition(b"\n")
    assert source.startswith(b"# source: spec/datasets.md")
    return body


@pytest.mark.parametrize(
    ("action", "dialect", "statements"),
    [
        ("attempt_evaluated", "rfc4180", ATTEMPTS),
        ("attempt_evaluated", "compat", ATTEMPTS),
        ("video", "rfc4180", VIDEOS),
        ("video", "compat", VIDEOS),
        ("page_viewed", "rfc4180", VIEWS),
    ],
)
def test_the_file_is_the_golden_one(lake, make, action, dialect, statements):
    lake.add("2026-01-02", statements)
    assert make(action, dialect=dialect, scope="golden").body() == golden(f"{action}.{dialect}.csv")


def test_the_columns_are_those_of_the_spec():
    assert {name: len(action.columns) for name, action in ACTIONS.items()} == {"attempt_evaluated": 22, "page_viewed": 9, "video": 17}


def old_rows(statements: list[dict]) -> pd.DataFrame:
    """The old job's rows of part attempts (spec/datasets.md 5.2, 5.5), learners left out."""
    oli = "http://oli.cmu.edu/extensions/"
    columns = [
        name
        for name in ACTIONS["attempt_evaluated"].names
        if name not in {"event_type", "timestamp", "user_id", "score", "out_of", "response", "feedback"}
    ]
    rows = []
    for s in statements:
        extensions, result = s["context"]["extensions"], s["result"]
        row: dict = {"event_type": "Part Attempt", "timestamp": s["timestamp"]}
        for name in columns:
            value = extensions[oli + ("hints_requested" if name == "hints" else name)]
            row[name] = '"' + ",".join(map(str, value)) + '"' if isinstance(value, list) else value
        row |= {"score": result["score"]["raw"], "out_of": result["score"]["max"]}
        row |= {"response": '"' + json.dumps(result["response"], separators=(",", ":")) + '"'}
        row |= {"feedback": '"' + json.dumps(result["extensions"][oli + "feedback"], separators=(",", ":")) + '"'}
        rows.append(row)
    return pd.DataFrame(rows)[[name for name in ACTIONS["attempt_evaluated"].names if name != "user_id"]]


def test_compat_is_what_pandas_wrote_byte_for_byte(lake, make):
    answers = ["", " ", ",", '"', "\r\n", "é", "\u2028", "🎉", "</script>", "\\", "\t", {"a": [1, 2.50, 1e22, None, True]}, 7, [], "null"]
    statements = [
        part(at=f"2026-01-02T12:00:{n:02d}Z", response=answer, feedback={"t": answer}, score=n / 7, out_of=1e16, part_id=str(answer), hints_requested=[str(answer)])
        for n, answer in enumerate(answers)
    ]  # fmt: skip
    lake.add("2026-01-02", statements)
    assert make(dialect="compat", exclude_fields=["user_id"], anonymize=False, permitted_by="nobody is in it").body().decode() == old_rows(
        statements
    ).to_csv(index=False)


def test_the_cells_named_in_the_spec():
    assert old_list("[10,11]") == '"10,11"'
    assert old_list("[]") == '""'
    assert old_json('{"input": "a \\"q\\"\\nb é", "files": []}') == '"{"input":"a \\"q\\"\\nb \\u00e9","files":[]}"'
    assert old_json("null") == '"null"'


def test_a_single_column_never_gives_a_blank_line(lake, make):
    lake.add("2026-01-02", [view(at="2026-01-02T12:00:01Z", project_id=None), view(at="2026-01-02T12:00:02Z")])
    others = [name for name in ACTIONS["page_viewed"].names if name != "project_id"]
    assert make("page_viewed", exclude_fields=others).body() == b'project_id\n""\n118\n'


def test_every_cell_comes_back_through_a_csv_reader(lake, make):
    answer = 'comma, "quote", line\nbreak, \u2028 and é'
    lake.add("2026-01-02", [part(response={"input": answer}, part_id="a\rb")])
    [row] = csv.DictReader(io.StringIO(make().body().decode(), newline=""))
    assert json.loads(row["response"])["input"] == answer
    assert row["part_id"] == "a\rb"
    assert json.loads(row["attached_objectives"]) == [59012, 59044]
