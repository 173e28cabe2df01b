"""A day through the graph, in this process: what a finished run shows, what it never shows, and what holds a day back."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from tests.factories import EXAMPLES, bundle_key, line, statement
from torus_assets import runs, settings
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.catalog import request_key
from torus_assets.datasets.request import parse_request
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world
from torus_assets.xapi import tables
from torus_assets.xapi.checks import uncounted
from torus_assets.xapi.lake import Lake

DAY = date(2026, 2, 2)
PREVIEWED = ("part_attempts", "page_views", "video_events", "bundles", "quarantine")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A TORUS_HOME of this test; the Dagster instance inside it."""
    for name in ("TORUS_XAPI_URL", "TORUS_INVENTORY_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "CLICKHOUSE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")  # remembered, so that what `runs` sets is taken back
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    monkeypatch.setenv("TORUS_WORKERS", "1")
    return tmp_path


def world(home: Path, statements: int, **options: Any) -> dict[str, Any]:
    return make_world(SampleOptions(out=f"file://{home}", statements=statements, days=1, **options))


def ingest(**config: Any) -> runs.RunOutcome:
    return runs.run_days("ingest", DAY, DAY, {"ops": {"xapi_day": {"config": config}}})


def load(**config: Any) -> runs.RunOutcome:
    return runs.run_days("warehouse_load", DAY, DAY, {"ops": {"raw_events": {"config": config}}})


def stored(home: Path) -> bytes:
    """Every byte that Dagster keeps: runs, events, tags, metadata, captured output."""
    return b"".join(path.read_bytes() for path in (home / "dagster").rglob("*") if path.is_file())


def private_values(lake: Lake) -> set[str]:
    """What stands in the lake's private columns; texts of less than ten characters may stand elsewhere by chance."""
    snapshot, found = lake.snapshot(), set[str]()
    for table in (*tables.EVENT_TABLES, tables.QUARANTINE):
        rows = snapshot.scan(table.name).collect()
        for column in table.columns:
            if column.private and rows.schema[column.name] == pl.String and not column.name.startswith("home_page"):
                found |= set(rows[column.name].drop_nulls())
    return {value for value in found if len(value) >= 10}


def put_canaries(home: Path) -> None:
    """Lines that would show early in every preview, and refusals whose wrong values are a learner's."""
    learner = {"actor.account.name": 900719925474099, "timestamp": f"{DAY}T00:00:00Z"}
    mail = {"actor": {"mbox": "mailto:canary@example.edu"}, "timestamp": f"{DAY}T00:00:00Z"}
    wrote = {"result.response": {"input": "CANARY wrote"}, "ext(session_id)": "CANARY-session", "rext(feedback)": "CANARY feedback"}
    lines = [
        *(statement(kind, {**learner, **(wrote if kind == "part_attempt_evaluated" else {})}) for kind in EXAMPLES),
        *(statement(kind, mail) for kind in EXAMPLES),
        statement("part_attempt_evaluated", {**learner, "result.score.raw": "CANARY score"}),
        statement("page_viewed", {**learner, "ext(page_id)": "CANARY page", "ext(CANARY)": "CANARY"}),
        statement("page_viewed", {**learner, "timestamp": "CANARY time"}),
        "CANARY bare text",
    ]
    target = home / "xapi" / bundle_key("canary", day=DAY)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(b"\n".join([*map(line, lines), b"CANARY is no JSON", b'{"actor": "CANARY']))


def test_a_finished_run_shows_counts_and_rows_but_nothing_a_learner_is_or_wrote(home):
    world(home, 2000)
    put_canaries(home)
    outcome = ingest()
    assert outcome.success, outcome.errors
    assert outcome.checks == {
        "xapi/bundles:counts_add_up": True,
        "xapi/bundles:schema_as_declared": True,
        "xapi/quarantine:few_quarantined": True,
    }
    [shown] = outcome.of("xapi/bundles").values()
    total = shown["result"]["day_total"]
    assert total["bundles"] > 1
    assert all(shown[name] == total[name] for name in ("bundles", "lines", "blank", "duplicates"))
    assert shown["rows"] == sum(total["rows"].values())
    for name in PREVIEWED:
        [metadata] = outcome.of(f"xapi/{name}").values()
        assert metadata["dagster/partition_row_count"] > 0
        assert metadata["preview"].count("\n") >= 2
        assert not re.search(r"user_id|email|response|feedback|session_id", metadata["preview"].splitlines()[0])

    assert load().success
    for job in ("sample-attempts", "sample-datashop"):
        request = parse_request(open_store(settings.from_environment().datasets_url).get(request_key(job)).body)
        assert runs.run_dataset(request).success
    private = private_values(Lake(settings.from_environment().lake_url))
    assert len(private) > 100
    assert {"900719925474099", "mailto:canary@example.edu"} <= private
    kept = stored(home)
    assert b"counts_add_up" in kept
    assert [value for value in private if value.encode() in kept] == []
    assert re.findall(rb".{0,80}(?:CANARY|canary@).{0,20}", kept) == []


def test_a_day_with_much_damage_is_held_until_it_is_released(home):
    world(home, 400, damage=0.3)
    outcome = ingest()
    assert outcome.checks["xapi/quarantine:few_quarantined"] is False
    assert outcome.failed_checks == ["xapi/quarantine:few_quarantined"]
    lake = Lake(settings.from_environment().lake_url)
    assert lake.snapshot().held() == [DAY]

    refused = load()
    assert not refused.success
    assert any("held" in error and DAY.isoformat() in error for error in refused.errors)
    assert load(include_held=True).success

    released = ingest(max_quarantined_share=0.6)
    assert released.success, released.errors
    assert released.failed_checks == []
    assert lake.snapshot().held() == []
    assert load().success


def test_a_file_that_no_ledger_row_accounts_for_is_found(home):
    world(home, 200)
    assert ingest().success
    lake = Lake(settings.from_environment().lake_url)
    snapshot = lake.snapshot()
    assert uncounted(snapshot, DAY) == {}
    with snapshot.local(snapshot.files(kinds=["video"], first=DAY, last=DAY), home) as [stolen, *_]:
        lake.commit(snapshot, DAY, [lake.place(stolen, DAY, "video")], [], rewrite=False)
    assert "event" in uncounted(lake.snapshot(), DAY)
    outcome = ingest()
    assert outcome.checks["xapi/bundles:counts_add_up"] is False
    with dg.DagsterInstance.get() as instance:
        assert instance.get_runs_count() == 2
