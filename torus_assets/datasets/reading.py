"""Reads the rows of a data set from the lake: in one total order, a bounded number at a time, each row accounted for.

Two passes. `survey` reads three columns (section, time, hash) and gives counts per section and hour and a digest per day and
kind. From the counts `ranges` cuts the order (section, time) into pieces of about `BATCH_ROWS` rows; `batches` reads one
piece after the other from the files that have it, or first deals all rows into pieces on disk when each file would be opened
too often. So memory does not grow with the data set, nor with `chunk_rows`.

Every row of the requested sections has one fate: exported, excluded (the first of `REASONS` that applies), or a duplicate:
the lake may hold one event in several days, and the copy of the smallest (upload_date, source_file, source_line) survives.
Within a day the lake has each event once, so files in order of their day and a stable sort give the survivor (dealt rows may
lose that order; copies are the same bytes, and no column of a table is the place). Copies whose section is known from the
object's key only, and differs, count as two events.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import polars as pl

from torus_assets.datasets.csv_tables import USER
from torus_assets.datasets.request import Request

BATCH_ROWS = 100_000  # rows in memory at once: 0.4 GB at the peak, libraries included; fewer cost CPU (25 k: a third more)
REREADS = 12  # times a file may be opened, on average, before dealing its rows into pieces on disk is cheaper
BUCKETS_US = (3_600_000_000, 60_000_000, 1_000_000, 1)  # an hour; finer where a section has more than BATCH_ROWS in one
REASONS = ("sub_type", "date", "project", "page", "ignored_student")
DUPLICATE, SUPERSEDED = "duplicates_across_days", "superseded_evaluation"

ORDER = ("section_id", "timestamp", "event_hash")
KEYS = {"section_id": "_section", "timestamp": "_time", "event_hash": "_hash"}  # names that no column of a table has


class DayFile(Protocol):
    """What is read of `lake.DayFile`."""

    path: str
    day: date
    kind: str
    rows: int
    bytes: int


class Part(NamedTuple):
    """One kind of one day as far as the request's sections are concerned: what a receipt pins."""

    day: str
    kind: str
    rows: int
    digest: str  # order-free: sum of the first 60 bits of the rows' event hashes, modulo 2^64, in hex


class Range(NamedTuple):
    """Rows from (section, time) up to and including another; microseconds since 1970."""

    first: tuple[int, int]
    last: tuple[int, int]
    files: tuple[int, ...]
    rows: int


@dataclass
class Survey:
    """What the first pass saw. `counts`: file, section, bucket, rows; only of the request's sections."""

    files: Sequence[DayFile]
    paths: Sequence[Path]
    counts: pl.DataFrame
    bucket: int
    parts: list[Part]

    @property
    def sections(self) -> set[int]:
        return set(self.counts["section_id"])


@dataclass
class Tally:
    """Where the rows went; complete once `batches` is exhausted."""

    read: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    superseded: int = 0  # earlier evaluations of a part attempt, in DataShop data sets
    exported: Counter[tuple[int, str]] = field(default_factory=Counter)  # by section and kind


def survey(request: Request, files: Sequence[DayFile], paths: Sequence[Path], *, batch_rows: int = BATCH_ROWS) -> Survey:
    """Counts and digests of the request's sections in `files`, read as `paths` (same order)."""
    places = pl.DataFrame({"path": [str(path) for path in paths], "file": range(len(paths))}, schema={"path": pl.String, "file": pl.Int64})
    seen = _seen(request, paths, places, BUCKETS_US[0])
    parts = _parts(seen, files)
    width = BUCKETS_US[0]
    for finer in BUCKETS_US[1:]:
        fullest = seen.group_by("section_id", "bucket").agg(pl.col("rows").sum())["rows"].max()
        if fullest is None or int(fullest) <= batch_rows:  # pyright: ignore[reportArgumentType]
            break
        width, seen = finer, _seen(request, paths, places, finer)
    return Survey(files, paths, seen.select("file", "section_id", "bucket", "rows"), width, parts)


def users(request: Request, paths: Sequence[Path]) -> list[tuple[str | None, str]]:
    """(home page, user id) of everyone with a row in the request's sections, those whose rows are left out included."""
    if not paths:
        return []
    schema = {"section_id": pl.Int64(), "home_page": pl.String(), "user_id": pl.String()}
    found = (
        pl.scan_parquet(list(paths), extra_columns="ignore", schema=schema)
        .filter(pl.col("section_id").is_in(request.section_ids))
        .select("home_page", "user_id")
        .unique()
        .collect(engine="streaming")
    )
    return sorted(found.iter_rows(), key=lambda user: (user[0] or "", user[1]))


def _seen(request: Request, paths: Sequence[Path], places: pl.DataFrame, width: int) -> pl.DataFrame:
    if not paths:
        return pl.DataFrame(schema=dict.fromkeys(("file", "section_id", "bucket", "rows", "word"), pl.Int64))
    return (
        pl.scan_parquet(list(paths), include_file_paths="path", extra_columns="ignore", schema=_survey_schema())
        .filter(pl.col("section_id").is_in(request.section_ids))
        .group_by("path", "section_id", bucket=pl.col("timestamp").dt.epoch("us").floordiv(width))
        .agg(pl.len().cast(pl.Int64).alias("rows"), pl.col("event_hash").str.slice(0, 15).str.to_integer(base=16).sum().alias("word"))
        .collect(engine="streaming")
        .join(places, on="path")
    )


def _survey_schema() -> dict[str, pl.DataType]:
    return {"section_id": pl.Int64(), "timestamp": pl.Datetime("us", "UTC"), "event_hash": pl.String()}


def _parts(seen: pl.DataFrame, files: Sequence[DayFile]) -> list[Part]:
    sums: dict[tuple[str, str], list[int]] = {}
    per_file = seen.group_by("file").agg(pl.col("rows", "word").sum())
    for file, rows, word in per_file.iter_rows():
        entry = sums.setdefault((files[file].day.isoformat(), files[file].kind), [0, 0])
        entry[0] += rows
        entry[1] += word
    return [Part(day, kind, rows, f"{word % (1 << 64):016x}") for (day, kind), (rows, word) in sorted(sums.items())]


def batches(request: Request, seen: Survey, tally: Tally, scratch: Path, *, batch_rows: int = BATCH_ROWS) -> Iterator[pl.DataFrame]:
    """The rows in order, with the table's columns and `home_page`, `_kind` and the renamed `KEYS` besides."""
    wanted = _kinds(request)
    asked = pl.col("file").is_in([at for at, file in enumerate(seen.files) if file.kind in wanted])
    in_time = _between(request, seen.bucket)
    tally.read += int(seen.counts["rows"].sum())
    _count(tally, "sub_type", seen.counts.filter(~asked))
    _count(tally, "date", seen.counts.filter(asked & ~in_time))
    seen = replace(seen, counts=seen.counts.filter(asked & in_time))
    pieces = ranges(seen.counts, seen.bucket, batch_rows)
    often = sum(len(piece.files) for piece in pieces) > REREADS * seen.counts["file"].n_unique()
    folders = dealt(request, seen, pieces, scratch) if often else []
    for number, piece in enumerate(pieces):
        rows = _collected(folders[number]) if often else _read(request, seen, piece)
        rows = _kept(rows, tally)
        rows = _distinct(_ordered(rows), tally)
        for section, kind, n in rows.group_by("_section", "_kind").len().iter_rows():
            tally.exported[section, kind] += n
        if rows.height:
            yield rows


def dealt(request: Request, seen: Survey, pieces: Sequence[Range], scratch: Path) -> list[Path]:
    """The same rows in one folder per piece, each file of the lake read once, when direct reads would open each many times."""
    width = seen.bucket
    firsts = pl.DataFrame([(*piece.first, n) for n, piece in enumerate(pieces)], schema=["section_id", "bucket", "_piece"], orient="row")
    firsts = firsts.with_columns(pl.col("bucket") // width).cast(pl.Int64)
    places = seen.counts.select("section_id", "bucket").unique().sort("section_id", "bucket")
    places = places.join(firsts, on=["section_id", "bucket"], how="left", maintain_order="left").with_columns(
        pl.col("_piece").forward_fill()
    )
    keys = [pl.col("section_id").alias("_s"), pl.col("timestamp").dt.epoch("us").floordiv(width).alias("_b")]
    for kind, paths in _by_kind(seen, sorted(seen.counts["file"].unique())):
        rows = pl.scan_parquet(paths).filter(pl.col("section_id").is_in(request.section_ids)).select(*_selected(request, kind), *keys)
        rows = rows.join(places.lazy(), left_on=["_s", "_b"], right_on=["section_id", "bucket"], how="inner").drop("_s", "_b")

        def place(at: Any, kind: str = kind) -> str:
            return f"{at.partition_keys['_piece'][0]}/{kind}-{at.index_in_partition}.arrow"

        target = pl.PartitionBy(scratch / "pieces", key="_piece", include_key=False, file_path_provider=place)
        rows.sink_ipc(target, mkdir=True, engine="streaming")
    return [scratch / "pieces" / str(n) for n in range(len(pieces))]


def _kinds(request: Request) -> list[str]:
    """Kinds whose rows the sub types ask for; video's one kind is filtered by row."""
    table = request.table
    return sorted({table.kind_of[name] for name in request.sub_types} if table.kind_of else table.kinds)


def _between(request: Request, width: int) -> pl.Expr:
    first = _us(request.date_from) // width if request.date_from else None
    after = _us(request.date_to + timedelta(days=1)) // width if request.date_to else None
    bucket = pl.col("bucket")
    return (bucket >= first if first is not None else pl.lit(True)) & (bucket < after if after is not None else pl.lit(True))


def _us(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _count(tally: Tally, reason: str, counts: pl.DataFrame) -> None:
    if rows := int(counts["rows"].sum()):
        tally.excluded[reason] += rows


def ranges(counts: pl.DataFrame, width: int, batch_rows: int) -> list[Range]:
    """Consecutive pieces of the order, of at most `batch_rows` rows unless one bucket alone has more."""
    places = counts.group_by("section_id", "bucket").agg(pl.col("rows").sum(), pl.col("file").unique()).sort("section_id", "bucket")
    found: list[Range] = []
    first, last, files, total = (0, 0), (0, 0), set[int](), 0
    for section, bucket, rows, its_files in places.iter_rows():
        if total and total + rows > batch_rows:
            found.append(Range(first, last, tuple(sorted(files)), total))
            files, total = set(), 0
        if not total:
            first = (section, bucket * width)
        last = (section, bucket * width + width - 1)
        files.update(its_files)
        total += rows
    if total:
        found.append(Range(first, last, tuple(sorted(files)), total))
    return found


def _inside(request: Request, piece: Range) -> pl.Expr:
    """Rows of the piece. The plain bounds come first: row groups are skipped by their statistics."""
    section, time = pl.col("section_id"), pl.col("timestamp")
    (low, start), (high, end) = piece.first, piece.last
    begin, finish = (pl.lit(us).cast(pl.Datetime("us", "UTC")) for us in (start, end))
    if low == high:
        return (section == low) & time.is_between(begin, finish)
    inside = section.is_between(low, high) & ((section > low) | (time >= begin)) & ((section < high) | (time <= finish))
    inside &= section.is_in([s for s in request.section_ids if low <= s <= high])
    if request.date_from:
        inside &= time >= pl.lit(_us(request.date_from)).cast(pl.Datetime("us", "UTC"))
    if request.date_to:
        inside &= time < pl.lit(_us(request.date_to + timedelta(days=1))).cast(pl.Datetime("us", "UTC"))
    return inside


def _read(request: Request, seen: Survey, piece: Range) -> pl.DataFrame:
    """The piece's rows, kind after kind and day after day."""
    scans = [
        pl.scan_parquet(paths).filter(_inside(request, piece)).select(_selected(request, kind))
        for kind, paths in _by_kind(seen, piece.files)
    ]
    return pl.concat(scans).collect(engine="streaming" if len(scans) > 1 else "auto")


def _collected(folder: Path) -> pl.DataFrame:
    """A piece that was dealt; its files are removed."""
    rows = pl.concat(pl.read_ipc(path) for path in sorted(folder.iterdir()))
    shutil.rmtree(folder)
    return rows


def _by_kind(seen: Survey, files: Sequence[int]) -> list[tuple[str, list[Path]]]:
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(seen.files[file].kind, []).append(seen.paths[file])
    return sorted(found.items())


def _selected(request: Request, kind: str) -> list[pl.Expr]:
    columns = request.table.without(request.exclude_fields)
    kept = {column.name for column in columns}
    keys = [pl.col(name).alias(alias) for name, alias in KEYS.items()]
    extra = [pl.col("home_page")] if USER in kept else []
    reason = _reason(request)
    reasons = [] if reason is None else [reason.alias("_reason")]
    return [*(column.of(kind) for column in columns), *extra, *keys, pl.lit(kind).alias("_kind"), *reasons]


def _reason(request: Request) -> pl.Expr | None:
    """Why a row is left out, as its place in REASONS; null for a row that stays. None when no row can be."""
    tests: Mapping[str, pl.Expr | None] = {
        "sub_type": ~pl.col("event_kind").is_in([request.table.sub_types[name] for name in request.sub_types])
        if not request.table.kind_of
        else None,
        "project": ~pl.col("project_id").eq_missing(request.project_id) if request.project_id is not None else None,
        "page": ~pl.col("page_id").is_in(request.page_ids).fill_null(False) if request.page_ids is not None else None,
        "ignored_student": pl.col("user_id").is_in(request.ignored_student_ids) if request.ignored_student_ids else None,
    }
    reason = pl.lit(None, pl.Int8)
    asked = {name: test for name, test in tests.items() if test is not None}
    for name, test in reversed(asked.items()):
        reason = pl.when(test).then(pl.lit(REASONS.index(name), pl.Int8)).otherwise(reason)
    return reason if asked else None


def _kept(rows: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    if "_reason" not in rows.columns:
        return rows
    for reason, n in rows.group_by("_reason").len().drop_nulls().iter_rows():
        tally.excluded[REASONS[reason]] += n
    return rows.filter(pl.col("_reason").is_null()).drop("_reason")


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """In the total order; 0.02 CPU s for 200 k rows, a twentieth of the whole."""
    return rows.sort(KEYS.values(), maintain_order=True)


def _distinct(rows: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Without later copies of an event, which stand behind the survivor after the stable sort."""
    repeated = pl.all_horizontal(pl.col(key) == pl.col(key).shift(1) for key in KEYS.values()).fill_null(False)
    again = rows.select(repeated).to_series()
    if not again.any():
        return rows
    tally.duplicates += int(again.sum())
    return rows.filter(~again)
