"""A day from its bundles to its rows, as assets, the command line and event loads all do it."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.engine.decode import BundleGone
from torus_assets.xapi import bundle_index
from torus_assets.xapi.ingest import IngestOptions, IngestResult, Stage, ingest_day
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import RowsWouldVanish, Wanted

PERMANENT = (RowsWouldVanish,)  # errors that running again cannot cure
RELISTINGS = 3  # of a day whose objects are being deleted while it is read


def _quiet(stage: str, done: int, total: int) -> None:
    """No one looks."""


def wanted(store: ObjectStore, bundle: bundle_index.Bundle) -> Wanted:
    """An entry of the index as the ledger's plan wants it."""
    return Wanted(
        key=bundle.key,
        source_file=store.uri(bundle.key),
        section=int(bundle.partition_id) if bundle.partition == "section" else None,
        category=bundle.category,
        uploaded_at=bundle.uploaded_at,
        bytes=bundle.bytes,
        etag=bundle.etag,
        last_modified=bundle.last_modified,
    )


def find_bundles(
    bundles: ObjectStore, inventory: ObjectStore, lake: Lake, first: date, last: date, *, listing: bundle_index.Listing
) -> bundle_index.BundleIndex:
    """Indexes the days and keeps the index in the lake, a file per day."""
    index = bundle_index.index_days(bundles, inventory, first, last, listing=listing)
    bundle_index.write_index(open_store(lake.root), index)
    return index


def ingest(lake: Lake, bundles: ObjectStore, day: date, spool: Path, options: IngestOptions, *, progress: Stage = _quiet) -> IngestResult:
    """Ingests what the day's index names; objects that an old inventory knew and that are gone are found by listing the day anew."""
    index = list(bundle_index.read_index(open_store(lake.root), day))
    for _ in range(RELISTINGS):
        try:
            return ingest_day(lake, bundles.url, day, [wanted(bundles, bundle) for bundle in index], spool, options, progress=progress)
        except BundleGone:
            index = list(bundle_index.index_days(bundles, None, day, day, listing="always").days[day])
    return ingest_day(lake, bundles.url, day, [wanted(bundles, bundle) for bundle in index], spool, options, progress=progress)
