"""What issue 4 asks for, without a person: arrivals, a burst, a backfill and kill -9, on a real `torus dev` with real S3 and SQS.

One test, since each part begins where the one before it ended; the traceback names the part. Four minutes on
two cores, most of it waiting for the next tick.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.command import PROJECT, Torus
from tests.live.dagster_dev import DagsterDev, dagster_dev, until
from tests.live.graphql import UNFINISHED, Run
from tests.live.sqs_world import SqsWorld, sqs_world

SENSOR, JOB = "s3_arrivals", "refresh"
BURST, FEW = 60, 10  # bundles; runs for them and for all that was put before and after
QUIET_SECONDS = 240  # until everything put has been loaded: ticks come every 30 s, and a run takes 10
RECOVERY_SECONDS = 420  # after a kill: the run is ended within 60 s, and asked for again after another 60
MARGIN_SECONDS = 2  # an end is dated before it is written down
MOMENTS = ("raw_events", "xapi_day")  # of a kill: the lake has it and ClickHouse does not; the merge into the lake
EVERY_MOMENT = "TORUS_TEST_EVERY_KILL"  # set to 1, each of them; else the first
HASHES = """
from torus_assets import settings
from torus_assets.clients import clickhouse
with clickhouse.connect(settings.from_environment().clickhouse) as client:
    for (found,) in client.query("SELECT event_hash FROM raw_events").result_rows:
        print(found)
"""


class Scene:
    """The server, the world it listens to, and the installation's command line beside it."""

    def __init__(self, server: DagsterDev, world: SqsWorld, torus: Torus) -> None:
        self.server = server
        self.world = world
        self.torus = torus
        today = datetime.now(UTC).date()
        self.days = [today - timedelta(days=n) for n in (2, 1, 0)]

    @property
    def first(self) -> str:
        return self.days[0].isoformat()

    @property
    def last(self) -> str:
        return self.days[-1].isoformat()

    def arrivals(self) -> list[Run]:
        """Runs that the sensor has asked for."""
        return self.server.api.runs(**{"dagster/sensor_name": SENSOR})

    def wait_until_quiet(self, seconds: float) -> None:
        """Until no run is at work, no message is left, and the sensor has looked since and says that nothing is new."""
        until("everything has been loaded", seconds, self._is_quiet, every=1, instead=self.state)

    def _is_quiet(self) -> bool:
        if self.server.api.runs(statuses=UNFINISHED) or self.world.messages():
            return False
        ended = max((run.ended or 0 for run in self.server.api.runs()), default=0)
        latest = self.server.api.ticks(SENSOR)[0]
        satisfied = latest["status"] == "SKIPPED" and latest["skipReason"].startswith("nothing new")
        return satisfied and latest["timestamp"] > max(ended, self.world.last_put) + MARGIN_SECONDS

    def state(self) -> str:
        runs = [(run.status, *run.days, run.steps) for run in self.server.api.runs()]
        ticks = [(tick["status"], tick["skipReason"], tick["error"]) for tick in self.server.api.ticks(SENSOR)[:3]]
        return f"{self.world.messages()} messages, runs {runs}, ticks {ticks}"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with sqs_world(tmp_path) as world:
        variables = {**world.environment, "TORUS_FIRST_DAY": (datetime.now(UTC).date() - timedelta(days=3)).isoformat()}
        home = tmp_path / "home"
        with dagster_dev(home, variables) as server:
            yield Scene(server, world, Torus(home, variables))


def test_arrivals_a_burst_a_backfill_and_kills_lose_nothing_and_double_nothing(scene: Scene):
    what_arrives_is_loaded_without_a_person(scene)
    a_backfill_beside_arrivals_is_one_run(scene)
    put_in_turn(scene, BURST // 2)
    for step in MOMENTS if os.environ.get(EVERY_MOMENT) == "1" else MOMENTS[:1]:
        a_kill_is_survived(scene, step)
    assert len(scene.arrivals()) < FEW
    it_adds_up(scene)


def what_arrives_is_loaded_without_a_person(scene: Scene) -> None:
    put_in_turn(scene, 9)
    scene.server.api.start_sensor(SENSOR)
    until("the arrivals have been loaded", QUIET_SECONDS, lambda: [run for run in scene.arrivals() if run.is_over], instead=scene.state)
    assert [(run.status, run.job, run.days) for run in scene.arrivals()] == [("SUCCESS", JOB, (scene.first, scene.last))]
    clickhouse_has_what_was_put(scene)


def a_backfill_beside_arrivals_is_one_run(scene: Scene) -> None:
    """Half of the burst comes while the backfill waits or works."""
    ours = [name for name, group in scene.server.api.assets().items() if group in {"xapi", "warehouse"}]
    backfill = scene.server.api.backfill(ours, [day.isoformat() for day in scene.days])
    put_in_turn(scene, BURST // 2)
    until(
        "the backfill is over",
        QUIET_SECONDS,
        lambda: scene.server.api.backfill_status(backfill).startswith("COMPLETED"),
        instead=scene.state,
    )
    [run] = scene.server.api.runs(**{"dagster/backfill": backfill})
    assert (run.status, run.days) == ("SUCCESS", (scene.first, scene.last))


def a_kill_is_survived(scene: Scene, step: str) -> None:
    """Kills everything while `step` is at work, starts again, and waits for the work to be done after all."""
    put_in_turn(scene, 3)
    killed = until(f"a run in {step}", QUIET_SECONDS, lambda: _at(scene, step), every=0.05, instead=scene.state)
    scene.server.kill()
    scene.server.start()
    ended = until("the killed run has ended", RECOVERY_SECONDS, lambda: _ended(scene, killed), every=1, instead=scene.state)
    assert (ended.status, ended.tags["torus/failure"]) == ("FAILURE", "interrupted")
    scene.wait_until_quiet(RECOVERY_SECONDS)
    clickhouse_has_what_was_put(scene)


def put_in_turn(scene: Scene, bundles: int) -> None:
    for number in range(bundles):
        scene.world.put(scene.days[number % len(scene.days)])


def _at(scene: Scene, step: str) -> Run | None:
    return next((run for run in scene.server.api.runs(statuses=["STARTED"]) if run.steps.get(step) == "IN_PROGRESS"), None)


def _ended(scene: Scene, killed: Run) -> Run | None:
    return next((run for run in scene.server.api.runs() if run.id == killed.id and run.is_over), None)


def it_adds_up(scene: Scene) -> None:
    found = scene.torus("reconcile", "--from", scene.first, "--to", scene.last, "--json").expect(0).document
    assert sum(day["store_bundles"] for day in found["days"]) == scene.world.bundles
    assert found["warehouse"]["lake_events"] == len(scene.world.hashes)
    assert scene.world.messages() == 0
    assert scene.server.api.runs(statuses=UNFINISHED) == []


def clickhouse_has_what_was_put(scene: Scene) -> None:
    """Every event once, and no other. No run may be at work: chDB's folder is one process's."""
    environment = {**scene.server.environment}
    done = subprocess.run(
        [sys.executable, "-c", HASHES], env=environment, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=120
    )
    found = Counter(done.stdout.split())
    assert [event for event, times in found.items() if times > 1] == []
    assert set(found) == scene.world.hashes
