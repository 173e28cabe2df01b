"""Brings one day of the lake into `raw_events`: what is not there is inserted, what changed is rewritten, what is gone goes.

Safe to kill at any point and to repeat, in any order of days. Rows go through a staging table; the decision about each row is
taken in ClickHouse, in chunks, so that memory does not grow with the day or with the table.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from torus_assets.clients.clickhouse import is_embedded, serial
from torus_assets.warehouse import schema
from torus_assets.warehouse.schema import Target, listed, sql
from torus_assets.xapi import tables
from torus_assets.xapi.lake import DayFile, Snapshot

CHUNK_ROWS = 1_000_000  # hashes held in memory at once: some 40 MB a set of 16-byte keys
PARTS_AT_MOST = 150  # of a month, before the next load; 2 M rows come in as some 50
CATCH_UP_SECONDS = 300
WORK_TABLES = ("file", "stage", "found", "changes", "homes", "fresh", "rebuilt", "learner")
BOUNDED = {  # in chDB a day of 2 M rows peaks at 450 MB of private memory, and 750 with the engine's mapped library
    "max_threads": 1,  # a second one costs memory and more CPU time in all
    "max_insert_threads": 1,
    "max_parsing_threads": 1,
    "max_compress_block_size": 131_072,
    "min_insert_block_size_rows": 65_536,
    "min_insert_block_size_bytes": 32_000_000,
    "input_format_parquet_memory_high_watermark": 33_554_432,
}

Progress = Callable[[str, int, int], None]  # step, done, of how many


class HeldDay(RuntimeError):
    """The day is held: too many of its lines were refused."""


class MissingDay(LookupError):
    """The lake has no such day."""


class LoadError(RuntimeError):
    """The warehouse does not hold what was sent to it; running the load again is safe."""


class LoadResult(NamedTuple):
    """What became of one day's rows: `staged = inserted + present + replaced`."""

    day: date
    staged: int  # rows of the lake's day
    inserted: int  # were not there
    present: int  # were there, and stay as they are
    replaced: int  # were there with other columns, or under a later day
    deleted: int  # were there, and no day of the lake has them any more
    rehomed: int  # were there, and now only another day of the lake has them
    seconds: float
    rows_total: int  # rows of the table afterwards
    notes: tuple[str, ...] = ()  # what the table at hand did not allow


class Chunk(NamedTuple):
    """Part of the staged rows: one month, one slice of the hashes."""

    month: int
    first: str
    last: str
    slices: int
    slice: int


def load_day(
    client: Client,
    snapshot: Snapshot,
    day: date,
    *,
    scratch: Path,
    include_held: bool = False,
    progress: Progress | None = None,
) -> LoadResult:
    """Makes `raw_events` hold the lake's day, every event once.

    Args:
        scratch: folder for files fetched from a remote lake.
        include_held: loads a day even if it is held.
        progress: told of each step: its name, how much is done, of how much.

    Raises:
        MissingDay: the lake does not have the day.
        HeldDay: the day is held and `include_held` is false.
        UnfitTable: an existing `raw_events` cannot take our rows.
        LoadError: the warehouse does not hold what was sent; nothing is lost, run again.
    """
    started = time.monotonic()
    if day not in snapshot.days():
        raise MissingDay(f"the lake (version {snapshot.version}) has no day {day}: ingest it first")
    if not include_held and day in snapshot.held(day, day):
        raise HeldDay(
            f"{day} is held: too many of its lines were refused; look at `torus quarantine list`, then load it with --include-held (in the UI: include_held)"
        )
    with serial(client):
        load = _Load(client, snapshot, day, scratch, schema.ensure(client), progress or (lambda *_: None), include_held)
        load.clear()
        with load.merges_paused():
            result = load.run()
            load.clear()
    return result._replace(seconds=time.monotonic() - started)


@dataclass
class _Load:
    client: Client
    snapshot: Snapshot
    day: date
    scratch: Path
    target: Target
    progress: Progress
    include_held: bool
    notes: list[str] = field(default_factory=list)

    def clear(self) -> None:
        """Drops the work tables, those of a killed load too."""
        for name in WORK_TABLES:
            self.client.command(f"DROP TABLE IF EXISTS raw_events__{name} SYNC")

    @contextmanager
    def merges_paused(self) -> Iterator[None]:
        """Keeps chDB from merging the same rows again and again while they come in: 36 of 54 CPU seconds for 2 M rows.

        In chDB only: a server would stay like that if this process were killed. Afterwards merges catch up, so that loading
        day after day does not pile up parts until ClickHouse refuses more.
        """
        if not is_embedded(self.client):
            yield
            return
        self.client.command("SYSTEM STOP MERGES raw_events")
        try:
            yield
        finally:
            self.client.command("SYSTEM START MERGES raw_events")
        for _ in range(CATCH_UP_SECONDS):
            if self._count("most_parts", {}) <= PARTS_AT_MOST:
                break
            time.sleep(1)

    def run(self) -> LoadResult:
        self._create()
        staged = self._stage(self.snapshot.files(kinds=tables.EVENT_KINDS, first=self.day, last=self.day), "raw_events__stage", self.day)
        chunks = self._chunks(staged)
        there = self._find(chunks)
        marked = self._mark(chunks, staged)
        self._insert(chunks)
        changed, moved, deleted, rehomed = self._rewrite(marked, staged)
        self._verify(chunks)
        [(total,)] = self.client.query("SELECT count() FROM raw_events").result_rows
        replaced = changed + moved
        inserted = staged - there - min(moved, staged - there)  # a moved row was absent at its new time, unless a load was killed since
        return LoadResult(
            self.day, staged, inserted, staged - inserted - replaced, replaced, deleted, rehomed, 0.0, total, tuple(self.notes)
        )

    def _create(self) -> None:
        plain, content = schema.definitions(documented=False), listed(n for n in schema.columns() if n != "upload_date")
        for name in ("stage", "fresh"):
            self.client.command(sql("create_staged", table=f"raw_events__{name}", definitions=plain, content=content))
        for name in ("found", "changes", "homes"):
            self.client.command(sql(f"create_{name}"))
        if not is_embedded(self.client):
            self.client.command(sql("create_file", definitions=schema.landing_definitions()))

    def _do(self, statement: str, bound: Mapping[str, Any]) -> None:
        """Runs a heavy statement. chDB's allocator keeps what it freed for seconds (200 MB in a load), so ask for it back."""
        self.client.command(statement, parameters=dict(bound), settings=BOUNDED)
        if is_embedded(self.client):
            self.client.command("SYSTEM JEMALLOC PURGE")

    # --- 1. staging

    def _stage(self, files: list[DayFile], table: str, day: date, *, only: str = "") -> int:
        """Puts the files' rows into a work table and counts them there: a client once stored a part and reported success."""
        expected = sum(f.rows for f in files)
        with self.snapshot.local(files, self.scratch) as paths:
            for number, (file, path) in enumerate(zip(files, paths, strict=True)):
                self._stage_file(file, path, table, day, only)
                self.progress("stage", number + 1, len(files))
        [(rows, distinct)] = self.client.query(sql("staged_counts", table=table), settings=BOUNDED).result_rows
        if not only and not rows == distinct == expected:
            raise LoadError(f"{day}: the lake holds {expected} rows, {rows} arrived in ClickHouse, {distinct} of them different events")
        return rows

    def _stage_file(self, file: DayFile, path: Path, table: str, day: date, only: str) -> None:
        declared = tables.BY_KIND[file.kind]
        made = schema.expressions(declared)
        bound: dict[str, object] = {"day": day, "kind": file.kind, "event_type": tables.EVENT_TYPES[file.kind]}
        if is_embedded(self.client):
            source, bound["path"] = "file({path:String}, Parquet)", str(path)
        else:
            source = "raw_events__file"
            self.client.command("TRUNCATE TABLE raw_events__file SYNC")
            with path.open("rb") as body:
                self.client.raw_insert("raw_events__file", [c.name for c in declared.columns], body, fmt="Parquet", settings=BOUNDED)
            [(landed,)] = self.client.query("SELECT count() FROM raw_events__file").result_rows
            if landed != file.rows:
                raise LoadError(f"{file.path}: {file.rows} rows in the lake, {landed} arrived in ClickHouse")
        statement = sql("stage", table=table, columns=listed(made), expressions=", ".join(made.values()), source=source + only)
        self._do(statement, bound)

    def _chunks(self, staged: int) -> list[Chunk]:
        months = self.client.query(sql("chunks")).result_rows if staged else []
        chunks: list[Chunk] = []
        for month, rows, first, last in months:
            chunks += [Chunk(month, first, last, **part) for part in _slices(rows)]
        return chunks

    # --- 2. inserting what is not there

    def _find(self, chunks: list[Chunk]) -> int:
        """Looks up which staged events are there. Returns how many."""
        known = self.target.is_ours
        find = sql("find", upload_date="upload_date" if known else "toDate(0)", row_digest="row_digest" if known else "toUInt64(0)")
        for number, chunk in enumerate(chunks):
            self._do(find, chunk._asdict())
            self.progress("look up", number + 1, len(chunks))
        return sum(self._count("found_events", chunk._asdict()) for chunk in chunks)

    def _insert(self, chunks: list[Chunk]) -> None:
        """Inserts the staged events that were not found."""
        insert = sql("insert_absent", columns=listed(self.target.writable))
        for number, chunk in enumerate(chunks):
            self._do(insert, chunk._asdict())
            self.progress("insert", number + 1, len(chunks))

    def _verify(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            [(rows, distinct)] = self.client.query(sql("verify"), parameters=chunk._asdict(), settings=BOUNDED).result_rows
            expected = self._count("chunk_rows", chunk._asdict())
            if distinct != expected or (rows != expected and self.target.is_ours):
                raise LoadError(
                    f"{self.day}, month {chunk.month}: {expected} events staged, {distinct} of them in raw_events, in {rows} rows"
                )

    def _count(self, statement: str, bound: Mapping[str, Any]) -> int:
        [(rows,)] = self.client.query(sql(statement), parameters=dict(bound), settings=BOUNDED).result_rows
        return rows

    # --- 3. what changed, moved or went

    def _mark(self, chunks: list[Chunk], staged: int) -> dict[str, int]:
        """Notes the rows that raw_events has to lose. Returns how many, by reason: changed, moved, gone."""
        if not self.target.is_ours:
            self.notes.append(
                "raw_events has no upload_date and row_digest of ours: rows that changed or went in the lake stay as they are"
            )
            return {}
        for chunk in chunks:
            self._do(sql("mark_changed"), {**chunk._asdict(), "day": self.day})
        for part in _slices(staged):
            self._do(sql("mark_obsolete"), {"day": self.day, **part})
        return {str(reason): int(count) for reason, count in self.client.query(sql("reasons")).result_rows}

    def _rewrite(self, marked: dict[str, int], staged: int) -> tuple[int, int, int, int]:
        """Rewrites the months that hold marked rows. Returns the numbers of rows changed, moved, deleted and rehomed."""
        if not marked:
            return 0, 0, 0, 0
        for part in _slices(staged):
            self._do(sql("refresh", columns=listed(schema.columns())), part)
        rehomed = self._rehome() if "gone" in marked else 0
        self._rebuild()
        return marked.get("changed", 0), marked.get("moved", 0), marked.get("gone", 0) - rehomed, rehomed

    def _rehome(self) -> int:
        """Stages events that the day lost from the earliest other day that has them. Returns how many there are."""
        gone = pl.LazyFrame(
            {"event_hash": [row[0] for row in self.client.query(sql("gone")).result_rows]}, schema={"event_hash": pl.String}
        )
        refused = {self.day} if self.include_held else {self.day, *self.snapshot.held()}
        homes = _homes(self.snapshot, gone, refused)
        self.client.insert_arrow("raw_events__homes", homes.select("event_hash", "upload_date").to_arrow().cast(HOMES))
        for (home, kind), _ in homes.group_by("upload_date", "kind", maintain_order=True):
            files = self.snapshot.files(kinds=[str(kind)], first=home, last=home)  # pyright: ignore[reportArgumentType]
            self._stage(files, "raw_events__fresh", home, only=f" WHERE {sql('only_homes')}")  # pyright: ignore[reportArgumentType]
        return homes.height

    def _rebuild(self) -> None:
        """Writes the months concerned anew beside the table and swaps them in: one atomic step a month."""
        everything = listed(self.target.types)
        months = self.client.query(sql("months_to_rebuild")).result_rows
        for number, (month, lost, fresh) in enumerate(months):
            before = self._count("month_rows", {"month": month})
            self.client.command("DROP TABLE IF EXISTS raw_events__rebuilt SYNC")
            self.client.command("CREATE TABLE raw_events__rebuilt AS raw_events")
            for part in _slices(lost + fresh):
                self._do(sql("keep", columns=everything), {"month": month, **part})
            self._do(sql("add_fresh", columns=listed(self.target.writable)), {"month": month})
            [(rebuilt,)] = self.client.query("SELECT count() FROM raw_events__rebuilt").result_rows
            if self._count("month_rows", {"month": month}) != before:
                raise LoadError(f"month {month} of raw_events changed while it was being rebuilt: another writer is at work; run again")
            self._do(sql("replace_month" if rebuilt else "drop_month"), {"month": month})
            self.progress("rebuild", number + 1, len(months))


def _slices(rows: int) -> list[dict[str, int]]:
    """Bound values that part rows by their hash into slices of at most about CHUNK_ROWS; at least one."""
    slices = -(-rows // CHUNK_ROWS) or 1
    return [{"slices": slices, "slice": number} for number in range(slices)]


HOMES = pa.schema([pa.field("event_hash", pa.string()), pa.field("upload_date", pa.date32())])


def _homes(snapshot: Snapshot, gone: pl.LazyFrame, refused: Iterable[date]) -> pl.DataFrame:
    """Of the events, those that a day other than `refused` holds: event_hash, upload_date (the earliest), kind."""
    frames = [
        snapshot.scan(table.name)
        .select("event_hash", "upload_date", "kind")
        .filter(~pl.col("upload_date").is_in(list(refused)))
        .join(gone, on="event_hash", how="semi")
        for table in tables.EVENT_TABLES
    ]
    found = pl.concat(frames).collect()
    return found.sort("upload_date", "kind").unique("event_hash", keep="first", maintain_order=True)


def counts(client: Client) -> dict[str, tuple[int, int]]:
    """Rows and distinct events per `event_type`; equal numbers mean that nothing is doubled."""
    return {str(kind): (rows, events) for kind, rows, events in client.query(sql("counts"), settings=BOUNDED).result_rows}
