"""Settled lines without a lake: the rows of some bundles as files of a scratch store, for one data set that is made of them and forgotten.

What a lake's snapshot says of its files, this says too; the rows are those that an ingest of the same bundles would commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.engine.ingest.cuts import DayWork, Load
from torus_assets.engine.ingest.settled import Again, ChangedMeanwhile, DayOut, settle_days
from torus_assets.xapi.commit import empty_ledger, quarantined_share
from torus_assets.xapi.fates import add_up, ledger_of
from torus_assets.xapi.ingest import IngestOptions, Stage, bundles_of, numbers_of
from torus_assets.xapi.lake import DayFile, local_files
from torus_assets.xapi.ledger import Plan, Wanted
from torus_assets.xapi.tombstones import NONE, Tombstones

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TRIES = 3  # of days whose objects change while they are read


def _quiet(stage: str, done: int, total: int) -> None:
    """No one looks."""


@dataclass(frozen=True)
class LooseSnapshot:
    """Files of one run below `url`, with what a data set asks of `lake.Snapshot`."""

    url: str
    held_days: tuple[date, ...]
    all_files: tuple[DayFile, ...]
    counts: dict[str, Any]  # lines by fate, over all bundles: `bundles lines blank rows duplicates refused forgotten`, `refused_by_reason`
    version: int = 0  # there is only one

    def files(self, *, kinds: Iterable[str] | None = None, first: date | None = None, last: date | None = None) -> list[DayFile]:
        """Files of the given kinds (all) and days (all, both ends included), in order of day, kind and path."""
        wanted = None if kinds is None else frozenset(kinds)
        return [f for f in self.all_files if (wanted is None or f.kind in wanted) and _within(f.day, first, last)]

    @contextmanager
    def local(self, files: Iterable[DayFile], scratch: Path) -> Iterator[list[Path]]:
        """The files as local paths, in the same order."""
        with local_files(self.url, files, scratch) as paths:
            yield paths

    def held(self, first: date | None = None, last: date | None = None) -> list[date]:
        """Days whose quarantined share passed the limit."""
        return [day for day in self.held_days if _within(day, first, last)]

    def remove(self) -> None:
        """Deletes every file of the run."""
        store = open_store(self.url)
        store.delete([info.key for info in store.list()])


def _within(day: date, first: date | None, last: date | None) -> bool:
    return (first is None or day >= first) and (last is None or day <= last)


def loose_snapshot(
    spark: SparkSession,
    scratch_url: str,
    bundles: ObjectStore,
    days: Mapping[date, Sequence[Wanted]],
    options: IngestOptions,
    tombstones: Tombstones = NONE,
    *,
    progress: Stage = _quiet,
) -> LooseSnapshot:
    """Settles the bundles of the days, each day by itself as the lake does, and leaves the files below a new folder of `scratch_url`.

    Args:
        scratch_url: private: the files hold what learners wrote.
        days: bundles by upload day; only these are read.

    Raises:
        BundleGone: objects are not there any more; nothing is left behind.
        ChangedMeanwhile: objects kept changing while they were read; nothing is left behind.
    """
    run = uuid.uuid4().hex
    url = f"{scratch_url.rstrip('/')}/rows-{run}"
    made = _Made([], [], [])
    try:
        plans = (Plan(day, "rebuild", sorted(days[day]), frozenset(), "for one data set") for day in sorted(days))
        for group in _groups(plans):
            made.add(_settled(spark, group, bundles, url, options, tombstones, progress), options)
    except BaseException:
        made.snapshot(url).remove()
        raise
    return made.snapshot(url)


@dataclass
class _Made:
    """What the groups of days came to so far."""

    files: list[DayFile]
    held: list[date]
    ledgers: list[pa.Table]

    def add(self, outs: Iterable[tuple[DayWork, DayOut]], options: IngestOptions) -> None:
        for day, out in outs:
            ledger = ledger_of(bundles_of(day.plan, empty_ledger(), day.numbers, out.reads), out.tallies, append=False)
            self.ledgers.append(ledger)
            self.files += (DayFile(file.path, file.day, file.kind, file.rows, file.bytes) for file in out.files)
            if quarantined_share(ledger) > options.max_quarantined_share:
                self.held.append(day.plan.day)

    def snapshot(self, url: str) -> LooseSnapshot:
        found = add_up(pa.concat_tables([empty_ledger(), *self.ledgers]))
        counts = {name: found[name] for name in ("bundles", "lines", "blank", "duplicates", "forgotten")}
        counts |= {
            "rows": sum(found["rows"].values()),
            "refused": sum(found["quarantined"].values()),
            "refused_by_reason": found["quarantined"],
        }
        return LooseSnapshot(url, tuple(self.held), tuple(sorted(self.files, key=lambda f: (f.day, f.kind, f.path))), counts)


def _settled(
    spark: SparkSession, plans: Sequence[Plan], bundles: ObjectStore, url: str, options: IngestOptions, tombstones: Tombstones,
    progress: Stage,
) -> list[tuple[DayWork, DayOut]]:  # fmt: skip
    done: list[tuple[DayWork, DayOut]] = []
    for _ in range(TRIES):
        work = _numbered(plans)
        outs = settle_days(
            spark,
            work,
            bundles,
            open_store(url),
            uuid.uuid4().hex,
            max_line_bytes=options.max_line_bytes,
            tombstones=tombstones,
            progress=progress,
        )
        done += [(day, out) for day in work if isinstance(out := outs[day.plan.day], DayOut)]
        again: dict[date, Again] = {day: out for day, out in outs.items() if not isinstance(out, DayOut)}
        for why in again.values():
            if not isinstance(why, ChangedMeanwhile):
                raise why
        if not again:
            return done
        plans = [plan for plan in plans if plan.day in again]
    raise ChangedMeanwhile(f"objects of {len(plans)} days (first: {plans[0].day}) changed {TRIES} times while they were read; run it again")


def _groups(plans: Iterable[Plan]) -> Iterator[list[Plan]]:
    """As many days as one plan of Spark takes."""
    group, load = list[Plan](), Load()
    for plan in plans:
        group.append(plan)
        load.add(plan)
        if load.is_full:
            yield group
            group, load = [], Load()
    if group:
        yield group


def _numbered(plans: Iterable[Plan]) -> list[DayWork]:
    work: list[DayWork] = []
    first = 0
    for plan in plans:
        numbers = numbers_of(plan, empty_ledger(), first)
        first += len(numbers)
        work.append(DayWork(plan, numbers, [], []))
    return work
