"""Which days need attention, and what to run: from plain facts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from torus_assets.health.days import Facts, Failed, attention, counted, in_order
from torus_assets.health.fresh import freshness
from torus_assets.health.lake_days import LakeDay, Waiting

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
DAY = date(2026, 2, 2)
NEXT = DAY + timedelta(days=1)
FINE = LakeDay("c", NOW - timedelta(hours=3), False, 2)


def facts(**more: Any) -> Facts:
    return Facts(now=NOW, parser_version=2, **{"lake": {DAY: FINE}, "loaded": {DAY: "c"}, **more})


def needs(**more: Any) -> list[tuple[str, str, bool]]:
    return [(need.state, need.command, need.urgent) for need in attention(facts(**more))]


RANGE = "--from 2026-02-02 --to 2026-02-02"
ONE = [
    ({}, []),
    ({"loaded": {}}, [("not in ClickHouse", f"torus warehouse load {RANGE}", True)]),
    ({"loaded": {DAY: "b"}}, [("not in ClickHouse", f"torus warehouse load {RANGE}", True)]),
    ({"lake": {DAY: FINE._replace(content="none")}, "loaded": {}}, []),  # a day without events
    ({"lake": {DAY: FINE._replace(held=True)}, "loaded": {}}, [("held", f"torus quarantine list {RANGE}", True)]),
    ({"lake": {DAY: FINE._replace(parser_version=1)}}, [("older parser", f"torus backfill {RANGE} --rebuild", False)]),
    ({"waiting": {DAY: Waiting(3, NOW)}, "loaded": {}}, [("bundles waiting", f"torus backfill {RANGE}", False)]),
    ({"waiting": {DAY: Waiting(3, NOW - timedelta(1))}}, [("bundles waiting", f"torus backfill {RANGE}", True)]),
    ({"writing": {DAY: ("r1",)}, "waiting": {DAY: Waiting(3, NOW)}, "loaded": {}}, [("being written", "", False)]),
    ({"left": {DAY: ("r1",)}}, [("left by a killed run", f"torus backfill {RANGE}", True)]),
    ({"left": {DAY: ()}}, [("left by a killed run", "torus lake maintain", True)]),
    ({"left": {DAY: ()}, "writing": {DAY: ("r2",)}}, [("being written", "", False)]),
    ({"failed": {DAY: (Failed("warehouse/raw_events", "r1"),)}}, [("failed", f"torus warehouse load {RANGE}", True)]),
    (
        {"failed": {DAY: (Failed("xapi/bundles", "r1"), Failed("warehouse/raw_events", "r1"))}},
        [("failed", f"torus backfill {RANGE}", True)],
    ),
]


@pytest.mark.parametrize(("more", "expected"), ONE, ids=range(len(ONE)))
def test_each_need_has_its_command(more, expected):
    assert needs(**more) == expected


def test_what_arrived_may_be_under_way_for_a_while_if_something_takes_it():
    young, old = NOW - timedelta(minutes=59), NOW - timedelta(minutes=61)
    for since, urgent in ((young, False), (old, True)):
        assert needs(waiting={DAY: Waiting(1, since)}, patience=timedelta(minutes=60))[0][2] is urgent
        lake = {DAY: FINE._replace(committed=since)}
        assert needs(lake=lake, loaded={}, patience=timedelta(minutes=60))[0][2] is urgent


def test_neighbouring_days_of_one_need_are_one_line_and_days_in_order_are_none():
    days = [DAY + timedelta(days=n) for n in range(10)]
    gap = days[4]
    known = facts(
        lake=dict.fromkeys(days, FINE), loaded={gap: "c", days[9]: "c"}, waiting={day: Waiting(2, NOW - timedelta(1)) for day in days[5:7]}
    )
    found = attention(known)
    assert [(need.state, need.first, need.last, need.bundles) for need in found] == [
        ("bundles waiting", days[5], days[6], 4),
        ("not in ClickHouse", days[0], days[3], 0),
        ("not in ClickHouse", days[7], days[8], 0),
    ]
    assert found[0].command == "torus backfill --from 2026-02-07 --to 2026-02-08"
    assert in_order(known, found) == 2


def test_runs_of_a_range_are_named_once():
    [need] = attention(facts(failed={day: (Failed("xapi/bundles", "r1"),) for day in (DAY, NEXT)}))
    assert (need.first, need.last, need.runs) == (DAY, NEXT, ("r1",))
    assert need.document()["first"] == "2026-02-02"


def test_failures_of_held_days_and_of_loads_of_nothing_do_not_count():
    ours, load = Failed("xapi/bundles", "r"), Failed("warehouse/raw_events", "r")
    failed = {DAY: (ours, load), NEXT: (ours, load)}
    assert counted(failed, {DAY: FINE._replace(held=True)}) == {NEXT: (ours,)}
    assert counted({NEXT: (load,)}, {}) == {}
    assert counted({DAY: (load,)}, {DAY: FINE}) == {DAY: (load,)}


def test_a_quiet_night_is_fresh_and_what_waits_is_counted_from_its_arrival():
    quiet = freshness(NOW, {}, {DAY: FINE}, {DAY: "c"})
    assert quiet.within(timedelta(0))
    assert (quiet.newest_known, quiet.newest_in_lake, quiet.newest_in_clickhouse) == (DAY, DAY, DAY)
    assert freshness(NOW, {}, {}, {}).within(timedelta(0))

    waits = freshness(NOW, {NEXT: Waiting(5, NOW - timedelta(hours=1))}, {DAY: FINE}, {DAY: "c"})
    assert (waits.newest_known, waits.waiting_bundles, waits.oldest_wait_seconds) == (NEXT, 5, 3600)
    assert waits.within(timedelta(hours=1))
    assert not waits.within(timedelta(minutes=59))


def test_a_day_of_the_lake_that_is_not_loaded_waits_from_its_commit_and_a_held_one_does_not():
    behind = freshness(NOW, {}, {DAY: FINE}, {DAY: "older"})
    assert (behind.not_loaded_days, behind.oldest_wait_seconds) == ((DAY,), 3 * 3600)
    assert freshness(NOW, {}, {DAY: FINE._replace(held=True)}, {}).oldest_wait_seconds == 0


def test_a_clock_that_is_behind_the_store_gives_no_negative_wait():
    assert freshness(NOW, {DAY: Waiting(1, NOW + timedelta(minutes=5))}, {}, {}).oldest_wait_seconds == 0
