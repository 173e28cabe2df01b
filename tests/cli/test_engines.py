"""The engine of a run, as people choose it: by an option, by a variable, by the size of the work. What comes of it is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.java import NEEDED, java_version
from tests.command import Torus
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world

DAYS = ("--from", "2026-02-02", "--to", "2026-02-03")
JOB = "sample-attempts"

pytestmark = pytest.mark.skipif((java_version() or 0) < NEEDED, reason=f"Spark needs Java {NEEDED} or newer")


@pytest.fixture(scope="module")
def torus(tmp_path_factory) -> Torus:
    home = tmp_path_factory.mktemp("engines")
    make_world(SampleOptions(out=f"file://{home}", statements=400, days=2))
    return Torus(home, {"TORUS_SPARK_MEMORY": "1g"})


def choices(torus: Torus) -> list[str]:
    """What the runs of this home said of their engine, the last one last."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(torus.home / "dagster"))
        with dg.DagsterInstance.get() as instance:
            runs = sorted(instance.get_run_records(), key=lambda record: record.create_timestamp)
            logs = [entry.user_message for run in runs for entry in instance.all_logs(run.dagster_run.run_id)]
    return [said.removeprefix("engine: ") for said in logs if said.startswith("engine: ")]


def days(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{**day, "seconds": 0, "mode": ""} for day in document["days"]]


def files(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: body for name, body in found.items() if not name.endswith("run.json")}


def test_days_and_a_data_set_are_the_same_by_either_engine_and_the_log_says_why_which(torus):
    by_spark = torus("ingest", *DAYS, "--engine", "spark", "--json").expect(0).document
    assert choices(torus)[-1].startswith("spark: asked for; ")
    by_local = torus("ingest", *DAYS, "--rebuild", "--engine", "local", "--json").expect(0).document
    assert choices(torus)[-1].startswith("local: asked for")
    assert days(by_spark) == days(by_local)

    again = torus("ingest", *DAYS, "--json", TORUS_SPARK_ABOVE_BYTES="1").expect(0).document  # nothing is left to read
    assert choices(torus)[-1] == "local: 0 bytes to read is not above TORUS_SPARK_ABOVE_BYTES (1 bytes)"
    assert [day["this_run"]["bundles"] for day in again["days"]] == [0, 0]

    made = torus.home / "datasets" / JOB
    torus("dataset", "run", JOB, TORUS_SPARK_ABOVE_BYTES="1").expect(0)
    assert choices(torus)[-1].endswith("is above TORUS_SPARK_ABOVE_BYTES (1 bytes)")
    first = files(made)
    assert {"manifest.json", "index.html"} < first.keys()
    for name in first:
        (made / name).unlink()
    torus("dataset", "run", JOB, "--engine", "local").expect(0)
    assert files(made) == first
    assert "was complete already" in torus("dataset", "run", JOB, "--engine", "spark").expect(0).out


def test_without_java_the_run_fails_with_what_to_do_and_nothing_is_changed(torus, tmp_path):
    said = torus("ingest", *DAYS, "--rebuild", "--engine", "spark", JAVA_HOME=str(tmp_path / "nothing")).expect(1)
    assert "it needs Java 17 or newer" in said.err
    assert "NO: no Java" in torus("doctor", JAVA_HOME=str(tmp_path / "nothing"), TORUS_ENGINE="spark", COLUMNS="200").out
