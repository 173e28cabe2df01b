"""The warehouse part of the graph: `raw_events` in ClickHouse, every event once."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
from clickhouse_connect.driver.client import Client
from pydantic import Field

from resources.clickhouse import ClickHouseResource
from resources.lake import LakeResource
from resources.progress import ProgressResource
from torus_assets import present, settings
from torus_assets.partitions import EVENT_DAYS, SAME_DAY, days_of
from torus_assets.presenting import columns, figures, lineage
from torus_assets.ranges import attempt, materialized, refusal
from torus_assets.steps import RETRIES, step
from torus_assets.warehouse.lag import Lag, lag, server_time
from torus_assets.warehouse.load import HeldDay, LoadResult, MissingDay, load_day
from torus_assets.warehouse.reconcile import compare
from torus_assets.xapi import tables
from torus_assets.xapi.day_content import day_content

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
    """Inserts what is not there, rewrites what changed, deletes what the lake no longer has; then compares both sides."""
    with step(context):
        snapshot = lake.open().snapshot()
        known, days = set(snapshot.days()), days_of(context)
        loaded = [one for one in days if one in known or len(days) == 1]
        if len(loaded) < len(days):
            context.log.info("%d of %d days: the lake has none of them; nothing to load", len(days) - len(loaded), len(days))
        scratch = settings.from_environment().spool
        with clickhouse.client(context.run.run_id) as client:
            started = server_time(client)

            def load(one: date) -> LoadResult:
                progress.say("load", loaded.index(one), len(loaded))
                return load_day(client, snapshot, one, scratch=scratch, include_held=config.include_held)

            attempted = attempt(loaded, load, (HeldDay, MissingDay))
            progress.say("load", len(loaded), len(loaded))
            comparison = compare(client, snapshot, days[0], days[-1], scratch=scratch)
            shown = {
                one: _metadata(result, clickhouse)
                | _lag_metadata(lag(client, one, since=started))
                | {"day_content": day_content(snapshot, one), "preview": preview(client, one)}
                for one, result in attempted.done.items()
            }
        for one, result in attempted.done.items():
            context.log.info(
                "%s: %d staged, %d inserted, %d present, %d replaced", one, result.staged, result.inserted, result.present, result.replaced
            )
        if attempted.refused:
            for one, metadata in shown.items():
                materialized(context, RAW_EVENTS, one, metadata)
            raise refusal(attempted)
    table_rows = max((result.rows_total for result in attempted.done.values()), default=0)
    for one in days:
        metadata = shown.get(one) or figures.nothing_loaded(table_rows)
        context.add_asset_metadata(metadata, asset_key=RAW_EVENTS, partition_key=one.isoformat())
    yield dg.MaterializeResult(asset_key=RAW_EVENTS)
    differing = [difference._asdict() for difference in comparison.differences if difference.missing or difference.extra]
    doubled = sum(difference.doubled for difference in comparison.differences)
    yield dg.AssetCheckResult(
        check_name="clickhouse_equals_lake",
        asset_key=RAW_EVENTS,
        passed=not differing,
        metadata={
            **present.counts(
                {"days": len(shown), "events": comparison.lake_events, "missing": comparison.missing, "extra": comparison.extra}
            ),
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
