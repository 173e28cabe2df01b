"""What may be shown of a driver's log: levels, classes, frames and a few known causes. The words between them may quote a learner's cell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

TAIL_LINES = 40
CAUSES = (
    "Java heap space",
    "GC overhead limit exceeded",
    "No space left on device",
    "Cannot allocate memory",
    "Connection refused",
    "JAVA_HOME is not set",
    "Python in worker has different version",
)
_LOGGED = re.compile(r"^\d\d/\d\d/\d\d (\d\d:\d\d:\d\d) (FATAL|ERROR|WARN|INFO) (\w[\w.$]*):")
_FRAME = re.compile(r'^\s*(File "[^"]+", line \d+, in [\w<>.]+)$')
_CLASS = re.compile(r"(?<![\w.])(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt)(?!\w)")
_JAVA_FRAME = re.compile(r"^\s*at \S+\(")


def harmless(lines: Iterable[str], longest: int = TAIL_LINES) -> list[str]:
    """The last lines that say something, each cut to what cannot be a learner's word."""
    return list(_shown(lines))[-longest:]


def _shown(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if _JAVA_FRAME.match(line):
            continue
        if frame := _FRAME.match(line):
            yield frame[1]
        elif words := [*_level(line), *_class(line), *(cause for cause in CAUSES if cause in line)]:
            yield " ".join(words)


def _level(line: str) -> Iterator[str]:
    if logged := _LOGGED.match(line):
        yield f"{logged[1]} {logged[2]} {logged[3]}"


def _class(line: str) -> Iterator[str]:
    """The first class of an error on the line: a learner may write one too, but not at its beginning."""
    found = _CLASS.search(line[:200])
    if found and (found.start() == 0 or line.startswith(("Caused by: ", "Exception in thread ")) or _LOGGED.match(line)):
        yield found[0]
