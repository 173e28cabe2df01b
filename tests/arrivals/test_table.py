"""The arrivals table: durable, written once, pending until the ledger has it, gone when nothing is pending."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.factories import DAY, Place, bundle_key, numbered
from torus_assets.arrivals import table
from torus_assets.arrivals.index import with_arrivals
from torus_assets.arrivals.known import Known
from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.payloads import Named
from torus_assets.clients.object_store import ObjectInfo, ObjectStore, open_store
from torus_assets.xapi import bundle_index, day
from torus_assets.xapi.bundle_index import Bundle, bundle_of

NOW = datetime(2026, 2, 3, 16, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path) -> ObjectStore:
    return open_store(str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue("s3") + "/lake")


def told(key: str, etag: str = "e1", seconds: int = 0, told_by: str = "listing") -> Bundle:
    bundle = bundle_of(ObjectInfo(key, 10, etag, NOW + timedelta(seconds=seconds)), told_by)
    assert bundle
    return bundle


def listed(place: Place, *keys: str) -> list[Bundle]:
    """Bundles as the store has them."""
    infos = (open_store(place.url).head(key) for key in keys)
    return [bundle for info in infos if info and (bundle := bundle_of(info, "listing"))]


def files(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list(table.PREFIX)]


def pending_keys(store: ObjectStore, place: Place | None = None) -> dict[date, list[str]]:
    found = table.pending(store, place.lake.snapshot() if place else None)
    return {day: rows["key"].to_list() for day, rows in found.items()}


def test_what_is_added_is_pending_by_upload_day(store):
    keys = [bundle_key("b"), bundle_key("a"), bundle_key("c", day=NEXT)]
    assert table.add(store, [told(key) for key in keys], NOW) == 2
    assert pending_keys(store) == {DAY: sorted(keys[:2]), NEXT: [keys[2]]}
    [row] = table.pending(store, None)[NEXT].to_dicts()
    assert row == {**told(keys[2])._asdict(), "seen_at": NOW}


def test_writing_the_same_rows_again_changes_nothing_and_the_first_time_stays(store):
    rows = [told(bundle_key("a")), told(bundle_key("b"))]
    table.add(store, rows, NOW)
    before = list(store.list(table.PREFIX))
    assert table.add(store, rows[::-1], NOW + timedelta(hours=1)) == 0
    assert list(store.list(table.PREFIX)) == before
    assert set(table.pending(store, None)[DAY]["seen_at"]) == {NOW}


def test_of_one_key_told_of_several_times_the_newest_object_is_pending_once(store):
    key = bundle_key("a")
    for etag, seconds in (("e2", 2), ("e1", 0), ("e3", 1)):
        table.add(store, [told(key, etag, seconds)], NOW)
    assert table.pending(store, None)[DAY].select("key", "etag").rows() == [(key, "e2")]


def test_an_empty_table_costs_one_listing_and_reads_no_ledger(tmp_path):
    class Unread:
        def of(self, snapshot, days):
            assert list(days) == []
            return Ledgers().of(None, [])

    assert table.pending(open_store(str(tmp_path)), None, Unread()) == {}  # pyright: ignore[reportArgumentType]
    assert table.add(open_store(str(tmp_path)), [], NOW) == 0


def test_an_arrival_is_pending_until_the_ledger_has_it(place):
    store = open_store(place.lake.root)
    first, second = (place.put(bundle_key(name), [numbered(n)]) for n, name in enumerate("ab"))
    table.add(store, listed(place, first, second), NOW)
    place.ingest([wanted for wanted in place.index() if wanted.key == first])
    assert pending_keys(store, place) == {DAY: [second]}
    place.ingest()
    assert pending_keys(store, place) == {}


def test_an_overwritten_object_is_pending_again_and_an_older_report_of_it_is_not(place):
    store = open_store(place.lake.root)
    key = place.put(bundle_key("a"), [numbered(1)])
    older = listed(place, key)
    table.add(store, older, NOW)
    place.put(key, [numbered(2)])
    table.add(store, listed(place, key), NOW)
    assert table.pending(store, None)[DAY]["etag"].to_list() == [listed(place, key)[0].etag]
    place.ingest()
    assert pending_keys(store, place) == {}  # neither the new one nor the older one
    place.put(key, [numbered(3)])
    table.add(store, listed(place, key), NOW)
    assert pending_keys(store, place) == {DAY: [key]}


def settled(store: ObjectStore, place: Place, gone: tuple[str, ...] = ()) -> int:
    rows = table.read(store)
    return table.settle(store, rows, table.waiting(rows, Ledgers().of(place.lake.snapshot(), table.days_of(rows))), gone)


def test_only_files_without_a_pending_row_are_removed(place):
    store = open_store(place.lake.root)
    first, second = (place.put(bundle_key(name), [numbered(n)]) for n, name in enumerate("ab"))
    table.add(store, listed(place, first), NOW)
    table.add(store, listed(place, first, second), NOW)
    place.ingest([wanted for wanted in place.index() if wanted.key == first])
    assert settled(store, place) == 1
    assert pending_keys(store, place) == {DAY: [second]}
    place.ingest()
    assert settled(store, place) == 1
    assert files(store) == []


def test_a_day_of_many_files_becomes_one_and_keeps_what_is_pending_and_when_it_was_seen(place):
    store = open_store(place.lake.root)
    place.lake.ensure()
    keys = [bundle_key(f"{n:03}") for n in range(table.FILES_PER_DAY + 1)]
    for n, key in enumerate(keys):
        table.add(store, [told(key)], NOW + timedelta(seconds=n))
    before = table.pending(store, None)[DAY]
    assert settled(store, place) == len(keys)
    assert len(files(store)) == 1
    assert table.pending(store, None)[DAY].equals(before)
    assert settled(store, place) == 0


def test_rows_of_gone_objects_go_and_the_others_of_their_file_stay(place):
    store = open_store(place.lake.root)
    place.lake.ensure()
    keys = [bundle_key(name) for name in "abc"]
    table.add(store, [told(key) for key in keys[:2]], NOW)
    table.add(store, [told(keys[2])], NOW)
    settled(store, place, (keys[0], keys[2]))
    assert pending_keys(store) == {DAY: [keys[1]]}
    settled(store, place, (keys[1],))
    assert files(store) == []


def test_a_file_that_is_settled_while_the_table_is_read_is_no_error(tmp_path):
    store = open_store(str(tmp_path))
    table.add(store, [told(bundle_key("a"))], NOW)
    table.add(store, [told(bundle_key("b"))], NOW)
    taken_away = files(store)[0]
    original = store.get

    def get(key: str):
        if key == taken_away:
            store.delete([key])
        return original(key)

    store.get = get
    assert table.read(store).height == 1


def test_the_day_of_a_range_is_read_alone(store):
    days = [DAY + timedelta(days=n) for n in range(4)]
    for one in days:
        table.add(store, [told(bundle_key("a", day=one))], NOW)
    assert table.days_of(table.read(store, days[1], days[2])) == days[1:3]


def test_a_ledger_is_read_again_only_after_a_commit_to_its_day(place, monkeypatch):
    place.put(bundle_key("a"), [numbered(1)])
    place.put(bundle_key("a", day=NEXT), [numbered(2)])
    place.ingest()
    place.ingest(day=NEXT)
    reads: list[date] = []
    from torus_assets.xapi.lake import Snapshot

    scan = Snapshot.scan
    monkeypatch.setattr(Snapshot, "scan", lambda self, name, first, last: reads.append(first) or scan(self, name, first, last))
    ledgers = Ledgers()
    for _ in range(2):
        assert ledgers.of(place.lake.snapshot(), [DAY, NEXT]).height == 2
    assert reads == [DAY, NEXT]
    place.put(bundle_key("b"), [numbered(3)])
    place.ingest()
    reads.clear()
    assert ledgers.of(place.lake.snapshot(), [DAY, NEXT]).height == 3
    assert reads == [DAY]


def test_ledgers_keep_no_more_rows_than_they_may(place):
    for n in range(3):
        place.put(bundle_key("a", day=DAY + timedelta(days=n)), [numbered(n)])
        place.ingest(day=DAY + timedelta(days=n))
    ledgers = Ledgers(rows=1)
    assert ledgers.of(place.lake.snapshot(), [DAY + timedelta(days=n) for n in range(3)]).height == 3
    assert len(ledgers._days) == 1


def test_a_lake_made_anew_at_the_same_place_is_read_anew(place):
    import shutil

    ledgers = Ledgers()
    place.put(bundle_key("a"), [numbered(1)])
    place.ingest()
    assert ledgers.of(place.lake.snapshot(), [DAY]).height == 1
    shutil.rmtree(place.root / "lake")
    place.put(bundle_key("b"), [numbered(2)])
    place.ingest()
    assert ledgers.of(place.lake.snapshot(), [DAY]).height == 2


def test_news_is_what_neither_ledger_nor_table_has(place):
    store = open_store(place.lake.root)
    keys = [place.put(bundle_key(name), [numbered(n)]) for n, name in enumerate("abc")]
    place.ingest([wanted for wanted in place.index() if wanted.key == keys[0]])
    table.add(store, listed(place, keys[1]), NOW)
    known = Known(store, place.lake.snapshot(), Ledgers())
    assert [bundle.key for bundle in known.news(listed(place, *keys))] == [keys[2]]
    etags = {bundle.key: bundle.etag for bundle in listed(place, *keys)}
    assert known.unseen([Named(key, etags[key]) for key in keys] + [Named(keys[0], None), Named(keys[1], "other")]) == [keys[2], *keys[:2]]
    known.add(known.news(listed(place, *keys)), NOW)
    assert known.news(listed(place, *keys)) == []
    assert known.pending()[DAY]["key"].to_list() == sorted(keys[1:])


def index(place: Place, first: date = DAY, last: date = DAY, *, listed: bool = False) -> dict[str, str]:
    places = open_store(place.url), open_store(str(place.root / "none")), place.lake, first, last
    found = day.find_bundles(*places, listing="auto") if listed else with_arrivals(*places)
    return {bundle.key: bundle.told_by for bundles in found.days.values() for bundle in bundles}


def test_the_index_grows_by_arrivals_without_listing(place):
    store = open_store(place.lake.root)
    known, arrived, untold = (place.put(bundle_key(name), [numbered(n)]) for n, name in enumerate("abc"))
    place.remove(untold)
    assert set(index(place)) == {known, arrived}  # no index yet: as auto
    place.put(untold, [numbered(9)])
    later = place.put(bundle_key("d"), [numbered(4)])
    table.add(store, [bundle._replace(told_by="notification") for bundle in listed(place, later)], NOW)
    assert index(place) == {known: "listing", arrived: "listing", later: "notification"}
    assert set(index(place, listed=True)) == {known, arrived, untold, later}


def test_of_index_and_arrivals_the_newer_object_wins(place):
    store = open_store(place.lake.root)
    key = place.put(bundle_key("a"), [numbered(1)])
    older = listed(place, key)
    index(place)
    place.put(key, [numbered(2)])
    table.add(store, listed(place, key) + older, NOW)
    index(place)
    [bundle] = bundle_index.read_index(store, DAY)
    assert bundle.etag == listed(place, key)[0].etag


def test_days_without_an_index_are_found_by_listing_and_the_others_are_not(place):
    first, second = place.put(bundle_key("a"), [numbered(1)]), place.put(bundle_key("a", day=NEXT), [numbered(2)])
    assert index(place) == {first: "listing"}
    untold = place.put(bundle_key("b"), [numbered(3)])
    assert untold not in index(place, DAY, NEXT)
    assert index(place, DAY, NEXT) == {first: "listing", second: "listing"}
