"""`torus backfill`: a range of days from their bundles to ClickHouse, after a look at what that would be."""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console
from torus_assets.commands.ingest import DropVanished, Listed, Rebuild, Sections
from torus_assets.commands.options import Engine, From, Json, To, days_between, failed, not_right
from torus_assets.console import DONE, NOT_RIGHT, USAGE

if TYPE_CHECKING:
    from torus_assets.runs import RunOutcome

Range = tuple[date, date]


def backfill(
    first: From,
    last: To,
    section: Sections = [],  # noqa: B006
    rebuild: Rebuild = False,
    drop_vanished: DropVanished = False,
    listing: Listed = "auto",
    engine: Engine = None,
    no_load: Annotated[bool, typer.Option("--no-load", help="Only into the lake; leave ClickHouse as it is.")] = False,
    days_per_run: Annotated[
        int, typer.Option(min=1, metavar="N", help="Cut a longer range into runs of so many days: a killed run repeats at most these.")
    ] = 31,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Bring days up to date from their bundles to ClickHouse: says how much that is, asks, and runs. Safe to repeat and to kill."""
    from torus_assets import preview

    days = days_between(first, last)
    if not (dry_run or yes or sys.stdin.isatty()):
        console.complain("nobody is there to ask: say --yes, or --dry-run to see what would be done")
        raise typer.Exit(USAGE)
    planned = preview.ingest(*days, sections=frozenset(section) or None, rebuild=rebuild, drop_vanished=drop_vanished, listing=listing)
    ranges = preview.runs_of(*days, days_per_run)
    shown = {"runs": _texts(ranges), **preview.totals(planned)}
    if not as_json:
        _show(planned, shown, no_load=no_load)
    if dry_run or shown["refused"]:
        _only_looked(planned, shown, as_json=as_json)
        return
    if not yes and not typer.confirm("Run it?", err=True):
        console.say("nothing was done")
        return
    config: dict[str, Any] = {"sections": section, "rebuild": rebuild, "drop_vanished": drop_vanished}
    if engine is not None:
        config["engine"] = engine
    done = _carried_out(ranges, "ingest" if no_load else "refresh", config, listing)
    _report(ranges, done, shown, as_json=as_json)


def _show(planned: list[dict[str, Any]], shown: dict[str, Any], *, no_load: bool) -> None:
    """The days that have something to say, then the whole in sentences."""
    console.table(
        "backfill: what it would do",
        ["day", "mode", "bundles", "bytes", "held", "why"],
        [
            [one["day"], one["mode"], one["this_run"]["bundles"], one["bytes"], "HELD" if one["held"] else "", one["reason"]]
            for one in planned
            if one["mode"] != "none" or one["held"]
        ],
    )
    console.say(
        f"{shown['days']:,} day{'s' * (shown['days'] != 1)} in {len(shown['runs']):,} run{'s' * (len(shown['runs']) != 1)}; {shown['days_to_read']:,} days have something to read: "
        f"{shown['bundles']:,} bundles, {shown['bytes']:,} bytes. "
        + ("ClickHouse is left as it is." if no_load else "Then ClickHouse gets what it does not have of all the days.")
    )
    if shown["rebuilt"]:
        console.say(f"{len(shown['rebuilt']):,} days are rebuilt: all their bundles are read again, and each day changes at once.")
    if shown["held"]:
        console.say(
            f"{len(shown['held']):,} days are held as they are now: ClickHouse and data sets refuse them. See `torus quarantine list`."
        )


def _only_looked(planned: list[dict[str, Any]], shown: dict[str, Any], *, as_json: bool) -> None:
    """Ends a dry run, or one that cannot be done as asked."""
    if as_json:
        console.document({"preview": shown, "days": planned, "ok": not shown["refused"]})
    if shown["refused"]:
        failed(list(shown["refused"].values()))


def _carried_out(ranges: list[Range], job: str, config: dict[str, Any], listing: str) -> list[tuple[Range, RunOutcome]]:
    """The runs, oldest first. A run that fails for some of its days does not keep the others from theirs; one that did nothing ends it all."""
    from torus_assets import runs
    from torus_assets.bars import Bars

    ops = {"ops": {"xapi_day": {"config": config}, "xapi__bundle_index": {"config": {"listing": listing}}}}
    done: list[tuple[Range, RunOutcome]] = []
    with Bars().shown() as bars:
        for number, one in enumerate(ranges):
            bars.say("runs", number, len(ranges))
            outcome = runs.run_days(job, *one, ops, progress=bars)
            done.append((one, outcome))
            if outcome.errors and not outcome.of("xapi/bundles"):
                break  # not a matter of some days: a store or a setting is wrong, and the next run would meet the same
        bars.say("runs", len(done), len(ranges))
    return done


def _report(ranges: list[Range], done: list[tuple[Range, RunOutcome]], shown: dict[str, Any], *, as_json: bool) -> None:
    outcomes = [outcome for _, outcome in done]
    days = [found["result"] for outcome in outcomes for found in outcome.of("xapi/bundles").values() if "result" in found]
    checks = sorted({check for outcome in outcomes for check in outcome.failed_checks})
    left = ranges[len(done) :]
    errors = [error for outcome in outcomes for error in outcome.errors]
    ok = all(outcome.success for outcome in outcomes) and not left and not checks and not any(day["held"] for day in days)
    if as_json:
        made = [
            {"from": a.isoformat(), "to": b.isoformat(), "run_id": outcome.run_id, "success": outcome.success} for (a, b), outcome in done
        ]
        console.document({"preview": shown, "runs": made, "days": sorted(days, key=lambda one: one["day"]), "left": _texts(left), "ok": ok})
    else:
        columns = ["days", "bundles read", "lines read", "rows into ClickHouse", "seconds", "run"]
        console.table("backfill: what was done", columns, [_row(one, outcome) for one, outcome in done])
    if left:
        console.say(f"not begun: go on with `torus backfill --from {left[0][0]} --to {left[-1][1]}`, when the cause is mended")
    if errors:
        failed(errors)
    not_right(not checks, checks)
    raise typer.Exit(DONE if ok else NOT_RIGHT)


def _row(one: Range, outcome: RunOutcome) -> list[Any]:
    days = [found["result"] for found in outcome.of("xapi/bundles").values() if "result" in found]
    inserted = sum(found.get("inserted", 0) for found in outcome.of("warehouse/raw_events").values())
    return [
        f"{one[0]} to {one[1]}",
        sum(day["this_run"]["bundles"] for day in days),
        sum(day["this_run"]["lines"] for day in days),
        inserted,
        round(sum(day["seconds"] for day in days), 1),
        outcome.run_id[:8] if outcome.success else f"FAILED {outcome.run_id[:8]}",
    ]


def _texts(ranges: list[Range]) -> list[list[str]]:
    return [[first.isoformat(), last.isoformat()] for first, last in ranges]
