"""Lines as Spark carries them, and the two places they come from: bundles that are decoded, and files of the lake that are read again.

One schema for every kind: what settling asks for stands in columns, the kind's own cells are packed into one (`cells`), because Spark
moves twenty columns several times as fast as the eighty of all kinds together. Rows are made and unpacked by Python workers alone.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore
from torus_assets.engine.ingest.cuts import Kept, LakeFile, Reading, unpacked
from torus_assets.xapi import tables
from torus_assets.xapi.decode import BundleGone, BundleRead, Piece, Task, decoded
from torus_assets.xapi.tombstones import Tombstones
from torus_assets.xapi.worker import without_pandas

BATCH_BYTES = 4 << 20  # of lines in one Arrow batch to Spark; a single line may be larger
BATCH_ROWS = 2000  # of a lake file, read and packed together
READ, GONE = "bundle", "gone"  # kinds of rows that are no lines: what a bundle held, and that it could not be read
PLACE_COLUMNS = len(tables.PLACE)
_STATEMENT = [column.name for column in tables.STATEMENT]
SECTION, AT, COERCED = (_STATEMENT.index(name) for name in ("section_id", "timestamp", "coerced"))  # of an event's cells

_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("day", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("event_hash", pa.binary()),
        pa.field("bundle_no", pa.int32()),  # null in rows of lake files until their bundles are joined
        pa.field("source_line", pa.int32()),
        pa.field("source_file", pa.string()),
        pa.field("source_etag", pa.string()),
        pa.field("uploaded_at", _TIME),
        pa.field("key_section", pa.int64()),
        pa.field("section_id", pa.int64()),
        pa.field("at", _TIME),  # of events
        pa.field("reason", pa.string()),
        pa.field("coerced", pa.string()),
        pa.field("cells", pa.binary()),  # the kind's columns after those of its place, in their order; msgpack
    ]
)
KEPT = pa.schema(
    [pa.field("day", pa.date32()), pa.field("source_file", pa.string()), *(SCHEMA.field(name) for name in ("bundle_no", "key_section"))]
)
_TYPES: dict[pa.DataType, str] = {
    pa.date32(): "date", pa.string(): "string", pa.binary(): "binary", pa.int32(): "int", pa.int64(): "bigint", pa.bool_(): "boolean",
    _TIME: "timestamp",
}  # fmt: skip

Batches = Iterator[pa.RecordBatch]
Mapped = Callable[[Batches], Batches]  # what `mapInArrow` takes
_pack = msgspec.msgpack.Encoder().encode


def ddl(schema: pa.Schema) -> str:
    """The schema as Spark takes it."""
    return ", ".join(f"{field.name} {_TYPES[field.type]}" for field in schema)


@contextmanager
def of_rows_only() -> Iterator[None]:
    """What a worker does while it makes rows: no pandas, and no collections, which cost as much as the rows and find nothing."""
    without_pandas()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def bundle_lines(cuts: Any, store: ObjectStore, max_line_bytes: int, tombstones: Any) -> Mapped:
    """Decodes the bundles of the cuts whose numbers come in.

    Args:
        cuts: broadcast list of `packed` `Reading`s.
        tombstones: broadcast `Tombstones`.
    """

    def lines(numbers: Batches) -> Batches:
        with of_rows_only():
            for number in _numbers(numbers):
                yield from _decoded(store, unpacked(cuts.value[number], Reading), max_line_bytes, tombstones.value)

    return lines


def lake_lines(cuts: Any, store: ObjectStore) -> Mapped:
    """Reads the row groups of the cuts whose numbers come in; `cuts` is a broadcast list of `packed` `LakeFile`s."""

    def lines(numbers: Batches) -> Batches:
        with of_rows_only():
            for number in _numbers(numbers):
                for file in unpacked(cuts.value[number], LakeFile):
                    yield from _of_file(store, file)

    return lines


def kept_bundles(cuts: Any) -> Mapped:
    """Rows of `KEPT`, of the cuts whose numbers come in; `cuts` is a broadcast list of `packed` `Kept`s."""

    def bundles(numbers: Batches) -> Batches:
        for number in _numbers(numbers):
            columns = zip(*unpacked(cuts.value[number], Kept), strict=True)
            yield pa.RecordBatch.from_arrays([pa.array(c, field.type) for c, field in zip(columns, KEPT, strict=True)], schema=KEPT)

    return bundles


def _numbers(batches: Batches) -> Iterator[int]:
    for batch in batches:
        yield from batch.column(0).to_pylist()


class _Rows:
    """Rows on their way to Spark, as columns."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        self.bytes = 0

    def place(self, reading: Reading, source_file: str, etag: str, count: int) -> None:
        """The columns that all lines of a bundle share."""
        shared = (reading.day, reading.no, source_file, etag, reading.uploaded_at, reading.section)
        for name, value in zip(("day", "bundle_no", "source_file", "source_etag", "uploaded_at", "key_section"), shared, strict=True):
            self.columns[name] += [value] * count

    def add(
        self, kind: str, digest: bytes | None, line: int | None, section: int | None, at: Any, reason: Any, coerced: Any, cells: Any
    ) -> None:
        row = (kind, digest, line, section, at, reason, coerced, cells)
        for name, value in zip(("kind", "event_hash", "source_line", "section_id", "at", "reason", "coerced", "cells"), row, strict=True):
            self.columns[name].append(value)

    def batch(self) -> pa.RecordBatch:
        arrays = [pa.array(self.columns[field.name], field.type) for field in SCHEMA]
        return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _decoded(store: ObjectStore, readings: Sequence[Reading], max_line_bytes: int, tombstones: Tombstones) -> Batches:
    rows = _Rows()
    by_number = {reading.no: reading for reading in readings}
    for found in _pieces(store, readings, max_line_bytes, tombstones):
        if isinstance(found, BundleGone):
            _add_gone(rows, by_number[found.no or 0], found)
            continue
        reading = by_number[found.task.no]
        _add(rows, found, reading, store.uri(reading.key))
        if rows.bytes >= BATCH_BYTES:
            yield rows.batch()
            rows = _Rows()
    yield rows.batch()


def _pieces(store: ObjectStore, readings: Sequence[Reading], max_line_bytes: int, tombstones: Tombstones) -> Iterator[Piece | BundleGone]:
    """As `decoded`, going on behind objects that are gone: the plan is made anew for all of them at once."""
    tasks = [Task(r.no, r.key, r.section, r.bytes, r.etag) for r in readings]
    while tasks:
        try:
            yield from decoded(store, tasks, max_line_bytes, tombstones)
            return
        except BundleGone as gone:
            yield gone
            tasks = [task for task in tasks if task.no > (gone.no or 0)]


def _add(rows: _Rows, piece: Piece, reading: Reading, source_file: str) -> None:
    columns = rows.columns
    kinds, hashes, numbers, sections, times, reasons, coerced, cells = (
        columns[name].append for name in ("kind", "event_hash", "source_line", "section_id", "at", "reason", "coerced", "cells")
    )
    for kind, digest, line, row in piece.parsed.events:
        kinds(kind)
        hashes(digest)
        numbers(line)
        sections(row[SECTION])
        times(row[AT])
        reasons(None)
        coerced(row[COERCED])
        cells(_pack(row))
    for reason, detail, digest, line, raw, raw_bytes in piece.parsed.refusals:
        rows.add("quarantined", digest, line, None, None, reason, None, _pack((reason, detail, raw, raw_bytes)))
    count = len(piece.parsed.events) + len(piece.parsed.refusals)
    if piece.read:
        rows.add(READ, None, None, None, None, None, None, _pack(piece.read))
        count += 1
    rows.place(reading, source_file, piece.etag, count)
    rows.bytes += piece.bytes


def _add_gone(rows: _Rows, reading: Reading, gone: BundleGone) -> None:
    rows.add(GONE, None, None, None, None, None, None, _pack(str(gone)))
    rows.place(reading, "", "", 1)


def read_of(cells: bytes) -> BundleRead:
    """What the row of a bundle that was read says."""
    return msgspec.msgpack.decode(cells, type=BundleRead)


def _of_file(store: ObjectStore, file: LakeFile) -> Batches:
    with pq.ParquetFile(store.reader(file.path, file.bytes)) as source:
        groups = range(file.part, source.metadata.num_row_groups, file.parts)
        wanted = tables.BY_KIND[file.kind].schema.names if file.whole else ["event_hash", "source_file", "source_line"]
        columns = [name for name in wanted if name in source.schema_arrow.names]
        for group in groups:
            for batch in source.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                yield _line_batch(batch, file)


def _line_batch(batch: pa.RecordBatch, file: LakeFile) -> pa.RecordBatch:
    """Rows of the lake as lines."""
    count = batch.num_rows
    lists = {name: batch.column(name).to_pylist() for name in batch.schema.names}
    nulls = [None] * count
    found: dict[str, Any] = {name: lists.get(name, nulls) for name in (*SCHEMA.names, "timestamp")}
    found |= {"day": [file.day] * count, "kind": [file.kind] * count, "event_hash": [bytes.fromhex(text) for text in lists["event_hash"]]}
    if file.whole and file.kind != "duplicate":
        names = tables.BY_KIND[file.kind].schema.names[PLACE_COLUMNS:]
        own = names[1:] if file.kind == "quarantined" else names  # of refused lines the section is the key's
        found |= {
            "at": found["timestamp"],
            "cells": [_pack(cells) for cells in zip(*(lists.get(name, nulls) for name in own), strict=True)],
        }
    return pa.RecordBatch.from_arrays([pa.array(found[field.name], field.type) for field in SCHEMA], schema=SCHEMA)
