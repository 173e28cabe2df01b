"""Writes S3 Inventory reports for tests."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore

WRITTEN = datetime(2026, 2, 3, 15, 6, 45, 123000, tzinfo=UTC)


def row(key: str, etag: str = "e", size: int | None = 10, at: datetime = WRITTEN, **more: object) -> dict[str, object]:
    return {"bucket": "events", "key": key, "size": size, "e_tag": etag, "last_modified_date": at, **more}


def parquet(rows: list[dict[str, object]], row_group_size: int = 2) -> bytes:
    table = pa.Table.from_pylist(rows)
    at = table.schema.get_field_index("last_modified_date")
    if at >= 0:
        table = table.set_column(at, "last_modified_date", table["last_modified_date"].cast(pa.timestamp("ms"), safe=False))
    body = io.BytesIO()
    pq.write_table(table, body, row_group_size=row_group_size)
    return body.getvalue()


def write(
    store: ObjectStore,
    stamp: str,
    files: list[list[dict[str, object]]],
    *,
    home: str = "events/daily",
    key_prefix: str = "",
    kind: str = "Parquet",
    source: str = "events",
    created: datetime | None = None,
) -> str:
    """Writes a whole report; returns its manifest key. ``key_prefix`` is what the manifest puts before data keys."""
    entries = []
    for number, rows in enumerate(files):
        body, key = parquet(rows), f"{home}/data/{stamp}-{number}.parquet"
        store.put(key, body)
        entries.append({"key": key_prefix + key, "size": len(body), "MD5checksum": hashlib.md5(body).hexdigest()})
    moment = created or datetime.strptime(stamp, "%Y-%m-%dT%H-%MZ").replace(tzinfo=UTC)
    manifest = json.dumps(
        {
            "sourceBucket": source,
            "destinationBucket": "arn:aws:s3:::inventory",
            "version": "2016-11-30",
            "creationTimestamp": str(int(moment.timestamp() * 1000)),
            "fileFormat": kind,
            "files": entries,
        }
    ).encode()
    store.put(f"{home}/{stamp}/manifest.json", manifest)
    store.put(f"{home}/{stamp}/manifest.checksum", hashlib.md5(manifest).hexdigest().encode() + b"\n")
    return f"{home}/{stamp}/manifest.json"
