"""Ledgers written straight into a lake, for tests that compare them: rows of objects, no events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.factories import DAY, bundle_key
from torus_assets.xapi import tables
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.bundles import parse_key
from torus_assets.xapi.lake import Lake, Snapshot

READ = datetime(2026, 2, 3, 15, 6, 45, tzinfo=UTC)


def ledger_row(key: str, etag: str = "e", at: datetime = READ, **more: Any) -> dict[str, Any]:
    """A bundle of one line, which became a row."""
    found = parse_key(key)
    assert found is not None
    return {
        "key": key, "source_file": f"s3://events/{key}", "source_etag": etag, "uploaded_at": found.uploaded_at, "last_modified": at,
        "section_id": int(found.partition_id) if found.partition == "section" else None, "category": found.category, "bytes": 10,
        **dict.fromkeys(("lines", "rows"), 1), **dict.fromkeys(("blank", "duplicates", "quarantined", "forgotten", "section_mismatches"), 0),
        "parser_version": tables.PARSER_VERSION, "held": False, **more,
    }  # fmt: skip


def put_ledger(lake: Lake, day: date, rows: Iterable[dict[str, Any]], scratch: Path) -> Snapshot:
    """Replaces the day by a ledger of these rows, in one commit as an ingest makes."""
    snapshot = lake.ensure()
    file = scratch / "ledger.parquet"
    pq.write_table(pa.Table.from_pylist(list(rows), schema=tables.LEDGER.schema), file)
    lake.commit(snapshot, day, [lake.place(file, day, "bundle")], (), rewrite=True)
    return lake.snapshot()


def bundle(
    name: str, *, day: date = DAY, etag: str = "e", at: datetime = READ, told_by: str = "inventory", section: int | str = 7
) -> Bundle:
    """An object as a report has it."""
    key = bundle_key(name, day=day, section=section)
    found = parse_key(key)
    assert found is not None
    return Bundle(key, found.partition, found.partition_id, found.category, found.uploaded_at, 10, etag, at, told_by)
