"""What would be done, said before it is done: `torus ingest --dry-run` and `torus backfill`. Every call is a process."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import MAIN, PROJECT, Torus, clean_environment
from tests.factories import DAY, Place, bundle_key, numbered
from torus_assets.preview import DAYS_PER_RUN, runs_of, totals

NEXT = DAY + timedelta(days=1)
DAYS = ("--from", DAY.isoformat(), "--to", NEXT.isoformat())
LINES = {DAY: 30, NEXT: 20}


def tree(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture
def place(tmp_path) -> Place:
    """Two days of bundles, and nothing read of them yet."""
    made = Place(tmp_path)
    for day, lines in LINES.items():
        for n in range(2):
            half = range(n * lines // 2, (n + 1) * lines // 2)
            made.put(bundle_key(f"{n:032x}", day=day, second=n), [numbered(line + day.toordinal() * 100) for line in half])
    return made


@pytest.fixture
def torus(place) -> Torus:
    return Torus(place.root)


def bytes_of(place: Place, day: date) -> int:
    return sum(bundle.bytes for bundle in place.index(day))


# The arithmetic


@given(st.dates(date(2023, 1, 1), date(2030, 1, 1)), st.integers(0, 800), st.integers(1, 100))
def test_runs_cover_each_day_of_the_range_once_and_none_is_too_long(first, more, most):
    last = first + timedelta(days=more)
    covered = [start + timedelta(days=n) for start, end in runs_of(first, last, most) for n in range((end - start).days + 1)]
    assert covered == [first + timedelta(days=n) for n in range(more + 1)]
    assert all((end - start).days < most for start, end in runs_of(first, last, most))


def test_a_range_is_not_cut_without_need_and_never_into_nothing():
    assert runs_of(DAY, DAY + timedelta(days=DAYS_PER_RUN - 1)) == [(DAY, DAY + timedelta(days=DAYS_PER_RUN - 1))]
    assert len(runs_of(DAY, DAY + timedelta(days=DAYS_PER_RUN))) == 2
    with pytest.raises(ValueError, match="at least one day"):
        runs_of(DAY, DAY, 0)


def test_totals_of_no_day_are_zero():
    assert totals([]) == {"days": 0, "days_to_read": 0, "bundles": 0, "bytes": 0, "rebuilt": {}, "refused": {}, "held": []}


# The commands


def test_a_dry_run_of_an_ingest_says_bytes_and_reasons_and_the_ingest_reads_just_that(torus, place):
    place.ingest([bundle for bundle in place.index() if bundle.key.endswith(f"{0:032x}.jsonl")])
    before = tree(place.root)
    said = torus("ingest", *DAYS, "--dry-run", "--json").expect(0).document
    assert tree(place.root) == before
    assert [(day["mode"], day["this_run"]["bundles"], day["reason"]) for day in said["days"]] == [
        ("increment", 1, "1 new of 2"),
        ("increment", 2, "2 new of 2"),
    ]
    assert said["days"][1]["bytes"] == bytes_of(place, NEXT)
    assert 0 < said["days"][0]["bytes"] < bytes_of(place, DAY)
    done = torus("ingest", *DAYS, "--json").expect(0).document
    assert [day["this_run"]["bundles"] for day in done["days"]] == [day["this_run"]["bundles"] for day in said["days"]]


def test_a_rebuild_that_would_drop_rows_is_told_beforehand_with_the_other_days_beside_it(torus, place):
    for day in LINES:
        place.ingest(day=day)
    place.remove(place.index()[0].key)
    before = tree(place.root)
    for command in ("ingest", "backfill"):
        said = torus(command, *DAYS, "--rebuild", "--dry-run", "--json").expect(1)
        assert [day["mode"] for day in said.document["days"]] == ["refused", "rebuild"]
        assert said.document["ok"] is False
        assert "--drop-vanished" in said.err
    shown = torus("backfill", *DAYS, "--rebuild", "--drop-vanished", "--dry-run").expect(0)
    assert "2 days are rebuilt" in shown.err
    assert tree(place.root) == before


def test_where_nobody_can_be_asked_a_backfill_is_wrong_usage(torus, place):
    before = tree(place.root)
    said = torus("backfill", *DAYS).expect(2)
    assert "--yes" in said.err
    assert tree(place.root) == before


def answered(place: Place, answer: str, *words: str) -> tuple[int, str]:
    """A backfill on a terminal where somebody types an answer: exit code, and what was said."""
    ours, theirs = pty.openpty()
    env = clean_environment(TORUS_HOME=str(place.root), TORUS_WORKERS="1", COLUMNS="200")
    words = ("backfill", *DAYS, *words)
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, *words], env=env, cwd=PROJECT, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    os.close(theirs)
    os.write(ours, answer.encode())
    said = process.communicate(timeout=120)[0].decode()
    os.close(ours)
    return process.returncode, said


def test_on_a_terminal_it_shows_what_it_would_do_and_asks(place):
    before = tree(place.root)
    code, said = answered(place, "\n")
    assert code == 0
    assert "2 days in 1 run; 2 days have something to read: 4 bundles" in said
    assert said.rstrip().endswith("nothing was done")
    assert tree(place.root) == before
    code, said = answered(place, "y\n", "--no-load")
    assert code == 0, said
    assert len(place.contents(NEXT)["bundles"]) == 2


def test_a_range_is_one_run_that_ends_in_clickhouse_and_again_is_safe(torus):
    first = torus("backfill", *DAYS, "--yes", "--json").expect(0).document
    assert [(run["from"], run["to"]) for run in first["runs"]] == [(DAY.isoformat(), NEXT.isoformat())]
    assert first["preview"]["bundles"] == sum(day["this_run"]["bundles"] for day in first["days"]) == 4
    assert sum(day["day_total"]["lines"] for day in first["days"]) == sum(LINES.values())
    assert torus("reconcile", *DAYS).expect(0).out.rstrip().endswith("everything adds up")
    again = torus("backfill", *DAYS, "--yes", "--days-per-run", "1", "--json").expect(0).document
    assert again["preview"]["bundles"] == 0
    assert [(run["from"], run["to"]) for run in again["runs"]] == [(DAY.isoformat(),) * 2, (NEXT.isoformat(),) * 2]
    assert [day["day_total"] for day in again["days"]] == [day["day_total"] for day in first["days"]]


def test_a_day_that_is_held_does_not_keep_the_runs_after_it_from_their_days(torus, place):
    place.put(bundle_key("f" * 32, second=9), [b"no json %d" % n for n in range(30)])
    said = torus("backfill", *DAYS, "--yes", "--days-per-run", "1", "--json")
    assert said.code in {1, 3}
    assert said.document["left"] == []
    assert [day["held"] for day in said.document["days"]] == [True, False]
    torus("reconcile", "--from", NEXT.isoformat(), "--to", NEXT.isoformat()).expect(0)
