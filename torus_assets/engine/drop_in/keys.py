"""Which objects a call of Torus reads: what the newest complete inventory knows of its sections, and what was uploaded since.

Source: spec/datasets.md 4. Unlike the job this replaces, the inventory may be of any day, hour and configuration, a key counts only if it is a
bundle's by its grammar, what is younger than the inventory is listed, and the cut-off is told (D-10, D-11).
"""

# pyarrow.compute makes its functions while loading:
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
from obstore.exceptions import GenericError

from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi.bundle_index import SCHEMA, SETTLED_DAYS, as_table, bundle_of, index_of
from torus_assets.xapi.day import wanted
from torus_assets.xapi.inventory import Inventory, UnusableInventory, complete_inventory, inventory_batches, manifest_keys
from torus_assets.xapi.ledger import Wanted

FIRST, LAST = date(1, 1, 2), date(9999, 12, 30)
LISTINGS_AT_ONCE = 16


@dataclass(frozen=True)
class Asked:
    """What of the event store is asked for."""

    sections: tuple[int, ...]
    categories: frozenset[str]
    first: date = FIRST  # upload day

    @property
    def folders(self) -> list[str]:
        return [f"section/{section}/{category}/" for section in self.sections for category in sorted(self.categories)]


@dataclass(frozen=True)
class Sought:
    """The objects, by upload day, and how they were found."""

    days: dict[date, list[Wanted]]  # days without an object are left out; keys ascending
    cut_off: datetime  # UTC: what was uploaded later is not in it
    listed_from: date  # the first upload day that was listed; `FIRST` when all of them were
    inventory: str | None = None  # address of the manifest that was used
    created_at: datetime | None = None  # of that inventory
    skipped: dict[str, str] = field(default_factory=dict)  # why newer inventories were passed over, by manifest key
    gone: frozenset[str] = frozenset()  # keys that the inventory knows and the store has no more

    @property
    def objects(self) -> int:
        return sum(map(len, self.days.values()))

    @property
    def bytes(self) -> int:
        return sum(one.bytes for day in self.days.values() for one in day)

    def without(self, asked: Asked) -> list[int]:
        """Sections that no object was found of."""
        found = {one.section for day in self.days.values() for one in day}
        return [section for section in asked.sections if section not in found]

    def document(self) -> dict[str, object]:
        """How it was found, as JSON values."""
        return {
            "objects": self.objects,
            "bytes": self.bytes,
            "inventory": self.inventory,
            "inventory_created_at": self.created_at.isoformat() if self.created_at else None,
            "inventories_passed_over": len(self.skipped),
            "listed_from": None if self.listed_from == FIRST else self.listed_from.isoformat(),
            "cut_off": self.cut_off.isoformat(),
            "gone": len(self.gone),
        }


def sought(bundles: ObjectStore, inventory: ObjectStore, asked: Asked, now: datetime) -> Sought:
    """The objects of the sections: from the newest inventory that can be read to its end, and from listing for the days it may not know fully.

    Args:
        inventory: where S3 Inventory delivers its reports. None there, or no such bucket: everything is listed.
        now: time of the call, UTC.

    Raises:
        obstore.exceptions.GenericError: a bucket may not be listed (never taken for "there is none"), there is no bucket of bundles, or the
            store does not answer.
    """
    told, used, skipped = _told(bundles, inventory, asked)
    start = asked.first if used is None else max(asked.first, used.created_at.date() - timedelta(days=SETTLED_DAYS - 1))
    listed = _listed(bundles, asked, start)
    there = pc.is_in(told["key"], listed["key"])
    gone = told.filter(pc.and_(pc.greater_equal(_day(told), pa.scalar(start)), pc.invert(there)))["key"].to_pylist()
    found = told.filter(pc.invert(pc.is_in(told["key"], pa.array(gone, pa.string()))))
    return Sought(
        days=_by_day(bundles, [found, listed]),
        cut_off=now,
        listed_from=start,
        inventory=inventory.uri(used.manifest_key) if used else None,
        created_at=used.created_at if used else None,
        skipped=skipped,
        gone=frozenset(gone),
    )


def listed_again(bundles: ObjectStore, asked: Asked, before: Sought, now: datetime) -> Sought:
    """What the store has now, by listing alone, and which objects have gone since they were told of."""
    days = _by_day(bundles, [_listed(bundles, asked, asked.first)])
    there = {one.key for day in days.values() for one in day}
    gone = {one.key for day in before.days.values() for one in day if one.key not in there}
    return Sought(days, now, asked.first, before.inventory, before.created_at, before.skipped, before.gone | gone)


def _told(bundles: ObjectStore, inventory: ObjectStore, asked: Asked) -> tuple[pa.Table, Inventory | None, dict[str, str]]:
    """What the newest usable report knows of the sections; what a damaged one said before is forgotten."""
    skipped: dict[str, str] = {}
    for manifest_key in _reports(inventory):
        try:
            used = complete_inventory(inventory, manifest_key, bundles.bucket)
            batches = inventory_batches(inventory, used, asked.first, LAST, prefix=bundles.prefix)
            return _table(_of_sections(batches, asked)), used, skipped
        except UnusableInventory as error:
            skipped[manifest_key] = str(error)
    return SCHEMA.empty_table(), None, skipped


def _reports(inventory: ObjectStore) -> list[str]:
    """Manifests, the newest first; none where there is no such bucket."""
    try:
        return manifest_keys(inventory)
    except GenericError as error:
        if "<Code>NoSuchBucket</Code>" not in str(error):
            raise
        return []


def _of_sections(batches: Iterable[pa.RecordBatch], asked: Asked) -> Iterator[pa.RecordBatch]:
    sections = pa.array([str(section) for section in asked.sections], pa.string())
    categories = pa.array(sorted(asked.categories), pa.string())
    for batch in batches:
        mine = pc.and_(pc.equal(batch["partition"], "section"), pc.is_in(batch["partition_id"], sections))
        yield batch.filter(pc.and_(mine, pc.is_in(batch["category"], categories)))


def _table(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    parts = [batch for batch in batches if batch.num_rows]
    if not parts:
        return SCHEMA.empty_table()
    table = pa.Table.from_batches(parts)
    return table.append_column("told_by", pa.repeat(pa.scalar("inventory"), table.num_rows)).cast(SCHEMA)


def _listed(bundles: ObjectStore, asked: Asked, start: date) -> pa.Table:
    """The sections' bundles from an upload day on, by listing each section's category."""

    def folder(home: str) -> pa.Table:
        after = None if start == FIRST else home + start.isoformat()
        return as_table([bundle for info in bundles.list(home, after) if (bundle := bundle_of(info, "listing"))])

    with ThreadPoolExecutor(LISTINGS_AT_ONCE) as pool:
        return pa.concat_tables([SCHEMA.empty_table(), *pool.map(folder, asked.folders)])


def _by_day(bundles: ObjectStore, tables: list[pa.Table]) -> dict[date, list[Wanted]]:
    """Each object once, as the ledger's plan wants it; days without an object are left out."""
    uploads = pa.concat_tables(tables)["uploaded_at"]
    if not len(uploads):
        return {}
    index = index_of(pc.min(uploads).as_py().date(), pc.max(uploads).as_py().date(), tables)
    return {day: [wanted(bundles, one) for one in found] for day, found in index.days.items() if len(found)}


def _day(table: pa.Table) -> pa.ChunkedArray:
    return table["uploaded_at"].cast(pa.date32(), safe=False)
