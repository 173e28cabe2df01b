"""`torus emr submit`, `status` and `cancel`: job runs of EMR Serverless."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.emr_asked import keep, start_document, usage, what_is_asked
from torus_assets.commands.options import Json
from torus_assets.console import DONE, FAILED, NOT_RIGHT, USAGE

if TYPE_CHECKING:
    from torus_assets.clients.emr import EmrServerless

CANCEL_SECONDS = 120.0  # that `cancel` waits for the end
CANCEL_POLL_SECONDS = 2.0
CLOCKS_APART = timedelta(minutes=1)  # this machine's and that of EMR


def submit(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="REQUEST.json|JOB|-- ARGUMENTS",
            help="A request document, the id of a job that was submitted, or after [bold]--[/] the argument list that Torus sends.",
        ),
    ],
    token: Annotated[
        str | None,
        typer.Option(
            metavar="T", help="Client token (default: the job id): the same one never starts a second run. Another one runs the job again."
        ),
    ] = None,
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return as soon as EMR has accepted the job.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the whole request to EMR; start nothing. Ids of students are counted, not shown.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Have a data set made by a Spark job on EMR Serverless, and follow it to its end. Ctrl-C leaves the job running.

    Exit codes: 0 SUCCESS; 1 FAILED or CANCELLED; 3 the job says that something is not right.
    """
    from torus_assets.clients.emr import connect
    from torus_assets.emr.submit import shown

    chosen = settings.from_environment()
    asked = what_is_asked(words, chosen)
    client = connect()
    with usage():
        document = start_document(chosen, client, asked, token)
    if dry_run:
        _show_plan(shown(document), as_json=as_json)
        return
    keep(chosen, asked)
    at = datetime.now(UTC)
    run = client.start_job_run(document)
    _tell(f"job run {run} of application {document['applicationId']}")
    application = document["applicationId"]
    found = client.get_job_run(application, run) if no_wait else _followed(client, application, run)
    _report(client, found, as_json=as_json)
    if found["createdAt"] < at - CLOCKS_APART:
        _tell(f"the same token started this run {_age(found['createdAt'])}: nothing new was started. --token starts another run")
    code = DONE if no_wait else _exit_code(found)
    if code:
        raise typer.Exit(code)


def status(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="One job run in detail; without it, the newest ones.", show_default=False)
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=200, metavar="N", help="List so many runs, newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """Say how job runs of the application are, whoever started them; for one run, with links to its logs and its cost."""
    client, application = _application()
    if run is not None:
        _report(client, client.get_job_run(application, run), as_json=as_json, link=True)
        return
    listed = sorted(client.list_job_runs(application), key=lambda one: one["createdAt"], reverse=True)[:most]
    found = [_figures(client.get_job_run(application, one["id"])) for one in listed]
    if as_json:
        console.document({"application": application, "runs": found, "ok": True})
        return
    rows = [[one["run"], one["state"], _age(one["created"]), _money(one), one.get("job_id") or one.get("name") or ""] for one in found]
    console.table(f"application {application}", ["run", "state", "started", "cost", "job"], rows)


def cancel(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the job run (`torus emr status`).")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Cancel a job run, and say what state it came to. What it has published stays; what it was writing is nobody's."""
    from torus_assets.emr.states import has_ended

    if not (yes or sys.stdin.isatty()):
        console.complain("nobody is there to ask: say --yes")
        raise typer.Exit(USAGE)
    client, application = _application()
    found = client.get_job_run(application, run)
    if has_ended(found["state"]):
        console.complain(f"job run {run} is {found['state']} already: there is nothing to cancel")
        raise typer.Exit(NOT_RIGHT)
    if not yes and not typer.confirm(f"Cancel job run {run} ({found['state']})?", err=True):
        _tell("nothing was done")
        return
    client.cancel_job_run(application, run)
    waited = 0.0
    while not has_ended((found := client.get_job_run(application, run))["state"]) and waited < CANCEL_SECONDS:
        time.sleep(CANCEL_POLL_SECONDS)
        waited += CANCEL_POLL_SECONDS
    if as_json:
        console.document({"run": run, "state": found["state"], "ok": found["state"] == "CANCELLED"})
    else:
        console.out.print(f"job run {run} is {found['state']}", soft_wrap=True)
    if found["state"] != "CANCELLED":
        raise typer.Exit(NOT_RIGHT)


def _followed(client: EmrServerless, application: str, run: str) -> dict[str, Any]:
    from torus_assets.emr.states import phase
    from torus_assets.emr.submit import follow

    def say(state: str) -> None:
        _tell(f"{datetime.now(UTC):%H:%M:%S} {state}{'' if phase(state) != 'unknown' else ' (a state that is not known here)'}")

    try:
        return follow(client, application, run, on_state=say, on_silence=lambda error: _tell(str(error)), sleep=time.sleep)
    except KeyboardInterrupt:
        _tell(f"job run {run} goes on. Look: torus emr status {run}. End it: torus emr cancel {run}")
        raise typer.Exit(FAILED) from None


def _exit_code(found: Mapping[str, Any]) -> int:
    """By the state; a job that says that something is not right has its own."""
    from torus_assets.emr.asked import exit_code

    if found["state"] == "SUCCESS":
        return DONE
    return NOT_RIGHT if exit_code(found) == NOT_RIGHT else FAILED


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """One run as JSON values. Its arguments and details stay where they are: they may name learners."""
    from torus_assets.emr.asked import asked
    from torus_assets.emr.figures import figures

    said = asked(found)
    about = {"job_id": said.job_id, "action": said.action, "sections": said.sections, "dagster_run": said.own_run}
    times = {"created": found["createdAt"], "updated": found["updatedAt"]}
    return {"run": found["jobRunId"], "state": found["state"], "name": found.get("name"), **times, **about, **figures(found)}


def _report(client: EmrServerless, found: Mapping[str, Any], *, as_json: bool, link: bool = False) -> None:
    from torus_assets.clients.emr_errors import EmrError
    from torus_assets.emr.figures import console_link

    said = _figures(found)
    if "log_stream" in said:
        said["log_link"] = console_link(client.region, said["log_group"], said["log_stream"])
    if link:
        try:
            said["dashboard"] = client.dashboard(found["applicationId"], found["jobRunId"])
        except EmrError as error:
            _tell(f"no link to Spark's pages: {error}")
    if as_json:
        console.document({**said, "ok": found["state"] not in ("FAILED", "CANCELLED")})
        return
    console.out.print(f"[bold]{said['run']}[/] {said['state']}, started {_age(said['created'])}, {_money(said)}", soft_wrap=True)
    for name in (
        "job_id",
        "action",
        "sections",
        "dagster_run",
        "seconds",
        "vcpu_hours",
        "memory_gb_hours",
        "cost_basis",
        "logs",
        "log_link",
        "dashboard",
    ):
        if said.get(name) is not None:
            console.out.print(f"  {name.replace('_', ' ')}: {said[name]}", markup=False, soft_wrap=True)


def _show_plan(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.document({"start_job_run": document, "dry_run": True, "ok": True})
        return
    console.out.print_json(data=document)
    _tell("nothing was started")


def _application() -> tuple[EmrServerless, str]:
    from torus_assets.clients.emr import connect
    from torus_assets.emr.applications import application_id

    client = connect()
    with usage():
        return client, application_id(client, settings.from_environment().emr)


def _money(said: Mapping[str, Any]) -> str:
    return f"{said['cost_usd']:.2f} USD" if "cost_usd" in said else "cost not known"


def _age(created: datetime) -> str:
    """How long ago, in the largest unit that says something."""
    seconds = max((datetime.now(UTC) - created).total_seconds(), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"


def _tell(text: str) -> None:
    """A message with ids and commands in it, which a broken line would spoil."""
    console.errors.print(text, markup=False, soft_wrap=True)
