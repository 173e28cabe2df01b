"""What a finished run shows of its data: counts, previews without anything a learner is or wrote, pictures.

The columns that the catalog shows, and where they come from, are in `presenting/`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg
import polars as pl

from torus_assets.presenting.columns import column_schema, warehouse_schema
from torus_assets.presenting.lineage import warehouse_lineage
from torus_assets.xapi.tables import Column, Table

__all__ = ["bars", "column_schema", "counts", "markdown", "preview", "warehouse_lineage", "warehouse_schema"]

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8  # what a page of 1,400 px shows without scrolling
BARS = 30
CELL_CHARACTERS = 100

# A statement's texts may hold anything, so a preview shows numbers and times, and those texts whose values are ours.
OUR_TEXTS = frozenset(("event_kind", "reason", "detail", "key", "category", "rows_by_kind", "quarantined_by_reason"))
NOT_SHOWN = frozenset(("enrollment_id",))  # a number that is a learner
SAYS_LITTLE = frozenset(
    (
        "source_line", "uploaded_at", "last_modified", "publication_id", "activity_revision_id", "scaled_score", "success", "completion",
        "parser_version", "section_mismatches", "page_attempt_number", "activity_attempt_number", "project_id",
    )
)  # fmt: skip
PREVIEWED_TYPES = frozenset(("integer", "number", "truth", "time", "day"))


def is_shown(column: Column) -> bool:
    """Whether a preview may show the column: it cannot hold what a learner is or wrote."""
    return not column.private and column.name not in NOT_SHOWN and (column.type in PREVIEWED_TYPES or column.name in OUR_TEXTS)


def preview(table: Table, rows: pl.LazyFrame) -> dg.MetadataValue:
    """A few rows as a Markdown table."""
    columns = [c.name for c in table.columns if is_shown(c) and c.name not in SAYS_LITTLE][:PREVIEW_COLUMNS]
    return markdown(columns, rows.select(columns).head(PREVIEW_ROWS).collect().rows())


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MetadataValue:
    """A Markdown table; cells are cut."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines) if rows else "no rows")


def _cell(value: Any) -> str:
    """Text that ends within its cell; what looks like an address is code, so that the UI makes no link of it."""
    if value is None:
        return ""
    shown = f"{value:%Y-%m-%d %H:%M:%S}" if isinstance(value, datetime) else str(value)  # UTC, as all our times
    text = shown.replace("\n", " ").replace("`", "")[:CELL_CHARACTERS].replace("|", "\\|")
    return f"`{text}`" if "://" in text else text


def bars(counts: Mapping[Any, int], *, empty: str = "nothing to show") -> dg.MetadataValue:
    """Counts as a bar chart of text: a picture that needs no network and no file.

    Args:
        counts: name to count, in the order of the picture; a name of 0 keeps its place, without a bar.
        empty: a sentence to show instead when there is nothing but zeros.
    """
    top = max(counts.values(), default=0)
    if not top:
        return dg.MetadataValue.md(empty)
    width = max(len(str(name)) for name in counts)
    digits = max(len(f"{n:,}") for n in counts.values())
    rows = [f"{name!s:>{width}} {n:>{digits},} {'█' * max(1 if n else 0, round(n / top * BARS))}".rstrip() for name, n in counts.items()]
    return dg.MetadataValue.md("```\n" + "\n".join(rows) + "\n```")


def counts(numbers: Mapping[str, int]) -> dict[str, Any]:
    """Numbers under stable names, so that the catalog plots them over runs."""
    return {name: dg.MetadataValue.int(number) for name, number in numbers.items()}


def duration(seconds: int) -> str:
    """Seconds in the largest unit that they fill twice, for people."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds} seconds"
