"""Learning curves of a data set too large for one process: students are dealt into parts, each is counted alone, and the counts are summed.

A student's opportunities at a skill depend on nobody else, so the curves equal those of `rollup.curves` over all students.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import duckdb
import polars as pl
import pyarrow as pa

from torus_assets.datasets import rollup
from torus_assets.datasets.copies import SQL
from torus_assets.datasets.page.model import Curve, Point

PART_ROWS = 500_000  # attempts of one part, ten seconds' work
MOST_PARTS = 64  # each task that writes rows puts a file for each
SKILLS, OPPORTUNITIES = 6, 12  # that the page draws, as `rollup.curves` gives them
ALL = 1 << 40


class Count(NamedTuple):
    """First attempts of some students."""

    kc: str
    opportunity: int
    students: int
    wrong: int


def parts_of(attempts: int) -> int:
    return min(MOST_PARTS, max(1, -(-attempts // PART_ROWS)))


def split(facts: Sequence[Path], parts: int, folder: Path) -> Iterator[tuple[int, Path]]:
    """The facts by part of the students, as files of `folder`; none for a part without any."""
    rows = pl.concat(pl.read_parquet(path) for path in facts)
    part_of = {student: zlib.crc32(student.encode()) % parts for student in rows["student"].unique()}
    numbers = rows["student"].replace_strict(part_of, return_dtype=pl.Int64)
    for part in sorted(set(part_of.values())):
        path = folder / f"part-{part:02d}.parquet"
        rows.filter(numbers == part).write_parquet(path, compression="lz4")
        yield part, path


def counted(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> list[Count]:
    """All counts of some students; fewer than a million of them, as the rates have six digits."""
    found = rollup.curves(connection, facts, skills=ALL, opportunities=ALL)
    return [Count(kc, opportunity, students, round(rate * students)) for kc, points in found for opportunity, rate, students in points]


def curves(connection: duckdb.DuckDBPyConnection, counts: Iterable[Count]) -> tuple[Curve, ...]:
    """What the page draws."""
    columns = list(zip(*counts, strict=True)) or [()] * len(Count._fields)
    types = (pa.string(), pa.int64(), pa.int64(), pa.int64())
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    with connection.cursor() as own:
        own.register("counts", pa.table(arrays, names=list(Count._fields)))
        sql = (SQL / "curves_of_parts.sql").read_text()
        rows = own.execute(sql, {"skills": SKILLS, "opportunities": OPPORTUNITIES}).fetchall()
    return tuple(Curve(kc, tuple(Point(*row[1:]) for row in points)) for kc, points in groupby(rows, itemgetter(0)))
