"""`torus quarantine replay` as it is used: every call is a process, and the limit of a line's length is the rule that was fixed."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from tests.command import Torus
from tests.factories import Place, bundle_key, line, numbered, statement
from torus_assets.xapi.tables import REASONS

DAYS = [date(2026, 2, n) for n in (2, 3, 5, 6)]  # two stretches; of the last day only a prefix was kept
RANGE = ("--from", "2026-02-02", "--to", "2026-02-07")
OLD_LIMIT = {"TORUS_MAX_LINE_BYTES": "1200"}
LONG = line(statement("tutor_message", {"result.message": "<message>" + "x" * 6000}))
LINES = [numbered(n) for n in range(33)]
SHORT = min(LINES, key=len)
TOO_LONG = sum(len(one) > 1200 for one in LINES)


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Torus:
    """A home whose days were ingested under the old limit, and nothing of them loaded."""
    torus = Torus(tmp_path_factory.mktemp("home"))
    place = Place(torus.home)
    for day in DAYS[:3]:
        place.put(bundle_key("A", day=day), [*LINES, b"{}"])
    place.put(bundle_key("A", day=DAYS[3]), [SHORT, LONG])
    torus("ingest", *RANGE, "--max-quarantined", "1", "--json", **OLD_LIMIT).expect(0)
    return torus


def by_day(document: dict) -> dict[str, tuple[int, dict[str, int], int]]:
    return {one["day"]: (one["replayed"], one["still_refused"], one["incomplete"]) for one in document["days"]}


WHOLE = {day.isoformat(): (TOO_LONG, {}, 0) for day in DAYS[:3]}
ALL = WHOLE | {DAYS[3].isoformat(): (0, {}, 1)}


def test_a_replay_is_seen_before_and_moves_what_passes_into_the_lake_and_clickhouse(refused):
    assert 0 < TOO_LONG < len(LINES)
    version = Place(refused.home).lake.snapshot().version
    look = refused("quarantine", "replay", *RANGE, "--reason", "too_long", "--dry-run", "--json").expect(0).document
    assert by_day(look) == ALL
    assert (look["replayed"], look["dry_run"], look["ok"]) == (3 * TOO_LONG, True, True)
    assert Place(refused.home).lake.snapshot().version == version

    done = refused("quarantine", "replay", *RANGE, "--reason", "too_long", "--reason", "not_json", "--json").expect(0).document
    assert by_day(done) == ALL
    assert (done["replayed"], done["dry_run"], done["ok"]) == (3 * TOO_LONG, False, True)
    snapshot = Place(refused.home).lake.snapshot()
    assert snapshot.version == version + 3, "one commit a day, and none where only a prefix was kept"
    assert snapshot.held() == []
    reconciled = refused("reconcile", "--from", "2026-02-02", "--to", "2026-02-05", "--json").expect(0).document
    assert reconciled["ok"], "ClickHouse has what passed"

    again = refused("quarantine", "replay", "--from", "2026-02-02", "--to", "2026-02-02", "--json").expect(0).document
    assert by_day(again) == {"2026-02-02": (0, {"missing_field": 1}, 0)}
    assert Place(refused.home).lake.snapshot().version == version + 3


def test_days_without_such_lines_run_nothing(refused):
    said = refused("quarantine", "replay", *RANGE, "--reason", "lone_surrogate").expect(0)
    assert "no line was refused for that" in said.out


def test_an_unknown_reason_is_told_which_there_are(refused):
    said = refused("quarantine", "replay", *RANGE, "--reason", "wrong_typ").expect(2)
    assert all(reason in said.err.replace("\n", " ") for reason in REASONS[:3])


def test_a_lake_that_is_not_there_says_what_to_do(tmp_path: Path):
    said = Torus(tmp_path)("quarantine", "replay", *RANGE)
    assert said.code != 0
    assert "torus ingest" in said.err
    assert "Traceback" not in said.err
