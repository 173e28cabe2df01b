"""`torus quarantine`: lines that were refused."""

from __future__ import annotations

from typing import Annotated

import typer

from torus_assets import console, settings
from torus_assets.commands.options import From, Json, Reason, To, days_between

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
