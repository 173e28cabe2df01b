"""Data sets on Spark: `datasets.export` with the steps that touch rows on executors. Files, receipt and page are the local engine's."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import polars as pl

from torus_assets.datasets import page_of, reading, site
from torus_assets.datasets.datashop import out as datashop
from torus_assets.datasets.export import ExportResult, export
from torus_assets.datasets.links import RELATIVE, Links
from torus_assets.datasets.orders import order_of
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.reading import BATCH_ROWS, Survey, Tally, surveyed
from torus_assets.datasets.receipt import Progress, Store
from torus_assets.datasets.request import Request
from torus_assets.datasets.site import Making
from torus_assets.engine import scratch as places
from torus_assets.engine.export import tables, transactions
from torus_assets.engine.export.lake_files import LakeFiles
from torus_assets.engine.hands import SparkHands, task_folder
from torus_assets.xapi.lake_files import local_paths

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOK_BYTES = 256 << 20  # of lake files that one task looks through, unless one file has more
TASKS_PER_CORE = 4


class Snapshot(site.Snapshot, Protocol):
    """A snapshot whose files executors can find by themselves."""

    @property
    def url(self) -> str: ...  # of the table: paths of files are relative to it


def export_on_spark(
    spark: SparkSession,
    request: Request,
    snapshot: Snapshot,
    store: Store,
    *,
    pseudonyms: PseudonymKey,
    scratch: Path,
    scratch_url: str | None = None,
    include_held: bool | None = None,
    progress: Progress | None = None,
    batch_rows: int = BATCH_ROWS,
    workers: int = 1,
    engine: datashop.Engine | None = None,
    links: Links = RELATIVE,
) -> ExportResult:
    """As `datasets.export.export`, whose arguments these are; `workers` and `engine` say nothing here.

    Args:
        scratch: a folder of the driver.
        scratch_url: a private store that driver and executors share (`TORUS_SCRATCH_URL`). None: a temporary folder where all of Spark is on
            this machine, else beside the job's own code. Empty of this data set afterwards, however it ended.

    Raises:
        NoScratch: nothing private is known that driver and executors share.
    """
    conf = dict(spark.sparkContext.getConf().getAll())
    private = places.scratch_url(scratch_url, conf, store.url, f"scratch/{request.job_id}/{uuid.uuid4().hex}")
    with places.scratch(private) as url, SparkHands(spark, url, store.url) as hands:
        return export(
            request, snapshot, store, pseudonyms=pseudonyms, scratch=scratch, include_held=include_held, progress=progress, batch_rows=batch_rows,
            workers=workers, engine=engine, links=links, site=OnSpark(hands, snapshot.url),
        )  # fmt: skip


@dataclass
class OnSpark:
    """`datasets.site.Site` on the executors of a session."""

    hands: SparkHands
    url: str

    def survey(self, request: Request, files: Sequence[Any], batch_rows: int) -> Survey:
        groups = file_groups(list(enumerate(files)), self.hands.cores)

        def count(level: int) -> pl.DataFrame:
            counted = self.hands.over(partial(_counted, self._look(), request, level), groups, "what the lake holds")
            return pl.concat([reading.counted(request, [], level), *counted])

        return surveyed(request, files, count, batch_rows)

    def users(self, request: Request, files: Sequence[Any]) -> list[tuple[str | None, str]]:
        """Ids of users come to the driver, for it decides what is replaced; they go no further than into broadcasts."""
        groups = file_groups(list(enumerate(files)), self.hands.cores)
        found = self.hands.over(partial(_users, self._look(), request), groups, "who is in it")
        return reading.in_order(set[tuple[str | None, str]]().union(*found))

    def sections(self, files: Sequence[Any], wanted: Collection[int]) -> set[int]:
        groups = file_groups(list(enumerate(files)), self.hands.cores)
        return set[int]().union(*self.hands.over(partial(_sections, self._look(), frozenset(wanted)), groups, "which sections there are"))

    def tables(self, making: Making, tally: Tally) -> page_of.Figures:
        return tables.write(self.hands, self.url, making, tally)

    @contextmanager
    def transactions(self, making: Making) -> Iterator[datashop.Site]:
        lake = LakeFiles(self.url, tuple(making.seen.files), self.hands.room)
        there = transactions.There(lake, self.hands.scratch_url, self.hands.store_url, making.output.target)
        with transactions.OnSpark(self.hands, making.request, there) as at:
            yield at

    def _look(self) -> tuple[str, str]:
        return self.url, self.hands.room


Numbered = Sequence[tuple[int, Any]]  # files of the lake with their places in the list of all


def file_groups(files: Numbered, cores: int) -> list[Numbered]:
    """Consecutive files, of about `LOOK_BYTES` together; fewer, so that all cores have some."""
    most = max(1, -(-len(files) // (TASKS_PER_CORE * cores)))
    groups: list[list[tuple[int, Any]]] = []
    total = 0
    for number, file in files:
        if not groups or len(groups[-1]) == most or total + file.bytes > LOOK_BYTES:
            groups.append([])
            total = 0
        groups[-1].append((number, file))
        total += file.bytes
    return list(groups)


# On executors ------------------------------------------------------------------------------------------------------------


def _counted(place: tuple[str, str], request: Request, level: int, files: Numbered) -> pl.DataFrame:
    with _looking(place, files, request.section_ids, tuple(order_of(request).keys)) as paths:
        return reading.counted(request, [(number, path) for (number, _), path in zip(files, paths, strict=True)], level)


def _users(place: tuple[str, str], request: Request, files: Numbered) -> set[tuple[str | None, str]]:
    with _looking(place, files, request.section_ids, ("home_page", "user_id")) as paths:
        return set(reading.users(request, paths))


def _sections(place: tuple[str, str], wanted: frozenset[int], files: Numbered) -> set[int]:
    with _looking(place, files, wanted, ()) as paths:
        return reading.sections_in(paths, wanted)


@contextmanager
def _looking(place: tuple[str, str], files: Numbered, sections: Collection[int], columns: Sequence[str]) -> Iterator[list[Path]]:
    """The files where this host can read these columns, as long as the task needs them."""
    url, room = place
    with task_folder(room) as folder:
        yield local_paths(url, [file for _, file in files], sections, folder, columns=columns)
