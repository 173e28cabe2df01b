"""The lake: one Delta table that holds what became of every line and every bundle of a day.

`TORUS_LAKE_URL/xapi/statements` is partitioned by `upload_date` and `kind`; each file holds one kind and only its columns. A day
changes in one commit that carries the day as its transaction id, so that two commits of one day from the same snapshot cannot
both succeed (plain appends would, and so would two overwrites of an empty day: seen).
"""

from __future__ import annotations

import json
import shutil
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import deltalake
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from torus_assets.clients.object_store import ObjectStore, open_store, storage_options
from torus_assets.xapi import tables
from torus_assets.xapi.placing import STATISTICS, path_of, statistics

TABLE = "xapi/statements"
PARTITION_BY = ["upload_date", "kind"]
COMMIT_TRIES = 20  # against commits of other days; each time another one got through


class DayChanged(RuntimeError):
    """Somebody else committed this day since the snapshot it was planned on: plan again."""


class LakeMissing(FileNotFoundError):
    """There is no lake table yet: nothing was ingested under this URL."""


class DayFile(NamedTuple):
    """One Parquet file of the table: its place, and what it holds."""

    path: str  # relative to the table's root
    day: date
    kind: str
    rows: int
    bytes: int


class Snapshot:
    """One pinned version of the table: what it says does not change while others write."""

    def __init__(self, url: str, delta: DeltaTable) -> None:
        self.url = url
        self.delta = delta
        self.version = delta.version()
        self._files = _files(delta)

    def files(self, *, kinds: Iterable[str] | None = None, first: date | None = None, last: date | None = None) -> list[DayFile]:
        """Files of the given kinds (all) and days (all, both ends included), in order of day, kind and path."""
        wanted = None if kinds is None else frozenset(kinds)
        start = 0 if first is None else bisect_left(self._files, first, key=_day_of)
        end = len(self._files) if last is None else bisect_right(self._files, last, key=_day_of)
        return [f for f in self._files[start:end] if wanted is None or f.kind in wanted]

    def days(self) -> list[date]:
        return sorted({f.day for f in self._files})

    def transaction_version(self, day: date) -> int:
        """How many commits the day has seen; 0 when none."""
        return self.delta.transaction_version(day.isoformat()) or 0

    @contextmanager
    def local(self, files: Iterable[DayFile], scratch: Path) -> Iterator[list[Path]]:
        """The files as local paths, in the same order; a remote lake's are fetched into `scratch` and removed afterwards."""
        with local_files(self.url, files, scratch) as paths:
            yield paths

    def scan(self, table: str, first: date | None = None, last: date | None = None) -> pl.LazyFrame:
        """Rows of one table (e.g. `part_attempts`) with their `upload_date` and `kind`, read lazily."""
        declared = tables.BY_NAME[table]
        files = self.files(kinds=[declared.kind], first=first, last=last)
        store = open_store(self.url)
        partition = pl.Schema({"upload_date": pl.Date(), "kind": pl.String()})
        if not files:
            empty = pa.schema([*(column.arrow for column in tables.PARTITION_COLUMNS), *declared.schema])
            return pl.LazyFrame(pl.from_arrow(empty.empty_table()))  # pyright: ignore[reportArgumentType]
        return pl.scan_parquet(
            [str(store.path(f.path)) if store.is_local else store.uri(f.path) for f in files],
            hive_partitioning=True,
            hive_schema=partition,
            storage_options=storage_options(self.url) or None,
            missing_columns="insert",
        )

    def ledger(self, first: date | None = None, last: date | None = None) -> pl.DataFrame:
        """The `bundle` rows of the days: one per object read."""
        return self.scan("bundles", first, last).collect()

    def held(self, first: date | None = None, last: date | None = None) -> list[date]:
        """Days whose quarantined share passed the limit when they were last committed."""
        found = self.scan("bundles", first, last).filter(pl.col("held")).select("upload_date").unique().collect()
        return sorted(found["upload_date"].to_list())


@contextmanager
def local_files(url: str, files: Iterable[DayFile], scratch: Path) -> Iterator[list[Path]]:
    """Files below a table's root as local paths, in the same order; a remote table's are fetched into `scratch` and removed afterwards."""
    store = open_store(url)
    if store.is_local:
        yield [store.path(f.path) for f in files]
        return
    folder = scratch / f"lake-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        yield [_fetched(store, f, folder) for f in files]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetched(store: ObjectStore, file: DayFile, folder: Path) -> Path:
    target = folder / file.path.replace("/", "__")
    with target.open("wb") as out:
        for block in store.stream(file.path).chunks:
            out.write(block)
    return target


def _day_of(file: DayFile) -> date:
    return file.day


def _files(delta: DeltaTable) -> list[DayFile]:
    actions = pa.table(delta.get_add_actions(flatten=True))
    if not actions.num_rows:
        return []
    columns = actions.select(["path", "partition.upload_date", "partition.kind", "num_records", "size_bytes"]).to_pydict()
    return sorted(map(DayFile, *columns.values()), key=lambda f: (f.day, f.kind, f.path))


class Lake:
    """The table under one lake URL. Opening it reads nothing; each snapshot reads the log anew."""

    def __init__(self, url: str) -> None:
        self.root = url.rstrip("/")
        self.url = f"{self.root}/{TABLE}"

    def snapshot(self) -> Snapshot:
        """The newest version.

        Raises:
            LakeMissing: nothing was ever committed here.
        """
        try:
            return Snapshot(self.url, self._open())
        except TableNotFoundError:
            raise LakeMissing(f"no lake at {self.url}: run `torus ingest` first") from None

    def _open(self) -> DeltaTable:
        return DeltaTable(self._uri, storage_options=storage_options(self.url) or None)

    @property
    def _uri(self) -> str:
        store = open_store(self.url)
        return str(store.path("_").parent) if store.is_local else self.url

    def ensure(self) -> Snapshot:
        """The newest version, of a table that is made now if there is none; safe when several do it at once."""
        try:
            return self.snapshot()
        except LakeMissing:
            with suppress(CommitFailedError):  # somebody else has just made it
                DeltaTable.create(
                    self._uri,
                    schema=deltalake.Schema.from_arrow(tables.lake_schema()),
                    mode="ignore",
                    partition_by=PARTITION_BY,
                    name="statements",
                    description="What became of every line and every bundle of Torus' xAPI uploads, by upload day.",
                    configuration={"delta.dataSkippingStatsColumns": ",".join(STATISTICS)},
                    storage_options=storage_options(self.url) or None,
                )
            return self.snapshot()

    def place(self, parquet: Path, day: date, kind: str) -> AddAction:
        """Puts a Parquet file where the table wants it; it counts from the commit on that carries the returned action."""
        path = path_of(day, kind, uuid.uuid4().hex)
        metadata = pq.read_metadata(parquet)
        size = parquet.stat().st_size
        open_store(self.url).put(path, parquet)
        return add_action(path, day, kind, size, statistics(metadata))

    def commit(self, snapshot: Snapshot, day: date, added: Sequence[AddAction], replaced: Iterable[DayFile], *, rewrite: bool) -> int:
        """One commit for the day: `added` comes in, and of the day's files `replaced` goes out. Returns a version that has it: the
        next one, or a later one when others committed other days meanwhile.

        Args:
            snapshot: what the change was planned on.
            rewrite: the whole day is replaced (`replaced` is not looked at).

        Raises:
            DayChanged: the day was committed by somebody else since the snapshot.
        """
        filters = [("upload_date", "=", day.isoformat())]
        gone = list(replaced)
        kinds = {f.kind for f in gone}
        if not rewrite and kinds:
            [kind] = kinds  # only the ledger is ever replaced alone
            filters.append(("kind", "=", kind))
        planned_on = snapshot.transaction_version(day)
        properties = CommitProperties(
            app_transactions=[Transaction(day.isoformat(), planned_on + 1)], custom_metadata={"day": day.isoformat(), "writer": "torus"}
        )
        actions: list[AddAction | RemoveAction] = list(added)
        for _ in range(COMMIT_TRIES):
            delta = (
                self._open()
            )  # commits of other days since the snapshot would make an overwrite fail, though they are none of its business
            if (delta.transaction_version(day.isoformat()) or 0) != planned_on:
                break
            try:
                delta.create_write_transaction(
                    actions, "overwrite" if rewrite or gone else "append", delta.schema(), PARTITION_BY, filters if rewrite or gone else None,
                    commit_properties=properties,
                )  # fmt: skip
            except CommitFailedError:
                continue  # somebody else was first: with this day, or with another one
            return self._open().version()
        raise DayChanged(f"{day}: the day was committed by somebody else since it was planned")

    def vacuum(self, keep: timedelta, *, dry_run: bool) -> list[str]:
        """Removes files that no version younger than `keep` needs, files of killed ingests included. Returns their paths."""
        hours = int(keep.total_seconds() // 3600)
        return self._open().vacuum(retention_hours=hours, dry_run=dry_run, enforce_retention_duration=False, full=True)


def add_action(path: str, day: date, kind: str, size: int, stats: Mapping[str, Any]) -> AddAction:
    """What a commit says of a file that stands in its place already."""
    return AddAction(
        path=path,
        size=size,
        partition_values={"upload_date": day.isoformat(), "kind": kind},
        modification_time=int(datetime.now(UTC).timestamp() * 1000),
        data_change=True,
        stats=json.dumps(stats),
    )
