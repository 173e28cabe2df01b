"""`torus ingest`: days of bundles into the lake."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from torus_assets import console
from torus_assets.commands.options import From, Json, To, days_between, failed
from torus_assets.console import NOT_RIGHT

Listing = Literal["auto", "always", "never"]


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
    days = days_between(first, last)
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
        failed(outcome.errors)
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
