"""Table of contents of the code location."""

from __future__ import annotations

from typing import Any

import dagster as dg

from resources.deployments import resources_for
from sensors.dataset_requests import dataset_requests
from sensors.emr_jobs import TORUS_JOBS, emr_jobs
from sensors.erasure import erasure
from sensors.failures import failed_runs, right_again
from sensors.health import health
from sensors.interrupted import interrupted_runs
from sensors.inventories import inventories
from sensors.s3_arrivals import s3_arrivals
from torus_assets import settings
from torus_assets.datasets.assets import dataset_csv, dataset_datashop, dataset_lookup
from torus_assets.engine.assets import engine_parity
from torus_assets.forgetting.checks import forgotten_stay_forgotten
from torus_assets.health.checks import HEALTH_CHECKS, RECONCILE_CHECKS
from torus_assets.jobs import JOBS
from torus_assets.warehouse.assets import raw_events
from torus_assets.xapi.assets import bundle_index_asset, xapi_day

ASSETS = [bundle_index_asset, xapi_day, raw_events, dataset_lookup, dataset_csv, dataset_datashop, engine_parity, TORUS_JOBS]

CHECKS = [*RECONCILE_CHECKS, *HEALTH_CHECKS, forgotten_stay_forgotten]
SENSORS = [s3_arrivals, inventories, dataset_requests, emr_jobs, failed_runs, right_again, interrupted_runs]


def build(**replaced: Any) -> dg.Definitions:
    """The definitions under the settings of the environment; `replaced` are resources given by name instead."""
    return dg.Definitions(
        assets=ASSETS,
        asset_checks=CHECKS,
        jobs=JOBS,
        sensors=SENSORS,
        schedules=[health, erasure],
        resources={**resources_for(settings.from_environment()), **replaced},
        executor=dg.in_process_executor,  # decoding has processes of its own
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build()
