"""Reads single values of a request: each function gives the value in its normal form, or raises ValueError with what was expected.

Lists may be lists or comma separated text, numbers may be digits in text: Torus' argument list is all text (spec/datasets.md 2).
No message shows more than a name or a short text, and never one of the ignored students.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Any

JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED = frozenset({"contexts", "requests", "withdrawn"})  # folders that stand beside the jobs' folders
MOST = (1 << 31) - 1  # rows in a file
SHOWN = 60  # characters of a wrong text that a message repeats


def shortened(given: str) -> str:
    """A text as a message repeats it: one short line."""
    line = "".join(character if character.isprintable() else "?" for character in given[:SHOWN])
    return line + ("…" if len(given) > SHOWN else "")


def quoted(given: str) -> str:
    """A wrong text as a message repeats it, within quotes."""
    return f"'{shortened(given)}'"


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, or nothing where no known name is like it."""
    near = difflib.get_close_matches(name[:SHOWN], list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def kind(value: Any) -> str:
    """What JSON calls a value, for messages."""
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected text, got {'empty text' if isinstance(value, str) else kind(value)}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("expected text, got half of a surrogate pair, which is no character")
    return value.strip()


def text_of_at_most(most_bytes: int) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        found = text(value)
        if len(found.encode()) > most_bytes:
            raise ValueError(f"expected at most {most_bytes} bytes of UTF-8, got {len(found.encode())}")
        return found

    return read


def truth(value: Any) -> bool:
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip() in words:
        return words[value.strip()]
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {kind(value)}")
    return value


def old_truth(value: Any) -> bool:
    """The old job's reading of text: `false` is off, any other text is on. JSON's own true and false are what they say."""
    return value.strip() != "false" if isinstance(value, str) else truth(value)


def id_(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip(), re.ASCII):
        return int(value)
    raise ValueError(f"expected an id (digits), got {kind(value) if not isinstance(value, (int, str)) else 'something else'}")


def count(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip(), re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"expected a whole number of at least 1, got {kind(value)}")
    if not 1 <= value <= MOST:
        raise ValueError(f"expected a whole number of at least 1 and at most {MOST}, got {value if value < 1 else 'more'}")
    return value


def elements(value: Any) -> list[Any]:
    """A list as it is; comma separated text as a list of texts, without empty ones."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, got {kind(value)}")
    return list(value)


def texts(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text(element) for element in elements(value)))


def ids(value: Any) -> tuple[int, ...]:
    found = tuple(sorted({id_(element) for element in elements(value)}))
    if not found:
        raise ValueError("expected at least one id")
    return found


def page_ids(value: Any) -> tuple[int, ...] | None:
    """Torus says `all` or sends an empty list for no restriction."""
    return None if value in ("all", [], ()) else ids(value)


def students(value: Any) -> tuple[str, ...]:
    """Compared as text (D-08); the message never shows one."""
    found = set()
    for element in elements(value):
        if isinstance(element, bool) or not isinstance(element, (int, str)) or (isinstance(element, str) and not element.strip()):
            raise ValueError(f"expected ids, found {'empty text' if isinstance(element, str) else kind(element)}")
        found.add(text(element) if isinstance(element, str) else str(id_(element)))
    return tuple(sorted(found))


def day(value: Any) -> date:
    found = text(value)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", found, re.ASCII):
        raise ValueError(f"expected a day as YYYY-MM-DD, got {quoted(found)}")
    try:
        return date.fromisoformat(found)
    except ValueError as error:
        raise ValueError(f"{found!r} is no day: {error}") from None


def is_job_id(found: str) -> bool:
    return bool(JOB_ID.fullmatch(found)) and ".." not in found and found not in RESERVED


def job_id(value: Any) -> str:
    found = text(value)
    if not is_job_id(value):
        raise ValueError(
            "expected up to 128 letters, digits, `.`, `_`, `-` that begin with a letter or digit, without `..`; it becomes part of a path"
        )
    return found


def one_of(what: str, known: Iterable[str]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        found = text(value)
        if found not in known:
            raise ValueError(f"unknown {what} {quoted(found)}{nearest(found, known)}; known: {', '.join(known)}")
        return found

    return read


def some_of(what: str, known: Sequence[str]) -> Callable[[Any], tuple[str, ...]]:
    """One or several of the known names, in the order of `known`."""

    def read(value: Any) -> tuple[str, ...]:
        names = {one_of(what, known)(name) for name in elements(value)}
        if not names:
            raise ValueError(f"expected at least one {what}")
        return tuple(name for name in known if name in names)

    return read


def run_of(found: str, known: Iterable[str]) -> list[str]:
    """`found` as a run of known names without separator (Torus joins them so); empty when it is none. `evaluted` counts as `evaluated`."""
    known = tuple(known)
    rest, names = found.replace("evaluted", "evaluated"), []
    while rest:
        name = next((name for name in known if rest.startswith(name)), None)  # none of the names begins another
        if name is None:
            return []
        names.append(name)
        rest = rest[len(name) :]
    return names
