"""The jobs that people and the command line start: slices of the one graph."""

from __future__ import annotations

import dagster as dg

from torus_assets.datasets.assets import CSV, DATASHOP, LOOKUP
from torus_assets.engine.assets import PARITY
from torus_assets.forgetting.checks import forgotten_stay_forgotten
from torus_assets.health.checks import HEALTH_CHECKS, RECONCILE_CHECKS
from torus_assets.partitions import DATASET_JOBS, EVENT_DAYS
from torus_assets.warehouse.assets import RAW_EVENTS
from torus_assets.xapi.assets import DAY_ASSETS, INDEX

# Of the whole asset, not of the days or data sets that a run writes: they have jobs of their own.
STANDING = dg.AssetSelection.checks(*RECONCILE_CHECKS, *HEALTH_CHECKS, forgotten_stay_forgotten)

INGEST = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(INDEX, *DAY_ASSETS) - STANDING,
    partitions_def=EVENT_DAYS,
    description="Bundles of the days into the lake.",
)
WAREHOUSE_LOAD = dg.define_asset_job(
    "warehouse_load",
    selection=dg.AssetSelection.assets(RAW_EVENTS) - STANDING,
    partitions_def=EVENT_DAYS,
    description="Days of the lake into ClickHouse.",
)
REFRESH = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(INDEX, *DAY_ASSETS, RAW_EVENTS) - STANDING,
    partitions_def=EVENT_DAYS,
    description="Days from their bundles to ClickHouse: what has just arrived, or a backfill.",
)
REPLAY = dg.define_asset_job(
    "replay",
    selection=dg.AssetSelection.assets(*DAY_ASSETS, RAW_EVENTS) - STANDING,
    partitions_def=EVENT_DAYS,
    description="Refused lines parsed again from their kept bytes, into the lake and ClickHouse.",
)
DATASET = dg.define_asset_job(
    "dataset",
    selection=dg.AssetSelection.assets(LOOKUP, CSV) - STANDING,
    partitions_def=DATASET_JOBS,
    description="A researcher's request into CSV or Parquet with a receipt.",
)
DATASHOP_DATASET = dg.define_asset_job(
    "datashop",
    selection=dg.AssetSelection.assets(LOOKUP, DATASHOP) - STANDING,
    partitions_def=DATASET_JOBS,
    description="A researcher's request into files for DataShop with a receipt.",
)
RECONCILE = dg.define_asset_job(
    "reconcile",
    selection=dg.AssetSelection.checks(*RECONCILE_CHECKS),
    description="Store against ledger, lake against ClickHouse: what is missing is named, and put to arrivals.",
)
HEALTH = dg.define_asset_job(
    "health",
    selection=dg.AssetSelection.checks(*HEALTH_CHECKS),
    description="What waits, failed, is held or was left by a killed run, whether or not anything happened.",
)
ERASURE = dg.define_asset_job(
    "erasure",
    selection=dg.AssetSelection.checks(forgotten_stay_forgotten),
    description="Whether anybody who was forgotten is back in the lake.",
)
ENGINE_PARITY = dg.define_asset_job(
    "engine_parity",
    selection=dg.AssetSelection.assets(PARITY) - STANDING,
    description="Both engines over a sample of one day, row against row.",
)
JOBS = [INGEST, WAREHOUSE_LOAD, REFRESH, REPLAY, DATASET, DATASHOP_DATASET, RECONCILE, HEALTH, ERASURE, ENGINE_PARITY]
