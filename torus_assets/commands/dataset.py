"""`torus dataset`: asking for data sets, making, proving and comparing them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torus_assets import console, settings
from torus_assets.commands.dataset_jobs import expire, list_jobs, status, withdraw
from torus_assets.commands.options import Engine, Json, failed, not_right
from torus_assets.console import NOT_RIGHT, USAGE

if TYPE_CHECKING:
    from torus_assets.clients.object_store import ObjectStore
    from torus_assets.datasets.request import Request

dataset_app = typer.Typer(no_args_is_help=True, help="Data sets for researchers.")


@dataset_app.command()
def submit(
    request: Annotated[
        Path, typer.Argument(metavar="REQUEST.json", help="The request document (docs/datasets.md).", exists=True, dir_okay=False)
    ],
    as_json: Json = False,
) -> None:
    """Put a request where the platform looks for requests, if nothing is wrong with it. Ends a withdrawal of the same job."""
    asked = _submitted(_store(), request.read_bytes())
    if as_json:
        console.document({"job_id": asked.job_id, "action": asked.action, "notes": asked.notes, "ok": True})
    else:
        console.out.print(f"{asked.job_id} is asked for: {asked.action} of {len(asked.section_ids)} section(s)", soft_wrap=True)


@dataset_app.command()
def run(
    request: Annotated[
        str,
        typer.Argument(metavar="REQUEST.json|JOB", help="A request document (docs/datasets.md), or the id of a job that was submitted."),
    ],
    engine: Engine = None,
    as_json: Json = False,
) -> None:
    """Make the data set a request asks for; the same request over the same data is only verified."""
    asked = _asked(_store(), request)

    from torus_assets import runs  # loads Dagster, which takes seconds
    from torus_assets.bars import Bars

    with Bars().shown() as bars:
        outcome = runs.run_dataset(asked, engine, progress=bars)
    asset = "datasets/datashop" if asked.action == "datashop" else "datasets/csv"
    [found] = outcome.of(asset).values() or [{}]
    if as_json:
        shown = {name: found.get(name) for name in ("run", "reused", "excluded_by_reason", "files")}
        place = {"job_id": asked.job_id, "folder": found.get("dagster/uri"), "rows": found.get("dagster/row_count")}
        console.document({**place, **shown, "notes": asked.notes, "ok": outcome.success})
    elif found:
        state = "was complete already and is verified" if found["reused"] else "is written"
        console.out.print(
            f"{asked.job_id}: {found['dagster/row_count']:,} rows in {found['files']} files; run {found['run']} {state}:\n{found['dagster/uri']}",
            soft_wrap=True,
        )
    if outcome.errors:
        failed(outcome.errors)
    not_right(not outcome.failed_checks, outcome.failed_checks)


@dataset_app.command()
def verify(
    jobs: Annotated[list[str], typer.Argument(metavar="JOB...", help="Ids of jobs with a published run.")], as_json: Json = False
) -> None:
    """Prove the receipts of published data sets again: every file, and every count against the lake as it is now."""
    from torus_assets.datasets.proof import prove
    from torus_assets.xapi.lake import Lake

    chosen = settings.from_environment()
    lake = Lake(chosen.lake_url)
    chosen.spool.mkdir(parents=True, exist_ok=True)
    proofs = {job_id: prove(_store(), lake, job_id, chosen.spool) for job_id in dict.fromkeys(jobs)}
    ok = all(proof.ok for proof in proofs.values())
    if as_json:
        shown = [{"job_id": job_id, "run": proof.run, **proof.document, "ok": proof.ok} for job_id, proof in proofs.items()]
        console.document({"data_sets": shown, "ok": ok})
    else:
        for job_id, proof in proofs.items():
            console.out.print(f"[bold]{job_id}[/] run {proof.run} {'is true' if proof.ok else 'is NOT true'}", soft_wrap=True)
            for line in proof.lines:
                console.out.print(f"  {line}", markup=False, soft_wrap=True)
    if not ok:
        raise typer.Exit(NOT_RIGHT)


RunPlace = Annotated[str, typer.Argument(help="A job id (its published run), JOB/RUN, or the URL of a folder with a receipt.")]


@dataset_app.command("diff")
def diff_(a: RunPlace, b: RunPlace, as_json: Json = False) -> None:
    """Say which rows of two data sets differ, and why: new data, another lookup, code, key or request, erased learners."""
    from torus_assets.datasets.diff import diff
    from torus_assets.datasets.run_folder import find_run

    chosen = settings.from_environment()
    found = diff(find_run(_store(), a), find_run(_store(), b), chosen.spool)
    if as_json:
        console.document({**found.document(), "ok": found.same_bytes})
    else:
        for line in found.lines():
            console.out.print(line, markup=False, soft_wrap=True)
    if not found.same_bytes:
        raise typer.Exit(NOT_RIGHT)


dataset_app.command()(status)
dataset_app.command("list")(list_jobs)
dataset_app.command()(withdraw)
dataset_app.command()(expire)


def _store() -> ObjectStore:
    from torus_assets.clients.object_store import open_store

    return open_store(settings.from_environment().datasets_url)


def _asked(store: ObjectStore, place: str) -> Request:
    """The request in a file, which is submitted; or the one submitted before under this job id."""
    from torus_assets.datasets.catalog import is_withdrawn, request_key
    from torus_assets.datasets.request_values import is_job_id

    if Path(place).is_file():
        return _submitted(store, Path(place).read_bytes())
    if is_job_id(place) and is_withdrawn(store, place):
        raise _wrong(f"{place} was withdrawn; submit its request again")
    if not is_job_id(place) or store.head(request_key(place)) is None:
        raise _wrong(f"{place} is no file, and no job of that id was submitted")
    asked = _checked(store.get(request_key(place)).body)
    if asked.job_id != place:
        raise _wrong(f"request refused: job_id: says {asked.job_id}, and it was submitted as {place}")
    return asked


def _submitted(store: ObjectStore, body: bytes) -> Request:
    from torus_assets.datasets import catalog

    asked = _checked(body)
    catalog.submit(store, body)
    return asked


def _checked(body: bytes) -> Request:
    """The request, after telling what of it is ignored; ends the command when there are mistakes."""
    from torus_assets.datasets.request import RequestError, parse_request

    try:
        asked = parse_request(body)
    except RequestError as error:
        raise _wrong("request refused:" + "".join(f"\n  {problem}" for problem in error.problems)) from None
    for note in asked.notes:
        console.say(f"note: {note}")
    return asked


def _wrong(text: str) -> typer.Exit:
    console.complain(text)
    return typer.Exit(USAGE)
