"""What is recorded of a followed run, and which of it people have to hear of."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from torus_assets.clients.object_store import ObjectStore
from torus_assets.emr.asked import asked, exit_code
from torus_assets.emr.figures import console_link, figures, region_of
from torus_assets.emr.following import Event, Reported, Run
from torus_assets.emr.states import phase, shown
from torus_assets.failures.notices import Failure

SUBJECT = "jobs of EMR Serverless"  # as the job of notices
TOLD_WITHIN = timedelta(days=1)  # what ended longer ago is recorded, and nobody is told

Manifest = Literal["there", "missing", "not in this store"]


def recorded(application: str, event: Event, detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """Plain values by name; what is not known is left out. Of the arguments only what `asked` reads, and no text of EMR's own.

    Args:
        application: id of the application.
        detail: the answer of GetJobRun; None for a run that is gone.
    """
    run, found = event.run, detail or {}
    wanted = asked(found)
    values: dict[str, Any] = {
        "application": application,
        "job_run": run.id,
        "state": shown(run.state),
        "about": event.about,
        "since": run.updated_at.isoformat(),
        "created_at": run.created_at.isoformat(),
        "before": event.before and shown(event.before),
        "job_id": wanted.job_id,
        "action": wanted.action,
        "sections": wanted.sections,
        "started_by": "this Dagster" if wanted.own_run else "others",
        "run": wanted.own_run,
        "exit_code": exit_code(found),
        **(figures(found) if found else {}),
    }
    if "log_stream" in values:
        values["driver_log"] = console_link(region_of(found), values["log_group"], values["log_stream"])
    return {name: value for name, value in values.items() if value is not None}


def reported(values: Mapping[str, Any]) -> Reported:
    """The event that was recorded with these values."""
    times = (datetime.fromisoformat(values[name]) for name in ("created_at", "since"))
    return Reported(Run(values["job_run"], values["state"], *times), values["about"])


def manifest(store: ObjectStore, job_id: str) -> Manifest:
    """Whether the results are where Torus will look for them.

    Torus puts the lookup beside the results before it starts the job (spec/datasets.md 1). So a lookup without a manifest is a loss, and
    neither of them means that the results go to another store.
    """
    if store.head(f"{job_id}/manifest.json") is not None:
        return "there"
    return "missing" if store.head(f"contexts/{job_id}.json") is not None else "not in this store"


def step_of(event: Event) -> str:
    """The run as the step of notices: each run is told of by itself."""
    return f"job run {event.run.id}"


def wrong(event: Event, values: Mapping[str, Any], now: datetime) -> Failure | None:
    """What people have to hear of an event; None when nothing is wrong.

    A run of our own is told of by its Dagster run, and what ended longer ago than `TOLD_WITHIN` is only recorded.
    """
    problem = _problem(event, values)
    if problem is None or "run" in values or (event.about == "state" and now - event.run.updated_at > TOLD_WITHIN):
        return None
    kind, text, what_to_do = problem
    of = f" (job {values['job_id']})" if "job_id" in values else ""
    return Failure(SUBJECT, step_of(event), "outside", kind, f"{text}{of}", what_to_do, now)


def _problem(event: Event, values: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Kind, what happened, what to do."""
    state, log = values["state"], values.get("logs") or values.get("driver_log")
    read = f"Read the driver's log ({log})" if log else "Read the driver's log in EMR Studio (the run names no other place for it)"
    if event.about == "vanished":
        return (
            "vanished",
            f"EMR no longer knows the run, which was {state}",
            "Look whether its results are there; if not, start the job again.",
        )
    if event.about == "long":
        since = f"{event.run.updated_at:%Y-%m-%d %H:%M} UTC"
        return "long", f"{state} since {since}", f"Look at the application's capacity. {read}. Cancel the run if it is stuck."
    if state == "FAILED":
        code = values.get("exit_code")
        return "FAILED", f"FAILED{'' if code is None else f' with exit code {code}'}", f"{read}, then start the job again."
    if phase(event.run.state) == "unknown":
        return (
            "unknown state",
            f"EMR says {state}, a state that is not known here",
            "The run is followed like an active one. Update Torus Assets.",
        )
    if values.get("manifest") == "missing":
        return "no manifest", "SUCCESS, but its manifest is not there: Torus' mail links to nothing", f"{read}, then start the job again."
    return None
