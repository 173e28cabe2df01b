"""Finding runs of data sets in the store, and what is known of them. The layout is in `receipt.py`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from torus_assets.clients.object_store import ObjectInfo, ObjectStore, open_store
from torus_assets.datasets.request_values import is_job_id, quoted


class NoSuchRun(LookupError):
    """There is no such data set, or it has no finished run; the message says which and what to do."""


@dataclass(frozen=True)
class Run:
    """A finished run: its folder (key with a final slash, or nothing where the store's URL is the folder) and its receipt."""

    store: ObjectStore
    folder: str
    receipt: dict[str, Any]

    @property
    def id(self) -> str:
        return self.receipt["run"]

    @property
    def name(self) -> str:
        return f"{self.receipt['request']['job_id']}/{self.id}"

    def files(self, what: str = "chunk") -> list[dict[str, Any]]:
        """Files of the receipt that are `what`; receipts of version 1 have only chunks and do not say so."""
        return [file for file in self.receipt["files"] if file.get("what", "chunk") == what]


def document(store: ObjectStore, key: str) -> dict[str, Any] | None:
    """A JSON object of the store; None where there is none, or where it is something else: a killed write leaves neither."""
    try:
        found = msgspec.json.decode(store.get(key).body)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) else None


def receipt_of(store: ObjectStore, folder: str) -> dict[str, Any] | None:
    """The receipt in a run's folder; None as long as the run is not finished."""
    found = document(store, f"{folder}receipt.json")
    return found if found and {"run", "request", "files", "rows"} <= set(found) else None


def finished(store: ObjectStore, folder: str) -> datetime | None:
    """When the run was finished, by its run.json."""
    found = document(store, f"{folder}run.json")
    return moment(found.get("finished")) if found else None


def moment(text: Any) -> datetime | None:
    """A time of our own documents; None for what is none. Without an offset it is UTC."""
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def published(store: ObjectStore, job_id: str) -> str | None:
    """The folder of the run that the job's manifest names, with a final slash."""
    found = document(store, f"{job_id}/manifest.json")
    place = found.get("receipt") if found else None
    if not isinstance(place, str) or not place.startswith("runs/") or ".." in place.split("/"):
        return None
    return f"{job_id}/{place.removesuffix('receipt.json')}"


def folders(store: ObjectStore, job_id: str) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """Each run folder of a job, finished or not, with its objects."""
    for run in store.folders(f"{job_id}/runs"):
        folder = f"{job_id}/runs/{run}/"
        if objects := list(store.list(folder)):  # a folder may have gone meanwhile
            yield folder, objects


def find_run(store: ObjectStore, place: str) -> Run:
    """The run at `place`: a job id (its published run), `job id/run`, or the URL of a folder with a receipt or a manifest.

    Raises:
        NoSuchRun: nothing there, or nothing finished.
    """
    if "://" in place or place.startswith("/"):
        return _at_url(place)
    job_id, _, run = place.strip("/").partition("/")
    run = run.removeprefix("runs/").strip("/")
    if not is_job_id(job_id) or (run and not is_job_id(run)):
        raise NoSuchRun(f"{quoted(place)} is no run: give a job id, JOB/RUN, or the URL of a folder with a receipt")
    folder = f"{job_id}/runs/{run}/" if run else published(store, job_id)
    if folder is None:
        withdrawn = store.head(f"withdrawn/{job_id}.json") is not None
        raise NoSuchRun(f"{job_id} was withdrawn; name one of its runs as {job_id}/RUN" if withdrawn else f"{job_id} has no published run")
    return _run(store, folder)


def _at_url(url: str) -> Run:
    store = open_store(url.rstrip("/"))
    if receipt_of(store, "") is None and (found := document(store, "manifest.json")) is not None:
        return _run(store, str(found.get("receipt", "")).removesuffix("receipt.json"))
    return _run(store, "")


def _run(store: ObjectStore, folder: str) -> Run:
    found = receipt_of(store, folder)
    if found is None:
        raise NoSuchRun(f"{store.uri(f'{folder}receipt.json')} is no receipt, so there is no finished run")
    return Run(store, folder, found)
