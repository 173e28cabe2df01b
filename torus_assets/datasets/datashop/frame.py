"""A piece's transactions as a table: what both forms and the facts are written from, column by column.

Python looks at each different value once (a problem, a response, a feedback, a list of skills); what is done per row is done by polars.
A row is one transaction, with what many share held in a `Shelf` and named by its number there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import polars as pl

from torus_assets.datasets.datashop.model import Skill

T = TypeVar("T", bound=Hashable)

Levels = tuple[tuple[str, str], ...]  # (type, name), outermost first
Fields = tuple[tuple[str, str], ...]  # custom fields: (name, value)


class Place(NamedTuple):
    """Where transactions happen: all that the contexts of one problem share."""

    name: str  # of the context message
    section_id: int
    dataset: str
    levels: Levels
    problem: str
    tutor_flag: str
    fields: Fields
    conditions: tuple[tuple[str, str], ...] = ()  # (name, type)

    @property
    def class_name(self) -> str:
        return f"Section {self.section_id}"


class Step(NamedTuple):
    selection: str
    action: str

    @property
    def name(self) -> str:
        """As DataShop makes it."""
        return f"{self.selection} {self.action}".strip()


class Session(NamedTuple):
    student: str
    session: str


@dataclass
class Shelf(Generic[T]):
    """Different values, each with its number."""

    values: list[T] = field(default_factory=list)
    numbers: dict[T, int] = field(default_factory=dict)
    written: dict[Callable[[T], Any], pl.Series] = field(default_factory=dict)  # the values as each form writes them

    def number(self, value: T) -> int:
        known = self.numbers.get(value)
        if known is None:
            known = self.numbers[value] = len(self.values)
            self.values.append(value)
        return known

    def column(self, numbers: pl.Series, write: Callable[[T], Any], dtype: Any = pl.String) -> pl.Series:
        """`write(value)` for each number; null where that is null. Each value is written once for each `write`."""
        known = self.written.get(write)
        if known is None or known.len() < len(self.values):
            known = self.written[write] = pl.Series([write(value) for value in self.values], dtype=dtype)
        return known.gather(numbers)


@dataclass
class Shelves:
    """What the rows of a piece name by number."""

    places: Shelf[Place] = field(default_factory=Shelf[Place])
    steps: Shelf[Step] = field(default_factory=Shelf[Step])
    sessions: Shelf[Session] = field(default_factory=Shelf[Session])
    skills: Shelf[tuple[Skill, ...]] = field(default_factory=Shelf[tuple[Skill, ...]])
    extras: Shelf[Fields] = field(default_factory=Shelf[Fields])  # custom fields of embedded tutors


# Custom fields of transactions that are columns of their own: name -> type. In this order in both forms.
OWN_FIELDS: dict[str, Any] = {
    "score": pl.String, "out_of": pl.String, "part_attempt_guid": pl.String, "activity_attempt_guid": pl.String, "page_attempt_guid": pl.String,
    "part_attempt_number": pl.Int64, "activity_attempt_number": pl.Int64, "page_attempt_number": pl.Int64, "activity_revision_id": pl.Int64,
    "project_id": pl.Int64, "publication_id": pl.Int64, "files": pl.Int64, "feedback": pl.String, "time_is_of": pl.String,
}  # fmt: skip

COLUMNS: dict[str, Any] = {
    "line": pl.Int64,  # of the row it comes from; `line` and `sub` are the order
    "sub": pl.Int64,
    "session": pl.Int64,  # number of the Session
    "id": pl.String,
    "context": pl.String,  # id of the context
    "opens": pl.Boolean,  # the first transaction of its context
    "context_time": pl.String,
    "place": pl.Int64,
    "view": pl.Int64,
    "time": pl.String,
    "student_type": pl.String,
    "student_subtype": pl.String,
    "tutor_type": pl.String,  # null: no reply
    "tutor_subtype": pl.String,
    "step": pl.Int64,
    "input": pl.String,
    "outcome": pl.String,
    "advice": pl.String,
    "classification": pl.String,
    "hint_id": pl.String,
    "help_level": pl.Int64,
    "total_hints": pl.Int64,
    "skills": pl.Int64,
    **OWN_FIELDS,
    "extras": pl.Int64,
}  # null: has none; a text is never empty


def frame(columns: dict[str, pl.Series | pl.Expr | Any], of: pl.DataFrame) -> pl.DataFrame:
    """A table with all COLUMNS out of some; those not given are null."""
    given = of.select(**columns)
    missing = [pl.lit(None, dtype).alias(name) for name, dtype in COLUMNS.items() if name not in given.columns]
    return given.with_columns(missing).select(pl.col(name).cast(dtype) for name, dtype in COLUMNS.items())


def each(rows: pl.DataFrame, by: Sequence[str], make: Callable[..., Any], **into: Any) -> pl.DataFrame:
    """`make(*values)` for each different combination of the columns `by`, as new columns of `rows`; the order is unchanged.

    Args:
        make: gives a tuple, one value for each column of `into`.
        into: names and types of the new columns.
    """
    different = rows.select(by).unique(maintain_order=True)
    made = [make(*row) for row in different.iter_rows()]
    columns = [pl.Series(name, [one[at] for one in made], dtype=dtype) for at, (name, dtype) in enumerate(into.items())]
    return rows.join(different.with_columns(columns), on=list(by), how="left", nulls_equal=True, maintain_order="left")
