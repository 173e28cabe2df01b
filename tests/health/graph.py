"""A small graph under the real keys, whose steps fail when told to: what an instance remembers of it is real."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from torus_assets.health.checks import BUNDLES, RAW_EVENTS
from torus_assets.partitions import DATASET_JOBS, EVENT_DAYS
from torus_assets.xapi.day_content import CONTENT

CSV, DATASHOP = dg.AssetKey(["datasets", "csv"]), dg.AssetKey(["datasets", "datashop"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Told(dg.Config):
    """What a step does."""

    fails: bool = False
    wrong: list[str] = Field(default=[])  # days that its blocking check names
    unnamed: bool = False  # the check does not pass, and names no day
    content: dict[str, str] = Field(default={})  # of days, as metadata


def keys_of(context: dg.AssetExecutionContext) -> list[str]:
    return list(context.partition_keys)


@dg.multi_asset(
    name="xapi_day",
    specs=[dg.AssetSpec(BUNDLES, partitions_def=EVENT_DAYS)],
    check_specs=[dg.AssetCheckSpec("few_quarantined", asset=BUNDLES, blocking=True)],
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def xapi_day(context: dg.AssetExecutionContext, config: Told) -> Iterator[Any]:
    if config.fails:
        raise ValueError("the step failed")
    yield dg.MaterializeResult(asset_key=BUNDLES)
    shown = {} if config.unnamed else {"held": dg.MetadataValue.json(config.wrong)}
    yield dg.AssetCheckResult(check_name="few_quarantined", asset_key=BUNDLES, passed=not (config.wrong or config.unnamed), metadata=shown)


@dg.asset(
    key=RAW_EVENTS,
    partitions_def=EVENT_DAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    deps=[dg.AssetDep(BUNDLES, partition_mapping=dg.TimeWindowPartitionMapping())],
)
def raw_events(context: dg.AssetExecutionContext, config: Told) -> dg.MaterializeResult:
    if config.fails:
        raise ValueError("the load failed")
    for day in keys_of(context):
        if day in config.content:
            context.add_asset_metadata({CONTENT: config.content[day]}, partition_key=day)
    return dg.MaterializeResult()


@dg.asset(key=CSV, partitions_def=DATASET_JOBS)
def csv(config: Told) -> dg.MaterializeResult:
    if config.fails:
        raise ValueError("the export failed")
    return dg.MaterializeResult()


@dg.asset(key=DATASHOP, partitions_def=DATASET_JOBS)
def datashop() -> dg.MaterializeResult:
    return dg.MaterializeResult()


JOBS = [
    dg.define_asset_job("refresh", dg.AssetSelection.assets(xapi_day, raw_events), partitions_def=EVENT_DAYS),
    dg.define_asset_job("load", dg.AssetSelection.assets(raw_events), partitions_def=EVENT_DAYS),
    dg.define_asset_job("dataset", dg.AssetSelection.assets(csv), partitions_def=DATASET_JOBS),
]
DEFS = dg.Definitions(assets=[xapi_day, raw_events, csv, datashop], jobs=JOBS, executor=dg.in_process_executor)


def run(
    instance: dg.DagsterInstance, job: str, first: date | str, last: date | None = None, **steps: dict[str, Any]
) -> dg.ExecuteInProcessResult:
    """Runs a job over days (or one partition); keywords are what a step is told: `raw_events={"fails": True}`."""
    names = {"xapi_day": "xapi_day", "raw_events": "warehouse__raw_events", "csv": "datasets__csv"}
    config = {**QUIET, "ops": {names[name]: {"config": told} for name, told in steps.items()}}
    tags = {} if last is None else {"dagster/asset_partition_range_start": str(first), "dagster/asset_partition_range_end": str(last)}
    found = DEFS.resolve_job_def(job)
    return found.execute_in_process(config, instance, partition_key=str(first) if last is None else None, tags=tags, raise_on_error=False)
