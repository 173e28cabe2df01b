"""What is new among job runs, from a listing and what was known before: arithmetic on values, without AWS or Dagster.

A position holds the runs that are not over, the ended ones of the listing's window, and where the next listing begins. So a run is
reported once per state, whatever was listed twice. Losing the position costs nothing: it is made again from what was reported
(`position_of`), and what was reported already is left out by the caller.

What the poller before this one did wrong (spec/datasets.md 3.3): a run that was no longer listed stayed active for ever, and an unknown
state stopped it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from torus_assets.emr.states import WAITING, has_ended, phase

LOOK_BACK = timedelta(hours=12)  # how late a run may appear in a listing; the old poller looked as far back
FIRST_LOOK = timedelta(days=7)  # a batch run may last seven days, so one that is at work is found
ENDED_KEPT = 2000  # ended runs of the window that are remembered: 100 kB of a cursor
WAITS_LONG = timedelta(hours=1)
RUNS_LONG = timedelta(hours=12)  # AWS ends a run after that unless it was told otherwise

About = Literal["state", "vanished", "long"]


class Run(NamedTuple):
    """One run as AWS tells it. Times are UTC."""

    id: str
    state: str
    created_at: datetime
    updated_at: datetime


class Seen(msgspec.Struct, frozen=True):
    """A run that is not over, as it was seen last."""

    state: str
    created_at: datetime
    since: datetime  # when it was last changed, at the first sight of this state
    is_told: bool = False  # that it stays in this state for too long


class Position(msgspec.Struct, frozen=True):
    """All that is remembered between two looks at one application."""

    application: str
    active: Mapping[str, Seen] = {}  # by run id; unknown states count as active
    ended: Mapping[str, datetime] = {}  # run id -> created_at; from `floor` on
    newest: datetime | None = None  # creation of the newest run that was handled
    floor: datetime | None = None  # the next listing begins here


class Event(NamedTuple):
    """One thing to report."""

    run: Run
    about: About
    before: str | None = None  # the state that it left

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for what was reported before."""
        return (self.run.id, self.run.state, self.about)


class Reported(NamedTuple):
    """An event that was reported, as it was recorded."""

    run: Run
    about: About


class Followed(NamedTuple):
    """What a look found."""

    events: tuple[Event, ...]
    position: Position  # once the events are reported
    waiting: int  # news that is left for the next look


def run_of(document: Mapping[str, Any]) -> Run:
    """A run from a summary of ListJobRuns or from the answer of GetJobRun."""
    run_id = document.get("id") or document["jobRunId"]
    return Run(str(run_id), str(document["state"]), document["createdAt"], document["updatedAt"])


def listing_from(position: Position, now: datetime) -> datetime:
    """Runs created after this have to be listed."""
    return position.floor or now - FIRST_LOOK


def absent(position: Position, listed: Iterable[Run], now: datetime, *, limit: int) -> tuple[str, ...]:
    """Ids of active runs that a listing does not have: each has to be asked for alone.

    At most `limit`; where there are more, all have their turn within so many minutes.
    """
    found = {run.id for run in listed}
    missing = sorted(run_id for run_id in position.active if run_id not in found)
    turn = int(now.timestamp() // 60) * limit % max(1, len(missing))
    return tuple([*missing[turn:], *missing[:turn]][:limit])


def follow(position: Position, runs: Iterable[Run], vanished: Iterable[str], now: datetime, *, limit: int) -> Followed:
    """What is new, and the position after it.

    Args:
        runs: those listed, and those got alone.
        vanished: ids of active runs that AWS does not know any more.
        now: aware.
        limit: how many changes of state are handled; the runs created first go first, so that none is passed by.
    """
    news = sorted(
        (run for run in {run.id: run for run in runs}.values() if _is_news(position, run)), key=lambda run: (run.created_at, run.id)
    )
    taken = news[:limit]
    events = [Event(run, "state", _state(position, run.id)) for run in taken]
    active, ended = dict(position.active), dict(position.ended)
    for run in taken:
        active.pop(run.id, None)
        ended.pop(run.id, None)
        if has_ended(run.state):
            ended[run.id] = run.created_at
        else:
            active[run.id] = Seen(run.state, run.created_at, min(run.updated_at, now))
    for run_id in vanished:
        seen = active.pop(run_id)
        events.append(Event(Run(run_id, seen.state, seen.created_at, seen.since), "vanished"))
    for run_id, seen in active.items():
        if is_long(seen, now) and not seen.is_told:
            events.append(Event(Run(run_id, seen.state, seen.created_at, seen.since), "long"))
            active[run_id] = msgspec.structs.replace(seen, is_told=True)
    newest = _newest(position, taken, now)
    return Followed(tuple(events), _bounded(Position(position.application, active, ended, newest)), max(0, len(news) - limit))


def is_long(seen: Seen, now: datetime) -> bool:
    """The run has not left its state for so long that somebody should look."""
    waits = seen.state in WAITING or phase(seen.state) == "unknown"
    return now - seen.since > (WAITS_LONG if waits else RUNS_LONG)


def position_of(application: str, reported: Iterable[Reported]) -> Position:
    """The position that led to these reports, the newest first: for a cursor that was lost."""
    last: dict[str, Reported] = {}
    long: set[tuple[str, str]] = set()
    for one in reported:
        last.setdefault(one.run.id, one)
        if one.about == "long":
            long.add((one.run.id, one.run.state))
    runs = [one.run for one in last.values() if one.about != "vanished"]
    active = {
        run.id: Seen(run.state, run.created_at, run.updated_at, (run.id, run.state) in long) for run in runs if not has_ended(run.state)
    }
    ended = {run.id: run.created_at for run in runs if has_ended(run.state)}
    newest = max((one.run.created_at for one in last.values()), default=None)
    return _bounded(Position(application, active, ended, newest))


def parsed(cursor: str | None, application: str) -> Position | None:
    """The position in a cursor; None for no cursor, a damaged one, or one of another application."""
    try:
        found = msgspec.json.decode(cursor, type=Position) if cursor else None
    except msgspec.MsgspecError:
        return None
    return found if found is not None and found.application == application else None


def written(position: Position) -> str:
    return msgspec.json.encode(position).decode()


def _is_news(position: Position, run: Run) -> bool:
    if run.id in position.ended:
        return not has_ended(run.state)  # a new attempt of a run that had ended
    if position.floor and run.created_at < position.floor and run.id not in position.active:
        return False  # handled before; AWS may round the time it is asked for
    return run.state != _state(position, run.id)


def _state(position: Position, run_id: str) -> str | None:
    return position.active[run_id].state if run_id in position.active else None


def _newest(position: Position, taken: Iterable[Run], now: datetime) -> datetime | None:
    """Never ahead of now: one run with a time in the future would hide all that come after."""
    times = [min(run.created_at, now) for run in taken]
    return max([*times, position.newest]) if position.newest else max(times, default=None)


def _bounded(position: Position) -> Position:
    """The position with its floor, and without ended runs before it."""
    if position.newest is None:
        return position
    kept = sorted(position.ended.items(), key=lambda item: (item[1], item[0]))
    floor = position.newest - LOOK_BACK
    if len(kept) > ENDED_KEPT:
        floor = max(floor, kept[-ENDED_KEPT][1])
    ended = {run_id: created for run_id, created in kept if created >= floor}
    return msgspec.structs.replace(position, ended=ended, floor=floor)
