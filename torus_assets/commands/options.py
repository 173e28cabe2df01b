"""Options that several commands have, and how commands end."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal, NoReturn

import typer

from torus_assets import console, settings
from torus_assets.console import FAILED, NOT_RIGHT, USAGE


def reason_given(value: str | None) -> str | None:
    """The reason itself, when it is one of ours."""
    from torus_assets.xapi.tables import REASONS

    if value is not None and value not in REASONS:
        raise typer.BadParameter(f"{value!r} is no reason; the reasons are {', '.join(REASONS)}")
    return value


def days_between(first: datetime, last: datetime) -> tuple[date, date]:
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


def failed(errors: list[str]) -> NoReturn:
    for error in errors:
        console.complain(error)
    raise typer.Exit(FAILED)


def not_right(ok: bool, failed_checks: list[str]) -> None:
    for check in failed_checks:
        console.complain(f"check {check} did not pass; its evidence is on the run's page")
    if not ok:
        raise typer.Exit(NOT_RIGHT)


Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY")]
From = Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], metavar="DAY", help="First upload day (UTC), as YYYY-MM-DD.")]
To = Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], metavar="DAY", help="Last upload day (UTC), included.")]
Reason = Annotated[str | None, typer.Option(metavar="R", callback=reason_given, help="Only this reason, e.g. wrong_type.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output; messages go to standard error.")]
Engine = Annotated[
    Literal["auto", "local", "spark"] | None,
    typer.Option(
        help="Who does the work: processes of this machine, Spark (docs/spark.md), or, with auto, the one that fits its size. Default: TORUS_ENGINE, else auto."
    ),
]
