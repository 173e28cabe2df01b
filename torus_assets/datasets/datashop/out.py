"""The files of a DataShop data set: both forms, rollups; and the proof that they hold what the lake has."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from torus_assets.clients.object_store import open_store
from torus_assets.datasets import rollup
from torus_assets.datasets.datashop import pieces as reading
from torus_assets.datasets.datashop.pieces import Plan
from torus_assets.datasets.datashop.produce import PieceDone, Work, pieces_done, processes
from torus_assets.datasets.datashop.scope import Scope, SectionCounts, scope
from torus_assets.datasets.datashop.verify import Report, verify
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.output import CHUNK, OutFile, Output
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.reading import Tally
from torus_assets.datasets.receipt import Progress, Store
from torus_assets.datasets.request import Request

Engine = Callable[[Path], AbstractContextManager[duckdb.DuckDBPyConnection]]  # opens DuckDB; spills below the folder given
ROLLED_UP = ("Anon Student Id", "Session Id")  # the columns of a rollup that could name somebody


@dataclass
class Made:
    """What came of it."""

    expected: dict[int, SectionCounts]  # of the lake, by section
    notes: Counter[str] = field(default_factory=Counter)
    facts: list[Path] = field(default_factory=list)
    transactions: int = 0


def write(
    request: Request, paths: reading.Paths, plan: Plan, lookup: Lookup, names: Names, tally: Tally, output: Output, folder: Path,
    connection: duckdb.DuckDBPyConnection, workers: int, progress: Progress | None,
) -> Made:  # fmt: skip
    """Every chunk and rollup, put as it is made. `tally` gets what became of each row."""
    target: Scope = scope(connection, request, paths, lookup)
    made = Made(target.sections)
    dataset = request.dataset_name or lookup.dataset_name or request.job_id
    work = Work(request, paths, lookup, names, output.users, dataset, target.shape, plan.shared_sessions, folder, plan.shared_attempts)
    total = sum(person.rows for piece in plan.pieces for person in piece.people)
    for done in pieces_done(work, plan.pieces, workers):
        _put(done, output)
        _count(done, tally)
        made.notes.update(done.notes)
        made.transactions += done.transactions
        made.facts.append(done.facts)
        if progress:
            progress(tally.read, total)
    if request.rollup and made.facts:
        for path, rows in rollup.rollup(connection, made.facts, folder, request.rollup):  # pyright: ignore[reportArgumentType]
            output.put(path, path.name, rows, path.stem, columns=ROLLED_UP)
    return made


def _put(done: PieceDone, output: Output) -> None:
    for file in done.files:
        number = sum(1 for known in output.files if known.what == CHUNK and known.name.endswith(file.path.suffix))
        output.put(file.path, f"chunk_{number}{file.path.suffix}", file.transactions, sha256=file.sha256)


def _count(done: PieceDone, tally: Tally) -> None:
    for (_, fate), rows in done.fates.items():
        tally.read += rows
        if fate == "duplicates_across_days":
            tally.duplicates += rows
        elif fate == "superseded_evaluation":
            tally.superseded += rows
        elif fate != "row":
            tally.excluded[fate] += rows
    tally.excluded.update(done.unreadable)
    tally.exported.update(done.exported)


# Proof ----------------------------------------------------------------------------------------------------------------


def read_back(store: Store, target: str, files: Sequence[OutFile], workers: int = 1) -> dict[str, Report]:
    """What the verifier says of the finished files, by form; forms are read at the same time where there are workers."""
    named = {suffix: [file.name for file in files if file.what == CHUNK and file.name.endswith(f".{suffix}")] for suffix in ("xml", "txt")}
    forms = {suffix: names for suffix, names in named.items() if names}
    if workers == 1 or len(forms) == 1:
        return {suffix: verify([(name, _opener(store, target + name)) for name in names]) for suffix, names in forms.items()}
    with processes(len(forms)) as pool:
        reports = pool.map(_verified, [store.url] * len(forms), [target] * len(forms), forms.values())
        return dict(zip(forms, reports, strict=True))


def _verified(url: str, target: str, names: Sequence[str]) -> Report:
    store = open_store(url)
    return verify([(name, _opener(store, target + name)) for name in names])


def differences(expected: dict[int, SectionCounts], report: Report) -> list[str]:
    """How the counts of the parsed files differ from the lake's, in words."""
    found: list[str] = []
    for section in sorted({f"Section {one}" for one in expected} | set(report.sections)):
        wanted = expected.get(int(section.removeprefix("Section ")) if section.startswith("Section ") else -1)
        got = report.sections.get(section)
        for name in SectionCounts._fields:
            in_lake, in_files = (getattr(wanted, name) if wanted else 0), (getattr(got, name) if got else 0)
            if in_lake != in_files:
                found.append(f"{section}: {in_files:,} {name} in the files, {in_lake:,} in the lake")
    return found


def _opener(store: Store, key: str) -> Callable[[], BinaryIO]:
    def opened() -> BinaryIO:
        if getattr(store, "is_local", False):
            return store.path(key).open("rb")  # pyright: ignore[reportAttributeAccessIssue]
        return io.BufferedReader(_Streamed(iter(store.stream(key).chunks)), 1 << 20)  # pyright: ignore[reportArgumentType]

    return opened


class _Streamed(io.RawIOBase):
    """An object of the store as a file that is read once."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self.chunks = chunks
        self.rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest:
            block = next(self.chunks, None)
            if block is None:
                return 0
            self.rest = memoryview(bytes(block))
        n = min(len(buffer), len(self.rest))
        buffer[:n] = self.rest[:n]
        self.rest = self.rest[n:]
        return n
