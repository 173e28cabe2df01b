"""A dry run: what an ingest would read, without a run, a folder or a file anywhere."""

from __future__ import annotations

from datetime import date
from typing import Any

from torus_assets import settings
from torus_assets.clients.object_store import open_store
from torus_assets.partitions import days_between
from torus_assets.xapi import bundle_index, day
from torus_assets.xapi.ingest import IngestOptions, ingest_day
from torus_assets.xapi.lake import Lake


def ingest(
    first: date, last: date, *, sections: frozenset[int] | None, rebuild: bool, drop_vanished: bool, listing: bundle_index.Listing
) -> list[dict[str, Any]]:
    """The plan of each day, in the form of `torus ingest --json`; `this_run.bundles` is what would be read."""
    chosen = settings.from_environment()
    bundles = open_store(chosen.xapi_url)
    index = bundle_index.index_days(bundles, open_store(chosen.inventory_url), first, last, listing=listing)
    options = IngestOptions(
        sections=sections, rebuild=rebuild, drop_vanished=drop_vanished, max_quarantined_share=chosen.max_quarantined_share, dry_run=True
    )
    return [
        ingest_day(
            Lake(chosen.lake_url),
            bundles.url,
            one,
            [day.wanted(bundles, found) for found in index.days.get(one, [])],
            chosen.spool,
            options,
        ).document()
        for one in days_between(first, last)
    ]
