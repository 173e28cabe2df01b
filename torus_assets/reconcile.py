"""Does everything add up? Store against ledger, ledger against lake, lake against ClickHouse; what is missing is named."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from clickhouse_connect.driver.client import Client

from torus_assets.clients.object_store import ObjectStore
from torus_assets.partitions import days_between
from torus_assets.warehouse.reconcile import Comparison, compare
from torus_assets.xapi import bundle_index, day
from torus_assets.xapi.checks import uncounted
from torus_assets.xapi.lake import Lake, LakeMissing, Snapshot
from torus_assets.xapi.ledger import Wanted

NAMED = 20  # keys named per day and kind of difference


@dataclass
class DayReconciled:
    """One day: bundles of the store and of the ledger, and what does not add up."""

    day: str
    store_bundles: int
    ledger_bundles: int
    missing: list[str] = field(default_factory=list)  # in the store, not in the ledger
    changed: list[str] = field(default_factory=list)  # read in another version than the store has now
    vanished: list[str] = field(default_factory=list)  # in the ledger, gone from the store
    counts: dict[str, Any] = field(default_factory=dict)  # what does not add up inside the lake
    held: bool = False

    @property
    def ok(self) -> bool:
        """Objects gone from the store are no fault: their rows are kept. A held day is: nothing downstream has it."""
        return not (self.missing or self.changed or self.counts or self.held)


def reconcile_store(bundles: ObjectStore, inventory: ObjectStore, lake: Lake, first: date, last: date) -> list[DayReconciled]:
    """Compares every day's objects, as the store has them now, with the ledger and the ledger with the tables."""
    index = bundle_index.index_days(bundles, inventory, first, last, listing="always")
    try:
        snapshot = lake.snapshot()
    except LakeMissing:
        snapshot = None
    return [_day(one, [day.wanted(bundles, found) for found in index.days.get(one, [])], snapshot) for one in days_between(first, last)]


def _day(one: date, wanted: list[Wanted], snapshot: Snapshot | None) -> DayReconciled:
    if snapshot is None:
        return DayReconciled(one.isoformat(), len(wanted), 0, missing=[w.key for w in wanted][:NAMED])
    ledger = {row["key"]: row for row in snapshot.ledger(one, one).select("key", "source_etag", "last_modified").iter_rows(named=True)}
    found = {w.key: w for w in wanted}
    return DayReconciled(
        day=one.isoformat(),
        store_bundles=len(found),
        ledger_bundles=len(ledger),
        missing=sorted(found.keys() - ledger.keys())[:NAMED],
        changed=sorted(
            key
            for key in found.keys() & ledger.keys()
            if found[key].etag != ledger[key]["source_etag"] and found[key].last_modified > ledger[key]["last_modified"]
        )[:NAMED],
        vanished=sorted(ledger.keys() - found.keys())[:NAMED],
        counts=uncounted(snapshot, one),
        held=one in snapshot.held(one, one),
    )


def reconcile_warehouse(client: Client, lake: Lake, first: date, last: date, scratch: Path) -> Comparison | None:
    """Compares the lake's days with ClickHouse; None when there is no lake yet."""
    try:
        return compare(client, lake.snapshot(), first, last, scratch=scratch)
    except LakeMissing:
        return None


def document(days: list[DayReconciled], warehouse: Comparison | None) -> dict[str, Any]:
    """The result as `torus reconcile --json` prints it."""
    ok = all(one.ok for one in days) and (warehouse is None or warehouse.reconciles)
    return {
        "days": [asdict(one) | {"ok": one.ok} for one in days],
        "warehouse": None if warehouse is None else _warehouse(warehouse),
        "ok": ok,
    }


def _warehouse(found: Comparison) -> dict[str, Any]:
    return {
        "lake_events": found.lake_events,
        "warehouse_rows": found.warehouse_rows,
        "missing": found.missing,
        "extra": found.extra,
        "missing_by_day": {one.isoformat(): count for one, count in found.missing_by_day.items()},
        "extra_by_day": {one.isoformat(): count for one, count in found.extra_by_day.items()},
        "bundles": list(found.bundles),
        "differences": [difference._asdict() for difference in found.differences[:NAMED]],
        "held_days": [one.isoformat() for one in found.held],
        "notes": list(found.notes),
        "ok": found.reconciles,
    }
