"""Inventories as S3 writes them, and in every state of disrepair."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from tests.inventories import WRITTEN, row, write
from tests.xapi.test_bundles import GOOD, JUNK
from torus_assets.clients.object_store import ObjectInfo, ObjectStore, open_store
from torus_assets.xapi.bundles import parse_key
from torus_assets.xapi.inventory import UnusableInventory, inventory_batches, inventory_objects, newest_inventory

DAY = date(2026, 2, 3)
KEY = "section/7/video/2026-02-03T15-06-44.120773Z_A.jsonl"


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "inventory"))


def objects(store: ObjectStore, **options) -> list[ObjectInfo]:
    inventory, _ = newest_inventory(store)
    assert inventory is not None
    return list(inventory_objects(store, inventory, DAY, DAY, **options))


def test_a_report_reads_as_a_listing(store):
    other_day = KEY.replace("02-03T", "02-04T")
    write(store, "2026-02-05T01-00Z", [[row(KEY, '"quoted"'), row(other_day)], [row(KEY.replace("_A", "_B"))]])
    assert objects(store) == [ObjectInfo(KEY, 10, "quoted", WRITTEN), ObjectInfo(KEY.replace("_A", "_B"), 10, "e", WRITTEN)]


def test_hour_configuration_and_destination_prefix_do_not_matter(store):
    write(store, "2026-02-05T01-00Z", [[row(KEY)]])
    newest = write(store, "2026-02-05T23-47Z", [[row(KEY)]], home="deep/prefix/events/weekly config")
    inventory, skipped = newest_inventory(store)
    assert (inventory.manifest_key, skipped) == (newest, {})
    assert inventory.created_at == datetime(2026, 2, 5, 23, 47, tzinfo=UTC)
    assert len(objects(store)) == 1


def test_no_report_at_all(store):
    store.put("events/daily/hive/dt=2026-02-05-01-00/symlink.txt", b"")
    assert newest_inventory(store) == (None, {})


def no_checksum(store: ObjectStore, manifest: str) -> None:
    store.delete([manifest.replace(".json", ".checksum")])


def no_manifest(store: ObjectStore, manifest: str) -> None:
    store.delete([manifest])


def wrong_checksum(store: ObjectStore, manifest: str) -> None:
    store.put(manifest.replace(".json", ".checksum"), b"0" * 32)


def no_data(store: ObjectStore, manifest: str) -> None:
    store.delete([json.loads(store.get(manifest).body)["files"][1]["key"]])


def cut_data(store: ObjectStore, manifest: str) -> None:
    key = json.loads(store.get(manifest).body)["files"][1]["key"]
    store.put(key, store.get(key).body[:-1])


def rewritten(store: ObjectStore, manifest: str, body: bytes) -> None:
    store.put(manifest, body)
    store.put(manifest.replace(".json", ".checksum"), hashlib.md5(body).hexdigest().encode())


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (no_checksum, "manifest.checksum is missing"),
        (no_manifest, "manifest.json is missing"),
        (wrong_checksum, "manifest.checksum says '0000"),
        (no_data, "-1.parquet is missing"),
        (cut_data, "the manifest says"),
        (lambda store, key: rewritten(store, key, b"{"), "not JSON"),
        (lambda store, key: rewritten(store, key, b"[]"), "no list of files"),
        (lambda store, key: rewritten(store, key, b'{"fileFormat":"Parquet","files":[{"size":1}]}'), "without key and size"),
    ],
)
def test_an_unusable_newest_report_is_passed_over_with_its_reason(store, damage, reason):
    older = write(store, "2026-02-04T01-00Z", [[row(KEY)]])
    newest = write(store, "2026-02-05T01-00Z", [[row(KEY)], [row(KEY)]])
    damage(store, newest)
    inventory, skipped = newest_inventory(store)
    assert inventory is not None
    assert inventory.manifest_key == older
    assert list(skipped) == [newest]
    assert reason in skipped[newest]


@pytest.mark.parametrize("kind", ["CSV", "ORC"])
def test_other_formats_are_passed_over(store, kind):
    key = write(store, "2026-02-05T01-00Z", [[row(KEY)]], kind=kind)
    inventory, skipped = newest_inventory(store)
    assert inventory is None
    assert kind in skipped[key]
    assert "Parquet" in skipped[key]


def test_a_report_of_another_bucket_is_passed_over(store):
    theirs = write(store, "2026-02-06T01-00Z", [[row(KEY)]], home="theirs/daily", source="theirs")
    ours = write(store, "2026-02-05T01-00Z", [[row(KEY)]])
    inventory, skipped = newest_inventory(store, "events")
    assert inventory is not None
    assert inventory.manifest_key == ours
    assert "theirs" in skipped[theirs]


def test_a_data_file_of_the_right_size_and_the_wrong_bytes_is_noticed(store):
    manifest = write(store, "2026-02-05T01-00Z", [[row(KEY)]])
    key = json.loads(store.get(manifest).body)["files"][0]["key"]
    body = bytearray(store.get(key).body)
    body[10] ^= 1
    store.put(key, bytes(body))
    with pytest.raises(UnusableInventory, match="MD5"):
        objects(store)


def test_a_missing_column_is_named(store):
    bare = {name: value for name, value in row(KEY).items() if name not in ("e_tag", "size")}
    write(store, "2026-02-05T01-00Z", [[bare]])
    with pytest.raises(UnusableInventory, match="no column size, e_tag"):
        objects(store)


def test_old_versions_and_delete_markers_are_no_objects(store):
    now, old, gone = (
        {"is_latest": True, "is_delete_marker": False},
        {"is_latest": False, "is_delete_marker": False},
        {"is_latest": True, "is_delete_marker": True},
    )
    deleted = KEY.replace("_A", "_DELETED")
    rows = [row(KEY, "old", **old), row(KEY, "new", **now), row(deleted, "", None, **gone), row(deleted, "was", **old)]
    write(store, "2026-02-05T01-00Z", [rows])
    assert [(info.key, info.etag) for info in objects(store)] == [(KEY, "new")]


def test_junk_is_counted_and_only_anchored_keys_are_bundles(store):
    rows = [row("other/" + KEY), row("video/7/part/1.json"), row(KEY), row(KEY.replace("section/7", "section/slug")), row("manifest.json")]
    write(store, "2026-02-05T01-00Z", [rows])
    junk: list[tuple[str, int]] = []
    assert [info.key for info in objects(store, junk=lambda key, count: junk.append((key, count)))] == [KEY]
    assert sum(count for _, count in junk) == 4


def test_keys_of_a_store_inside_the_bucket_lose_its_prefix(store):
    write(store, "2026-02-05T01-00Z", [[row("pre/fix/" + KEY), row(KEY), row("pre/fixed/" + KEY)]])
    assert [info.key for info in objects(store, prefix="pre/fix")] == [KEY]


@pytest.mark.parametrize("below", ["", "/reports/v1"])
def test_on_s3_data_keys_count_from_the_bucket(s3, below):
    store = open_store(s3 + below)
    write(store, "2026-02-05T04-30Z", [[row(KEY)]], key_prefix=f"{below.strip('/')}/" if below else "")
    assert [info.key for info in objects(store)] == [KEY]


def test_a_copied_report_finds_its_files_beside_the_manifest(store):
    write(store, "2026-02-05T01-00Z", [[row(KEY)]], key_prefix="prefix/left/behind/")
    assert [info.key for info in objects(store)] == [KEY]


def test_an_empty_report_is_a_report(store):
    write(store, "2026-02-05T01-00Z", [])
    assert objects(store) == []


def test_the_columns_way_of_reading_keys_agrees_with_the_grammar(store):
    """Both exist because a million keys are too many for Python objects."""
    odd = [*JUNK, GOOD, GOOD.replace(".120773", ""), GOOD.replace(".120773", ".1"), GOOD.replace("15-06-44", "23-59-61")]
    odd += ["project/slug/authoring/2026-02-28T00-00-00Z_x.jsonl", "section/1/new_kind/2024-02-29T23-59-59.999999Z_a-b_c.jsonl"]
    write(store, "2026-02-05T01-00Z", [[row(key) for key in odd]])
    inventory, _ = newest_inventory(store)
    assert inventory is not None
    junk: list[int] = []
    batches = inventory_batches(store, inventory, date(1, 1, 1), date(9999, 12, 31), junk=lambda _, count: junk.append(count))
    seen = [tuple(found.values())[:5] for batch in batches for found in batch.to_pylist()]
    expected = [key for key in map(parse_key, odd) if key]
    assert seen == [(key.key, key.partition, key.partition_id, key.category, key.uploaded_at) for key in expected]
    years_out_of_range = sum(key.startswith("section/3021/attempt_evaluated/0000") for key in odd)
    assert sum(junk) == len(odd) - len(expected) - years_out_of_range
