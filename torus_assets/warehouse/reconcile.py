"""Compares lake and ClickHouse: per section and month by number of events and a checksum over them, then event by event where those differ.

The checksum is the exclusive or of the first 64 bits of each event's hash: it does not depend on order and is computed where
the data is. Only sections and months that differ are fetched.
"""

from __future__ import annotations

import shutil
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import polars as pl
from clickhouse_connect.driver.client import Client

from torus_assets.warehouse import schema
from torus_assets.warehouse.load import BOUNDED
from torus_assets.warehouse.schema import sql
from torus_assets.xapi import tables
from torus_assets.xapi.lake import Snapshot

FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(2149, 6, 6)  # the range of ClickHouse's Date
BUNDLES_NAMED = 20
MINE = "(upload_date BETWEEN {first:Date} AND {last:Date} AND row_digest != 0)"

Group = tuple[int, int]  # section, month as YYYYMM


class Difference(NamedTuple):
    """One section and month in which lake and ClickHouse differ, in events."""

    section_id: int
    month: int
    lake: int
    warehouse: int
    missing: int  # in the lake, not in ClickHouse
    extra: int  # in ClickHouse, not in the lake
    doubled: int  # rows of ClickHouse beyond one per event


class Comparison(NamedTuple):
    """What lake and ClickHouse hold of the days."""

    first: date
    last: date
    version: int  # of the lake
    lake_events: int  # distinct events of the days
    warehouse_rows: int  # rows that came from these days; an event of several days counts in the earliest loaded one
    differences: tuple[Difference, ...]
    missing_by_day: dict[date, int]
    extra_by_day: dict[date, int]
    bundles: tuple[str, ...]  # some of the objects whose events are missing
    held: tuple[date, ...]  # days left out, as they are held and not loaded
    notes: tuple[str, ...] = ()

    @property
    def reconciles(self) -> bool:
        return not self.differences

    @property
    def missing(self) -> int:
        return sum(d.missing for d in self.differences)

    @property
    def extra(self) -> int:
        return sum(d.extra for d in self.differences)


def compare_day(client: Client, snapshot: Snapshot, day: date, *, scratch: Path) -> Comparison:
    """`compare` of one day."""
    return compare(client, snapshot, day, day, scratch=scratch)


def compare(client: Client, snapshot: Snapshot, first: date | None = None, last: date | None = None, *, scratch: Path) -> Comparison:
    """Compares the days from `first` to `last`, both included; without them, everything.

    Args:
        scratch: folder for the lake's hashes (36 bytes an event), removed afterwards.
    """
    first, last = first or FIRST_DAY, last or LAST_DAY
    target = schema.inspect(client) if client.command("EXISTS TABLE raw_events") else None
    if target is None:
        schema.ensure(client)
        target = schema.inspect(client)
    held = _held(client, snapshot, first, last, ours=target.is_ours)
    with _lake_hashes(snapshot, first, last, held, scratch) as lake:
        side = _Sides(client, lake, first, last, ours=target.is_ours)
        return side.compare(snapshot, held)


def _held(client: Client, snapshot: Snapshot, first: date, last: date, *, ours: bool) -> list[date]:
    """Held days that nobody loaded in spite of it."""
    held = snapshot.held(first, last)
    if not held or not ours:
        return held
    loaded = {row[0] for row in client.query(sql("loaded_days"), parameters={"days": held}).result_rows}
    return [day for day in held if day not in loaded]


@contextmanager
def _lake_hashes(snapshot: Snapshot, first: date, last: date, left_out: list[date], scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with one row per event of the days: section, month, high, low, day (the earliest). It spills to `scratch`."""
    folder = scratch / f"reconcile-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        for table in tables.EVENT_TABLES:
            narrow = snapshot.scan(table.name, first, last).filter(~pl.col("upload_date").is_in(left_out)).select(*_NARROW)
            narrow.sink_parquet(folder / f"{table.name}.parquet")
        lake = duckdb.connect(
            str(folder / "lake.duckdb"), config={"memory_limit": "500MB", "threads": 2, "temp_directory": str(folder / "spill")}
        )
        try:
            lake.execute(sql("lake_events"), {"files": str(folder / "*.parquet")})
            yield lake
        finally:
            lake.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _word(offset: int) -> pl.Expr:
    return pl.col("event_hash").str.slice(offset, 16).str.decode("hex").bin.reinterpret(dtype=pl.UInt64, endianness="big")


_NARROW = (
    _word(0).alias("high"),
    _word(16).alias("low"),
    pl.col("section_id"),
    (pl.col("timestamp").dt.year() * 100 + pl.col("timestamp").dt.month()).alias("month"),
    pl.col("upload_date").alias("day"),
)


class _Sides(NamedTuple):
    client: Client
    lake: duckdb.DuckDBPyConnection
    first: date
    last: date
    ours: bool

    def compare(self, snapshot: Snapshot, held: list[date]) -> Comparison:
        lake = _groups(self.lake.execute(sql("lake_groups")).fetchall())
        there = _groups(self.client.query(self._sql("reconcile_groups"), parameters=self._days, settings=BOUNDED).result_rows)
        differing = sorted(group for group in lake.keys() | there.keys() if lake.get(group) != there.get(group))
        missing: Counter[date] = Counter()
        extra: Counter[date] = Counter()
        self.lake.execute("CREATE TABLE missing (high UBIGINT, low UBIGINT, day DATE)")
        looked = [self._difference(group, lake.get(group, (0, 0))[0], extra) for group in differing]
        for day, number in self.lake.execute("SELECT day, count(*) FROM missing GROUP BY day").fetchall():
            missing[day] = number
        return Comparison(
            self.first, self.last, snapshot.version,
            sum(n for n, _ in lake.values()), sum(n for n, _ in there.values()),
            tuple(d for d in looked if d.missing or d.extra or d.doubled),
            dict(sorted(missing.items())), dict(sorted(extra.items())),
            self._bundles(snapshot, missing), tuple(held),
            () if self.ours else ("raw_events does not say which day a row came from: only missing events are looked for",),
        )  # fmt: skip

    @property
    def _days(self) -> dict[str, Any]:
        return {"first": self.first, "last": self.last}

    def _sql(self, name: str) -> str:
        names = {"mine": MINE if self.ours else "true"}
        if name == "reconcile_events":
            names["upload_date"] = "upload_date" if self.ours else "toDate(0)"
        return sql(name, **names)

    def _difference(self, group: Group, in_lake: int, extra: Counter[date]) -> Difference:
        """Event by event. An event that ClickHouse has under a day outside the range is not missing."""
        bound = {**self._days, "section": group[0], "month": group[1]}
        there = self.client.query_arrow(self._sql("reconcile_events"), parameters=bound, settings=BOUNDED)
        self.lake.register("there", there)
        at = {"section": group[0], "month": group[1]}
        before = self._one("SELECT count(*) FROM missing")
        self.lake.execute(sql("lake_missing"), at)
        surplus = self.lake.execute(sql("lake_extra"), at).fetchall() if self.ours else []
        rows, doubled = self.lake.execute(sql("lake_doubled")).fetchall()[0]
        self.lake.unregister("there")
        extra.update({_day(day): number for day, number in surplus})
        missing = self._one("SELECT count(*) FROM missing") - before
        return Difference(*group, in_lake, rows, missing, sum(n for _, n in surplus), doubled if self.ours else 0)

    def _one(self, statement: str) -> int:
        return self.lake.execute(statement).fetchall()[0][0]

    def _bundles(self, snapshot: Snapshot, missing: Counter[date]) -> tuple[str, ...]:
        """Objects whose events are missing, some of them."""
        if not missing:
            return ()
        examples = self.lake.execute("SELECT high, low FROM missing ORDER BY day, high LIMIT 1000").fetchall()
        hashes = pl.LazyFrame(examples, schema={"high": pl.UInt64, "low": pl.UInt64}, orient="row")
        found: set[str] = set()
        for table in tables.EVENT_TABLES:
            events = snapshot.scan(table.name, min(missing), max(missing)).select(
                "source_file", _word(0).alias("high"), _word(16).alias("low")
            )
            found.update(
                events.join(hashes, on=["high", "low"], how="semi").select("source_file").unique().collect()["source_file"].drop_nulls()
            )
        return tuple(sorted(found)[:BUNDLES_NAMED])


def _groups(rows: Any) -> dict[Group, tuple[int, int]]:
    return {(section, month): (number, checksum) for section, month, number, checksum in rows}


def _day(day: Any) -> date:
    return day if isinstance(day, date) else date.fromordinal(FIRST_DAY.toordinal() + int(day))
