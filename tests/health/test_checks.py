"""The standing checks as runs of their jobs: they pass when all is right, and name what is not and what to run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.clickhouse import ClickHouseResource
from resources.lake import LakeResource
from resources.s3 import ObjectStoreResource
from tests.factories import DAY, Place, bundle_key, line, numbered, statement
from tests.health import graph
from tests.health.graph import QUIET
from tests.health.ledgers import bundle
from tests.inventories import row, write
from torus_assets.arrivals import table
from torus_assets.clients.object_store import open_store
from torus_assets.failures.processes import this_process
from torus_assets.health.checks import HEALTH_CHECKS, RECONCILE_CHECKS, ledger_has_every_object
from torus_assets.health.store import Places, by_inventory
from torus_assets.steps import PROCESS
from torus_assets.warehouse.load import load_day
from torus_assets.xapi.day_content import day_content

TODAY = datetime.now(UTC).date()


class Site:
    """A store, an inventory, a lake, a warehouse and an instance below one folder."""

    def __init__(self, root: Path, instance: dg.DagsterInstance) -> None:
        self.place, self.instance = Place(root), instance
        self.inventory = open_store(str(root / "inventory"))
        self.clickhouse = ClickHouseResource(folder=str(root / "clickhouse"))
        self.definitions = dg.Definitions.merge(
            graph.DEFS,
            dg.Definitions(
                asset_checks=[*RECONCILE_CHECKS, *HEALTH_CHECKS],
                jobs=[
                    dg.define_asset_job("reconcile", dg.AssetSelection.checks(*RECONCILE_CHECKS)),
                    dg.define_asset_job("health", dg.AssetSelection.checks(*HEALTH_CHECKS)),
                ],
                resources={
                    "bundles": ObjectStoreResource(url=self.place.url),
                    "inventory": ObjectStoreResource(url=self.inventory.url),
                    "lake": LakeResource(url=self.place.lake.root),
                    "clickhouse": self.clickhouse,
                },
            ),
        )

    def check(self, job: str, ops: dict[str, Any] | None = None, *, ok: bool = True) -> dict[str, tuple[bool, dict[str, Any]]]:
        """Runs the job; every check by asset and name with its evidence."""
        done = self.definitions.resolve_job_def(job).execute_in_process({**QUIET, "ops": ops or {}}, self.instance, raise_on_error=False)
        assert done.success is ok
        kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION
        found = [event.asset_check_evaluation_data for event in done.all_events if event.event_type == kind]
        return {
            f"{one.asset_key.to_user_string()}:{one.check_name}": (one.passed, {name: shown.value for name, shown in one.metadata.items()})
            for one in found
        }

    def reconcile(self, **config: Any) -> dict[str, tuple[bool, dict[str, Any]]]:
        return self.check("reconcile", {ledger_has_every_object.node_def.name: {"config": config}})


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        yield Site(tmp_path, instance)


LEDGER, EVENTS, FRESH = (
    "xapi/bundles:ledger_has_every_object",
    "warehouse/raw_events:clickhouse_has_every_event",
    "warehouse/raw_events:newest_day_is_fresh",
)
FAILED_BUNDLES, FAILED_EVENTS, FAILED_CSV = (
    f"{asset}:no_partition_failed" for asset in ("xapi/bundles", "warehouse/raw_events", "datasets/csv")
)


def ingested(site: Site, *days: date) -> None:
    """A bundle of each day, in the lake."""
    for number, day in enumerate(days):
        site.place.put(bundle_key("a", day=day), [numbered(number)])
        site.place.ingest(day=day)


def loaded(site: Site, day: date) -> None:
    """The day in ClickHouse, and recorded as the asset records it."""
    snapshot = site.place.lake.snapshot()
    with site.clickhouse.client() as client:
        load_day(client, snapshot, day, scratch=site.place.spool)
    assert graph.run(site.instance, "load", day, raw_events={"content": {str(day): day_content(snapshot, day)}}).success


def test_an_empty_installation_is_right(site):
    found = {**site.check("reconcile"), **site.check("health")}
    assert len(found) == 7
    assert [name for name, (passed, _) in found.items() if not passed] == []
    assert found[FRESH][1]["newest_known"] == "none"
    assert found[LEDGER][1]["compared_with"] == "listing"


def test_an_inventory_names_what_the_ledger_lacks_and_puts_it_to_arrivals(site):
    ingested(site, DAY)
    late = site.place.put(bundle_key("late"), [numbered(7)])
    objects = [row(info.key, info.etag, info.size, info.last_modified) for info in open_store(site.place.url).list()]
    stray = row(bundle_key("young", day=DAY + timedelta(days=9)))  # not settled yet when the report was made
    manifest = write(site.inventory, "2026-02-12T01-00Z", [[*objects, stray]])
    passed, evidence = site.reconcile()[LEDGER]
    assert not passed
    assert (evidence["compared_with"], evidence["days_compared"], evidence["missing"], evidence["put_to_arrivals"]) == (manifest, 1, 1, 1)
    assert evidence["keys"] == [late]
    assert "torus backfill --from 2026-02-03 --to 2026-02-03" in evidence["what_to_do"]
    lake = open_store(site.place.lake.root)
    [rows] = table.pending(lake, site.place.lake.snapshot()).values()
    assert rows.select("key", "told_by").rows() == [(late, "inventory")]

    site.place.ingest()
    passed, evidence = site.reconcile(manifest=manifest)[LEDGER]
    assert passed
    assert (evidence["objects"], evidence["what_to_do"]) == (2, "nothing")
    assert table.pending(lake, site.place.lake.snapshot()) == {}


def test_without_an_inventory_and_when_asked_the_open_days_are_listed(site):
    key = site.place.put(bundle_key("now", day=TODAY), [numbered(1)])
    site.place.put(bundle_key("long-ago"), [numbered(2)])
    passed, evidence = site.reconcile()[LEDGER]
    assert passed  # it has only just been written
    assert (evidence["waiting"], evidence["put_to_arrivals"], evidence["objects"]) == (1, 1, 1)
    hours = time.time() - 7200
    os.utime(site.place.store / key, (hours, hours))
    write(site.inventory, "2026-02-12T01-00Z", [[]])
    passed, evidence = site.reconcile(listing=True)[LEDGER]
    assert not passed
    assert (evidence["compared_with"], evidence["missing"], evidence["keys"]) == ("listing", 1, [key])


def test_a_damaged_report_is_passed_over_for_an_older_one_unless_it_is_named(site):
    older = write(site.inventory, "2026-02-12T01-00Z", [[row(bundle_key("a"))]])
    damaged = write(site.inventory, "2026-02-13T01-00Z", [[row(bundle_key("a"))]])
    data = Path(site.inventory.path("events/daily/data/2026-02-13T01-00Z-0.parquet"))
    body = bytearray(data.read_bytes())
    body[40] ^= 255
    data.write_bytes(body)
    evidence = site.reconcile()[LEDGER][1]
    assert evidence["compared_with"] == older
    assert "MD5" in evidence["inventories_passed_over"][damaged]
    found = site.check("reconcile", {ledger_has_every_object.node_def.name: {"config": {"manifest": damaged}}}, ok=False)
    assert LEDGER not in found


def test_more_than_arrivals_should_take_is_named_and_left_to_a_backfill(site, monkeypatch):
    monkeypatch.setattr("torus_assets.health.store.ARRIVALS_AT_MOST", 3)
    days = [DAY - timedelta(days=n) for n in range(3)]
    write(site.inventory, "2026-02-12T01-00Z", [[row(bundle_key(f"b{n}", day=day)) for day in days for n in range(2)]])
    places = Places(open_store(site.place.url), site.inventory, site.place.lake, site.place.spool)
    looked = by_inventory(places, date(2023, 1, 1), datetime.now(UTC))
    assert looked is not None
    assert (looked.told, looked.days_untold) == (2, [days[2], days[1]])


def test_clickhouse_is_compared_with_the_days_of_the_lake(site):
    ingested(site, DAY, DAY + timedelta(days=1))
    loaded(site, DAY)
    passed, evidence = site.check("reconcile")[EVENTS]
    assert not passed
    assert evidence["missing_by_day"] == {"2026-02-04": 1}
    assert evidence["what_to_do"] == "torus warehouse load --from 2026-02-04 --to 2026-02-04"
    loaded(site, DAY + timedelta(days=1))
    passed, evidence = site.check("reconcile")[EVENTS]
    assert passed
    assert (evidence["events_of_the_lake"], evidence["first_day"], evidence["last_day"]) == (2, "2026-02-03", "2026-02-04")
    name = EVENTS.replace("/", "__").replace(":", "_")
    passed, evidence = site.check("reconcile", {name: {"config": {"first": "2026-02-04"}}})[EVENTS]
    assert (passed, evidence["events_of_the_lake"]) == (True, 1)
    assert EVENTS not in site.check("reconcile", {name: {"config": {"first": "4 February"}}}, ok=False)


def test_what_arrived_and_waits_too_long_is_not_fresh_until_it_is_in_clickhouse(site):
    ingested(site, DAY)
    passed, evidence = site.check("health")[FRESH]
    assert passed  # just committed
    assert (evidence["days_not_loaded"], evidence["newest_in_clickhouse"]) == (1, "none")
    loaded(site, DAY)
    later = site.place.put(bundle_key("b"), [numbered(5)])
    [info] = [info for info in open_store(site.place.url).list() if info.key == later]
    hours_ago = datetime.now(UTC) - timedelta(hours=2)
    table.add(open_store(site.place.lake.root), [bundle("b", section=3021, etag=info.etag, at=hours_ago)], datetime.now(UTC))
    passed, evidence = site.check("health")[FRESH]
    assert not passed
    assert evidence["waiting_bundles"] == 1
    assert 7200 <= evidence["oldest_wait_seconds"] < 7300
    assert evidence["what_to_do"] == "torus backfill --from 2026-02-03 --to 2026-02-03"
    assert evidence["arrivals_sensor"].startswith("stopped")
    site.place.ingest()
    loaded(site, DAY)
    passed, evidence = site.check("health")[FRESH]
    assert (passed, evidence["what_to_do"], evidence["newest_in_clickhouse"]) == (True, "nothing", "2026-02-03")


def test_failed_partitions_are_named_with_runs_and_commands_and_a_later_success_clears_them(site):
    ingested(site, DAY)
    broken = graph.run(site.instance, "refresh", DAY, DAY + timedelta(days=1), raw_events={"fails": True})
    site.instance.add_dynamic_partitions("dataset_jobs", ["job-1"])
    export = graph.run(site.instance, "dataset", "job-1", csv={"fails": True})
    found = site.check("health")
    assert found[FAILED_BUNDLES][0]
    passed, evidence = found[FAILED_EVENTS]
    assert not passed
    assert evidence["failed_partitions"] == {"2026-02-03": broken.run_id}  # the lake has no 4 February: nothing to load
    assert evidence["what_to_do"] == "torus warehouse load --from 2026-02-03 --to 2026-02-03"
    passed, evidence = found[FAILED_CSV]
    assert (passed, evidence["failed_partitions"], evidence["what_to_do"]) == (False, {"job-1": export.run_id}, "torus dataset run job-1")
    graph.run(site.instance, "load", DAY)
    graph.run(site.instance, "dataset", "job-1")
    found = site.check("health")
    assert found[FAILED_EVENTS][0]
    assert found[FAILED_CSV][0]


def test_held_days_and_runs_of_a_killed_process_are_named(site):
    site.place.put(bundle_key("bad"), [b"no json", line(statement("page_viewed"))])
    site.place.ingest(max_quarantined_share=0.1)
    gone = this_process()._replace(started="1")
    job = graph.DEFS.resolve_job_def("load")
    tags = {PROCESS: str(gone), "dagster/partition": "2026-02-05"}
    left = site.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    found = site.check("health")
    passed, evidence = found[FAILED_BUNDLES]
    assert not passed
    assert (evidence["failed"], evidence["held_days"], evidence["runs_left"]) == (0, ["2026-02-03"], {})
    assert evidence["what_to_do"] == "torus quarantine list --from 2026-02-03 --to 2026-02-03"
    passed, evidence = found[FAILED_EVENTS]
    assert not passed
    assert evidence["runs_left"] == {left.run_id: ["2026-02-05"]}
