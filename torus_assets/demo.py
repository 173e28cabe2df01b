"""The main job, end to end, on a sample world whose truth is known: every step is the same run the UI would start."""

from __future__ import annotations

import json
import time
from datetime import date, timedelta
from typing import Any

from torus_assets import console, runs
from torus_assets import reconcile as compare
from torus_assets.bars import Bars
from torus_assets.clients import clickhouse
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.catalog import request_key
from torus_assets.datasets.request import parse_request
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world
from torus_assets.settings import Settings
from torus_assets.xapi.lake import Lake

REQUESTS = ("sample-attempts", "sample-page-views", "sample-video", "sample-datashop")


class NotTheDemosPlace(RuntimeError):
    """The demo only works where it may make a sample world."""


def run(settings: Settings, statements: int, *, as_json: bool = False) -> bool:
    """Makes (or finds) the world, ingests, loads, exports, reconciles; whether everything equals the truth.

    Raises:
        NotTheDemosPlace: the stores are real, or hold other bundles.
    """
    started = time.monotonic()
    truth = _world(settings, statements)
    first = date.fromisoformat(truth["options"]["first_day"])
    last = max(date.fromisoformat(day) for day in truth["days"])
    steps: list[list[Any]] = []
    checks: dict[str, bool] = {}

    def step(name: str, outcome: runs.RunOutcome, words: str) -> None:
        for error in outcome.errors:
            console.complain(error)
        checks.update({f"{name}: {check}": passed for check, passed in outcome.checks.items()})
        steps.append([name, words, "ok" if outcome.success and not outcome.failed_checks else "NOT RIGHT"])
        console.say(f"{name}: {words}")

    with Bars().shown() as bars:
        outcome = runs.run_days("ingest", first, last, progress=bars)
    days = {found["result"]["day"]: found["result"]["day_total"] for found in outcome.of("xapi/bundles").values() if "result" in found}
    step(
        "ingest",
        outcome,
        f"{sum(day['lines'] for day in days.values()):,} lines of {sum(day['bundles'] for day in days.values()):,} bundles",
    )
    with Bars().shown() as bars:
        outcome = runs.run_days("warehouse_load", first, last, progress=bars)
    loaded = [found for found in outcome.of("warehouse/raw_events").values() if "inserted" in found]
    step("warehouse load", outcome, f"{sum(found['inserted'] for found in loaded):,} events inserted")
    datasets = open_store(settings.datasets_url)
    for job in REQUESTS:
        request = parse_request(datasets.get(request_key(job)).body)
        with Bars().shown() as bars:
            outcome = runs.run_dataset(request, progress=bars)
        [found] = list(outcome.of(f"datasets/{'datashop' if request.action == 'datashop' else 'csv'}").values()) or [{}]
        step(f"data set {job}", outcome, f"{found.get('dagster/row_count', 0):,} rows in {found.get('files', 0)} files")
    differences = differences_from_truth(truth, days) + _reconciled(settings, truth, first, last)
    ok = not differences and all(checks.values()) and all(row[2] == "ok" for row in steps)
    _report(settings, truth, steps, checks, differences, time.monotonic() - started, ok=ok, as_json=as_json)
    return ok


def _world(settings: Settings, statements: int) -> dict[str, Any]:
    place = f"file://{settings.home}"
    if settings.xapi_url != f"{place}/xapi":
        raise NotTheDemosPlace(f"the demo makes its world under TORUS_HOME, but TORUS_XAPI_URL is {settings.xapi_url}: unset it")
    store = open_store(place)
    try:
        truth = _truth(store)
        console.say(f"using the sample world that is there: {truth['statements']:,} statements")
        return truth
    except FileNotFoundError:
        console.say(f"making a sample world of {statements:,} statements under {settings.home}")
    with Bars().shown() as bars:
        make_world(SampleOptions(out=place, statements=statements), progress=lambda done, total: bars.say("sample", done, total))
    return _truth(store)


def _truth(store: ObjectStore) -> dict[str, Any]:
    return json.loads(store.get("truth.json").body)


def differences_from_truth(truth: dict[str, Any], days: dict[str, dict[str, Any]]) -> list[str]:
    """How the days as ingested differ from the world's truth, in words; empty when they agree to the last line."""
    found = []
    for day in sorted(truth["days"].keys() | {day for day, total in days.items() if total["bundles"]}):
        expected, got = truth["days"].get(day), days.get(day)
        if expected is None or got is None:
            found.append(f"{day}: {'not in the truth' if expected is None else 'not ingested'}")
            continue
        found += [f"{day}: {name} is {got.get(name)}, the truth is {value}" for name, value in expected.items() if got.get(name) != value]
    return found


def in_words(truth: dict[str, Any]) -> str:
    """What the world's lines came to: how the numbers of the steps go together."""
    days = truth["days"].values()
    lines, blank, duplicates = (sum(day[name] for day in days) for name in ("lines", "blank", "duplicates"))
    rows, refused = (sum(sum(day[name].values()) for day in days) for name in ("rows", "quarantined"))
    events = truth["distinct_events"]
    return (
        f"{lines:,} = {rows:,} rows + {duplicates:,} duplicates + {refused:,} quarantined + {blank:,} blank; "
        f"the rows are {events:,} events, as {rows - events:,} were replayed on another day"
    )


def _reconciled(settings: Settings, truth: dict[str, Any], first: date, last: date) -> list[str]:
    lake = Lake(settings.lake_url)
    found = compare.reconcile_store(
        open_store(settings.xapi_url), open_store(settings.inventory_url), lake, first, last + timedelta(days=1)
    )
    with clickhouse.connect(settings.clickhouse) as client:
        warehouse = compare.reconcile_warehouse(client, lake, first, last, settings.spool)
        count = int(client.command("SELECT count() FROM raw_events"))  # pyright: ignore[reportArgumentType]
    result = compare.document(found, warehouse)
    differences = [] if result["ok"] else ["reconcile: store, ledger, lake and ClickHouse do not agree; see `torus reconcile`"]
    if count != truth["distinct_events"]:
        differences.append(f"ClickHouse: count() is {count:,}, the truth is {truth['distinct_events']:,} distinct events")
    return differences


def _report(
    settings: Settings,
    truth: dict[str, Any],
    steps: list[list[Any]],
    checks: dict[str, bool],
    differences: list[str],
    seconds: float,
    *,
    ok: bool,
    as_json: bool,
) -> None:
    if as_json:
        console.document({"steps": steps, "checks": checks, "differences": differences, "seconds": round(seconds, 1), "ok": ok})
        return
    console.table("demo: the main job on a sample world", ["step", "what it did", "state"], steps)
    console.table("asset checks", ["check", "passed"], [[name, "yes" if passed else "NO"] for name, passed in checks.items()])
    for difference in differences:
        console.complain(difference)
    console.out.print(f"Of the lines: {in_words(truth)}.")
    if ok:
        console.out.print(
            f"[bold green]All {len(checks)} checks passed; every count equals the world's truth.[/] {truth['statements']:,} statements, {seconds:.0f} s."
        )
        console.out.print(
            f"Look at it: `make dev` starts the Dagster UI with these runs. Everything is under {settings.home}.", soft_wrap=True
        )
