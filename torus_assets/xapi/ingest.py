"""Bringing one day of the lake up to date: plan, decode, settle, commit (DESIGN 5).

A kill at any instant leaves the day as it was; running again finishes the work. Two ingests of one day at once: one commits, the
other plans again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from torus_assets.xapi import tables, workers
from torus_assets.xapi.commit import LearnerForgotten, compact_day, empty_ledger, kept_bundle, ledger_table, quarantined_share, write_day
from torus_assets.xapi.decode import BundleRead, Task
from torus_assets.xapi.lake import DayChanged, Lake, Snapshot
from torus_assets.xapi.ledger import Mode, Plan, Wanted, plan_day
from torus_assets.xapi.scratch import clear_spool, scratch_folder, stale_folders
from torus_assets.xapi.settle import ContentNeeded, DayBundle, Displaced, add_up
from torus_assets.xapi.tombstones import NONE, Tombstones

MAX_PLANS = 12  # a day that changes under us this often is being written by something that does not stop


@dataclass(frozen=True)
class IngestOptions:
    """Knobs of an ingest; the defaults are the safe choice."""

    sections: frozenset[int] | None = None
    rebuild: bool = False
    drop_vanished: bool = False
    max_quarantined_share: float = 0.05
    max_line_bytes: int = 16 << 20
    workers: int = os.cpu_count() or 1
    dry_run: bool = False


@dataclass(frozen=True)
class IngestResult:
    """What one ingest of a day did. Counts are in the form of `torus ingest --json`."""

    day: date
    mode: Mode
    this_run: dict[str, Any]
    day_total: dict[str, Any]
    held: bool
    seconds: float
    reason: str
    bytes_read: int
    version: int | None  # of the lake; None when nothing was committed
    replay: dict[str, Any] | None = None  # what a replay of refused lines came to, when it was one

    def document(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "mode": self.mode,
            "this_run": self.this_run,
            "day_total": self.day_total,
            "held": self.held,
            "seconds": round(self.seconds, 3),
            **({} if self.replay is None else {"replay": self.replay}),
        }

    def packed(self) -> dict[str, Any]:
        """All of it as JSON members, for another process; `unpacked` reads them."""
        return {**asdict(self), "day": self.day.isoformat()}

    @staticmethod
    def unpacked(document: Mapping[str, Any]) -> IngestResult:
        """What `packed` gave.

        Raises:
            TypeError: a member is missing or unknown: the other process is of another release.
        """
        return IngestResult(**{**document, "day": date.fromisoformat(document["day"])})


Stage = Callable[[str, int, int], None]  # stage's name, done, of how many
Forgotten = Callable[[], Tombstones]  # learners who were forgotten, as of the call


def _quiet(stage: str, done: int, total: int) -> None:
    """No one looks."""


def nobody() -> Tombstones:
    """No learner was ever forgotten."""
    return NONE


def ingest_day(
    lake: Lake,
    xapi_url: str,
    day: date,
    index: Sequence[Wanted],
    spool: Path,
    options: IngestOptions,
    *,
    forgotten: Forgotten = nobody,
    progress: Stage = _quiet,
) -> IngestResult:
    """Brings the day's rows, refusals and ledger up to date with its bundles, in one commit.

    Args:
        index: every bundle object of the day.
        spool: scratch space; a folder of this run's own is made in it and removed.
        forgotten: asked at every plan, and again right before the commit: who was forgotten meanwhile is not committed.

    Raises:
        RowsWouldVanish, BundleGone, WorkerFailed, OtherKey, OSError: the lake is as it was.
        DayChanged: others kept committing the day; nothing of this run counts.
    """
    started = time.monotonic()
    force_rebuild = options.rebuild
    reread: frozenset[str] = frozenset()
    for _ in range(MAX_PLANS):
        snapshot = lake.ensure() if not options.dry_run else snapshot_or_none(lake)
        plan = plan_of(snapshot, day, index, options, rebuild=force_rebuild, reread=reread)
        if options.dry_run or snapshot is None:
            return dry_result(snapshot, plan, options, started)
        try:
            with scratch_folder(spool, day) as folder:
                return _carried_out(lake, snapshot, plan, xapi_url, folder, options, started, forgotten, progress)
        except Displaced:
            force_rebuild = True
        except ContentNeeded as needed:
            reread |= needed.keys
        except LearnerForgotten:
            pass
        except DayChanged:
            time.sleep(0.05)  # the other's commit is there already; a little air between several
    raise DayChanged(f"{day}: the day changed {MAX_PLANS} times while it was being ingested; is another job writing it in a loop?")


def _carried_out(
    lake: Lake,
    snapshot: Snapshot,
    plan: Plan,
    xapi_url: str,
    folder: Path,
    options: IngestOptions,
    started: float,
    forgotten: Forgotten,
    progress: Stage,
) -> IngestResult:
    tombstones = forgotten()
    before = ledger_table(snapshot, plan.day)
    reads, bundles = _decoded(plan, before, xapi_url, folder, options, tombstones, progress)

    def still_valid() -> None:
        if plan.read and forgotten() != tombstones:
            raise LearnerForgotten(f"{plan.day}: a learner was forgotten while the day was being ingested")

    progress("settle", 0, 1)
    written = write_day(
        lake,
        snapshot,
        plan,
        before,
        bundles,
        folder,
        limit=options.max_quarantined_share,
        threads=options.workers,
        still_valid=still_valid,
    )
    progress("settle", 1, 1)
    seconds, size = time.monotonic() - started, sum(read.bytes for read in reads)
    return result_of(plan, written.settled.ledger, written.ledger, options, seconds, size, written.version)


def _decoded(
    plan: Plan, before: pa.Table, xapi_url: str, folder: Path, options: IngestOptions, tombstones: Tombstones, progress: Stage
) -> tuple[list[BundleRead], list[DayBundle]]:
    """Reads the plan's bundles into the spool; every bundle of the day, numbered in key order."""
    numbers = numbers_of(plan, before)
    tasks = [Task(numbers[bundle.key], bundle.key, bundle.section, bundle.bytes) for bundle in plan.read]
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        progress("decode", done, len(tasks))

    progress("decode", 0, len(tasks))
    reads = _read_all(xapi_url, tasks, folder, options, tombstones, step) if tasks else []
    return reads, bundles_of(plan, before, numbers, reads)


def _read_all(
    xapi_url: str, tasks: Sequence[Task], folder: Path, options: IngestOptions, tombstones: Tombstones, step: workers.Progress
) -> list[BundleRead]:
    return workers.decode_all(
        xapi_url,
        tasks,
        folder,
        workers=options.workers,
        max_line_bytes=options.max_line_bytes,
        tombstones=tombstones,
        progress=step,
    )


def snapshot_or_none(lake: Lake) -> Snapshot | None:
    """Of a lake that may not be there yet."""
    try:
        return lake.snapshot()
    except FileNotFoundError:
        return None


def plan_of(
    snapshot: Snapshot | None, day: date, index: Sequence[Wanted], options: IngestOptions, *, rebuild: bool, reread: Collection[str]
) -> Plan:
    """The day's plan against the snapshot's ledger. Raises: RowsWouldVanish, as `plan_day`."""
    import polars as pl

    ledger = pl.DataFrame(ledger_table(snapshot, day))
    return plan_day(day, index, ledger, sections=options.sections, rebuild=rebuild, drop_vanished=options.drop_vanished, reread=reread)


def numbers_of(plan: Plan, before: pa.Table, first: int = 0) -> dict[str, int]:
    """Number of every bundle of the day after the plan, by key, in key order: what decides who survives."""
    kept = plan.kept & set(before.column("key").to_pylist())
    return {key: number for number, key in enumerate(sorted(kept | {bundle.key for bundle in plan.read}), first)}


def bundles_of(plan: Plan, before: pa.Table, numbers: Mapping[str, int], reads: Iterable[BundleRead]) -> list[DayBundle]:
    """Every bundle of the day after the plan, in order of their numbers: as it was read now, or as the ledger has it."""
    kept = {row["key"]: row for row in before.to_pylist() if row["key"] in plan.kept}
    wanted = {bundle.key: bundle for bundle in plan.read}
    by_number = {read.no: read for read in reads}
    return [_read_bundle(no, wanted[key], by_number[no]) if key in wanted else kept_bundle(no, kept[key]) for key, no in numbers.items()]


def _read_bundle(no: int, bundle: Wanted, read: BundleRead) -> DayBundle:
    return DayBundle(
        no, bundle.key, bundle.source_file, read.etag, bundle.uploaded_at, datetime.fromisoformat(read.last_modified),
        bundle.section, bundle.category, read.bytes, read.lines, read.blank, read.forgotten, tables.PARSER_VERSION, True,
    )  # fmt: skip


def dry_result(snapshot: Snapshot | None, plan: Plan, options: IngestOptions, started: float) -> IngestResult:
    """What a dry run says: the plan, and the day as it is."""
    result = result_of(plan, empty_ledger(), ledger_table(snapshot, plan.day), options, time.monotonic() - started, 0, None)
    return replace(result, this_run=result.this_run | {"bundles": len(plan.read)})


def result_of(
    plan: Plan, run: pa.Table, total: pa.Table, options: IngestOptions, seconds: float, bytes_read: int, version: int | None
) -> IngestResult:
    """What an ingest of the day says.

    Args:
        run: ledger rows of the bundles that were read (others among them are left out).
        total: of the whole day.
    """
    return IngestResult(
        day=plan.day,
        mode=plan.mode,
        this_run=add_up(_of_keys(run, {bundle.key for bundle in plan.read})),
        day_total=add_up(total),
        held=quarantined_share(total) > options.max_quarantined_share,
        seconds=seconds,
        reason=plan.reason,
        bytes_read=bytes_read,
        version=version,
    )


def _of_keys(ledger: pa.Table, keys: Collection[str]) -> pa.Table:
    mask = [key in keys for key in ledger.column("key").to_pylist()]
    return ledger.filter(pa.array(mask, type=pa.bool_()))


__all__ = ["IngestOptions", "IngestResult", "Stage", "clear_spool", "compact_day", "ingest_day", "scratch_folder", "stale_folders"]
