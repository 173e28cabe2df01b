"""`torus forget`: removing one learner, and who was removed."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.options import Json
from torus_assets.console import NOT_RIGHT, USAGE

if TYPE_CHECKING:
    from torus_assets.datasets.pseudonyms import PseudonymKey
    from torus_assets.forgetting.forget import Forgotten, Places
    from torus_assets.forgetting.learner import Learner
    from torus_assets.settings import Settings
    from torus_assets.xapi.lake import Lake, Snapshot

forget_app = typer.Typer(invoke_without_command=True)


@forget_app.callback()
def forget(
    context: typer.Context,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="User id as statements have it. [bold]-[/] reads it from standard input: a command line is seen in `ps` and kept in the shell's history.",
        ),
    ] = None,
    home_page: Annotated[
        str | None,
        typer.Option(
            "--home-page", metavar="H", help="Host of the learner's account, in any spelling. Not for ids that begin with mailto:."
        ),
    ] = None,
    by: Annotated[str | None, typer.Option(metavar="NAME", help="Who asks for it; kept in the receipt (default: your login).")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    as_json: Json = False,
) -> None:
    """Remove one learner from lake, quarantine and ClickHouse; leave a tombstone, so that nothing brings them back; give a receipt.

    Data sets that contain them and objects in Torus' own bucket are named and left to people. Safe to kill and to repeat. Exit code 3:
    done, but something of theirs could not be removed yet.
    """
    if context.invoked_subcommand:
        return
    if user is None:
        raise _wrong("--user: expected the learner's user id, or - to read it from standard input")
    chosen = settings.from_environment()
    learner = _learner(chosen, home_page, sys.stdin.readline().rstrip("\n") if user == "-" else user, dry_run=dry_run)
    places = _places(chosen, dry_run=dry_run)
    who, now = by or pwd.getpwuid(os.getuid()).pw_name, datetime.now(UTC)

    from torus_assets.forgetting import forget as forgetting

    step = _nothing if as_json else lambda text: console.say(f"{text} …")
    if not dry_run and not yes:
        _ask(forgetting.preview(places, learner, at=now, by=who, step=step), user == "-")
    act = forgetting.preview if dry_run else forgetting.forget
    before = _snapshot(places.lake)
    made = act(places, learner, at=now, by=who, step=step)
    if not dry_run:
        _observe(made, before)
    _show(made, dry_run=dry_run, as_json=as_json)
    if not dry_run and not made.receipt.is_clean:
        raise typer.Exit(NOT_RIGHT)


@forget_app.command("list")
def forget_list(as_json: Json = False) -> None:
    """List tombstones: mark, date, who asked, and how much went. Names nobody."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.forgetting.receipts import listed

    found = list(listed(open_store(settings.from_environment().lake_url)))
    if as_json:
        console.document({"forgotten": found, "ok": True})
    elif found:
        console.table("learners who were forgotten", list(found[0]), [list(one.values()) for one in found])
    else:
        console.out.print("nobody was forgotten")


def _learner(chosen: Settings, home_page: str | None, user_id: str, *, dry_run: bool) -> Learner:
    from torus_assets.forgetting.learner import NoLearner, learner

    try:
        return learner(home_page, user_id, _secret(chosen, dry_run=dry_run))
    except NoLearner as error:
        raise _wrong(str(error)) from None


def _secret(chosen: Settings, *, dry_run: bool) -> bytes:
    """The tombstones' key. A look needs none; the first tombstone has one made where the lake is a folder of this machine."""
    import secrets

    from torus_assets.xapi.tombstones import tombstone_secret

    found = tombstone_secret(chosen, make=not dry_run)
    if found is None and not dry_run:
        raise _wrong(
            f"TORUS_TOMBSTONE_KEY is not set and {chosen.lake_url} is a real store. Make a key once "
            '(python -c "import secrets; print(secrets.token_hex(32))"), keep it in your secret store and set the variable wherever days are ingested.'
        )
    return found or secrets.token_bytes(32)


def _places(chosen: Settings, *, dry_run: bool) -> Places:
    from torus_assets.clients import clickhouse
    from torus_assets.clients.object_store import open_store
    from torus_assets.forgetting.forget import Places
    from torus_assets.xapi.lake import Lake

    return Places(
        Lake(chosen.lake_url), open_store(chosen.datasets_url), lambda: clickhouse.connect(chosen.clickhouse), chosen.home,
        _pseudonyms(chosen, dry_run=dry_run), chosen.max_quarantined_share, chosen.max_line_bytes,
    )  # fmt: skip


def _pseudonyms(chosen: Settings, *, dry_run: bool) -> PseudonymKey | None:
    """The key that data sets were made under; None when there is none. None is made for a look."""
    from torus_assets.datasets.pseudonyms import KEY_FILE, KeyMissing, pseudonym_key

    if dry_run and not chosen.pseudonym_key and not (chosen.home / KEY_FILE).exists():
        return None
    try:
        return pseudonym_key(chosen.pseudonym_key, chosen.home, (chosen.xapi_url, chosen.lake_url, chosen.datasets_url))
    except KeyMissing:
        return None


def _ask(would: Forgotten, is_piped: bool) -> None:
    """Shows what would go and asks; without a person at a terminal, `--yes` is the answer."""
    if is_piped or not sys.stdin.isatty():
        raise _wrong("nobody is there to ask: say --yes, or look first with --dry-run")
    _show(would, dry_run=True, as_json=False)
    if not typer.confirm("Remove them for good?", err=True):
        raise typer.Exit(USAGE)


def _snapshot(lake: Lake) -> Snapshot | None:
    from torus_assets.xapi.lake import LakeMissing

    try:
        return lake.snapshot()
    except LakeMissing:
        return None


def _observe(made: Forgotten, before: Snapshot | None) -> None:
    """Tells the catalog which days lost lines; counts only, under no run's configuration. The days stay loaded: ClickHouse lost the same."""
    if not made.receipt.lines:
        return
    import dagster as dg

    from torus_assets import runs
    from torus_assets.xapi import tables

    events = {date.fromisoformat(day): sum(kinds.get(kind, 0) for kind in tables.EVENT_KINDS) for day, kinds in made.receipt.lines.items()}
    runs.written_anew(before, events, "torus forget")

    with runs.instance() as instance:
        for day, kinds in made.receipt.lines.items():
            counts = {f"forgotten_{kind}": dg.MetadataValue.int(count) for kind, count in kinds.items()}
            shown: Mapping[str, Any] = {
                "forgotten": sum(kinds.values()), **counts, "tombstone": made.receipt.mark, "by": made.receipt.by,
            }  # fmt: skip
            instance.report_runless_asset_event(
                dg.AssetObservation(
                    asset_key=dg.AssetKey(["xapi", "bundles"]), partition=date.fromisoformat(day).isoformat(), metadata=shown
                )
            )


def _show(made: Forgotten, *, dry_run: bool, as_json: bool) -> None:
    receipt = made.receipt
    if as_json:
        console.document(
            {
                "dry_run": dry_run, "receipt": receipt.document(), "receipt_key": made.key or None,
                "data_sets": [one.document() for one in made.data_sets], "source_objects": made.objects, "ok": dry_run or receipt.is_clean,
            }
        )  # fmt: skip
        return
    verb = "would go" if dry_run else "are gone"
    if not receipt.total and not receipt.old_lines and not receipt.clickhouse_rows:
        console.out.print("nothing of this learner was found" + ("" if dry_run else "; the tombstone stands all the same"))
    if receipt.lines:
        kinds = sorted({kind for day in receipt.lines.values() for kind in day})
        console.table(
            f"lines that {verb}", ["day", *kinds], [[day, *(found.get(kind, 0) for kind in kinds)] for day, found in receipt.lines.items()]
        )
    for text in _sentences(made, dry_run=dry_run):
        console.out.print(text, soft_wrap=True, markup=False)


def _sentences(made: Forgotten, *, dry_run: bool) -> list[str]:
    receipt = made.receipt
    verb = "would go" if dry_run else "are gone"
    said = [
        f"{receipt.total:,} lines of the lake, {receipt.old_lines:,} of its old files and {receipt.clickhouse_rows:,} rows of ClickHouse {verb}"
    ]
    if not dry_run:
        said.append(
            f"{receipt.files_removed:,} old files, {receipt.folders_cleared} folders of killed runs and {receipt.error_texts} texts of errors were removed"
        )
    if receipt.old_lines_left:
        said.append(
            f"NOT YET: {receipt.old_lines_left} lines stand in files that a running ingest may still commit: run this again in a day"
        )
    if receipt.writes_left:
        said.append(f"NOT YET: {receipt.writes_left} unfinished writes into the lake may be under way: run this again in a day")
    if receipt.folders_left:
        said.append(f"NOT YET: {receipt.folders_left} folders of the spool may be in use: run this again in a day")
    if receipt.clickhouse_old_parts:
        said.append(f"NOT YET: {receipt.clickhouse_old_parts} old parts of ClickHouse are still being read: run this again in ten minutes")
    if receipt.log_columns:
        said.append(f"NOT CLEAN: the table's log keeps values of {', '.join(receipt.log_columns)}")
    if receipt.pending_bundles:
        said.append(f"{receipt.pending_bundles} bundles that arrived are not read yet; lines of theirs will count as forgotten")
    if receipt.source_objects:
        said.append(
            f"{receipt.source_objects} objects of Torus' own bucket hold their lines (--json names them); removing those is up to Torus"
        )
    said += [
        f"{_certainty(one.certain)}: {one.what} {one.place}{f' ({one.why})' if one.why else ''} -> {one.command}" for one in made.data_sets
    ]
    return said if dry_run else [*said, f"tombstone {receipt.mark}", f"receipt {made.key}"]


def _certainty(certain: object) -> str:
    return "contains them" if certain else "MAY contain them"


def _nothing(step: str) -> None:
    """Steps are for people."""


def _wrong(text: str) -> typer.Exit:
    console.complain(text)
    return typer.Exit(USAGE)
