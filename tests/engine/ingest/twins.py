"""One bundle store and two lakes made of it, one by each engine: whatever happens, they hold the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.testing import assert_frame_equal

from tests.xapi.forgetful import ADA, AT, HOME, KEY
from torus_assets.clients.folder_store import FolderStore
from torus_assets.clients.object_store import Fetched, ObjectStore, PutMode, open_store
from torus_assets.engine.ingest.days import DaysDone, ingest_days
from torus_assets.xapi import bundle_index, tables
from torus_assets.xapi import day as day_here
from torus_assets.xapi.ingest import IngestOptions, IngestResult, Stage
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import RowsWouldVanish
from torus_assets.xapi.tombstones import leave

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Twins:
    """Everything below one URL."""

    url: str
    scratch: Path

    @property
    def bundles(self) -> ObjectStore:
        return open_store(f"{self.url}/xapi")

    @property
    def lakes(self) -> tuple[Lake, Lake]:
        """That of the local engine, that of Spark."""
        return Lake(f"{self.url}/here"), Lake(f"{self.url}/spark")

    def put(self, key: str, lines: Sequence[bytes]) -> None:
        self.bundles.put(key, b"\n".join(lines))

    def index(self, days: Sequence[date]) -> None:
        """Both lakes know the objects as the store has them now."""
        found = bundle_index.index_days(self.bundles, None, min(days), max(days), listing="always")
        for lake in self.lakes:
            bundle_index.write_index(open_store(lake.root), found)

    def forget(self) -> None:
        for lake in self.lakes:
            leave(open_store(lake.root), KEY, HOME, ADA, AT, "tests")

    def ingest(self, spark: SparkSession, days: Sequence[date], progress: Stage = lambda *_: None, **options: Any) -> DaysDone:
        """Both engines bring the days up to date, and tell the same of each."""
        self.index(days)
        made = IngestOptions(**{"max_quarantined_share": 1.0, "workers": 1, **options})
        here = {day: self.here(day, made) for day in days}
        done = ingest_days(spark, self.lakes[1], self.bundles, days, made, tombstone_key=KEY, progress=progress)
        assert {day: told(one) for day, one in here.items()} == {day: told(one) for day, one in {**done.results, **done.refused}.items()}
        self.are_equal()
        return done

    def here(self, day: date, options: IngestOptions) -> IngestResult | RowsWouldVanish:
        try:
            return day_here.ingest(self.lakes[0], self.bundles, day, self.scratch, options, tombstone_key=KEY)
        except RowsWouldVanish as refused:
            return refused

    def are_equal(self) -> None:
        """Every column of every row of every table, the ledger among them."""
        for table in tables.TABLES:
            one, two = (contents(lake, table.name) for lake in self.lakes)
            assert_frame_equal(one, two)


def told(one: IngestResult | RowsWouldVanish) -> dict[str, Any] | str:
    """All that a result says but its times and versions."""
    return str(one) if isinstance(one, RowsWouldVanish) else {**one.document(), "seconds": 0, "bytes": one.bytes_read, "reason": one.reason}


def contents(lake: Lake, table: str) -> pl.DataFrame:
    """Rows of a table in an order of our own."""
    rows = lake.snapshot().scan(table).collect()
    return rows.select(sorted(rows.columns)).sort("upload_date", "source_file", *(["source_line"] if "source_line" in rows.columns else []))


class Deadly(FolderStore):
    """A store whose process is killed, once in all processes: when it was asked for something, and (`after`) has done it."""

    def __init__(self, root: str, marker: str, at: str) -> None:
        super().__init__(root)
        self.marker = marker
        self.at = at

    def __reduce__(self) -> Any:
        return Deadly, (self.root, self.marker, self.at)

    def get(self, key: str) -> Fetched:
        if self.at in key:
            self._die()
        return super().get(key)

    def put(self, key: str, body: bytes | Path, mode: PutMode = "overwrite") -> None:
        super().put(key, body, mode)
        if self.at in key:
            self._die()

    def _die(self) -> None:
        try:
            os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
