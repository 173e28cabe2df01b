"""One notice for each distinct failure: what failed, since when, how often, for which partitions, and whether somebody was told.

Two failures are the same if job, step, class and message are, but for what differs from day to day: numbers, dates, ids and keys.
Everything here is arithmetic on values; `book.py` keeps them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from torus_assets.failures.spans import Span, joined, without

TELL_AGAIN = timedelta(days=1)  # while it goes on
RUNS_KEPT = 5
SPANS_KEPT = 20

Nature = Literal["permanent", "transient", "check", "interrupted", "outside", "request"]


class Failure(msgspec.Struct, frozen=True):
    """One thing that failed once. No field holds learner data."""

    job: str
    step: str  # empty where no step was at work
    nature: Nature
    kind: str  # class of the error, or the checks that did not pass
    text: str  # one line
    what_to_do: str
    at: datetime  # UTC
    run_id: str | None = None
    spans: tuple[Span, ...] = ()  # partitions it worked on


class Notice(msgspec.Struct, frozen=True):
    """All that is known of one distinct failure since it was last right."""

    fingerprint: str
    failure: Failure  # the newest
    first_seen: datetime
    last_seen: datetime
    count: int
    runs: tuple[str, ...]  # newest first, `RUNS_KEPT` at most
    spans: tuple[Span, ...]  # that are still wrong, `SPANS_KEPT` at most
    more_spans: int = 0  # that were wrong too
    told_at: datetime | None = None
    closed_at: datetime | None = None

    @property
    def is_due(self) -> bool:
        """Somebody has yet to be told."""
        return self.told_at is None and self.closed_at is None


def fingerprint(failure: Failure) -> str:
    """24 hex characters, equal for failures that are the same but for numbers, dates, ids and keys in their message."""
    parts = [failure.job, failure.step, failure.nature, failure.kind, normalised(failure.text)]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:24]


_VARYING = (
    (re.compile(r"[^\s'\"(),;]*/[^\s'\"(),;]*"), "<key>"),
    (re.compile(r"\b\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"), "<day>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?=[a-fA-F]*\d)[0-9a-fA-F]{8,}\b"), "<id>"),
    (re.compile(r"\d+([.,]\d+)*"), "<n>"),
    (re.compile(r"(<\w+>)([,;]? \1)+"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def normalised(message: str) -> str:
    """The message without what differs between two occurrences of one failure."""
    for pattern, instead in _VARYING:
        message = pattern.sub(instead, message)
    return message.strip()


def noted(known: Notice | None, failure: Failure) -> Notice:
    """The notice after one more failure. A run that is in it already changes nothing: two sensors may see it."""
    if known is None or known.closed_at is not None:
        return _with_spans(
            Notice(fingerprint(failure), failure, failure.at, failure.at, 1, (failure.run_id,) if failure.run_id else (), ()), failure.spans
        )
    if failure.run_id is not None and failure.run_id in known.runs:
        return known
    is_newer = failure.at >= known.last_seen
    told = known.told_at if known.told_at is not None and failure.at - known.told_at < TELL_AGAIN else None
    runs = tuple(run for run in (failure.run_id, *known.runs) if run)[:RUNS_KEPT]
    changed = msgspec.structs.replace(
        known,
        failure=failure if is_newer else known.failure,
        last_seen=max(known.last_seen, failure.at),
        count=known.count + 1,
        runs=runs,
        told_at=told,
    )
    return _with_spans(changed, joined(known.spans, failure.spans))


def told(notice: Notice, at: datetime) -> Notice:
    return msgspec.structs.replace(notice, told_at=at)


def after_success(notice: Notice, job: str, steps: Collection[str], spans: Iterable[Span], at: datetime) -> Notice:
    """The notice after a run of `job` in which `steps` succeeded for the partitions `spans`; closed when nothing of it is left.

    A step may have been mended by any job; what failed outside the steps, by its own job alone. A run that ended before the failure was
    last seen mends nothing.
    """
    is_its_work = notice.failure.step in steps if notice.failure.step else notice.failure.job == job
    if notice.closed_at is not None or not is_its_work or at < notice.last_seen:
        return notice
    left = without(notice.spans, spans)
    if left:
        return msgspec.structs.replace(notice, spans=left)
    return closed(notice, at)


def closed(notice: Notice, at: datetime) -> Notice:
    return msgspec.structs.replace(notice, spans=(), more_spans=0, closed_at=at)


def message(notice: Notice) -> str:
    """What a person is told, as plain text of at most seven lines."""
    failure = notice.failure
    where = ", ".join(str(span) for span in notice.spans[:5]) + (" …" if len(notice.spans) > 5 or notice.more_spans else "")
    lines = [
        f"{failure.job}{f' / {failure.step}' if failure.step else ''}: {_NATURES[failure.nature]}",
        f"Partitions: {where}" if where else "",
        f"Why: {failure.text}",
        f"What to do: {failure.what_to_do}",
        f"Seen {notice.count} times since {notice.first_seen:%Y-%m-%d %H:%M} UTC" if notice.count > 1 else "",
        f"Run: /runs/{notice.runs[0]}" if notice.runs else "",
    ]
    return "\n".join(line for line in lines if line)


_NATURES: dict[Nature, str] = {
    "permanent": "failed, and running it again will not cure it",
    "transient": "failed after several tries",
    "check": "done, but a check did not pass",
    "interrupted": "interrupted",
    "outside": "failed outside its steps",
    "request": "not run",
}


def _with_spans(notice: Notice, spans: tuple[Span, ...]) -> Notice:
    dropped = max(0, len(spans) - SPANS_KEPT)
    return msgspec.structs.replace(notice, spans=spans[:SPANS_KEPT], more_spans=notice.more_spans + dropped)
