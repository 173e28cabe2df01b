"""`torus lake`: care of the lake."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from torus_assets import console, settings
from torus_assets.commands.options import Json

lake_app = typer.Typer(no_args_is_help=True, help="The lake itself.")


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
    from torus_assets import runs
    from torus_assets.xapi import maintain
    from torus_assets.xapi.lake import Lake

    chosen = settings.from_environment()
    before = Lake(chosen.lake_url).snapshot()
    done = maintain.maintain(chosen.lake_url, chosen.spool, timedelta(days=keep_days), compact_above=compact_above, dry_run=dry_run)
    if done["compacted"] and not dry_run:
        runs.written_anew(before, {}, "torus lake maintain")
    if as_json:
        console.document({**done, "dry_run": dry_run, "ok": True})
    else:
        verb = "would be" if dry_run else "were"
        console.out.print(
            f"{len(done['compacted'])} days {verb} compacted, {done['files_removed']} files of old versions and killed runs {verb} removed, "
            f"{len(done['spool_cleared'])} folders of killed runs {verb} cleared"
        )
