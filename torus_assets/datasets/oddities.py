"""Reading of documents that other systems write: values taken as far as they make sense, and what was odd counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

IDS_SHOWN = 5  # of each oddity
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell one, no UTF-8 file can hold it


class Oddities:
    """What was odd, by kind, with the first ids of content it was found at. Ids of users are never given to it."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._ids: dict[str, list[int]] = {}

    def add(self, kind: str, at: int | None = None, times: int = 1) -> None:
        self._counted[kind] += times
        if at is not None and at not in (shown := self._ids.setdefault(kind, [])) and len(shown) < IDS_SHOWN:
            shown.append(at)

    def told(self) -> tuple[str, ...]:
        """`hierarchy: no title: 3 (12, 40, 77)`, in order of the words."""
        shown = {kind: f" ({', '.join(map(str, ids))})" for kind, ids in self._ids.items()}
        return tuple(f"{kind}: {self._counted[kind]}{shown.get(kind, '')}" for kind in sorted(self._counted))


def objects(document: Mapping[str, Any], name: str, odd: Oddities) -> dict[int, Any]:
    """A map of the document by resource id, in order of the ids. Null and absent are empty, and odd."""
    found = document.get(name)
    if not isinstance(found, Mapping):
        odd.add(f"{name}: absent or null" if found is None else f"{name}: no object")
        return {}
    by_id: dict[int, Any] = {}
    for key, value in found.items():
        if (number := resource_id(key)) is None:
            odd.add(f"{name}: key is no resource id")
        elif number in by_id:
            odd.add(f"{name}: id repeated, the first stays", number)
        else:
            by_id[number] = value
    return dict(sorted(by_id.items()))


def resource_id(value: object) -> int | None:
    """A resource id, given as a number or as digits."""
    if isinstance(value, str):
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**18 else None


def name(value: object) -> str | None:
    """Id of a choice, item, part or hint: text, or a number taken as its digits."""
    if isinstance(value, str):
        return whole(value) if value.strip() else None
    number = resource_id(value)
    return str(number) if number is not None else None


def text(value: object) -> str | None:
    """Text on one line, with runs of blanks as one; None when it is empty or no text."""
    return (" ".join(whole(value).split()) or None) if isinstance(value, str) else None


def whole(text: str) -> str:
    """`text` as UTF-8 can hold it."""
    return _LONE_SURROGATE.sub("\ufffd", text)
