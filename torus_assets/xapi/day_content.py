"""A name for what a day of the lake holds, so that a load can say what it loaded.

The day's commits are counted in Delta's log, but each question about one day reads the log again. The files are known with the snapshot.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from datetime import date

from torus_assets.xapi import tables
from torus_assets.xapi.lake import Snapshot

CONTENT = "day_content"  # metadata of a loaded day: what the lake had of it then
NOTHING = "none"  # a day without events: nothing to load


def day_content(snapshot: Snapshot, day: date) -> str:
    """Names the event files of the day: another name as soon as a commit changes its events (or writes them anew)."""
    return day_contents(snapshot, day, day).get(day, NOTHING)


def day_contents(snapshot: Snapshot, first: date | None = None, last: date | None = None) -> dict[date, str]:
    """The same for all days, or those of the range, that have events. Reads nothing: the snapshot knows its files."""
    paths: dict[date, list[str]] = defaultdict(list)
    for file in snapshot.files(kinds=tables.EVENT_KINDS, first=first, last=last):
        paths[file.day].append(file.path)
    return {day: hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16] for day, found in paths.items()}


def renamed(before: Snapshot, after: Snapshot, removed: Mapping[date, int]) -> dict[date, tuple[str, str]]:
    """Days whose files were written anew and that hold the same events otherwise: the old and the new name.

    Args:
        removed: events that went from the day (and from ClickHouse) in between; none for a compaction. A day whose number of events
            changed by anything else is left out: somebody has ingested it meanwhile.
    """
    old, new = day_contents(before), day_contents(after)
    counts = _events(before), _events(after)
    return {
        day: (name, new.get(day, NOTHING))
        for day, name in old.items()
        if new.get(day, NOTHING) != name and counts[1].get(day, 0) == counts[0][day] - removed.get(day, 0)
    }


def _events(snapshot: Snapshot) -> dict[date, int]:
    rows: dict[date, int] = defaultdict(int)
    for file in snapshot.files(kinds=tables.EVENT_KINDS):
        rows[file.day] += file.rows
    return rows
