"""The student-step rollup and the learning curves: a case worked by hand, and a plain Python reading of the same rules."""

from __future__ import annotations

import csv
import hashlib
import math
import time
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from torus_assets.datasets.datashop.model import FACTS
from torus_assets.datasets.rollup import LEARNING_CURVE_COLUMNS, STUDENT_STEP_COLUMNS, curves, per_day, rollup, scores

DAY = datetime(2026, 2, 3, tzinfo=UTC)
GAS, ION = "Name the gas (Matter 1)", "Name ions"
HIERARCHY = "Unit Matter, Page Osmosis"


def fact(
    number: int, student: str, session: str, at: str, problem: str, view: int, opened: str, step: str | None, **more: Any
) -> dict[str, Any]:
    """One transaction. `at` and `opened` are clock times of the day."""
    outcome = more.get("outcome")
    return {
        "number": number,
        "transaction_id": f"t{number}",
        "section_id": more.get("section", 3021),
        "student": student,
        "session": session,
        "time": moment(at),
        "problem_hierarchy": HIERARCHY,
        "problem": problem,
        "view": view,
        "problem_start": moment(opened),
        "step": step,
        "student_type": "HINT_REQUEST" if outcome == "HINT" else "ATTEMPT",
        "outcome": outcome,
        "skills": more.get("skills", []),
        "score": more.get("score"),
        "out_of": more.get("out_of"),
    }


def moment(clock: str) -> datetime:
    hours, minutes, seconds = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes), milliseconds=round(float(seconds) * 1_000))


BOTH = [ION, GAS]
# Two students at the same time; the first one in two sessions, and at problem A a second time.
WORKED = [
    fact(0, "ann", "a1", "10:00:30", "A", 1, "10:00:00", "s1", outcome="HINT", skills=[GAS]),
    fact(1, "ann", "a1", "10:00:30", "A", 1, "10:00:00", "s1", outcome="INCORRECT", skills=[GAS], score=0.0, out_of=2.0),
    fact(2, "ann", "a1", "10:00:42.5", "A", 1, "10:00:00", "s1", outcome="CORRECT", skills=[GAS], score=2.0, out_of=2.0),
    fact(3, "ann", "a1", "10:01:00", "B", 1, "09:59:00", None, score=0.0, out_of=0.0),  # unscored: an untutored action
    fact(4, "ann", "a1", "10:01:10", "B", 1, "09:59:00", "s1", outcome="CORRECT", skills=BOTH, score=0.5, out_of=1.0),
    fact(5, "ann", "a1", "10:20:00", "B", 1, "09:59:00", "s2", outcome="CORRECT", skills=[GAS], score=0.3, out_of=1.0),  # a pause before
    fact(6, "ann", "a1", "10:20:05", "B", 1, "09:59:00", "s2", outcome="CORRECT", skills=[GAS], score=0.7, out_of=1.0),
    fact(7, "ann", "a2", "15:00:20", "A", 2, "15:00:00", "s1", outcome="CORRECT", skills=[GAS], score=2.0, out_of=2.0),
    fact(8, "ann", "a2", "15:20:00", "C", 1, "15:05:00", "s1", outcome="INCORRECT", score=0.0, out_of=1.0),  # opened a quarter before
    fact(9, "ann", "a2", "15:20:30", "C", 1, "15:05:00", "s1", outcome="CORRECT", score=1.0, out_of=1.0),
    fact(10, "bob", "b1", "10:00:10", "A", 1, "10:00:00", "s1", outcome="CORRECT", skills=[GAS], score=1.9, out_of=2.0),
    fact(11, "bob", "b1", "10:00:40", "B", 1, "10:00:00", "s1", outcome="HINT", skills=[ION]),
    fact(12, "bob", "b1", "10:00:41.25", "B", 1, "10:00:00", "s1", outcome="CORRECT", skills=[ION, GAS, ION], score=1.0, out_of=1.0),
]

STUDENT_STEP = [
    # row, section, student, session, hierarchy, problem, view, step, start, first, correct, end, duration, correct, error, first attempt, counts, KCs
    f"1|3021|ann|a1|{HIERARCHY}|A|1|s1|10:00:00.000|10:00:30.000|10:00:42.500|10:00:42.500|42.5||42.5|hint|1|1|1|2|{GAS}|1",
    f"2|3021|ann|a1|{HIERARCHY}|B|1|s1|10:01:00.000|10:01:10.000|10:01:10.000|10:01:10.000|10.0|10.0||correct|0|0|1|0|{ION}~~{GAS}|1~~2",
    f"3|3021|ann|a1|{HIERARCHY}|B|1|s2||10:20:00.000|10:20:00.000|10:20:05.000||||correct|0|0|2|0|{GAS}|3",
    f"4|3021|ann|a2|{HIERARCHY}|A|2|s1|15:00:00.000|15:00:20.000|15:00:20.000|15:00:20.000|20.0|20.0||correct|0|0|1|0|{GAS}|4",
    f"5|3021|ann|a2|{HIERARCHY}|C|1|s1|15:05:00.000|15:20:00.000|15:20:30.000|15:20:30.000||||incorrect|1|0|1|1||",
    f"6|3021|bob|b1|{HIERARCHY}|A|1|s1|10:00:00.000|10:00:10.000|10:00:10.000|10:00:10.000|10.0|10.0||correct|0|0|1|0|{GAS}|1",
    f"7|3021|bob|b1|{HIERARCHY}|B|1|s1|10:00:10.000|10:00:40.000|10:00:41.250|10:00:41.250|31.25||31.25|hint|0|1|1|1|{ION}~~{GAS}|1~~2",
]
LEARNING_CURVE = [
    # KC, opportunity, students, correct, error rate, incorrects, hints, assistance, duration, correct duration, standard error
    f"{ION}|1|2|1|0.5|0.0|0.5|0.5|20.625|10.0|0.353553",
    f"{GAS}|1|2|1|0.5|0.5|0.5|1.0|26.25|10.0|0.353553",
    f"{GAS}|2|2|1|0.5|0.0|0.5|0.5|20.625|10.0|0.353553",
    f"{GAS}|3|1|1|0.0|0.0|0.0|0.0|||0.0",
    f"{GAS}|4|1|1|0.0|0.0|0.0|0.0|20.0|20.0|0.0",
]


@pytest.fixture
def engine(tmp_path: Path):
    with duckdb.connect(config={"threads": 2, "memory_limit": "256MB", "temp_directory": str(tmp_path / "spill")}) as connection:
        yield connection


def parquet(path: Path, facts: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(facts, schema=FACTS), path)
    return path


def cells(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_example_worked_by_hand_comes_out_cell_by_cell(engine, tmp_path):
    facts = parquet(tmp_path / "facts.parquet", WORKED)
    [(steps, count), (curve, points)] = rollup(engine, [facts], tmp_path, "csv")
    assert (steps.name, count, curve.name, points) == ("student_step.csv", 7, "learning_curve.csv", 5)
    head, *rows = cells(steps)
    assert head == [column.name for column in STUDENT_STEP_COLUMNS]
    assert ["|".join(row).replace("2026-02-03 ", "") for row in rows] == STUDENT_STEP
    head, *rows = cells(curve)
    assert head == [column.name for column in LEARNING_CURVE_COLUMNS]
    assert ["|".join(row) for row in rows] == LEARNING_CURVE


def test_parquet_has_the_declared_types_and_says_the_same(engine, tmp_path):
    facts = parquet(tmp_path / "facts.parquet", WORKED)
    types = {"integer": pa.types.is_integer, "number": pa.types.is_float64, "text": pa.types.is_string, "time": pa.types.is_timestamp}
    for (path, count), columns in zip(
        rollup(engine, [facts], tmp_path, "parquet"), (STUDENT_STEP_COLUMNS, LEARNING_CURVE_COLUMNS), strict=True
    ):
        table = pq.read_table(path)
        assert (table.num_rows, table.column_names) == (count, [column.name for column in columns])
        assert all(types[column.type](table.schema.field(column.name).type) for column in columns)
    steps = pq.read_table(tmp_path / "student_step.parquet").to_pylist()
    assert [row["Step Start Time"] for row in steps[:3]] == [moment("10:00:00"), moment("10:01:00"), None]
    assert [row["Step Duration (sec)"] for row in steps] == [42.5, 10.0, None, 20.0, None, 10.0, 31.25]


def test_numbers_for_the_page(engine, tmp_path):
    facts = parquet(tmp_path / "facts.parquet", WORKED)
    assert curves(engine, [facts]) == [(GAS, [(1, 0.5, 2), (2, 0.5, 2), (3, 0.0, 1), (4, 0.0, 1)]), (ION, [(1, 0.5, 2)])]
    assert curves(engine, [facts], skills=1, opportunities=1) == [(GAS, [(1, 0.5, 2)])]
    assert per_day(engine, [facts]) == [(date(2026, 2, 3), 11)]
    bins, unscored = scores(engine, [facts])
    assert [label for label, _ in bins] == [f"0.{i}–{'1.0' if i == 9 else f'0.{i + 1}'}" for i in range(10)]
    assert ([n for _, n in bins], unscored) == ([2, 0, 0, 1, 0, 1, 0, 1, 0, 5], 1)


def test_a_day_is_one_of_utc_wherever_the_session_thinks_it_is(engine, tmp_path):
    late = [fact(0, "ann", "a", "23:59:59", "A", 1, "23:59:00", "s", outcome="CORRECT", skills=[GAS])]
    facts = parquet(tmp_path / "facts.parquet", late)
    engine.execute("SET TimeZone = 'Asia/Tokyo'")
    assert per_day(engine, [facts]) == [(date(2026, 2, 3), 1)]
    rollup(engine, [facts], tmp_path, "csv")
    assert cells(tmp_path / "student_step.csv")[1][9] == "2026-02-03 23:59:59.000"


def test_exactly_ten_minutes_is_a_duration_and_a_millisecond_more_is_none(engine, tmp_path):
    made = [
        fact(0, "ann", "a", "10:00:00", "A", 1, "10:00:00", "s1", outcome="INCORRECT"),
        fact(1, "ann", "a", "10:10:00", "A", 1, "10:00:00", "s2", outcome="INCORRECT"),
        fact(2, "ann", "a", "10:20:00.001", "A", 1, "10:00:00", "s3", outcome="INCORRECT"),
        fact(3, "ann", "a", "10:20:00.501", "A", 1, "10:00:00", "s3", outcome="CORRECT"),
        fact(4, "ann", "a", "10:40:00", "A", 1, "10:00:00", "s1", outcome="CORRECT"),
    ]
    rollup(engine, [parquet(tmp_path / "facts.parquet", made)], tmp_path, "csv")
    assert [row[12] for row in cells(tmp_path / "student_step.csv")[1:]] == ["0.0", "600.0", ""]


def test_a_reply_that_judges_nothing_counts_as_an_opportunity_but_not_in_the_curve(engine, tmp_path):
    made = [
        fact(0, "ann", "a", "10:00:00", "A", 1, "10:00:00", "s1", skills=[GAS]),
        fact(1, "ann", "a", "10:00:05", "A", 1, "10:00:00", "s2", skills=[GAS], outcome="CORRECT"),
    ]
    rollup(engine, [parquet(tmp_path / "facts.parquet", made)], tmp_path, "csv")
    assert [row[15] for row in cells(tmp_path / "student_step.csv")[1:]] == ["", "correct"]
    assert [row[:5] for row in cells(tmp_path / "learning_curve.csv")[1:]] == [[GAS, "2", "1", "1", "0.0"]]


@pytest.mark.parametrize("no_files", [True, False])
def test_no_transactions_give_tables_without_rows(engine, tmp_path, no_files):
    facts = [] if no_files else [parquet(tmp_path / "facts.parquet", [])]
    for path, count in rollup(engine, facts, tmp_path, "csv"):
        assert (count, len(cells(path))) == (0, 1)
    for path, count in rollup(engine, facts, tmp_path, "parquet"):
        assert (count, pq.read_table(path).num_rows) == (0, 0)
    assert (curves(engine, facts), per_day(engine, facts)) == ([], [])
    assert scores(engine, facts)[1] == 0


def test_nothing_is_left_in_the_connection_and_names_of_files_may_hold_quotes(engine, tmp_path):
    folder = tmp_path / "ann's"
    folder.mkdir()
    engine.execute("CREATE TABLE facts (mine INTEGER)")
    facts = parquet(folder / "facts.parquet", WORKED)
    assert rollup(engine, [facts], folder, "csv")[0] == (folder / "student_step.csv", 7)
    assert curves(engine, [facts])
    assert engine.execute("SELECT table_name FROM information_schema.tables").fetchall() == [("facts",)]


def test_a_file_with_other_columns_is_refused(engine, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"number": [1]}), other)
    with pytest.raises(duckdb.BinderException, match="section_id"):
        rollup(engine, [other], tmp_path, "csv")


# A reading of the rules of its own ------------------------------------------------------------------------------------


def expected(facts: list[dict[str, Any]]) -> tuple[list[list[Any]], list[list[Any]]]:
    """Both tables as lists of cells, times and durations as Python values."""
    last: dict[tuple[str, str], datetime] = {}
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in sorted(facts, key=lambda fact: (fact["time"], fact["number"])):
        before = last.get((one["student"], one["session"]))
        last[one["student"], one["session"]] = one["time"]
        if one["step"] is None:
            continue
        opened = one["problem_start"] if one["problem_start"] and one["problem_start"] <= one["time"] else None
        candidates = [moment for moment in (before, opened) if moment]
        start = max(candidates) if candidates else None
        duration = (one["time"] - start).total_seconds() if start else None
        if duration is not None and duration > 600:
            duration = None
            start = start if start == opened else None
        key = tuple(one[name] for name in ("section_id", "student", "problem_hierarchy", "problem", "view", "step"))
        row = rows.setdefault(
            key, {"head": one, "start": start, "durations": [], "known": duration is not None, "outcomes": [], "times": [], "kcs": set()}
        )
        row["durations"].append(duration or 0)
        row["outcomes"].append(one["outcome"])
        row["times"].append(one["time"])
        row["kcs"] |= set(one["skills"])
    seen: dict[tuple[str, str], int] = defaultdict(int)
    curve: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for row in rows.values():  # in order of their first transactions
        row["opportunities"] = []
        row["duration"] = round(sum(row["durations"]), 3) if row["known"] else None
        for kc in sorted(row["kcs"], key=str.encode):
            seen[row["head"]["student"], kc] += 1
            row["opportunities"].append(seen[row["head"]["student"], kc])
            if row["outcomes"][0]:
                curve[kc, row["opportunities"][-1]].append(row)
    ordered = sorted(rows.values(), key=lambda row: row["head"]["number"])
    return [step_cells(number, row) for number, row in enumerate(ordered, 1)], [
        curve_cells(*point, curve[point]) for point in sorted(curve, key=lambda point: (point[0].encode(), point[1]))
    ]


def step_cells(number: int, row: dict[str, Any]) -> list[Any]:
    head, outcomes, duration = row["head"], row["outcomes"], row["duration"]
    counts = [outcomes.count(outcome) for outcome in ("INCORRECT", "HINT", "CORRECT")]
    correct = [at for at, outcome in zip(row["times"], outcomes, strict=True) if outcome == "CORRECT"]
    return [
        number, *(head[name] for name in ("section_id", "student", "session", "problem_hierarchy", "problem", "view", "step")),
        row["start"], row["times"][0], correct[0] if correct else None, row["times"][-1],
        duration, duration if outcomes[0] == "CORRECT" else None, duration if outcomes[0] in ("INCORRECT", "HINT") else None,
        outcomes[0].lower() if outcomes[0] else None, *counts, counts[0] + counts[1],
        "~~".join(sorted(row["kcs"], key=str.encode)) or None, "~~".join(map(str, row["opportunities"])) or None,
    ]  # fmt: skip


def curve_cells(kc: str, opportunity: int, rows: list[dict[str, Any]]) -> list[Any]:
    n = len(rows)
    right = [row for row in rows if row["outcomes"][0] == "CORRECT"]
    incorrects, hints = (sum(row["outcomes"].count(outcome) for row in rows) / n for outcome in ("INCORRECT", "HINT"))
    error = 1 - len(right) / n
    return [
        kc,
        opportunity,
        n,
        len(right),
        error,
        incorrects,
        hints,
        incorrects + hints,
        mean(rows),
        mean(right),
        math.sqrt(error * (1 - error) / n),
    ]


def mean(rows: list[dict[str, Any]]) -> float | None:
    known = [row["duration"] for row in rows if row["duration"] is not None]
    return sum(known) / len(known) if known else None


@st.composite
def data_sets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A few students who jump between problems and sections; several transactions in one second, long pauses, starts that are missing or late."""
    clock, facts = DAY, []
    for number in range(draw(st.integers(0, 25))):
        clock += timedelta(milliseconds=draw(st.sampled_from([0, 0, 1, 700, 30_000, 599_999, 600_000, 600_001, 2_000_000])))
        student = draw(st.sampled_from(["ann", "bob"]))
        one = fact(
            number, student, f"{student}{draw(st.integers(1, 2))}", "0:0:0", draw(st.sampled_from("AB")), draw(st.integers(1, 2)), "0:0:0",
            draw(st.sampled_from([None, "s1", "s2"])), section=draw(st.sampled_from([3021, 3021, 3022])),
            outcome=draw(st.sampled_from(["CORRECT", "INCORRECT", "HINT", None])), skills=draw(st.lists(st.sampled_from(["é", "a", "Z~", "𝛥"]), max_size=3)),
        )  # fmt: skip
        opened = draw(st.sampled_from([None, 0, 5, 90, 700, -20]))
        facts.append(one | {"time": clock, "problem_start": None if opened is None else clock - timedelta(seconds=opened)})
    return facts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data_sets(), st.randoms(use_true_random=False))
def test_the_tables_are_what_a_plain_reading_of_the_rules_gives(engine, tmp_path, facts, random):
    steps, curve = expected(facts)
    shuffled = random.sample(facts, len(facts))
    half = len(facts) // 2
    files = [parquet(tmp_path / "one.parquet", shuffled[:half]), parquet(tmp_path / "two.parquet", shuffled[half:])]
    rollup(engine, files, tmp_path, "parquet")
    assert [list(row.values()) for row in pq.read_table(tmp_path / "student_step.parquet").to_pylist()] == steps
    found = [list(row.values()) for row in pq.read_table(tmp_path / "learning_curve.parquet").to_pylist()]
    assert [row[:4] for row in found] == [row[:4] for row in curve]
    for ours, theirs in zip(found, curve, strict=True):
        assert ours[4:] == [None if value is None else pytest.approx(value, abs=1e-6) for value in theirs[4:]]


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200,000 transactions: 400 students, 10 sessions of 50 transactions each."""
    n = 200_000
    path = tmp_path_factory.mktemp("many") / "facts.parquet"
    with duckdb.connect() as engine:
        made = engine.sql(
            """
            SELECT i AS number, 't' || i AS transaction_id, 3000 + student % 3 AS section_id, printf('s%032d', student) AS student,
                printf('%032d', session) AS session, $day + to_milliseconds(session % 10 * 90_000_000 + i % 50 * 7_919 + hash(i) % 7_000) AS time,
                printf('Unit of number %d, Page of the number %d', session % 10, i % 7) AS problem_hierarchy, 'Activity ' || (i // 4) % 90 AS problem,
                session % 10 + 1 AS view, $day + to_milliseconds(session % 10 * 90_000_000 + i // 4 % 12 * 31_676) AS problem_start,
                CASE WHEN hash(i) % 10 > 0 THEN 'input UpdateRadio' END AS step, 'ATTEMPT' AS student_type,
                CASE WHEN hash(i) % 10 > 0 THEN ['CORRECT', 'INCORRECT', 'HINT'][1 + (hash(i, 1) % 3)::INTEGER] END AS outcome,
                ['Skill ' || hash(i // 4) % 30, 'Skill ' || hash(i // 4, 1) % 30] AS skills, hash(i) % 3 / 2 AS score, 1.0 AS out_of
            FROM (SELECT i, i // 50 AS session, i // 500 AS student FROM range($n) numbers(i))
            """,
            params={"day": DAY, "n": n},
        ).to_arrow_table()
    columns = [made[field.name].cast(field.type, safe=False) for field in FACTS]
    pq.write_table(pa.table(columns, schema=FACTS), path, row_group_size=20_000)
    return path


def test_the_bytes_do_not_depend_on_threads_or_on_files(many, tmp_path):
    table = pq.read_table(many)
    split = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    pq.write_table(table.slice(0, 77_777), split[0])
    pq.write_table(table.slice(77_777), split[1])
    found = set()
    for run, (threads, files) in enumerate([(1, [many]), (4, split)]):
        folder = tmp_path / str(run)
        folder.mkdir()
        with duckdb.connect(config={"threads": threads, "memory_limit": "1GB", "temp_directory": str(folder / "spill")}) as engine:
            written = [path for form in ("csv", "parquet") for path, _ in rollup(engine, files, folder, form)]
        found.add(tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in written))
    assert len(found) == 1


def test_two_hundred_thousand_transactions_take_seconds_in_256_mb(engine, many, tmp_path):
    started = time.perf_counter()
    [(_, steps), (_, points)] = rollup(engine, [many], tmp_path, "csv")
    assert time.perf_counter() - started < 15  # 1 s alone on two cores
    assert steps > 50_000
    assert points > 1_000
