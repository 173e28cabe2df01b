"""`torus quarantine`: lines that were refused."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.options import From, Json, Reason, To, days_between, failed, not_right, reason_given

quarantine_app = typer.Typer(no_args_is_help=True, help="Lines that were refused, with their bytes and the reason.")


@quarantine_app.command("list")
def quarantine_list(first: From, last: To, reason: Reason = None, as_json: Json = False) -> None:
    """Refused lines by day and reason, with the place of the first of each."""
    from torus_assets.xapi import quarantine

    groups = quarantine.groups(settings.from_environment().lake_url, *days_between(first, last), reason)
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

    lines = quarantine.lines(settings.from_environment().lake_url, *days_between(first, last), reason, limit)
    if as_json:
        console.document({"lines": lines, "ok": True})
        return
    for line in lines:
        console.out.print(f"[bold]{line['source_file']}[/] line {line['source_line']}: {line['reason']}, {line['detail']}", soft_wrap=True)
        console.out.print(line["raw"], markup=False, soft_wrap=True)
    if not lines:
        console.out.print("no line was refused")


def _reasons_given(values: list[str]) -> list[str]:
    for value in values:
        reason_given(value)
    return values


Reasons = Annotated[
    list[str],
    typer.Option("--reason", metavar="R", callback=_reasons_given, help="Only this reason, e.g. wrong_type; may be repeated. Else all."),
]


@quarantine_app.command("replay")
def quarantine_replay(
    first: From,
    last: To,
    reason: Reasons = [],  # noqa: B006
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Parse and say what would pass; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Parse refused lines again from their kept bytes, after a rule was fixed: what passes now goes into the day and ClickHouse.

    No bundle is read. Days without such lines are left alone.
    """
    from torus_assets.xapi import quarantine, tables

    days = quarantine.waiting(settings.from_environment().lake_url, *days_between(first, last), reason or tables.REASONS)
    whole = [day for day, found in days.items() if found.whole]
    if dry_run:
        _replayed(_previewed(days, reason or tables.REASONS), as_json, "would pass")
        return
    apart = _previewed(days.keys() - whole, reason or tables.REASONS)  # only prefixes were kept: nothing to run
    results, errors, failed_checks = _run(quarantine.stretches(whole), reason or tables.REASONS)
    _replayed(apart + results, as_json, "passed", ok=not errors and not failed_checks)
    if errors:
        failed(errors)
    not_right(not failed_checks, failed_checks)


def _previewed(days: Collection[date], reasons: Collection[str]) -> list[dict[str, Any]]:
    """What a replay of the days would come to; nothing is changed."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi.lake import Lake
    from torus_assets.xapi.resettle import preview_day
    from torus_assets.xapi.tombstones import read_tombstones, tombstone_secret

    chosen = settings.from_environment()
    lake = Lake(chosen.lake_url)
    tombstones = read_tombstones(open_store(lake.root), tombstone_secret(chosen))
    return [preview_day(lake, day, replay=reasons, tombstones=tombstones, max_line_bytes=chosen.max_line_bytes).document() for day in days]


def _run(stretches: Collection[tuple[date, date]], reasons: Collection[str]) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """One run per stretch of days: what was replayed, errors, checks that did not pass. An error ends it: later days stay as they are."""
    from torus_assets import runs
    from torus_assets.bars import Bars

    config = {"ops": {"xapi_day": {"config": {"replay": list(reasons)}}}}
    results: list[dict[str, Any]] = []
    failed_checks: set[str] = set()
    for first, last in stretches:
        with Bars().shown() as bars:
            outcome = runs.run_days("replay", first, last, config, progress=bars)
        results += [found["result"]["replay"] for found in outcome.of("xapi/bundles").values() if "result" in found]
        failed_checks |= set(outcome.failed_checks)
        if outcome.errors:
            return results, outcome.errors, sorted(failed_checks)
    return results, [], sorted(failed_checks)


def _replayed(results: list[dict[str, Any]], as_json: bool, verb: str, *, ok: bool = True) -> None:
    results = sorted(results, key=lambda one: one["day"])
    if as_json:
        console.document({"days": results, "replayed": sum(one["replayed"] for one in results), "dry_run": verb != "passed", "ok": ok})
        return
    if not results:
        console.out.print("no line was refused for that")
        return
    console.table(
        "quarantine replay",
        ["day", verb, "still refused", "only a prefix was kept", "held"],
        [
            [one["day"], one["replayed"], _by_reason(one["still_refused"]), one["incomplete"], "HELD" if one["held"] else ""]
            for one in results
        ],
    )
    for one in results:
        if one["incomplete"]:
            console.say(
                f"{one['day']}: of {one['incomplete']} refused lines only a prefix was kept. `torus ingest --rebuild --from {one['day']} "
                f"--to {one['day']}` reads them from their bundles, if TORUS_MAX_LINE_BYTES allows such lines now."
            )


def _by_reason(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "0"
