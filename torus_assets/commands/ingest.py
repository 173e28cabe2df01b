"""`torus ingest`: days of bundles into the lake."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from torus_assets import console
from torus_assets.commands.options import Engine, From, Json, To, days_between, failed
from torus_assets.console import NOT_RIGHT

Listing = Literal["auto", "always", "never"]
Sections = Annotated[
    list[int], typer.Option("--section", metavar="ID", help="Only bundles of this section; may be repeated. Other rows stay.")
]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="Read every bundle again, not only what the ledger does not have.")]
DropVanished = Annotated[bool, typer.Option("--drop-vanished", help="Let a rebuild drop rows whose objects are gone from the store.")]
Listed = Annotated[Listing, typer.Option(help="auto: list what the newest inventory cannot have; always; never.")]


def ingest(
    first: From,
    last: To,
    section: Sections = [],  # noqa: B006
    rebuild: Rebuild = False,
    drop_vanished: DropVanished = False,
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
    listing: Listed = "auto",
    engine: Engine = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be read; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Bring days of the lake up to date with their bundles. Safe to repeat, to kill and to run twice at once."""
    days = days_between(first, last)
    if dry_run:
        from torus_assets import preview

        _previewed(
            preview.ingest(*days, sections=frozenset(section) or None, rebuild=rebuild, drop_vanished=drop_vanished, listing=listing),
            as_json,
        )
        return
    from torus_assets import runs
    from torus_assets.bars import Bars

    config: dict[str, Any] = {"sections": section, "rebuild": rebuild, "drop_vanished": drop_vanished}
    if max_quarantined is not None:
        config["max_quarantined_share"] = max_quarantined
    if engine is not None:
        config["engine"] = engine
    with Bars().shown() as bars:
        outcome = runs.run_days(
            "ingest",
            *days,
            {"ops": {"xapi_day": {"config": config}, "xapi__bundle_index": {"config": {"listing": listing}}}},
            progress=bars,
        )
    found = [found["result"] for found in outcome.of("xapi/bundles").values() if "result" in found]
    if outcome.errors:
        _ingested(found, as_json, failed=True)
        failed(outcome.errors)
    _ingested(found, as_json, failed_checks=outcome.failed_checks)


def _previewed(results: list[dict[str, Any]], as_json: bool) -> None:
    """What would be read. A day that would be refused ends it as the ingest itself would end."""
    refused = [one["reason"] for one in results if one["mode"] == "refused"]
    held = [one for one in results if one["held"]]
    if as_json:
        console.document({"days": results, "ok": not refused and not held})
    else:
        columns = ["day", "mode", "bundles", "bytes", "rows of the day", "duplicates", "quarantined", "held", "why"]
        console.table("ingest, dry run: what it would read", columns, [_previewed_row(one) for one in results])
        _say_held(held)
    if refused:
        failed(refused)
    if held:
        raise typer.Exit(NOT_RIGHT)


def _previewed_row(one: dict[str, Any]) -> list[Any]:
    total = one["day_total"]
    return [
        one["day"], one["mode"], one["this_run"]["bundles"], one["bytes"], sum(total["rows"].values()), total["duplicates"],
        sum(total["quarantined"].values()), "HELD" if one["held"] else "", "see below" if one["mode"] == "refused" else one["reason"],
    ]  # fmt: skip


def _ingested(results: list[Any], as_json: bool, *, failed: bool = False, failed_checks: list[str] | None = None) -> None:
    results = sorted(results, key=lambda one: one["day"])
    held = [one for one in results if one["held"]]
    ok = not failed and not failed_checks and not held
    if as_json:
        console.document({"days": results, "ok": ok})
    else:
        console.table(
            "ingest: what was read",
            ["day", "mode", "bundles", "lines", "rows of the day", "duplicates", "quarantined", "held", "seconds"],
            [
                [
                    one["day"], one["mode"], one["this_run"]["bundles"], one["this_run"]["lines"], sum(one["day_total"]["rows"].values()),
                    one["day_total"]["duplicates"], sum(one["day_total"]["quarantined"].values()), "HELD" if one["held"] else "", round(one["seconds"], 1),
                ]
                for one in results
            ],
        )  # fmt: skip
        _say_held(held)
    if not ok and not failed:
        raise typer.Exit(NOT_RIGHT)


def _say_held(held: list[Any]) -> None:
    for one in held:
        console.say(
            f"{one['day']} is held: too many lines were refused. See `torus quarantine list --from {one['day']} --to {one['day']}`; "
            "loads and exports refuse the day until a later ingest finds it below the limit (--max-quarantined), or --include-held."
        )
