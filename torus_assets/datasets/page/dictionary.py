"""The data dictionary: every column or element of every kind of file, from the lists that the writers use themselves."""

from __future__ import annotations

from collections.abc import Sequence

from torus_assets.datasets.csv_tables import ACTIONS, Action, CsvColumn
from torus_assets.datasets.page import datashop_words as words
from torus_assets.datasets.page.model import CSV, DATASHOP, LEARNING_CURVE, PARQUET, STUDENT_STEP, TAB, XML, Described, Entry

KINDS = {"part_attempt": "parts", "activity_attempt": "activities", "page_attempt": "pages", "page_viewed": "page views", "video": "videos"}
TYPES = {"text": "text", "integer": "integer", "number": "number", "time": "ISO 8601 time", "list": "JSON list", "json": "JSON"}
OLD_TYPES = {"list": "list, quoted", "json": "JSON, quoted"}
PARQUET_TYPES = {
    "text": "string",
    "integer": "int64",
    "number": "double",
    "time": "timestamp, UTC",
    "list": "string: JSON list",
    "json": "string: JSON",
}


def dictionary(
    action: str,
    formats: Sequence[str],
    *,
    excluded: Sequence[str] = (),
    dialect: str = "rfc4180",
    headings: Sequence[str] = (),
    rollup: bool = False,
) -> tuple[Described, ...]:
    """What a data set's files hold.

    Args:
        action: A name of `csv_tables.ACTIONS`, or `datashop`.
        formats: As in the request.
        excluded: Columns left out.
        headings: The heading row of the tab-delimited files, as written.
        rollup: There are the student-step and learning-curve files, too.
    """
    if action == DATASHOP:
        found = [_tab(headings)] if TAB in formats else []
        found += [Described(XML, "DataShop XML (chunk_*.xml)", words.XML_ABOUT, words.XML_ENTRIES)] if XML in formats else []
        return tuple(found + (_rollups() if rollup else []))
    return tuple(_table(ACTIONS[action], format_, excluded, dialect) for format_ in formats)


def _table(action: Action, format_: str, excluded: Sequence[str], dialect: str) -> Described:
    types = PARQUET_TYPES if format_ == PARQUET else TYPES | OLD_TYPES if dialect == "compat" else TYPES
    columns = action.without(tuple(excluded))
    entries = tuple(Entry(column.name, types[column.cell], _empty(action, column), column.doc) for column in columns)
    if format_ == PARQUET:
        return Described(PARQUET, "Parquet (chunk_*.parquet)", f"{action.doc} A row per event; no value is null.", entries)
    null = "No value is an empty field." if dialect == "compat" else "No value is an empty field; an empty text is a quoted one."
    return Described(CSV, "CSV (chunk_*.csv)", f"{action.doc} A row per event. UTF-8, comma, a heading row. {null}", entries)


def _empty(action: Action, column: CsvColumn) -> str:
    """Kinds that have no such value. Of others it may be missing, too, where the event did not say it."""
    without = [KINDS[kind] for kind in action.kinds if kind not in column.source]
    return f"of {' and '.join(without)}" if without else ""


def _tab(headings: Sequence[str]) -> Described:
    """Each heading once, also if several columns have it."""
    entries = tuple(words.tab_entry(heading) for heading in dict.fromkeys(headings))
    return Described(TAB, "DataShop tab-delimited (chunk_*.txt)", words.TAB_ABOUT, entries)


def _rollups() -> list[Described]:
    from torus_assets.datasets.rollup import LEARNING_CURVE_COLUMNS, STUDENT_STEP_COLUMNS

    steps = "A row for each student, problem view and step, as in DataShop's student-step export. Times are UTC."
    curve = "A row for each skill and opportunity: what learning curves are drawn from."
    return [
        Described(
            STUDENT_STEP, "Student-step rollup (student_step)", steps, tuple(Entry(c[0], c[1], "", c[2]) for c in STUDENT_STEP_COLUMNS)
        ),
        Described(
            LEARNING_CURVE, "Learning curves (learning_curve)", curve, tuple(Entry(c[0], c[1], "", c[2]) for c in LEARNING_CURVE_COLUMNS)
        ),
    ]
