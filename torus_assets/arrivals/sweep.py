"""Listing as a source of arrivals: the open upload days of every section, a bounded piece per tick.

Calls of a tick: one per 1,000 sections to find the homes, then per home one for its categories and one per category (one more
for each further 1,000 keys of the open days). A whole sweep of 1,000 sections with four categories is about 5,000 calls; a tick
of one second makes some 400 of them at 40 ms and 16 threads, so such a sweep takes a dozen ticks. Keys of closed days cost
nothing: each listing starts at the first open day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, timedelta
from threading import Event
from typing import NamedTuple

from torus_assets.arrivals.position import Home, Position, homes_from, read_cursor, start_in, written
from torus_assets.clients.object_store import ObjectInfo, ObjectStore
from torus_assets.xapi.bundle_index import Bundle, bundle_of
from torus_assets.xapi.bundles import PARTITIONS, holds_bundles, is_category

KEYS = 20_000  # of one tick at most
THREADS = 16
PAGE = 1000  # keys between two looks at the clock: what one call gives


@dataclass
class Swept:
    """What one tick listed."""

    cursor: str
    complete: bool  # the sweep came to its end; the next tick begins anew
    homes: int = 0  # sections and projects that there are
    keys: int = 0  # listed, bundles or not
    found: list[Bundle] = field(default_factory=list)


class _Listed(NamedTuple):
    """One home, as far as it was listed."""

    found: list[ObjectInfo]
    reached: Position | None  # None: to its end


class _Piece(NamedTuple):
    """What all listings of a tick share."""

    store: ObjectStore
    first: date
    last: date
    clock: Callable[[], float]
    deadline: float
    enough: Event  # nobody waits for what is still being listed

    def late(self) -> bool:
        return self.enough.is_set() or self.clock() >= self.deadline


def sweep(
    store: ObjectStore, first: date, last: date, cursor: str | None, *, clock: Callable[[], float], seconds: float, keys: int = KEYS
) -> Swept:
    """Lists from where the cursor stands until the keys, the seconds or the sections end.

    At least one page is listed, so a sweep always comes to its end; seconds are overrun by the calls under way.

    Args:
        first: the first open day.
        last: the last open day, today.
        clock: seconds, from anywhere.
        keys: taken from this tick at most; what was listed beyond them is listed again by the next one.
    """
    piece = _Piece(store, first, last, clock, clock() + seconds, Event())
    position = read_cursor(cursor)
    homes = [(partition, name) for partition in PARTITIONS for name in store.folders(partition) if holds_bundles(partition, name)]
    swept = Swept(written(None), complete=True, homes=len(homes))
    stopped = _take(piece, homes_from(homes, position), position, keys, swept)
    return swept if stopped is None else Swept(written(stopped), False, swept.homes, swept.keys, swept.found)


def _take(piece: _Piece, homes: list[Home], position: Position | None, keys: int, swept: Swept) -> Position | None:
    """Takes the homes in order; where to go on, None when all are done."""
    with ThreadPoolExecutor(THREADS) as pool:
        for home, coming in _ahead(pool, piece, homes, position, keys):
            if coming is None or swept.keys == keys:
                return Position(*home)
            listed = coming.result()
            taken = listed.found[: keys - swept.keys]
            swept.keys += len(taken)
            swept.found.extend(bundle for info in taken if (bundle := bundle_of(info, "listing")))
            if len(taken) < len(listed.found):
                return _at(home, taken[-1].key) if taken else Position(*home)
            if listed.reached:
                return listed.reached
    return None


def _ahead(
    pool: ThreadPoolExecutor, piece: _Piece, homes: list[Home], position: Position | None, keys: int
) -> Iterator[tuple[Home, Future[_Listed] | None]]:
    """The homes with their listings, some of them under way ahead; None for one that was not begun because it is late."""
    rest = deque(homes)
    begun: deque[tuple[Home, Future[_Listed]]] = deque()
    started = False
    try:
        while rest or begun:
            while rest and len(begun) < THREADS and not (started and piece.late()):
                home = rest.popleft()
                here = position if position and position.home == home else None
                begun.append((home, pool.submit(_list_home, piece, home, here, keys)))
                started = True
            yield begun.popleft() if begun else (rest.popleft(), None)
    finally:
        piece.enough.set()
        for _, future in begun:
            future.cancel()


def _list_home(piece: _Piece, home: Home, position: Position | None, keys: int) -> _Listed:
    """The open days of a home's categories, in order; a first page, or a first category, is always listed."""
    found: list[ObjectInfo] = []
    base = "/".join(home) + "/"
    worked = False
    for category in sorted(filter(is_category, piece.store.folders(base))):
        folder = f"{base}{category}/"
        start = start_in(folder, category, piece.first.isoformat(), position)
        end = folder + (piece.last + timedelta(days=1)).isoformat()
        if start is None or start >= end:
            continue
        if worked and piece.late():
            return _Listed(found, Position(*home, category, start))
        for count, info in enumerate(piece.store.list(folder, after=start)):
            if info.key >= end:
                break
            if len(found) >= keys or (count and count % PAGE == 0 and piece.late()):
                return _Listed(found, Position(*home, category, start))
            found.append(info)
            start = info.key
        worked = True
    return _Listed(found, None)


def _at(home: Home, key: str) -> Position:
    return Position(*home, key.split("/")[2], key)
