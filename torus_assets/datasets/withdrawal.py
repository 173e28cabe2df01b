"""Taking a request back: nobody finds its results any more, and after some days they are gone (`expiry.py`).

The marker is written first: whatever is killed after it, the job counts as withdrawn, and withdrawing again, or the next expiry,
finishes the work.
"""

from __future__ import annotations

from datetime import UTC, datetime

from torus_assets.clients.object_store import ObjectStore
from torus_assets.datasets.catalog import NoSuchJob, is_withdrawn, request_key, state, withdrawal_key
from torus_assets.datasets.receipt import encoded
from torus_assets.datasets.request_values import is_job_id, text_of_at_most

NAME_BYTES = 200


def withdraw(store: ObjectStore, job_id: str, by: str, now: datetime) -> bool:
    """Withdraws a job; False when it was withdrawn before, which leaves who and when as they were.

    Args:
        by: who withdraws; kept in `withdrawn/{job_id}.json`.
        now: with an offset.

    Raises:
        NoSuchJob: nobody asked for it here.
        ValueError: `by` is no name.
    """
    who = text_of_at_most(NAME_BYTES)(by)
    if not is_job_id(job_id):
        raise NoSuchJob(job_id)
    state(store, job_id)
    is_new = not is_withdrawn(store, job_id)
    if is_new:
        store.put(withdrawal_key(job_id), encoded({"job_id": job_id, "by": who, "at": now.astimezone(UTC).isoformat()}))
    unpublish(store, job_id)
    return is_new


def unpublish(store: ObjectStore, job_id: str) -> None:
    """Removes what leads to the results of a withdrawn job, and its request. The folders of its runs stay."""
    store.delete([f"{job_id}/manifest.json", f"{job_id}/index.html"])
    store.delete([request_key(job_id)])
