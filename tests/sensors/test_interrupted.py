"""A run whose process is killed is seen, said and given up; a run whose process lives, or may live elsewhere, is left alone."""

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from dagster._core.events import EngineEventData  # as Dagster's own process of a run reports itself

from sensors.interrupted import LAUNCHER, QUIET, UNSTARTED, interrupted_runs, without_process
from tests.command import PROJECT, clean_environment
from tests.sensors.runs import in_memory, on_disk, place_at
from torus_assets.failures.processes import this_process
from torus_assets.failures.spans import spans_of
from torus_assets.steps import FAILURE, PROCESS, process_tag

Status = dg.DagsterRunStatus


@pytest.fixture
def place(tmp_path):
    with place_at(tmp_path, in_memory()) as opened:
        yield opened


@dg.op
def nothing() -> None:
    """Never runs."""


@dg.job
def refresh() -> None:
    nothing()


def at_work(place, status: Status = Status.STARTED, **tags: str) -> str:
    return place.instance.create_run_for_job(refresh, status=status, tags=tags).run_id


def status(place, run_id: str) -> Status:
    return place.instance.get_run_by_id(run_id).status


def ended(place, after: timedelta = timedelta()) -> set[str]:
    return {gone.run.run_id for gone in without_process(place.instance, datetime.now(UTC) + after)}


def announced(place, pid: int, **tags: str) -> str:
    """A run whose process Dagster has started, and which has not come to its first step."""
    run_id = at_work(place, **tags)
    words = EngineEventData(metadata={"pid": str(pid)})
    place.instance.report_engine_event("Started process for run", place.instance.get_run_by_id(run_id), words)
    return run_id


def test_a_run_whose_process_is_killed_is_failed_told_and_gives_its_slot_back(tmp_path):
    with place_at(tmp_path, on_disk(tmp_path / "dagster")) as place:
        command = [sys.executable, "-m", "tests.sensors.interrupted_child", str(tmp_path / "dagster")]
        env = clean_environment(TORUS_HOME=str(tmp_path))
        with subprocess.Popen(command, cwd=PROJECT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            assert child.stdout
            run_id = child.stdout.readline().strip()
            place.tick(interrupted_runs)
            assert status(place, run_id) == Status.STARTED
            child.send_signal(signal.SIGKILL)
        slots = place.instance.event_log_storage.get_concurrency_info
        assert slots("lake").claimed_slots
        place.tick(interrupted_runs)
        assert status(place, run_id) == Status.FAILURE
        assert place.instance.get_run_by_id(run_id).tags[FAILURE] == "interrupted"
        assert not slots("lake").claimed_slots
        [told] = place.messages
        assert told.startswith("refresh / xapi_day: interrupted\nPartitions: 2026-02-02\nWhy: Interrupted: process ")
        assert "it is safe to run it again" in told
        [notice] = place.book.open()
        assert notice.spans == spans_of(["2026-02-02"])
        place.tick(interrupted_runs)
        assert len(place.messages) == 1


def test_a_run_whose_process_lives_is_left_alone(place):
    at_work(place, **process_tag())
    assert ended(place, after=QUIET * 2) == set()


def test_a_number_that_another_process_has_now_does_not_keep_a_run_alive(place):
    run_id = at_work(place, **{PROCESS: str(this_process()._replace(started="1"))})
    assert ended(place) == {run_id}


def test_a_run_of_another_host_is_left_alone_until_it_was_silent_for_long(place):
    run_id = at_work(place, **{PROCESS: str(this_process()._replace(host="another"))})
    place.instance.report_engine_event("a sign", place.instance.get_run_by_id(run_id))
    assert ended(place, after=QUIET - timedelta(minutes=1)) == set()
    assert ended(place, after=QUIET + timedelta(minutes=1)) == {run_id}


def test_a_run_killed_before_its_first_step_is_found_by_the_process_that_dagster_announced(place):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        here = {LAUNCHER: json.dumps({"host": "localhost", "socket": "/a/socket"})}
        run_id, elsewhere = (
            announced(place, child.pid, **here),
            announced(place, child.pid, **{LAUNCHER: json.dumps({"host": "far", "port": 1})}),
        )
        assert ended(place) == set()
        child.kill()
    assert ended(place) == {run_id}
    assert ended(place, after=QUIET + timedelta(minutes=1)) == {run_id, elsewhere}


def test_a_run_that_was_launched_and_never_said_a_word_is_given_up_after_a_while(place):
    run_id = at_work(place, Status.STARTING)
    place.instance.report_engine_event("launching", place.instance.get_run_by_id(run_id))
    assert ended(place, after=UNSTARTED - timedelta(minutes=1)) == set()
    assert ended(place, after=UNSTARTED + timedelta(minutes=1)) == {run_id}


def test_a_run_that_was_being_canceled_ends_as_canceled_and_is_no_failure(place):
    run_id = at_work(place, Status.CANCELING, **{PROCESS: str(this_process()._replace(started="1"))})
    place.tick(interrupted_runs)
    assert status(place, run_id) == Status.CANCELED
    assert place.messages == []


@pytest.mark.parametrize("finished", [Status.SUCCESS, Status.FAILURE, Status.CANCELED, Status.NOT_STARTED])
def test_a_run_that_nobody_has_to_work_on_is_not_looked_at(place, finished):
    at_work(place, finished, **{PROCESS: str(this_process()._replace(started="1"))})
    assert ended(place) == set()


def test_a_tick_with_nothing_to_do_writes_nothing(place):
    assert place.tick(interrupted_runs).skip_message == "every run at work has its process"
    assert [path for path in place.root.rglob("*") if path.is_file()] == []
