"""The jobs that people and the command line start: slices of the one graph."""

from __future__ import annotations

import dagster as dg

from torus_assets.datasets.assets import CSV, DATASHOP, LOOKUP
from torus_assets.partitions import DATASET_JOBS, EVENT_DAYS
from torus_assets.warehouse.assets import RAW_EVENTS
from torus_assets.xapi.assets import DAY_ASSETS, INDEX

INGEST = dg.define_asset_job(
    "ingest",
    selection=dg.AssetSelection.assets(INDEX, *DAY_ASSETS),
    partitions_def=EVENT_DAYS,
    description="Bundles of the days into the lake.",
)
WAREHOUSE_LOAD = dg.define_asset_job(
    "warehouse_load",
    selection=dg.AssetSelection.assets(RAW_EVENTS),
    partitions_def=EVENT_DAYS,
    description="Days of the lake into ClickHouse.",
)
REFRESH = dg.define_asset_job(
    "refresh",
    selection=dg.AssetSelection.assets(INDEX, *DAY_ASSETS, RAW_EVENTS),
    partitions_def=EVENT_DAYS,
    description="Days from their bundles to ClickHouse: what has just arrived, or a backfill.",
)
REPLAY = dg.define_asset_job(
    "replay",
    selection=dg.AssetSelection.assets(*DAY_ASSETS, RAW_EVENTS),
    partitions_def=EVENT_DAYS,
    description="Refused lines parsed again from their kept bytes, into the lake and ClickHouse.",
)
DATASET = dg.define_asset_job(
    "dataset",
    selection=dg.AssetSelection.assets(LOOKUP, CSV),
    partitions_def=DATASET_JOBS,
    description="A researcher's request into CSV or Parquet with a receipt.",
)
DATASHOP_DATASET = dg.define_asset_job(
    "datashop",
    selection=dg.AssetSelection.assets(LOOKUP, DATASHOP),
    partitions_def=DATASET_JOBS,
    description="A researcher's request into files for DataShop with a receipt.",
)
JOBS = [INGEST, WAREHOUSE_LOAD, REFRESH, REPLAY, DATASET, DATASHOP_DATASET]
