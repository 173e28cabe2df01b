"""Student-step rollup and learning curves of a data set, and the few numbers its page draws.

Source: DataShop's student-step export (spec/datashop.md 4; its help pages on the rollup and on step durations). All is DuckDB SQL
(`sql/`) over the transactions as Parquet (FACTS in `datashop/model.py`), so memory is what the connection allows. Every order is
total and every rounding is stated: the same transactions give the same bytes with any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Literal, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.datasets.datashop.model import FACTS

SQL = Path(__file__).parent / "sql"
ROW_GROUP_ROWS = 65_536


class Column(NamedTuple):
    """A column of a summary, as the data dictionary shows it."""

    name: str
    type: Literal["integer", "number", "text", "time"]
    doc: str  # meaning, unit, when it is empty


STUDENT_STEP_COLUMNS = (
    Column("Row", "integer", "Number of the row, from 1, in order of the data set."),
    Column("Section Id", "integer", "Course section."),
    Column("Anon Student Id", "text", "Student, as in the transactions."),
    Column("Session Id", "text", "Session of the first transaction."),
    Column("Problem Hierarchy", "text", "Type and name of each level above the problem, outermost first."),
    Column("Problem Name", "text", "Problem."),
    Column("Problem View", "integer", "How many times the student had opened the problem, this time included."),
    Column("Step Name", "text", "Selection and action of the tutor's reply. Untutored actions have no step, and no row."),
    Column(
        "Step Start Time",
        "time",
        "UTC. The student's transaction before the first one here, or the start of the problem view, whichever is later; "
        "empty if that is a transaction over 10 minutes earlier.",
    ),
    Column("First Transaction Time", "time", "UTC. First transaction at the step."),
    Column("Correct Transaction Time", "time", "UTC. First correct attempt; empty without one."),
    Column("Step End Time", "time", "UTC. Last transaction at the step."),
    Column(
        "Step Duration (sec)",
        "number",
        "Seconds. Sum of the durations of the step's transactions: each the time since the student's transaction before it in the session "
        "or the start of the problem view, whichever is later, and none if that is over 10 minutes. Empty if the first transaction has none.",
    ),
    Column("Correct Step Duration (sec)", "number", "Seconds. Step duration if the first attempt was correct, else empty."),
    Column("Error Step Duration (sec)", "number", "Seconds. Step duration if the first attempt was incorrect or a hint, else empty."),
    Column("First Attempt", "text", "`correct`, `incorrect` or `hint`; empty if the reply said none of them."),
    Column("Incorrects", "integer", "Incorrect attempts."),
    Column("Hints", "integer", "Hints."),
    Column("Corrects", "integer", "Correct attempts."),
    Column("Assistance Score", "integer", "Incorrect attempts and hints."),
    Column("KC (Default)", "text", "Knowledge components of the step, in order of their names, joined by `~~`; empty without any."),
    Column(
        "Opportunity (Default)",
        "text",
        "For each of these, how many steps with it the student had begun, this one included; joined by `~~`.",
    ),
)

LEARNING_CURVE_COLUMNS = (
    Column("KC", "text", "Knowledge component."),
    Column("Opportunity", "integer", "Number of the opportunity, from 1."),
    Column("Students", "integer", "Observations: students with this opportunity whose first attempt was judged. All means are over these."),
    Column("First Attempt Correct", "integer", "Students whose first attempt was correct."),
    Column("Error Rate", "number", "Share of first attempts that were incorrect or a hint, 0 to 1."),
    Column("Incorrects (mean)", "number", "Incorrect attempts per student."),
    Column("Hints (mean)", "number", "Hints per student."),
    Column("Assistance Score (mean)", "number", "Incorrect attempts and hints per student."),
    Column("Step Duration (mean, sec)", "number", "Seconds, over students with a step duration; empty if nobody has one."),
    Column("Correct Step Duration (mean, sec)", "number", "Seconds, over students with a correct step duration; empty if nobody has one."),
    Column("Error Rate (standard error)", "number", "Square root of p (1 - p) / n, with the error rate p and n students."),
)

WORK_TABLES = ("tutored", "steps", "opportunities", "step_kcs")  # each reads those before it
ORDER = "1, 2"  # the first two columns of each summary name a row
ARROW = {"integer": pa.int64(), "number": pa.float64(), "text": pa.string(), "time": pa.timestamp("ms", tz="UTC")}
SUMMARIES = {"student_step": STUDENT_STEP_COLUMNS, "learning_curve": LEARNING_CURVE_COLUMNS}


def rollup(
    connection: duckdb.DuckDBPyConnection,
    facts: Sequence[Path],
    folder: Path,
    format: Literal["csv", "parquet"],  # noqa: A002 (the request's word)
) -> list[tuple[Path, int]]:
    """Writes `student_step` and `learning_curve` into `folder`, and gives each file and its number of rows.

    Args:
        connection: Its memory limit, threads and folder for spills hold here; nothing is left in it. With one thread, 128 MB did for
            1 M transactions; with two it took 300.
        facts: Parquet files of schema FACTS. None gives tables without rows.
        folder: Exists. Files of the same name are replaced.
        format: CSV as RFC 4180 has it, but with `\\n`; times `yyyy-MM-dd HH:mm:ss.SSS`. In Parquet, times are UTC timestamps.

    Raises:
        duckdb.Error: A file is not what FACTS says, or memory and disk do not suffice.
    """
    with _summed(connection, facts) as own:
        return [_written(own, name, columns, folder / f"{name}.{format}") for name, columns in SUMMARIES.items()]


def curves(
    connection: duckdb.DuckDBPyConnection, facts: Sequence[Path], skills: int = 6, opportunities: int = 12
) -> list[tuple[str, list[tuple[int, float, int]]]]:
    """Error rates of the KCs with the most observations: KC, then (opportunity, error rate, students) in order."""
    with _summed(connection, facts) as own:
        rows = own.execute(_sql("curves"), {"skills": skills, "opportunities": opportunities}).fetchall()
    return [(kc, [row[1:] for row in points]) for kc, points in groupby(rows, itemgetter(0))]


def per_day(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> list[tuple[date, int]]:
    """Attempts by day (UTC), in order; days without one are left out. Hints are no attempts, untutored attempts are."""
    with _opened(connection, facts) as own:
        return own.execute(_sql("per_day")).fetchall()


def scores(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> tuple[list[tuple[str, int]], int]:
    """Attempts by share of the points, in ten bins (the last one holds 1, too), and how many have no score or nothing to score."""
    with _opened(connection, facts) as own:
        found = dict(own.execute(_sql("scores")).fetchall())
    return [(f"{tenth / 10:.1f}–{(tenth + 1) / 10:.1f}", found.get(tenth, 0)) for tenth in range(10)], found.get(None, 0)


@contextmanager
def _opened(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A cursor of its own in which `facts` can be read; what is made in it goes when it closes."""
    with connection.cursor() as own:
        if facts:
            own.execute("SET VARIABLE facts = $facts", {"facts": [str(path) for path in facts]})
            own.execute("CREATE TEMP VIEW facts AS SELECT * FROM read_parquet(getvariable('facts'))")
        else:
            own.register("facts", FACTS.empty_table())
        yield own


@contextmanager
def _summed(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same with the tables that the summaries read."""
    with _opened(connection, facts) as own:
        for name in WORK_TABLES:
            own.execute(_sql(name))
        yield own


def _written(own: duckdb.DuckDBPyConnection, name: str, columns: Sequence[Column], path: Path) -> tuple[Path, int]:
    """One summary as a file. Its columns are those declared, in that order."""
    csv = path.suffix == ".csv"
    cells = ", ".join(_as_text(column) if csv and column.type == "time" else f'"{column.name}"' for column in columns)
    draft = path if csv else path.with_suffix(".draft")
    rows = f"SELECT {cells} FROM ({_sql(name)}) ORDER BY {ORDER}"
    [(count,)] = own.execute(f"COPY ({rows}) TO $path (FORMAT {'csv, HEADER' if csv else 'parquet'})", {"path": str(draft)}).fetchall()
    if not csv:
        _cut(draft, path, pa.schema([(column.name, ARROW[column.type]) for column in columns]))
    return path, count


def _as_text(column: Column) -> str:
    return f"""strftime(make_timestamp(epoch_us("{column.name}")), '%Y-%m-%d %H:%M:%S.%g') AS "{column.name}\""""


def _cut(draft: Path, path: Path, schema: pa.Schema) -> None:
    """The same rows in row groups of one size. DuckDB cuts groups and dictionaries by what its threads happen to hold."""
    held = schema.empty_table()
    with pq.ParquetFile(draft) as source, pq.ParquetWriter(path, schema, compression="zstd") as file:
        for batch in source.iter_batches(ROW_GROUP_ROWS):
            held = pa.concat_tables([held, pa.table(batch).cast(schema)])
            while held.num_rows >= ROW_GROUP_ROWS:
                file.write_table(held.slice(0, ROW_GROUP_ROWS).combine_chunks())
                held = held.slice(ROW_GROUP_ROWS)
        if held.num_rows:
            file.write_table(held.combine_chunks())
    draft.unlink()


def _sql(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()
