"""Where the columns of each asset come from: `dagster/column_lineage`, from the lists that the code itself uses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import dagster as dg
import polars as pl

from torus_assets.presenting.columns import csv_columns
from torus_assets.presenting.datashop_lineage import SOURCES
from torus_assets.xapi import tables
from torus_assets.xapi.tables import Table

FROM_INDEX = {
    "key": "key",
    "source_file": "key",
    "source_etag": "etag",
    "uploaded_at": "uploaded_at",
    "last_modified": "last_modified",
    "section_id": "partition_id",  # of an event: where its statement names none
    "category": "category",
    "bytes": "bytes",
}
MADE_FROM_KIND = ("event_type",)  # of raw_events


def day_lineage(table: Table) -> dg.TableColumnLineage:
    """Columns of a day's table that come from the bundle index; the others come from the bundles' lines."""
    named = (column.name for column in table.columns)
    return _lineage({name: [("xapi/bundle_index", FROM_INDEX[name])] for name in named if name in FROM_INDEX})


def warehouse_lineage() -> dg.TableColumnLineage:
    """Which lake column feeds which column of raw_events: they carry the same names."""
    found: dict[str, list[tuple[str, str]]] = {}
    for table in tables.EVENT_TABLES:
        for column in table.columns:
            if column.clickhouse:
                found.setdefault(column.name, []).append((f"xapi/{table.name}", column.name))
        for name in MADE_FROM_KIND:
            found.setdefault(name, []).append((f"xapi/{table.name}", "event_kind"))
    return _lineage(found)


def csv_lineage() -> dg.TableColumnLineage:
    """Which lake columns the cells of each CSV column are made from."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, of in csv_columns().items():
        sources = ((kind, root) for _, column in of for kind, source in column.source.items() for root in _roots(source))
        deps = [(f"xapi/{tables.BY_KIND[kind].name}", root) for kind, root in sources]
        if name == "user_id":  # a pseudonym is made of both; an e-mail address, where permitted, is the lookup's
            deps += [*((table, "home_page") for table, _ in deps), ("datasets/lookup", "users")]
        if deps:
            found[name] = deps
    return _lineage(found)


def datashop_lineage() -> dg.TableColumnLineage:
    """Which columns of the lake, and which members of the lookup, the cells of each DataShop column are made from."""
    return _lineage(SOURCES)


def _roots(source: str | pl.Expr) -> list[str]:
    """The lake columns that a cell is made from."""
    return [source] if isinstance(source, str) else source.meta.root_names()


def _lineage(columns: Mapping[str, Iterable[tuple[str, str]]]) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(dg.AssetKey(asset.split("/")), column) for asset, column in dict.fromkeys(deps)]
            for name, deps in columns.items()
        }
    )
