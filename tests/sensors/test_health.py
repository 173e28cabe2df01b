"""The hourly schedule: on by itself, and its job is there."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg

from resources.lake import LakeResource
from sensors.health import health
from tests.health.graph import DEFS
from torus_assets.health.checks import HEALTH_CHECKS


def test_it_runs_every_hour_from_the_first_start_on():
    job = dg.define_asset_job("health", dg.AssetSelection.checks(*HEALTH_CHECKS))
    lake = LakeResource(url="file:///nowhere")
    definitions = dg.Definitions.merge(
        DEFS, dg.Definitions(asset_checks=HEALTH_CHECKS, jobs=[job], schedules=[health], resources={"lake": lake})
    )
    dg.Definitions.validate_loadable(definitions)
    [found] = definitions.get_repository_def().schedule_defs
    assert found.default_status == dg.DefaultScheduleStatus.RUNNING
    context = dg.build_schedule_context(scheduled_execution_time=datetime(2026, 2, 3, 23, 7, tzinfo=UTC))
    [request] = found.evaluate_tick(context).run_requests or []
    assert request.partition_key is None
    assert found.cron_schedule == "7 * * * *"
