"""Rows of some bundles as files without a lake: those that an ingest of the same bundles commits."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from tests.engine.ingest.twins import Twins
from tests.factories import bundle_key, numbered
from tests.xapi.forgetful import KEY, of_ada
from torus_assets.clients.object_store import open_store
from torus_assets.engine.ingest.loose import LooseSnapshot, loose_snapshot
from torus_assets.xapi import bundle_index, tables
from torus_assets.xapi.day import wanted
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Snapshot
from torus_assets.xapi.ledger import Wanted
from torus_assets.xapi.tombstones import read_tombstones

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DAYS = [date(2026, 2, 3), date(2026, 2, 4)]
OPTIONS = IngestOptions(max_quarantined_share=0.3, workers=1)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    root = tmp_path_factory.mktemp("loose")
    made = Twins(f"file://{root}", root / "spool")
    for day in DAYS:
        made.put(bundle_key("A", day=day), [*(numbered(n) for n in range(30)), numbered(4), of_ada(), b"{}"])
        made.put(bundle_key("B", day=day, section=4000), [numbered(20), b"", *(numbered(n) for n in range(21, 40))])
    made.put(bundle_key("C", day=DAYS[1], section=4000), [b"{}", *(b"[%d]" % n for n in range(40))])
    made.index(DAYS)
    made.forget()
    return made


@pytest.fixture(scope="module")
def loose(twins: Twins, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> LooseSnapshot:
    scratch = tmp_path_factory.mktemp("scratch")
    tombstones = read_tombstones(open_store(twins.lakes[1].root), KEY)
    return loose_snapshot(spark, f"file://{scratch}", twins.bundles, found(twins), OPTIONS, tombstones)


def found(twins: Twins) -> dict[date, list[Wanted]]:
    index = bundle_index.index_days(twins.bundles, None, DAYS[0], DAYS[-1], listing="always")
    return {day: [wanted(twins.bundles, bundle) for bundle in index.days[day]] for day in DAYS}


def test_loose_rows_are_those_of_an_ingest(loose: LooseSnapshot, twins: Twins, tmp_path: Path):
    for day in DAYS:
        twins.here(day, OPTIONS)
    lake = twins.lakes[0].snapshot()
    for table in tables.TABLES:
        here, there = (rows(snapshot, table, tmp_path) for snapshot in (lake, loose))
        assert here.equals(there) or table.kind == "bundle", table.name
    assert {(f.day, f.kind, f.rows) for f in loose.files()} == {(f.day, f.kind, f.rows) for f in lake.files() if f.kind != "bundle"}
    assert loose.held() == lake.held() == [DAYS[1]]
    assert loose.held(last=DAYS[0]) == []


def rows(snapshot: Snapshot | LooseSnapshot, table: tables.Table, scratch: Path) -> pl.DataFrame:
    with snapshot.local(snapshot.files(kinds=[table.kind]), scratch) as paths:
        found = pl.concat([pl.DataFrame(table.schema.empty_table()), *(pl.read_parquet(path, hive_partitioning=False) for path in paths)])
    return found.sort("source_file", *(["source_line"] if table.kind != "bundle" else []))


def test_what_became_of_every_line_is_counted(loose: LooseSnapshot):
    counts = dict(loose.counts)
    assert counts.pop("refused_by_reason") == {"missing_field": 2, "not_object": 40}
    # a day's A and B share ten lines and A repeats one; one refused line of C stands in A as well
    assert counts == {"bundles": 5, "lines": 149, "blank": 2, "rows": 80, "duplicates": 23, "refused": 42, "forgotten": 2}


def test_removing_leaves_nothing(twins: Twins, spark: SparkSession, tmp_path: Path):
    one = loose_snapshot(spark, f"file://{tmp_path}", twins.bundles, {DAYS[0]: found(twins)[DAYS[0]]}, OPTIONS)
    assert one.files()
    one.remove()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_object_that_is_gone_leaves_nothing(twins: Twins, spark: SparkSession, tmp_path: Path):
    days = found(twins)
    lost = days[DAYS[0]][0]._replace(key=bundle_key("lost", day=DAYS[0]))
    with pytest.raises(BundleGone, match="lost"):
        loose_snapshot(spark, f"file://{tmp_path}", twins.bundles, {**days, DAYS[0]: [lost]}, OPTIONS)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
