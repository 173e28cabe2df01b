"""The arrivals table: every bundle that some source has told us of and that the ledger may not have yet.

Parquet files by upload day, ``xapi/arrivals/upload_date=YYYY-MM-DD/{digest}.parquet`` in the lake store: the columns of the bundle
index and `seen_at`. A file is named after what it says and only ever created, so writing the same rows again changes nothing.
An arrival is *pending* until the ledger has its key under its etag, or under a newer one; files without pending rows are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime
from io import BytesIO

import polars as pl
import pyarrow as pa

from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi.bundle_index import SCHEMA, Bundle, as_table
from torus_assets.xapi.lake import Snapshot

PREFIX = "xapi/arrivals/upload_date="
THREADS = 16
READINGS = 5  # of a table whose files are being replaced while it is read
FILES_PER_DAY = 32  # more, and the pending rows of the day are written anew as one
COLUMNS = tuple(SCHEMA.names)
_UTC = pl.Datetime("us", "UTC")
_TYPES = {pa.string(): pl.String(), pa.int64(): pl.Int64(), pa.timestamp("us", "UTC"): _UTC}
ROWS = pl.Schema({**{column.name: _TYPES[column.type] for column in SCHEMA}, "seen_at": _UTC})
ROWS_IN_FILES = pl.Schema({**ROWS, "file": pl.String()})

_DAY = pl.col("uploaded_at").dt.date()

Pending = dict[date, pl.DataFrame]  # by upload day in ascending order: rows in the columns of ROWS, one per key


def add(store: ObjectStore, rows: Iterable[Bundle], seen_at: datetime) -> int:
    """Writes arrivals, a file per upload day; how many files are new.

    Args:
        store: the lake store.
        rows: `told_by` says which source told of them.
        seen_at: when that was (UTC); of rows written before, the first time stays.
    """
    return add_frame(store, frame_of(list(rows), seen_at))


def add_frame(store: ObjectStore, frame: pl.DataFrame) -> int:
    """The same, of rows in the columns of `ROWS`."""
    new = 0
    for day, rows in by_day(frame).items():
        body = BytesIO()
        rows.write_parquet(body, compression="zstd")
        with suppress(FileExistsError):
            store.put(file_of(day, rows), body.getvalue(), mode="create")
            new += 1
    return new


def frame_of(rows: Sequence[Bundle], seen_at: datetime) -> pl.DataFrame:
    """Arrivals in the columns of `ROWS`."""
    return pl.DataFrame(as_table(rows)).with_columns(pl.lit(seen_at, _UTC).alias("seen_at"))


def read(store: ObjectStore, first: date | None = None, last: date | None = None) -> pl.DataFrame:
    """All rows of the days (all days), with the key of their `file`; pending or not, a key as often as it was told of.

    Costs one listing, and one get per file. Files that vanish meanwhile were settled or written anew: the table is read again.
    """
    for _ in range(READINGS - 1):
        with suppress(FileNotFoundError):
            return _read(store, _files(store, first, last))
    return _read(store, _files(store, first, last))


def pending(store: ObjectStore, snapshot: Snapshot | None, ledgers: Ledgers | None = None) -> Pending:
    """What the ledger does not have yet, by day; one row per key, of the newest object. An empty table reads no ledger.

    Args:
        snapshot: the lake; None when there is none yet.
        ledgers: keeps what was read of ledgers between calls.
    """
    rows = read(store)
    return by_day(waiting(rows, (ledgers or Ledgers()).of(snapshot, days_of(rows))))


def settle(store: ObjectStore, rows: pl.DataFrame, still: pl.DataFrame, gone: Collection[str] = ()) -> int:
    """Removes the files of which nothing is pending; days of many files, or with rows of gone objects, are written anew as one.

    Args:
        rows: what `read` gave.
        still: those of them that are pending (`waiting`).
        gone: keys whose object no longer exists; their rows go.

    Returns:
        How many files went.
    """
    stays = ~pl.col("key").is_in(list(gone))
    kept = still.with_columns(_DAY.alias("day"), stays.alias("stays"))
    anew = kept.group_by("day").agg(files=pl.col("file").n_unique(), whole=pl.col("stays").all())
    anew = anew.filter((pl.col("files") > FILES_PER_DAY) | ~pl.col("whole"))["day"]
    done = set(rows["file"]) - set(kept["file"])
    for day in anew:
        ours = kept.filter(pl.col("day") == day)
        one = newest(ours.filter("stays")).select(ROWS.names())
        add_frame(store, one)
        done |= set(ours["file"]) - {file_of(day, one)}
    store.delete(sorted(done))
    return len(done)


def waiting(rows: pl.DataFrame, ledger: pl.DataFrame) -> pl.DataFrame:
    """The rows that the ledger does not have: no such key, or another etag and an older object (the rule of `ledger.plan_day`)."""
    changed = (pl.col("etag") != pl.col("read_etag")) & (pl.col("last_modified") > pl.col("read_modified"))
    joined = rows.join(ledger, on="key", how="left")
    return joined.filter(pl.col("read_etag").is_null() | changed).select(rows.columns)


def newest(rows: pl.DataFrame) -> pl.DataFrame:
    """One row per key: the latest object, of two of one second what was seen last. By ascending key."""
    return rows.sort("key", "last_modified", "seen_at", "etag").unique("key", keep="last", maintain_order=True)


def by_day(rows: pl.DataFrame) -> Pending:
    """The newest row of each key, by upload day."""
    parts = newest(rows).select(*ROWS.names(), _DAY.alias("day")).partition_by("day", as_dict=True, include_key=False)
    return {day: parts[day,] for [day] in sorted(parts)}


def days_of(rows: pl.DataFrame) -> list[date]:
    """The upload days that occur, ascending."""
    return sorted(rows["uploaded_at"].dt.date().unique())


def digest(rows: pl.DataFrame) -> str:
    """Names a set of arrivals by their keys and etags, whatever the order, the source and the time."""
    text = rows.select(pl.concat_str("key", "etag", separator="\t").alias("line")).unique().sort("line")["line"].str.join("\n")
    return hashlib.sha256(text.item().encode()).hexdigest()[:32]


def file_of(day: date, rows: pl.DataFrame) -> str:
    """Where a file of these rows stands."""
    return f"{PREFIX}{day.isoformat()}/{digest(rows)}.parquet"


def as_bundles(rows: pl.DataFrame) -> pa.Table:
    """The rows in the columns of the bundle index."""
    return pa.table(rows.select(COLUMNS).to_arrow()).cast(SCHEMA)


def _files(store: ObjectStore, first: date | None, last: date | None) -> list[str]:
    found: list[str] = []
    for info in store.list(PREFIX, after=PREFIX + first.isoformat() if first else None):
        day = info.key.removeprefix(PREFIX).partition("/")[0]
        if last and day > last.isoformat():
            break
        if info.key.endswith(".parquet"):
            found.append(info.key)
    return found


def _read(store: ObjectStore, files: Sequence[str]) -> pl.DataFrame:
    if not files:
        return ROWS_IN_FILES.to_frame()
    with ThreadPoolExecutor(THREADS) as pool:
        bodies = list(pool.map(lambda file: store.get(file).body, files))
    return pl.concat(
        pl.read_parquet(BytesIO(body), hive_partitioning=False).select(*ROWS.names(), pl.lit(file).alias("file")).cast(ROWS_IN_FILES)
        for file, body in zip(files, bodies, strict=True)
    )
