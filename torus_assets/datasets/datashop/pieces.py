"""Reads what a DataShop data set is made of: some students at a time, each student's sessions in order, each row accounted for.

`plan` counts rows by section and student, and cuts the order (section, student) into pieces of about `PIECE_ROWS` rows; `Reader` reads one
piece after the other. The SQL is in `sql/datashop_*.sql`, its rules with it. Memory grows with a piece and with the number of students, not with
the data set. A student's rows in a section stay in one piece, however many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.request import Request
from torus_assets.xapi.tables import BY_KIND

PIECE_ROWS = 15_000  # a worker takes 0.25 GB at the peak; a third more rows cost 0.05 GB more and no less CPU
MEMORY = "200MB"  # of DuckDB for what looks at a whole data set (the rollup of 1 M transactions ends at 100); it spills beyond
PIECE_MB = 100  # of DuckDB for one piece; 80 spilled, for a third more CPU
ROWS_PER_MB = 500  # more of it where one student alone has more rows than a piece
SQL = Path(__file__).parents[1] / "sql"
KINDS = {"attempts": "part_attempt", "tutors": "tutor_message", "views": "page_viewed"}

Paths = Mapping[str, Sequence[Path]]  # by the names of KINDS; at least one file each


class Person(NamedTuple):
    """A student in a section."""

    section_id: int
    home_page: str | None
    user_id: str
    rows: int  # part attempts and tutor messages before anything is left out


@dataclass(frozen=True)
class Piece:
    """Consecutive students of the data set's order; `place` of the first is `first`."""

    number: int
    first: int
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Plan:
    """Who is in the sections, in order of section and shown name."""

    pieces: tuple[Piece, ...]
    shared_sessions: frozenset[str]  # session ids that several users have
    shared_attempts: frozenset[str]  # guids of part attempts that several have


def by_kind(files: Sequence[Any], paths: Sequence[Path], scratch: Path) -> dict[str, list[Path]]:
    """The files of each kind; an empty file stands for a kind without any."""
    found: dict[str, list[Path]] = {}
    for name, kind in KINDS.items():
        found[name] = [path for file, path in zip(files, paths, strict=True) if file.kind == kind]
        if not found[name]:
            empty = scratch / f"no-{name}.parquet"
            pq.write_table(BY_KIND[kind].schema.empty_table(), empty)
            found[name] = [empty]
    return found


def connect(scratch: Path) -> duckdb.DuckDBPyConnection:
    """An engine of our own in memory, which spills into `scratch`."""
    return duckdb.connect(
        config={
            "threads": 1,
            "memory_limit": MEMORY,
            "temp_directory": str(scratch / "duckdb"),
            "autoinstall_known_extensions": False,
        }
    )


def plan(connection: duckdb.DuckDBPyConnection, request: Request, paths: Paths, names: Names, piece_rows: int | None = None) -> Plan:
    """Who there is, and the pieces, of about `piece_rows` (`PIECE_ROWS`)."""
    counted = connection.execute(
        _sql("people"),
        {"sections": list(request.section_ids), **{name: _texts(paths[name]) for name in KINDS}},
    ).fetchall()
    read = {"sections": list(request.section_ids), "attempts": _texts(paths["attempts"])}
    sessions, attempts = (
        frozenset(text for (text,) in connection.execute(_sql(name), read).fetchall()) for name in ("shared_sessions", "shared_attempts")
    )
    people = [Person(*row[:4]) for row in counted if row[3]]
    people.sort(
        key=lambda person: (person.section_id, names.learner(person.home_page, person.user_id), person.home_page or "", person.user_id)
    )
    return Plan(tuple(_pieces(people, piece_rows or PIECE_ROWS)), sessions, attempts)


def _pieces(people: Sequence[Person], most: int) -> Iterator[Piece]:
    taken: list[Person] = []
    first = number = rows = 0
    for person in people:
        if taken and rows + person.rows > most:
            yield Piece(number, first, tuple(taken))
            first, number, rows, taken = first + len(taken), number + 1, 0, []
        taken.append(person)
        rows += person.rows
    if taken:
        yield Piece(number, first, tuple(taken))


def restrictions(request: Request) -> dict[str, Any]:
    """The request's restrictions on rows, as the SQL files name them."""
    return {
        "date_from": request.date_from,
        "date_to": request.date_to,
        "project_id": request.project_id,
        "page_ids": list(request.page_ids) if request.page_ids is not None else None,
        "ignored": list(request.ignored_student_ids),
    }


@dataclass
class Reader:
    """Reads pieces through one connection."""

    connection: duckdb.DuckDBPyConnection
    request: Request
    paths: Paths

    def read(self, piece: Piece, fates: Counter[tuple[str, str]]) -> pl.DataFrame:
        """The rows of the piece that are exported, in order, with `line` (place in that order) and `place_of_student`.

        `fates` gets what became of each row, by kind and fate.
        """
        asked, run = self.request, self.connection.execute
        run(f"SET memory_limit = '{max(PIECE_MB, sum(person.rows for person in piece.people) // ROWS_PER_MB)}MB'")
        self.connection.register("wanted", _wanted(piece))
        bounds = {"first_section": piece.people[0].section_id, "last_section": piece.people[-1].section_id}
        run(_sql("placed"), {**bounds, "attempts": _texts(self.paths["attempts"]), "tutors": _texts(self.paths["tutors"])})
        run(_sql("piece"), restrictions(asked))
        for kind, fate, rows in run("SELECT kind, fate, count(*) FROM piece GROUP BY ALL").fetchall():
            fates[kind, fate] += rows
        rows = self.connection.sql(_sql("rows"), params={**bounds, "views": _texts(self.paths["views"])}).pl()
        self.connection.unregister("wanted")
        return rows.rename({"place": "place_of_student"}).with_row_index("line").with_columns(pl.col("line").cast(pl.Int64))


def _sql(name: str) -> str:
    return (SQL / f"datashop_{name}.sql").read_text()


def _wanted(piece: Piece) -> pa.Table:
    sections, homes, users, _ = zip(*piece.people, strict=True)
    return pa.table(
        {
            "section_id": pa.array(sections, pa.int64()),
            "home_page": pa.array(homes, pa.string()),
            "user_id": pa.array(users, pa.string()),
            "place": pa.array(range(piece.first, piece.first + len(piece.people)), pa.int64()),
        }
    )


def _texts(paths: Sequence[Path]) -> list[str]:
    return [str(path) for path in paths]
