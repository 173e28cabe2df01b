"""The xAPI part of the graph: the index of a day's bundles, and what became of every line of the day."""

from collections.abc import Iterator
from datetime import date
from itertools import islice
from typing import cast

import dagster as dg
import polars as pl
from pydantic import Field

from resources.lake import LakeResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from torus_assets import present, settings
from torus_assets.partitions import EVENT_DAYS, SAME_DAY, days_of
from torus_assets.xapi import bundle_index, checks, day, tables
from torus_assets.xapi.ingest import IngestOptions, IngestResult
from torus_assets.xapi.lake import Snapshot

OWNERS = ["team:data-platform"]
INDEX = dg.AssetKey(["xapi", "bundle_index"])
SHOWN = (*tables.EVENT_TABLES, tables.QUARANTINE, tables.LEDGER)
DAY_ASSETS = [dg.AssetKey(["xapi", table.name]) for table in SHOWN]


class IndexConfig(dg.Config):
    """How the bundles of a day are found."""

    listing: str = Field(
        default="auto",
        description="`auto`: days that the newest inventory cannot have whole are listed; `always`: every day is; `never`: the inventory alone.",
    )


@dg.asset(
    key=INDEX,
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="xapi",
    kinds={"s3", "parquet"},
    owners=OWNERS,
    description="Every bundle object uploaded on the day: from the newest complete S3 inventory, topped up by listing. A range of days is found in one pass.",
    pool="event_bucket",
)  # fmt: skip
def bundle_index_asset(
    context: dg.AssetExecutionContext, config: IndexConfig, bundles: ObjectStoreResource, inventory: ObjectStoreResource, lake: LakeResource
) -> None:
    days = days_of(context)
    index = day.find_bundles(
        bundles.open(), inventory.open(), lake.open(), days[0], days[-1], listing=cast("bundle_index.Listing", config.listing)
    )
    context.log.info("indexed %d bundles of %d days; inventory: %s", index.count, len(days), index.inventory_name or "none")
    for one in days:
        found = index.days.get(one, [])
        context.add_asset_metadata(
            {
                **present.counts(
                    {
                        "dagster/partition_row_count": len(found),
                        "bundles": len(found),
                        "bytes": sum(bundle.bytes for bundle in found),
                        "told_by_inventory": sum(bundle.told_by == "inventory" for bundle in found),
                        "told_by_listing": sum(bundle.told_by == "listing" for bundle in found),
                        "junk_keys": index.junk_keys,
                    }
                ),
                "inventory": index.inventory_name or "none: by listing alone",
                "preview": present.markdown(
                    ["key", "bytes", "told_by"],
                    [(bundle.key[-60:], bundle.bytes, bundle.told_by) for bundle in islice(found, present.PREVIEW_ROWS)],
                ),
                "dagster/uri": dg.MetadataValue.text(f"{lake.url}/{bundle_index.index_key(one)}"),
                "skipped_inventories": dg.MetadataValue.json(index.skipped),
                "unknown_categories": dg.MetadataValue.json(index.unknown_categories),
            },
            partition_key=one.isoformat(),
        )


class IngestConfig(dg.Config):
    """Run-time knobs of the ingest. Every default is the safe choice."""

    sections: list[int] = Field(default=[], description="Only bundles of these sections; all when empty. Other rows stay as they are.")
    rebuild: bool = Field(default=False, description="Read every bundle of the day again, not only what the ledger does not have.")
    drop_vanished: bool = Field(default=False, description="Let a rebuild drop the rows of objects that are gone from the store.")
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
        metadata={"dagster/column_schema": present.column_schema(table)},
        partitions_def=EVENT_DAYS,
    )


@dg.multi_asset(
    name="xapi_day",
    specs=[_spec(table) for table in SHOWN],
    check_specs=checks.DAY_CHECKS,
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    retry_policy=dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL),
    pool="lake",
)
def xapi_day(
    context: dg.AssetExecutionContext, config: IngestConfig, bundles: ObjectStoreResource, lake: LakeResource, progress: ProgressResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Every line of the day's bundles as a row, a duplicate or a refusal; one commit per day.

    Increments read only bundles that the ledger does not have. Re-running a day is always safe: it ends in the same rows.
    """
    options = IngestOptions(
        sections=frozenset(config.sections) or None,
        rebuild=config.rebuild,
        drop_vanished=config.drop_vanished,
        max_quarantined_share=config.max_quarantined_share,
        max_line_bytes=settings.from_environment().max_line_bytes,
        workers=settings.from_environment().workers,
    )
    opened = lake.open()
    results: list[IngestResult] = []
    for one in days_of(context):
        with checks.without_retry(day.PERMANENT):
            result = day.ingest(opened, bundles.open(), one, settings.from_environment().spool, options, progress=progress.say)
        context.log.info("%s: %s, %s; %d bundles read, %.1f s", one, result.mode, result.reason, result.this_run["bundles"], result.seconds)
        results.append(result)
    snapshot = opened.ensure()
    for table in SHOWN:
        for result in results:
            context.add_asset_metadata(
                _metadata(table, result, snapshot), asset_key=["xapi", table.name], partition_key=result.day.isoformat()
            )
        yield dg.MaterializeResult(asset_key=["xapi", table.name])
    yield from checks.day_results(results, snapshot, config.max_quarantined_share)


def _metadata(table: tables.Table, result: IngestResult, snapshot: Snapshot) -> dict[str, dg.MetadataValue]:
    files = snapshot.files(kinds=[table.kind], first=result.day, last=result.day)
    shown: dict[str, dg.MetadataValue] = {
        **present.counts(
            {"dagster/partition_row_count": sum(f.rows for f in files), "files": len(files), "bytes": sum(f.bytes for f in files)}
        ),
        "dagster/uri": dg.MetadataValue.text(snapshot.url),
        "lake_version": dg.MetadataValue.int(result.version or snapshot.version),
        "mode": dg.MetadataValue.text(result.mode),
        "preview": present.preview(table, snapshot.scan(table.name, result.day, result.day)),
    }
    if table is tables.LEDGER:
        total = result.day_total
        shown |= present.counts(
            {
                "bundles": total["bundles"],
                "lines": total["lines"],
                "rows": sum(total["rows"].values()),
                "duplicates": total["duplicates"],
                "quarantined": sum(total["quarantined"].values()),
                "blank": total["blank"],
            }
        )
        shown["held"] = dg.MetadataValue.bool(result.held)
        shown["result"] = dg.MetadataValue.json(result.document())  # what `torus ingest --json` prints
    if table is tables.QUARANTINE:
        shown["by_reason"] = present.bars(result.day_total["quarantined"])
    elif table is not tables.LEDGER:
        shown["events_per_hour"] = present.bars(_per_hour(snapshot, table, result.day))
    return shown


def _per_hour(snapshot: Snapshot, table: tables.Table, one: date) -> dict[str, int]:
    hours = snapshot.scan(table.name, one, one).group_by(pl.col("timestamp").dt.hour().alias("hour")).len().collect()
    found = dict(hours.iter_rows())
    return {f"{hour:02d}": found.get(hour, 0) for hour in range(24)} if found else {}
