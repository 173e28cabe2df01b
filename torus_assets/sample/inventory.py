"""An S3 Inventory of the world's bundles, as AWS writes one: Parquet files, `manifest.json`, then `manifest.checksum`."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

SOURCE_BUCKET = "torus-xapi-sample"
CONFIG_ID = "torus-xapi-sample-inventory"
ROWS_PER_FILE = 50_000

_SCHEMA = pa.schema(
    [
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("key", pa.string(), nullable=False),
        pa.field("size", pa.int64()),
        pa.field("last_modified_date", pa.timestamp("ms", tz="UTC")),
        pa.field("e_tag", pa.string()),
        pa.field("storage_class", pa.string()),
    ]
)
_FILE_SCHEMA = (
    "message s3.inventory {  required binary bucket (UTF8);  required binary key (UTF8);  optional int64 size;"
    "  optional int64 last_modified_date (TIMESTAMP_MILLIS);  optional binary e_tag (UTF8);"
    "  optional binary storage_class (UTF8);}"
)

Put = Callable[[str, bytes], object]


class Listed(NamedTuple):
    """One object as the store's own listing gives it."""

    key: str
    size: int
    last_modified: datetime
    etag: str


def write_inventory(put: Put, taken: datetime, objects: Sequence[Listed], *, complete: bool = True) -> str:
    """Writes the inventory taken at that moment and returns its folder. The checksum comes last; without it nobody may read it.

    Keys are relative to the inventory's own store, as in a destination bucket without a prefix.
    """
    folder = f"{SOURCE_BUCKET}/{CONFIG_ID}/{taken:%Y-%m-%dT%H-%MZ}"
    pieces = [objects[start : start + ROWS_PER_FILE] for start in range(0, len(objects), ROWS_PER_FILE)] or [()]
    files = [_written(put, f"{folder} {number}", piece) for number, piece in enumerate(pieces)]
    manifest = {
        "sourceBucket": SOURCE_BUCKET,
        "destinationBucket": f"arn:aws:s3:::{CONFIG_ID}",
        "version": "2016-11-30",
        "creationTimestamp": str(int(taken.timestamp() * 1000)),
        "fileFormat": "Parquet",
        "fileSchema": _FILE_SCHEMA,
        "files": files,
    }
    text = json.dumps(manifest, indent=2).encode()
    put(f"{folder}/manifest.json", text)
    if complete:
        put(f"{folder}/manifest.checksum", _md5(text).encode())
    return folder


def _written(put: Put, name: str, objects: Sequence[Listed]) -> dict[str, object]:
    body = _parquet(objects)
    key = f"{SOURCE_BUCKET}/{CONFIG_ID}/data/{uuid.uuid5(uuid.NAMESPACE_URL, name)}.parquet"
    put(key, body)
    return {"key": key, "size": len(body), "MD5checksum": _md5(body)}


def _parquet(objects: Sequence[Listed]) -> bytes:
    columns = {
        "bucket": [SOURCE_BUCKET] * len(objects),
        "key": [listed.key for listed in objects],
        "size": [listed.size for listed in objects],
        "last_modified_date": [listed.last_modified for listed in objects],
        "e_tag": [listed.etag for listed in objects],
        "storage_class": ["STANDARD"] * len(objects),
    }
    sink = BytesIO()
    arrays = [pa.array(columns[field.name], type=field.type) for field in _SCHEMA]
    pq.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA), sink, compression="snappy")
    return sink.getvalue()


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()
