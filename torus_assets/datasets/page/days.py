"""Counts per day as bars: by day, or by week, month or year when there are too many days to see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

MOST_BARS = 120
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Bars(NamedTuple):
    """Bars in order, without gaps: a time without events is a bar of height 0."""

    unit: str  # day, week, month, year
    starts: tuple[date, ...]  # first day of each
    counts: tuple[int, ...]

    def label(self, start: date, *, year: bool = True) -> str:
        """`2 Feb 2026`, `Feb 2026` or `2026`."""
        day = f"{start.day} " if self.unit in {"day", "week"} else ""
        month = f"{MONTHS[start.month - 1]} " if self.unit != "year" else ""
        return f"{day}{month}{start.year if year or self.unit == 'year' else ''}".rstrip()


class _Unit(NamedTuple):
    name: str
    start: Callable[[date], int]  # number of the bar that a day is in
    day: Callable[[int], date]  # first day of the bar


UNITS = (
    _Unit("day", date.toordinal, date.fromordinal),
    _Unit("week", lambda day: (day.toordinal() - 1) // 7, lambda bar: date.fromordinal(max(1, bar * 7 + 1))),  # ordinal 1 is a Monday
    _Unit("month", lambda day: day.year * 12 + day.month - 1, lambda bar: date(bar // 12, bar % 12 + 1, 1)),
    _Unit("year", lambda day: day.year, lambda bar: date(bar, 1, 1)),
)


def bars(per_day: Sequence[tuple[date, int]]) -> Bars | None:
    """The finest bars of which there are at most 120 (years may be more); None without days."""
    if not per_day:
        return None
    days = [day for day, _ in per_day]
    first, last = min(days), max(days)
    unit = next((unit for unit in UNITS if unit.start(last) - unit.start(first) < MOST_BARS), UNITS[-1])
    found: Counter[int] = Counter()
    for day, n in per_day:
        found[unit.start(day)] += n
    numbers = range(unit.start(first), unit.start(last) + 1)
    return Bars(unit.name, tuple(map(unit.day, numbers)), tuple(found[number] for number in numbers))


def spoken(day: date) -> str:
    """`2 Feb 2026`."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def length(first: date, last: date) -> int:
    """Days, both ends included."""
    return (last - first) // timedelta(days=1) + 1
