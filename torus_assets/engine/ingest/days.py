"""Days of the lake brought up to date on a cluster: many days in one plan, one commit per day by the driver.

What `xapi/day.py` does for one day here; the rows are the same, column for column.
"""

from __future__ import annotations

import json
import tempfile
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
from deltalake.transaction import AddAction

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.engine.ingest.cuts import DayWork, Load
from torus_assets.engine.ingest.settled import Again, DayOut, settle_days
from torus_assets.xapi.bundle_index import read_index
from torus_assets.xapi.commit import LearnerForgotten, commit_placed, empty_ledger, ledger_table
from torus_assets.xapi.day import RELISTINGS, forgotten_meanwhile, relisted, wanted
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.fates import ledger_of
from torus_assets.xapi.ingest import (
    MAX_PLANS,
    IngestOptions,
    IngestResult,
    Stage,
    bundles_of,
    dry_result,
    numbers_of,
    plan_of,
    result_of,
    snapshot_or_none,
)
from torus_assets.xapi.lake import DayChanged, Lake, Snapshot, add_action
from torus_assets.xapi.ledger import Plan, RowsWouldVanish
from torus_assets.xapi.settle import ContentNeeded, Displaced
from torus_assets.xapi.tombstones import Register, Tombstones

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def _quiet(stage: str, done: int, total: int) -> None:
    """No one looks."""


class DaysKeepChanging(DayChanged):
    """Others kept committing a day."""


@dataclass(frozen=True)
class DaysDone:
    """What became of the days, in their order."""

    results: dict[date, IngestResult]
    refused: dict[date, RowsWouldVanish]  # rebuilds that were not told to drop rows; these days are as they were


@dataclass
class _Day:
    """A day on its way: what earlier plans of it found out."""

    day: date
    rebuild: bool
    reread: frozenset[str] = frozenset()
    plans: int = 0
    relistings: int = 0


class _Planned(NamedTuple):
    """A day's plan on a snapshot."""

    day: _Day
    plan: Plan
    before: pa.Table  # its ledger there


def ingest_days(
    spark: SparkSession,
    lake: Lake,
    bundles: ObjectStore,
    days: Sequence[date],
    options: IngestOptions,
    *,
    tombstone_key: bytes | None = None,
    on_day: Callable[[IngestResult], None] = lambda _: None,
    progress: Stage = _quiet,
) -> DaysDone:
    """Ingests what the days' indexes name; each day is committed by itself, and a kill leaves it as it was or as it is to be.

    Args:
        tombstone_key: from `tombstones.tombstone_secret`; lines of learners who were forgotten are counted and dropped.
        on_day: called with each day's result once it is committed (or found up to date).

    Raises:
        OtherKey: learners were forgotten, and this is not the key their tombstones were made under.
        DayChanged: others kept committing a day; days that were told before it stay done.
    """
    return _Ingest(spark, lake, bundles, options, Register(open_store(lake.root), tombstone_key), on_day, progress).run(days)


class _Ingest:
    """Groups of days, each planned on one snapshot; days that changed meanwhile are planned again with the next group."""

    def __init__(
        self, spark: SparkSession, lake: Lake, bundles: ObjectStore, options: IngestOptions, register: Register,
        on_day: Callable[[IngestResult], None], progress: Stage,
    ) -> None:  # fmt: skip
        self.spark = spark
        self.lake = lake
        self.bundles = bundles
        self.options = options
        self.register = register
        self.on_day = on_day
        self.progress = progress
        self.done = DaysDone({}, {})

    def run(self, days: Iterable[date]) -> DaysDone:
        waiting = deque(_Day(day, self.options.rebuild) for day in sorted(set(days)))
        while waiting:
            group = _Group(self, time.monotonic(), self.register.now())
            planned = group.planned(waiting)
            waiting.extendleft(reversed(group.settled(planned)))
        return DaysDone(dict(sorted(self.done.results.items())), self.done.refused)

    def say(self, result: IngestResult) -> None:
        self.done.results[result.day] = result
        self.on_day(result)


class _Group:
    """Days that one plan of Spark does."""

    def __init__(self, ingest: _Ingest, started: float, tombstones: Tombstones) -> None:
        self.ingest = ingest
        self.options = ingest.options
        self.lake = ingest.lake
        self.started = started
        self.tombstones = tombstones
        self.snapshot = snapshot_or_none(self.lake) if self.options.dry_run else self.lake.ensure()

    def planned(self, waiting: deque[_Day]) -> list[_Planned]:
        """Takes days off the front until there is enough to do; those with nothing to read are done here."""
        group: list[_Planned] = []
        load = Load()
        while waiting and not load.is_full:
            day = waiting.popleft()
            try:
                found = self._plan(day)
            except RowsWouldVanish as error:
                self.ingest.done.refused[day.day] = error
                continue
            except DaysKeepChanging:
                raise
            except DayChanged:
                waiting.appendleft(day)
                break  # this snapshot is too old for it
            if found is not None:
                group.append(found)
                load.add(found.plan)
        return group

    def _plan(self, day: _Day) -> _Planned | None:
        """The day's plan; None when there was nothing to settle and its result is told."""
        day.plans += 1
        if day.plans > MAX_PLANS:
            raise DaysKeepChanging(
                f"{day.day}: the day changed {MAX_PLANS} times while it was being ingested; is another job writing it in a loop?"
            )
        index = [wanted(self.ingest.bundles, bundle) for bundle in read_index(open_store(self.lake.root), day.day)]
        plan = plan_of(self.snapshot, day.day, index, self.options, rebuild=day.rebuild, reread=day.reread)
        if self.options.dry_run or self.snapshot is None:
            self.ingest.say(dry_result(self.snapshot, plan, self.options, self.started))
            return None
        planned = _Planned(day, plan, ledger_table(self.snapshot, day.day))
        if plan.mode == "none":
            self._commit(planned, empty_ledger(), [], 0)
            return None
        return planned

    def settled(self, group: Sequence[_Planned]) -> list[_Day]:
        """Settles and commits; the days that have to be planned again."""
        if not group:
            return []
        assert self.snapshot is not None
        work = list(_work(self.snapshot, group))
        outs = settle_days(
            self.ingest.spark, work, self.ingest.bundles, open_store(self.lake.url), uuid.uuid4().hex, max_line_bytes=self.options.max_line_bytes,
            tombstones=self.tombstones, progress=self.ingest.progress,
        )  # fmt: skip
        return [planned.day for planned, day in zip(group, work, strict=True) if not self._finished(planned, day, outs[planned.day.day])]

    def _finished(self, planned: _Planned, work: DayWork, out: DayOut | Again) -> bool:
        """Commits the day, or remembers why it has to be planned again."""
        if not isinstance(out, DayOut):
            self._remember(planned.day, out)
            return False
        placed = [add_action(file.path, file.day, file.kind, file.bytes, json.loads(file.stats)) for file in out.files]
        bundles = bundles_of(planned.plan, planned.before, work.numbers, out.reads)
        ledger = ledger_of(bundles, out.tallies, append=planned.plan.mode != "rebuild")
        try:
            self._commit(planned, ledger, placed, sum(read.bytes for read in out.reads))
        except (DayChanged, LearnerForgotten):
            return False
        return True

    def _remember(self, day: _Day, why: Again) -> None:
        if isinstance(why, Displaced):
            day.rebuild = True
        elif isinstance(why, ContentNeeded):
            day.reread |= why.keys
        elif isinstance(why, BundleGone):
            day.relistings += 1
            if day.relistings > RELISTINGS:
                raise why
            relisted(self.lake, self.ingest.bundles, day.day)

    def _commit(self, planned: _Planned, ledger: pa.Table, placed: Sequence[AddAction], size: int) -> None:
        assert self.snapshot is not None
        with tempfile.TemporaryDirectory(prefix="torus-day-") as name:
            folder = Path(name)
            done = commit_placed(
                self.lake, self.snapshot, planned.plan, planned.before, ledger, placed, folder, limit=self.options.max_quarantined_share,
                still_valid=lambda: self._still_valid(planned.plan),
            )  # fmt: skip
            seconds = time.monotonic() - self.started
            result = result_of(planned.plan, ledger, done.ledger, self.options, seconds, size, done.version)
            self.ingest.say(forgotten_meanwhile(self.lake, result, folder, self.options, self.ingest.register, self.tombstones))

    def _still_valid(self, plan: Plan) -> None:
        if plan.read and self.ingest.register.now() != self.tombstones:
            raise LearnerForgotten(f"{plan.day}: a learner was forgotten while the day was being ingested")


def _work(snapshot: Snapshot, group: Iterable[_Planned]) -> Iterator[DayWork]:
    """The days with their bundles numbered one after the other."""
    first = 0
    for day, plan, before in group:
        numbers = numbers_of(plan, before, first)
        first += len(numbers)
        kept = [
            (numbers[key], source_file, section)
            for key, source_file, section in zip(
                *(before.column(name).to_pylist() for name in ("key", "source_file", "section_id")), strict=True
            )
            if key in plan.kept
        ]
        files = [file for file in snapshot.files(first=day.day, last=day.day) if file.kind != "bundle"] if kept else []
        yield DayWork(plan, numbers, kept, files)
