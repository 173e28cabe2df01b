"""Store against ledger as the job `reconcile` does it: by one inventory, or by listing the open days; what is missing is put to arrivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from torus_assets.arrivals import table
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi import inventory_reconcile
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.inventory import Inventory, UnusableInventory, complete_inventory, manifest_keys
from torus_assets.xapi.inventory_reconcile import FOREVER, StoreCompared, settled_until
from torus_assets.xapi.lake import Lake, LakeMissing, Snapshot

ARRIVALS_AT_MOST = 200_000  # objects put to arrivals by one look, whole days, the newest first: more is a backfill, which a person starts


class Places(NamedTuple):
    """Where things are."""

    bundles: ObjectStore
    inventory: ObjectStore
    lake: Lake
    scratch: Path


@dataclass
class StoreLooked:
    """What one look came to."""

    compared: StoreCompared
    skipped: dict[str, str] = field(default_factory=dict)  # why newer inventories were passed over, by manifest key
    told: int = 0  # objects put to arrivals
    days_untold: list[date] = field(default_factory=list)  # with more than arrivals should take


def by_inventory(places: Places, first: date, now: datetime, *, manifest: str = "") -> StoreLooked | None:
    """All settled days of one report from `first` on.

    Args:
        manifest: key of the report's manifest; by default the newest that can be read to its end.

    Returns:
        None when no manifest was named and none can be used.

    Raises:
        UnusableInventory: the named one is incomplete or damaged.
    """
    skipped: dict[str, str] = {}
    for key in [manifest] if manifest else manifest_keys(places.inventory):
        try:
            return _by_report(places, complete_inventory(places.inventory, key, places.bundles.bucket), first, now, skipped)
        except UnusableInventory as error:
            if manifest:
                raise
            skipped[key] = str(error)
    return None


def by_listing(places: Places, first: date, last: date, now: datetime, patience: timedelta) -> StoreLooked:
    """The days as the store lists them now. What was written less than `patience` ago is under way, and not missing yet."""
    report = inventory_reconcile.of_listing(places.bundles, first, last)
    arrivals = _Arrivals(open_store(places.lake.root), now)
    compared = inventory_reconcile.compare(
        report,
        snapshot_of(places.lake),  # after the listing, so that what was ingested meanwhile is not missing
        first,
        last,
        told_by="listing",
        scratch=places.scratch,
        found=arrivals.add,
        due=now - patience,
    )
    return StoreLooked(compared, {}, arrivals.told, sorted(arrivals.untold))


def snapshot_of(lake: Lake) -> Snapshot | None:
    """The newest snapshot; None when there is no lake yet."""
    try:
        return lake.snapshot()
    except LakeMissing:
        return None


def _by_report(places: Places, inventory: Inventory, first: date, now: datetime, skipped: dict[str, str]) -> StoreLooked:
    last = settled_until(inventory)
    arrivals = _Arrivals(open_store(places.lake.root), now)
    compared = inventory_reconcile.compare(
        inventory_reconcile.of_inventory(places.inventory, inventory, first, last, prefix=places.bundles.prefix),
        snapshot_of(places.lake),
        first,
        last,
        told_by=inventory.manifest_key,
        scratch=places.scratch,
        found=arrivals.add,
        due=FOREVER,
    )
    return StoreLooked(compared, skipped, arrivals.told, sorted(arrivals.untold))


class _Arrivals:
    """Takes what was found, day by day, up to a limit."""

    def __init__(self, store: ObjectStore, now: datetime) -> None:
        self._store, self._now = store, now
        self.told = 0
        self.untold: list[date] = []

    def add(self, day: date, bundles: Sequence[Bundle]) -> None:
        if self.untold or self.told + len(bundles) > ARRIVALS_AT_MOST:
            self.untold.append(day)
            return
        table.add(self._store, bundles, self._now)
        self.told += len(bundles)
