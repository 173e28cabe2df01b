"""What may be said of an error where others read it: in Dagster's storage, in a log, in a message to a channel.

The message of a library's error may quote a cell (DuckDB, polars and pyarrow do when a value cannot be converted), and a cell may be what
a learner wrote. So a message is shown only if its class is ours, or is one that speaks of places and not of contents.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from torus_assets.failures.known import is_ours, known, qualified

LONGEST = 600  # characters of a message
WORKER = "torus_assets.xapi.workers.WorkerFailed"
_HANDED_ON = "a decoding process failed"
_FROM_WORKER = re.compile(r"a decoding process ended|\w+: \[Errno \d+\] ")  # it hands on what any library said
_PLACES = (FileNotFoundError, FileExistsError, PermissionError)  # without a number they name an object, as our stores raise them


class Said(NamedTuple):
    """An error in words."""

    kind: str  # name of its class
    text: str  # one line, without learner data
    what_to_do: str
    permanent: bool
    hidden: bool  # its message was left out


def said(error: BaseException) -> Said:
    """The error as it may be shown."""
    entry, message = known(error), _message(error)
    kind = type(error).__name__
    text = kind if message is None else message if is_ours(error) else f"{kind}: {message}"
    return Said(kind, text, entry.what_to_do, entry.permanent, hidden=message is None or message.startswith(_HANDED_ON))


def _message(error: BaseException) -> str | None:
    """The part that can be shown; None when nothing of it can."""
    entry = known(error)
    if qualified(type(error)) == WORKER and not _FROM_WORKER.match(str(error)):
        return f"{_HANDED_ON}: {kind[1]}" if (kind := re.match(r"(\w+):", str(error))) else None
    if isinstance(error, OSError) and not is_ours(error):
        return _of_system(error)
    if entry.shows_message or (entry.shows_message is None and is_ours(error)):
        return one_line(str(error))
    problems = getattr(error, "problems", None)
    if is_ours(error) and isinstance(problems, tuple):  # of a request, which names students
        return f"request refused: {len(problems)} mistake{'s' * (len(problems) != 1)}"
    return None


def _of_system(error: OSError) -> str | None:
    """Reason and places of a system's error; those of a library that carry no number may say anything, unless they only name a place."""
    if error.errno is not None and error.strerror:
        places = [str(place) for place in (error.filename, error.filename2) if place is not None]
        return one_line(f"{error.strerror}{': ' * bool(places)}{', '.join(places)}")
    return one_line(str(error)) if type(error) in _PLACES and len(error.args) == 1 else None


def one_line(message: str) -> str:
    """The first paragraph on one line; a store's client adds its own innards below it."""
    shown = re.sub(r"\s+", " ", message.split("\nDebug source:")[0].strip().split("\n\n")[0])
    return shown if len(shown) <= LONGEST else shown[: LONGEST - 2] + " …"
