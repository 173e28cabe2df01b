"""Keeping the lake tidy: days of many increments become few files, and what killed runs left goes."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from torus_assets.clients.folder_store import FolderStore
from torus_assets.clients.object_store import open_store
from torus_assets.xapi.ingest import clear_spool, compact_day, stale_folders
from torus_assets.xapi.lake import Lake, Snapshot

UNFINISHED_SECONDS = 86_400  # no single write takes a day


def crowded(snapshot: Snapshot, compact_above: int) -> list[date]:
    """Days that have more files of one kind than `compact_above`."""
    counts = Counter((file.day, file.kind) for file in snapshot.files())
    return sorted({day for (day, _), count in counts.items() if count > compact_above})


def maintain(lake_url: str, spool: Path, keep: timedelta, *, compact_above: int, dry_run: bool) -> dict[str, Any]:
    """Compacts, clears and vacuums; what was done, or would be.

    Args:
        keep: versions younger than this stay readable. Vacuum also takes files that a killed ingest placed and never committed.

    Raises:
        LakeMissing: there is no lake yet.
        DayChanged: somebody else is writing a day; run again.
    """
    lake = Lake(lake_url)
    days = crowded(lake.snapshot(), compact_above)
    if not dry_run:
        for day in days:
            compact_day(lake, day, spool)
        store = open_store(lake.url)
        if isinstance(store, FolderStore):
            store.clear_unfinished(UNFINISHED_SECONDS)
    removed = lake.vacuum(keep, dry_run=dry_run)
    cleared = stale_folders(spool) if dry_run else clear_spool(spool)
    return {
        "compacted": [day.isoformat() for day in days],
        "files_removed": len(removed),
        "spool_cleared": [folder.name for folder in cleared],
    }
