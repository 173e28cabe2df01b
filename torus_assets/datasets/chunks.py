"""Cuts a stream of row batches into files of `chunk_rows` rows: `chunk_0.csv`, `chunk_1.csv` …"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import polars as pl
import pyarrow.parquet as pq

from torus_assets.datasets.csv_tables import cells
from torus_assets.datasets.request import Request

CSV_BATCH_ROWS = 8192  # of polars' writer: a third less CPU than its default of 1024


class ChunkWriter:
    """Writes one format. `add` and `end` give the files that became full, each with its number of rows; the first is `chunk_{first}`."""

    suffix: str

    def __init__(self, request: Request, folder: Path, first: int = 0) -> None:
        self.request = request
        self.columns = request.table.without(request.exclude_fields)
        self.folder = folder
        self.number = first
        self.rows = 0  # in the open file
        self.open: Any = None

    def add(self, rows: pl.DataFrame) -> Iterator[tuple[Path, int]]:
        at = 0
        while at < rows.height:
            piece = rows.slice(at, self.request.chunk_rows - self.rows)
            self.write(piece)
            at += piece.height
            self.rows += piece.height
            if self.rows == self.request.chunk_rows:
                yield from self.end()

    def end(self) -> Iterator[tuple[Path, int]]:
        """Closes the open file. Nothing was written: there is no file, not one of a header only."""
        if self.open is None:
            return
        self.open.close()
        done = self.path, self.rows
        self.open, self.rows, self.number = None, 0, self.number + 1
        yield done

    @property
    def path(self) -> Path:
        return self.folder / f"chunk_{self.number}{self.suffix}"

    def write(self, rows: pl.DataFrame) -> None:
        raise NotImplementedError


class CsvWriter(ChunkWriter):
    """Cells of the request's dialect through polars' streaming sink."""

    suffix = ".csv"
    open: IO[bytes] | None

    def write(self, rows: pl.DataFrame) -> None:
        text = cells(rows, self.columns, self.request.dialect, is_part=rows["_kind"] == "part_attempt")
        first = self.open is None
        self.open = self.open or self.path.open("wb")
        text.lazy().sink_csv(self.open, include_header=first, batch_size=CSV_BATCH_ROWS, sync_on_close=None)


class ParquetWriter(ChunkWriter):
    """The same columns with their types; `timestamp` as an instant in UTC. Zstd."""

    suffix = ".parquet"
    open: pq.ParquetWriter | None

    def write(self, rows: pl.DataFrame) -> None:
        typed = rows.with_columns(timestamp="_time") if "timestamp" in rows.columns else rows
        table = typed.select(column.name for column in self.columns).to_arrow()
        if self.open is None:
            self.open = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        self.open.write_table(table)


def writers(request: Request, folder: Path, first: int = 0) -> list[ChunkWriter]:
    made: dict[str, type[ChunkWriter]] = {"csv": CsvWriter, "parquet": ParquetWriter}
    return [made[name](request, folder, first) for name in request.format]
