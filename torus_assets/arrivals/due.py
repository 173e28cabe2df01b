"""What to ask for: from what is pending, what was asked for before and what is at work. Nothing here looks at a clock or a store.

Level-triggered, but ending: a day is asked for as long as something of it is pending or its last run failed, with growing pauses,
and no more once the same arrivals have failed `ATTEMPTS` times or for good. Something new, or a person's run, begins anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple

PAUSES = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=60))  # after the 1st, 2nd, … failure
ATTEMPTS = 5  # of one set of arrivals
REMEMBERED = 2 * ATTEMPTS  # failures in a row of one day

State = Literal["in flight", "success", "failure", "interrupted", "permanent"]  # interrupted: its process was killed


class Outcome(NamedTuple):
    """What became of a run."""

    state: State
    ended_at: datetime  # UTC; of one in flight, when it was heard of
    run_id: str


@dataclass(frozen=True)
class Asked:
    """A request of an earlier tick, and its run as far as there is one."""

    run_key: str
    asked_at: datetime  # UTC
    days: Mapping[date, str]  # digest of what was pending of the day then
    outcome: Outcome | None = None  # None: no run of it has been seen


@dataclass(frozen=True)
class Situation:
    """All that the decision looks at."""

    now: datetime
    first: date  # days that can be asked for
    last: date
    pending: Mapping[date, str]  # digest of what is pending of the day
    asked: Sequence[Asked] = ()
    in_flight: Collection[date] = frozenset()  # days of runs at work or queued, whoever asked for them
    succeeded: Mapping[date, datetime] = field(default_factory=dict)  # last success of a day by a run that others asked for


@dataclass(frozen=True)
class Request:
    """One run over contiguous days."""

    days: Mapping[date, str]
    attempt: int
    run_key: str

    @property
    def first(self) -> date:
        return min(self.days)

    @property
    def last(self) -> date:
        return max(self.days)


@dataclass
class Due:
    """The decision: every day with something to do is in one request or has its reason."""

    requests: list[Request] = field(default_factory=list)
    waiting: dict[date, str] = field(default_factory=dict)
    over: list[str] = field(default_factory=list)  # run keys that need not be remembered
    left: list[date] = field(default_factory=list)  # a run ended well, and the same is still pending: are the objects still there?


class _Day(NamedTuple):
    """A day that can be asked for."""

    day: date
    digest: str
    attempt: int
    part: tuple[str, int]  # days of one part may share a request


def decide(situation: Situation) -> Due:
    """Which runs to ask for now; the same situation gives the same answer."""
    due, eligible, needed = Due(), list[_Day](), set[str]()
    tried = {day for asked in situation.asked if asked.outcome for day in asked.days}
    for day in sorted(tried | situation.pending.keys()):
        tries = _tries(day, situation)
        needed |= {asked.run_key for asked in tries}
        if day not in situation.pending and not tries:
            continue
        digest = situation.pending.get(day) or tries[-1].days[day]
        if tries and _state(tries[-1]) == "success":
            due.left.append(day)
        if reason := _hindrance(day, digest, tries, situation):
            due.waiting[day] = reason
        else:
            eligible.append(_Day(day, digest, len(tries) + 1, _part(day, tries)))
    due.requests = [_request(days, situation) for days in _contiguous(eligible)]
    needed |= {asked.run_key for asked in situation.asked if _state(asked) == "in flight"}
    needed |= _cleared(needed, situation.asked) | {request.run_key for request in due.requests}
    due.over = [asked.run_key for asked in situation.asked if asked.run_key not in needed]
    return due


def _tries(day: date, situation: Situation) -> list[Asked]:
    """Ended runs of the day, in order, since it was last in order: failures, and successes that left the same arrivals pending."""
    ended = [asked for asked in situation.asked if day in asked.days and asked.outcome and asked.outcome.state != "in flight"]
    tries: list[Asked] = []
    for asked in sorted(ended, key=_ended_at):
        if _state(asked) == "success" and asked.days[day] != situation.pending.get(day):
            tries.clear()
        else:
            tries.append(asked)
    since = situation.succeeded.get(day)
    return [asked for asked in tries if since is None or _ended_at(asked) > since][-REMEMBERED:]


def _cleared(needed: Collection[str], asked: Sequence[Asked]) -> set[str]:
    """Successes that clear a day of a failure which other days still need: forgotten alone, the failure would count again."""
    kept = [one for one in asked if one.run_key in needed and one.outcome]
    return {
        one.run_key
        for one in asked
        if _state(one) == "success" and any(_ended_at(other) <= _ended_at(one) and other.days.keys() & one.days.keys() for other in kept)
    }


def _hindrance(day: date, digest: str, tries: Sequence[Asked], situation: Situation) -> str | None:
    """Why the day is not asked for now."""
    if day > situation.last:
        return "its day has not begun"
    if day < situation.first:
        return f"it is before the first day, {situation.first} (TORUS_FIRST_DAY)"
    if day in situation.in_flight or any(_state(asked) == "in flight" and day in asked.days for asked in situation.asked):
        return "a run is at work on it"
    if not tries:
        return None
    same = [asked for asked in tries if asked.days[day] == digest]
    run = tries[-1].outcome.run_id if tries[-1].outcome else ""
    if tries[-1] in same and _state(tries[-1]) == "permanent" and len(tries[-1].days) == 1:
        return f"run {run} failed for good: mend what it says, then run the day by hand"
    if sum(not _divides(asked) for asked in same) >= ATTEMPTS:
        return f"given up after {len(same)} attempts, the last is run {run}: mend what it says, then run the day by hand"
    again = _ended_at(tries[-1]) + PAUSES[min(len(tries), len(PAUSES)) - 1]
    at_once = _divides(tries[-1]) or (_state(tries[-1]) == "interrupted" and len(tries) == 1)  # killed again: it may be what kills it
    if again > situation.now and not at_once:
        return f"attempt {len(tries) + 1} comes at {again:%H:%M:%S} UTC, after run {run}"
    return None


def _divides(asked: Asked) -> bool:
    """A range that failed for good is asked for again in halves, until the day that is to blame stands alone."""
    return _state(asked) == "permanent" and len(asked.days) > 1


def _part(day: date, tries: Sequence[Asked]) -> tuple[str, int]:
    if not tries or not _divides(tries[-1]):
        return "", 0
    return tries[-1].run_key, int(sorted(tries[-1].days).index(day) * 2 >= len(tries[-1].days))


def _contiguous(days: Iterable[_Day]) -> list[list[_Day]]:
    spans: list[list[_Day]] = []
    for one in days:
        before = spans[-1][-1] if spans else None
        if before and one.day - before.day == timedelta(days=1) and one.part == before.part:
            spans[-1].append(one)
        else:
            spans.append([one])
    return spans


def _request(span: Sequence[_Day], situation: Situation) -> Request:
    """The run key of a request that was made before and whose run nobody has seen is used again: Dagster launches it once."""
    days = {one.day: one.digest for one in span}
    attempt = max(one.attempt for one in span)
    for asked in situation.asked:
        if asked.outcome is None and asked.days == days:
            return Request(days, attempt, asked.run_key)
    return Request(days, attempt, _run_key(days, attempt, situation.now))


def _run_key(days: Mapping[date, str], attempt: int, now: datetime) -> str:
    """Unlike any earlier one: the same arrivals may be pending again one day, when a lake was lost or restored."""
    text = json.dumps([sorted((day.isoformat(), digest) for day, digest in days.items()), attempt, now.isoformat()])
    return f"arrivals-{min(days)}-{max(days)}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _state(asked: Asked) -> State | None:
    return asked.outcome.state if asked.outcome else None


def _ended_at(asked: Asked) -> datetime:
    return asked.outcome.ended_at if asked.outcome else asked.asked_at
