"""Both engines over the same bundles of one day, compared row for row (DESIGN 6): the proof that it does not matter which one did the work."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow.parquet as pq

from torus_assets.clients.object_store import open_store
from torus_assets.xapi import bundle_index, tables
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.lake import Lake, Snapshot
from torus_assets.xapi.scratch import scratch_folder
from torus_assets.xapi.tombstones import PREFIX as TOMBSTONES

if TYPE_CHECKING:
    import duckdb

FOLDER = "parity/"
STALE = timedelta(days=1)  # what a killed comparison left in a shared store; none takes so long
MEMORY = "500MB"


class NothingToCompare(LookupError):
    """The lake has no such day, or the day has no bundle."""


class SampleChanged(RuntimeError):
    """Objects of the sample went away while it was read, so that the engines did not see the same."""


class Sample(NamedTuple):
    """Bundles of one day that both engines read."""

    day: date
    bundles: list[Bundle]
    of_bundles: int  # that the day has

    @property
    def bytes(self) -> int:
        return sum(bundle.bytes for bundle in self.bundles)


class Compared(NamedTuple):
    """One kind of line in both lakes. Counts alone: what differs may be a learner's."""

    kind: str
    local: int
    spark: int
    only_local: int  # rows that the other lake does not have, or not as often
    only_spark: int
    columns: str  # the first difference of the files' columns; empty when there is none

    @property
    def agrees(self) -> bool:
        return not (self.only_local or self.only_spark or self.columns)


def sample(lake: Lake, asked: date | None, seed: str, max_bytes: int) -> Sample:
    """Bundles at random, the same ones for the same seed.

    Args:
        asked: the day; None: any day that the lake has.
        max_bytes: of the bundles taken; one is taken whatever its size.

    Raises:
        NothingToCompare: there is nothing to take.
        LakeMissing: nothing was ever ingested.
    """
    chance, days = random.Random(seed), lake.snapshot().days()  # noqa: S311  chance, not a secret
    if not days or (asked is not None and asked not in days):
        raise NothingToCompare(f"the lake has no day {asked}: name one that was ingested" if days else "the lake has no day yet")
    day = asked or chance.choice(days)
    index = list(bundle_index.read_index(open_store(lake.root), day))
    if not index:
        raise NothingToCompare(f"{day} has no bundle: name another day")
    taken: list[Bundle] = []
    room = max_bytes
    for bundle in chance.sample(index, len(index)):
        if bundle.bytes <= room or not taken:
            taken.append(bundle)
            room -= bundle.bytes
    return Sample(day, sorted(taken), len(index))


def lay_out(lake: Lake, found: Sample, url: str) -> Lake:
    """An empty lake for the sample: its index, and the tombstones of forgotten learners, who are forgotten here as well."""
    store, theirs = open_store(url), open_store(lake.root)
    bundle_index.write_index(store, bundle_index.index_of(found.day, found.day, [bundle_index.as_table(found.bundles)]))
    for entry in theirs.list(TOMBSTONES):
        store.put(entry.key, theirs.get(entry.key).body)
    return Lake(url)


@contextmanager
def scratch_root(shared_url: str | None, spool: Path, day: date, name: str, now: datetime | None = None) -> Iterator[str]:
    """A place for the lakes, removed at the end; of a killed run, by `torus lake maintain` or by the next comparison.

    Args:
        shared_url: store that executors of other machines reach; None: a folder of this machine will do.
        name: of this run.
    """
    if shared_url is None:
        with scratch_folder(spool, day) as folder:
            yield f"file://{folder}"
        return
    store, limit = open_store(shared_url), (now or datetime.now(UTC)) - STALE
    store.delete([entry.key for entry in store.list(FOLDER) if entry.last_modified < limit])
    try:
        yield f"{shared_url}/{FOLDER}{name}"
    finally:
        store.delete([entry.key for entry in store.list(f"{FOLDER}{name}/")])


def compare(found: Sample, local: Lake, spark: Lake, folder: Path) -> list[Compared]:
    """Every kind of line, duplicates, refusals and the ledger among them, as multisets of whole rows, out of core.

    Raises:
        SampleChanged: an engine had to list the day anew.
    """
    import duckdb

    for lake in (local, spark):
        if list(bundle_index.read_index(open_store(lake.root), found.day)) != found.bundles:
            raise SampleChanged(f"{found.day}: objects of the sample are gone from the store; compare again, or another day")
    snapshots = local.snapshot(), spark.snapshot()
    with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": str(folder / "duckdb"), "threads": 2}) as connection:
        return [_compared(connection, kind, found.day, snapshots, folder) for kind in tables.BY_KIND]


def _compared(connection: duckdb.DuckDBPyConnection, kind: str, day: date, snapshots: tuple[Snapshot, Snapshot], folder: Path) -> Compared:
    ours, theirs = (snapshot.files(kinds=[kind], first=day, last=day) for snapshot in snapshots)
    with snapshots[0].local(ours, folder) as left, snapshots[1].local(theirs, folder) as right:
        columns = _undeclared(kind, [*left, *right])
        counts = [sum(file.rows for file in files) for files in (ours, theirs)]
        if columns or not (left and right):
            return Compared(kind, counts[0], counts[1], counts[0], counts[1], columns)
        only = [_only(connection, kind, a, b) for a, b in ((left, right), (right, left))]
    return Compared(kind, counts[0], counts[1], only[0], only[1], "")


def _undeclared(kind: str, paths: Sequence[Path]) -> str:
    """The first file whose columns are not those of the kind, and how they differ."""
    declared = tables.BY_KIND[kind].schema
    for path in paths:
        schema = pq.read_schema(path)
        if schema.names != declared.names or schema.types != declared.types:
            odd = sorted({(field.name, str(field.type)) for field in schema} ^ {(field.name, str(field.type)) for field in declared})
            return f"{odd[:3]}" if odd else "another order of the columns"
    return ""


def _only(connection: duckdb.DuckDBPyConnection, kind: str, ours: Sequence[Path], theirs: Sequence[Path]) -> int:
    """Rows that `ours` holds more often than `theirs`."""
    names = ", ".join(f'"{column.name}"' for column in tables.BY_KIND[kind].columns)
    query = (
        f"SELECT count(*) FROM (SELECT {names} FROM read_parquet($ours, hive_partitioning = false) "
        f"EXCEPT ALL SELECT {names} FROM read_parquet($theirs, hive_partitioning = false))"
    )
    row = connection.execute(query, {"ours": [str(path) for path in ours], "theirs": [str(path) for path in theirs]}).fetchone()
    assert row is not None
    return int(row[0])
