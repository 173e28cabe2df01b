"""Pools and queue as dagster.yaml sets them, held against real processes: what shares chDB never runs twice at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.command import MAIN, PROJECT, clean_environment
from tests.factories import DAY, Place, bundle_key, numbered

# A step in the pool that says when it is in and when it is out, and stays until it is told to go.
HOLDER = """
import os, pathlib, sys, time
import dagster as dg

folder, name, wait = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "wait"

@dg.op(pool="clickhouse")
def hold():
    (folder / f"{name}.in").write_text(str(time.time()))
    while wait and not (folder / "go").exists():
        time.sleep(0.02)
    time.sleep(0.2)
    (folder / f"{name}.out").write_text(str(time.time()))

@dg.job(executor_def=dg.in_process_executor)
def holding():
    hold()

with dg.DagsterInstance.get() as instance:
    assert holding.execute_in_process(instance=instance).success
"""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A Dagster home with the project's file, whose storage is there already."""
    home = tmp_path / "dagster"
    home.mkdir()
    shutil.copyfile(PROJECT / "dagster.yaml", home / "dagster.yaml")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
    return home


@pytest.fixture
def started(tmp_path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes of the test; none outlives it."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()


def holder(home: Path, folder: Path, name: str, *, wait: bool) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-W", "ignore", "-c", HOLDER, str(folder), name, "wait" if wait else "go"]
    return subprocess.Popen(words, env=clean_environment(DAGSTER_HOME=str(home)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def until(condition, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Waits until the condition holds; the process must live meanwhile."""
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended with {process.returncode}"
        assert time.monotonic() < end
        time.sleep(0.05)


def waits(pool: str) -> bool:
    """Whether a step stands in line for the pool."""
    with dg.DagsterInstance.get() as instance:
        return bool(instance.event_log_storage.get_concurrency_info(pool).pending_step_count)


def moment(folder: Path, name: str) -> float:
    return float((folder / name).read_text())


def test_two_processes_are_never_both_in_the_pool(home, tmp_path, started):
    started += [holder(home, tmp_path, name, wait=False) for name in ("a", "b")]
    outs = [tmp_path / f"{name}.out" for name in ("a", "b")]
    end = time.monotonic() + 180  # one took over a minute, once, on a busy machine: 4 s are usual
    while not all(out.exists() for out in outs):
        assert [code for process in started if (code := process.poll())] == []
        assert time.monotonic() < end
        time.sleep(0.1)
    (first_in, first_out), (second_in, second_out) = sorted((moment(tmp_path, f"{n}.in"), moment(tmp_path, f"{n}.out")) for n in ("a", "b"))
    assert first_in < first_out <= second_in < second_out


def test_a_load_from_the_command_line_waits_for_the_pool_like_any_other(home, tmp_path, started):
    place = Place(tmp_path)
    place.put(bundle_key("a"), map(numbered, range(20)))
    place.ingest()
    started.append(holder(home, tmp_path, "other", wait=True))
    until((tmp_path / "other.in").exists, started[0])
    env = clean_environment(DAGSTER_HOME=str(home), TORUS_HOME=str(tmp_path), TORUS_WORKERS="1")
    words = ["warehouse", "load", "--from", DAY.isoformat(), "--to", DAY.isoformat()]
    load = subprocess.Popen([sys.executable, "-c", MAIN, *words], env=env, cwd=PROJECT, stdout=subprocess.DEVNULL)
    started.append(load)
    until(lambda: waits("clickhouse"), load)
    assert not (tmp_path / "clickhouse").exists()  # chDB's folder: nobody has opened it
    (tmp_path / "go").touch()
    assert load.wait(timeout=60) == 0
    with dg.DagsterInstance.get() as instance:
        [run] = instance.get_runs(filters=dg.RunsFilter(job_name="warehouse_load"))
        [start] = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
    assert start.timestamp >= moment(tmp_path, "other.out")


def test_the_file_says_what_its_comments_promise(home):
    with dg.DagsterInstance.get() as instance:
        config = instance.get_concurrency_config()
        assert config.pool_config.pool_granularity is not None
        assert (config.pool_config.pool_granularity.value, config.pool_config.default_pool_limit) == ("op", 1)
        queue = config.run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert {limit["key"]: limit["limit"] for limit in queue.tag_concurrency_limits} == {"dagster/partition": 1, "dagster/backfill": 2}
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] > 0
        assert not instance.telemetry_enabled


def test_every_pool_of_the_graph_is_explained_in_the_file():
    from torus_assets.definitions import ASSETS

    text = (PROJECT / "dagster.yaml").read_text()
    pools = {asset.op.pool for asset in ASSETS if isinstance(asset, dg.AssetsDefinition) and asset.op.pool}
    assert pools
    assert {pool for pool in pools if f"#   {pool} " not in text} == set()
