"""Which objects of a listing are new: arithmetic on positions, without a store or Dagster.

A position is a modification time up to which all objects were handled, and a mark of each handled one from there on. An object may
become visible some time after its own time, so the position stays that overlap behind what could still come. So an object is found that
has the same second as the newest, that is late, that was overwritten, or whose key sorts before others. Stores date an object when it is
put: a copy that keeps an old time is not found. A lost position finds everything again; run keys make nothing of it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from torus_assets.clients.object_store import ObjectInfo

OVERLAP = timedelta(minutes=15)
START = datetime(1970, 1, 1, tzinfo=UTC)

Mark = Callable[[ObjectInfo], str]


class Seen(NamedTuple):
    """An object that was handled."""

    mark: str
    last_modified: datetime


class Position(msgspec.Struct, frozen=True):
    """Up to where objects were handled."""

    newest: datetime = START  # UTC; of the handled objects
    floor: datetime = START  # never after `newest`; older objects are all handled
    seen: Mapping[str, Seen] = {}  # handled objects from the floor on, by key


class Found(NamedTuple):
    """The next objects to handle, and the position once they are handled."""

    fresh: tuple[ObjectInfo, ...]  # the oldest first
    position: Position
    waiting: int  # new as well, left for the next time


def etag(info: ObjectInfo) -> str:
    """The plain mark. On S3 it is mostly a digest of the content: take a keyed one where contents can be guessed."""
    return info.etag


def new_objects(
    position: Position, listed: Iterable[ObjectInfo], *, limit: int, now: datetime, mark: Mark = etag, overlap: timedelta = OVERLAP
) -> Found:
    """At most `limit` objects that the position does not have, the oldest first, so that none is passed by.

    Args:
        listed: looked at once; memory grows with what is new.
        limit: at least 0.
        now: aware. A position never lies ahead of it: one object with a time in the future would hide all that come after.
        mark: what changes when an object does.
        overlap: how late an object may become visible.
    """
    known = position.seen
    new = [
        info for info in listed if info.last_modified >= position.floor and (info.key not in known or known[info.key].mark != mark(info))
    ]
    new.sort(key=lambda info: (info.last_modified, info.key))
    taken, waiting = tuple(new[:limit]), max(0, len(new) - limit)
    newest = min(max((position.newest, *(info.last_modified for info in taken))), max(now, position.newest))
    could_come = newest - overlap if waiting else min(newest, now - overlap)
    floor = max(position.floor, could_come)
    marks = {**known, **{info.key: Seen(mark(info), info.last_modified) for info in taken}}
    kept = {key: seen for key, seen in marks.items() if seen.last_modified >= floor}
    return Found(taken, Position(newest, floor, kept), waiting)


def parsed(cursor: str | None) -> Position:
    """The position in a cursor; the start of everything for none, or for one that cannot be read."""
    try:
        return msgspec.json.decode(cursor, type=Position) if cursor else Position()
    except msgspec.MsgspecError:
        return Position()


def written(position: Position) -> str:
    return msgspec.json.encode(position).decode()
