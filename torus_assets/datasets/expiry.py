"""When results and lookups go away. The rule:

- runs of a withdrawn job: `withdrawn_days` after its withdrawal;
- a run that was never finished: `unfinished_days` after its last file;
- a finished run that the manifest does not name: `keep_days` after it was finished;
- a lookup, which may hold e-mail addresses: `lookup_days` after the newest run of its job was finished (without one: after the withdrawal;
  without a request: after the lookup was written), but never sooner than `lookup_days` after it was written;
- the published run of a job, or without one its newest: never, unless the job is withdrawn.

A receipt is removed before the files that it vouches for, run.json last: what a kill leaves is no finished run, and goes next time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from torus_assets.clients.object_store import ObjectInfo, ObjectStore
from torus_assets.datasets.catalog import is_withdrawn, jobs, newest_run, request_key, withdrawal_key
from torus_assets.datasets.request_values import is_job_id
from torus_assets.datasets.run_folder import document, finished, folders, moment, receipt_of
from torus_assets.datasets.withdrawal import unpublish

KEEP_DAYS, WITHDRAWN_DAYS, UNFINISHED_DAYS, LOOKUP_DAYS = 365, 7, 7, 30


@dataclass(frozen=True)
class Removed:
    """A run's folder, or a lookup."""

    key: str  # of the folder, with a final slash; or of the lookup
    reason: str  # withdrawn, unfinished, superseded, lookup
    files: int
    bytes: int

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Rule:
    """Days that things are kept."""

    keep_days: int = KEEP_DAYS
    withdrawn_days: int = WITHDRAWN_DAYS
    unfinished_days: int = UNFINISHED_DAYS
    lookup_days: int = LOOKUP_DAYS


def expire(store: ObjectStore, now: datetime, rule: Rule | None = None, *, dry_run: bool = False) -> list[Removed]:
    """Removes what the rule says, in order of keys; what was removed, or in a dry run would be. Safe to repeat and to kill."""
    rule = rule or Rule()
    removed: list[Removed] = []
    for one in jobs(store):
        if not is_job_id(one.job_id):
            continue
        if one.state == "withdrawn" and not dry_run:
            unpublish(store, one.job_id)  # what a killed withdrawal left, or a run that was under way published since
        for found, objects in _runs(store, one.job_id, now, rule):
            removed.append(found)
            if not dry_run:
                _remove(store, found.key, objects)
    for found in _lookups(store, now, rule):
        removed.append(found)
        if not dry_run:
            store.delete([found.key])
    return removed


def _runs(store: ObjectStore, job_id: str, now: datetime, rule: Rule) -> Iterator[tuple[Removed, list[ObjectInfo]]]:
    withdrawn_at = _withdrawn_at(store, job_id)
    newest = None if withdrawn_at else newest_run(store, job_id)
    for folder, objects in list(folders(store, job_id)):
        if newest and newest.folder == folder:
            continue
        last = max(info.last_modified for info in objects)
        if withdrawn_at:
            since, days, reason = withdrawn_at, rule.withdrawn_days, "withdrawn"
        elif receipt_of(store, folder) is None:
            since, days, reason = last, rule.unfinished_days, "unfinished"
        else:
            since, days, reason = finished(store, folder) or last, rule.keep_days, "superseded"
        if now - since >= timedelta(days=days):
            yield Removed(folder, reason, len(objects), sum(info.size for info in objects)), objects


def _remove(store: ObjectStore, folder: str, objects: list[ObjectInfo]) -> None:
    store.delete([f"{folder}receipt.json"])
    store.delete([info.key for info in objects if info.key not in (f"{folder}receipt.json", f"{folder}run.json")])
    store.delete([f"{folder}run.json"])


def _lookups(store: ObjectStore, now: datetime, rule: Rule) -> Iterator[Removed]:
    for info in list(store.list("contexts/")):
        job_id = info.key.removeprefix("contexts/").removesuffix(".json")
        if not is_job_id(job_id):
            continue
        since = _used_until(store, job_id, info)
        if since and now - max(since, info.last_modified) >= timedelta(days=rule.lookup_days):
            yield Removed(info.key, "lookup", 1, info.size)


def _used_until(store: ObjectStore, job_id: str, lookup: ObjectInfo) -> datetime | None:
    """When the lookup was needed last; None while its first run is still to come."""
    newest = newest_run(store, job_id)
    if newest:
        return finished(store, newest.folder) or lookup.last_modified
    return _withdrawn_at(store, job_id) or (None if store.head(request_key(job_id)) else lookup.last_modified)


def _withdrawn_at(store: ObjectStore, job_id: str) -> datetime | None:
    if not is_withdrawn(store, job_id):
        return None
    marker = store.head(withdrawal_key(job_id))
    found = document(store, withdrawal_key(job_id)) or {}
    return moment(found.get("at")) or (marker.last_modified if marker else None)
