"""The files of a DataShop data set: both forms, rollups, figures; and the proof that they hold what the lake has.

`make` says what has to be done and in which order, a `Site` does it: in this process and its workers (`Here`), or on executors
(`engine.transactions`). All sites give the same bytes.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import duckdb

from torus_assets.clients.object_store import open_store
from torus_assets.datasets import page_of, rollup
from torus_assets.datasets.datashop import pieces as reading
from torus_assets.datasets.datashop.pieces import Plan
from torus_assets.datasets.datashop.produce import MadeFile, PieceDone, Work, pieces_done, processes
from torus_assets.datasets.datashop.scope import Scope, SectionCounts, scope
from torus_assets.datasets.datashop.verify import Report, verify
from torus_assets.datasets.datashop.verify_parts import Marks, read_part, together
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.output import CHUNK, OutFile, Output
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.reading import Tally
from torus_assets.datasets.receipt import Progress, Store
from torus_assets.datasets.request import Request

Engine = Callable[[Path], AbstractContextManager[duckdb.DuckDBPyConnection]]  # opens DuckDB; spills below the folder given
READ_BYTES = 64 << 20  # read back at once: two chunks, about 10 s
ROLLED_UP = ("Anon Student Id", "Session Id")  # the columns of a rollup that could name somebody


@dataclass
class Made:
    """What came of it."""

    expected: dict[int, SectionCounts]  # of the lake, by section
    figures: page_of.Figures
    notes: Counter[str] = field(default_factory=Counter)


class Site(Protocol):
    """Where the work is done. Its steps are called in the order of their names here, each once, `put` once per file."""

    def plan(self, names: Names) -> Plan:
        """Who is in the sections, and the pieces."""
        ...

    def scope(self, plan: Plan, lookup: Lookup) -> Scope:
        """What the lake says the files have to hold."""
        ...

    def pieces(self, work: Work, plan: Plan, output: Output) -> Iterator[PieceDone]:
        """The pieces in their order; `work` knows neither paths nor folder."""
        ...

    def put(self, file: MadeFile, name: str, output: Output) -> None:
        """Gives a finished file its name in the run's folder, and `output` its entry.

        Raises:
            PersonalData: it holds an id or e-mail address of a user of the data set.
        """
        ...

    def summary(self, request: Request, output: Output) -> page_of.Figures:
        """What the page draws; rollups, if they are asked for, are put. Every file has been put when this returns."""
        ...

    def read_back(self, output: Output) -> dict[str, Report]:
        """What the verifier says of the finished files, by form (`xml`, `txt`)."""
        ...


@dataclass
class Here:
    """This process, with as many more as there are workers."""

    request: Request
    paths: reading.Paths
    folder: Path
    connection: duckdb.DuckDBPyConnection
    workers: int = 1
    facts: list[Path] = field(default_factory=list)  # of the pieces so far

    def plan(self, names: Names) -> Plan:
        return reading.plan(self.connection, self.request, self.paths, names)

    def scope(self, plan: Plan, lookup: Lookup) -> Scope:  # noqa: ARG002
        return scope(self.connection, self.request, self.paths, lookup)

    def pieces(self, work: Work, plan: Plan, output: Output) -> Iterator[PieceDone]:  # noqa: ARG002
        for done in pieces_done(replace(work, paths=self.paths, folder=self.folder), plan.pieces, self.workers):
            self.facts.append(done.facts)
            yield done

    def put(self, file: MadeFile, name: str, output: Output) -> None:
        output.put(file.path, name, file.transactions, sha256=file.sha256)

    def summary(self, request: Request, output: Output) -> page_of.Figures:
        return summed(self.connection, self.facts, request, output, self.folder)

    def read_back(self, output: Output) -> dict[str, Report]:
        return read_back(output.store, output.target, output.in_order(), self.workers)


def make(
    site: Site, request: Request, lookup: Lookup, names: Names, tally: Tally, output: Output, progress: Progress | None = None
) -> Made:  # fmt: skip
    """Every chunk and rollup, put into the folder of the run. `tally` gets what became of each row."""
    plan = site.plan(names)
    target = site.scope(plan, lookup)
    dataset = request.dataset_name or lookup.dataset_name or request.job_id
    work = Work(request, {}, lookup, names, output.users, dataset, target.shape, plan.shared_sessions, Path(), plan.shared_attempts)
    total = sum(person.rows for piece in plan.pieces for person in piece.people)
    notes: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    for done in site.pieces(work, plan, output):
        for file in done.files:
            site.put(file, f"chunk_{numbers[file.path.suffix]}{file.path.suffix}", output)
            numbers[file.path.suffix] += 1
        _count(done, tally)
        notes.update(done.notes)
        if progress:
            progress(tally.read, total)
    return Made(target.sections, site.summary(request, output), notes)


def summed(
    connection: duckdb.DuckDBPyConnection, facts: Sequence[Path], request: Request, output: Output, folder: Path
) -> page_of.Figures:  # fmt: skip
    """Puts the rollups that are asked for; what the page draws."""
    if request.rollup and facts:
        for path, rows in rollup.rollup(connection, facts, folder, request.rollup):  # pyright: ignore[reportArgumentType]
            output.put(path, path.name, rows, path.stem, columns=ROLLED_UP)
    return page_of.of_transactions(connection, facts)


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
    """What the verifier says of the finished files, by form; in parts at the same time where there are workers."""
    parts = parts_of(files)
    if workers == 1 or sum(map(len, parts.values())) == 1:
        return {suffix: verify([(name, _opener(store, target + name)) for name in chain(*names)]) for suffix, names in parts.items()}
    with processes(min(workers, sum(map(len, parts.values())))) as pool:
        begun = {suffix: [pool.submit(part_read, store.url, target, names) for names in groups] for suffix, groups in parts.items()}
        return {
            suffix: told(store.url, target, parts[suffix], *zip(*(part.result() for part in read), strict=True))
            for suffix, read in begun.items()
        }


def parts_of(files: Sequence[OutFile]) -> dict[str, list[list[str]]]:
    """The names of the chunks of each form that there is, `xml` and `txt`, in their order, in parts of about `READ_BYTES`."""
    found: dict[str, list[list[str]]] = {}
    for suffix in ("xml", "txt"):
        total = 0
        for file in files:
            if file.what == CHUNK and file.name.endswith(f".{suffix}"):
                groups = found.setdefault(suffix, [])
                if not groups or total + file.bytes > READ_BYTES:
                    groups.append([])
                    total = 0
                groups[-1].append(file.name)
                total += file.bytes
    return found


def part_read(url: str, target: str, names: Sequence[str]) -> tuple[Report, Marks]:
    """What the verifier says of some files below `target` in the store at `url`, and their marks."""
    store = open_store(url)
    return read_part([(name, _opener(store, target + name)) for name in names])


def told(url: str, target: str, parts: Sequence[Sequence[str]], reports: Sequence[Report], marks: Sequence[Marks]) -> Report:
    """The report of one form, of its parts; read again in one go where the parts alone do not tell."""
    if (report := together(reports, marks)) is not None:
        return report
    store = open_store(url)
    return verify([(name, _opener(store, target + name)) for name in chain(*parts)])


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
