"""Workers and drivers that are killed, an object larger than what is held of one, stores that are buckets."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engine.ingest.twins import Deadly, Twins, contents
from tests.factories import bundle_key, numbered
from torus_assets.clients.folder_store import FolderStore
from torus_assets.clients.object_store import open_store
from torus_assets.engine.ingest import cuts, lines
from torus_assets.engine.ingest.cuts import DayWork
from torus_assets.engine.ingest.days import ingest_days
from torus_assets.engine.ingest.placed import table_rows
from torus_assets.engine.ingest.settled import DayOut, settle_days
from torus_assets.xapi import decode, tables
from torus_assets.xapi.bundle_index import read_index
from torus_assets.xapi.commit import empty_ledger
from torus_assets.xapi.day import wanted
from torus_assets.xapi.ingest import IngestOptions, numbers_of
from torus_assets.xapi.ledger import Plan
from torus_assets.xapi.tombstones import NONE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAY, NEXT = date(2026, 2, 3), date(2026, 2, 4)
ALL = IngestOptions(max_quarantined_share=1.0, workers=1)


@pytest.fixture
def twins(tmp_path) -> Twins:
    made = Twins(f"file://{tmp_path}", tmp_path / "spool")
    for n in range(8):
        made.put(bundle_key(f"{n}", day=DAY, second=n), [*(numbered(m) for m in range(n * 30, n * 30 + 40)), b"{}"])
    return made


def test_a_worker_killed_in_the_middle_of_a_bundle_changes_nothing(twins: Twins, spark: SparkSession, tmp_path):
    twins.index([DAY])
    marker = tmp_path / "killed"
    ingest_days(spark, twins.lakes[1], Deadly(str(tmp_path / "xapi"), str(marker), "_5.jsonl"), [DAY], ALL)
    assert marker.exists()
    twins.here(DAY, ALL)
    twins.are_equal()


def test_a_worker_killed_after_it_placed_a_file_leaves_no_file_that_does_not_count(twins: Twins, spark: SparkSession, tmp_path):
    twins.index([DAY])
    twins.here(DAY, ALL)
    marker, table = tmp_path / "killed", tmp_path / "table"
    found = [wanted(twins.bundles, bundle) for bundle in read_index(open_store(twins.lakes[0].root), DAY)]
    plan = Plan(DAY, "rebuild", sorted(found), frozenset(), "test")
    work = DayWork(plan, numbers_of(plan, empty_ledger()), [], [])
    store = Deadly(str(table), str(marker), "kind=page_viewed")
    out = settle_days(spark, [work], twins.bundles, store, "run", max_line_bytes=1 << 20, progress=lambda *_: None)[DAY]
    assert isinstance(out, DayOut)
    assert marker.exists()
    assert {str(path.relative_to(table)) for path in table.rglob("*.parquet")} == {file.path for file in out.files}
    assert sum(file.rows for file in out.files if file.kind == "page_viewed") == len(contents(twins.lakes[0], "page_views"))


def test_a_driver_killed_before_its_commit_leaves_the_day_as_it_was(twins: Twins, spark: SparkSession, tmp_path):
    twins.ingest(spark, [DAY])
    twins.put(bundle_key("9", day=DAY, second=9), [numbered(500)])
    twins.index([DAY])
    before = (twins.lakes[1].snapshot().version, contents(twins.lakes[1], "bundles"))
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary)}
    ran = subprocess.run([sys.executable, "-m", "tests.engine.ingest.killed_driver", twins.url], check=False, timeout=300, env=environment)
    assert ran.returncode == -signal.SIGKILL
    after = (twins.lakes[1].snapshot().version, contents(twins.lakes[1], "bundles"))
    assert after[0] == before[0]
    assert after[1].equals(before[1])
    twins.ingest(spark, [DAY])


def test_days_of_a_bucket_are_those_of_a_folder(spark: SparkSession, executors_on_s3: str, tmp_path):
    twins = Twins(executors_on_s3, tmp_path / "spool")
    for day in (DAY, NEXT):
        twins.put(bundle_key("A", day=day), [*(numbered(n) for n in range(12)), numbered(1), b"[]"])
    twins.ingest(spark, [DAY, NEXT])
    twins.put(bundle_key("B", day=DAY), [numbered(3), numbered(50)])  # met by what the lake has, read by ranges
    done = twins.ingest(spark, [DAY])
    assert (done.results[DAY].mode, done.results[DAY].day_total["duplicates"]) == ("increment", 2)
    twins.put(bundle_key("0", day=NEXT, section=7), [numbered(4)])
    assert twins.ingest(spark, [NEXT], rebuild=True, sections=frozenset({7})).results[NEXT].mode == "rebuild"


def test_an_object_of_many_blocks_comes_in_batches_and_gives_the_rows_of_a_small_one(tmp_path, monkeypatch):
    body = b"\r\n".join([b"", b"{}", *(numbered(n) for n in range(3000)), b"x" * 5000, numbered(0)])
    store = FolderStore(str(tmp_path))
    key = bundle_key("A")
    store.put(key, body)
    whole = pa.Table.from_batches(batches(store, key, len(body)))
    monkeypatch.setattr(decode, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(lines, "BATCH_BYTES", 100_000)
    pieces = list(batches(store, key, len(body)))
    assert len(pieces) > 10
    assert max(piece.num_rows for piece in pieces) < 1100  # a batch, and the one line too many of the next
    assert pa.Table.from_batches(pieces).sort_by("source_line").equals(whole.sort_by("source_line"))
    assert whole.num_rows == 3003 + 1


def test_workers_load_neither_delta_nor_a_query_engine():
    """Fifty megabytes in each of them, and a third of a second."""
    names = "torus_assets.engine.ingest.lines, torus_assets.engine.ingest.placed, torus_assets.engine.driver"
    words = f"import sys, {names}; print([name for name in ('deltalake', 'polars', 'duckdb', 'boto3') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", words], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]"


def batches(store: FolderStore, key: str, size: int) -> Iterator[pa.RecordBatch]:
    """What a worker makes of one bundle."""
    info = store.head(key)
    assert info is not None
    reading = cuts.Reading(0, key, 3021, size, info.etag, DAY, info.last_modified)
    sent, nobody = SimpleNamespace(value=[cuts.packed([reading])]), SimpleNamespace(value=NONE)
    return lines.bundle_lines(sent, store, 4500, nobody)(iter([pa.RecordBatch.from_pydict({"id": [0]})]))


def test_every_column_of_every_kind_comes_back_from_its_cells(twins: Twins):
    """Lines of the lake that are written again pass through the same cells as new ones."""
    twins.index([DAY])
    twins.here(DAY, ALL)
    lake = twins.lakes[0]
    store = open_store(lake.url)
    for file in lake.snapshot().files():
        if file.kind == "bundle":
            continue
        sent = SimpleNamespace(value=[cuts.packed([cuts.LakeFile(file.path, file.bytes, DAY, file.kind, 0, 1, whole=True)])])
        again = list(lines.lake_lines(sent, store)(iter([pa.RecordBatch.from_pydict({"id": [0]})])))
        rows = pa.Table.from_batches([table_rows(batch, file.kind) for batch in again])
        assert rows.equals(pq.ParquetFile(store.path(file.path)).read().cast(tables.BY_KIND[file.kind].schema)), file.kind
