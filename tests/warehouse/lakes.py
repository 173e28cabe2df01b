"""Small lakes for the tests of the warehouse: rows that differ in every column, committed as days."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.xapi import tables
from torus_assets.xapi.lake import Lake, Snapshot
from torus_assets.xapi.tables import Column, Table

Row = dict[str, Any]
FIRST = datetime(2026, 1, 2, 8, tzinfo=UTC)


def digest(name: object) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def value(column: Column, number: int) -> Any:
    """A value that no other column and no other number has, as far as its type allows."""
    place = sum(column.name.encode()) % 1000
    match column.type:
        case "integer":
            return 10_000 * number + place
        case "number":
            return number + place / 1000
        case "truth":
            return number % 2 == 0
        case "time":
            return FIRST + timedelta(minutes=number, microseconds=1000 * place + 7)
        case "bytes":
            return f"{column.name} {number}".encode()
        case "day":
            return FIRST.date()
        case "json":
            return f'["{column.name}", {number}, "it\'s \\\\ {{x:String}} %s"]'
        case _:
            return f"{column.name} {number} – it's \\ {{x:String}} %(a)s"


def row(table: Table, number: int, **changes: Any) -> Row:
    made = {column.name: value(column, number) for column in table.columns}
    return {**made, "event_hash": digest((table.kind, number)), "section_id": 100 + number % 3, **changes}


def rows(kind: str, numbers: Iterable[int], **changes: Any) -> list[Row]:
    return [row(tables.BY_KIND[kind], number, **changes) for number in numbers]


def every_kind(numbers: Iterable[int], **changes: Any) -> dict[str, list[Row]]:
    numbers = list(numbers)
    return {kind: rows(kind, numbers, **changes) for kind in tables.EVENT_KINDS}


class Days:
    """A lake of which whole days are put."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lake = Lake(f"file://{root}")

    def put(self, day: date, rows_by_kind: Mapping[str, list[Row]], *, held: bool = False, files: int = 1) -> Snapshot:
        """Replaces the day by these rows."""
        snapshot = self.lake.ensure()
        ledger = {column.name: value(column, 1) for column in tables.BY_KIND["bundle"].columns} | {"held": held}
        added = []
        for kind, wanted in {**rows_by_kind, "bundle": [ledger]}.items():
            for number in range(files if kind != "bundle" else 1):
                part = wanted[number::files] if kind != "bundle" else wanted
                if not part:
                    continue
                path = self.root / "part.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(part, schema=tables.BY_KIND[kind].schema), path)
                added.append(self.lake.place(path, day, kind))
        self.lake.commit(snapshot, day, added, (), rewrite=True)
        return self.lake.snapshot()
