"""The two orders that rows of a data set can come in, and how each is cut into pieces that are read one after the other.

`time`: section (as a number), time of the event, hash of the event. `source`: the old job's order (spec/datasets.md 6), which is the key of
the object that an event came in, as text, then its line: so section as text, then time of the upload.

An order is cut at `places`: counts of rows by place say where. A place of time is a section and an hour of it; of source, the beginning of
the object's address up to an hour of the upload. Where one place has more rows than a piece may have, places are made finer (`levels`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple

import polars as pl

from torus_assets.datasets.csv_tables import OrderName
from torus_assets.datasets.request import Request

LAST = "\U0010ffff"  # no address goes on with it
KEYS = {"section_id": "_section", "timestamp": "_time", "event_hash": "_hash"}  # names that no column of a table has
SOURCE_KEYS = {"source_file": "_source", "source_line": "_line"}


class Range(NamedTuple):
    """A piece: rows from one place to another, both included. Microseconds since 1970, or the beginning of an address."""

    first: Any  # of time: (section, microsecond); of source: text
    last: Any
    files: tuple[int, ...]  # that have them, as places in the survey's files
    sections: tuple[int, ...]
    rows: int  # before any is left out


class Layout(NamedTuple):
    """The pieces in order, and the piece of each place."""

    pieces: list[Range]
    places: pl.DataFrame  # columns of the order's `places`, and `_piece`


class Order(ABC):
    """One order of rows."""

    levels: Sequence[int]  # how fine places are, the coarsest first
    places: Sequence[str]  # columns that say a place, in order
    keys: Mapping[str, str]  # columns of the lake that rows are read with besides their own -> names there
    by: Sequence[str]  # of these, the order

    @abstractmethod
    def place(self, level: int) -> list[pl.Expr]:
        """The columns `places` of rows of the lake."""

    @abstractmethod
    def bounds(self, first: tuple[Any, ...], last: tuple[Any, ...], level: int) -> tuple[Any, Any]:
        """First and last of a piece from its first and last place."""

    @abstractmethod
    def inside(self, piece: Range) -> pl.Expr:
        """Rows of the piece. Plain bounds come first: row groups are skipped by their statistics."""

    def belong_together(self, place: tuple[Any, ...], after: tuple[Any, ...]) -> bool:  # noqa: ARG002
        """Whether rows of the two places may be mixed, so that no piece ends between them."""
        return False


class ByTime(Order):
    """Section, time, hash. The hash makes it total, whatever the lake looks like."""

    levels = (3_600_000_000, 60_000_000, 1_000_000, 1)  # microseconds: an hour, a minute, a second
    places = ("section_id", "place")
    keys = KEYS
    by = ("_section", "_time", "_hash")

    def place(self, level: int) -> list[pl.Expr]:
        return [pl.col("section_id"), pl.col("timestamp").dt.epoch("us").floordiv(level).alias("place")]

    def bounds(self, first: tuple[Any, ...], last: tuple[Any, ...], level: int) -> tuple[Any, Any]:
        return (first[0], first[1] * level), (last[0], last[1] * level + level - 1)

    def inside(self, piece: Range) -> pl.Expr:
        section, time = pl.col("section_id"), pl.col("timestamp")
        (low, start), (high, end) = piece.first, piece.last
        begin, finish = (pl.lit(us).cast(pl.Datetime("us", "UTC")) for us in (start, end))
        if low == high:
            return (section == low) & time.is_between(begin, finish)
        inside = section.is_between(low, high) & ((section > low) | (time >= begin)) & ((section < high) | (time <= finish))
        return inside & section.is_in(piece.sections)


class BySource(Order):
    """Address of the object as text, then line. Addresses differ from keys by the same beginning only."""

    levels = (13, 16, 19, 1024)  # characters of the last part of the address: hour, minute, second of the upload; all of it
    places = ("place",)
    keys = MappingProxyType({**KEYS, **SOURCE_KEYS})
    by = ("_source", "_line")

    def place(self, level: int) -> list[pl.Expr]:
        return [pl.col("source_file").str.extract(rf"(?s)^(.*/[^/]{{0,{level}}}|[^/]*)").alias("place")]

    def bounds(self, first: tuple[Any, ...], last: tuple[Any, ...], level: int) -> tuple[Any, Any]:  # noqa: ARG002
        return first[0], last[0] + LAST

    def inside(self, piece: Range) -> pl.Expr:
        low, high = min(piece.sections), max(piece.sections)
        return pl.col("section_id").is_between(low, high) & self.within(piece) & pl.col("section_id").is_in(piece.sections)

    def within(self, piece: Range) -> pl.Expr:
        return pl.col("source_file").is_between(pl.lit(piece.first), pl.lit(piece.last))

    def belong_together(self, place: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
        """A place that goes on with another may stand in the middle of it. Keys of bundles have no such places."""
        return after[0].startswith(place[0])


ORDERS: Mapping[OrderName, Order] = {"time": ByTime(), "source": BySource()}


def order_of(request: Request) -> Order:
    return ORDERS[request.order]


def laid_out(order: Order, counts: pl.DataFrame, level: int, batch_rows: int) -> Layout:
    """Consecutive pieces of at most `batch_rows` rows, unless one place alone has more.

    Args:
        counts: `file`, the columns `places`, `section_id` and `rows`.
    """
    own = list(order.places)
    kept = counts.select("file", *(pl.col(name).alias(f"_{name}") for name in own), "section_id", "rows")
    places = kept.group_by(f"_{name}" for name in own).agg(pl.col("rows").sum(), pl.col("file").unique(), pl.col("section_id").unique())
    places = places.sort(f"_{name}" for name in own)
    pieces: list[Range] = []
    numbers: list[int] = []
    first = last = root = None
    files, sections, total = set[int](), set[int](), 0
    for *place, rows, its_files, its_sections in places.iter_rows():
        here = tuple(place)
        together = root is not None and order.belong_together(root, here)
        root = root if together else here
        if total and total + rows > batch_rows and not together:
            pieces.append(_range(order, first, last, level, files, sections, total))
            files, sections, total = set(), set(), 0
        first = here if not total else first
        last = root if together else here
        files.update(its_files)
        sections.update(its_sections)
        total += rows
        numbers.append(len(pieces))
    if total:
        pieces.append(_range(order, first, last, level, files, sections, total))
    named = places.select(pl.col(f"_{name}").alias(name) for name in own)
    return Layout(pieces, named.with_columns(pl.Series("_piece", numbers, pl.Int64)))


def _range(order: Order, first: Any, last: Any, level: int, files: set[int], sections: set[int], rows: int) -> Range:
    return Range(*order.bounds(first, last, level), tuple(sorted(files)), tuple(sorted(sections)), rows)


def between(request: Request, time: pl.Expr) -> pl.Expr | None:
    """Rows of the days that were asked for, by their time; None: all."""
    tests: list[pl.Expr] = []
    if request.date_from:
        tests.append(time >= pl.lit(_midnight(request.date_from)).cast(pl.Datetime("us", "UTC")))
    if request.date_to:
        tests.append(time < pl.lit(_midnight(request.date_to + timedelta(days=1))).cast(pl.Datetime("us", "UTC")))
    return pl.all_horizontal(tests) if tests else None


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000
