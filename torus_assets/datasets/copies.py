"""Which copies of an event lose, where the order of rows does not bring copies together: days of the lake may repeat events (replays).

The hashes of a section are looked at out of core; only those that come twice are kept. What is left is a table of the losers' places, sorted
as the rows are, so that each piece reads its own part.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from torus_assets.datasets.reading import DayFile

SQL = Path(__file__).parent / "sql"


def write_losers(
    connection: duckdb.DuckDBPyConnection, files: Sequence[tuple[DayFile, Path]], sections: Collection[int], target: Path, part: tuple[int, int] = (0, 1)
) -> int:  # fmt: skip
    """Writes the losers' `section_id`, `source_file` and `source_line` as Parquet. Without one there is no file.

    Args:
        files: all that have rows of the sections, of one kind or several.
        part: (number, of how many): an event's hash says in which it is looked at.

    Returns:
        How many there are.
    """
    if len({file.day for file, _ in files}) < 2:  # within a day the lake has each event once
        return 0
    paths = [str(path) for _, path in files]
    with connection.cursor() as own:
        own.register("days", pa.table({"path": paths, "day": pa.array([file.day for file, _ in files], pa.date32())}))
        own.execute(_sql("repeated"), {"paths": paths, "sections": sorted(sections), "part": part[0], "parts": part[1]})
        [(repeated,)] = own.execute("SELECT count(*) FROM repeated").fetchall()
        if not repeated:
            return 0
        [(rows,)] = own.execute(f"COPY ({_sql('losers')}) TO $target (FORMAT parquet)", {"paths": paths, "target": str(target)}).fetchall()
    if not rows:
        target.unlink()
    return rows


def _sql(name: str) -> str:
    return (SQL / f"{name}.sql").read_text()
