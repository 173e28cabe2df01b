"""What the lake holds of a data set's sections: counts that the reading is planned by, digests that the receipt pins, and who is in them.

`survey` reads a few columns and gives counts per file and place (`orders.py`), and a digest per day and kind. The rows themselves are read in
`batches.py`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl

from torus_assets.datasets.orders import order_of
from torus_assets.datasets.request import Request
from torus_assets.xapi.lake_files import LakeFile

BATCH_ROWS = 100_000  # rows in memory at once: 0.4 GB at the peak, libraries included; fewer cost CPU (25 k: a third more)
DUPLICATE, SUPERSEDED = "duplicates_across_days", "superseded_evaluation"
COUNTED = {
    "file": pl.Int64(), "section_id": pl.Int64(), "day": pl.Date(), "rows": pl.Int64(), "word": pl.Int64(), "spot": pl.Int64(),
}  # fmt: skip


class DayFile(LakeFile, Protocol):
    """What is read of `lake.DayFile`."""

    @property
    def day(self) -> date: ...


class Part(NamedTuple):
    """One kind of one day as far as the request's sections are concerned: what a receipt pins."""

    day: str
    kind: str
    rows: int
    digest: str  # order-free: sum of the first 60 bits of the rows' event hashes, modulo 2^64, in hex
    places: str | None = None  # the same of hash, object and line, where rows are asked for in the order of these

    def document(self) -> dict[str, str | int]:
        return {name: value for name, value in self._asdict().items() if value is not None}


@dataclass
class Survey:
    """What the first pass saw. `counts`: file, the order's places, section_id, day (UTC) and rows; only of the request's sections."""

    files: Sequence[DayFile]
    counts: pl.DataFrame
    level: int  # of the order's
    parts: list[Part]

    @property
    def sections(self) -> set[int]:
        return set(self.counts["section_id"])


@dataclass
class Tally:
    """Where the rows went; complete once all were read."""

    read: int = 0
    excluded: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    superseded: int = 0  # earlier evaluations of a part attempt, in DataShop data sets
    exported: Counter[tuple[int, str]] = field(default_factory=Counter)  # by section and kind

    def add(self, other: Tally) -> None:
        self.read += other.read
        self.excluded.update(other.excluded)
        self.duplicates += other.duplicates
        self.superseded += other.superseded
        self.exported.update(other.exported)


def survey(request: Request, files: Sequence[DayFile], paths: Sequence[Path], *, batch_rows: int = BATCH_ROWS) -> Survey:
    """Counts and digests of the request's sections in `files`, read as `paths` (same order)."""
    return surveyed(request, files, lambda level: counted(request, list(enumerate(paths)), level), batch_rows)


def surveyed(request: Request, files: Sequence[DayFile], count: Callable[[int], pl.DataFrame], batch_rows: int) -> Survey:
    """The same with a `count` of all files that is made elsewhere: at a level of the order, as `counted` gives it, in any order."""
    order = order_of(request)
    level, *finer = order.levels
    seen = count(level)
    parts = _parts(request, seen, files)
    for next_level in finer:
        fullest = seen.group_by(order.places).agg(pl.col("rows").sum())["rows"].max()
        if fullest is None or int(fullest) <= batch_rows:  # pyright: ignore[reportArgumentType]
            break
        level, seen = next_level, count(next_level)
    return Survey(files, seen.drop("word", "spot"), level, parts)


def counted(request: Request, paths: Sequence[tuple[int, Path]], level: int) -> pl.DataFrame:
    """Rows by file (the number given with its path), place, section and day, with sums for the digests."""
    if request.order == "source":  # by object first: what few files hold is enough in memory
        return pl.concat([_none(request), *(_of_objects(request, number, path, level) for number, path in paths)])
    return _of_places(request, paths, level) if paths else _none(request)


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
    return in_order(found.iter_rows())


def in_order(people: Iterable[tuple[str | None, str]]) -> list[tuple[str | None, str]]:
    return sorted(people, key=lambda user: (user[0] or "", user[1]))


def sections_in(paths: Sequence[Path], wanted: Collection[int]) -> set[int]:
    """Which of the wanted sections have a row."""
    if not paths or not wanted:
        return set()
    sections = pl.scan_parquet(list(paths), schema={"section_id": pl.Int64()}, extra_columns="ignore")
    return set(sections.filter(pl.col("section_id").is_in(sorted(wanted))).unique().collect()["section_id"])


def _none(request: Request) -> pl.DataFrame:
    return pl.DataFrame(schema={**COUNTED, "place": pl.Int64() if request.order == "time" else pl.String()})


def _of_places(request: Request, paths: Sequence[tuple[int, Path]], level: int) -> pl.DataFrame:
    """All files in one pass."""
    numbers = pl.DataFrame(
        {"path": [str(path) for _, path in paths], "file": [number for number, _ in paths]},
        schema={"path": pl.String(), "file": pl.Int64()},
    )
    schema = {"section_id": pl.Int64(), "timestamp": pl.Datetime("us", "UTC"), "event_hash": pl.String()}
    section, place = order_of(request).place(level)
    return (
        pl.scan_parquet([path for _, path in paths], include_file_paths="path", extra_columns="ignore", schema=schema)
        .filter(pl.col("section_id").is_in(request.section_ids))
        .group_by("path", section, place)
        .agg(pl.len().cast(pl.Int64).alias("rows"), _word().sum().alias("word"), pl.col("timestamp").min().dt.date().alias("day"))
        .collect(engine="streaming")
        .join(numbers, on="path")
        .with_columns(pl.lit(0, pl.Int64).alias("spot"))
        .select(*COUNTED, "place")
    )


def _of_objects(request: Request, number: int, path: Path, level: int) -> pl.DataFrame:
    """One file, first by the objects that its rows came in: their names are digested once each."""
    schema = {
        "section_id": pl.Int64(), "timestamp": pl.Datetime("us", "UTC"), "event_hash": pl.String(), "source_file": pl.String(),
        "source_line": pl.Int64(),
    }  # fmt: skip
    line = _word() * (2 * pl.col("source_line") + 1)  # of 64 bits, as all sums here
    found = (
        pl.scan_parquet(path, extra_columns="ignore", schema=schema)
        .filter(pl.col("section_id").is_in(request.section_ids))
        .group_by("source_file", "section_id", day=pl.col("timestamp").dt.date())
        .agg(pl.len().cast(pl.Int64).alias("rows"), _word().sum().alias("word"), line.sum().alias("spot"))
        .collect(engine="streaming")
    )
    names = pl.Series("name", [_digest(name) for name in found["source_file"]], pl.Int64)
    [place] = order_of(request).place(level)
    by_place = found.with_columns(names).group_by(place, "section_id", "day")
    summed = by_place.agg(pl.col("rows", "word").sum(), (pl.col("spot") * pl.col("name")).sum())
    return summed.with_columns(pl.lit(number, pl.Int64).alias("file")).select(*COUNTED, "place")


def _word() -> pl.Expr:
    return pl.col("event_hash").str.slice(0, 15).str.to_integer(base=16)


def _digest(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True) | 1


def _parts(request: Request, seen: pl.DataFrame, files: Sequence[DayFile]) -> list[Part]:
    sums: dict[tuple[str, str], list[int]] = {}
    per_file = seen.group_by("file").agg(pl.col("rows", "word", "spot").sum())
    for file, *values in per_file.iter_rows():
        entry = sums.setdefault((files[file].day.isoformat(), files[file].kind), [0, 0, 0])
        entry[:] = [old + new for old, new in zip(entry, values, strict=True)]
    placed = request.order == "source"
    return [Part(day, kind, rows, _hex(word), _hex(spot) if placed else None) for (day, kind), (rows, word, spot) in sorted(sums.items())]


def _hex(value: int) -> str:
    return f"{value % (1 << 64):016x}"
