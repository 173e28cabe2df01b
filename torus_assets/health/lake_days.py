"""What lake, arrivals and spool say of each upload day: how far it is, since when, and what a killed run left."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from torus_assets.arrivals import table
from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi.day_content import NOTHING, day_contents
from torus_assets.xapi.decode import LOCK
from torus_assets.xapi.ingest import stale_folders
from torus_assets.xapi.lake import Snapshot


class LakeDay(NamedTuple):
    """A day of the lake."""

    content: str  # names its event files, as `day_content`
    committed: datetime  # UTC, when its newest file was written
    held: bool
    parser_version: int  # the oldest that read one of its bundles


class Waiting(NamedTuple):
    """Bundles of a day that arrived and are not in the lake."""

    bundles: int
    since: datetime  # UTC, when the oldest of them was written to the store


class Spool(NamedTuple):
    """Days by the folders of ingests below the spool."""

    writing: frozenset[date]  # a process holds the folder's lock
    left: frozenset[date]  # nobody does: the ingest was killed


def lake_days(snapshot: Snapshot | None, first: date | None = None, last: date | None = None) -> dict[date, LakeDay]:
    """Every day of the lake, or of the range. Reads the table's log and two columns of the ledger: a file per day and increment."""
    if snapshot is None:
        return {}
    ledger = snapshot.scan("bundles", first, last).group_by("upload_date").agg(pl.col("held").any(), pl.col("parser_version").min())
    committed, contents = _committed(snapshot), day_contents(snapshot, first, last)
    return {
        day: LakeDay(contents.get(day, NOTHING), committed[day], bool(held), version or 0)
        for day, held, version in ledger.collect(engine="streaming").sort("upload_date").iter_rows()
    }


def waiting_days(store: ObjectStore, snapshot: Snapshot | None) -> dict[date, Waiting]:
    """Days with arrivals that the ledger does not have. `store` is the lake's; what no source has told of is not known here."""
    return {
        day: Waiting(rows.height, rows.select(pl.col("last_modified").min()).item()) for day, rows in table.pending(store, snapshot).items()
    }


def spool_days(spool: Path) -> Spool:
    """Days that are being written on this machine, and days that a killed ingest left its folder of."""
    left = stale_folders(spool)
    ours = [path for path in (spool.iterdir() if spool.is_dir() else []) if (path / LOCK).exists()]
    return Spool(
        frozenset(day for path in ours if path not in left and (day := _day(path))), frozenset(day for path in left if (day := _day(path)))
    )


def _committed(snapshot: Snapshot) -> dict[date, datetime]:
    actions = pl.DataFrame(pa.table(snapshot.delta.get_add_actions(flatten=True)))
    newest = actions.group_by("partition.upload_date").agg(pl.col("modification_time").max().cast(pl.Datetime("ms")))
    return {day: at.replace(tzinfo=UTC) for day, at in newest.iter_rows()}


def _day(folder: Path) -> date | None:
    """The day in the name of an ingest's folder; None for folders of loads and exports."""
    try:
        return date.fromisoformat(folder.name[:10])
    except ValueError:
        return None
