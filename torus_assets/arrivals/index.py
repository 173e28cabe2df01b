"""The index of days from what has arrived: without a listing, so that an increment costs no call per section."""

from __future__ import annotations

from datetime import date, timedelta

from torus_assets.arrivals import table
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi import bundle_index
from torus_assets.xapi.lake import Lake


def with_arrivals(bundles: ObjectStore, inventory: ObjectStore, lake: Lake, first: date, last: date) -> bundle_index.BundleIndex:
    """Each day's last index and what the arrivals table has of it, kept as the day's index. A day without an index is found as by ``auto``."""
    store = open_store(lake.root)
    arrived = table.by_day(table.read(store, first, last))  # before the index: what a run before us indexed may leave the table
    parts = [table.as_bundles(rows) for rows in arrived.values()]
    unknown: list[date] = []
    for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
        try:
            parts.append(bundle_index.read_index(store, day).table)
        except FileNotFoundError:
            unknown.append(day)
    if unknown:  # one pass over the sections, and over the inventory, for all of them
        found = bundle_index.index_days(bundles, inventory, unknown[0], unknown[-1])
        parts += [found.days[day].table for day in unknown]
    index = bundle_index.index_of(first, last, parts)
    bundle_index.write_index(store, index)
    return index
