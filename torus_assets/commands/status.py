"""`torus status`: one screen of what needs attention, and what to run next."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.options import Json
from torus_assets.console import NOT_RIGHT, USAGE

if TYPE_CHECKING:
    import dagster as dg

    from torus_assets.health.days import Attention, Facts, Failed
    from torus_assets.instance_state import Unfinished, Watcher

SHOWN = 40  # lines of the table; --json has all
First = Annotated[datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="Only upload days from this one on.")]
Last = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Only upload days up to this one.")]


def status(first: First = None, last: Last = None, as_json: Json = False) -> None:
    """Say which days, data sets and runs need attention, and the command to run next for each. Looks only; the store is not listed."""
    from torus_assets.health.days import attention, in_order

    if first and last and last < first:
        console.complain(f"--to {last.date()} is before --from {first.date()}")
        raise typer.Exit(USAGE)
    facts, elsewhere = _look(first.date() if first else date.min, last.date() if last else date.max)
    found = attention(facts)
    ok = not (any(need.urgent for need in found) or elsewhere["datasets"] or elsewhere["runs_left"])
    ok = ok and all(watcher["right"] for watcher in elsewhere["watchers"])
    result = {"attention": [need.document() for need in found], "days_in_order": in_order(facts, found), **elsewhere, "ok": ok}
    if as_json:
        console.document(result)
    else:
        _show(found, result)
    if not ok:
        raise typer.Exit(NOT_RIGHT)


def _look(first: date, last: date) -> tuple[Facts, dict[str, Any]]:
    """Facts of the days, and everything that is not about a day."""
    from torus_assets import definitions, instance_state, runs

    with runs.instance() as instance:
        unfinished = instance_state.unfinished(instance)
        watchers = instance_state.watchers(instance, definitions.build().get_repository_def())
        daemon = instance_state.daemon_runs(instance, time.time())
        facts = _facts(instance, unfinished, _patience(watchers, daemon=daemon), first, last)
        left = [run for run in unfinished if run.process == "gone" and not any(map(_day, run.partitions))]
        return facts, {
            "datasets": _failed_datasets(instance),
            "runs_left": [{"run": run.run_id, "job": run.job, "partitions": list(run.partitions)} for run in left],
            "watchers": [{**watcher._asdict(), "right": watcher.right} for watcher in watchers],
            "daemon": daemon,
        }


def _facts(instance: dg.DagsterInstance, unfinished: Iterable[Unfinished], patience: timedelta, first: date, last: date) -> Facts:
    from torus_assets import instance_state
    from torus_assets.clients.object_store import open_store
    from torus_assets.health import checks, days, lake_days, store
    from torus_assets.partitions import EVENT_DAYS
    from torus_assets.xapi import tables
    from torus_assets.xapi.day_content import CONTENT
    from torus_assets.xapi.lake import Lake

    chosen = settings.from_environment()
    snapshot = store.snapshot_of(Lake(chosen.lake_url))
    lake = lake_days.lake_days(snapshot)
    records = {key: instance_state.latest(instance, key) for key in (checks.BUNDLES, checks.RAW_EVENTS)}
    failed = [
        (day, days.Failed(key.to_user_string(), run))
        for key, latest in records.items()
        for day, run in instance_state.failed(instance, key, EVENT_DAYS, latest).items()
    ]
    spool = lake_days.spool_days(chosen.spool)

    def within(found: Mapping[date, Any]) -> dict[date, Any]:
        return {day: one for day, one in found.items() if first <= day <= last}

    return days.Facts(
        now=datetime.now(UTC),
        parser_version=tables.PARSER_VERSION,
        waiting=within(lake_days.waiting_days(open_store(chosen.lake_url), snapshot)),
        lake=within(lake),
        loaded=instance_state.text_of(records[checks.RAW_EVENTS], CONTENT),
        writing=within(_by_day((run for run in unfinished if run.process != "gone"), spool.writing)),
        left=within(_by_day((run for run in unfinished if run.process == "gone"), spool.left)),
        failed=within(days.counted(_grouped(failed), lake)),
        patience=patience,
    )


def _patience(watchers: Iterable[Watcher], *, daemon: bool) -> timedelta:
    """How long what arrived may be under way: none, if nothing is there to take it."""
    from torus_assets.health.checks import ARRIVALS

    takes = daemon and any(watcher.running for watcher in watchers if watcher.name == ARRIVALS)
    return timedelta(minutes=settings.from_environment().fresh_minutes if takes else 0)


def _by_day(runs: Iterable[Unfinished], folders: Iterable[date]) -> dict[date, tuple[str, ...]]:
    """Runs of each day; a day of which there is only a folder in the spool has none."""
    found: dict[date, tuple[str, ...]] = dict.fromkeys(folders, ())
    for run in runs:
        for day in filter(None, map(_day, run.partitions)):
            found[day] = (*found.get(day, ()), run.run_id)
    return found


def _grouped(failed: Iterable[tuple[str, Failed]]) -> dict[date, tuple[Failed, ...]]:
    found: dict[date, tuple[Failed, ...]] = {}
    for text, one in failed:
        if day := _day(text):
            found[day] = (*found.get(day, ()), one)
    return found


def _day(partition: str) -> date | None:
    try:
        return date.fromisoformat(partition)
    except ValueError:
        return None  # a data set's job


def _failed_datasets(instance: dg.DagsterInstance) -> list[dict[str, str]]:
    from torus_assets import instance_state
    from torus_assets.health import checks
    from torus_assets.partitions import DATASET_JOBS

    return [
        {"job": job, "asset": key.to_user_string(), "run": run, "command": f"torus dataset run {job}"}
        for key in checks.DATASETS
        for job, run in instance_state.failed(instance, key, DATASET_JOBS, instance_state.latest(instance, key)).items()
    ]


def _show(found: list[Attention], result: Mapping[str, Any]) -> None:
    from torus_assets.health.days import spelled

    rows = [[spelled(need.first, need.last), need.state, _words(need), _runs(need.runs), need.command or "wait"] for need in found]
    rows += [
        [one["job"], "failed", f"the latest attempt failed: {one['asset']}", one["run"][:8], one["command"]] for one in result["datasets"]
    ]
    rows += [[one["job"], "left by a killed run", "its process is gone", one["run"][:8], "run it again"] for one in result["runs_left"]]
    if rows:
        console.table("what needs attention", ["days", "state", "what", "runs", "next"], rows[:SHOWN])
    if len(rows) > SHOWN:
        console.out.print(f"and {len(rows) - SHOWN} lines more: --json has all")
    console.out.print(_watchers(result))
    in_order = f"{result['days_in_order']:,} days in order"
    if not rows and not result["days_in_order"]:
        console.out.print(
            "nothing was ingested yet: `torus backfill --from DAY --to DAY`, or turn on the sensor s3_arrivals in `torus dev`."
        )
    else:
        console.out.print(f"{in_order}: nothing to do." if not rows and result["ok"] else in_order)


def _words(need: Attention) -> str:
    days = f"{need.days:,} days, " if need.days > 1 else ""
    return f"{days}{need.bundles:,} bundles {need.detail}" if need.bundles else f"{days}{need.detail}"


def _runs(runs: tuple[str, ...]) -> str:
    more = f" +{len(runs) - 2}" if len(runs) > 2 else ""
    return " ".join(run[:8] for run in runs[:2]) + more


def _watchers(result: Mapping[str, Any]) -> str:
    """Sensors and schedules in one line."""
    running = [f"{one['name']}{'' if one['right'] else ' (its last tick FAILED)'}" for one in result["watchers"] if one["running"]]
    stopped = [one["name"] for one in result["watchers"] if not one["running"]]
    daemon = "" if result["daemon"] else "; the daemon is not running, so none of them works: `torus dev` starts it"
    return f"sensors and schedules: on: {', '.join(running) or 'none'}; off: {', '.join(stopped) or 'none'}{daemon}"
