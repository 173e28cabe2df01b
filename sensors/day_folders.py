"""New objects below day folders, without listing the whole history: open days at each tick, older ones in turn.

Each day has a position of its own, so an object that is put into an old day's folder is found when that day's turn comes. Without Dagster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import msgspec

from sensors.new_objects import OVERLAP, Position, new_objects
from torus_assets.clients.object_store import ObjectInfo


class Watch(NamedTuple):
    """Which days are looked at. With 60 s between ticks and the defaults, each old day has its turn within a quarter of an hour."""

    open_days: int = 3  # today included; a folder of tomorrow is found tomorrow
    kept_days: int = 120  # before today; what is put into older folders is not found
    old_days: int = 8  # listed per tick besides the open ones
    limit: int = 50  # objects per tick


class Cursor(msgspec.Struct, frozen=True):
    """Where each day stands. Days without objects have no entry."""

    days: Mapping[date, Position] = {}
    turn: date | None = None  # the old day that was looked at last


class Tick(NamedTuple):
    """What one look found."""

    fresh: tuple[ObjectInfo, ...]
    cursor: Cursor
    waiting: int


def look(
    cursor: Cursor, listing: Callable[[date], Iterable[ObjectInfo]], now: datetime, watch: Watch, overlap: timedelta = OVERLAP
) -> Tick:
    """At most `watch.limit` new objects, those of the newest days first.

    Args:
        listing: the objects of a day's folder; called once for each day looked at.
        now: UTC.
    """
    today = now.astimezone(UTC).date()
    positions = {day: position for day, position in cursor.days.items() if day >= today - timedelta(days=watch.kept_days)}
    fresh: list[ObjectInfo] = []
    turn, waiting = cursor.turn, 0
    old = turns(cursor.turn, today, watch)
    for day in (*open_days(today, watch), *old):
        found = new_objects(positions.get(day, Position()), listing(day), limit=watch.limit - len(fresh), now=now, overlap=overlap)
        fresh += found.fresh
        waiting += found.waiting
        if found.position.seen or day in positions:
            positions[day] = found.position
        if found.waiting and day in old:
            break  # its turn stays
        turn = day if day in old else turn
    return Tick(tuple(fresh), Cursor(positions, turn), waiting)


def open_days(today: date, watch: Watch) -> list[date]:
    """Days that are looked at each time, the newest first."""
    return [today - timedelta(days=n) for n in range(watch.open_days)]


def turns(last: date | None, today: date, watch: Watch) -> list[date]:
    """The old days whose turn it is: below the last one, from the top again after the oldest."""
    newest, oldest = today - timedelta(days=watch.open_days), today - timedelta(days=watch.kept_days)
    count = (newest - oldest).days + 1
    if count <= 0:
        return []
    begin = (newest - last).days + 1 if last is not None else 0
    return [newest - timedelta(days=(begin + n) % count) for n in range(min(watch.old_days, count))]


def parsed(cursor: str | None) -> Cursor:
    """The cursor in a text; the start of everything for none, or for one that cannot be read."""
    try:
        return msgspec.json.decode(cursor, type=Cursor) if cursor else Cursor()
    except msgspec.MsgspecError:
        return Cursor()


def written(cursor: Cursor) -> str:
    return msgspec.json.encode(cursor).decode()
