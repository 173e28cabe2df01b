"""CSV and Parquet data sets on Spark: the batches and writers of `datasets/` on executors, the same bytes.

Two passes over the rows. The first one counts what stays of each piece of the order, from a few columns. Then the driver knows which rows each
chunk holds, and a task of the second pass writes some consecutive chunks: it reads the pieces that overlap them, cuts its rows out of the first
and the last, and puts the files. Row groups end where pieces end, as in the local engine. The driver gets counts, names and checksums.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets import page_of
from torus_assets.datasets.batches import Source, is_read, plan, rows_of
from torus_assets.datasets.copies import write_losers
from torus_assets.datasets.datashop.pieces import connect
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.orders import Range, order_of
from torus_assets.datasets.output import OutFile, Output
from torus_assets.datasets.page.model import Curve
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.reading import Survey, Tally
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.request import Request
from torus_assets.datasets.site import Making
from torus_assets.datasets.tables_out import Seen, Writing
from torus_assets.engine.export.curves import Count, counted, curves, parts_of, split
from torus_assets.engine.hands import SparkHands, task_folder
from torus_assets.xapi.lake_files import local_paths

TASK_PIECES = 4  # of a task at most: 400,000 rows, about a minute
TASKS_PER_CORE = 4  # so that one slow task does not hold up the rest
COPIES_ROWS = 5_000_000  # whose hashes one task looks at, unless one section has more: then it is looked at in parts
JUDGED = ("event_kind", "project_id", "page_id", "user_id")  # columns that decide whether a row stays, besides its place
COPIED = ("event_hash", "source_file", "source_line")


@dataclass(frozen=True)
class Work:
    """What tasks need. Travels in a broadcast: it holds the pseudonym key."""

    request: Request
    url: str  # of the lake's table
    files: Sequence[Any]  # `lake.DayFile`s
    names: Names
    users: Redaction
    lookup: Lookup
    scratch_url: str
    store_url: str
    target: str  # key of the run's folder in the store, with a final slash
    room: str
    losers: Mapping[str, frozenset[int]] = field(default_factory=dict)  # keys in scratch -> sections
    parts: int = 1  # of the students, for learning curves


class Cut(NamedTuple):
    """Rows of one piece, of those that stay."""

    number: int  # of the piece
    piece: Range
    first: int
    rows: int


class Stretch(NamedTuple):
    """Consecutive chunks: what one task writes."""

    first_chunk: int
    cuts: tuple[Cut, ...]


class Copies(NamedTuple):
    """Sections whose copies one task looks for: those whose hash falls into `part`, a number and of how many."""

    number: int
    sections: tuple[int, ...]
    files: tuple[int, ...]
    part: tuple[int, int]


class Judged(NamedTuple):
    """What stays of pieces."""

    kept: list[int]  # rows, by piece
    tally: Tally


class Written(NamedTuple):
    """What a stretch gave."""

    files: list[OutFile]
    seen: Seen  # without facts
    facts: dict[int, str]  # by part of the students, keys in scratch


def write(hands: SparkHands, url: str, making: Making, tally: Tally) -> page_of.Figures:
    """Every chunk, put. `tally` gets what became of each row.

    Raises:
        PersonalData: a finished chunk held something of a user.
    """
    request, seen, output = making.request, making.seen, making.output
    work = Work(
        request, url, tuple(seen.files), making.names, output.users, making.lookup, hands.scratch_url, hands.store_url, output.target, hands.room
    )  # fmt: skip
    pieces = plan(request, seen, tally, making.batch_rows).pieces
    work = replace(work, losers=_losers(hands, work, seen))
    kept = _kept(hands, work, pieces, tally)
    work = replace(work, parts=parts_of(sum(rows for (_, kind), rows in tally.exported.items() if kind == "part_attempt")))
    shares = stretches(pieces, kept, request.chunk_rows, per_task(sum(kept), request.chunk_rows, making.batch_rows, hands.cores))
    written = hands.over(partial(_written, work), shares, "tables: chunks")
    shown = Seen()
    for one in written:
        output.files += one.files
        shown.add(one.seen)
    if making.progress:
        making.progress(sum(kept), tally.read)
    figures = page_of.of_rows(shown, making.folder)
    return replace(figures, plots=replace(figures.plots, curves=_curves(hands, work, written, making.folder)))


def _curves(hands: SparkHands, work: Work, written: Sequence[Written], folder: Path) -> tuple[Curve, ...] | None:
    """Learning curves; None where there is nothing that they could be made of."""
    keys = [[one.facts[part] for one in written if part in one.facts] for part in range(work.parts)]
    asked = [part for part in keys if part]
    counts = hands.over(partial(_counted, work), asked, "tables: learning curves")
    if not asked:
        return None
    with connect(folder) as connection:
        return curves(connection, [count for part in counts for count in part])


def per_task(rows: int, chunk_rows: int, batch_rows: int, cores: int) -> int:
    """How many chunks a task writes: enough to read a piece once rather than once per chunk, few enough for all cores."""
    share = min(TASK_PIECES * batch_rows, -(-rows // (TASKS_PER_CORE * cores)))
    return max(1, share // chunk_rows)


def stretches(pieces: Sequence[Range], kept: Sequence[int], chunk_rows: int, chunks: int) -> list[Stretch]:
    """Which rows of which pieces each task writes.

    Args:
        kept: rows that stay, by piece.
        chunks: how many a task writes.
    """
    ends = list(accumulate(kept))
    found: list[Stretch] = []
    for begin in range(0, ends[-1] if ends else 0, chunk_rows * chunks):
        end = begin + chunk_rows * chunks
        cuts = [
            Cut(number, piece, max(begin, last - rows) - (last - rows), min(end, last) - max(begin, last - rows))
            for number, (piece, rows, last) in enumerate(zip(pieces, kept, ends, strict=True))
            if rows and last > begin and last - rows < end
        ]
        found.append(Stretch(begin // chunk_rows, tuple(cuts)))
    return found


def _kept(hands: SparkHands, work: Work, pieces: Sequence[Range], tally: Tally) -> list[int]:
    """Rows that stay, by piece; `tally` gets the fates."""
    size = max(1, min(TASK_PIECES, len(pieces) // (TASKS_PER_CORE * hands.cores)))
    shares = [pieces[first : first + size] for first in range(0, len(pieces), size)]
    judged = hands.over(partial(_judged, work), shares, "tables: what stays")
    for one in judged:
        tally.add(one.tally)
    return [rows for one in judged for rows in one.kept]


# Copies, for the order of source -----------------------------------------------------------------------------------------


def _losers(hands: SparkHands, work: Work, seen: Survey) -> dict[str, frozenset[int]]:
    """Where the copies that lose are, by the sections that they are of."""
    if work.request.order == "time":
        return {}
    asked = sought(work.request, seen)
    keys = hands.over(partial(_copies, work), asked, "tables: copies of events")
    return {key: frozenset(one.sections) for key, one in zip(keys, asked, strict=True) if key}


def sought(request: Request, seen: Survey) -> list[Copies]:
    """Sections that have events of several days, in groups of about `COPIES_ROWS` rows."""
    number_of = {file.path: at for at, file in enumerate(seen.files)}
    read = [number_of[file.path] for file in is_read(request, seen)]
    rows: Counter[int] = Counter()
    files: dict[int, set[int]] = {}
    for file, section, n in seen.counts.filter(pl.col("file").is_in(read)).select("file", "section_id", "rows").iter_rows():
        rows[section] += n
        files.setdefault(section, set()).add(file)
    several = [section for section in sorted(files) if len({seen.files[file].day for file in files[section]}) > 1]
    found: list[Copies] = []
    for group in _groups(several, rows):
        parts = max(1, -(-sum(rows[section] for section in group) // COPIES_ROWS))
        its_files = tuple(sorted(set[int]().union(*(files[section] for section in group))))
        found += [Copies(len(found) + part, tuple(group), its_files, (part, parts)) for part in range(parts)]
    return found


def _groups(sections: Sequence[int], rows: Mapping[int, int]) -> Iterator[list[int]]:
    group: list[int] = []
    for section in sections:
        if group and rows[section] + sum(rows[one] for one in group) > COPIES_ROWS:
            yield group
            group = []
        group.append(section)
    if group:
        yield group


def _copies(work: Work, asked: Copies) -> str | None:
    """Puts the losers of some sections into scratch; None: there are none."""
    with task_folder(work.room) as folder, connect(folder) as connection:
        files = [work.files[at] for at in asked.files]
        paths = local_paths(work.url, files, asked.sections, folder, columns=COPIED)
        target = folder / "losers.parquet"
        if not write_losers(connection, list(zip(files, paths, strict=True)), asked.sections, target, asked.part):
            return None
        key = f"losers-{asked.number:06d}.parquet"
        open_store(work.scratch_url).put(key, target)
        return key


# On executors ------------------------------------------------------------------------------------------------------------


def _judged(work: Work, pieces: Sequence[Range]) -> Judged:
    tally = Tally()
    columns = (*JUDGED, *order_of(work.request).keys)
    with task_folder(work.room) as folder:
        sources = _sources(work, pieces, folder, columns)
        kept = [rows_of(work.request, source, piece, tally, judged_only=True).height for piece, source in zip(pieces, sources, strict=True)]
    return Judged(kept, tally)


def _written(work: Work, stretch: Stretch) -> Written:
    """The chunks of a stretch, put."""
    output = Output(open_store(work.store_url), work.target, work.users)
    with task_folder(work.room) as folder:
        writing = Writing(work.request, work.names, work.lookup, output, folder, stretch.first_chunk)
        sources = _sources(work, [cut.piece for cut in stretch.cuts], folder)
        for cut, source in zip(stretch.cuts, sources, strict=True):
            rows = rows_of(work.request, source, cut.piece, Tally()).slice(cut.first, cut.rows)
            if rows.height != cut.rows:
                raise RuntimeError(f"piece {cut.number}: {rows.height} of {cut.rows} rows; the lake's files changed under a pinned version")
            writing.add(rows, (cut.number << 32) + cut.first)
        seen = writing.end()
        return Written(output.files, replace(seen, facts=[]), _facts(work, stretch, seen.facts, folder))


def _counted(work: Work, keys: Sequence[str]) -> list[Count]:
    """Of one part of the students, all over the data set."""
    scratch = open_store(work.scratch_url)
    with task_folder(work.room) as folder, connect(folder) as connection:
        return counted(connection, [_fetched(scratch, key, folder) for key in keys])


def _facts(work: Work, stretch: Stretch, facts: Sequence[Path], folder: Path) -> dict[int, str]:
    """Puts the facts of a stretch, a file for each part of the students."""
    scratch, keys = open_store(work.scratch_url), {}
    for part, path in split(facts, work.parts, folder) if facts else ():
        keys[part] = f"facts-{stretch.first_chunk:09d}-{part:02d}.parquet"
        scratch.put(keys[part], path)
    return keys


def _sources(work: Work, pieces: Sequence[Range], folder: Path, columns: Sequence[str] | None = None) -> list[Source]:
    """Where the pieces' rows are on this host. What was fetched goes with the task: the next one reads other rows."""
    numbers = sorted({file for piece in pieces for file in piece.files})
    sections = {section for piece in pieces for section in piece.sections}
    paths = local_paths(work.url, [work.files[at] for at in numbers], sections, folder, columns=columns)
    path_of = dict(zip(numbers, paths, strict=True))
    losers = _losers_here(work, sections, folder)
    return [Source([(work.files[at].kind, path_of[at]) for at in piece.files], losers) for piece in pieces]


def _losers_here(work: Work, sections: Collection[int], folder: Path) -> list[Path]:
    scratch = open_store(work.scratch_url)
    return [_fetched(scratch, key, folder) for key, its in work.losers.items() if not its.isdisjoint(sections)]


def _fetched(store: ObjectStore, key: str, folder: Path) -> Path:
    """An object as a file of this host."""
    if store.is_local:
        return store.path(key)
    path = folder / key
    with path.open("wb") as file:
        file.writelines(store.stream(key).chunks)
    return path
