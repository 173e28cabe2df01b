"""Progress on the terminal. Apart from `console`, so that commands which start no run do not load Dagster (2 s of CPU)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import PrivateAttr
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from resources.progress import ProgressResource
from torus_assets.console import errors


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
    def shown(self) -> Iterator[Bars]:
        """Shows the bars while the block runs."""
        if not errors.is_terminal:
            yield self
            return
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors, transient=True) as self._progress:
            yield self
        self._progress = None
