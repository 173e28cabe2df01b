"""The xAPI part of the graph: the index of a day's bundles, and what became of every line of the day."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, Literal, cast

import dagster as dg
from pydantic import Field

from resources.lake import LakeResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from resources.spark import SparkResource
from torus_assets import settings
from torus_assets.arrivals.index import with_arrivals
from torus_assets.engine import reports
from torus_assets.engine.choice import Choice, choose
from torus_assets.partitions import EVENT_DAYS, SAME_DAY, days_of
from torus_assets.presenting import columns, figures, lineage
from torus_assets.ranges import Attempted, attempt, materialized, refusal
from torus_assets.steps import RETRIES, step
from torus_assets.xapi import bundle_index, checks, day, size, tables
from torus_assets.xapi.ingest import IngestOptions, IngestResult
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import RowsWouldVanish
from torus_assets.xapi.tombstones import tombstone_secret

OWNERS = ["team:data-platform"]
INDEX = dg.AssetKey(["xapi", "bundle_index"])
SHOWN = (*tables.EVENT_TABLES, tables.QUARANTINE, tables.LEDGER)
DAY_ASSETS = [dg.AssetKey(["xapi", table.name]) for table in SHOWN]


class IndexConfig(dg.Config):
    """How the bundles of a day are found."""

    listing: str = Field(
        default="auto",
        description="`auto`: days that the newest inventory cannot have whole are listed; `always`: every day is; `never`: the inventory alone; "
        "`arrivals`: the day's last index and the arrivals table, without listing (a day without an index as `auto`).",
    )


@dg.asset(
    key=INDEX,
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="xapi",
    kinds={"s3", "parquet"},
    owners=OWNERS,
    tags={"pii": "none"},
    description="Every bundle object uploaded on the day: from the newest complete S3 inventory, topped up by listing. A range of days is found in one pass.",
    metadata={"dagster/column_schema": columns.index_schema()},
    retry_policy=RETRIES,
    pool="event_bucket",
)  # fmt: skip
def bundle_index_asset(
    context: dg.AssetExecutionContext, config: IndexConfig, bundles: ObjectStoreResource, inventory: ObjectStoreResource, lake: LakeResource
) -> None:
    days = days_of(context)
    with step(context):
        places = bundles.open(), inventory.open(), lake.open(), days[0], days[-1]
        if config.listing == "arrivals":
            index = with_arrivals(*places)
        else:
            index = day.find_bundles(*places, listing=cast("bundle_index.Listing", config.listing))
    context.log.info("indexed %d bundles of %d days; inventory: %s", index.count, len(days), index.inventory_name or "none")
    for one in days:
        uri = f"{lake.url}/{bundle_index.index_key(one)}"
        context.add_asset_metadata(figures.index_figures(index.days[one], index, uri), partition_key=one.isoformat())


class IngestConfig(dg.Config):
    """Run-time knobs of the ingest. Every default is the safe choice."""

    sections: list[int] = Field(default=[], description="Only bundles of these sections; all when empty. Other rows stay as they are.")
    rebuild: bool = Field(default=False, description="Read every bundle of the day again, not only what the ledger does not have.")
    drop_vanished: bool = Field(default=False, description="Let a rebuild drop the rows of objects that are gone from the store.")
    replay: list[str] = Field(
        default=[],
        description="Reads no bundle: refused lines of these reasons are parsed again from their kept bytes, and what passes moves where it belongs.",
    )
    engine: Literal["auto", "local", "spark"] = Field(
        default_factory=lambda: settings.from_environment().spark.engine,
        description="Who decodes and settles: processes of this machine, Spark (docs/spark.md), or, with `auto`, the one that fits the bytes to be read.",
    )
    max_quarantined_share: float = Field(
        default_factory=lambda: settings.from_environment().max_quarantined_share,
        ge=0,
        le=1,
        description="Share of a day's non-blank lines that may be refused before the day is held back from loads and exports.",
    )


def _spec(table: tables.Table) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["xapi", table.name],
        description=table.doc,
        group_name="xapi",
        kinds={"deltalake", "parquet"},
        owners=OWNERS,
        tags={"pii": "identifiable" if any(c.private for c in table.columns) else "none"},
        code_version=str(tables.PARSER_VERSION),
        deps=[dg.AssetDep(INDEX, partition_mapping=SAME_DAY)],
        metadata={"dagster/column_schema": columns.column_schema(table), "dagster/column_lineage": lineage.day_lineage(table)},
        partitions_def=EVENT_DAYS,
    )


@dg.multi_asset(
    name="xapi_day",
    specs=[_spec(table) for table in SHOWN],
    check_specs=checks.DAY_CHECKS,
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=RETRIES,
    pool="lake",
)
def xapi_day(
    context: dg.AssetExecutionContext,
    config: IngestConfig,
    bundles: ObjectStoreResource,
    lake: LakeResource,
    spark: SparkResource,
    progress: ProgressResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Every line of the day's bundles as a row, a duplicate or a refusal; one commit per day.

    Increments read only bundles that the ledger does not have. Re-running a day is always safe: it ends in the same rows, with either
    engine. Of a range, a day that is refused does not keep the others from being done.
    """
    opened, days = lake.open(), days_of(context)

    def work(one: date) -> IngestResult:
        result = _ingested(opened, bundles, one, config, progress)
        context.log.info("%s: %s, %s; %d bundles read, %.1f s", one, result.mode, result.reason, result.this_run["bundles"], result.seconds)
        return result

    with step(context):
        chosen = _engine(opened, days, config)
        context.log.info("engine: %s", chosen.reason)
        if chosen.engine == "spark":
            attempted, about = _by_spark(context, spark, days, lake, bundles, config, progress)
        else:
            attempted, about = attempt(days, work, (RowsWouldVanish,)), {}
        snapshot, results = opened.ensure(), attempted.done
        for table in SHOWN:
            key = dg.AssetKey(["xapi", table.name])
            for one, result in results.items():
                shown = figures.day_figures(table, result, snapshot) | (about if table is tables.LEDGER else {})
                if attempted.refused:
                    materialized(context, key, one, shown)
                else:
                    context.add_asset_metadata(shown, asset_key=key, partition_key=one.isoformat())
        if attempted.refused:
            raise refusal(attempted)
    yield from (dg.MaterializeResult(asset_key=key) for key in DAY_ASSETS)
    yield from checks.day_results(list(results.values()), snapshot, config.max_quarantined_share)


def _engine(lake: Lake, days: Sequence[date], config: IngestConfig) -> Choice:
    """Who does the work. A replay reads no bundle: it is done here."""
    above = settings.from_environment().spark.above_bytes
    if config.replay:
        return Choice("local", "local: refused lines are parsed again from the lake")
    if config.engine == "local" or (config.engine == "auto" and above is None):
        return choose(config.engine, None, above)
    return choose(config.engine, size.bytes_to_read(lake, days, _options(config)), above)


def _by_spark(
    context: dg.AssetExecutionContext, spark: SparkResource, days: Sequence[date], lake: LakeResource, bundles: ObjectStoreResource,
    config: IngestConfig, progress: ProgressResource,
) -> tuple[Attempted[IngestResult], dict[str, Any]]:  # fmt: skip
    """The days as a job of Spark did them, and what the run page shows of the job."""
    work = reports.ingest_work(lake.url, bundles.url, days, _options(config))
    reported = spark.run(context, reports.INGEST, work, progress.say)
    done = reports.ingested(reported.messages)  # each was logged as it came
    return Attempted(done.done, done.refused), reported.metadata


def _ingested(lake: Lake, bundles: ObjectStoreResource, one: date, config: IngestConfig, progress: ProgressResource) -> IngestResult:
    chosen = settings.from_environment()
    key, options = tombstone_secret(chosen), _options(config)
    if config.replay:
        return day.replay(lake, one, chosen.spool, options, config.replay, tombstone_key=key).as_ingest()
    return day.ingest(lake, bundles.open(), one, chosen.spool, options, tombstone_key=key, progress=progress.say)


def _options(config: IngestConfig) -> IngestOptions:
    chosen = settings.from_environment()
    return IngestOptions(
        sections=frozenset(config.sections) or None,
        rebuild=config.rebuild,
        drop_vanished=config.drop_vanished,
        max_quarantined_share=config.max_quarantined_share,
        max_line_bytes=chosen.max_line_bytes,
        workers=chosen.workers,
    )
