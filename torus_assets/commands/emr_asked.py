"""What `torus emr submit` was asked for, as the document that starts a job run; and how wrong settings end a command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from torus_assets import console
from torus_assets.console import USAGE

if TYPE_CHECKING:
    from torus_assets.clients.emr import EmrServerless
    from torus_assets.datasets.request import Request
    from torus_assets.settings import Settings


class Asked(NamedTuple):
    """A checked call of the job."""

    job_id: str
    arguments: list[str]  # may name students: not for logs
    file: Path | None = None  # the request document, where that was given


@contextmanager
def usage() -> Iterator[None]:
    """What was asked for or set wrongly ends the command with one sentence and exit code 2."""
    from torus_assets.emr.contents import NotAJob
    from torus_assets.emr.deploy import NotPackaged
    from torus_assets.emr.pins import NoPin
    from torus_assets.emr.releases import UnknownRelease
    from torus_assets.emr.spark_parameters import NotForEmr
    from torus_assets.emr.wheels import NotFitting

    try:
        yield
    except (NotForEmr, NotPackaged, UnknownRelease, NoPin, NotFitting, NotAJob) as error:
        console.complain(str(error))
        raise typer.Exit(USAGE) from None


def what_is_asked(words: Sequence[str], chosen: Settings) -> Asked:
    """A request, or Torus' own list, which is checked as the job will check it."""
    if words[0].startswith("--"):
        from torus_assets.engine.drop_in.call import WrongCall, call_of

        try:
            return Asked(call_of(words, _without_lake(chosen)).request.job_id, list(words))
        except WrongCall as error:
            raise _wrong("call refused:" + "".join(f"\n  {problem}" for problem in error.problems)) from None
    if len(words) > 1:
        raise _wrong("expected one request or job id, or the argument list of Torus after --")
    from torus_assets.emr.submit import arguments_of

    request = _request(words[0], chosen)
    with usage():
        arguments = arguments_of(request, lake_url=chosen.lake_url, datasets_url=chosen.datasets_url)
    return Asked(request.job_id, arguments, file if (file := Path(words[0])).is_file() else None)


def _request(place: str, chosen: Settings) -> Request:
    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets.catalog import is_withdrawn, request_key
    from torus_assets.datasets.request import RequestError, parse_request
    from torus_assets.datasets.request_values import is_job_id

    store = open_store(chosen.datasets_url)
    if not Path(place).is_file():
        if not is_job_id(place) or store.head(request_key(place)) is None:
            raise _wrong(f"{place} is no file, and no job of that id was submitted")
        if is_withdrawn(store, place):
            raise _wrong(f"{place} was withdrawn; submit its request again")
    body = Path(place).read_bytes() if Path(place).is_file() else store.get(request_key(place)).body
    try:
        return parse_request(body)
    except RequestError as error:
        raise _wrong("request refused:" + "".join(f"\n  {problem}" for problem in error.problems)) from None


def keep(chosen: Settings, asked: Asked) -> None:
    """A request document from a file is kept where the platform looks for requests, so that `torus dataset status` knows of it."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets import catalog

    if asked.file is not None:
        catalog.submit(open_store(chosen.datasets_url), asked.file.read_bytes())


def start_document(chosen: Settings, client: EmrServerless, asked: Asked, token: str | None) -> dict[str, Any]:
    """The StartJobRun document. The argument list says where things are, so the environment does not: a lake there would replace bundles."""
    from torus_assets.emr import jobs
    from torus_assets.emr.applications import application_id
    from torus_assets.emr.deployed import code

    where = code(chosen.emr)
    variables = {name: value for name, value in jobs.job_variables(chosen, needed=()).items() if name not in jobs.PLACES}
    return jobs.start_job_run(
        chosen.emr,
        application_id(client, chosen.emr),
        token=jobs.client_token(token or asked.job_id),
        name=asked.job_id,
        entry_point=where.job_url,
        arguments=asked.arguments,
        parameters=jobs.spark_submit_parameters(chosen.emr, chosen.spark, where.archive_url, variables),
        tags={jobs.STARTED_BY: "command line"},
    )


def _without_lake(chosen: Settings) -> Settings:
    """The settings as the job will have them: the lake of this machine's environment is not passed on (`start_document`)."""
    return replace(chosen, lake_url=f"file://{chosen.home / 'lake'}")


def _wrong(text: str) -> typer.Exit:
    console.complain(text)
    return typer.Exit(USAGE)
