"""The `torus` command. Thin: each command starts the same assets as the UI, or asks one question and prints the answer.

Exit codes: 0 done and right, 1 failed, 2 wrong usage, 3 done and something is not right.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from torus_assets import console, settings
from torus_assets.console import DONE, FAILED, NOT_RIGHT, USAGE

Listing = Literal["auto", "always", "never"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Torus Assets: learning events of OLI Torus, from xAPI bundles to tables, ClickHouse and data sets.\n\n"
    "Every command runs the same assets as the UI and is recorded there (`make dev`). Without settings, everything lives under TORUS_HOME (.torus). "
    "Exit codes: 0 done and right, 1 failed, 2 wrong usage, 3 done and something is not right.",
)
warehouse_app = typer.Typer(no_args_is_help=True, help="ClickHouse: load days of the lake.")
dataset_app = typer.Typer(no_args_is_help=True, help="Data sets for researchers.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Lines that were refused, with their bytes and the reason.")
lake_app = typer.Typer(no_args_is_help=True, help="The lake itself.")
app.add_typer(warehouse_app, name="warehouse")
app.add_typer(dataset_app, name="dataset")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(lake_app, name="lake")

Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First upload day (UTC), as YYYY-MM-DD.")]
To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Last upload day (UTC), included.")]
Reason = Annotated[str | None, typer.Option(metavar="R", callback=lambda value: _reason(value), help="Only this reason, e.g. wrong_type.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output; messages go to standard error.")]


@app.command()
def ingest(
    first: From,
    last: To,
    section: Annotated[
        list[int], typer.Option("--section", metavar="ID", help="Only bundles of this section; may be repeated. Other rows stay.")
    ] = [],  # noqa: B006
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Read every bundle again, not only what the ledger does not have.")] = False,
    drop_vanished: Annotated[
        bool, typer.Option("--drop-vanished", help="Let a rebuild drop rows whose objects are gone from the store.")
    ] = False,
    max_quarantined: Annotated[
        float | None,
        typer.Option(
            "--max-quarantined",
            min=0,
            max=1,
            metavar="SHARE",
            help="Share of refused lines above which a day is held (default: TORUS_MAX_QUARANTINED_SHARE, else 0.05).",
        ),
    ] = None,
    listing: Annotated[Listing, typer.Option(help="auto: list what the newest inventory cannot have; always; never.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring days of the lake up to date with their bundles. Safe to repeat, to kill and to run twice at once."""
    days = _days(first, last)
    if dry_run:
        from torus_assets import preview

        _ingested(
            preview.ingest(*days, sections=frozenset(section) or None, rebuild=rebuild, drop_vanished=drop_vanished, listing=listing),
            as_json,
            "would read",
        )
        return
    from torus_assets import runs
    from torus_assets.bars import Bars

    config: dict[str, Any] = {"sections": section, "rebuild": rebuild, "drop_vanished": drop_vanished}
    if max_quarantined is not None:
        config["max_quarantined_share"] = max_quarantined
    with Bars().shown() as bars:
        outcome = runs.run_days(
            "ingest",
            *days,
            {"ops": {"xapi_day": {"config": config}, "xapi__bundle_index": {"config": {"listing": listing}}}},
            progress=bars,
        )
    found = [found["result"] for found in outcome.of("xapi/bundles").values() if "result" in found]
    if outcome.errors:
        _ingested(found, as_json, "read", failed=True)
        _failed(outcome.errors)
    _ingested(found, as_json, "read", failed_checks=outcome.failed_checks)


def _ingested(results: list[Any], as_json: bool, verb: str, *, failed: bool = False, failed_checks: list[str] | None = None) -> None:
    results = sorted(results, key=lambda one: one["day"])
    ok = not failed and not failed_checks and not any(one["held"] for one in results)
    if as_json:
        console.document({"days": results, "ok": ok})
    else:
        console.table(
            f"ingest: what was {verb}" if verb == "read" else f"ingest, dry run: what it {verb}",
            ["day", "mode", "bundles", "lines", "rows of the day", "duplicates", "quarantined", "held", "seconds"],
            [
                [
                    one["day"], one["mode"], one["this_run"]["bundles"], one["this_run"]["lines"], sum(one["day_total"]["rows"].values()),
                    one["day_total"]["duplicates"], sum(one["day_total"]["quarantined"].values()), "HELD" if one["held"] else "", round(one["seconds"], 1),
                ]
                for one in results
            ],
        )  # fmt: skip
        for one in results:
            if one["held"]:
                console.say(
                    f"{one['day']} is held: too many lines were refused. See `torus quarantine list --from {one['day']} --to {one['day']}`; "
                    "loads and exports refuse the day until a later ingest finds it below the limit (--max-quarantined), or --include-held."
                )
    if not ok and not failed:
        raise typer.Exit(NOT_RIGHT)


@warehouse_app.command("load")
def warehouse_load(
    first: From,
    last: To,
    include_held: Annotated[bool, typer.Option("--include-held", help="Load days that are held, too.")] = False,
    as_json: Json = False,
) -> None:
    """Load days of the lake into ClickHouse: what is not there is inserted, what changed is replaced, what is gone is deleted."""
    from torus_assets import runs
    from torus_assets.bars import Bars

    with Bars().shown() as bars:
        outcome = runs.run_days(
            "warehouse_load", *_days(first, last), {"ops": {"raw_events": {"config": {"include_held": include_held}}}}, progress=bars
        )
    names = ("inserted", "present", "replaced", "deleted", "rehomed", "rows_of_the_table")
    days = [
        {"day": day, "staged": found["dagster/partition_row_count"], **{name: found[name] for name in names}, "seconds": found["seconds"]}
        for day, found in sorted(outcome.of("warehouse/raw_events").items(), key=lambda item: str(item[0]))
        if "inserted" in found
    ]
    ok = outcome.success and not outcome.failed_checks
    if as_json:
        console.document({"days": days, "failed_checks": outcome.failed_checks, "ok": ok})
    elif days:
        console.table("warehouse load", list(days[0]), [list(day.values()) for day in days])
    if outcome.errors:
        _failed(outcome.errors)
    _not_right(ok, outcome.failed_checks)


@dataset_app.command("run")
def dataset_run(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST.json", help="The request document (docs/datasets.md).", exists=True, dir_okay=False)
    ],
    as_json: Json = False,
) -> None:
    """Make the data set a request asks for; the same request over the same data is only verified."""
    from torus_assets import runs
    from torus_assets.bars import Bars
    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets.assets import request_key
    from torus_assets.datasets.request import RequestError, parse_request

    body = request.read_bytes()
    try:
        asked = parse_request(body)
    except RequestError as error:
        console.complain(str(error))
        raise typer.Exit(USAGE) from None
    open_store(settings.from_environment().datasets_url).put(request_key(asked.job_id), body)
    with Bars().shown() as bars:
        outcome = runs.run_dataset(asked.job_id, progress=bars)
    [found] = outcome.of("datasets/csv").values() or [{}]
    if as_json:
        shown = {name: found.get(name) for name in ("run", "reused", "excluded_by_reason", "files")}
        console.document(
            {
                "job_id": asked.job_id,
                "folder": found.get("dagster/uri"),
                "rows": found.get("dagster/row_count"),
                **shown,
                "ok": outcome.success,
            }
        )
    elif found:
        state = "was complete already and is verified" if found["reused"] else "is written"
        console.out.print(
            f"{asked.job_id}: {found['dagster/row_count']:,} rows in {found['files']} files; run {found['run']} {state}:\n{found['dagster/uri']}",
            soft_wrap=True,
        )
    if outcome.errors:
        _failed(outcome.errors)
    _not_right(not outcome.failed_checks, outcome.failed_checks)


@app.command()
def reconcile(first: From, last: To, as_json: Json = False) -> None:
    """Compare store, ledger, lake and ClickHouse; name what is missing where."""
    from torus_assets import reconcile as compare
    from torus_assets.clients import clickhouse
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi.lake import Lake

    chosen, days = settings.from_environment(), _days(first, last)
    lake = Lake(chosen.lake_url)
    found = compare.reconcile_store(open_store(chosen.xapi_url), open_store(chosen.inventory_url), lake, *days)
    with clickhouse.connect(chosen.clickhouse) as client:
        warehouse = compare.reconcile_warehouse(client, lake, *days, chosen.spool)
    result = compare.document(found, warehouse)
    if as_json:
        console.document(result)
    else:
        _show_reconciled(result)
    if not result["ok"]:
        raise typer.Exit(NOT_RIGHT)


def _show_reconciled(result: dict[str, Any]) -> None:
    console.table(
        "reconcile: store, ledger and lake",
        ["day", "objects", "in ledger", "missing", "changed", "vanished", "counts", "held"],
        [
            [d["day"], d["store_bundles"], d["ledger_bundles"], len(d["missing"]), len(d["changed"]), len(d["vanished"]), json.dumps(d["counts"]) if d["counts"] else "add up", "HELD" if d["held"] else ""]
            for d in result["days"]
        ],
    )  # fmt: skip
    for day in result["days"]:
        for what in ("missing", "changed", "vanished"):
            for key in day[what]:
                console.out.print(f"{day['day']} {what}: {key}", soft_wrap=True)
    house = result["warehouse"]
    if house is None:
        console.out.print("ClickHouse: there is no lake yet to compare it with")
    elif house["ok"]:
        console.out.print(f"ClickHouse equals the lake: {house['lake_events']:,} events")
    else:
        console.out.print(
            f"ClickHouse differs: {house['missing']:,} events missing, {house['extra']:,} too many; days {house['missing_by_day']} {house['extra_by_day']}"
        )
        for bundle in house["bundles"]:
            console.out.print(f"not in ClickHouse: {bundle}", soft_wrap=True)
    held = [day["day"] for day in result["days"] if day["held"]]
    if held:
        console.out.print(f"held, and so in no load or export: {', '.join(held)}")
    if house is None and result["ok"]:
        console.out.print("there is nothing to compare: no bundle in the store, no lake")
    elif result["ok"]:
        console.out.print("everything adds up")
    else:
        console.out.print("[bold red]not everything is right[/]: see the lines above")


@quarantine_app.command("list")
def quarantine_list(first: From, last: To, reason: Reason = None, as_json: Json = False) -> None:
    """Refused lines by day and reason, with the place of the first of each."""
    from torus_assets.xapi import quarantine

    groups = quarantine.groups(settings.from_environment().lake_url, *_days(first, last), reason)
    if as_json:
        console.document({"groups": groups, "lines": sum(group["lines"] for group in groups), "ok": True})
    elif groups:
        console.table("quarantine", list(groups[0]), [list(group.values()) for group in groups])
    else:
        console.out.print("no line was refused")


@quarantine_app.command("show")
def quarantine_show(
    first: From,
    last: To,
    reason: Reason = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many lines.")] = 10,
    as_json: Json = False,
) -> None:
    """Refused lines whole: place, reason, what was expected, and the bytes. [bold]Shows what learners wrote.[/]"""
    from torus_assets.xapi import quarantine

    lines = quarantine.lines(settings.from_environment().lake_url, *_days(first, last), reason, limit)
    if as_json:
        console.document({"lines": lines, "ok": True})
        return
    for line in lines:
        console.out.print(f"[bold]{line['source_file']}[/] line {line['source_line']}: {line['reason']}, {line['detail']}", soft_wrap=True)
        console.out.print(line["raw"], markup=False, soft_wrap=True)
    if not lines:
        console.out.print("no line was refused")


@lake_app.command("maintain")
def lake_maintain(
    keep_days: Annotated[int, typer.Option(min=0, help="Versions younger than this stay readable; receipts may pin them.")] = 30,
    compact_above: Annotated[
        int, typer.Option(min=2, metavar="FILES", help="Days with more files of one kind than this are written anew.")
    ] = 8,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Compact days of many increments, clear what killed runs left, and vacuum old versions."""
    from torus_assets.xapi import maintain

    chosen = settings.from_environment()
    done = maintain.maintain(chosen.lake_url, chosen.spool, timedelta(days=keep_days), compact_above=compact_above, dry_run=dry_run)
    if as_json:
        console.document({**done, "dry_run": dry_run, "ok": True})
    else:
        verb = "would be" if dry_run else "were"
        console.out.print(
            f"{len(done['compacted'])} days {verb} compacted, {done['files_removed']} files of old versions and killed runs {verb} removed, "
            f"{len(done['spool_cleared'])} folders of killed runs {verb} cleared"
        )


@app.command()
def doctor(as_json: Json = False) -> None:
    """Say which system is embedded, which is real, and whether each answers."""
    from torus_assets import doctor as examiner

    found = examiner.examine(settings.from_environment())
    ok = all(one.ok for one in found)
    if as_json:
        console.document({"systems": [vars(one) for one in found], "ok": ok})
    else:
        console.table(
            "systems",
            ["system", "kind", "place", "answer"],
            [[f.system, f.kind, f.place, f.answer if f.ok else f"NO: {f.answer}"] for f in found],
        )
    if not ok:
        raise typer.Exit(NOT_RIGHT)


@app.command()
def sample(
    out: Annotated[str, typer.Option(metavar="URL", help="Where to write: file:///folder or s3://bucket/prefix.")],
    statements: Annotated[int, typer.Option(min=1, metavar="N", help="How many statements.")] = 20_000,
    sections: Annotated[int, typer.Option(min=1, metavar="K", help="How many course sections.")] = 3,
    students: Annotated[int, typer.Option(min=1, metavar="S", help="How many students, over all sections.")] = 60,
    days: Annotated[int, typer.Option(min=1, metavar="D", help="How many upload days.")] = 7,
    first_day: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="First upload day.", show_default="2026-02-02")
    ] = datetime(2026, 2, 2),  # noqa: DTZ001
    seed: Annotated[int, typer.Option(metavar="X", help="The same seed and options give the same bytes.")] = 7,
    damage: Annotated[float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Share of lines that are damaged.")] = 0.02,
    duplicates: Annotated[float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Share of lines that are replays.")] = 0.02,
    as_json: Json = False,
) -> None:
    """Make a seeded sample world: bundles, inventory, lookups, requests, and the truth about all of it."""
    from torus_assets.bars import Bars
    from torus_assets.sample.options import SampleOptions
    from torus_assets.sample.world import make_world

    options = SampleOptions(
        out=out, statements=statements, sections=sections, students=students, days=days, first_day=first_day.date(), seed=seed, damage=damage, duplicates=duplicates
    )  # fmt: skip
    with Bars().shown() as bars:
        truth = make_world(options, progress=lambda done, total: bars.say("sample", done, total))
    if as_json:
        console.document(
            {
                "out": out,
                "truth": f"{out.rstrip('/')}/truth.json",
                "statements": truth["statements"],
                "bundles": truth["bundles"],
                "ok": True,
            }
        )
    else:
        console.out.print(
            f"{truth['statements']:,} statements in {truth['bundles']:,} bundles under {out}; the truth is in truth.json", soft_wrap=True
        )


@app.command()
def demo(
    statements: Annotated[int, typer.Option(min=2000, metavar="N", help="How many statements.")] = 20_000, as_json: Json = False
) -> None:
    """The main job on a sample world under TORUS_HOME: ingest, load, data sets, reconcile, and the truth compared."""
    from torus_assets import demo as show

    ok = show.run(settings.from_environment(), statements, as_json=as_json)
    raise typer.Exit(DONE if ok else NOT_RIGHT)


@app.command()
def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
) -> None:
    """Start the Dagster UI and daemon on the same home, with the runs of the command line in it."""
    from resources.deployments import PROJECT, instance_home

    home = instance_home(settings.from_environment())
    os.environ.update(DAGSTER_HOME=str(home), TORUS_HOME=str(settings.from_environment().home))
    os.chdir(PROJECT)
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-p", str(port), "-h", host])  # noqa: S606  this process becomes the server


def _reason(value: str | None) -> str | None:
    """The reason itself, when it is one of ours."""
    from torus_assets.xapi.tables import REASONS

    if value is not None and value not in REASONS:
        raise typer.BadParameter(f"{value!r} is no reason; the reasons are {', '.join(REASONS)}")
    return value


def _days(first: datetime, last: datetime) -> tuple[date, date]:
    if last < first:
        console.complain(f"--to {last.date()} is before --from {first.date()}")
        raise typer.Exit(USAGE)
    earliest = settings.from_environment().first_day
    if first.date() < earliest:
        console.complain(f"--from {first.date()} is before the first day of the graph, {earliest} (TORUS_FIRST_DAY)")
        raise typer.Exit(USAGE)
    today = datetime.now(UTC).date()
    if last.date() > today:
        console.complain(f"--to {last.date()} is after today, {today} (UTC)")
        raise typer.Exit(USAGE)
    return first.date(), last.date()


def _failed(errors: list[str]) -> None:
    for error in errors:
        console.complain(error)
    raise typer.Exit(FAILED)


def _not_right(ok: bool, failed_checks: list[str]) -> None:
    for check in failed_checks:
        console.complain(f"check {check} did not pass; its evidence is on the run's page")
    if not ok:
        raise typer.Exit(NOT_RIGHT)


def _expected() -> tuple[type[Exception], ...]:
    """What can go wrong outside: systems that do not answer, places that do not exist, numbers that make no sense."""
    store = sys.modules.get("obstore.exceptions")
    return (OSError, ValueError, RuntimeError, LookupError, *(() if store is None else (store.BaseError,)))


def main() -> None:
    """Entry point, and the boundary of the command line: what can be expected to go wrong ends in one clear sentence, without frames."""
    warnings.filterwarnings("ignore", message=".*currently in (beta|preview).*")  # Dagster says it of what we chose with open eyes
    try:
        app()
    except settings.SettingsError as error:
        console.complain(str(error))
        raise SystemExit(USAGE) from None
    except _expected() as error:
        console.complain(str(error).split("\nDebug source:")[0].strip())  # the store's client adds its own innards
        raise SystemExit(FAILED) from None


if __name__ == "__main__":
    main()
