"""A process that works on a run until it is killed: `python interrupted_child.py INSTANCE_FOLDER`. It says the run's id once it is inside the step."""

import sys
import time

import dagster as dg

from tests.sensors.runs import POOLED
from torus_assets.steps import step

DAYS = dg.DailyPartitionsDefinition("2026-02-01", end_date="2026-03-01")


@dg.asset(partitions_def=DAYS, pool="lake")
def xapi_day(context: dg.AssetExecutionContext) -> None:
    with step(context):
        print(context.run.run_id, flush=True)
        time.sleep(60)


if __name__ == "__main__":
    with dg.DagsterInstance.local_temp(sys.argv[1], overrides=POOLED) as instance:
        dg.Definitions(assets=[xapi_day], jobs=[dg.define_asset_job("refresh", [xapi_day])]).resolve_job_def("refresh").execute_in_process(
            instance=instance, partition_key="2026-02-02"
        )
