"""What lake, arrivals and spool say of a day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.factories import DAY, Place, bundle_key, numbered
from tests.health.ledgers import READ, bundle, ledger_row, put_ledger
from torus_assets.arrivals import table
from torus_assets.clients.object_store import open_store
from torus_assets.health.lake_days import lake_days, spool_days, waiting_days
from torus_assets.xapi.day_content import NOTHING, day_content, day_contents, renamed
from torus_assets.xapi.ingest import compact_day, scratch_folder
from torus_assets.xapi.lake import Lake

NEXT = DAY + timedelta(days=1)


def test_the_content_of_a_day_has_another_name_once_its_events_changed_and_only_then(tmp_path):
    place = Place(tmp_path)
    place.put(bundle_key("a"), [numbered(1)])
    place.put(bundle_key("x", day=NEXT), [b"no json"])
    place.ingest()
    place.ingest(day=NEXT)
    first = place.lake.snapshot()
    assert day_content(first, NEXT) == NOTHING  # refusals alone: nothing to load
    place.put(bundle_key("b"), [numbered(1), b"no json"])  # a duplicate and a refusal: other commits, the same events
    place.ingest()
    assert day_contents(place.lake.snapshot()) == day_contents(first)
    place.put(bundle_key("c"), [numbered(2)])
    place.ingest()
    changed = place.lake.snapshot()
    assert day_content(changed, DAY) != day_content(first, DAY)
    assert compact_day(place.lake, DAY, place.spool)
    assert day_content(place.lake.snapshot(), DAY) != day_content(changed, DAY)


def test_a_compacted_day_is_only_renamed_and_a_day_that_got_events_is_not(tmp_path):
    place = Place(tmp_path)
    place.put(bundle_key("a"), [numbered(1)])
    place.put(bundle_key("x", day=NEXT), [numbered(2)])
    place.ingest()
    place.ingest(day=NEXT)
    before = place.lake.snapshot()
    compact_day(place.lake, DAY, place.spool)
    compact_day(place.lake, NEXT, place.spool)
    place.put(bundle_key("y", day=NEXT), [numbered(3)])
    place.ingest(day=NEXT)
    after = place.lake.snapshot()
    assert renamed(before, after, {}) == {DAY: (day_content(before, DAY), day_content(after, DAY))}
    assert renamed(before, after, {DAY: 1}) == {}  # an event should have gone, and has not


def test_each_day_of_the_lake_says_since_when_it_is_so_and_by_which_parser(tmp_path):
    assert lake_days(None) == {}
    lake = Lake(f"file://{tmp_path / 'lake'}")
    before = datetime.now(UTC) - timedelta(seconds=1)
    put_ledger(lake, DAY, [ledger_row(bundle("a").key, parser_version=1), ledger_row(bundle("b").key, parser_version=2)], tmp_path)
    snapshot = put_ledger(lake, NEXT, [ledger_row(bundle("c", day=NEXT).key, held=True, parser_version=2)], tmp_path)
    found = lake_days(snapshot)
    assert {day: (one.held, one.parser_version, one.content) for day, one in found.items()} == {
        DAY: (False, 1, NOTHING),
        NEXT: (True, 2, NOTHING),
    }
    assert all(before <= one.committed <= datetime.now(UTC) + timedelta(seconds=1) for one in found.values())
    assert set(lake_days(snapshot, NEXT, NEXT)) == {NEXT}


def test_arrivals_that_the_ledger_lacks_wait_from_when_the_oldest_was_written(tmp_path):
    lake, store = Lake(f"file://{tmp_path / 'lake'}"), open_store(str(tmp_path / "lake"))
    assert waiting_days(store, None) == {}
    old, new = bundle("old", at=READ - timedelta(hours=1)), bundle("new")
    table.add(store, [old, new, bundle("known"), bundle("next", day=NEXT)], READ)
    snapshot = put_ledger(lake, DAY, [ledger_row(bundle("known").key)], tmp_path)
    found = waiting_days(store, snapshot)
    assert {day: (one.bundles, one.since) for day, one in found.items()} == {DAY: (2, READ - timedelta(hours=1)), NEXT: (1, READ)}


def test_folders_of_ingests_at_work_and_of_killed_ones_are_told_apart(tmp_path):
    assert spool_days(tmp_path / "none") == (frozenset(), frozenset())
    left = tmp_path / f"{NEXT}-killed"
    left.mkdir()
    (left / ".lock").touch()
    (tmp_path / "reconcile-1").mkdir()
    (tmp_path / "load-2").mkdir()
    (tmp_path / "load-2" / ".lock").touch()
    with scratch_folder(tmp_path, DAY):
        assert spool_days(tmp_path) == ({DAY}, {NEXT})
    assert spool_days(tmp_path) == (frozenset(), {NEXT})


@pytest.mark.parametrize("days", [0, 3])
def test_a_lake_of_nothing_but_empty_days_is_read(tmp_path, days):
    lake = Lake(f"file://{tmp_path / 'lake'}")
    lake.ensure()
    for number in range(days):
        day = date(2026, 1, 1) + timedelta(days=number)
        put_ledger(lake, day, [ledger_row(bundle("a", day=day).key)], tmp_path)
    assert len(lake_days(lake.snapshot())) == days
