"""Ways to load a data set, and names of files and lists as Python, R and SQL spell them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

MOST_NAMES = 3  # written out; more are counted
LINE = 96


class Way(NamedTuple):
    """One way to load the data."""

    title: str
    says: str
    snippet: str = ""
    language: str = ""


def python_list(names: Sequence[str]) -> str:
    return f"[{quoted(names)}]"


def quoted(names: Sequence[str]) -> str:
    return ", ".join(map(json.dumps, names))


def python_files(names: Sequence[str]) -> str:
    return f'[f"chunk_{{number}}{_suffix(names)}" for number in range({len(names)})]' if _numbered(names) else python_list(names)


def r_files(names: Sequence[str]) -> str:
    return f'paste0("chunk_", 0:{len(names) - 1}, "{_suffix(names)}")' if _numbered(names) else f"c({quoted(names)})"


def sql_files(names: Sequence[str]) -> str:
    return (
        f"'chunk_*{_suffix(names)}'" if _numbered(names) else "[" + ", ".join("'" + name.replace("'", "''") + "'" for name in names) + "]"
    )


def _numbered(names: Sequence[str]) -> bool:
    """Many files, named as they are: then they are counted instead of written out."""
    return len(names) > MOST_NAMES and list(names) == [f"chunk_{number}{_suffix(names)}" for number in range(len(names))]


def range_of(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} {'and' if len(names) == 2 else 'to'} {names[-1]}"


def _suffix(names: Sequence[str]) -> str:
    return names[0][names[0].rindex(".") :]


def wrapped(before: str, items: Sequence[str], after: str) -> list[str]:
    """Items between brackets, in lines of bearable length."""
    indent = " " * (len(before) - len(before.lstrip()) + 4)
    lines = [before]
    for item in items:
        if lines[-1] == before or len(lines[-1]) + len(item) > LINE:
            lines.append(f"{indent}{item},")
        else:
            lines[-1] += f" {item},"
    if after.startswith("}"):
        lines[-1] = lines[-1].rstrip(",")
    return [*lines, f"{indent[4:]}{after}"]
