"""Makes the files of a DataShop data set, piece by piece, in as many processes as there are workers.

Pieces know nothing of each other and are put together in their order, so the number of workers changes no byte. A file is closed between two
sessions when it has `rules.MOST_BYTES`; so each is well-formed, and every context stands in the file that uses it.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.util
import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow as pa

from torus_assets.datasets.datashop import attempts, rules, tutored
from torus_assets.datasets.datashop.facts import facts
from torus_assets.datasets.datashop.mapping import Mapper
from torus_assets.datasets.datashop.pieces import Paths, Piece, Reader, connect
from torus_assets.datasets.datashop.tab_form import Shape, TabForm
from torus_assets.datasets.datashop.xml_form import XmlForm
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.release import Finding
from torus_assets.datasets.request import Request

SLICE = 1_000  # transactions whose text is made at once: 2.6 MB of XML; twice as many cost 4 % less CPU and 20 MB more


@dataclass(frozen=True, repr=False)
class Work:
    """All that a worker needs to know; holds the pseudonym key, so it travels by pipe or broadcast only."""

    request: Request
    paths: Paths
    lookup: Lookup
    names: Names
    redaction: Redaction
    dataset: str
    shape: Shape
    shared_sessions: frozenset[str]
    folder: Path
    shared_attempts: frozenset[str] = frozenset()


@dataclass
class MadeFile:
    """A file that is being written, then its description."""

    path: Path
    form: str
    transactions: int = 0
    bytes: int = 0
    sha256: str = ""
    findings: tuple[Finding, ...] = ()  # of the last look at it, where that has been taken already

    def add(self, body: bytes | memoryview, transactions: int) -> None:
        if not self.bytes:
            self._file, self._digest = self.path.open("wb", buffering=0), hashlib.sha256()
        self._file.write(body)
        self._digest.update(body)
        self.bytes += len(body)
        self.transactions += transactions

    def end(self, foot: bytes) -> None:
        self.add(foot, 0)
        self._file.close()
        self.sha256 = self._digest.hexdigest()
        del self._file, self._digest


@dataclass
class PieceDone:
    """What came of a piece."""

    number: int
    files: list[MadeFile]
    fates: Counter[tuple[str, str]]  # rows by kind and fate
    exported: Counter[tuple[int, str]]  # rows by section and kind
    unreadable: Counter[str]  # rows that gave nothing, by reason
    notes: Counter[str]
    facts: Path
    transactions: int


def pieces_done(work: Work, pieces: Sequence[Piece], workers: int) -> Iterator[PieceDone]:
    """The pieces in their order, as soon as they and all before them are made."""
    if workers == 1 or len(pieces) == 1:
        with closing(Maker(work)) as maker:
            yield from map(maker.make, pieces)
        return
    with processes(min(workers, len(pieces)), work) as pool:
        yield from pool.map(_make, pieces)


def processes(workers: int, work: Work | None = None) -> ProcessPoolExecutor:
    """Processes that end with this one, however it ends. Spawned, not forked: engines and stores have threads."""
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_begin, initargs=(work,))


class Maker:
    """Makes pieces, one after the other."""

    def __init__(self, work: Work) -> None:
        self.work = work
        self.connection = connect(work.folder)
        self.reader = Reader(self.connection, work.request, work.paths)

    def close(self) -> None:
        self.connection.close()

    def make(self, piece: Piece) -> PieceDone:
        work = self.work
        fates: Counter[tuple[str, str]] = Counter()
        mapper = Mapper(work.lookup, work.names, work.redaction, work.dataset, work.shared_sessions, work.shared_attempts)
        rows = self.reader.read(piece, fates)
        made = transactions(rows, mapper)
        path = work.folder / f"facts-{piece.number:06d}.parquet"
        facts(made, mapper.shelves, piece.number << 32).write_parquet(path, compression="lz4")
        files = [
            file for name, form in _forms(work) for file in _written(made, mapper, form, name, work.folder / f"piece-{piece.number}")
        ]  # fmt: skip
        exported = Counter({(section, kind): n for section, kind, n in rows.group_by("section_id", "kind").len().iter_rows()})
        for (_, section), n in mapper.unreadable.items():
            exported[section, "tutor_message"] -= n
        unreadable: Counter[str] = Counter()
        for (reason, _), n in mapper.unreadable.items():
            unreadable[reason] += n
        return PieceDone(piece.number, files, fates, +exported, unreadable, mapper.notes, path, made.height)


def transactions(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    """The transactions of a piece in order (`frame.COLUMNS`)."""
    runs = rows.select(pl.struct("place_of_student", "session_id", "sitting").rle_id()).to_series()  # a session's rows stand together
    people = rows.filter(runs != runs.shift(1, fill_value=-1)) if rows.height else rows
    numbers = [mapper.session(*who) for who in people.select("home_page", "user_id", "session_id", "sitting").iter_rows()]
    rows = rows.with_columns(session=pl.Series(numbers, dtype=pl.Int64).gather(runs))
    is_attempt = pl.col("kind") == "part_attempt"
    made = [attempts.transactions(rows.filter(is_attempt), mapper), tutored.transactions(rows.filter(~is_attempt), mapper)]
    return pl.concat(made).sort("line", "sub")


def _forms(work: Work) -> list[tuple[str, XmlForm | TabForm]]:
    known: dict[str, XmlForm | TabForm] = {"datashop-xml": XmlForm(anonymous=work.names.anonymous), "datashop-tab": TabForm(work.shape)}
    return [(name, known[name]) for name in work.request.format]


def _written(made: pl.DataFrame, mapper: Mapper, form: XmlForm | TabForm, name: str, prefix: Path) -> list[MadeFile]:
    """The files of one form of one piece."""
    files: list[MadeFile] = []
    for slice_ in _slices(made):
        texts = form.texts(slice_, mapper.shelves)
        total = texts.str.len_bytes().cum_sum().to_list()
        first = 0
        for start, end in _runs(slice_["session"]):
            if not files or (
                files[-1].bytes + total[end - 1] - _before(total, first) > rules.MOST_BYTES and files[-1].transactions + start - first
            ):
                if files:
                    files[-1].add(_bytes(texts[first:start]), start - first)
                    files[-1].end(form.foot.encode())
                files.append(MadeFile(Path(f"{prefix}-{len(files)}{form.suffix}"), name))
                files[-1].add(form.head.encode(), 0)
                first = start
        files[-1].add(_bytes(texts[first:]), texts.len() - first)
    if files:
        files[-1].end(form.foot.encode())
    return files


def _before(total: list[int], at: int) -> int:
    """Bytes before the transaction at this place."""
    return total[at - 1] if at else 0


def _slices(made: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Whole sessions of about SLICE transactions at a time, so that their text takes little memory."""
    first = 0
    for _, end in _runs(made["session"]):
        if end - first >= SLICE or end == made.height:
            yield made[first:end]
            first = end


def _runs(sessions: pl.Series) -> Iterator[tuple[int, int]]:
    """Where each session begins and ends."""
    ends = (sessions != sessions.shift(-1)).fill_null(True).arg_true() + 1 if sessions.len() else pl.Series([], dtype=pl.UInt32)
    return pairwise([0, *ends.to_list()])


def _bytes(texts: pl.Series) -> memoryview:
    """The texts one after the other, without a Python object for each."""
    array = pa.chunked_array([texts.to_arrow()]).cast(pa.large_string()).combine_chunks()
    offsets = array.buffers()[1]
    if offsets is None or not len(array):
        return memoryview(b"")
    view = memoryview(offsets).cast("q")
    return memoryview(array.buffers()[2])[view[array.offset] : view[array.offset + len(array)]]


_maker: Maker | None = None  # of a worker process


def _begin(work: Work | None) -> None:
    global _maker
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if work is not None:
        _maker = Maker(work)
        multiprocessing.util.Finalize(None, _end, exitpriority=1)


def _end() -> None:
    """Before the interpreter ends, which the engine's objects must not outlive."""
    global _maker
    if _maker is not None:
        _maker.close()
        _maker = None


def _end_with_parent() -> None:
    """A pool's worker would wait for ever for the next task of a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _make(piece: Piece) -> PieceDone:
    assert _maker is not None
    return _maker.make(piece)
