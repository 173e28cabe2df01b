"""`torus warehouse`: days of the lake into ClickHouse."""

from __future__ import annotations

from typing import Annotated

import typer

from torus_assets import console
from torus_assets.commands.options import From, Json, To, days_between, failed, not_right

warehouse_app = typer.Typer(no_args_is_help=True, help="ClickHouse: load days of the lake.")


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
            "warehouse_load", *days_between(first, last), {"ops": {"raw_events": {"config": {"include_held": include_held}}}}, progress=bars
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
        failed(outcome.errors)
    not_right(ok, outcome.failed_checks)
