"""One look at all sources of arrivals, and what to ask for after it.

The order: acknowledgements, queue, listing, what is pending, requests. Everything durable is written before it is relied on, so a
tick may be killed anywhere and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from torus_assets.arrivals import acknowledge, asked, table
from torus_assets.arrivals.acknowledge import Acknowledged
from torus_assets.arrivals.due import Due, Outcome, Situation, decide
from torus_assets.arrivals.known import Known
from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.sweep import Swept, sweep
from torus_assets.arrivals.take import Taken, take
from torus_assets.clients.object_store import ObjectStore
from torus_assets.clients.sqs import Queue
from torus_assets.xapi.lake import Snapshot

LOOKS = 1000  # per tick, at objects that a run left pending
THREADS = 16


class Runs(NamedTuple):
    """What Dagster knows of runs; asked only when there is something to decide."""

    outcomes: Callable[[Sequence[str]], Mapping[str, Outcome]]  # by run key; keys without a run are left out
    in_flight: Callable[[], Collection[date]]  # days of runs at work or queued
    succeeded: Callable[[Collection[str], datetime], Mapping[date, datetime]]  # by day, of runs but those of the keys, since


@dataclass(frozen=True)
class Sources:
    """Where arrivals come from and where they are noted."""

    bundles: ObjectStore
    store: ObjectStore  # of the lake's URL
    snapshot: Snapshot | None  # the lake as it is now; None when nothing was ever ingested
    queue: Queue | None
    ledgers: Ledgers


@dataclass(frozen=True)
class Limits:
    """Which days count, and what one tick may cost."""

    first_day: date
    open_days: int
    listing_seconds: float  # half of it when there is a queue: its poll takes time, and misses are rare


@dataclass
class Ticked:
    """What one tick saw and decided."""

    cursor: str
    swept: Swept
    due: Due
    taken: Taken = field(default_factory=Taken)
    acknowledged: Acknowledged = field(default_factory=Acknowledged)
    listed: int = 0  # bundles that the listing found and nobody had told of
    pending: int = 0  # bundles
    gone: int = 0  # arrivals whose object no longer exists

    @property
    def reason(self) -> str:
        """What was looked at, when there is nothing to ask for."""
        how_far = "sweep complete" if self.swept.complete else "sweep goes on"
        looked = f"{self.swept.homes:,} sections, {self.swept.keys:,} keys listed; {how_far}"
        if not self.due.waiting:
            return f"nothing new: {looked}"
        days = "; ".join(f"{day}: {reason}" for day, reason in list(self.due.waiting.items())[:5])
        more = f"; and {len(self.due.waiting) - 5} more days" if len(self.due.waiting) > 5 else ""
        return f"{self.pending:,} bundles wait: {days}{more}. Looked at {looked}"


def tick(sources: Sources, runs: Runs, limits: Limits, cursor: str | None, *, now: datetime, clock: Callable[[], float]) -> Ticked:
    """Takes in what has arrived and decides what to ask for. Requests are written down before this returns.

    A tick with nothing new costs three listings of the lake store, the lake's log, a poll of the queue and its piece of the sweep.

    Args:
        now: UTC; its day is the last open one.
        clock: seconds, from anywhere, for budgets.
    """
    known = Known(sources.store, sources.snapshot, sources.ledgers)
    before = asked.remembered(sources.store, runs.outcomes)
    acknowledged, taken, seconds = Acknowledged(), Taken(), limits.listing_seconds
    if sources.queue:
        acknowledged = acknowledge.settle(sources.store, sources.queue, known.pending().keys(), before, now)
        taken, seconds = take(sources.queue, sources.bundles, known, now=now, clock=clock), seconds / 2
    first = max(limits.first_day, now.date() - timedelta(days=limits.open_days - 1))
    swept = sweep(sources.bundles, first, now.date(), cursor, clock=clock, seconds=seconds)
    news = known.news(swept.found)
    known.add(news, now)
    pending = known.pending()
    due = decide(_situation(before, pending, runs, limits, now))
    gone = _gone(sources.bundles, pending, due.left)
    asked.remember(sources.store, due.requests, now)
    asked.forget(sources.store, due.over)
    known.settle(gone)
    waiting = sum(rows.height for rows in pending.values())
    return Ticked(swept.cursor, swept, due, taken, acknowledged, len(news), waiting, len(gone))


def _situation(before: Sequence[asked.Asked], pending: table.Pending, runs: Runs, limits: Limits, now: datetime) -> Situation:
    ended = [one.outcome.ended_at for one in before if one.outcome and one.outcome.state in ("failure", "interrupted", "permanent")]
    return Situation(
        now=now,
        first=limits.first_day,
        last=now.date(),
        pending={day: table.digest(rows) for day, rows in pending.items()},
        asked=before,
        in_flight=runs.in_flight() if pending or ended else frozenset(),
        succeeded=runs.succeeded([one.run_key for one in before], min(ended)) if ended else {},
    )


def _gone(bundles: ObjectStore, pending: table.Pending, days: Sequence[date]) -> set[str]:
    """Of what a run left pending: keys without an object. They were deleted before anyone could read them."""
    keys = [key for day in days for key in pending.get(day, table.ROWS.to_frame())["key"]][:LOOKS]
    with ThreadPoolExecutor(THREADS) as pool:
        found = list(pool.map(bundles.head, keys))
    return {key for key, info in zip(keys, found, strict=True) if info is None}
