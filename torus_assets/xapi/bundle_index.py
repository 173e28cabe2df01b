"""Every bundle object of a range of upload days, from the newest S3 inventory and from listing.

An inventory is cheap and complete, but a day old; a listing is exact, and costs one call per section
and category. So settled days come from the inventory, and the others from both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from operator import attrgetter
from threading import Lock
from typing import Literal, NamedTuple, get_args, overload

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectInfo, ObjectStore
from torus_assets.xapi.bundles import (
    CATEGORIES,
    PARTITIONS,
    holds_bundles,
    is_category,
    parse_key,
)
from torus_assets.xapi.inventory import (
    Inventory,
    UnusableInventory,
    complete_inventory,
    inventory_batches,
    manifest_keys,
)

SETTLED_DAYS = 2  # an inventory is taken to be complete up to this many days before its creation (UTC days)
EXAMPLES = 5  # of junk keys
ROWS_IN_OBJECTS = 16_384  # rows held as Python objects before they become Arrow, 5 times smaller

Listing = Literal["auto", "always", "never"]
_UTC = pa.timestamp("us", "UTC")


class Bundle(NamedTuple):
    """One object of the index."""

    key: str
    partition: str
    partition_id: str
    category: str
    uploaded_at: datetime  # UTC, from the key; its date is the day
    bytes: int
    etag: str
    last_modified: datetime  # UTC
    told_by: str  # "inventory", "listing" or "notification"

    @property
    def section_id(self) -> str:
        """The section's id as text (of a ``project`` bundle, the project's)."""
        return self.partition_id


SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("partition", pa.string(), nullable=False),
        pa.field("partition_id", pa.string(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("uploaded_at", _UTC, nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("last_modified", _UTC, nullable=False),
        pa.field("told_by", pa.string(), nullable=False),
    ]
)


class Bundles(Sequence[Bundle]):
    """Bundles of one day in ascending order of their keys, held as an Arrow table."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __len__(self) -> int:
        return self.table.num_rows

    def __iter__(self) -> Iterator[Bundle]:
        for batch in self.table.to_batches(max_chunksize=ROWS_IN_OBJECTS):
            yield from map(Bundle, *(column.to_pylist() for column in batch.columns))

    @overload
    def __getitem__(self, index: int) -> Bundle: ...
    @overload
    def __getitem__(self, index: slice) -> list[Bundle]: ...
    def __getitem__(self, index: int | slice) -> Bundle | list[Bundle]:
        if isinstance(index, slice):
            return list(self)[index]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return next(iter(Bundles(self.table.slice(index % len(self), 1))))


@dataclass
class BundleIndex:
    """What was found, and what was seen beside it."""

    first: date
    last: date
    days: dict[date, Bundles] = field(default_factory=dict)  # every day of the range, also the empty ones
    junk_keys: int = 0  # looked at, and not bundles by the grammar: ignored
    junk_examples: list[str] = field(default_factory=list)  # at most EXAMPLES
    unknown_categories: dict[str, int] = field(default_factory=dict)  # indexed all the same
    inventory: Inventory | None = None
    skipped: dict[str, str] = field(default_factory=dict)  # why newer inventories were passed over, by manifest key
    listed_from: date | None = None  # the first day that was listed; None when none was

    @property
    def count(self) -> int:
        """Bundles of all days."""
        return sum(map(len, self.days.values()))

    @property
    def inventory_name(self) -> str | None:
        """The key of the manifest that was used; None when listing alone told everything."""
        return self.inventory.manifest_key if self.inventory else None


def index_days(
    bundles: ObjectStore,
    inventory: ObjectStore | None,
    first: date,
    last: date,
    *,
    listing: Listing = "auto",
    threads: int = 16,
) -> BundleIndex:
    """The bundles uploaded from ``first`` to ``last``, both included.

    Args:
        bundles: the event store, as Torus writes to it.
        inventory: where S3 Inventory reports arrive; None when there are none.
        listing: ``auto`` lists the days that the inventory may not know fully (all without one); ``always``
            lists every day and reads no inventory; ``never`` takes the inventory's word alone.
        threads: listing calls under way at once.

    Raises:
        FileNotFoundError: ``listing="never"`` and no usable inventory; the message has the reasons.
        ValueError: an unknown ``listing``, or days in the wrong order.
    """
    if listing not in get_args(Listing):
        raise ValueError(f"listing is {listing!r}; it must be one of {', '.join(get_args(Listing))}")
    if first > last:
        raise ValueError(f"the first day, {first}, is after the last, {last}")
    found, used, skipped = _Found(), None, {}
    if inventory is not None and listing != "always":
        found, used, skipped = _told_by_inventory(bundles, inventory, first, last)
    if listing == "never" and used is None:
        raise FileNotFoundError(f"no usable inventory, and listing is off; passed over: {skipped or 'none was found'}")
    start = None if listing == "never" else _first_listed(used, first, last)
    if start is not None:
        _list_days(bundles, start, last, found, threads)
    return found.index(first, last, used, skipped, start)


def index_of(first: date, last: date, days: Iterable[pa.Table]) -> BundleIndex:
    """An index of bundles that are known already (``SCHEMA``); of two reports of one key the later object wins."""
    found = _Found()
    for table in days:
        found.add_table(table)
    return found.index(first, last, None, {}, None)


def write_index(lake: ObjectStore, index: BundleIndex) -> list[str]:
    """Replaces the index file of each day, also of a day without bundles. Gives the keys written."""
    return [_write_day(lake, day, found) for day, found in index.days.items()]


def read_index(lake: ObjectStore, day: date) -> Bundles:
    """The day's bundles as last indexed. FileNotFoundError when the day has not been indexed yet."""
    try:
        body = lake.get(index_key(day)).body
    except FileNotFoundError:
        raise FileNotFoundError(
            f"{day} has no bundle index ({lake.uri(index_key(day))}): materialize xapi/bundle_index for it first"
        ) from None
    return Bundles(pq.read_table(pa.BufferReader(body), schema=SCHEMA, partitioning=None))  # pyright: ignore[reportArgumentType]  # its stubs know no None


def index_key(day: date) -> str:
    """Where a day's index stands in the lake."""
    return f"xapi/bundle_index/upload_date={day.isoformat()}/index.parquet"


def _write_day(lake: ObjectStore, day: date, found: Bundles) -> str:
    body = BytesIO()
    pq.write_table(found.table, body, compression="zstd")
    lake.put(index_key(day), body.getvalue())
    return index_key(day)


def _first_listed(used: Inventory | None, first: date, last: date) -> date | None:
    if used is None:
        return first
    unsettled = used.created_at.date() - timedelta(days=SETTLED_DAYS - 1)
    return max(first, unsettled) if unsettled <= last else None


def _told_by_inventory(
    bundles: ObjectStore, inventory: ObjectStore, first: date, last: date
) -> tuple[_Found, Inventory | None, dict[str, str]]:
    """The newest inventory that can be read to its end; what a damaged one said before is forgotten."""
    skipped: dict[str, str] = {}
    for manifest_key in manifest_keys(inventory):
        found = _Found()
        try:
            used = complete_inventory(inventory, manifest_key, bundles.bucket)
            for batch in inventory_batches(inventory, used, first, last, prefix=bundles.prefix, junk=found.junk):
                found.add_batch(batch, "inventory")
        except UnusableInventory as error:
            skipped[manifest_key] = str(error)
        else:
            return found, used, skipped
    return _Found(), None, skipped


def _list_days(bundles: ObjectStore, first: date, last: date, found: _Found, threads: int) -> None:
    """One ranged listing for each category of each section; the bucket as a whole is never listed."""
    with ThreadPoolExecutor(threads) as pool:
        homes = [f"{partition}/{name}/" for partition in PARTITIONS for name in bundles.folders(partition)]
        for _ in pool.map(lambda home: _list_home(bundles, home, first, last, found), homes):
            pass  # raises what a thread raised


def _list_home(bundles: ObjectStore, home: str, first: date, last: date, found: _Found) -> None:
    partition, name, _ = home.split("/")
    if not holds_bundles(partition, name):
        found.junk(home, 1)
        return
    for category in bundles.folders(home):
        if is_category(category):
            found.add(_listed(bundles, f"{home}{category}/", first, last), "listing")
        else:
            found.junk(f"{home}{category}/", 1)


def _listed(bundles: ObjectStore, folder: str, first: date, last: date) -> Iterator[ObjectInfo]:
    end = folder + (last + timedelta(days=1)).isoformat()
    for info in bundles.list(folder, after=folder + first.isoformat()):
        if info.key >= end:
            return
        yield info


class _Found:
    """Collects bundles from several threads, in Arrow except for the last few."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._recent: list[Bundle] = []
        self._parts: dict[date, list[pa.Table]] = {}
        self._junk = 0
        self._examples: list[str] = []

    def junk(self, example: str, count: int) -> None:
        with self._lock:
            self._junk += count
            if len(self._examples) < EXAMPLES and example not in self._examples:
                self._examples.append(example)

    def add(self, objects: Iterable[ObjectInfo], told_by: str) -> None:
        for info in objects:
            if bundle := bundle_of(info, told_by):
                self._keep(bundle)
            else:
                self.junk(info.key, 1)

    def add_batch(self, batch: pa.RecordBatch, told_by: str) -> None:
        """Rows in the columns of ``SCHEMA`` except the last, ``told_by``."""
        told = pa.repeat(pa.scalar(told_by), batch.num_rows)
        with self._lock:
            self._split(pa.Table.from_batches([batch]).append_column("told_by", told).cast(SCHEMA))

    def add_table(self, table: pa.Table) -> None:
        """Rows in the columns of ``SCHEMA``."""
        with self._lock:
            self._split(table)

    def _keep(self, bundle: Bundle) -> None:
        with self._lock:
            self._recent.append(bundle)
            if len(self._recent) >= ROWS_IN_OBJECTS:
                self._pack()

    def _pack(self) -> None:
        self._split(as_table(self._recent))
        self._recent.clear()

    def _split(self, table: pa.Table) -> None:
        ordered = table.sort_by("uploaded_at")
        start = 0
        for run in ordered["uploaded_at"].cast(pa.date32(), safe=False).value_counts().to_pylist():  # in order of appearance
            self._parts.setdefault(run["values"], []).append(ordered.slice(start, run["counts"]))
            start += run["counts"]

    def index(self, first: date, last: date, used: Inventory | None, skipped: dict[str, str], listed_from: date | None) -> BundleIndex:
        self._pack()
        index = BundleIndex(
            first,
            last,
            junk_keys=self._junk,
            junk_examples=self._examples,
            inventory=used,
            skipped=skipped,
            listed_from=listed_from,
        )
        categories: Counter[str] = Counter()
        for day in (first + timedelta(days=n) for n in range((last - first).days + 1)):
            table = _one_each(self._parts.pop(day, []))
            index.days[day] = Bundles(table)
            categories.update({pair["values"]: pair["counts"] for pair in table["category"].value_counts().to_pylist()})
        index.unknown_categories = {name: n for name, n in sorted(categories.items()) if name not in CATEGORIES}
        return index


def bundle_of(info: ObjectInfo, told_by: str) -> Bundle | None:
    """The index's entry for an object; None when its key is not a bundle's."""
    key = parse_key(info.key)
    return key and Bundle(
        info.key, key.partition, key.partition_id, key.category, key.uploaded_at,
        info.size, info.etag, info.last_modified.astimezone(UTC), told_by,
    )  # fmt: skip


def as_table(bundles: Sequence[Bundle]) -> pa.Table:
    """The bundles in the columns of ``SCHEMA``, in the order given."""
    columns = zip(*bundles, strict=True) if bundles else [()] * len(SCHEMA)
    return pa.table([pa.array(column, one.type) for column, one in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


def _one_each(parts: list[pa.Table]) -> pa.Table:
    """The day's bundles by ascending key. Of two reports of one key the later object wins."""
    if not parts:
        return SCHEMA.empty_table()
    table = pa.concat_tables(parts).combine_chunks().sort_by("key")
    if len(table["key"].unique()) == table.num_rows:
        return table
    chosen: dict[str, Bundle] = {}
    for bundle in Bundles(table):
        known = chosen.get(bundle.key)
        chosen[bundle.key] = _later(known, bundle) if known else bundle
    return as_table(list(chosen.values()))


def _later(one: Bundle, other: Bundle) -> Bundle:
    """The later object; of two reports of the same one the inventory's (a listing's times may lack the milliseconds)."""
    inventory, listing = sorted((one, other), key=attrgetter("told_by"))
    if inventory.etag == listing.etag and _second(inventory) == _second(listing):
        return inventory
    return inventory if inventory.last_modified > listing.last_modified else listing


def _second(bundle: Bundle) -> datetime:
    return bundle.last_modified.replace(microsecond=0)
