"""What the command line shows: one JSON document, or tables for people; progress and messages go to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

DONE, FAILED, USAGE, NOT_RIGHT = 0, 1, 2, 3  # exit codes (DESIGN 12)

errors = Console(stderr=True, highlight=False)
_WIDE = 200  # columns, where no terminal says how many it has

out = Console(highlight=False) if sys.stdout.isatty() else Console(highlight=False, width=_WIDE)


def document(value: Mapping[str, Any]) -> None:
    """The one JSON document of `--json`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    shown = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    for at, name in enumerate(columns):
        is_number = bool(rows) and all(isinstance(row[at], int | float) for row in rows)
        shown.add_column(name, justify="right" if is_number else "left", overflow="fold", no_wrap=at == 0)
    for row in rows:
        shown.add_row(*(f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell) for cell in row))
    out.print(shown)


def say(text: str) -> None:
    errors.print(text)


def complain(text: str) -> None:
    errors.print(f"[bold red]error:[/] {text.replace('[', chr(92) + '[')}", soft_wrap=True)
