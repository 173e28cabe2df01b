"""Spark in a run of Dagster: the same days as without it, and nothing that outlives the run."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from resources.lake import LakeResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from resources.spark import Reported, SparkResource
from tests.command import PROJECT
from tests.engine.conftest import JAVA_NEEDED, java_version
from tests.factories import DAY, Place, bundle_key, numbered
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.catalog import submit
from torus_assets.datasets.export import export
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import parse_request
from torus_assets.engine import parity, reports
from torus_assets.engine.assets import engine_parity
from torus_assets.engine.session import session
from torus_assets.settings import SparkSettings
from torus_assets.steps import step
from torus_assets.xapi import bundle_index
from torus_assets.xapi.day import ingest
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake, LakeMissing

NEXT = DAY + timedelta(days=1)
DAYS = [DAY, NEXT]
OPTIONS = IngestOptions(max_quarantined_share=1.0, workers=1, rebuild=True)

pytestmark = pytest.mark.skipif((java_version() or 0) < JAVA_NEEDED, reason=f"Spark needs Java {JAVA_NEEDED} or newer")


BEFORE: set[int] = set()  # processes that other tests of this process keep, such as the JVM of the fixture `spark`


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Two indexed days of two bundles each; the next day's first bundle repeats lines of the day."""
    for name, value in {"TORUS_HOME": str(tmp_path), "TORUS_WORKERS": "2", "TORUS_SPARK_MEMORY": "1g"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TORUS_LAKE_URL", f"file://{tmp_path / 'lake'}")
    BEFORE.clear()
    BEFORE.update(one.pid for one in psutil.Process().children(recursive=True))
    made = Place(tmp_path)
    for one, first in ((DAY, 0), (NEXT, 20)):
        for number, name in enumerate("AB"):
            lines = [numbered(n) for n in range(first + number * 20, first + number * 20 + 30)]
            made.put(bundle_key(name, day=one, second=number), [*lines, b"{no json"])
    index = bundle_index.index_days(open_store(made.url), None, DAY, NEXT, listing="always")
    for root in (made.lake.root, f"file://{tmp_path / 'local'}"):
        bundle_index.write_index(open_store(root), index)
    return made


def by_local(place: Place, day: date) -> Lake:
    lake = Lake(f"file://{place.root / 'local'}")
    ingest(lake, open_store(place.url), day, place.spool, OPTIONS)
    return lake


def run(
    place: Place, where: str, work: str = reports.INGEST, document: reports.Message | None = None
) -> tuple[dg.ExecuteInProcessResult, list[Reported]]:
    """One materialization of an asset that has Spark do the work; by default both days are ingested."""
    told: list[Reported] = []
    document = document or reports.ingest_work(place.lake.root, place.url, DAYS, OPTIONS)

    @dg.asset
    def made(context: dg.AssetExecutionContext, spark: SparkResource) -> dg.MaterializeResult:
        with step(context):
            told.append(spark.run(context, work, document))
        return dg.MaterializeResult(metadata=told[0].metadata)

    return dg.materialize([made], resources={"spark": SparkResource(place=where)}, raise_on_error=False), told


def failure(result: dg.ExecuteInProcessResult) -> Any:
    [event] = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data


def differing(place: Place, day: date) -> list[parity.Compared]:
    index = list(bundle_index.read_index(open_store(place.lake.root), day))
    found = parity.compare(parity.Sample(day, index, len(index)), Lake(f"file://{place.root / 'local'}"), place.lake, place.root)
    assert sum(one.local for one in found) > 30
    return [one for one in found if not one.agrees]


def of_job(*names: str, parent: int | None = None) -> list[psutil.Process]:
    """Processes below one (by default this), by a word of their command."""
    found = psutil.Process(parent).children(recursive=True)
    return [one for one in found if one.pid not in BEFORE and one.is_running() and any(name in " ".join(_words(one)) for name in names)]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def when_spark_runs(act: Callable[[psutil.Process], None]) -> list[psutil.Process]:
    """Acts on the child once its JVM is there; the child and all below it, for looking at them later."""
    seen: list[psutil.Process] = []

    def watch() -> None:
        for _ in range(600):
            if of_job("java") and (children := of_job("torus_assets.engine.job")):
                time.sleep(1)
                seen.extend([*children, *of_job("java", "pyspark")])
                act(children[0])
                return
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
    return seen


def all_end(processes: list[psutil.Process], seconds: float = 15) -> bool:
    assert processes
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def committed(place: Place) -> list[date]:
    """Days that the lake has: none when the work was ended before its end."""
    try:
        return place.lake.snapshot().days()
    except LakeMissing:
        return []


def test_a_child_gives_the_rows_of_the_local_engine_and_a_refused_day_keeps_no_other_day(place):
    by_local(place, DAY)
    ingest(place.lake, open_store(place.url), NEXT, place.spool, OPTIONS)
    gone = bundle_key("B", day=NEXT, second=1)
    place.remove(gone)
    left = bundle_index.index_days(open_store(place.url), None, NEXT, NEXT, listing="always")
    bundle_index.write_index(open_store(place.lake.root), left)

    result, told = run(place, "child")
    assert result.success, failure(result).description
    days = reports.ingested(told[0].messages)
    assert list(days.done) == [DAY]
    assert list(days.refused) == [NEXT]
    assert gone in str(days.refused[NEXT])
    assert differing(place, DAY) == []
    assert days.done[DAY].day_total["bundles"] == 2
    shown = told[0].metadata
    assert {log.stat().st_mode & 0o777 for log in (place.root / "errors").iterdir()} <= {0o600}
    assert ("spark_log" in shown) == any((place.root / "errors").iterdir())  # only a child that said something leaves one
    assert shown["spark_place"].value == "child"
    assert of_job("java", "torus_assets.engine.job") == []
    assert list(place.spool.iterdir()) == []


def test_a_data_set_is_made_in_a_child_and_is_the_one_that_would_be_made_here(place, monkeypatch):
    ingest(place.lake, open_store(place.url), DAY, place.spool, OPTIONS)
    monkeypatch.setenv("TORUS_PSEUDONYM_KEY", "k" * 32)
    store = open_store(f"file://{place.root / 'datasets'}")
    request = {"job_id": "job", "action": "attempt_evaluated", "section_ids": [3021]}
    submit(store, json.dumps(request).encode())
    result, told = run(place, "child", reports.DATASET, reports.dataset_work(place.lake.root, store.url, "job"))
    assert result.success, failure(result).description
    made = reports.dataset_of(told[0].messages)
    assert not made["reused"]
    here = export(parse_request(request), place.lake.snapshot(), store, pseudonyms=PseudonymKey(b"k" * 32), scratch=place.spool)
    assert (here.run, here.folder, here.reused) == (made["run"], made["folder"], True)
    assert here.rows > 5


IN_A_PROCESS_OF_ITS_OWN = """
import sys
from pathlib import Path
from tests.factories import Place
from tests.graph import test_spark_runs as here
from torus_assets.engine import reports
from pyspark import SparkContext

place = Place(Path(sys.argv[1]))
result, told = here.run(place, "session", reports.INGEST, reports.ingest_work(place.lake.root, place.url, [here.DAY], here.OPTIONS))
assert result.success, here.failure(result).description
assert list(reports.ingested(told[0].messages).done) == [here.DAY]
assert SparkContext._active_spark_context is None
"""


def test_without_a_session_dagster_pyspark_starts_one_that_ends_with_the_work(place):
    by_local(place, DAY)
    words = [sys.executable, "-W", "ignore", "-c", IN_A_PROCESS_OF_ITS_OWN, str(place.root)]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert differing(place, DAY) == []


def test_a_session_of_this_process_is_used_and_left_running(place):
    from dagster_pyspark import LazyPySparkResource

    by_local(place, DAY)
    handler = signal.getsignal(signal.SIGINT)
    with session("theirs", SparkSettings(master="local[2,4]", memory="1g")):
        theirs = LazyPySparkResource(spark_config={}).spark_session
        theirs.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
        signal.signal(signal.SIGINT, handler)
        result, told = run(place, "session", reports.INGEST, reports.ingest_work(place.lake.root, place.url, [DAY], OPTIONS))
        assert result.success, failure(result).description
        assert theirs.range(3).count() == 3
        assert theirs.conf.get("spark.sql.session.timeZone") == "Asia/Tokyo"
        theirs.conf.set("spark.sql.session.timeZone", "UTC")  # it may be the session of other tests
    assert list(reports.ingested(told[0].messages).done) == [DAY]
    assert differing(place, DAY) == []
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_killed_child_is_a_failure_that_may_be_tried_again(place):
    seen = when_spark_runs(lambda child: child.kill())
    result, _ = run(place, "child")
    found = failure(result)
    assert found.description.startswith("the Spark process was ended by SIGKILL before its work was done")
    assert "TORUS_SPARK_MEMORY" in found.metadata["what_to_do"].value
    assert f"java.io.tmpdir={place.spool}" in Path(found.metadata["spark_log"].value).read_text()
    assert result.dagster_run.tags.get("torus/failure") is None
    assert list(place.spool.iterdir()) == []
    assert all_end(seen)
    assert not committed(place)


def test_ending_the_run_ends_the_child_and_its_jvm(place):
    seen = when_spark_runs(lambda child: os.kill(os.getpid(), signal.SIGINT))
    result, _ = run(place, "child")
    assert not result.success
    assert seen
    assert all_end(seen, 2)
    assert not committed(place)


STARTER = """
import sys
from tests.factories import Place
from tests.graph.test_spark_runs import run
from pathlib import Path
run(Place(Path(sys.argv[1])), "child")
"""


@pytest.fixture
def starter(place: Place) -> Iterator[subprocess.Popen[bytes]]:
    left = place.root / "left"  # what a killed process leaves of its temporary files
    left.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", STARTER, str(place.root)],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(left)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield process
    process.kill()
    process.wait()


def test_a_run_whose_process_is_killed_leaves_no_spark_behind(place, starter):
    left: list[psutil.Process] = []
    for _ in range(600):
        left = of_job("java", "torus_assets.engine.job", parent=starter.pid)
        if {"java"} < {one.name() for one in left}:
            break
        time.sleep(0.1)
    assert {"java"} < {one.name() for one in left}
    starter.kill()
    assert all_end(left)
    assert not committed(place)


def test_the_parity_asset_compares_a_day_of_the_lake_and_leaves_nothing(place):
    ingest(place.lake, open_store(place.url), DAY, place.spool, OPTIONS)
    before = place.lake.snapshot().version
    resources = {
        "bundles": ObjectStoreResource(url=place.url),
        "lake": LakeResource(url=place.lake.root),
        "spark": SparkResource(),
        "progress": ProgressResource(),
    }
    result = dg.materialize([engine_parity], resources=resources)
    [check] = result.get_asset_check_evaluations()
    assert check.passed
    assert check.metadata["day"].value == DAY.isoformat()
    [made] = result.asset_materializations_for_node("engine__parity")
    shown: dict[str, Any] = {name: value.value for name, value in made.metadata.items()}
    assert (shown["bundles"], shown["rows_that_differ"]) == (2, 0)
    assert shown["rows_compared"] > 50
    assert list(place.spool.iterdir()) == []
    assert place.lake.snapshot().version == before
