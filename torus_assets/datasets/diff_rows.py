"""The rows of two data sets compared as multisets, on disk: DuckDB holds both, memory is bounded by a batch.

Rows that are not in the other are paired by what names an event (guids, learner, time): a pair is one row with other cells.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from torus_assets.datasets.run_folder import Run
from torus_assets.datasets.run_rows import FORMS, batches, columns_of

MEMORY = "1GB"
GUIDS = ("page_attempt_guid", "activity_attempt_guid", "part_attempt_guid", "id", "session")
LEARNERS = ("user_id", "student")
NAMING = (  # what names an event; those columns that both have and that can be compared
    "event_type", "timestamp", "section_id", "page_id", "activity_id", "part_id", "content_element_id", *GUIDS[:3], "user_id",
)  # fmt: skip
NAMING_TRANSACTION = ("time", "levels", "problem", "student_type", "selection", "action")  # where ids cannot be compared
ONE_FORM = ("view", "input")  # XML has no problem view, the table cuts inputs
SECTIONS, EVENTS = ("section_id", "section"), ("event_type", "student_type")


@dataclass(frozen=True)
class Group:
    """Rows of one section and event type that differ."""

    section: str
    event: str
    only_a: int
    only_b: int
    changed: int  # pairs


@dataclass(frozen=True)
class RowDiff:
    """How the rows differ. Rows with the same cells are the same, wherever they stand."""

    form: str  # format of A that was read
    form_b: str
    rows_a: int
    rows_b: int
    same: int
    groups: tuple[Group, ...]
    columns: dict[str, int]  # column -> pairs whose cells differ in it
    columns_only_a: tuple[str, ...]
    columns_only_b: tuple[str, ...]
    not_compared: tuple[str, ...]  # pseudonyms that are not the same learner's in both
    learners_gone: int | None  # learners of A without a row in B; None where they cannot be compared
    rows_of_gone: int

    @property
    def is_same(self) -> bool:
        return not (self.groups or self.columns_only_a or self.columns_only_b)


def forms(a: Run, b: Run) -> tuple[str, str] | None:
    """The formats to compare: one that both have, else one of each; None where nothing can be compared (a table and DataShop)."""
    of_a, of_b = ([form for form in FORMS if form in run.receipt["request"]["format"]] for run in (a, b))
    shared = [form for form in of_a if form in of_b]
    if shared:
        return shared[0], shared[0]
    return (of_a[0], of_b[0]) if of_a and of_b and of_a[0].startswith("datashop") == of_b[0].startswith("datashop") else None


def compare_rows(a: Run, b: Run, scratch: Path, *, learners: bool, guids: bool) -> RowDiff | None:
    """The rows of two runs compared; None where they are different kinds of data sets.

    Args:
        scratch: room for both data sets; nothing stays there.
        learners: learners have the same names in both.
        guids: so have attempts and sessions.
    """
    both = forms(a, b)
    if both is None or a.receipt["request"]["action"] != b.receipt["request"]["action"]:
        return None
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix="diff-") as folder, _connected(Path(folder)) as connection:
        alike = both[0] == both[1]
        of_a, of_b = (_load(connection, name, run, form, Path(folder), alike) for name, run, form in (("a", a, both[0]), ("b", b, both[1])))
        return _Comparison(connection, of_a, of_b, both, learners=learners, guids=guids).made()


@contextmanager
def _connected(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": MEMORY,
        "temp_directory": str(folder / "spill"),
        "preserve_insertion_order": "false",
    }
    with duckdb.connect(str(folder / "rows.duckdb"), config=config) as connection:
        yield connection


class _Comparison:
    """The queries, one after the other, over the tables `a` and `b`. All columns are text."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        of_a: Sequence[str],
        of_b: Sequence[str],
        both: tuple[str, str],
        *,
        learners: bool,
        guids: bool,
    ) -> None:
        self.connection, self.of_a, self.of_b, self.forms = connection, of_a, of_b, both
        hidden = (*(() if learners else LEARNERS), *(() if guids else GUIDS), *(() if both[0] == both[1] else ONE_FORM))
        self.hidden = tuple(name for name in of_a if name in hidden and name in of_b)
        self.columns = [name for name in of_a if name in of_b and name not in hidden]
        naming = ("id",) if "id" in self.columns else (NAMING_TRANSACTION if "student_type" in of_a else NAMING)
        self.naming = [name for name in naming if name in self.columns]
        self.learner = next((name for name in LEARNERS if name in self.columns), None)

    def made(self) -> RowDiff:
        self._surplus()
        self._pairs()
        rows_a, rows_b, left_a = (self._one(f"SELECT count(*) FROM {table}") for table in ("a", "b", "only_a"))
        gone, rows_of_gone = self._gone()
        return RowDiff(
            *self.forms, rows_a, rows_b, rows_a - left_a, tuple(self._groups()), self._columns(),
            tuple(name for name in self.of_a if name not in self.of_b), tuple(name for name in self.of_b if name not in self.of_a),
            self.hidden, gone, rows_of_gone,
        )  # fmt: skip

    def _surplus(self) -> None:
        """Tables `only_a` and `only_b`: rows that the other has less often, so many times as it has them less often."""
        row = _digest(self.columns)
        self.connection.execute(
            f"CREATE TABLE sums AS SELECT d, sum(na) AS na, sum(nb) AS nb FROM "
            f"(SELECT {row} AS d, 1 AS na, 0 AS nb FROM a UNION ALL SELECT {row}, 0, 1 FROM b) GROUP BY d HAVING sum(na) <> sum(nb)"
        )
        for table, mine, theirs in (("a", "na", "nb"), ("b", "nb", "na")):
            self.connection.execute(
                f"CREATE TABLE only_{table} AS SELECT x.* FROM (SELECT *, {row} AS d FROM {table}) x JOIN sums ON x.d = sums.d "
                f"WHERE {mine} > {theirs} QUALIFY row_number() OVER (PARTITION BY x.d) <= {mine} - {theirs}"
            )

    def _pairs(self) -> None:
        """Table `pairs`: (row of A, row of B) as digests, where what names the event is there once in each."""
        if not self.naming:
            self.connection.execute("CREATE TABLE pairs (k UHUGEINT)")
            return
        name = _digest(self.naming)
        once = " INTERSECT ".join(f"SELECT {name} FROM only_{table} GROUP BY 1 HAVING count(*) = 1" for table in ("a", "b"))
        self.connection.execute(f"CREATE TABLE pairs AS SELECT k FROM ({once}) t(k)")

    def _groups(self) -> Iterator[Group]:
        section, event = (next((_name(name) for name in names if name in self.columns), "''") for names in (SECTIONS, EVENTS))
        name = _digest(self.naming) if self.naming else "NULL"
        rows = self.connection.execute(
            f"SELECT coalesce({section}, '') AS s, coalesce({event}, '') AS e, count(*) FILTER (WHERE side = 'a' AND NOT paired), "
            f"count(*) FILTER (WHERE side = 'b' AND NOT paired), count(*) FILTER (WHERE side = 'b' AND paired) FROM ("
            f"SELECT 'a' AS side, {name} IN (SELECT k FROM pairs) AS paired, * FROM only_a UNION ALL BY NAME "
            f"SELECT 'b' AS side, {name} IN (SELECT k FROM pairs) AS paired, * FROM only_b) "
            f"GROUP BY s, e ORDER BY try_cast(s AS BIGINT), s, e"
        ).fetchall()
        yield from (Group(*row) for row in rows if any(row[2:]))  # a pair counts on the side of B

    def _columns(self) -> dict[str, int]:
        others = [name for name in self.columns if name not in self.naming]
        if not self.naming or not others:
            return {}
        counts = ", ".join(f"count(*) FILTER (WHERE x.{_name(name)} IS DISTINCT FROM y.{_name(name)})" for name in others)
        sides = (f"(SELECT *, {_digest(self.naming)} AS k FROM only_{table})" for table in ("a", "b"))
        found = self.connection.execute(
            f"SELECT {counts} FROM pairs JOIN {next(sides)} x ON x.k = pairs.k JOIN {next(sides)} y ON y.k = pairs.k"
        ).fetchone()
        return {name: number for name, number in zip(others, found or (), strict=True) if number}

    def _gone(self) -> tuple[int | None, int]:
        """Learners of A without a row in B, and the rows they had. Nothing but the numbers leaves this query."""
        if self.learner is None:
            return None, 0
        name = _name(self.learner)
        found = self.connection.execute(
            f"SELECT count(DISTINCT {name}), count(*) FROM only_a WHERE {name} IS NOT NULL AND {name} NOT IN (SELECT {name} FROM b WHERE {name} IS NOT NULL)"
        ).fetchone()
        return found or (0, 0)  # pyright: ignore[reportReturnType]

    def _one(self, query: str) -> int:
        return (self.connection.execute(query).fetchone() or (0,))[0]


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _digest(columns: Iterable[str]) -> str:
    """128 bits over cells, which null and empty text, and cells that run into each other, do not share."""
    return f"md5_number(CAST(to_json([{', '.join(map(_name, columns))}]) AS VARCHAR))"


def _load(connection: duckdb.DuckDBPyConnection, table: str, run: Run, form: str, folder: Path, alike: bool) -> list[str]:
    """Fills a table with all rows of a run; its columns."""
    columns = columns_of(run, form)
    connection.execute(f"CREATE TABLE {table} ({', '.join(f'{_name(name)} VARCHAR' for name in columns)})")
    for batch in batches(run, form, folder, as_numbers=not alike):
        connection.register("batch", pa.table(batch))
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM batch")
        connection.unregister("batch")
    return columns
