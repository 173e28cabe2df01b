"""The columns of each asset as the catalog shows them, from the lists that the code itself uses."""

from __future__ import annotations

import dagster as dg

from torus_assets.datasets.csv_tables import ACTIONS, Action, CsvColumn
from torus_assets.datasets.datashop.tab_form import Shape, headings
from torus_assets.datasets.hierarchy import PAGE
from torus_assets.datasets.page.datashop_words import tab_entry
from torus_assets.warehouse import schema
from torus_assets.xapi import bundle_index
from torus_assets.xapi.tables import Table

# bundle_index.SCHEMA has the names and types.
INDEX_MEANINGS = {
    "key": "Key of the object below the bundle store's root.",
    "partition": "First part of the key: `section` or `project`.",
    "partition_id": "Second part of the key: the section's id; of a `project` bundle, the project's.",
    "category": "Third part of the key: the category that Torus wrote the bundle under.",
    "uploaded_at": "UTC instant of the upload, from the key; its date is the day.",
    "bytes": "Size of the object.",
    "etag": "ETag of the object, without quotes.",
    "last_modified": "When the store says the object was written, UTC.",
    "told_by": "Who told us of the object: `inventory`, `listing` or `notification`.",
}
# Source: spec/datasets.md 8.1, and what datasets/lookup.py reads.
LOOKUP_MEMBERS = (
    ("dataset_name", "text", "Name of the data set in DataShop; null when the request gives it."),
    ("skill_titles", "object", "Title of each skill (knowledge component), by its resource id."),
    ("hierarchy", "object", "Units, modules, sections and pages by resource id: title, whether graded, children."),
    ("activities", "object", "Activities by resource id: type, choices, items, parts, and the hints of each part."),
    ("users", "object", "E-mail address by user id: replaced in texts, and a name only where a request is permitted to name people."),
)
ANY_COURSE = Shape((PAGE,), (("Default", 1, True),), (), 1)  # headings depend on the course: one of each kind stands for all


def column_schema(table: Table) -> dg.TableSchema:
    """The declared columns of a day's table; a column that names a learner, or holds what one wrote, has the tag `private`."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(c.name, str(c.arrow.type), description=c.doc, tags={"private": ""} if c.private else {}) for c in table.columns
        ]
    )


def index_schema() -> dg.TableSchema:
    """The columns of the bundle index."""
    return dg.TableSchema([dg.TableColumn(f.name, str(f.type), description=INDEX_MEANINGS[f.name]) for f in bundle_index.SCHEMA])


def warehouse_schema() -> dg.TableSchema:
    """The columns of raw_events: those filled from the lake, then those that the server fills."""
    both = {**schema.columns(), **schema.SERVER_COLUMNS}
    return dg.TableSchema([dg.TableColumn(name, kind, description=doc) for name, (kind, doc) in both.items()])


def lookup_schema() -> dg.TableSchema:
    """The members of a lookup document."""
    return dg.TableSchema([dg.TableColumn(name, kind, description=doc) for name, kind, doc in LOOKUP_MEMBERS])


def csv_schema() -> dg.TableSchema:
    """The columns that a CSV data set may have, whatever its request; a run's own metadata has exactly those it wrote."""
    return dg.TableSchema([dg.TableColumn(name, of[0][1].cell, description=_meaning(of)) for name, of in csv_columns().items()])


def _meaning(of: list[tuple[Action, CsvColumn]]) -> str:
    """The column's meaning; by table where the tables differ."""
    meanings = dict.fromkeys(column.doc for _, column in of)
    return next(iter(meanings)) if len(meanings) == 1 else " ".join(f"`{action.name}`: {column.doc}" for action, column in of)


def csv_columns() -> dict[str, list[tuple[Action, CsvColumn]]]:
    """Each column of the CSV tables, with the tables that have it."""
    found: dict[str, list[tuple[Action, CsvColumn]]] = {}
    for action in ACTIONS.values():
        for column in action.columns:
            found.setdefault(column.name, []).append((action, column))
    return found


def datashop_schema() -> dg.TableSchema:
    """The columns of the tab-delimited form; the XML says the same by nesting. Levels and models are the course's."""
    entries = [tab_entry(heading) for heading in dict.fromkeys(headings(ANY_COURSE))]
    return dg.TableSchema([dg.TableColumn(entry.name, entry.type, description=entry.meaning) for entry in entries])
