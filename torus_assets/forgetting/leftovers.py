"""Files of the lake's table that its newest version does not have, and how to tell which of them may go now.

Older versions stay readable until they are vacuumed, and killed ingests leave files that no version ever had. Both can hold a learner
who is gone from the newest version. A running ingest also places files before it commits them: those have to stay.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import pyarrow as pa

from torus_assets.clients.folder_store import FolderStore
from torus_assets.clients.object_store import TEMPORARY_FOLDER, ObjectInfo, ObjectStore, open_store
from torus_assets.forgetting.learner import Learner
from torus_assets.forgetting.looking import Found, OtherFiles, look
from torus_assets.xapi import tables
from torus_assets.xapi.lake import STATISTICS, DayFile, Lake, Snapshot

UNFINISHED = timedelta(days=1)  # no single write takes a day
PLACE = re.compile(r"upload_date=(?P<day>\d{4}-\d\d-\d\d)/kind=(?P<kind>\w+)/[^/]+\.parquet")
NEVER = datetime.min.replace(tzinfo=UTC)  # a day without a version: whatever stands there may be its first
LAST = "zz"  # files that tell whose they are go after the others, so that a killed sweep is taken up again


class Swept(NamedTuple):
    """What a sweep did."""

    files: int  # removed
    bytes: int
    unfinished: int  # writes of the last day that were killed or are under way; in a folder store only


def leftovers(lake: Lake, snapshot: Snapshot, learner: Learner) -> Found:
    """Lines of the learner in files that the snapshot does not have; every day's are looked at."""
    current = {file.path for file in snapshot.files()}
    others = [_day_file(info) for info in open_store(lake.url).list("upload_date=") if info.key not in current]
    return look(OtherFiles(snapshot, [file for file in others if file is not None]), learner)


def sweep(lake: Lake, days: Collection[date], now: datetime) -> Swept:
    """Removes the days' files that the newest version does not have and that nobody can still commit.

    A commit of a day makes every other commit fail that was planned before it. So what was placed before the newest file of the day's
    newest version is dead, by the store's own clock; what an older version had is dead whatever its age.
    """
    snapshot, store = lake.snapshot(), open_store(lake.url)
    had = set(snapshot.delta.vacuum(retention_hours=0, dry_run=True, enforce_retention_duration=False, full=False))
    files = size = 0
    for day in sorted(days):
        current = {file.path for file in snapshot.files(first=day, last=day)}
        listed = list(store.list(f"upload_date={day.isoformat()}/"))
        newest = max((info.last_modified for info in listed if info.key in current), default=NEVER)
        dead = [info for info in listed if info.key not in current and _is_dead(info, info.key in had, newest, now)]
        store.delete([info.key for info in sorted(dead, key=_goes)])
        files, size = files + len(dead), size + sum(info.size for info in dead)
    return Swept(files, size, _unfinished(store))


def _is_dead(info: ObjectInfo, was_committed: bool, newest: datetime, now: datetime) -> bool:
    return was_committed or info.last_modified < newest or now - info.last_modified > UNFINISHED


def _goes(info: ObjectInfo) -> tuple[str, str]:
    file = _day_file(info)
    tells = file is not None and file.kind not in {tables.DUPLICATES.kind, tables.LEDGER.kind}
    return (LAST if tells else "", info.key)


def _day_file(info: ObjectInfo) -> DayFile | None:
    """The table's file at a key; None for what is none. Its rows are not counted."""
    found = PLACE.fullmatch(info.key)
    if found is None or found["kind"] not in tables.BY_KIND:
        return None
    return DayFile(info.key, date.fromisoformat(found["day"]), found["kind"], 0, info.size)


def _unfinished(store: ObjectStore) -> int:
    """Clears what killed writes left in a folder store. Returns how many are too young to tell; S3 keeps none in sight."""
    if not isinstance(store, FolderStore):
        return 0
    store.clear_unfinished(UNFINISHED.total_seconds())
    return sum(1 for _ in (store.path("_").parent / TEMPORARY_FOLDER).glob("*"))


def log_columns(snapshot: Snapshot) -> list[str]:
    """Columns of which the table's log keeps values, beyond those that we let it keep; a learner could stand there. Empty is right."""
    names = pa.table(snapshot.delta.get_add_actions(flatten=True)).column_names
    kept = {name.partition(".")[2] for name in names if name.startswith(("min.", "max."))}
    return sorted(kept - set(STATISTICS))
