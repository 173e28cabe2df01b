"""Runs of partitions: one key, or days from first to last. So a failure of 1,000 days is one entry, and can be taken back day by day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """Partition keys from first to last, both included; they differ only where keys are days (`YYYY-MM-DD`)."""

    first: str
    last: str

    def __str__(self) -> str:
        return self.first if self.first == self.last else f"{self.first} to {self.last}"


def spans_of(keys: Iterable[str]) -> tuple[Span, ...]:
    """The keys in order, neighbouring days together."""
    found: list[Span] = []
    for key in sorted(set(keys)):
        if found and _is_day(key) and _is_day(found[-1].last) and _shifted(found[-1].last, 1) == key:
            found[-1] = Span(found[-1].first, key)
        else:
            found.append(Span(key, key))
    return tuple(found)


def joined(*many: Iterable[Span]) -> tuple[Span, ...]:
    """All of them in order, those that touch made one."""
    found: list[Span] = []
    for span in sorted(span for spans in many for span in spans):
        if found and _touch(found[-1], span):
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)


def without(spans: Iterable[Span], done: Iterable[Span]) -> tuple[Span, ...]:
    """What of `spans` is in none of `done`."""
    left = list(spans)
    for taken in done:
        left = [piece for span in left for piece in _cut(span, taken)]
    return tuple(left)


def _cut(span: Span, taken: Span) -> list[Span]:
    if taken.last < span.first or taken.first > span.last:
        return [span]
    if span.first == span.last:  # any key: it overlaps only with itself, or with days around it
        return [] if _is_day(span.first) == _is_day(taken.first) else [span]
    pieces: list[Span] = []
    if span.first < taken.first:
        pieces.append(Span(span.first, _shifted(taken.first, -1)))
    if span.last > taken.last:
        pieces.append(Span(_shifted(taken.last, 1), span.last))
    return pieces


def _touch(before: Span, after: Span) -> bool:
    if before == after:
        return True
    return all(map(_is_day, (*before, *after))) and after.first <= _shifted(before.last, 1)


def _is_day(key: str) -> bool:
    try:
        return date.fromisoformat(key).isoformat() == key
    except ValueError:
        return False


def _shifted(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
