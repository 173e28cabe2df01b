"""Loading days: every event once, whatever the order, repeats, kills and neighbours."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.warehouse import clickhouse_server
from tests.warehouse.lakes import Days, digest, every_kind, row, rows, value
from torus_assets.clients.clickhouse import connect
from torus_assets.settings import ClickHouseSettings
from torus_assets.warehouse import load, schema
from torus_assets.warehouse.load import HeldDay, LoadResult, MissingDay, counts, load_day
from torus_assets.warehouse.reconcile import compare
from torus_assets.warehouse.schema import UnfitTable
from torus_assets.xapi import tables
from torus_assets.xapi.lake import Snapshot

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 1, 5) + timedelta(days=n) for n in range(3))
ORDERS = ((MONDAY, TUESDAY, WEDNESDAY), (WEDNESDAY, TUESDAY, MONDAY), (TUESDAY, WEDNESDAY, MONDAY))
CHILD = """
import sys
from datetime import date
from pathlib import Path
from torus_assets.clients.clickhouse import connect
from torus_assets.settings import ClickHouseSettings
from torus_assets.warehouse.load import load_day
from torus_assets.xapi.lake import Lake
lake, folder, day = sys.argv[1:]
with connect(ClickHouseSettings(folder=Path(folder))) as client:
    print("open", flush=True)
    print(load_day(client, Lake("file://" + lake).snapshot(), date.fromisoformat(day), scratch=Path(folder).parent).inserted)
"""


def loaded(client: Client, snapshot: Snapshot, day: date, days: Days, **options: Any) -> LoadResult:
    result = load_day(client, snapshot, day, scratch=days.root.parent / "scratch", **options)
    assert result.staged == result.inserted + result.present + result.replaced
    return result


def stored(client: Client, columns: str = "event_hash, upload_date, row_digest") -> list[tuple[Any, ...]]:
    return [tuple(r) for r in client.query(f"SELECT {columns} FROM raw_events ORDER BY event_hash, upload_date").result_rows]


def start(days: Days, settings: ClickHouseSettings, day: date) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(days.root), str(settings.folder), day.isoformat()]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_every_column_of_every_kind_arrives(days, embedded):
    snapshot = days.put(MONDAY, every_kind(range(4)))
    with connect(embedded) as client:
        loaded(client, snapshot, MONDAY, days)
        for table in tables.EVENT_TABLES:
            mapped = [c for c in table.columns if c.clickhouse]
            names = schema.listed([*(c.name for c in mapped), "event_type", "kind", "upload_date"])
            there = client.query(
                f"SELECT {names} FROM raw_events WHERE kind = {{kind:String}} ORDER BY timestamp", parameters={"kind": table.kind}
            ).result_rows
            expected = []
            for number in range(4):
                sent = row(table, number)
                cut = sent["timestamp"].replace(microsecond=sent["timestamp"].microsecond // 1000 * 1000, tzinfo=None)
                at = {"timestamp": cut, "uploaded_at": sent["uploaded_at"].replace(tzinfo=None)}
                expected.append((*(at.get(c.name, sent[c.name]) for c in mapped), tables.EVENT_TYPES[table.kind], table.kind, MONDAY))
            assert [tuple(r) for r in there] == expected, table.name
            strangers = set(schema.columns()) - {c.name for c in mapped} - {"event_type", "kind", "upload_date"}
            for name in strangers:
                [(empty,)] = client.query(
                    f"SELECT count() FROM raw_events WHERE kind = {{kind:String}} AND ifNull(toString({name}), '') = ''",
                    parameters={"kind": table.kind},
                ).result_rows
                assert empty == 4, f"{name} of {table.name} is filled with what belongs elsewhere"


def test_every_value_of_the_row_counts_in_its_digest(days, embedded):
    table = tables.BY_KIND["part_attempt"]
    changed = [c for c in table.columns if c.clickhouse and c.name not in {"event_hash", "timestamp"}]
    rewritten = [row(table, n, event_hash=digest(n)) for n in range(len(changed))]
    first = days.put(MONDAY, {"part_attempt": rewritten})
    with connect(embedded) as client:
        loaded(client, first, MONDAY, days)
        for n, column in enumerate(changed):
            rewritten[n] = {**rewritten[n], column.name: None if column.clickhouse.startswith("Nullable") else value(column, 77)}
        second = loaded(client, days.put(MONDAY, {"part_attempt": rewritten}), MONDAY, days)
        assert (second.replaced, second.inserted, second.rows_total) == (len(changed), 0, len(changed))


def test_loading_twice_changes_nothing(days, embedded):
    snapshot = days.put(MONDAY, every_kind(range(30)), files=2)
    with connect(embedded) as client:
        first, before = loaded(client, snapshot, MONDAY, days), stored(client)
        again, after = loaded(client, snapshot, MONDAY, days), stored(client)
        assert (first.inserted, again.inserted, again.present, again.rows_total) == (240, 0, 240, 240)
        assert before == after
        assert counts(client)["unknown"] == (90, 90)
        work = client.query("SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'raw_events\\_\\_%'")
        assert not work.result_rows


def test_any_order_of_days_gives_the_same_table(days, tmp_path):
    """Each event is in two days, and stands under the earlier one."""
    days.put(MONDAY, every_kind(range(6)))
    days.put(TUESDAY, every_kind(range(3, 9), source_file="replayed"))
    snapshot = days.put(WEDNESDAY, {"video": rows("video", [0, 8, 20])})
    tables_seen = []
    for number, order in enumerate(ORDERS):
        with connect(ClickHouseSettings(folder=tmp_path / f"order-{number}")) as client:
            for day in order:
                loaded(client, snapshot, day, days)
            tables_seen.append(stored(client))
    assert len(tables_seen[0]) == 9 * 8 + 1
    assert all(seen == tables_seen[0] for seen in tables_seen)


def test_an_event_that_its_day_lost_goes_to_the_other_day_that_has_it_or_is_deleted(days, embedded):
    days.put(MONDAY, every_kind(range(4)))
    snapshot = days.put(TUESDAY, every_kind([1, 2], source_file="tuesday's"))
    with connect(embedded) as client:
        loaded(client, snapshot, MONDAY, days)
        loaded(client, snapshot, TUESDAY, days)
        snapshot = days.put(MONDAY, every_kind([2, 3]))
        result = loaded(client, snapshot, MONDAY, days)
        assert (result.deleted, result.rehomed, result.replaced, result.present) == (8, 8, 0, 16)
        homes = client.query("SELECT upload_date, count(), uniqExact(source_file) FROM raw_events GROUP BY 1 ORDER BY 1").result_rows
        assert [tuple(home) for home in homes] == [(MONDAY, 16, 2), (TUESDAY, 8, 1)]
        assert compare(client, snapshot, scratch=days.root.parent).reconciles


def test_a_day_that_lost_everything_leaves_nothing_behind(days, embedded):
    with connect(embedded) as client:
        loaded(client, days.put(MONDAY, every_kind(range(3))), MONDAY, days)
        result = loaded(client, days.put(MONDAY, {}), MONDAY, days)
        assert (result.staged, result.deleted, result.rows_total) == (0, 24, 0)


def test_a_changed_row_is_replaced_and_only_that(days, embedded):
    kept, old = rows("video", range(5)), rows("video", [9], video_title="old")
    with connect(embedded) as client:
        loaded(client, days.put(MONDAY, {"video": kept + old}), MONDAY, days)
        result = loaded(client, days.put(MONDAY, {"video": kept + rows("video", [9], video_title="new")}), MONDAY, days)
        assert (result.replaced, result.present, result.inserted, result.rows_total) == (1, 5, 0, 6)
        assert ("new",) in stored(client, "video_title")
        assert ("old",) not in stored(client, "video_title")


def test_a_row_whose_time_or_section_a_new_parser_reads_otherwise_is_there_once(days, embedded):
    month_later = value(tables.BY_KIND["video"]["timestamp"], 1) + timedelta(days=40)
    with connect(embedded) as client:
        loaded(client, days.put(MONDAY, {"video": rows("video", range(3))}), MONDAY, days)
        changed = [*rows("video", [0]), *rows("video", [1], timestamp=month_later), *rows("video", [2], section_id=999)]
        result = loaded(client, days.put(MONDAY, {"video": changed}), MONDAY, days)
        assert (result.replaced, result.present, result.inserted, result.rows_total) == (2, 1, 0, 3)
        assert sorted(stored(client, "section_id")) == [(100,), (101,), (999,)]


def test_the_same_event_under_two_sections_is_one_event(days, embedded):
    """A statement without a section takes that of its object's key; a replay under another key gives another section."""
    days.put(MONDAY, {"other": rows("other", [1], section_id=1)})
    snapshot = days.put(TUESDAY, {"other": rows("other", [1], section_id=2)})
    with connect(embedded) as client:
        for day in (TUESDAY, MONDAY, TUESDAY):
            loaded(client, snapshot, day, days)
        assert stored(client, "section_id, upload_date") == [(1, MONDAY)]
        assert compare(client, snapshot, scratch=days.root.parent).reconciles


def test_chunks_decide_as_one_whole(days, embedded, monkeypatch):
    monkeypatch.setattr(load, "CHUNK_ROWS", 25)
    with connect(embedded) as client:
        loaded(client, days.put(MONDAY, every_kind(range(10))), MONDAY, days)
        snapshot = days.put(MONDAY, every_kind(range(5), verb_display="new") | {"video": rows("video", range(3, 20))})
        result = loaded(client, snapshot, MONDAY, days)
        assert (result.staged, result.replaced, result.inserted, result.deleted) == (35 + 17, 35, 10, 35 + 3)
        assert compare(client, snapshot, scratch=days.root.parent).reconciles


def test_numbers_that_do_not_fit_become_null_and_nothing_wraps(days, embedded):
    snapshot = days.put(MONDAY, {"video": rows("video", [1], page_id=-5, source_line=2**40)})
    with connect(embedded) as client:
        loaded(client, snapshot, MONDAY, days)
        assert stored(client, "page_id, source_line") == [(None, None)]


def test_a_held_day_is_refused_until_told_otherwise(days, embedded):
    snapshot = days.put(MONDAY, every_kind([1]), held=True)
    with connect(embedded) as client:
        with pytest.raises(HeldDay, match="2026-01-05 is held"):
            loaded(client, snapshot, MONDAY, days)
        assert loaded(client, snapshot, MONDAY, days, include_held=True).inserted == 8


def test_a_day_the_lake_does_not_have_is_named(days, embedded):
    snapshot = days.put(MONDAY, every_kind([1]))
    with connect(embedded) as client, pytest.raises(MissingDay, match="no day 2026-01-06"):
        loaded(client, snapshot, TUESDAY, days)


def test_progress_is_told(days, embedded):
    snapshot = days.put(MONDAY, every_kind([1]))
    told: list[tuple[str, int, int]] = []
    with connect(embedded) as client:
        loaded(client, snapshot, MONDAY, days, progress=lambda *step: told.append(step))
    assert ("stage", 8, 8) in told
    assert told[-1] == ("insert", 1, 1)


def test_killed_at_any_moment_a_second_load_completes_the_first(days, embedded):
    days.put(MONDAY, every_kind(range(300)))
    with connect(embedded) as client:
        loaded(client, days.lake.snapshot(), MONDAY, days)
    snapshot = days.put(MONDAY, every_kind(range(100, 400), verb_display="new"))
    chance = random.Random(7)
    for _ in range(4):
        process = start(days, embedded, MONDAY)
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        time.sleep(chance.uniform(0.0, 0.7))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with connect(embedded) as client:
        result = loaded(client, snapshot, MONDAY, days)
        assert result.rows_total == 300 * 8
        assert compare(client, snapshot, scratch=days.root.parent).reconciles
        assert client.query("SELECT count() FROM raw_events WHERE ifNull(verb_display, '') != 'new'").result_rows == [(0,)]


@pytest.mark.parametrize("statement", ["insert_absent", "keep", "add_fresh", "replace_month", "verify"])
def test_cut_off_before_any_statement_a_second_load_completes_the_first(days, embedded, monkeypatch, statement):
    later = [
        *every_kind(range(2, 6), verb_display="new")["video"],
        *rows("video", [8], timestamp=value(tables.BY_KIND["video"]["timestamp"], 90000)),
    ]
    with connect(embedded) as client:
        loaded(client, days.put(MONDAY, {"video": rows("video", range(4))}), MONDAY, days)
        snapshot = days.put(MONDAY, {"video": later})
        real = load.sql

        def cut(name: str, **names: str) -> str:
            if name == statement:
                raise InterruptedError(name)
            return real(name, **names)

        monkeypatch.setattr(load, "sql", cut)
        with pytest.raises(InterruptedError):
            loaded(client, snapshot, MONDAY, days)
        monkeypatch.setattr(load, "sql", real)
        result = loaded(client, snapshot, MONDAY, days)
        assert result.rows_total == 5
        assert compare(client, snapshot, scratch=days.root.parent).reconciles


def test_two_processes_at_once_load_one_after_the_other(days, embedded):
    days.put(MONDAY, every_kind(range(50)))
    snapshot = days.put(TUESDAY, every_kind(range(25, 75)))
    processes = [start(days, embedded, day) for day in (MONDAY, TUESDAY, MONDAY)]
    done = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], [errors[-500:] for _, errors in done]
    with connect(embedded) as client:
        assert counts(client)["video"] == (75, 75)
        assert compare(client, snapshot, scratch=days.root.parent).reconciles


def test_loads_of_one_process_take_turns(days, embedded):
    snapshot = days.put(MONDAY, every_kind(range(20)))
    with connect(embedded) as one, connect(embedded) as other, ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda client: loaded(client, snapshot, MONDAY, days), (one, other)))
        assert sorted(result.inserted for result in results) == [0, 160]


TORUS_TABLE = """
CREATE TABLE raw_events (
    user_id Nullable(String), home_page Nullable(String), section_id Nullable(UInt64), project_id Nullable(UInt64),
    publication_id Nullable(UInt64), timestamp DateTime64(3), event_type LowCardinality(String), verb_id LowCardinality(String),
    page_id Nullable(UInt64), content_element_id Nullable(String), video_url Nullable(String), video_time Nullable(Float64),
    video_length Nullable(Float64), video_progress Nullable(Float64), video_played_segments Nullable(String),
    video_seek_from Nullable(Float64), video_seek_to Nullable(Float64), activity_attempt_guid Nullable(String),
    activity_attempt_number Nullable(UInt32), page_attempt_guid Nullable(String), page_attempt_number Nullable(UInt32),
    part_attempt_guid Nullable(String), part_attempt_number Nullable(UInt32), activity_id Nullable(UInt64),
    activity_revision_id Nullable(UInt64), part_id Nullable(String), page_sub_type Nullable(String), score Nullable(Float64),
    out_of Nullable(Float64), scaled_score Nullable(Float64), success Nullable(Bool), completion Nullable(Bool),
    response Nullable(String), feedback Nullable(String), hints_requested Nullable(UInt32), attached_objectives Nullable(String),
    session_id Nullable(String), inserted_at DateTime DEFAULT now(), event_hash String, event_version DateTime64(3) DEFAULT now64(3),
    source_file Nullable(String), source_etag Nullable(String), source_line Nullable(UInt32),
    INDEX idx_section_id section_id TYPE minmax GRANULARITY 1, INDEX idx_user_id user_id TYPE bloom_filter GRANULARITY 1
) ENGINE = ReplacingMergeTree(event_version) PARTITION BY toYYYYMM(timestamp) PRIMARY KEY event_hash ORDER BY event_hash
SETTINGS allow_nullable_key = 0, index_granularity = 8192
"""


def test_a_table_of_torus_migrations_takes_the_rows_it_lacks(days, embedded):
    days.put(MONDAY, every_kind(range(5)))
    snapshot = days.put(TUESDAY, every_kind(range(3, 8)))
    with connect(embedded) as client:
        client.command(TORUS_TABLE)
        client.command(
            "INSERT INTO raw_events (event_hash, timestamp, section_id, event_type) VALUES ('theirs', '2026-01-02 00:00:00', 1, 'video')"
        )
        first, second, again = (loaded(client, snapshot, day, days) for day in (MONDAY, TUESDAY, MONDAY))
        assert (first.inserted, second.inserted, second.present, again.inserted, again.rows_total) == (40, 24, 16, 0, 65)
        assert "no upload_date" in first.notes[0]
        assert compare(client, snapshot, scratch=days.root.parent).reconciles
        snapshot = days.put(MONDAY, every_kind([0]))
        assert loaded(client, snapshot, MONDAY, days).deleted == 0


def test_a_table_that_lacks_columns_is_refused_with_their_names_and_types(days, embedded):
    snapshot = days.put(MONDAY, every_kind([1]))
    with connect(embedded) as client:
        client.command(
            TORUS_TABLE.replace("verb_id LowCardinality(String),", "").replace("score Nullable(Float64)", "score Nullable(String)", 1)
        )
        with pytest.raises(
            UnfitTable, match=r"verb_id LowCardinality\(String\) is missing; score is Nullable\(String\), expected Nullable\(Float64\)"
        ):
            loaded(client, snapshot, MONDAY, days)


def test_a_table_of_an_earlier_version_gets_its_new_columns(days, embedded):
    snapshot = days.put(MONDAY, {"video": rows("video", [1])})
    with connect(embedded) as client:
        schema.ensure(client)
        client.command("ALTER TABLE raw_events DROP COLUMN video_title")
        loaded(client, snapshot, MONDAY, days)
        assert stored(client, "video_title")[0][0].startswith("video_title 1")


def test_over_http_the_same_table_comes_out(days, embedded, remote, server):
    days.put(MONDAY, every_kind(range(6)))
    days.put(TUESDAY, every_kind(range(3, 9)))
    seen, all_columns = [], schema.listed([*schema.columns(), "row_digest"])
    for settings in (embedded, remote):
        with connect(settings, run_id="run-of-this-test") as client:
            results = [loaded(client, days.lake.snapshot(), day, days)[1:7] for day in (TUESDAY, MONDAY)]
            seen.append((results, stored(client, all_columns)))
    assert seen[0] == seen[1]
    log = [json.loads(line) for line in server[1].read_text().splitlines()]
    mine = [q for q in log if q["settings"].get("log_comment") == "torus:run-of-this-test"]
    assert len(mine) > 50
    with connect(remote) as client:
        days.put(MONDAY, every_kind([1, 20]))
        result = loaded(client, days.lake.snapshot(), MONDAY, days)
        assert (result.inserted, result.deleted, result.rehomed) == (8, 16, 24)
        assert compare(client, days.lake.snapshot(), scratch=days.root.parent).reconciles


def test_a_large_file_arrives_whole_over_http(days, remote):
    """65,536 of 100,000 rows once arrived, and success was reported."""
    snapshot = days.put(MONDAY, {"page_viewed": [row(tables.BY_KIND["page_viewed"], n, source_file=None) for n in range(70_000)]})
    with connect(remote) as client:
        assert loaded(client, snapshot, MONDAY, days).inserted == 70_000


def test_rows_lost_on_the_way_fail_the_load(days, remote, monkeypatch):
    snapshot = days.put(MONDAY, {"video": rows("video", range(5))})
    with connect(remote) as client:
        monkeypatch.setattr(client, "raw_insert", lambda *_, **__: None)
        with pytest.raises(load.LoadError, match="5 rows in the lake, 0 arrived"):
            loaded(client, snapshot, MONDAY, days)


def test_no_value_and_no_secret_is_ever_in_sql(days, remote, server):
    snapshot = days.put(MONDAY, every_kind([1]))
    with connect(remote) as client:
        loaded(client, snapshot, MONDAY, days)
    assert clickhouse_server.PASSWORD not in server[1].read_text()
    for line in server[1].read_text().splitlines():
        statement = json.loads(line)["query"]
        if "raw_events" in statement and "CREATE TABLE IF NOT EXISTS raw_events" not in statement:
            assert not any(text in statement for text in ("2026-01-05", "it's", digest(("video", 1)))), statement
    assert clickhouse_server.PASSWORD not in repr(remote)


def test_an_unknown_user_is_told_so_without_the_password(remote):
    from dataclasses import replace

    with pytest.raises(Exception, match="Authentication failed") as caught, connect(replace(remote, password="wr0ng-secret")):
        pass
    assert "wr0ng-secret" not in str(caught.value)


@pytest.mark.parametrize("module", ["clients.clickhouse", "warehouse.schema", "warehouse.load", "warehouse.reconcile"])
def test_the_warehouse_imports_without_dagster(module):
    blocked = f"import sys; sys.modules['dagster'] = None; import torus_assets.{module}"
    subprocess.run([sys.executable, "-c", blocked], check=True, cwd=Path(__file__).parents[2])
