"""Decoding bundles: the part of an ingest that runs in many processes, here or on a cluster.

`decoded` reads and parses, piece by piece. Here the rows are spooled as Parquet per kind by the process that made them: sending rows
between processes costs more than decoding them. On a cluster `engine/ingest/lines.py` takes the pieces.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi import parse, tables
from torus_assets.xapi.tombstones import NONE, Tombstones

READERS = 16  # objects asked for at once by one process, of a remote store
AHEAD_BYTES = 48 << 20  # fetched but not yet decoded, per process
WHOLE_BYTES = 16 << 20  # larger objects are read as a stream, in blocks
Item = TypeVar("Item")
LOCK = ".lock"  # in the spool folder: held by the run and by its workers for as long as they may write there
FLUSH_BYTES = 24 << 20  # of line bytes per spool file: about twice that in rows

SPOOL_PLACE = (
    pa.field("event_hash", pa.binary(32)),
    pa.field("bundle_no", pa.int32()),
    pa.field("source_line", pa.int32()),
)
REFUSED = pa.schema(
    [
        *SPOOL_PLACE,
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("raw", pa.binary()),
        pa.field("raw_bytes", pa.int64()),
    ]
)
PLACE_COLUMNS = len(tables.PLACE)
USER, HOME = (
    {table.kind: [column.name for column in table.columns[PLACE_COLUMNS:]].index(name) for table in tables.EVENT_TABLES}
    for name in ("user_id", "home_page")
)  # of a row, by kind


class Task(NamedTuple):
    """One bundle to read."""

    no: int  # its number in the plan, in key order
    key: str
    section: int | None
    bytes: int
    etag: str = ""  # that the object must have when it is read; "": any


class BundleRead(NamedTuple):
    """What one bundle held."""

    no: int
    etag: str
    last_modified: str  # ISO
    bytes: int
    lines: int
    blank: int
    forgotten: int


class Piece(NamedTuple):
    """Some neighbouring lines of one bundle, those of forgotten learners left out; of a small bundle all of them."""

    task: Task
    parsed: parse.Parsed
    bytes: int  # of the lines
    etag: str
    read: BundleRead | None  # what the whole bundle held, with its last piece


class BundleGone(FileNotFoundError):
    """An object of the plan is no longer there, or no longer what was listed. `no` is its number where that is known."""

    def __init__(self, message: str, no: int | None = None) -> None:
        super().__init__(message)
        self.no = no


def spool_schema(kind: str) -> pa.Schema:
    """Columns of a spool file of the kind: hash and place in short, then the table's own."""
    if kind == "quarantined":
        return REFUSED
    return pa.schema([*SPOOL_PLACE, *(column.arrow for column in tables.BY_KIND[kind].columns[PLACE_COLUMNS:])])


SCHEMAS = {kind: spool_schema(kind) for kind in (*tables.EVENT_KINDS, "quarantined")}


class _Pending:
    """Lines of one kind on their way to disk. Cells lie row after row in one list: a column is a stride of it, which costs
    a third of turning tuples round."""

    def __init__(self) -> None:
        self.places: list[Any] = []  # digest, bundle number, line
        self.cells: list[Any] = []

    def add(self, digest: bytes, no: int, line: int, row: Sequence[Any]) -> None:
        self.places += (digest, no, line)
        self.cells += row

    def table(self, schema: pa.Schema) -> pa.Table:
        place, width = len(SPOOL_PLACE), len(schema) - len(SPOOL_PLACE)
        columns = [self.places[at::place] for at in range(place)] + [self.cells[at::width] for at in range(width)]
        return pa.Table.from_arrays([pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)


class Spool:
    """Lines on their way to disk by kind; a file per kind whenever enough bytes have come in."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._pending: defaultdict[str, _Pending] = defaultdict(_Pending)
        self._bytes = 0
        self._files = 0

    def add(self, no: int, parsed: parse.Parsed, size: int) -> None:
        pending = self._pending
        for kind, digest, line, row in parsed.events:
            pending[kind].add(digest, no, line, row)
        for reason, detail, digest, line, raw, raw_bytes in parsed.refusals:
            pending["quarantined"].add(digest, no, line, (reason, detail, raw, raw_bytes))
        self._bytes += size
        if self._bytes >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        for kind, lines in self._pending.items():
            pq.write_table(
                lines.table(SCHEMAS[kind]),
                self._folder / f"{kind}-{self._name}-{self._files:05d}.parquet",
                compression="lz4",
                use_dictionary=False,
                write_statistics=False,
            )
        self._files += 1
        self._pending.clear()
        self._bytes = 0


def without_forgotten(parsed: parse.Parsed, tombstones: Tombstones) -> tuple[parse.Parsed, int]:
    """The lines that may be kept, and how many are of forgotten learners: of those not even a hash goes on."""
    if not tombstones:
        return parsed, 0
    forgets = tombstones.forgets
    events = [event for event in parsed.events if not forgets(event.row[HOME[event.kind]], event.row[USER[event.kind]])]
    refusals = [refusal for refusal in parsed.refusals if not tombstones.forgets_refused(refusal.raw)]
    kept = parsed._replace(events=events, refusals=refusals)
    return kept, len(parsed.events) - len(events) + len(parsed.refusals) - len(refusals)


def cut(items: Iterable[Item], most_bytes: int, most_items: int, size: Callable[[Item], int]) -> list[list[Item]]:
    """Work cut into runs of neighbours, by bytes and count: neighbours share a section, so what comes of them does too."""
    cuts: list[list[Item]] = []
    held = 0
    for item in items:
        if not cuts or held + size(item) > most_bytes or len(cuts[-1]) >= most_items:
            cuts.append([])
            held = 0
        cuts[-1].append(item)
        held += size(item)
    return cuts


def decode(
    store: ObjectStore, tasks: Sequence[Task], folder: Path, name: str, max_line_bytes: int, tombstones: Tombstones = NONE
) -> list[BundleRead]:
    """Reads the bundles, in order, and spools their lines under `folder` in files that carry `name`.

    Memory is bounded as that of `decoded`, and by `FLUSH_BYTES` of lines as rows.

    Raises:
        BundleGone: as `decoded`.
    """
    spool = Spool(folder, name)
    reads: list[BundleRead] = []
    for piece in decoded(store, tasks, max_line_bytes, tombstones):
        spool.add(piece.task.no, piece.parsed, piece.bytes)
        if piece.read:
            reads.append(piece.read)
    spool.flush()
    return reads


def decoded(store: ObjectStore, tasks: Iterable[Task], max_line_bytes: int, tombstones: Tombstones = NONE) -> Iterator[Piece]:
    """Reads and parses the bundles, in order. Lines of forgotten learners are counted and dropped.

    Memory is bounded by `AHEAD_BYTES` and one line; an object of any size is read as a stream.

    Raises:
        BundleGone: an object is not there any more, or not the one that was planned; its address is in the message.
    """
    for task, fetched in _fetched(store, tasks):
        if fetched is None:
            yield from _streamed(store, task, max_line_bytes, tombstones)
            continue
        parsed, forgotten = without_forgotten(parse.parse(fetched.body, task.section, max_line_bytes), tombstones)
        size = len(fetched.body)
        read = BundleRead(task.no, fetched.etag, fetched.last_modified.isoformat(), size, parsed.lines, parsed.blank, forgotten)
        yield Piece(task, parsed, size, fetched.etag, read)


def _opened(store: ObjectStore, task: Task, *, whole: bool) -> Any:
    """The object, whole or as a stream."""
    try:
        found = store.get(task.key) if whole else store.stream(task.key)
    except FileNotFoundError:
        raise BundleGone(f"{store.uri(task.key)}: the object is gone since it was listed; run the ingest again", task.no) from None
    if task.etag and task.etag != found.etag:
        raise BundleGone(f"{store.uri(task.key)}: the object was replaced since it was listed; run the ingest again", task.no)
    return found


def _fetched(store: ObjectStore, tasks: Iterable[Task]) -> Iterator[tuple[Task, Any]]:
    """Each task with its object, or None when the object is so large that it has to be streamed."""
    if store.is_local:  # a local file is read in less time than a thread takes over
        yield from ((task, _opened(store, task, whole=True) if task.bytes <= WHOLE_BYTES else None) for task in tasks)
        return
    waiting: deque[tuple[Task, Future[Any] | None]] = deque()
    ahead = 0
    with ThreadPoolExecutor(READERS) as readers:
        try:
            for task in tasks:
                large = task.bytes > WHOLE_BYTES
                waiting.append((task, None if large else readers.submit(_opened, store, task, whole=True)))
                ahead += 0 if large else task.bytes
                while len(waiting) > 2 * READERS or (ahead > AHEAD_BYTES and waiting):
                    done, future = waiting.popleft()
                    ahead -= 0 if future is None else done.bytes
                    yield done, future.result() if future else None
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result() if future else None
        finally:
            for _, future in waiting:
                if future:
                    future.cancel()


BATCH_LINES = 1000  # of a streamed object, parsed together


def _streamed(store: ObjectStore, task: Task, max_line_bytes: int, tombstones: Tombstones) -> Iterator[Piece]:
    """A large object, block by block; its lines are numbered as if it had been read whole."""
    stream = _opened(store, task, whole=False)
    lines = blank = numbered = forgotten = 0
    for batch in _batches(parse.streamed_lines(stream.chunks, max_line_bytes)):
        parsed, dropped = without_forgotten(parse.parse_lines(batch, task.section, max_line_bytes), tombstones)
        moved = parse.Parsed(
            [event._replace(line=event.line + numbered) for event in parsed.events],
            [refusal._replace(line=refusal.line + numbered) for refusal in parsed.refusals],
            parsed.lines,
            parsed.blank,
        )
        length = sum(line.length if isinstance(line, parse.OverLong) else len(line) for line in batch)
        yield Piece(task, moved, min(length, FLUSH_BYTES), stream.etag, None)
        lines += parsed.lines
        blank += parsed.blank
        forgotten += dropped
        numbered += parsed.lines - parsed.blank
    read = BundleRead(task.no, stream.etag, stream.last_modified.isoformat(), task.bytes, lines, blank, forgotten)
    yield Piece(task, parse.Parsed([], [], 0, 0), 0, stream.etag, read)


def _batches(lines: Iterable[bytes | parse.OverLong]) -> Iterator[list[bytes | parse.OverLong]]:
    batch: list[bytes | parse.OverLong] = []
    held = 0
    for line in lines:
        batch.append(line)
        held += 0 if isinstance(line, parse.OverLong) else len(line)
        if len(batch) >= BATCH_LINES or held >= WHOLE_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
