"""The sensor in a real instance: what it asks for is what a run does, and then there is nothing to ask for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from resources.sqs import QueueResource, region_of
from sensors import s3_arrivals as module
from sensors.s3_arrivals import days_of_run, run_request, runs_of, s3_arrivals
from tests.arrivals.queues import Notified
from tests.factories import bundle_key, numbered
from torus_assets import definitions
from torus_assets.arrivals import take
from torus_assets.arrivals.due import Request
from torus_assets.clients.object_store import open_store
from torus_assets.partitions import PARTITION
from torus_assets.xapi.lake import Lake

TODAY = datetime.now(UTC).date()


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A TORUS_HOME of this test, with no service around."""
    for name in ("XAPI_URL", "INVENTORY_URL", "LAKE_URL", "ARRIVALS_QUEUE_URL", "FIRST_DAY", "OPEN_DAYS"):
        monkeypatch.delenv(f"TORUS_{name}", raising=False)
    monkeypatch.delenv("CLICKHOUSE_HOST", raising=False)
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    monkeypatch.setenv("TORUS_WORKERS", "1")
    monkeypatch.setattr(take, "POLL_SECONDS", 0)
    return tmp_path


@pytest.fixture
def instance(tmp_path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path / "instance")) as made:
        yield made


def put(home: Path, name: str, day: date = TODAY, number: int = 1) -> str:
    key = bundle_key(name, day=day)
    open_store(str(home / "xapi")).put(key, numbered(number))
    return key


def defs(queue: str = "") -> dg.Definitions:
    return definitions.build(queue=QueueResource(url=queue))


def tick(instance: dg.DagsterInstance, cursor: str | None = None, queue: str = ""):
    found = defs(queue)
    context = dg.build_sensor_context(
        instance=instance,
        cursor=cursor,
        definitions=found,
        resources={name: (found.resources or {})[name] for name in ("bundles", "lake", "queue")},
    )
    return s3_arrivals.evaluate_tick(context)


def launch(instance: dg.DagsterInstance, request: dg.RunRequest, job: str = "refresh") -> dg.ExecuteInProcessResult:
    """What the daemon does with a request: a run with its key, tags and config."""
    tags = {**request.tags, module.RUN_KEY: str(request.run_key)}
    return defs().resolve_job_def(job).execute_in_process(run_config=request.run_config, tags=tags, instance=instance, raise_on_error=False)


def recorded(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, first: date, last: date, job: str = "refresh", **tags: str
) -> dg.DagsterRun:
    """A run that the instance knows of, in a state of our choosing."""
    tags = {module.RANGE_START: str(first), module.RANGE_END: str(last), **tags}
    return instance.create_run_for_job(defs().resolve_job_def(job), tags=tags, status=status)


def ledger(home: Path) -> list[str]:
    return sorted(Lake(f"file://{home / 'lake'}").snapshot().ledger()["key"])


def test_with_nothing_there_it_says_what_it_looked_at(home, instance):
    ticked = tick(instance)
    assert ticked.run_requests == []
    assert ticked.skip_message == "nothing new: 0 sections, 0 keys listed; sweep complete"
    assert ticked.cursor == "{}"


def test_a_request_over_days_becomes_a_run_over_them_and_then_nothing_is_due(home, instance):
    keys = [put(home, "a"), put(home, "b", TODAY - timedelta(days=1), 2)]
    [request] = tick(instance).run_requests
    assert (request.tags[module.RANGE_START], request.tags[module.RANGE_END]) == (str(TODAY - timedelta(days=1)), str(TODAY))
    result = launch(instance, request)
    assert result.success
    done = {
        (
            event.step_materialization_data.materialization.asset_key.to_user_string(),
            event.step_materialization_data.materialization.partition,
        )
        for event in result.all_events
        if event.is_step_materialization
    }
    for asset in ("xapi/bundle_index", "xapi/bundles", "warehouse/raw_events"):
        assert {partition for key, partition in done if key == asset} == {str(TODAY - timedelta(days=1)), str(TODAY)}
    assert ledger(home) == sorted(keys)
    after = tick(instance)
    assert after.run_requests == []
    assert after.skip_message.startswith("nothing new: 1 sections, 2 keys listed")
    assert list(open_store(str(home / "lake")).list("xapi/arrivals/")) == []


def test_increments_go_on_from_the_last_index(home, instance):
    put(home, "a")
    launch(instance, tick(instance).run_requests[0])
    second = put(home, "b", number=2)
    [request] = tick(instance).run_requests
    put(home, "untold", number=3)  # after the tick: the run does not list
    assert launch(instance, request).success
    assert len(ledger(home)) == 2
    assert second in ledger(home)
    [again] = tick(instance).run_requests
    assert launch(instance, again).success
    assert len(ledger(home)) == 3


@pytest.mark.parametrize("cursor", [None, "garbled", "{}"])
def test_a_lost_or_reset_cursor_asks_for_nothing_twice(home, instance, cursor):
    put(home, "a")
    first = tick(instance)
    made = recorded(instance, dg.DagsterRunStatus.NOT_STARTED, TODAY, TODAY, **{module.RUN_KEY: str(first.run_requests[0].run_key)})
    assert tick(instance, cursor).run_requests == []
    instance.delete_run(made.run_id)
    assert [request.run_key for request in tick(instance, cursor).run_requests] == [first.run_requests[0].run_key]


@pytest.mark.parametrize("status", module.AT_WORK[1:])  # only a daemon can make a run queued
@pytest.mark.parametrize("job", ["refresh", "ingest"])
def test_a_day_that_any_run_is_at_work_on_waits(home, instance, status, job):
    put(home, "a")
    put(home, "b", TODAY - timedelta(days=2))
    recorded(instance, status, TODAY - timedelta(days=1), TODAY, job)
    [request] = tick(instance).run_requests
    assert request.tags[module.RANGE_END] == str(TODAY - timedelta(days=2))


def test_a_run_that_only_loads_holds_nothing_up(home, instance):
    put(home, "a")
    recorded(instance, dg.DagsterRunStatus.STARTED, TODAY, TODAY, "warehouse_load")
    assert len(tick(instance).run_requests) == 1


def failing(home: Path, instance: dg.DagsterInstance, **tags: str) -> str:
    put(home, "a")
    [request] = tick(instance).run_requests
    return recorded(instance, dg.DagsterRunStatus.FAILURE, TODAY, TODAY, **{module.RUN_KEY: str(request.run_key), **tags}).run_id


def test_a_failed_run_is_asked_for_again_after_a_pause_and_the_reason_names_it(home, instance):
    run_id = failing(home, instance)
    ticked = tick(instance)
    assert ticked.run_requests == []
    assert "attempt 2 comes at" in ticked.skip_message
    assert run_id in ticked.skip_message


def test_a_permanent_failure_is_not_asked_for_again_until_a_person_ran_it(home, instance):
    run_id = failing(home, instance, **{module.FAILURE: "permanent"})
    assert f"run {run_id} failed for good" in tick(instance).skip_message
    request = dg.RunRequest(
        run_key="by hand", run_config=module.CONFIG, tags={module.RANGE_START: str(TODAY), module.RANGE_END: str(TODAY)}
    )
    assert launch(instance, request).success
    assert tick(instance).skip_message.startswith("nothing new")
    assert list(open_store(str(home / "lake")).list("xapi/arrivals/")) == []


def test_a_run_that_fails_after_its_ingest_is_asked_for_again_though_the_ledger_has_everything(home, instance):
    put(home, "a")
    [request] = tick(instance).run_requests
    assert launch(instance, request, "ingest").success
    for run in instance.get_runs():
        instance.delete_run(run.run_id)
    recorded(instance, dg.DagsterRunStatus.FAILURE, TODAY, TODAY, **{module.RUN_KEY: str(request.run_key)})
    assert "attempt 2 comes at" in tick(instance).skip_message


def test_messages_of_a_real_queue_lead_to_a_run_and_go(home, instance, s3, monkeypatch):
    monkeypatch.setenv("TORUS_XAPI_URL", s3)
    notified = Notified(s3.removeprefix("s3://"))
    open_store(s3).put(bundle_key("a b", day=TODAY), numbered(1))
    first = tick(instance, queue=notified.url)
    assert len(first.run_requests) == 1
    assert notified.left() == 1
    assert launch(instance, first.run_requests[0]).success
    assert ledger(home) == [bundle_key("a b", day=TODAY)]
    assert tick(instance, first.cursor, notified.url).run_requests == []
    assert notified.left() == 0


def test_the_sensor_has_no_work_of_its_own_when_nobody_turned_it_on():
    assert s3_arrivals.default_status == dg.DefaultSensorStatus.STOPPED
    assert s3_arrivals.job_name == "refresh"


def test_a_tick_logs_counts_and_no_keys(home, instance, capfd):
    key = put(home, "telling-name")
    ticked = tick(instance)
    assert key not in str(ticked.skip_message)
    assert "telling-name" not in "".join(capfd.readouterr())


def test_days_of_a_run_are_those_of_its_tags(instance):
    runs = [
        recorded(instance, dg.DagsterRunStatus.STARTED, date(2026, 2, 1), date(2026, 2, 3)),
        instance.create_run_for_job(defs().resolve_job_def("refresh"), tags={PARTITION: "2026-02-05"}),
        instance.create_run_for_job(defs().resolve_job_def("dataset"), tags={PARTITION: "a job"}),
        instance.create_run_for_job(defs().resolve_job_def("refresh")),
    ]
    assert [len(days_of_run(run)) for run in runs] == [3, 1, 0, 0]
    assert date(2026, 2, 2) in runs_of(instance).in_flight()


def test_a_request_is_tagged_with_its_range_and_attempt():
    request = run_request(Request({date(2026, 2, 2): "b", date(2026, 2, 1): "a"}, 3, "key"))
    assert request.run_key == "key"
    assert request.tags == {
        module.RANGE_START: "2026-02-01", module.RANGE_END: "2026-02-02", "torus/started_by": "arrivals", "torus/attempt": "3",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/1/q", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://us-west-2.queue.amazonaws.com/1/q", "us-west-2"),
        ("https://sqs-fips.us-east-1.amazonaws.com/1/q", None),
        ("http://127.0.0.1:5000/1/q", None),
    ],
)
def test_the_region_is_read_from_the_url_of_the_queue(url, region):
    assert region_of(url) == region


def test_without_a_url_there_is_no_queue():
    assert QueueResource().open() is None
