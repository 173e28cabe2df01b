"""What a Dagster instance knows of partitions and runs, from runs that really happened in one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster_shared.error import SerializableErrorInfo

from tests.health.graph import CSV, DEFS, run
from torus_assets import instance_state
from torus_assets.failures.processes import this_process
from torus_assets.health.checks import BUNDLES, RAW_EVENTS
from torus_assets.partitions import DATASET_JOBS, EVENT_DAYS
from torus_assets.steps import PROCESS
from torus_assets.xapi.day_content import CONTENT

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 2, 2) + timedelta(days=n) for n in range(3))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def failed(instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.PartitionsDefinition = EVENT_DAYS) -> dict[str, str]:
    return instance_state.failed(instance, key, partitions, instance_state.latest(instance, key))


def test_a_failed_range_counts_for_each_of_its_days_until_each_succeeds(instance):
    broken = run(instance, "refresh", MONDAY, WEDNESDAY, raw_events={"fails": True})
    assert failed(instance, BUNDLES) == {}  # its step succeeded, though the run did not
    assert failed(instance, RAW_EVENTS) == {str(day): broken.run_id for day in (MONDAY, TUESDAY, WEDNESDAY)}
    assert run(instance, "load", TUESDAY).success
    assert set(failed(instance, RAW_EVENTS)) == {str(MONDAY), str(WEDNESDAY)}
    assert run(instance, "load", MONDAY, WEDNESDAY).success
    assert failed(instance, RAW_EVENTS) == {}


def test_a_day_that_succeeded_before_and_failed_since_is_failed(instance):
    assert run(instance, "load", MONDAY, TUESDAY).success
    again = run(instance, "load", TUESDAY, raw_events={"fails": True})
    assert failed(instance, RAW_EVENTS) == {str(TUESDAY): again.run_id}


def test_a_blocking_check_fails_the_days_that_it_names(instance):
    stopped = run(instance, "refresh", MONDAY, WEDNESDAY, xapi_day={"wrong": [str(TUESDAY)]})
    assert not stopped.success
    assert failed(instance, BUNDLES) == {str(TUESDAY): stopped.run_id}
    assert run(instance, "refresh", TUESDAY).success
    assert failed(instance, BUNDLES) == {}


def test_a_blocking_check_that_names_no_day_fails_all_of_its_run(instance):
    stopped = run(instance, "refresh", MONDAY, TUESDAY, xapi_day={"unnamed": True})
    assert failed(instance, BUNDLES) == {str(MONDAY): stopped.run_id, str(TUESDAY): stopped.run_id}


def test_data_sets_have_partitions_of_their_own(instance):
    instance.add_dynamic_partitions(str(DATASET_JOBS.name), ["job-1", "job-2"])
    assert run(instance, "dataset", "job-1").success
    broken = run(instance, "dataset", "job-2", csv={"fails": True})
    assert failed(instance, CSV, DATASET_JOBS) == {"job-2": broken.run_id}


def test_metadata_of_the_latest_load_is_what_counts(instance):
    run(instance, "load", MONDAY, TUESDAY, raw_events={"content": {str(MONDAY): "a", str(TUESDAY): "b"}})
    run(instance, "load", TUESDAY, raw_events={"content": {str(TUESDAY): "c"}})
    run(instance, "load", WEDNESDAY)
    assert instance_state.text_of(instance_state.latest(instance, RAW_EVENTS), CONTENT) == {MONDAY: "a", TUESDAY: "c"}


def test_many_records_are_read_in_portions(instance, monkeypatch):
    monkeypatch.setattr(instance_state, "RECORDS_AT_ONCE", 2)
    run(instance, "load", MONDAY, MONDAY + timedelta(days=4), raw_events={"content": {str(MONDAY + timedelta(days=4)): "e"}})
    found = instance_state.latest(instance, RAW_EVENTS)
    assert len(found) == 5
    assert instance_state.text_of(found, CONTENT) == {MONDAY + timedelta(days=4): "e"}


def test_runs_under_way_waiting_and_left_by_a_killed_process_are_told_apart(instance):
    child = subprocess.Popen(
        [sys.executable, "-c", "from torus_assets.failures.processes import this_process; print(this_process(), flush=True); input()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    killed = child.stdout.readline().strip()
    child.kill()
    child.wait()
    range_tags = {"dagster/asset_partition_range_start": str(MONDAY), "dagster/asset_partition_range_end": str(TUESDAY)}
    instance.add_dynamic_partitions(str(DATASET_JOBS.name), ["job-1"])

    def made(status: dg.DagsterRunStatus, job: str = "load", **tags: str) -> str:
        return instance.create_run_for_job(DEFS.resolve_job_def(job), status=status, tags=tags).run_id

    working = made(dg.DagsterRunStatus.STARTED, **{PROCESS: str(this_process()), "dagster/partition": str(WEDNESDAY)})
    gone = made(dg.DagsterRunStatus.STARTED, **range_tags, **{PROCESS: killed})
    waiting = made(dg.DagsterRunStatus.NOT_STARTED, "dataset", **{"dagster/partition": "job-1"})
    made(dg.DagsterRunStatus.SUCCESS, **{"dagster/partition": str(MONDAY)})
    found = {one.run_id: (one.process, one.partitions) for one in instance_state.unfinished(instance)}
    assert found == {
        working: ("alive", (str(WEDNESDAY),)),
        gone: ("gone", (str(MONDAY), str(TUESDAY))),
        waiting: ("unknown", ("job-1",)),
    }


def test_sensors_and_schedules_are_told_with_their_state_and_their_last_tick(tmp_path):
    @dg.sensor(job_name="load", default_status=dg.DefaultSensorStatus.RUNNING)
    def watches():
        return dg.SkipReason("nothing")

    stopped = dg.ScheduleDefinition(name="nightly", job_name="load", cron_schedule="0 3 * * *")
    repository = dg.Definitions.merge(DEFS, dg.Definitions(sensors=[watches], schedules=[stopped])).get_repository_def()
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:

        def told() -> list[tuple[object, ...]]:
            return [(*tuple(one)[:4], one.right) for one in instance_state.watchers(instance, repository)]

        assert told() == [("nightly", "schedule", False, "none", True), ("watches", "sensor", True, "none", True)]
        assert not instance_state.is_running(instance, "watches")  # no daemon has seen it
        assert not instance_state.daemon_runs(instance, time.time())

        for status, right in ((TickStatus.FAILURE, False), (TickStatus.SKIPPED, True)):
            tick(instance, "watches", status)
            assert told()[1] == ("watches", "sensor", True, "ok" if right else "failed", right)
        assert instance_state.is_running(instance, "watches")


def tick(instance: dg.DagsterInstance, name: str, status: TickStatus) -> None:
    """What the daemon writes down of a sensor's tick."""
    code = RegisteredCodeLocationOrigin("torus")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(code, "__repository__"), name)
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData())
    if not instance.all_instigator_state():
        instance.add_instigator_state(state)
    error = SerializableErrorInfo("it broke", [], "ValueError") if status == TickStatus.FAILURE else None
    instance.create_tick(
        TickData(state.instigator_origin_id, name, InstigatorType.SENSOR, status, time.time(), selector_id=state.selector_id, error=error)
    )
