"""What a finished run shows of its data: counts, column schemas, previews without anything a learner is or wrote, pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import polars as pl

from torus_assets.xapi import tables
from torus_assets.xapi.tables import Table

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 10
BARS = 30
CELL_CHARACTERS = 100
NOT_SHOWN = frozenset(("event_hash", "source_file", "source_etag", "raw"))  # long, and the same in every row or unreadable


def column_schema(table: Table) -> dg.TableSchema:
    """The declared columns, with type and meaning, as the catalog shows them."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(c.name, str(c.arrow.type), description=c.doc, tags={"private": ""} if c.private else {}) for c in table.columns
        ]
    )


def warehouse_schema() -> dg.TableSchema:
    """Columns of raw_events that come from the lake."""
    columns = [c for c in (*tables.PARTITION_COLUMNS, *tables.UNION.values()) if c.clickhouse]
    return dg.TableSchema(columns=[dg.TableColumn(c.name, str(c.clickhouse), description=c.doc) for c in columns])


def warehouse_lineage() -> dg.TableColumnLineage:
    """Which lake column feeds which column of raw_events: they carry the same names."""
    deps: dict[str, list[dg.TableColumnDep]] = {}
    for table in tables.EVENT_TABLES:
        for column in table.columns:
            if column.clickhouse:
                deps.setdefault(column.name, []).append(dg.TableColumnDep(dg.AssetKey(["xapi", table.name]), column.name))
    return dg.TableColumnLineage(deps)


def preview(table: Table, rows: pl.LazyFrame) -> dg.MetadataValue:
    """A few rows as a Markdown table, private columns left out."""
    columns = [c.name for c in table.columns if not c.private and c.name not in NOT_SHOWN][:PREVIEW_COLUMNS]
    return markdown(columns, rows.select(columns).head(PREVIEW_ROWS).collect().rows())


def markdown(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MetadataValue:
    """A Markdown table; cells are cut."""
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines) if rows else "no rows")


def _cell(value: Any) -> str:
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")[:CELL_CHARACTERS]


def bars(counts: Mapping[Any, int]) -> dg.MetadataValue:
    """Counts as a bar chart of text: a picture that needs no network and no file."""
    top = max(counts.values(), default=0)
    if not top:
        return dg.MetadataValue.md("nothing to show")
    width = max(len(str(name)) for name in counts)
    rows = [f"{name!s:>{width}} {'█' * max(1 if n else 0, round(n / top * BARS)):<{BARS}} {n:,}" for name, n in counts.items()]
    return dg.MetadataValue.md("```\n" + "\n".join(rows) + "\n```")


def counts(numbers: Mapping[str, int]) -> dict[str, Any]:
    """Numbers under stable names, so that the catalog plots them over runs."""
    return {name: dg.MetadataValue.int(number) for name, number in numbers.items()}
