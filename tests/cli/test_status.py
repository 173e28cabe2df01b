"""`torus status`: one screen over a real instance, lake and spool; what is in order is not listed."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from tests.factories import DAY, Place, bundle_key, line, numbered, statement
from tests.health import graph
from tests.health.ledgers import bundle
from torus_assets import runs
from torus_assets.arrivals import table
from torus_assets.clients.object_store import open_store
from torus_assets.commands.lake import lake_app
from torus_assets.commands.status import status
from torus_assets.failures.processes import this_process
from torus_assets.steps import PROCESS
from torus_assets.xapi.day_content import day_content
from torus_assets.xapi.ingest import scratch_folder

NEXT = DAY + timedelta(days=1)
app = typer.Typer()
app.command()(status)


class Home(NamedTuple):
    """A TORUS_HOME in which days were ingested and loaded."""

    place: Place

    def ingest(self, *days: date) -> None:
        for day in days:
            self.place.put(bundle_key("a", day=day), [numbered(day.day), line(statement("page_viewed"))])
            self.place.ingest(day=day)

    def load(self, first: date, last: date, **told: Any) -> None:
        """What a load leaves in the instance."""
        snapshot = self.place.lake.snapshot()
        content = {str(day): day_content(snapshot, day) for day in snapshot.days()}
        with runs.instance() as instance:
            graph.run(instance, "load", first, last, raw_events={"content": content, **told})

    def says(self, *words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, list(words))
        assert done.exit_code == code, done.output + repr(done.exception)
        return done.stdout

    def document(self, code: int = 0) -> dict[str, Any]:
        return json.loads(self.says("--json", code=code))

    def needs(self, code: int = 0) -> dict[str, str]:
        """State of each need and what to run."""
        return {need["state"]: need["command"] for need in self.document(code)["attention"]}


@pytest.fixture(scope="module")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of an instance in which nothing happened: making its databases takes seconds."""
    root = tmp_path_factory.mktemp("blank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("TORUS_HOME", str(root))
        with runs.instance() as instance:
            instance.get_runs_count()
            instance.all_instigator_state()
            instance.get_latest_materialization_event(dg.AssetKey("none"))
    return root / "dagster"


@pytest.fixture
def home(blank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("TORUS_XAPI_URL", "TORUS_INVENTORY_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "CLICKHOUSE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")  # remembered, so that what `runs` sets is taken back
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    shutil.copytree(blank, tmp_path / "dagster")
    return Home(Place(tmp_path))


def test_when_all_is_in_order_one_sentence_says_so(home):
    assert "nothing was ingested yet" in home.says()
    home.ingest(DAY, NEXT)
    home.load(DAY, NEXT)
    said = home.says()
    assert "2 days in order: nothing to do." in said
    assert "2026" not in said


def test_each_need_is_named_with_the_command_to_run_next(home):
    home.ingest(DAY, NEXT)
    assert home.needs(3) == {"not in ClickHouse": "torus warehouse load --from 2026-02-03 --to 2026-02-04"}
    home.load(DAY, NEXT, fails=True)
    assert home.needs(3)["failed"] == "torus warehouse load --from 2026-02-03 --to 2026-02-04"
    home.load(DAY, NEXT)
    assert home.needs() == {}

    home.place.put(bundle_key("b"), [numbered(77)])
    home.place.ingest()
    assert home.needs(3) == {"not in ClickHouse": "torus warehouse load --from 2026-02-03 --to 2026-02-03"}
    home.load(DAY, DAY)

    store = open_store(home.place.lake.root)
    table.add(store, [bundle("late"), bundle("later")], datetime.now(UTC))
    said = home.says(code=3)
    assert "2026-02-03  bundles waiting" in said.replace("   ", "  ")
    assert "torus backfill --from 2026-02-03 --to 2026-02-03" in said
    assert "1 days in order" in said


def test_a_held_day_is_named_as_held_and_not_as_behind_or_failed(home):
    home.place.put(bundle_key("bad"), [b"no json", line(statement("page_viewed"))])
    home.place.ingest(max_quarantined_share=0.1)
    home.load(DAY, DAY, fails=True)
    assert home.needs(3) == {"held": "torus quarantine list --from 2026-02-03 --to 2026-02-03"}


def test_work_under_way_needs_nobody_and_what_a_killed_run_left_does(home):
    with scratch_folder(home.place.spool, DAY):
        assert home.needs() == {"being written": ""}
    left = home.place.spool / f"{DAY}-killed"
    left.mkdir()
    (left / ".lock").touch()
    assert home.needs(3) == {"left by a killed run": "torus lake maintain"}
    with runs.instance() as instance:
        tags = {PROCESS: str(this_process()._replace(started="1")), "dagster/partition": str(DAY)}
        run = instance.create_run_for_job(graph.DEFS.resolve_job_def("load"), status=dg.DagsterRunStatus.STARTED, tags=tags)
    found = home.document(3)
    [need] = found["attention"]
    assert (need["runs"], need["command"]) == ([run.run_id], "torus backfill --from 2026-02-03 --to 2026-02-03")
    assert run.run_id[:8] in home.says(code=3)


def test_a_failed_data_set_is_named_with_its_job(home):
    with runs.instance() as instance:
        instance.add_dynamic_partitions("dataset_jobs", ["job-7"])
        run = graph.run(instance, "dataset", "job-7", csv={"fails": True})
    assert home.document(3)["datasets"] == [
        {"job": "job-7", "asset": "datasets/csv", "run": run.run_id, "command": "torus dataset run job-7"}
    ]
    assert "torus dataset run job-7" in home.says(code=3)


def test_a_range_limits_what_is_looked_at(home):
    home.ingest(DAY, NEXT)
    home.load(NEXT, NEXT)
    assert "nothing to do" in home.says("--from", str(NEXT))
    assert "torus warehouse load --from 2026-02-03 --to 2026-02-03" in home.says("--to", str(DAY), code=3)
    home.says("--from", str(NEXT), "--to", str(DAY), code=2)


def test_without_a_daemon_it_says_that_no_sensor_works(home):
    assert "the daemon is not running" in home.says()
    assert home.document()["daemon"] is False


def test_a_day_that_maintenance_wrote_anew_stays_loaded(home):
    home.ingest(DAY)
    for number in range(3):
        home.place.put(bundle_key(f"more-{number}"), [numbered(100 + number)])
        home.place.ingest(day=DAY)
    home.load(DAY, DAY)
    before = home.place.lake.snapshot()
    done = CliRunner().invoke(lake_app, ["--compact-above", "2", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["compacted"] == [str(DAY)]
    assert day_content(home.place.lake.snapshot(), DAY) != day_content(before, DAY)
    assert home.needs() == {}
