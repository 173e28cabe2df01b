"""The warehouse part of the graph: `raw_events` in ClickHouse, every event once."""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import dagster as dg
from clickhouse_connect.driver.client import Client
from pydantic import Field

from resources.clickhouse import ClickHouseResource
from resources.lake import LakeResource
from resources.progress import ProgressResource
from torus_assets import present, settings
from torus_assets.partitions import EVENT_DAYS, SAME_DAY, days_of
from torus_assets.presenting import columns, figures, lineage
from torus_assets.ranges import Attempted, attempt, materialized, refusal
from torus_assets.steps import RETRIES, step
from torus_assets.warehouse.lag import Lag, lag, server_time
from torus_assets.warehouse.load import HeldDay, LoadResult, MissingDay, load_day
from torus_assets.warehouse.reconcile import Comparison, compare
from torus_assets.xapi import tables
from torus_assets.xapi.day_content import CONTENT, day_content
from torus_assets.xapi.lake import Snapshot

RAW_EVENTS = dg.AssetKey(["warehouse", "raw_events"])

PREVIEWED = (
    "section_id",
    "event_type",
    "timestamp",
    "project_id",
    "page_id",
    "activity_id",
    "score",
    "out_of",
    "video_time",
)  # none is private


class LoadConfig(dg.Config):
    """Run-time knobs of the load."""

    include_held: bool = Field(default=False, description="Load days that are held because too many of their lines were refused.")


@dg.multi_asset(
    name="raw_events",
    specs=[
        dg.AssetSpec(
            key=RAW_EVENTS,
            description="All events in ClickHouse under Torus' column names, every event once: a plain `count()` is right. Re-loading a day is always safe.",
            group_name="warehouse",
            kinds={"clickhouse", "table"},
            owners=["team:data-platform"],
            tags={"pii": "identifiable"},
            code_version=str(tables.PARSER_VERSION),
            deps=[dg.AssetDep(["xapi", table.name], partition_mapping=SAME_DAY) for table in tables.EVENT_TABLES],
            metadata={"dagster/column_schema": columns.warehouse_schema(), "dagster/column_lineage": lineage.warehouse_lineage()},
            partitions_def=EVENT_DAYS,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "clickhouse_equals_lake",
            asset=RAW_EVENTS,
            blocking=True,
            description="Per section and month, ClickHouse holds exactly the distinct events of the lake's days: by count and by a checksum over their hashes.",
        ),
        dg.AssetCheckSpec(
            "count_is_right",
            asset=RAW_EVENTS,
            blocking=True,
            description="Plain `count()` equals the number of distinct event hashes of the days loaded.",
        ),
    ],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=RETRIES,
    pool="clickhouse",
)
def raw_events(
    context: dg.AssetExecutionContext, config: LoadConfig, lake: LakeResource, clickhouse: ClickHouseResource, progress: ProgressResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Inserts what is not there, rewrites what changed, deletes what the lake no longer has; then compares both sides.

    Of a range, a held day does not keep the others from being loaded.
    """
    with step(context):
        loads = _loads(context, config, lake.open().snapshot(), clickhouse, progress)
        if loads.attempted.refused:
            for one, metadata in loads.shown.items():
                materialized(context, RAW_EVENTS, one, metadata)
            raise refusal(loads.attempted)
    table_rows = max((result.rows_total for result in loads.attempted.done.values()), default=0)
    for one in days_of(context):
        metadata = loads.shown.get(one) or figures.nothing_loaded(table_rows)
        context.add_asset_metadata(metadata, asset_key=RAW_EVENTS, partition_key=one.isoformat())
    yield dg.MaterializeResult(asset_key=RAW_EVENTS)
    yield from _checks(loads)


class Loads(NamedTuple):
    """What one run loaded."""

    attempted: Attempted[LoadResult]
    shown: dict[date, dict[str, Any]]  # metadata of the days that are loaded
    comparison: Comparison


def _loads(
    context: dg.AssetExecutionContext, config: LoadConfig, snapshot: Snapshot, clickhouse: ClickHouseResource, progress: ProgressResource
) -> Loads:
    """Loads the run's days; of a range, days that the lake does not have are passed over."""
    known, days, scratch = set(snapshot.days()), days_of(context), settings.from_environment().spool
    there = [one for one in days if one in known or len(days) == 1]
    if len(there) < len(days):
        context.log.info("%d of %d days: the lake has none of them; nothing to load", len(days) - len(there), len(days))
    with clickhouse.client(context.run.run_id) as client:
        started = server_time(client)

        def load(one: date) -> LoadResult:
            progress.say("load", there.index(one), len(there))
            result = load_day(client, snapshot, one, scratch=scratch, include_held=config.include_held)
            context.log.info(
                "%s: %d staged, %d inserted, %d present, %d replaced", one, result.staged, result.inserted, result.present, result.replaced
            )
            return result

        attempted = attempt(there, load, (HeldDay, MissingDay))
        progress.say("load", len(there), len(there))
        comparison = compare(client, snapshot, days[0], days[-1], scratch=scratch)
        shown = {
            one: _metadata(result, clickhouse)
            | _lag_metadata(lag(client, one, since=started))
            | {CONTENT: dg.MetadataValue.text(day_content(snapshot, one)), "preview": preview(client, one)}
            for one, result in attempted.done.items()
        }
    return Loads(attempted, shown, comparison)


def _checks(loads: Loads) -> Iterator[dg.AssetCheckResult]:
    comparison = loads.comparison
    differing = [difference._asdict() for difference in comparison.differences if difference.missing or difference.extra]
    doubled = sum(difference.doubled for difference in comparison.differences)
    figures_of_both = {"days": len(loads.shown), "events": comparison.lake_events, "missing": comparison.missing, "extra": comparison.extra}
    yield dg.AssetCheckResult(
        check_name="clickhouse_equals_lake",
        asset_key=RAW_EVENTS,
        passed=not differing,
        metadata={
            **present.counts(figures_of_both),
            "differences": dg.MetadataValue.json(differing[:20]),
            "held_days_left_out": dg.MetadataValue.json([day.isoformat() for day in comparison.held]),
        },
    )
    yield dg.AssetCheckResult(
        check_name="count_is_right",
        asset_key=RAW_EVENTS,
        passed=doubled == 0,
        metadata=present.counts({"rows_of_these_days": comparison.warehouse_rows, "doubled": doubled}),
    )


def preview(client: Client, day: date) -> dg.MetadataValue:
    """A few rows of the day without anything a learner is or wrote; nothing for a table that Torus' own migrations made."""
    there = {row[0] for row in client.query("DESCRIBE TABLE raw_events").result_rows}
    if not there.issuperset(PREVIEWED) or "upload_date" not in there:
        return dg.MetadataValue.md("the table is not ours: no preview")
    rows = client.query(
        f"SELECT {', '.join(PREVIEWED)} FROM raw_events WHERE upload_date = {{day:Date}} LIMIT {present.PREVIEW_ROWS}", {"day": day}
    )
    return present.markdown(PREVIEWED, rows.result_rows)


def _metadata(result: LoadResult, clickhouse: ClickHouseResource) -> dict[str, dg.MetadataValue]:
    return {
        **present.counts(
            {
                "dagster/partition_row_count": result.staged,
                "inserted": result.inserted,
                "present": result.present,
                "replaced": result.replaced,
                "deleted": result.deleted,
                "rehomed": result.rehomed,
                "rows_of_the_table": result.rows_total,
            }
        ),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "dagster/table_name": dg.MetadataValue.text(f"{clickhouse.database}.raw_events"),
        "dagster/uri": dg.MetadataValue.text(clickhouse.host or f"chdb://{clickhouse.folder}"),
        "notes": dg.MetadataValue.text("; ".join(result.notes) or "none"),
    }


def _lag_metadata(found: Lag | None) -> dict[str, dg.MetadataValue]:
    """From upload to queryable, of the rows that came in; nothing when none did, so that the plot has no zeros of idle runs."""
    if found is None:
        return {}
    words = f"median {present.duration(found.median)}, largest {present.duration(found.largest)}, from upload to ClickHouse"
    numbers = {"lag_seconds_median": found.median, "lag_seconds_p95": found.p95, "lag_seconds_largest": found.largest}
    return {**present.counts(numbers), "lag": dg.MetadataValue.text(words)}
