"""Writing settled lines: sorted runs of one day and kind become Parquet files where the lake wants them, and a row about each file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore
from torus_assets.engine.ingest.lines import PLACE_COLUMNS, Batches, Mapped, of_rows_only
from torus_assets.xapi import tables
from torus_assets.xapi.placing import folder_of, path_of, statistics

ROW_GROUP_ROWS = 40_000  # as the local engine's
GROUP_BYTES = 64 << 20  # of packed cells in one row group: long lines make smaller groups
LISTINGS = 16  # at once
FILE_BYTES = 512 << 20  # of one file; then the next begins

FILES = pa.schema(
    [
        pa.field("path", pa.string()),
        pa.field("day", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("rows", pa.int64()),
        pa.field("bytes", pa.int64()),
        pa.field("stats", pa.string()),
        pa.field("attempt", pa.int32()),
    ]
)
_cells = msgspec.msgpack.Decoder(list).decode


class PlacedFile(NamedTuple):
    """One file that stands where the lake wants it, in no version yet; `path` is relative to the table's root."""

    path: str
    day: date
    kind: str
    rows: int
    bytes: int
    stats: str  # JSON, as Delta has it
    attempt: int  # of the task that wrote it; not the first: an earlier one may have left files


def files_of(store: ObjectStore, run: str) -> Mapped:
    """Writes sorted lines (columns `day kind` and the place, `section_id cells`) as files of `store`; gives rows of `FILES`.

    Args:
        store: of the table's root.
        run: begins the name of every file, so that what failed attempts left can be found.
    """

    def files(batches: Batches) -> Batches:
        from pyspark import SparkFiles, TaskContext

        context = TaskContext.get()
        assert context is not None
        name = f"{run}-{context.taskAttemptId()}"
        own = SparkFiles.getRootDirectory()  # goes with the executor: what a killed worker leaves there is what learners wrote
        with of_rows_only(), tempfile.TemporaryDirectory(prefix="torus-placed-", dir=own) as folder:
            for placed in _placed(batches, store, name, Path(folder)):
                yield pa.RecordBatch.from_pylist([placed._asdict() | {"attempt": context.attemptNumber()}], schema=FILES)

    return files


def _placed(batches: Batches, store: ObjectStore, name: str, folder: Path) -> Iterator[PlacedFile]:
    writer: _File | None = None
    number = 0
    for (day, kind), lines in runs(batches):
        if writer is None or (writer.day, writer.kind) != (day, kind) or writer.is_full:
            if writer is not None:
                yield writer.placed(store)
            writer = _File(folder, day, kind, f"{name}-{number}")
            number += 1
        writer.add(lines)
    if writer is not None:
        yield writer.placed(store)


def runs(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[tuple[date, str], pa.RecordBatch]]:
    """Neighbours of one day and kind."""
    for batch in batches:
        whose = list(zip(batch.column("day").to_pylist(), batch.column("kind").to_pylist(), strict=True))
        start = 0
        while start < len(whose):
            end = len(whose) if whose[-1] == whose[start] else next(at for at in range(start, len(whose)) if whose[at] != whose[start])
            yield whose[start], batch.slice(start, end - start)
            start = end


class _File:
    """A file under way, on this machine's disk."""

    def __init__(self, folder: Path, day: date, kind: str, name: str) -> None:
        self.day = day
        self.kind = kind
        self.name = name
        self.path = folder / f"{name}.parquet"
        self.schema = tables.BY_KIND[kind].schema
        self._writer = pq.ParquetWriter(self.path, self.schema, compression="zstd", compression_level=1)
        self._group: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    @property
    def is_full(self) -> bool:
        return self.path.stat().st_size >= FILE_BYTES

    def add(self, lines: pa.RecordBatch) -> None:
        self._group.append(table_rows(lines, self.kind))
        self._rows += lines.num_rows
        self._bytes += self._group[-1].nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._group:
            self._writer.write_table(pa.Table.from_batches(self._group, self.schema), row_group_size=self._rows)
        self._group = []
        self._rows = self._bytes = 0

    def placed(self, store: ObjectStore) -> PlacedFile:
        """Ends the file and puts it where the lake wants it."""
        self._flush()
        self._writer.close()
        metadata = pq.read_metadata(self.path)
        path = path_of(self.day, self.kind, self.name)
        store.put(path, self.path)
        size = self.path.stat().st_size
        self.path.unlink()
        return PlacedFile(path, self.day, self.kind, metadata.num_rows, size, json.dumps(statistics(metadata)), 0)


def table_rows(lines: pa.RecordBatch, kind: str) -> pa.RecordBatch:
    """Lines as rows of their kind's table."""
    schema = tables.BY_KIND[kind].schema
    place: list[Any] = [pa.array([digest.hex() for digest in lines.column("event_hash").to_pylist()], pa.string())]
    place += [lines.column(field.name).cast(field.type) for field in list(schema)[1:PLACE_COLUMNS]]
    of_key = kind not in tables.EVENT_KINDS
    if of_key:
        place.append(lines.column("section_id"))
    rest = list(schema)[len(place) :]
    cells = [cell for packed in lines.column("cells").to_pylist() for cell in _cells(packed)] if rest else []
    own = [pa.array(cells[at :: len(rest)], field.type) for at, field in enumerate(rest)]
    return pa.RecordBatch.from_arrays([*place, *own], schema=schema)


def leftovers(store: ObjectStore, run: str, files: Iterable[PlacedFile], days: Iterable[date]) -> list[str]:
    """Files of the run that are not among `files`: attempts that failed, or were repeated, left them."""
    kept = {file.path for file in files}
    folders = [folder_of(day, kind) for day in days for kind in tables.BY_KIND if kind != "bundle"]
    with ThreadPoolExecutor(LISTINGS) as pool:
        found = pool.map(lambda folder: [info.key for info in store.list(f"{folder}{run}-")], folders)
        return [key for keys in found for key in keys if key not in kept]
