"""The screens people work in, in a real browser on a real `torus dev`: graph, dialogs, sensor, metadata.

One test, since one server at a time is enough for two cores; each screen is a subtest and fails for itself.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.chromium import browser
from tests.browser.ui import Screens, pictures_are_wanted, screens
from tests.command import Torus
from tests.live.dagster_dev import DagsterDev, dagster_dev, until
from tests.live.graphql import UNFINISHED

pytestmark = pytest.mark.skipif(browser() is None, reason="no Chromium on the PATH")

DAYS = 7  # today is the last; days 0 to 2 are ingested before the browser opens
RUN_SECONDS = 120  # 10 on a quiet machine
BACKFILL_SECONDS = 180  # the daemon looks for backfills every 30
SENSOR = "s3_arrivals"
SUCCESS = "COMPLETED_SUCCESS"


class Desk:
    """The window, the server behind it and the days of its sample world."""

    def __init__(self, window: Screens, server: DagsterDev, first: date) -> None:
        self.window = window
        self.server = server
        self.days = [(first + timedelta(n)).isoformat() for n in range(DAYS)]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """TORUS_HOME; under a plain name when pictures are wanted, since they show it."""
    if not pictures_are_wanted():
        yield tmp_path / "home"
        return
    plain = Path(tempfile.gettempdir()) / "torus-home"
    plain.mkdir()
    yield plain
    shutil.rmtree(plain)


@pytest.fixture
def desk(home: Path, tmp_path: Path) -> Iterator[Desk]:
    first = datetime.now(UTC).date() - timedelta(DAYS - 1)
    variables = {"TORUS_FIRST_DAY": first.isoformat()}
    torus = Torus(home, variables)
    size = ("--statements", "3000", "--days", str(DAYS), "--sections", "2", "--students", "20")
    torus("sample", "--out", f"file://{home}", "--first-day", first.isoformat(), *size).expect(0)
    torus("ingest", "--from", first.isoformat(), "--to", (first + timedelta(2)).isoformat()).expect(0)
    with dagster_dev(home, variables) as server, screens(server.api.url, tmp_path / "pictures") as window:
        yield Desk(window, server, first)


def test_the_graph_the_dialogs_the_sensor_and_the_metadata_work_in_a_browser(desk: Desk, subtests: pytest.Subtests):
    with subtests.test("the graph shows every group, and every asset once the groups are open"):
        the_graph_shows_groups_and_assets(desk)
    backfill = launch_three_days(desk)  # first, since the daemon takes up to half a minute to see it
    with subtests.test("one partition is materialized from the dialog, and its run succeeds"):
        materialize_one_day(desk)
    with subtests.test("the sensor is turned on and off on its page"):
        toggle_the_sensor(desk)
    with subtests.test("the metadata of a partition can be read, and its counts add up"):
        read_the_counts(desk)
    with subtests.test("the backfill was one run, and the screen says that it is done"):
        the_backfill_is_one_run(desk, backfill)
    with subtests.test("no run failed, those that the sample's requests started included"):
        until("every run is over", RUN_SECONDS, lambda: not desk.server.api.runs(statuses=UNFINISHED))
        assert [(run.job, run.days, run.steps) for run in desk.server.api.runs() if run.status != "SUCCESS"] == []
    with subtests.test("the console has no error"):
        assert desk.window.errors == []


def the_graph_shows_groups_and_assets(desk: Desk) -> None:
    assets = desk.server.api.assets()
    desk.window.open_graph()
    desk.window.shows(*sorted(set(assets.values())))
    desk.window.picture("graph", height=560)
    desk.window.page.set_viewport_size({"width": 1400, "height": 2400})  # assets outside the window are not drawn
    desk.window.open_graph()
    desk.window.expand_groups()
    desk.window.shows(*(name.rpartition("/")[2] for name in assets))
    desk.window.picture("graph-open", height=2000)


def launch_three_days(desk: Desk) -> str:
    dialog = desk.window.choose("refresh", f"[{desk.days[3]}...{desk.days[5]}]")
    desk.window.shows("3 partitions")
    desk.window.picture("backfill-dialog")
    desk.window.launch(dialog, "Launch backfill")
    return desk.window.created_backfill()


def materialize_one_day(desk: Desk) -> None:
    day = desk.days[6]
    dialog = desk.window.choose("refresh", day)
    desk.window.shows("1 partition")
    desk.window.picture("materialize-dialog")
    desk.window.launch(dialog, "Launch 1 run")
    [run] = until("a run of the day", RUN_SECONDS, lambda: desk.server.api.runs(**{"dagster/partition": day}))
    desk.window.open(f"/runs/{run.id}")
    expect(desk.window.page.get_by_text("Success", exact=True).first).to_be_visible(timeout=RUN_SECONDS * 1000)
    desk.window.picture("run", height=1000)


def toggle_the_sensor(desk: Desk) -> None:
    api, window = desk.server.api, desk.window
    window.open_sensor(SENSOR)
    assert not api.sensor_is_on(SENSOR), "listing costs requests, so the sensor waits to be turned on"
    window.press_switch()
    expect(window.switch()).to_be_checked()
    until(
        "a tick of the sensor",
        RUN_SECONDS,
        lambda: [tick for tick in api.ticks(SENSOR) if tick["status"] != "STARTED"],
        instead=lambda: api.ticks(SENSOR),
    )
    assert all(tick["status"] != "FAILURE" for tick in api.ticks(SENSOR)), api.ticks(SENSOR)
    window.open_sensor(SENSOR)
    window.picture("sensor", height=760)
    window.press_switch()
    expect(window.switch()).not_to_be_checked()
    until("the sensor is off", RUN_SECONDS, lambda: not api.sensor_is_on(SENSOR))
    window.open("/automation")
    window.shows(SENSOR)
    window.picture("automation", height=760)


def read_the_counts(desk: Desk) -> None:
    day = desk.days[1]
    shown = desk.window.partition_metadata("xapi/bundles", day)
    desk.window.picture("day", height=1100)
    told = desk.server.api.materializations("xapi/bundles", day)[0]
    counts = {
        name: int(shown[name].replace(",", "")) for name in ("bundles", "lines", "rows", "duplicates", "quarantined", "forgotten", "blank")
    }
    assert counts == {name: told[name] for name in counts}
    assert counts["rows"] > 0
    assert counts["lines"] == counts["rows"] + counts["duplicates"] + counts["quarantined"] + counts["forgotten"] + counts["blank"]
    desk.window.partition_metadata("xapi/part_attempts", day)
    desk.window.shows("events_per_hour")
    desk.window.picture("events-per-hour", height=1400)
    desk.window.partition_metadata("xapi/quarantine", day)
    desk.window.shows("by_reason")
    desk.window.picture("quarantine", height=1400)


def the_backfill_is_one_run(desk: Desk, backfill: str) -> None:
    api = desk.server.api
    until("the backfill is over", BACKFILL_SECONDS, lambda: api.backfill_status(backfill) not in {"REQUESTED", "CANCELING"})
    assert api.backfill_status(backfill) == SUCCESS
    [run] = api.runs(**{"dagster/backfill": backfill})
    assert run.days == (desk.days[3], desk.days[5])
    desk.window.open(f"/runs/b/{backfill}")
    desk.window.shows("Succeeded", "100% completed")
    desk.window.picture("backfill", height=700)
    desk.window.partition_metadata("warehouse/raw_events", desk.days[4])
    desk.window.picture("clickhouse-day", height=1100)
