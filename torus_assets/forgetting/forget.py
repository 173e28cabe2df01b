"""Forgets one learner: tombstone, lake, old files, ClickHouse, and a receipt of what is left for others to remove (DESIGN 8).

The order carries the promise. The tombstone is first: whatever is killed after it, no ingest brings them back, and running again
finishes. Days of the lake are written anew before old files go, and old files go before ClickHouse is looked at: a load that is still
at work on an older version has either ended by then, or finds its files gone and starts again without the learner. What an ingest
committed meanwhile is found by the last look, and everything is done once more.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from clickhouse_connect.driver.client import Client

from torus_assets.arrivals import table
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.holding import Holding, Sought, holdings
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.failures import private
from torus_assets.forgetting.learner import Learner
from torus_assets.forgetting.leftovers import UNFINISHED, leftovers, log_columns, sweep
from torus_assets.forgetting.looking import Found, look
from torus_assets.forgetting.receipts import Receipt, keep
from torus_assets.warehouse.erase import count_learner, erase_learner
from torus_assets.xapi import tables
from torus_assets.xapi.lake import Lake, LakeMissing, Snapshot
from torus_assets.xapi.resettle import resettle_day
from torus_assets.xapi.scratch import clear_spool
from torus_assets.xapi.tombstones import leave, read_tombstones

ROUNDS = 5  # an ingest that brings them back this often does not see the tombstone
SCRATCH = ("dataset-", "lake-", "holding-")  # folders of the spool that jobs make without a lock


class StillThere(RuntimeError):
    """Lines of the learner keep coming back, or cannot be removed; the tombstone stands and running again is right."""


@dataclass(frozen=True)
class Places:
    """Everything that may hold a learner."""

    lake: Lake
    datasets: ObjectStore
    clickhouse: Callable[[], AbstractContextManager[Client]]
    home: Path  # of this installation: its spool, and the texts of errors
    pseudonyms: PseudonymKey | None  # None: no key is set, and pseudonyms cannot be looked for
    max_quarantined_share: float
    max_line_bytes: int

    @property
    def spool(self) -> Path:
        return self.home / "spool"


@dataclass(frozen=True)
class Forgotten:
    """The receipt, where it is kept, and what is named for people: too much for a receipt, and not for a log."""

    receipt: Receipt
    key: str = ""  # of the receipt, in the lake store; empty when nothing was done
    data_sets: list[Holding] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)  # of Torus' bucket


Step = Callable[[str], None]  # told the name of each step before it begins


def _quiet(step: str) -> None:
    """No one looks."""


def preview(places: Places, learner: Learner, *, at: datetime, by: str, step: Step = _quiet) -> Forgotten:
    """What forgetting would remove and name. Changes nothing and leaves no tombstone."""
    receipt = Receipt(learner.mark, at.isoformat(), by, versions=_versions())
    step("look into the lake")
    _, found, old = _look(places.lake, learner)
    receipt.lines, receipt.old_lines = _by_day(found), old.total
    step("look into ClickHouse")
    with places.clickhouse() as client:
        receipt.clickhouse_rows = count_learner(client, learner.home_page, learner.user_id)
    return _named(places, learner, receipt, found.objects | old.objects, step)


def forget(
    places: Places, learner: Learner, *, at: datetime, by: str, step: Step = _quiet, sleep: Callable[[float], None] = time.sleep
) -> Forgotten:
    """Removes the learner from everything that is ours. Safe to kill and to repeat: again it removes what is left.

    Args:
        at: now, with a time zone.
        by: who asks for it; kept in tombstone and receipt.

    Raises:
        OtherKey: there are tombstones of another key; nothing was changed.
        StillThere: they came back in every round.
        EraseError, WarehouseBusy, DayChanged: others were in the way; run again.
    """
    store = open_store(places.lake.root)
    step("leave the tombstone")
    leave(store, learner.secret, learner.home_page, learner.user_id, at, by)
    receipt = Receipt(learner.mark, at.isoformat(), by, versions=_versions())
    objects = _rounds(places, learner, receipt, at, step, sleep)
    _from_spool(places.spool, receipt, at)
    receipt.error_texts = private.clear(places.home)
    made = _named(places, learner, receipt, objects, step)
    step("keep the receipt")
    return replace(made, key=keep(store, receipt))


def _rounds(places: Places, learner: Learner, receipt: Receipt, at: datetime, step: Step, sleep: Callable[[float], None]) -> set[str]:
    """Lake, then ClickHouse, until a look finds no line of theirs. Returns the objects their lines came from."""
    days: set[date] = set()
    objects: set[str] = set()
    removed = 0
    for number in range(ROUNDS):
        step("look once more" if number else "look into the lake")
        snapshot, found, old = _look(places.lake, learner)
        if snapshot:
            receipt.versions |= {"lake_after": snapshot.version, "lake_before": receipt.versions.get("lake_before", snapshot.version)}
            receipt.log_columns = log_columns(snapshot)
        if number:
            receipt.old_lines += max(receipt.old_lines_left - old.total, 0)
        receipt.old_lines_left = old.total
        if number and not found and (not old or receipt.files_removed == removed):  # what is left now needs a day, not a round
            return objects
        removed = receipt.files_removed
        objects |= found.objects | old.objects
        days |= found.lines.keys() | old.lines.keys()
        _from_lake(places, learner, receipt, found, step)
        if days:
            _sweep(places.lake, days, receipt, at, step)
        _from_warehouse(places, learner, receipt, step, sleep)
    raise StillThere(
        f"lines of the learner came back {ROUNDS} times: an ingest that does not see the tombstone is at work; "
        "give all of them the same TORUS_TOMBSTONE_KEY and the same release, then run again"
    )


# --- the lake


def _look(lake: Lake, learner: Learner) -> tuple[Snapshot | None, Found, Found]:
    """The newest version, the learner's lines in it, and those in files that it does not have."""
    snapshot = _snapshot(lake)
    if snapshot is None:
        return None, Found(), Found()
    return snapshot, look(snapshot, learner), leftovers(lake, snapshot, learner)


def _from_lake(places: Places, learner: Learner, receipt: Receipt, found: Found, step: Step) -> None:
    """Each day of theirs without them, one commit a day."""
    stones = read_tombstones(open_store(places.lake.root), learner.secret)
    for day in sorted(found.lines):
        step("write a day anew")
        resettle_day(
            places.lake, day, places.spool, tombstones=stones, max_quarantined_share=places.max_quarantined_share,
            max_line_bytes=places.max_line_bytes,
        )  # fmt: skip
    for day, kinds in _by_day(found).items():
        known = receipt.lines.setdefault(day, {})
        for kind, count in kinds.items():
            known[kind] = known.get(kind, 0) + count


def _sweep(lake: Lake, days: Collection[date], receipt: Receipt, now: datetime, step: Step) -> None:
    step("remove old files")
    swept = sweep(lake, days, now)
    receipt.files_removed += swept.files
    receipt.bytes_removed += swept.bytes
    receipt.writes_left = swept.unfinished


def _snapshot(lake: Lake) -> Snapshot | None:
    try:
        return lake.snapshot()
    except LakeMissing:
        return None


def _by_day(found: Found) -> dict[str, dict[str, int]]:
    return {day.isoformat(): dict(sorted(kinds.items())) for day, kinds in sorted(found.lines.items())}


# --- everything else


def _from_warehouse(places: Places, learner: Learner, receipt: Receipt, step: Step, sleep: Callable[[float], None]) -> None:
    step("erase from ClickHouse")
    with places.clickhouse() as client:
        erased = erase_learner(client, learner.home_page, learner.user_id, sleep=sleep)
    receipt.clickhouse_rows += erased.rows
    receipt.clickhouse_months += erased.months
    receipt.clickhouse_old_parts = erased.old_parts


def _from_spool(spool: Path, receipt: Receipt, now: datetime) -> None:
    """Folders of killed runs. Those without a lock count as in use until nothing in them changed for a day."""
    receipt.folders_cleared = len(clear_spool(spool))
    for folder in [entry for entry in spool.glob("*") if entry.name.startswith(SCRATCH)]:
        if now.timestamp() - _last_change(folder) > UNFINISHED.total_seconds():
            shutil.rmtree(folder, ignore_errors=True)
            receipt.folders_cleared += 1
        else:
            receipt.folders_left += 1


def _last_change(folder: Path) -> float:
    return max((path.lstat().st_mtime for path in (folder, *folder.rglob("*")) if path.exists()), default=0.0)


def _named(places: Places, learner: Learner, receipt: Receipt, objects: set[str], step: Step) -> Forgotten:
    """Counts and names what is not ours to remove: bundles not read yet, data sets given out, Torus' own objects."""
    step("look into arrivals and data sets")
    waiting = table.pending(open_store(places.lake.root), _snapshot(places.lake))
    receipt.pending_bundles = sum(rows.height for rows in waiting.values())
    held = holdings(places.datasets, Sought(learner.home, learner.user_id, places.pseudonyms), places.spool)
    sure = [one.what for one in held if one.certain]
    receipt.data_sets = {
        "runs": sure.count("run"), "lookups": sure.count("lookup"), "requests": sure.count("request"),
        "cannot_be_told": len(held) - len(sure),
    }  # fmt: skip
    receipt.source_objects = len(objects)
    return Forgotten(receipt, data_sets=held, objects=sorted(objects))


def _versions() -> dict[str, object]:
    try:
        package = version("torus-assets")
    except PackageNotFoundError:
        package = "unpackaged"
    return {"torus_assets": package, "parser": tables.PARSER_VERSION}
