"""Comparing lake and ClickHouse: what differs is named, what does not is not."""

from __future__ import annotations

from datetime import date

from tests.warehouse.lakes import digest, every_kind, rows
from torus_assets.clients.clickhouse import connect
from torus_assets.warehouse.load import load_day
from torus_assets.warehouse.reconcile import compare, compare_day

MONDAY, TUESDAY = date(2026, 1, 5), date(2026, 1, 6)


def test_an_empty_warehouse_misses_everything_and_days_and_bundles_are_named(days, embedded, tmp_path):
    days.put(MONDAY, every_kind(range(3), source_file="s3://bundles/a.jsonl"))
    snapshot = days.put(TUESDAY, every_kind(range(2, 4), source_file="s3://bundles/b.jsonl"))
    with connect(embedded) as client:
        seen = compare(client, snapshot, scratch=tmp_path)
    assert (seen.lake_events, seen.warehouse_rows, seen.missing, seen.extra) == (32, 0, 32, 0)
    assert seen.missing_by_day == {MONDAY: 24, TUESDAY: 8}
    assert seen.bundles == ("s3://bundles/a.jsonl", "s3://bundles/b.jsonl")
    assert [d.section_id for d in seen.differences] == [100, 101, 102]


def test_one_missing_one_extra_and_one_doubled_row_are_each_found(days, embedded, tmp_path):
    snapshot = days.put(MONDAY, {"video": rows("video", range(9))})
    with connect(embedded) as client:
        load_day(client, snapshot, MONDAY, scratch=tmp_path)
        assert compare_day(client, snapshot, MONDAY, scratch=tmp_path).reconciles
        lost = {"hash": digest(("video", 0))}
        client.command("ALTER TABLE raw_events DELETE WHERE event_hash = {hash:String}", parameters=lost, settings={"mutations_sync": 2})
        client.command(
            "INSERT INTO raw_events SELECT * FROM raw_events WHERE event_hash = {hash:String}", parameters={"hash": digest(("video", 1))}
        )
        client.command(
            "INSERT INTO raw_events (event_hash, section_id, event_type, timestamp, upload_date, row_digest)"
            " SELECT {hash:String}, 102, 'video', '2026-01-02 00:00:00', {day:Date}, 5",
            parameters={"hash": digest("stranger"), "day": MONDAY},
        )
        seen = compare_day(client, snapshot, MONDAY, scratch=tmp_path)
        found = [(d.section_id, d.missing, d.extra, d.doubled) for d in seen.differences]
        assert found == [(100, 1, 0, 0), (101, 0, 0, 1), (102, 0, 1, 0)]
        assert (seen.missing_by_day, seen.extra_by_day) == ({MONDAY: 1}, {MONDAY: 1})
        repaired = load_day(client, snapshot, MONDAY, scratch=tmp_path)
        assert (repaired.inserted, repaired.replaced, repaired.deleted, repaired.rows_total) == (1, 1, 1, 9)
        assert compare(client, snapshot, scratch=tmp_path).reconciles


def test_an_event_that_stands_under_another_day_is_not_missing(days, embedded, tmp_path):
    days.put(MONDAY, every_kind(range(5)))
    snapshot = days.put(TUESDAY, every_kind(range(3, 6)))
    with connect(embedded) as client:
        for day in (MONDAY, TUESDAY):
            load_day(client, snapshot, day, scratch=tmp_path)
        for day in (MONDAY, TUESDAY):
            assert compare_day(client, snapshot, day, scratch=tmp_path).reconciles


def test_a_held_day_counts_only_once_it_is_loaded(days, embedded, tmp_path):
    days.put(MONDAY, every_kind([1]))
    snapshot = days.put(TUESDAY, every_kind([2]), held=True)
    with connect(embedded) as client:
        load_day(client, snapshot, MONDAY, scratch=tmp_path)
        seen = compare(client, snapshot, scratch=tmp_path)
        assert (seen.reconciles, seen.held, seen.lake_events) == (True, (TUESDAY,), 8)
        load_day(client, snapshot, TUESDAY, scratch=tmp_path, include_held=True)
        seen = compare(client, snapshot, scratch=tmp_path)
        assert (seen.reconciles, seen.held, seen.lake_events) == (True, (), 16)


def test_nothing_is_left_in_the_scratch_folder(days, embedded, tmp_path):
    snapshot = days.put(MONDAY, every_kind([1]))
    scratch = tmp_path / "scratch"
    with connect(embedded) as client:
        load_day(client, snapshot, MONDAY, scratch=scratch)
        compare(client, snapshot, scratch=scratch)
    assert not list(scratch.iterdir())
