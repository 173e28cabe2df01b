"""What holds for single values: times, lengths, characters. A fault is the code of its rule and what was found.

Source: spec/datashop.md 2 (XML) and 7 (tab-delimited).
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from torus_assets.datasets.datashop import rules

TRIMMED = "".join(map(chr, range(33)))  # what Java trims
Fault = tuple[str, str]  # rule, text

_SAFE = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(\.\d{3})?", re.ASCII)
# The table's reader takes fractions as decimals, a colon before milliseconds, minutes only, and slashes.
_TAB = re.compile(
    r"(?:(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d)(?::(\d\d)(?:[.:]\d{1,6})?)?|(\d\d)/(\d\d)/(\d{4}) (\d\d):(\d\d)(?::(\d\d))?)(.*)", re.ASCII | re.DOTALL
)  # fmt: skip
_PATTERNS = "yyyy-MM-dd HH:mm:ss or yyyy-MM-dd HH:mm:ss.SSS, with exactly three digits after the point"
_TAB_PATTERNS = "yyyy-MM-dd HH:mm[:ss[.SSS]] or MM/dd/yyyy HH:mm[:ss]"


@lru_cache(maxsize=65_536)
def time_fault(text: str, this_year: int) -> Fault | None:
    """What is wrong with a time of the XML form; None if nothing is."""
    found = _SAFE.fullmatch(text)
    if found is None:
        return "time.pattern", f"expected {_PATTERNS}; found {_shape(text)}"
    return _calendar_fault(*found.groups()[:6], this_year=this_year)


@lru_cache(maxsize=65_536)
def tab_time_fault(text: str, this_year: int) -> Fault | None:
    """What is wrong with a time of the tab-delimited form; None if nothing is."""
    found = _TAB.fullmatch(text)
    if found is None:
        return "time.pattern", f"expected {_TAB_PATTERNS}; found {_shape(text)}"
    year, month, day, hour, minute, second, month2, day2, year2, hour2, minute2, second2, rest = found.groups()
    fault = _calendar_fault(
        year or year2, month or month2, day or day2, hour or hour2, minute or minute2, second or second2 or "0", this_year=this_year
    )
    return fault or (("time.trailing", f"after the time stand {len(rest)} more characters") if rest else None)


def _calendar_fault(year: str, month: str, day: str, hour: str, minute: str, second: str, *, this_year: int) -> Fault | None:
    try:
        date(int(year), int(month), int(day))
    except ValueError:
        return "time.date", f"there is no day {year}-{month}-{day}"
    if int(hour) > 23 or int(minute) > 59 or int(second) > 59:
        return "time.date", f"there is no time of day {hour}:{minute}:{second}"
    if not this_year - rules.YEARS_BACK <= int(year) <= this_year + rules.YEARS_AHEAD:
        return "time.years", f"the year is {year}"
    return None


def _shape(text: str) -> str:
    """A time that cannot be read, by its shape alone (9 for digits, x for letters): the field may hold anything."""
    return f"{len(text)} characters like `{re.sub('[^-9:./ +]', 'x', re.sub('[0-9]', '9', text[:40]))}`"


def sortable(time: str) -> str:
    """A safe time such that text order is time order."""
    return time if len(time) != 19 else f"{time}.000"


def clean(text: str | None) -> str:
    """A text as the importer stores it: runs of tab and line breaks are one blank, and it is trimmed."""
    if not text:
        return ""
    if "\n" in text or "\t" in text or "\r" in text:
        text = rules.BLANKS.sub(" ", text)
    return text.strip(TRIMMED)


def too_long(text: str, most: int, *, in_bytes: bool) -> str | None:
    """What is too long, in words; None if it fits. In bytes of UTF-8 or in characters."""
    size = len(text)
    if in_bytes:
        if size * 4 <= most or (text.isascii() and size <= most):
            return None
        size = len(text.encode())
    return f"{size:,} {'bytes' if in_bytes else 'characters'}, of {most:,} at most" if size > most else None
