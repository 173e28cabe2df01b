"""The data sets of a store: what was asked for, what became of it, and asking for more.

A request is an object `requests/{job_id}.json`. What was withdrawn has `withdrawn/{job_id}.json`; the newer of the two counts, so that a
request put there again by any means is asked for again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec

from torus_assets.clients.object_store import Fetched, ObjectStore
from torus_assets.datasets import request_values
from torus_assets.datasets.request import Request, RequestError, parse_request
from torus_assets.datasets.run_folder import Run, document, finished, folders, published, receipt_of

State = Literal["submitted", "complete", "withdrawn", "invalid"]


class NoSuchJob(LookupError):
    """Nobody asked for this data set here."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no data set {request_values.quoted(job_id)} was asked for here; `torus dataset list` shows those that were")


@dataclass(frozen=True)
class JobState:
    """What is known of one job. The run is the published one, else the newest that is finished; None before the first."""

    job_id: str
    state: State  # submitted: there is no published run of the request as it is now
    action: str | None = None  # None where the request cannot be read
    submitted_at: datetime | None = None  # UTC; None once the request is gone
    run: str | None = None
    finished_at: datetime | None = None
    rows: int | None = None
    files: int | None = None
    bytes: int | None = None
    withdrawn_by: str | None = None
    withdrawn_at: str | None = None
    problems: tuple[str, ...] = field(default=())  # why the request is invalid
    notes: tuple[str, ...] = field(default=())  # what of the request is ignored

    def document(self) -> dict[str, Any]:
        return asdict(self)


def request_key(job_id: str) -> str:
    return f"requests/{job_id}.json"


def withdrawal_key(job_id: str) -> str:
    return f"withdrawn/{job_id}.json"


def submit(store: ObjectStore, body: bytes) -> Request:
    """Checks a request document and puts it where requests are looked for; nothing is written for one that is there already.

    A withdrawal of the job ends with that: the request is newer than its marker from the first write on.

    Raises:
        RequestError: with all mistakes; nothing is written.
    """
    request = parse_request(body)
    known = _fetched(store, request_key(request.job_id))
    if known is None or known.body != body or is_withdrawn(store, request.job_id):
        store.put(request_key(request.job_id), body)
    store.delete([withdrawal_key(request.job_id)])
    return request


def jobs(store: ObjectStore) -> list[JobState]:
    """All jobs by id: those asked for, those withdrawn, and those that only have results."""
    asked, withdrawn = (set(_names(store, folder)) for folder in ("requests/", "withdrawn/"))
    results = {name for name in store.folders() if store.folders(f"{name}/runs")}
    return [state(store, job_id) for job_id in sorted(asked | {name for name in withdrawn | results if request_values.is_job_id(name)})]


def state(store: ObjectStore, job_id: str) -> JobState:
    """What is known of a job.

    Raises:
        NoSuchJob: nothing is known of it.
    """
    if not request_values.is_job_id(job_id):
        return _misnamed(store, job_id)
    run = newest_run(store, job_id)
    results = _results(run)
    if is_withdrawn(store, job_id):
        found = document(store, withdrawal_key(job_id)) or {}
        return JobState(job_id, state="withdrawn", withdrawn_by=found.get("by"), withdrawn_at=found.get("at"), **results)
    asked, named = _fetched(store, request_key(job_id)), published(store, job_id)
    if asked is None:
        return _without_request(store, job_id, run, named)
    try:
        request = parse_request(asked.body)
        if request.job_id != job_id:
            raise RequestError([f"job_id: says {request.job_id!r}, and the object is {request_key(job_id)}"])
    except RequestError as error:
        return JobState(job_id, state="invalid", submitted_at=asked.last_modified, problems=error.problems, **results)
    done = run is not None and named == run.folder and _answers(run, request)
    results["action"] = request.action
    return JobState(job_id, state="complete" if done else "submitted", submitted_at=asked.last_modified, notes=request.notes, **results)


def is_withdrawn(store: ObjectStore, job_id: str) -> bool:
    """The job was withdrawn, and its request was not put there again since."""
    marked, asked = store.head(withdrawal_key(job_id)), store.head(request_key(job_id))
    return marked is not None and (asked is None or asked.last_modified <= marked.last_modified)


def newest_run(store: ObjectStore, job_id: str) -> Run | None:
    """The run that the manifest names, else the one that was finished last; None before the first."""
    named = published(store, job_id)
    if named and (receipt := receipt_of(store, named)):
        return Run(store, named, receipt)
    found = [(finished(store, folder), folder, receipt) for folder, _ in folders(store, job_id) if (receipt := receipt_of(store, folder))]
    times = [(time, folder, receipt) for time, folder, receipt in found if time]
    return Run(store, *max(times, key=lambda one: one[:2])[1:]) if times else None


def _answers(run: Run, request: Request) -> bool:
    """The run is of the request as it is now. Of ignored students only the number can be compared without the key."""
    asked, answered = msgspec.json.decode(msgspec.json.encode(request.document())), dict(run.receipt["request"])
    students = answered.pop("ignored_students", {}).get("count")
    return students == len(request.ignored_student_ids) and all(asked.get(key) == value for key, value in answered.items())


def _results(run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    files = run.receipt["files"]
    return {
        "action": run.receipt["request"].get("action"), "run": run.id, "finished_at": finished(run.store, run.folder),
        "rows": run.receipt["rows"].get("exported"), "files": len(files), "bytes": sum(file["bytes"] for file in files),
    }  # fmt: skip


def _without_request(store: ObjectStore, job_id: str, run: Run | None, named: str | None) -> JobState:
    """Results whose request was removed by other means than a withdrawal."""
    if run and named == run.folder:
        return JobState(job_id, state="complete", **_results(run))
    if not store.folders(f"{job_id}/runs"):
        raise NoSuchJob(job_id)
    return JobState(job_id, state="invalid", problems=("there are runs, but neither a request nor a manifest",), **_results(run))


def _misnamed(store: ObjectStore, job_id: str) -> JobState:
    """An object below `requests/` whose name is no job id."""
    if job_id not in _names(store, "requests/"):
        raise NoSuchJob(job_id)
    return JobState(job_id, state="invalid", problems=("the object below requests/ is not called after a job id",))


def _names(store: ObjectStore, folder: str) -> list[str]:
    keys = [info.key.removeprefix(folder) for info in store.list(folder)]
    return [key.removesuffix(".json") for key in keys if key.endswith(".json") and "/" not in key]


def _fetched(store: ObjectStore, key: str) -> Fetched | None:
    try:
        return store.get(key)
    except FileNotFoundError:
        return None
