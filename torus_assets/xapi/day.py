"""A day from its bundles to its rows, as assets, the command line and event loads all do it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TypeVar

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi import bundle_index
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.ingest import IngestOptions, IngestResult, Stage, ingest_day
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import Wanted
from torus_assets.xapi.resettle import Resettled, resettle_day
from torus_assets.xapi.tombstones import Register, Tombstones

Committed = TypeVar("Committed", IngestResult, Resettled)
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


def ingest(
    lake: Lake,
    bundles: ObjectStore,
    day: date,
    spool: Path,
    options: IngestOptions,
    *,
    tombstone_key: bytes | None = None,
    progress: Stage = _quiet,
) -> IngestResult:
    """Ingests what the day's index names; objects that an old inventory knew and that are gone are found by listing the day anew.

    Args:
        tombstone_key: from `tombstones.tombstone_secret`; lines of learners who were forgotten are counted and dropped.

    Raises:
        OtherKey: learners were forgotten, and this is not the key their tombstones were made under.
    """
    register = Register(open_store(lake.root), tombstone_key)
    before = register.now()
    result = _ingested(lake, bundles, day, spool, options, register, progress)
    return forgotten_meanwhile(lake, result, spool, options, register, before)


def replay(
    lake: Lake, day: date, spool: Path, options: IngestOptions, reasons: Collection[str], *, tombstone_key: bytes | None = None
) -> Resettled:
    """Parses the day's refused lines of these reasons again from their kept bytes; no bundle is read.

    Raises:
        UnknownReason, LakeMissing: as `resettle_day`.
        OtherKey: as `ingest`.
    """
    register = Register(open_store(lake.root), tombstone_key)
    before = register.now()
    result = resettle_day(
        lake, day, spool, max_quarantined_share=options.max_quarantined_share, tombstones=before, replay=reasons,
        max_line_bytes=options.max_line_bytes, threads=options.workers,
    )  # fmt: skip
    return forgotten_meanwhile(lake, result, spool, options, register, before)


def forgotten_meanwhile(
    lake: Lake, result: Committed, spool: Path, options: IngestOptions, register: Register, before: Tombstones
) -> Committed:
    """Takes learners out of a day who were forgotten while it was being committed: `torus forget` may have looked just before.

    Who is forgotten later is found by that `torus forget`, which looks at the lake after leaving its tombstone.

    Args:
        result: of the commit; given back with the day's counts as they are now.
        before: tombstones that the day was committed under.
    """
    if result.version is None or (after := register.now()) == before:
        return result
    again = resettle_day(
        lake, result.day, spool, max_quarantined_share=options.max_quarantined_share, tombstones=after, threads=options.workers
    )
    return replace(result, day_total=again.day_total, held=again.held, version=again.version or result.version)


def relisted(lake: Lake, bundles: ObjectStore, day: date) -> Sequence[bundle_index.Bundle]:
    """The day's bundles by listing the store; the index in the lake says the same then, or the next increment meets a lost key again."""
    found = bundle_index.index_days(bundles, None, day, day, listing="always")
    bundle_index.write_index(open_store(lake.root), found)
    return found.days[day]


def _ingested(
    lake: Lake, bundles: ObjectStore, day: date, spool: Path, options: IngestOptions, register: Register, progress: Stage
) -> IngestResult:
    def once(index: Iterable[bundle_index.Bundle]) -> IngestResult:
        found = [wanted(bundles, bundle) for bundle in index]
        return ingest_day(lake, bundles.url, day, found, spool, options, forgotten=register.now, progress=progress)

    index = list(bundle_index.read_index(open_store(lake.root), day))
    for _ in range(RELISTINGS):
        try:
            return once(index)
        except BundleGone:
            index = list(relisted(lake, bundles, day))
    return once(index)
