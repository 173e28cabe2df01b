"""What the command line shows: one JSON document, or tables for people; progress and messages go to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic import PrivateAttr
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from resources.progress import ProgressResource

DONE, FAILED, USAGE, NOT_RIGHT = 0, 1, 2, 3  # exit codes (DESIGN 12)

errors = Console(stderr=True, highlight=False)
out = Console(highlight=False)


class Bars(ProgressResource):
    """Bars on the terminal, one per stage; nothing when standard error is no terminal."""

    _progress: Progress | None = PrivateAttr(default=None)
    _tasks: dict[str, TaskID] = PrivateAttr(default_factory=dict)

    def say(self, stage: str, done: int, total: int) -> None:
        if self._progress is None:
            return
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=total)
        self._progress.update(self._tasks[stage], completed=done, total=max(total, 1))

    @contextmanager
    def shown(self) -> Iterator["Bars"]:
        """Shows the bars while the block runs."""
        if not errors.is_terminal:
            yield self
            return
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True) as self._progress:
            yield self
        self._progress = None


def document(value: Mapping[str, Any]) -> None:
    """The one JSON document of `--json`."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, default=str) + "\n")


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    shown = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        shown.add_column(name, justify="right" if rows and all(isinstance(row[columns.index(name)], int | float) for row in rows) else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell) for cell in row))
    out.print(shown)


def say(text: str) -> None:
    errors.print(text)


def complain(text: str) -> None:
    errors.print(f"[bold red]error:[/] {text.replace('[', chr(92) + '[')}", soft_wrap=True)
