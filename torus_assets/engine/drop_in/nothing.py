"""A data set of sections that the store has nothing of: no rows, no chunks, and a page that says so. Needs no Spark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

NAME = "asked.parquet"


@dataclass
class Nothing:
    """A snapshot (`datasets.export.Snapshot`) without a row. The sections count as known: the store was looked at, and has nothing of them."""

    sections: tuple[int, ...]
    kinds: tuple[str, ...]  # that the data set reads
    version: int = 0

    def files(self, *, kinds: Any = None, first: Any = None, last: Any = None) -> list[str]:  # noqa: ARG002  the protocol's
        return [] if kinds is not None and set(kinds) <= set(self.kinds) else [NAME]

    @contextmanager
    def local(self, files: Any, scratch: Path) -> Iterator[list[Path]]:
        paths = [scratch / name for name in files]
        for path in paths:
            pl.DataFrame({"section_id": self.sections}, schema={"section_id": pl.Int64()}).write_parquet(path)
        yield paths
        for path in paths:
            path.unlink()

    def held(self, first: Any = None, last: Any = None) -> list[date]:  # noqa: ARG002
        return []
