"""A report about the store against the ledger: what differs is named by day and key, what is settled is not looked at twice."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import DAY, Place, bundle_key, numbered
from tests.health.ledgers import READ, bundle, ledger_row, put_ledger
from tests.inventories import row, write
from torus_assets.clients.object_store import open_store
from torus_assets.xapi import inventory_reconcile
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.inventory import UnusableInventory, complete_inventory
from torus_assets.xapi.inventory_reconcile import COLUMNS, Report, StoreCompared, compare, of_inventory, of_listing, settled_until
from torus_assets.xapi.lake import Lake

LATER = READ + timedelta(hours=1)
FIRST, LAST = DAY - timedelta(days=30), DAY + timedelta(days=30)


def report(*objects: Bundle, batches: int = 1) -> Report:
    """Objects as a report gives them, in so many batches."""
    rows = [dict(zip(Bundle._fields, one, strict=True)) for one in objects]

    def read() -> Iterator[pa.RecordBatch]:
        for number in range(batches):
            yield pa.RecordBatch.from_pylist([{name: r[name] for name in COLUMNS.names} for r in rows[number::batches]], schema=COLUMNS)

    return read


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(f"file://{tmp_path / 'lake'}")


def look(seen: Report, snapshot, tmp_path: Path, **options) -> tuple[StoreCompared, list[Bundle]]:
    told: list[Bundle] = []
    found = compare(
        seen,
        snapshot,
        FIRST,
        LAST,
        told_by="a/manifest.json",
        scratch=tmp_path / "scratch",
        found=lambda _, news: told.extend(news),
        **options,
    )
    assert not list((tmp_path / "scratch").glob("*"))
    return found, told


def test_the_same_objects_in_any_order_and_any_batches_are_equal_and_nothing_is_looked_at_twice(lake, tmp_path):
    objects = [bundle(f"b{number}", day=DAY + timedelta(days=number % 3)) for number in range(30)]
    for day in {one.uploaded_at.date() for one in objects}:
        put_ledger(lake, day, [ledger_row(one.key) for one in objects if one.uploaded_at.date() == day], tmp_path)
    reads: list[int] = []
    plain = report(*reversed(objects), batches=7)

    def counted() -> Iterator[pa.RecordBatch]:
        reads.append(1)
        return plain()

    found, told = look(counted, lake.snapshot(), tmp_path)
    assert (found.days, found.objects, found.differences, told) == (3, 30, [], [])
    assert len(reads) == 1


def test_missing_changed_and_vanished_objects_are_each_named(lake, tmp_path):
    snapshot = put_ledger(lake, DAY, [ledger_row(bundle(name).key) for name in ("same", "changed", "older", "vanished")], tmp_path)
    seen = report(
        bundle("same"), bundle("changed", etag="f", at=LATER), bundle("older", etag="f", at=READ - timedelta(hours=1)), bundle("missing")
    )
    found, told = look(seen, snapshot, tmp_path)
    [day] = found.differences
    assert (day.day, day.missing, day.changed, day.vanished, day.waiting) == (DAY, 1, 1, 1, 0)
    assert day.examples == tuple(bundle(name).key for name in ("missing", "changed", "vanished"))
    assert told == [bundle("missing"), bundle("changed", etag="f", at=LATER)]
    assert found.wrong_days == [DAY]


def test_days_that_a_lifecycle_rule_deleted_are_counted_and_no_fault(lake, tmp_path):
    put_ledger(lake, DAY, [ledger_row(bundle("old").key)], tmp_path)
    snapshot = put_ledger(lake, DAY + timedelta(days=1), [ledger_row(bundle("new", day=DAY + timedelta(days=1)).key)], tmp_path)
    found, told = look(report(bundle("new", day=DAY + timedelta(days=1))), snapshot, tmp_path)
    assert (found.days, found.days_gone, found.differences, told) == (2, [DAY], [], [])


def test_a_report_about_sections_alone_says_nothing_about_projects(lake, tmp_path):
    snapshot = put_ledger(lake, DAY, [ledger_row(bundle("a").key), ledger_row(bundle("p", section="x-1").key)], tmp_path)
    found, _ = look(report(bundle("a")), snapshot, tmp_path)
    assert found.differences == []


def test_without_a_lake_everything_is_missing_and_told_newest_day_first(tmp_path):
    objects = [bundle("a", day=DAY + timedelta(days=number)) for number in range(3)]
    found, told = look(report(*objects), None, tmp_path)
    assert found.total("missing") == 3
    assert told == objects[::-1]
    assert [one.day for one in found.differences] == [one.uploaded_at.date() for one in objects]


def test_what_was_written_a_moment_ago_waits_for_its_turn_and_is_told_all_the_same(tmp_path):
    found, told = look(report(bundle("old"), bundle("young", at=LATER)), None, tmp_path, due=READ + timedelta(minutes=1))
    [day] = found.differences
    assert (day.missing, day.waiting, day.examples) == (1, 1, (bundle("old").key,))
    assert len(told) == 2


def test_portions_of_a_second_look_give_what_one_gives(tmp_path, monkeypatch):
    objects = [bundle(f"b{number}", day=DAY + timedelta(days=number % 5)) for number in range(20)]
    whole, _ = look(report(*objects, batches=3), None, tmp_path)
    monkeypatch.setattr(inventory_reconcile, "ROWS_AT_ONCE", 6)
    portions, told = look(report(*objects, batches=3), None, tmp_path)
    assert portions == whole
    assert len(told) == 20


SIDE = st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 5)), st.tuples(st.sampled_from("ef"), st.integers(0, 2)), max_size=12)


@settings(max_examples=30)
@given(store=SIDE, ledger=SIDE)
def test_it_finds_what_comparing_key_by_key_finds(tmp_path_factory, store, ledger):
    tmp_path = tmp_path_factory.mktemp("pair")
    lake, snapshot = Lake(f"file://{tmp_path / 'lake'}"), None

    def key(place: tuple[int, int]) -> str:
        return bundle_key(f"n{place[1]}", day=DAY + timedelta(days=place[0]), section=7)

    for number in {place[0] for place in ledger}:
        rows = [ledger_row(key(p), e, READ + timedelta(seconds=at)) for p, (e, at) in ledger.items() if p[0] == number]
        snapshot = put_ledger(lake, DAY + timedelta(days=number), rows, tmp_path)
    objects = [bundle(f"n{p[1]}", day=DAY + timedelta(days=p[0]), etag=e, at=READ + timedelta(seconds=at)) for p, (e, at) in store.items()]
    found, told = look(report(*objects, batches=2), snapshot, tmp_path)
    missing = {key(p) for p in store.keys() - ledger.keys()}
    changed = {key(p) for p in store.keys() & ledger.keys() if store[p][0] != ledger[p][0] and store[p][1] > ledger[p][1]}
    assert {one.key for one in told} == missing | changed
    assert (found.total("missing"), found.total("changed")) == (len(missing), len(changed))
    days_of_report = {p[0] for p in store}
    assert found.total("vanished") == len([p for p in ledger.keys() - store.keys() if p[0] in days_of_report])


def test_an_inventory_is_asked_about_its_settled_days_only(tmp_path):
    inventory_store = open_store(str(tmp_path / "inventory"))
    young = bundle_key("young", day=date(2026, 2, 4))
    manifest = write(inventory_store, "2026-02-05T01-00Z", [[row(bundle_key("old")), row(young)]])
    inventory = complete_inventory(inventory_store, manifest)
    assert settled_until(inventory) == date(2026, 2, 3)
    seen = of_inventory(inventory_store, inventory, date(2023, 1, 1), settled_until(inventory), prefix="")
    found, told = look(seen, None, tmp_path)
    assert [one.key for one in told] == [bundle_key("old")]
    assert found.objects == 1


def test_a_report_with_a_damaged_file_says_so_and_tells_of_nothing(tmp_path):
    inventory_store = open_store(str(tmp_path / "inventory"))
    manifest = write(inventory_store, "2026-02-05T01-00Z", [[row(bundle_key("a"))], [row(bundle_key("b"))]])
    damaged = tmp_path / "inventory" / "events/daily/data/2026-02-05T01-00Z-1.parquet"
    body = bytearray(damaged.read_bytes())
    body[len(body) // 2] ^= 255
    damaged.write_bytes(body)
    told: list[Bundle] = []
    with pytest.raises(UnusableInventory, match="MD5"):
        compare(
            of_inventory(inventory_store, complete_inventory(inventory_store, manifest), FIRST, LAST, prefix=""),
            None, FIRST, LAST, told_by=manifest, scratch=tmp_path, found=lambda _, news: told.extend(news),
        )  # fmt: skip
    assert told == []


def test_a_listing_agrees_with_the_ledger_that_an_ingest_wrote(tmp_path):
    place = Place(tmp_path)
    place.put(bundle_key("a"), [numbered(1)])
    place.ingest()
    late = place.put(bundle_key("b"), [numbered(2)])
    seen = of_listing(open_store(place.url), DAY, DAY)
    found = compare(seen, place.lake.snapshot(), DAY, DAY, told_by="listing", scratch=place.spool)
    assert (found.objects, found.total("missing"), found.examples) == (2, 1, [late])
    place.ingest()
    assert compare(seen, place.lake.snapshot(), DAY, DAY, told_by="listing", scratch=place.spool, due=datetime.now(UTC)).differences == []
