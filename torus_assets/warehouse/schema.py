"""The table `raw_events`: its columns as `xapi/tables.py` declares them, and whether an existing table can take our rows.

SQL stands in `sql/`. What is put into it as text are names and types that the project declares or that the server reports;
values are always bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from torus_assets.xapi import tables
from torus_assets.xapi.tables import ColumnType, Table

RAW_EVENTS = "raw_events"
MONTH_KEY = "toYYYYMM(timestamp)"

# What Torus' own table may lack: columns of ours, and one that its migrations added as late as 2026-08.
OURS = {
    "event_kind", "kind", "upload_date", "uploaded_at", "home_page_raw", "statement_id", "verb_display", "experiment_attributions",
    "response_json", "feedback_json", "hint_ids", "video_title", "tutor_xml", "statement", "row_digest",
}  # fmt: skip
OPTIONAL = OURS | {"enrollment_id"}

EVENT_TYPE_DOC = "Upstream's name of the kind: five kinds of ours, `unknown` for all others; see event_kind and kind."
SERVER_COLUMNS = {
    "row_digest": ("UInt64", "cityHash64 over all columns that come from the lake; 0 in rows of other writers."),
    "inserted_at": ("DateTime DEFAULT now()", "When the row came in, by the server's clock."),
    "event_version": ("DateTime64(3) DEFAULT now64(3)", "As inserted_at; the version in Torus' own table."),
}
LAKE_TYPES: dict[ColumnType, str] = {
    "text": "Nullable(String)",
    "json": "Nullable(String)",
    "integer": "Nullable(Int64)",
    "number": "Nullable(Float64)",
    "truth": "Nullable(Bool)",
    "time": "Nullable(DateTime64(6, 'UTC'))",
}


class UnfitTable(ValueError):
    """An existing `raw_events` cannot take our rows; the message lists column and type."""


@cache
def columns() -> dict[str, tuple[str, str]]:
    """Columns that a load fills from the lake: name to ClickHouse type and meaning."""
    found = {c.name: (c.clickhouse, c.doc) for c in tables.PARTITION_COLUMNS if c.clickhouse}
    for table in tables.EVENT_TABLES:
        found |= {c.name: (c.clickhouse, c.doc) for c in table.columns if c.clickhouse and c.name not in found}
    return {"event_type": ("LowCardinality(String)", EVENT_TYPE_DOC), **found}


def sql(name: str, **names: str) -> str:
    """A statement of `sql/`, without its comments, with lists of columns put in."""
    text = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return Template(re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)).substitute(names).strip()


def listed(names: Iterable[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


def definitions(*, documented: bool) -> str:
    """Column definitions of what a load fills; `documented` adds the meanings as comments and the server's own columns."""
    if not documented:
        return ",\n    ".join(f"{quote_identifier(name)} {kind}" for name, (kind, _) in columns().items())
    both = {**columns(), **SERVER_COLUMNS}
    return ",\n    ".join(_documented(name, kind, doc) for name, (kind, doc) in both.items())


def _documented(name: str, kind: str, doc: str) -> str:
    escaped = doc.replace("\\", "\\\\").replace("'", "\\'")
    return f"{quote_identifier(name)} {kind} COMMENT '{escaped}'"


def landing_definitions() -> str:
    """Columns of the lake's event files, with the lake's types."""
    found = {c.name: LAKE_TYPES[c.type] for table in tables.EVENT_TABLES for c in table.columns}
    return ",\n    ".join(f"{quote_identifier(name)} {kind}" for name, kind in found.items())


def expressions(table: Table) -> dict[str, str]:
    """What each column of `raw_events` is made from in a file of this kind; the day and the kind are bound."""
    made = {"upload_date": "{day:Date}", "kind": "{kind:String}", "event_type": "{event_type:String}"}
    return made | {c.name: _cast(c.name, c.clickhouse) for c in table.columns if c.clickhouse}


def _cast(name: str, kind: str) -> str:
    column = quote_identifier(name)
    match kind:
        case "Nullable(UInt64)" | "Nullable(UInt32)":
            return f"accurateCastOrNull({column}, '{kind[9:-1]}')"
        case "UInt64":
            return f"accurateCast({column}, 'UInt64')"
        case "LowCardinality(String)":
            return f"ifNull({column}, '')"
        case "String":
            return f"CAST({column} AS String)"
        case "DateTime64(3, 'UTC')":
            return f"CAST({column} AS DateTime64(3, 'UTC'))"
        case _:
            return column


@dataclass(frozen=True)
class Target:
    """The `raw_events` that is there: what we can write, and what we may rewrite."""

    types: dict[str, str]  # every stored column of the table
    engine: str
    partition_key: str

    @property
    def writable(self) -> list[str]:
        """Columns of a staged row that the table has."""
        return [name for name in (*columns(), "row_digest") if name in self.types]

    @property
    def missing(self) -> list[str]:
        return sorted({*columns(), "row_digest"} - set(self.types))

    @property
    def is_ours(self) -> bool:
        """Whether rows know their day and their digest, so that a load can take back or rewrite what an earlier one put there."""
        return (
            {"upload_date", "row_digest"} <= set(self.types)
            and self.engine in {"MergeTree", "ReplicatedMergeTree", "SharedMergeTree"}
            and self.partition_key == MONTH_KEY
            and self.types["timestamp"] == "DateTime64(3, 'UTC')"
        )


def ensure(client: Client) -> Target:
    """The target, made if there is none. A table of ours from an earlier version gets the columns it lacks.

    Raises:
        UnfitTable: the table lacks columns that Torus' own table has, or has them with other types.
    """
    client.command(sql("raw_events", definitions=definitions(documented=True)))
    target = inspect(client)
    if target.is_ours and target.missing:
        for name in target.missing:
            kind, doc = columns()[name]
            client.command(f"ALTER TABLE {RAW_EVENTS} ADD COLUMN IF NOT EXISTS {_documented(name, kind, doc)}")
        target = inspect(client)
    check(target)
    return target


def inspect(client: Client) -> Target:
    """What the server says of the table."""
    described = client.query(sql("describe_columns"), parameters={"table": RAW_EVENTS}).result_rows
    [(engine, key)] = client.query(sql("describe_table"), parameters={"table": RAW_EVENTS}).result_rows
    return Target({str(name): str(kind) for name, kind in described}, str(engine), str(key))


def check(target: Target) -> None:
    """Refuses a table that would lose or bend values.

    Raises:
        UnfitTable: columns are missing or of another type; each is named with what was expected.
    """
    wrong = [f"{name} {kind} is missing" for name, (kind, _) in columns().items() if name not in target.types and name not in OPTIONAL]
    wrong += [
        f"{name} is {target.types[name]}, expected {kind}"
        for name, (kind, _) in columns().items()
        if name in target.types and not _takes(target.types[name], kind)
    ]
    if not target.engine.endswith("MergeTree"):
        wrong.append(f"the engine is {target.engine}, expected one of the MergeTree family")
    if wrong:
        raise UnfitTable(f"table {RAW_EVENTS} cannot take the rows: {'; '.join(wrong)}")


def _takes(there: str, ours: str) -> bool:
    return _plain(there) == _plain(ours) or {_plain(there), _plain(ours)} == {"Bool", "UInt8"}


def _plain(kind: str) -> str:
    """`Nullable(DateTime64(3, 'UTC'))` as `DateTime64`."""
    bare = re.sub(r"^(?:LowCardinality|Nullable)\((.*)\)$", r"\1", kind)
    return re.sub(r"\(.*$", "", re.sub(r"^Nullable\((.*)\)$", r"\1", bare))
