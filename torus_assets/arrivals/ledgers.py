"""What the ledger has of some days: keys with etags, kept in memory for as long as nobody commits to the day."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

import polars as pl

from torus_assets.xapi.lake import Snapshot

ROWS = 2_000_000  # kept at most, at about 200 bytes each; the days asked for last stay
READ = pl.Schema({"key": pl.String(), "read_etag": pl.String(), "read_modified": pl.Datetime("us", "UTC")})


class _Day(NamedTuple):
    version: int  # commits that the day has seen
    rows: pl.DataFrame


class Ledgers:
    """The ledgers of days, read once per commit of the day. For one thread."""

    def __init__(self, rows: int = ROWS) -> None:
        self._limit = rows
        self._days: dict[tuple[str, date], _Day] = {}  # by lake table and day, the days asked for last at the end

    def of(self, snapshot: Snapshot | None, days: Iterable[date]) -> pl.DataFrame:
        """Every object that the ledger has of the days, in the columns of `READ`.

        Costs nothing for days whose last commit was looked at before, else one read of three columns of the day's ledger
        (200,000 objects: about 0.1 s from a local disk).
        """
        wanted = sorted(set(days))
        if snapshot is None or not wanted:
            return READ.to_frame()
        table = f"{snapshot.url} {snapshot.delta.metadata().id}"  # a lake made anew at the same place starts its counts again
        found = {day: self._days.pop((table, day), None) for day in wanted}
        versions = {day: snapshot.transaction_version(day) for day in wanted}
        stale = [day for day, kept in found.items() if kept is None or kept.version != versions[day]]
        for day, rows in zip(stale, pl.collect_all([_scan(snapshot, day) for day in stale]), strict=True):
            found[day] = _Day(versions[day], rows)
        known = {(table, day): kept for day, kept in found.items() if kept is not None}
        self._days |= known
        self._shrink()
        return pl.concat([READ.to_frame(), *(kept.rows for kept in known.values())])

    def _shrink(self) -> None:
        total = sum(kept.rows.height for kept in self._days.values())
        for place in list(self._days):
            if total <= self._limit:
                return
            total -= self._days.pop(place).rows.height


def _scan(snapshot: Snapshot, day: date) -> pl.LazyFrame:
    return snapshot.scan("bundles", day, day).select(
        "key", pl.col("source_etag").alias("read_etag"), pl.col("last_modified").alias("read_modified").cast(pl.Datetime("us", "UTC"))
    )
