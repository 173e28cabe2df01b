"""How far a sweep has come: a position among the keys of the store, never a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

Home = tuple[str, str]  # partition and name: `section`, `3021`
START = "{}"  # the cursor of a sweep that begins


class Position(NamedTuple):
    """What comes next: this category of this home (all of it when empty), after this key."""

    partition: str
    name: str
    category: str = ""
    key: str = ""

    @property
    def home(self) -> Home:
        """The section or project."""
        return self.partition, self.name


def read_cursor(text: str | None) -> Position | None:
    """The position in a cursor; None, a sweep from the start, for one that is lost, reset or not ours."""
    try:
        found = msgspec.json.decode(text or START, type=dict[str, str])
        position = Position(**found) if found else None
    except (msgspec.MsgspecError, UnicodeError, TypeError):
        return None
    return position if position is None or _holds_together(position) else None


def written(position: Position | None) -> str:
    """The cursor of a position."""
    return msgspec.json.encode(position._asdict()).decode() if position else START


def homes_from(homes: Iterable[Home], position: Position | None) -> list[Home]:
    """The homes that are still to be looked at, in order. One that is new and comes before the position waits for the next sweep."""
    return sorted(home for home in homes if position is None or home >= position.home)


def start_in(folder: str, category: str, first_day: str, position: Position | None) -> str | None:
    """The key after which a category is listed: its first open day, or further on; None when the position is past it.

    Args:
        folder: of the category, with its last slash.
        position: when it is in this home, else None.
    """
    start = folder + first_day
    if position is None or category > position.category:
        return start
    return max(start, position.key) if category == position.category else None


def _holds_together(position: Position) -> bool:
    if not position.category:
        return not position.key
    return position.key.startswith(f"{position.partition}/{position.name}/{position.category}/")
