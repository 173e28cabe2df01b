"""How much an ingest will read, by index and ledger alone: what the choice of an engine is made by."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl

from torus_assets.clients.object_store import open_store
from torus_assets.xapi import bundle_index
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake, LakeMissing


def bytes_to_read(lake: Lake, days: Sequence[date], options: IngestOptions) -> int:
    """Bytes of the bundles that the days' indexes name and their ledgers do not have; of all of them for a rebuild.

    Overwritten objects are counted as known: they are few, and the plan itself finds them.
    """
    known = frozenset[str]() if options.rebuild else _known(lake, min(days), max(days))
    store = open_store(lake.root)
    return sum(
        bundle.bytes
        for day in days
        for bundle in bundle_index.read_index(store, day)
        if bundle.key not in known
        and (options.sections is None or (bundle.partition == "section" and int(bundle.partition_id) in options.sections))
    )


def _known(lake: Lake, first: date, last: date) -> frozenset[str]:
    try:
        snapshot = lake.snapshot()
    except LakeMissing:
        return frozenset()
    return frozenset(snapshot.scan("bundles", first, last).select(pl.col("key")).collect()["key"])
