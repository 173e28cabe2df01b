"""Table of contents of the code location."""

from __future__ import annotations

from typing import Any

import dagster as dg

from resources.deployments import resources_for
from torus_assets import settings
from torus_assets.datasets.assets import dataset_csv, dataset_datashop, dataset_lookup
from torus_assets.jobs import JOBS
from torus_assets.warehouse.assets import raw_events
from torus_assets.xapi.assets import bundle_index_asset, xapi_day

ASSETS = [bundle_index_asset, xapi_day, raw_events, dataset_lookup, dataset_csv, dataset_datashop]


def build(**replaced: Any) -> dg.Definitions:
    """The definitions under the settings of the environment; `replaced` are resources given by name instead."""
    return dg.Definitions(
        assets=ASSETS,
        jobs=JOBS,
        resources={**resources_for(settings.from_environment()), **replaced},
        executor=dg.in_process_executor,  # decoding has processes of its own
    )


@dg.definitions
def defs() -> dg.Definitions:
    return build()
