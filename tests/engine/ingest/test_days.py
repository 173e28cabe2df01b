"""A damaged world of several days, through both engines: the same rows, the same ledger, the same words."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.engine.ingest.twins import Twins, contents
from tests.factories import bundle_key, line, numbered, statement
from torus_assets.clients.object_store import open_store
from torus_assets.engine.ingest import cuts, settled
from torus_assets.engine.ingest.days import DaysDone, ingest_days
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world
from torus_assets.xapi import tables
from torus_assets.xapi.ingest import IngestOptions, IngestResult

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST = date(2026, 2, 2)
DAYS = [FIRST + timedelta(days=n) for n in range(3)]
LARGE = 9001  # a section that is most of the last day
NO_SPARK = cast("SparkSession", None)  # whoever needs it, fails


def attempt(number: int) -> bytes:
    return line(statement("part_attempt_evaluated", {"actor.account.name": number, "ext(section_id)": LARGE}))


@pytest.fixture(scope="module")
def twins(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    root = tmp_path_factory.mktemp("days")
    made = Twins(f"file://{root}", root / "spool")
    make_world(SampleOptions(out=made.url, statements=1500, days=len(DAYS), first_day=FIRST, damage=0.1, duplicates=0.1))
    for n in range(10):
        made.put(bundle_key(f"L{n}", section=LARGE, day=DAYS[2], second=n), [attempt(m) for m in range(n * 50, n * 50 + 60)])
    made.put(bundle_key("P", section="118", day=DAYS[1]), [numbered(n) for n in range(8)])
    return made


@pytest.fixture(scope="module")
def done(twins: Twins, spark: SparkSession) -> DaysDone:
    with pytest.MonkeyPatch.context() as small:  # so that a small world is many tasks
        small.setattr(cuts, "CUT_BYTES", 200_000)
        small.setattr(settled, "OUT_BYTES", 300_000)
        return twins.ingest(spark, DAYS)


def test_days_on_spark_are_the_days_made_here(done: DaysDone, twins: Twins):
    assert (list(done.results), done.refused) == (DAYS, {})
    sizes = {table.name: len(contents(twins.lakes[1], table.name)) for table in tables.TABLES}
    assert min(sizes.values()) > 0  # the world has every kind of line
    total = Counter[str]()
    for result in done.results.values():
        total.update(result.day_total["coerced"])
        assert result.mode == "increment"
    assert total  # and fields that became null
    assert {"lone_surrogate", "not_utf8", "truncated", "too_deep"} <= set(contents(twins.lakes[1], "quarantine")["reason"])


def test_files_are_sorted_hold_one_kind_and_have_the_columns_of_those_made_here(done: DaysDone, twins: Twins):
    lake = twins.lakes[1]
    for file in lake.snapshot().files():
        path = open_store(lake.url).path(file.path)
        schema = tables.BY_KIND[file.kind].schema
        assert pq.read_schema(path).remove_metadata() == schema
        rows = pl.read_parquet(path, hive_partitioning=False)
        assert len(rows) == file.rows
        if file.kind != "bundle":
            order = ["section_id", *(("timestamp", "event_hash") if file.kind in tables.EVENT_KINDS else ("source_file", "source_line"))]
            assert rows.equals(rows.sort(order, nulls_last=True))


def test_a_section_that_is_most_of_a_day_is_several_files_that_follow_each_other(done: DaysDone, twins: Twins):
    lake = twins.lakes[1]
    files = lake.snapshot().files(kinds=["part_attempt"], first=DAYS[2])
    frames = [pl.read_parquet(open_store(lake.url).path(file.path), hive_partitioning=False) for file in files]
    ends = sorted(
        (min(keys), max(keys)) for rows in frames if (keys := list(rows.select("section_id", "timestamp", "event_hash").iter_rows()))
    )
    assert sum(LARGE in rows["section_id"] for rows in frames) > 1
    assert all(one[1] < two[0] for one, two in pairwise(ends))


def test_readers_may_skip_files_by_what_the_table_says_of_them(done: DaysDone, twins: Twins):
    for lake in twins.lakes:
        actions = lake.snapshot().delta.get_add_actions(flatten=True).to_struct_array().to_pylist()
        events = [action for action in actions if action["partition.kind"] in tables.EVENT_KINDS]
        assert all(action["min.section_id"] <= action["max.section_id"] and action["null_count.timestamp"] == 0 for action in events)


def test_a_second_run_has_nothing_to_read_and_starts_no_job(done: DaysDone, twins: Twins):
    lake = twins.lakes[1]
    before = lake.snapshot().version
    again = ingest_days(NO_SPARK, lake, twins.bundles, DAYS, IngestOptions(max_quarantined_share=1.0))
    assert [(one.mode, one.version) for one in again.results.values()] == [("none", None)] * len(DAYS)
    assert [one.day_total for one in again.results.values()] == [one.day_total for one in done.results.values()]
    assert lake.snapshot().version == before


def test_a_lower_limit_holds_the_days_and_a_higher_one_lets_them_go(done: DaysDone, twins: Twins):
    lake = twins.lakes[1]
    held = ingest_days(NO_SPARK, lake, twins.bundles, DAYS, IngestOptions(max_quarantined_share=0.0))
    assert [one.held for one in held.results.values()] == [True] * len(DAYS)
    assert lake.snapshot().held() == DAYS
    ingest_days(NO_SPARK, lake, twins.bundles, DAYS, IngestOptions(max_quarantined_share=1.0))
    assert lake.snapshot().held() == []
    twins.are_equal()


def test_a_dry_run_says_what_would_be_read_and_changes_nothing(done: DaysDone, twins: Twins):
    lake = twins.lakes[1]
    before = lake.snapshot().version
    told: list[IngestResult] = []
    ingest_days(NO_SPARK, lake, twins.bundles, DAYS, IngestOptions(dry_run=True, rebuild=True), on_day=told.append)
    assert [one.this_run["bundles"] for one in told] == [one.day_total["bundles"] for one in done.results.values()]
    assert lake.snapshot().version == before


def test_a_result_survives_its_way_through_json(done: DaysDone):
    import json

    for result in done.results.values():
        document: dict[str, Any] = json.loads(json.dumps(result.packed()))
        assert IngestResult.unpacked(document) == result
