"""One report about the store (an S3 inventory, or a listing) against the ledger, in memory that does not grow with either.

First look: per upload day and partition the number of objects and the exclusive or of the hashes of (key, etag), which does not
depend on order. Second look, only at days that differ there: key by key. What has no counterpart in the report at all, such as days
that a lifecycle rule deleted, is counted and not looked at again.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi import bundle_index
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.inventory import Inventory, inventory_batches
from torus_assets.xapi.lake import Snapshot

NAMED = 20  # keys named as examples
ROWS_AT_ONCE = 500_000  # of both sides in the second look: some 150 MB
FOREVER = datetime.max.replace(tzinfo=UTC)
COLUMNS = bundle_index.SCHEMA.remove(bundle_index.SCHEMA.get_field_index("told_by"))

Report = Callable[[], Iterator[pa.RecordBatch]]  # rows in COLUMNS; asked again for a second look
Found = Callable[[date, Sequence[Bundle]], None]  # told of a day's objects that the ledger lacks or has in an older version
Group = tuple[date, str]  # upload day, partition of the key ("section", "project")


class Sum(NamedTuple):
    """What a group comes to."""

    objects: int = 0
    checksum: int = 0  # of (key, etag), free of order

    def plus(self, other: Sum) -> Sum:
        return Sum(self.objects + other.objects, self.checksum ^ other.checksum)


class DayDifference(NamedTuple):
    """One day in which store and ledger differ, in objects."""

    day: date
    missing: int  # in the report, not in the ledger
    changed: int  # in the ledger under another etag, and written later since
    vanished: int  # in the ledger, not in the report: their rows are kept
    waiting: int  # missing or changed, but too young to count
    examples: tuple[str, ...]  # keys missing or changed, then vanished

    @property
    def wrong(self) -> int:
        """Objects that should be in the lake, and are not. Vanished ones are no fault."""
        return self.missing + self.changed


@dataclass
class StoreCompared:
    """What one report and the ledger said of the days."""

    told_by: str  # the manifest's key, or "listing"
    first: date
    last: date
    days: int = 0  # that have objects on one of the sides
    objects: int = 0  # of the report
    days_gone: list[date] = field(default_factory=list)  # in the ledger, and no object of them in the report
    differences: list[DayDifference] = field(default_factory=list)  # ascending

    @property
    def wrong_days(self) -> list[date]:
        return [found.day for found in self.differences if found.wrong]

    def total(self, what: str) -> int:
        """Sum over the days of `missing`, `changed`, `vanished` or `waiting`."""
        return sum(getattr(found, what) for found in self.differences)

    @property
    def examples(self) -> list[str]:
        """Up to NAMED keys; those of the days that are wrong first."""
        ordered = sorted(self.differences, key=lambda found: found.wrong == 0)
        return [key for found in ordered for key in found.examples][:NAMED]


def settled_until(inventory: Inventory) -> date:
    """The last day that the report is taken to know fully: what was uploaded shortly before its creation may be missing."""
    return inventory.created_at.date() - timedelta(days=bundle_index.SETTLED_DAYS)


def of_inventory(store: ObjectStore, inventory: Inventory, first: date, last: date, *, prefix: str) -> Report:
    """The report's bundles of the days. UnusableInventory may come while it is read."""
    return lambda: inventory_batches(store, inventory, first, last, prefix=prefix)


def of_listing(bundles: ObjectStore, first: date, last: date) -> Report:
    """The days as the store lists them now: one call for each category of each section. For few days: they are held in memory."""
    index = bundle_index.index_days(bundles, None, first, last, listing="always")
    return lambda: (batch for day in index.days.values() for batch in day.table.select(COLUMNS.names).to_batches())


def compare(
    report: Report,
    snapshot: Snapshot | None,
    first: date,
    last: date,
    *,
    told_by: str,
    scratch: Path,
    found: Found = lambda _day, _bundles: None,
    due: datetime = FOREVER,
) -> StoreCompared:
    """Compares the days from `first` to `last`, both included.

    Args:
        snapshot: of the lake, taken after the report; None when there is no lake yet.
        told_by: name of the report; `found` gets rows that say "inventory", or "listing" when it is that.
        scratch: folder for the report's rows of days that differ, removed afterwards.
        found: called once for each day with something missing or changed, the newest day first.
        due: objects written later than this are only waiting for their turn.

    Raises:
        UnusableInventory: the report is damaged; nothing was told to `found` by the first look.
    """
    theirs, ours = _report_sums(report), _ledger_sums(snapshot, first, last)
    result = StoreCompared(
        told_by,
        first,
        last,
        days=len({day for day, _ in theirs.keys() | ours.keys()}),
        objects=sum(one.objects for one in theirs.values()),
        days_gone=sorted({day for day, _ in ours} - {day for day, _ in theirs}),
    )
    differing = {group: theirs[group].objects + ours.get(group, Sum()).objects for group in theirs if theirs[group] != ours.get(group)}
    if differing:
        with _spilt(report, differing, scratch) as spilt:
            kind = "listing" if told_by == "listing" else "inventory"
            for groups in _portions(differing):
                result.differences += _look(_of_groups(spilt, groups), _ledger_rows(snapshot, groups), kind, due, found)
    result.differences.sort()
    return result


# --- first look


def _report_sums(report: Report) -> dict[Group, Sum]:
    sums: dict[Group, Sum] = {}
    for batch in report():
        for group, one in _sums(_frame(batch).lazy()).items():
            sums[group] = sums.get(group, Sum()).plus(one)
    return sums


def _ledger_sums(snapshot: Snapshot | None, first: date, last: date) -> dict[Group, Sum]:
    if snapshot is None:
        return {}
    return _sums(_ledger(snapshot, first, last))


def _sums(rows: pl.LazyFrame) -> dict[Group, Sum]:
    summed = rows.group_by("day", "partition").agg(pl.len(), pl.struct("key", "etag").hash().bitwise_xor().alias("checksum"))
    return {(day, partition): Sum(count, checksum) for day, partition, count, checksum in summed.collect(engine="streaming").iter_rows()}


def _frame(batch: pa.RecordBatch) -> pl.DataFrame:
    """Rows of a report with their day."""
    return pl.DataFrame(pa.Table.from_batches([batch])).with_columns(pl.col("uploaded_at").dt.date().alias("day"))


def _ledger(snapshot: Snapshot, first: date, last: date) -> pl.LazyFrame:
    return snapshot.scan("bundles", first, last).select(
        "key",
        pl.col("source_etag").fill_null("").alias("etag"),
        "last_modified",
        pl.col("upload_date").alias("day"),
        pl.col("key").str.extract(r"^([^/]+)/").alias("partition"),
    )


# --- second look


@contextmanager
def _spilt(report: Report, differing: Mapping[Group, int], scratch: Path) -> Iterator[pl.LazyFrame]:
    """The report's rows of the differing groups, on disk, so that portions of them can be read."""
    groups = _groups_frame(differing)
    file = scratch / f"reconcile-{uuid.uuid4().hex}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with pq.ParquetWriter(file, COLUMNS.append(pa.field("day", pa.date32())), compression="zstd") as out:
            for batch in report():
                rows = _frame(batch).join(groups, on=["day", "partition"], how="semi")
                if rows.height:
                    out.write_table(rows.to_arrow().cast(out.schema))
        yield pl.scan_parquet(file)
    finally:
        file.unlink(missing_ok=True)


def _of_groups(rows: pl.LazyFrame, groups: Sequence[Group]) -> pl.DataFrame:
    near = rows.filter(pl.col("day").is_between(min(groups)[0], max(groups)[0]))
    return near.join(_groups_frame(groups).lazy(), on=["day", "partition"], how="semi").collect(engine="streaming")


def _groups_frame(groups: Mapping[Group, int] | Sequence[Group]) -> pl.DataFrame:
    return pl.DataFrame(list(groups), schema={"day": pl.Date, "partition": pl.String}, orient="row")


def _portions(differing: Mapping[Group, int]) -> Iterator[list[Group]]:
    """Groups in portions of at most ROWS_AT_ONCE rows, newest day first; a day stays in one portion."""
    days: dict[date, list[Group]] = {}
    for group in sorted(differing, reverse=True):
        days.setdefault(group[0], []).append(group)
    portion: list[Group] = []
    size = 0
    for groups in days.values():
        rows = sum(differing[group] for group in groups)
        if portion and size + rows > ROWS_AT_ONCE:
            yield portion
            portion, size = [], 0
        portion += groups
        size += rows
    yield portion


def _ledger_rows(snapshot: Snapshot | None, groups: Sequence[Group]) -> pl.DataFrame:
    if snapshot is None:
        empty = {"key": pl.String, "etag": pl.String, "last_modified": pl.Datetime("us", "UTC"), "day": pl.Date, "partition": pl.String}
        return pl.DataFrame(schema=empty)
    return _of_groups(_ledger(snapshot, min(groups)[0], max(groups)[0]), groups)


def _look(store: pl.DataFrame, ledger: pl.DataFrame, kind: str, due: datetime, found: Found) -> Iterator[DayDifference]:
    """Key by key, newest day first. The rule is that of `ledger.plan_day`."""
    missing = store.join(ledger, on="key", how="anti")
    both = store.join(ledger.select("key", pl.col("etag").alias("known"), pl.col("last_modified").alias("read")), on="key")
    changed = both.filter((pl.col("etag") != pl.col("known")) & (pl.col("last_modified") > pl.col("read"))).select(store.columns)
    vanished = ledger.join(store, on="key", how="anti")
    for day in sorted({*missing["day"], *changed["day"], *vanished["day"]}, reverse=True):
        lacking, older, gone = (frame.filter(pl.col("day") == day).sort("key") for frame in (missing, changed, vanished))
        news = [*_bundles(lacking, kind), *_bundles(older, kind)]
        if news:
            found(day, news)
        due_lacking, due_older = (frame.filter(pl.col("last_modified") <= due) for frame in (lacking, older))
        waiting = len(news) - due_lacking.height - due_older.height
        examples = pl.concat([due_lacking["key"], due_older["key"], gone["key"]]).head(NAMED)
        yield DayDifference(day, due_lacking.height, due_older.height, gone.height, waiting, tuple(examples))


def _bundles(rows: pl.DataFrame, told_by: str) -> list[Bundle]:
    columns = [rows[name].to_list() for name in COLUMNS.names]
    return [Bundle._make((*values, told_by)) for values in zip(*columns, strict=True)]
