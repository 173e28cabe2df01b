"""The lake on executors: which files a task needs, and where its host has them (`xapi.lake_files` says how they come there)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torus_assets.engine.hands import host_folder
from torus_assets.xapi.lake_files import forget_fetched, local_paths

__all__ = ["LakeFiles", "forget_fetched", "local_paths"]


class LakeFiles(NamedTuple):
    """Files of a pinned version of a lake, as they travel to tasks."""

    url: str  # of the table
    files: tuple[Any, ...]  # `lake.DayFile`s
    room: str  # of `hands.SparkHands`: what the folder is called that tasks of one host share

    def of(self, kinds: Collection[str]) -> LakeFiles:
        """Those of some kinds."""
        return self._replace(files=tuple(file for file in self.files if file.kind in kinds))

    def paths(self, sections: Collection[int] | None, *, columns: Sequence[str] | None = None) -> list[Path]:
        """On an executor: the files in their order, with at least these sections' rows (and these columns)."""
        return local_paths(self.url, self.files, sections, host_folder(self.room), columns=columns)
