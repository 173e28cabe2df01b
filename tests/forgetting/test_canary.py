"""The canary: one learner in every text field of every kind of line, searched for in every byte that the platform keeps."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.factories import bundle_key
from tests.forgetting import canary
from tests.forgetting.search import forms, in_tables, traces
from torus_assets import runs, settings
from torus_assets.cli import app
from torus_assets.clients import clickhouse
from torus_assets.clients.object_store import open_store
from torus_assets.xapi import day as days
from torus_assets.xapi import tables
from torus_assets.xapi.checks import uncounted
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tombstones import tombstone_secret

FIRST, LAST = date(2026, 2, 3), date(2026, 2, 5)
DAYS = (date(2026, 2, 3), date(2026, 2, 4), date(2026, 2, 5))
RANGE = ("--from", FIRST.isoformat(), "--to", LAST.isoformat())
THEIRS = [*canary.events(), *canary.refusals()]
SOUGHT = forms(canary.WORDS, THEIRS)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    for name in ("TORUS_XAPI_URL", "TORUS_INVENTORY_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "CLICKHOUSE_HOST", "TORUS_TOMBSTONE_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")
    monkeypatch.setenv("TORUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORUS_WORKERS", "1")
    monkeypatch.setenv("TORUS_MAX_QUARANTINED_SHARE", "1")
    return tmp_path / "home"


class Said:
    """Everything that commands said."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, *words: str, code: int = 0, given: str | None = None) -> Any:
        done = CliRunner().invoke(app, list(words), input=given, env={"COLUMNS": "200"}, prog_name="torus")
        self.text += done.output + done.stderr
        assert done.exit_code == code, f"{words}: {done.output}\n{done.exception!r}"
        return json.loads(done.stdout) if "--json" in words else done.stdout


def fill(home: Path) -> None:
    store = open_store(f"file://{home / 'xapi'}")
    store.put(bundle_key("a", day=DAYS[0]), b"\n".join([*canary.others(0), *THEIRS]))
    store.put(bundle_key("b", day=DAYS[0], second=1), b"\n".join([*THEIRS[:9], *canary.others(40)]))
    store.put(bundle_key("c", day=DAYS[1], section=99), b"\n".join([*THEIRS, b"", *canary.others(80)]))
    store.put(bundle_key("d", day=DAYS[2]), b"\n".join(canary.others(120)))


def refresh(**config: Any) -> runs.RunOutcome:
    return runs.run_days("refresh", FIRST, LAST, {"ops": {"xapi_day": {"config": config}}})


def test_after_forgetting_no_byte_of_the_learner_is_left(home, capfd):
    said = Said()
    fill(home)
    assert refresh().success
    said("quarantine", "list", *RANGE)
    lookup = {"users": {canary.USER: {"email": canary.EMAIL}, "100001": {"email": "else@example.edu"}}}
    open_store(f"file://{home / 'datasets'}").put("contexts/study.json", json.dumps(lookup).encode())
    request = home.parent / "request.json"
    request.write_text(json.dumps({"job_id": "study", "action": "attempt_evaluated", "section_ids": [3021]}))
    said("dataset", "submit", str(request))
    said("dataset", "run", "study", "--json")
    request.write_text(json.dumps({"job_id": "broken", "action": "video", "section_ids": [3021, 424242]}))
    said("dataset", "submit", str(request))
    said("dataset", "run", "broken", code=1)

    theirs = (home / "xapi", home / "datasets")
    before = traces(home, SOUGHT, theirs)
    assert any(name.startswith("lake/") for name in before), "the search finds what is there"
    assert any(name.startswith("clickhouse/") for name in before)
    assert {name.split(" ")[0] for hits in before.values() for name in hits} >= {*canary.WORDS, "hash"}
    assert not [name for name in before if name.startswith("dagster/")], "Dagster never had it"

    words = ("forget", "--home-page", f"https://{canary.HOME}/", "--user", "-", "--by", "Ada", "--yes")
    done = said(*words, "--json", given=canary.USER + "\n")
    receipt = done["receipt"]
    assert done["ok"]
    assert sorted(receipt["lines"]) == [DAYS[0].isoformat(), DAYS[1].isoformat()]
    assert receipt["total_lines"] == 2 * len(THEIRS) + 9
    assert (receipt["source_objects"], receipt["data_sets"]) == (3, {"runs": 1, "lookups": 1, "requests": 0, "cannot_be_told": 0})
    assert {(one["what"], one["command"]) for one in done["data_sets"]} == {
        ("run", "torus dataset withdraw study --by NAME"),
        ("lookup", "torus dataset withdraw study --by NAME"),
    }
    assert traces(home, SOUGHT, theirs) == {}
    assert said("status", "--json", code=3)["attention"] == [], "days stay loaded: ClickHouse lost the same"
    proof = said("dataset", "verify", "study", "--json")
    assert proof["ok"], "an erased learner is no damage"
    assert "learners were erased" in json.dumps(proof)
    said("dataset", "withdraw", "study", "--by", "Ada")
    said("dataset", "expire", "--withdrawn-days", "0", "--lookup-days", "0")
    assert traces(home, SOUGHT, theirs[:1]) == {}

    # Nothing brings them back: the objects of Torus' bucket still hold them.
    assert refresh(rebuild=True).success
    chosen = settings.from_environment()
    lake = Lake(chosen.lake_url)
    options = IngestOptions(workers=1, max_quarantined_share=1.0)
    for day in DAYS:
        days.replay(lake, day, chosen.spool, options, tables.REASONS, tombstone_key=tombstone_secret(chosen))
        assert uncounted(lake.snapshot(), day) == {}
    assert runs.run_days("warehouse_load", FIRST, LAST).success
    said("quarantine", "show", *RANGE)
    said("forget", "list")
    assert traces(home, SOUGHT, theirs[:1]) == {}
    ledger = lake.snapshot().ledger()
    assert ledger["forgotten"].sum() == receipt["total_lines"]
    with clickhouse.connect(chosen.clickhouse) as client:
        assert in_tables(client, SOUGHT) == []
        assert client.query("SELECT count() FROM system.parts WHERE NOT active AND rows > 0").result_rows == [(0,)]
        assert client.query("SELECT count() FROM raw_events").result_rows[0][0] == 3 * 22 + 22

    [observed] = [metadata_of(day) for day in DAYS[:1]]
    assert observed == sum(receipt["lines"][DAYS[0].isoformat()].values())
    heard = capfd.readouterr()
    assert not [name for name, form in SOUGHT.items() if form in (said.text + heard.out + heard.err).encode()]


def metadata_of(day: date) -> Any:
    """What the catalog shows of the day on the ledger's asset."""
    import dagster as dg

    with runs.instance() as instance:
        asked = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["xapi", "bundles"]), asset_partitions=[day.isoformat()])
        [record] = instance.fetch_observations(asked, limit=5).records
        observation = record.event_log_entry.asset_observation
        assert observation is not None
        return observation.metadata["forgotten"].value
