"""The index of bundles: inventory and listing together."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from tests.inventories import row, write
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi import bundle_index
from torus_assets.xapi.bundle_index import SCHEMA, index_days, read_index, write_index

FIRST, LAST = date(2026, 2, 1), date(2026, 2, 5)


def key(day: int, bundle: str = "A", section: str = "7", category: str = "video", time: str = "10-00-00.000001") -> str:
    return f"section/{section}/{category}/2026-02-{day:02}T{time}Z_{bundle}.jsonl"


@pytest.fixture(params=["folder", "s3", "s3 with prefix"])
def bundles(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "events"))
    return open_store(request.getfixturevalue("s3") + ("/torus/xapi" if "prefix" in request.param else ""))


@pytest.fixture
def inventory(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "inventory"))


def put(bundles: ObjectStore, *keys: str) -> None:
    for one in keys:
        bundles.put(one, b"{}")


def report(inventory: ObjectStore, bundles: ObjectStore, stamp: str, *keys: str, **more) -> str:
    """An inventory that knows these objects as the store does; those that are not there, as long gone."""
    rows = []
    for one in keys:
        info = bundles.head(one)
        found = (info.etag, info.size, info.last_modified) if info else ("gone", 2, datetime(2026, 2, 1, tzinfo=UTC))
        rows.append(row(f"{bundles.prefix}/{one}".lstrip("/"), *found, **more))
    return write(inventory, stamp, [rows], source=bundles.bucket or "events")


def told(index: bundle_index.BundleIndex) -> dict[str, str]:
    return {bundle.key: bundle.told_by for found in index.days.values() for bundle in found}


def test_settled_days_come_from_the_inventory_and_the_others_from_both(bundles, inventory):
    put(bundles, key(1), key(2, "late"), key(3), key(3, "late"), key(4), key(5))
    used = report(inventory, bundles, "2026-02-04T09-12Z", key(1), key(2), key(3))
    index = index_days(bundles, inventory, FIRST, LAST)
    assert told(index) == {
        key(1): "inventory",
        key(2): "inventory",  # deleted since, but 2 February is settled: nobody looked
        key(3): "inventory",
        key(3, "late"): "listing",
        key(4): "listing",
        key(5): "listing",
    }
    assert (index.inventory_name, index.skipped, index.listed_from) == (used, {}, date(2026, 2, 3))
    assert list(index.days) == [FIRST + timedelta(days=n) for n in range(5)]
    assert index.count == 6


def test_listing_always_never_and_without_an_inventory(bundles, inventory):
    put(bundles, key(1), key(5), key(6))
    report(inventory, bundles, "2026-02-04T01-00Z", key(2))
    listed = {key(1): "listing", key(5): "listing"}
    assert told(index_days(bundles, inventory, FIRST, LAST, listing="always")) == listed
    assert told(index_days(bundles, None, FIRST, LAST)) == listed
    assert told(index_days(bundles, inventory, FIRST, LAST, listing="never")) == {key(2): "inventory"}
    with pytest.raises(FileNotFoundError, match="no usable inventory"):
        index_days(bundles, None, FIRST, LAST, listing="never")


def test_a_bundle_of_the_index_has_all_its_columns(bundles):
    put(bundles, key(1, section="0042"))
    [bundle] = index_days(bundles, None, FIRST, FIRST).days[FIRST]
    info = bundles.head(bundle.key)
    assert (bundle.partition, bundle.section_id, bundle.partition_id, bundle.category) == ("section", "0042", "0042", "video")
    assert bundle.uploaded_at == datetime(2026, 2, 1, 10, 0, 0, 1, tzinfo=UTC)
    assert (bundle.bytes, bundle.etag, bundle.last_modified) == (info.size, info.etag, info.last_modified)


def test_keys_of_the_same_second_are_all_there_in_order(bundles):
    same = [key(1, name, time=time) for time in ("10-00-00", "10-00-00.0", "10-00-00.000001", "23-59-59.999999") for name in ("B", "A")]
    put(bundles, *same, key(2, time="00-00-00"))
    assert [bundle.key for bundle in index_days(bundles, None, FIRST, FIRST).days[FIRST]] == sorted(same)


def test_junk_is_counted_with_examples_and_unknown_categories_are_indexed(bundles):
    junk = [f"section/7/video/2026-02-01T10-00-0{n}Z_no-suffix" for n in range(6)]
    put(bundles, *junk, "section/slug/video/x", "section/7/Strange/x", "video/7/part/1.json", key(1), key(1, category="experiment"))
    put(bundles, "project/slug/authoring/2026-02-01T00-00-00Z_x.jsonl", "section/7/loose.txt")
    index = index_days(bundles, None, FIRST, LAST)
    assert index.count == 3
    assert index.unknown_categories == {"authoring": 1, "experiment": 1}
    assert index.junk_keys == 8
    assert len(index.junk_examples) == 5


def test_of_two_reports_of_one_key_the_later_object_wins(bundles, inventory):
    put(bundles, key(3), key(4))
    rows = [
        row(f"{bundles.prefix}/{key(3)}".lstrip("/"), "older", 1, datetime(2020, 1, 1, tzinfo=UTC)),
        row(f"{bundles.prefix}/{key(4)}".lstrip("/"), "newer", 1, datetime(2100, 1, 1, tzinfo=UTC)),
    ]
    write(inventory, "2026-02-04T01-00Z", [rows], source=bundles.bucket or "events")
    found = {b.key: (b.told_by, b.etag) for day in index_days(bundles, inventory, FIRST, LAST).days.values() for b in day}
    assert found == {key(3): ("listing", bundles.head(key(3)).etag), key(4): ("inventory", "newer")}


def test_an_inventory_damaged_in_its_data_gives_way_to_the_older_one(bundles, inventory):
    put(bundles, key(1))
    older = report(inventory, bundles, "2026-02-04T01-00Z", key(1))
    newer = report(inventory, bundles, "2026-02-05T01-00Z", key(1), key(2))
    inventory.put(
        "events/daily/data/2026-02-05T01-00Z-0.parquet", b"x" * inventory.head("events/daily/data/2026-02-05T01-00Z-0.parquet").size
    )
    index = index_days(bundles, inventory, FIRST, LAST)
    assert index.inventory_name == older
    assert "MD5" in index.skipped[newer]
    assert told(index) == {key(1): "inventory"}


def test_an_index_reads_as_it_was_written_and_a_second_write_replaces_it(bundles, tmp_path):
    lake = open_store(str(tmp_path / "lake"))
    put(bundles, key(1), key(2))
    index = index_days(bundles, None, FIRST, date(2026, 2, 3))
    for _ in range(2):
        assert len(write_index(lake, index)) == 3
        for day, found in index.days.items():
            assert list(read_index(lake, day)) == list(found)
            assert read_index(lake, day).table.schema.equals(SCHEMA)
    assert len(read_index(lake, date(2026, 2, 3))) == 0
    with pytest.raises(FileNotFoundError, match="materialize xapi/bundle_index"):
        read_index(lake, date(2026, 2, 4))


class Endless(ObjectStore):
    """Counts what is asked of it; lists any number of bundles."""

    url, bucket, prefix, is_local = "memory://", None, "", True

    def __init__(self, count: int) -> None:
        self.count, self.asked = count, []

    def folders(self, prefix: str = ""):
        self.asked.append(f"folders {prefix}")
        return {"section": ["1", "2"], "section/1/": ["video", "page_viewed"], "section/2/": ["video"]}.get(prefix, [])

    def list(self, prefix: str = "", after: str | None = None):
        from torus_assets.clients.object_store import ObjectInfo

        self.asked.append(f"list {prefix}")
        at = datetime(2026, 2, 1, tzinfo=UTC)
        for number in range(self.count):
            yield ObjectInfo(f"{prefix}2026-02-0{1 + number * 5 // self.count}T10-00-00Z_{number:032}.jsonl", 2, "e" * 32, at)

    uri = path = get = get_range = stream = head = put = move = delete = None  # type: ignore[assignment]


def test_a_range_of_days_costs_one_listing_per_section_and_category():
    store = Endless(20)
    assert index_days(store, None, FIRST, LAST).count == 60
    assert sorted(store.asked) == [
        "folders project",
        "folders section",
        "folders section/1/",
        "folders section/2/",
        "list section/1/page_viewed/",
        "list section/1/video/",
        "list section/2/video/",
    ]


def test_many_bundles_are_held_compactly():
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    index = index_days(Endless(40_000), None, FIRST, LAST)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert index.count == 120_000
    assert sum(found.table.nbytes for found in index.days.values()) < 250 * index.count
    assert grown < 200 << 20


def test_days_act_as_sequences():
    days = index_days(Endless(20), None, FIRST, LAST).days[FIRST]
    assert len(days) == 12
    assert days[0] == next(iter(days))
    assert days[-1] == list(days)[11]
    assert days[2:4] == list(days)[2:4]
    with pytest.raises(IndexError):
        days[12]


def test_what_a_listing_thread_raises_is_raised(tmp_path):
    class Broken(Endless):
        def list(self, prefix: str = "", after: str | None = None):
            raise PermissionError("list")

    with pytest.raises(PermissionError):
        index_days(Broken(1), None, FIRST, LAST)


def test_wrong_arguments_are_refused(tmp_path):
    store = open_store(str(tmp_path))
    with pytest.raises(ValueError, match="auto, always, never"):
        index_days(store, None, FIRST, LAST, listing="sometimes")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="after the last"):
        index_days(store, None, LAST, FIRST)
    assert index_days(store, None, FIRST, FIRST).days[FIRST].table == pa.table(SCHEMA.empty_table())
