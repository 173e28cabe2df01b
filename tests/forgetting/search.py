"""Searches every byte below a folder for words and hashes in all forms they could stand in."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client


def forms(words: Iterable[str], lines: Iterable[bytes] = ()) -> dict[str, bytes]:
    """What to look for, by a name to report: each word raw, in hex, base64 (at each of its three offsets), JSON and URL escapes; each
    line's SHA-256 in hex and as bytes."""
    found: dict[str, bytes] = {}
    for word in words:
        raw = word.encode()
        found |= {f"{word} raw": raw, f"{word} hex": raw.hex().encode(), f"{word} HEX": raw.hex().upper().encode()}
        found[f"{word} escaped"] = "".join(f"\\u{ord(letter):04x}" for letter in word).encode()
        found[f"{word} in UTF-16"] = word.encode("utf-16-le")
        if "@" in word:
            found |= {f"{word} {name}": raw.replace(b"@", at) for name, at in (("as a URL", b"%40"), ("in JSON", b"\\u0040"))}
        for offset in range(3):
            whole = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
            found[f"{word} base64 {offset}"] = whole[(offset * 8 + 5) // 6 : -1]
        found[f"{word} sha256"] = hashlib.sha256(raw).hexdigest().encode()
    for number, line in enumerate(lines):
        digest = hashlib.sha256(line).digest()
        found |= {f"hash of line {number}": digest.hex().encode(), f"digest of line {number}": digest}
    return found


def traces(root: Path, sought: dict[str, bytes], leave_out: Iterable[Path] = ()) -> dict[str, list[str]]:
    """Files below the root with what was found in them, contents of Parquet, SQLite and compressed cells included."""
    skipped = tuple(leave_out)
    found: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(one) for one in skipped):
            hits = sorted({name for text in _texts(path) for name, form in sought.items() if form in text})
            if hits or (hits := [name for name, form in sought.items() if form in str(path.relative_to(root)).encode()]):
                found[str(path.relative_to(root))] = hits
    return found


def _texts(path: Path) -> Iterator[bytes]:
    yield path.read_bytes()
    if path.suffix == ".parquet":
        yield from _cells(path)
    elif path.read_bytes()[:15] == b"SQLite format 3":
        yield from _database(path)


def _cells(path: Path) -> Iterator[bytes]:
    for column in pq.ParquetFile(path).read().columns:
        for value in column.to_pylist():
            if value is not None:
                yield value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def _database(path: Path) -> Iterator[bytes]:
    """Every cell of every table; Dagster compresses some."""
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for cell in row:
                    text = cell if isinstance(cell, bytes) else str(cell).encode()
                    yield text
                    with suppress(zlib.error):
                        yield zlib.decompress(text)


def in_tables(client: Client, sought: dict[str, bytes]) -> list[str]:
    """Tables of a ClickHouse that hold any of it, by every cell; system tables with logs too."""
    found: list[str] = []
    for database, table in client.query("SELECT database, name FROM system.tables WHERE engine LIKE '%MergeTree'").result_rows:
        rows = client.query(f"SELECT * FROM `{database}`.`{table}`").result_rows
        text = "\n".join(map(repr, rows)).encode()
        found += [f"{database}.{table}: {name}" for name, form in sought.items() if form in text]
    return found
