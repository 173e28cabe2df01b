"""Bringing one day of the lake up to date: plan, decode, settle, commit (DESIGN 5).

A kill at any instant leaves the day as it was; running again finishes the work. Two ingests of one day at once: one commits, the
other plans again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.engine import local
from torus_assets.engine.decode import LOCK, BundleRead, Task
from torus_assets.xapi import tables
from torus_assets.xapi.lake import DayChanged, DayFile, Lake, Snapshot
from torus_assets.xapi.ledger import Mode, Plan, Wanted, plan_day
from torus_assets.xapi.settle import ContentNeeded, DayBundle, Displaced, Settled, add_up, settle

MAX_PLANS = 12  # a day that changes under us this often is being written by something that does not stop
SETTLE_MEMORY_MB = 550  # 2 M lines of a day stay under 1.5 GB in all processes with it


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

    def document(self) -> dict[str, Any]:
        return {
            "day": self.day.isoformat(),
            "mode": self.mode,
            "this_run": self.this_run,
            "day_total": self.day_total,
            "held": self.held,
            "seconds": round(self.seconds, 3),
        }


Stage = Callable[[str, int, int], None]  # stage's name, done, of how many


def _quiet(stage: str, done: int, total: int) -> None:
    """No one looks."""


def ingest_day(
    lake: Lake, xapi_url: str, day: date, index: Sequence[Wanted], spool: Path, options: IngestOptions, *, progress: Stage = _quiet
) -> IngestResult:
    """Brings the day's rows, refusals and ledger up to date with its bundles, in one commit.

    Args:
        index: every bundle object of the day.
        spool: scratch space; a folder of this run's own is made in it and removed.

    Raises:
        RowsWouldVanish, BundleGone, WorkerFailed, OSError: the lake is as it was.
        DayChanged: others kept committing the day; nothing of this run counts.
    """
    started = time.monotonic()
    force_rebuild = options.rebuild
    reread: frozenset[str] = frozenset()
    for _ in range(MAX_PLANS):
        snapshot = lake.ensure() if not options.dry_run else _snapshot_or_none(lake)
        plan = plan_day(
            day,
            index,
            _ledger(snapshot, day),
            sections=options.sections,
            rebuild=force_rebuild,
            drop_vanished=options.drop_vanished,
            reread=reread,
        )
        if options.dry_run or snapshot is None:
            result = _result(plan, _empty_ledger(), _ledger_table(snapshot, day), options, started, 0, None)
            return replace(result, this_run=result.this_run | {"bundles": len(plan.read)})
        try:
            with scratch_folder(spool, day) as folder:
                return _carried_out(lake, snapshot, plan, xapi_url, folder, options, started, progress)
        except Displaced:
            force_rebuild = True
        except ContentNeeded as needed:
            reread |= needed.keys
        except DayChanged:
            time.sleep(0.05)  # the other's commit is there already; a little air between several
    raise DayChanged(f"{day}: the day changed {MAX_PLANS} times while it was being ingested; is another job writing it in a loop?")


def compact_day(lake: Lake, day: date, spool: Path) -> int | None:
    """Writes the day's files anew from the lake itself: fewer files, the same rows; the new version.

    Raises:
        DayChanged: the day was committed by somebody else meanwhile; nothing changed.
    """
    snapshot = lake.snapshot()
    ledger = _ledger_table(snapshot, day)
    limit = 0.0 if _is_held(snapshot, day) else 1.0  # held stays as it is
    plan = Plan(day, "rebuild", [], frozenset(ledger.column("key").to_pylist()), "compaction")
    with scratch_folder(spool, day) as folder:
        return _carried_out(lake, snapshot, plan, "", folder, IngestOptions(max_quarantined_share=limit), time.monotonic(), _quiet).version


def _carried_out(
    lake: Lake, snapshot: Snapshot, plan: Plan, xapi_url: str, folder: Path, options: IngestOptions, started: float, progress: Stage
) -> IngestResult:
    before = _ledger_table(snapshot, plan.day)
    reads, bundles = _decoded(plan, before, xapi_url, folder, options, progress)
    append = plan.mode != "rebuild"
    progress("settle", 0, 1)
    nothing = append and not plan.read
    settled = Settled({}, _empty_ledger()) if nothing else _settled(snapshot, plan, bundles, folder, options, append=append)
    progress("settle", 1, 1)
    total = pa.concat_tables([before, settled.ledger]) if append else settled.ledger
    held = quarantined_share(total) > options.max_quarantined_share
    version = None
    if settled.files or settled.ledger.num_rows or not append or _is_held(snapshot, plan.day) != held:
        version = _committed(lake, snapshot, plan, settled, before, folder, held=held)
    return _result(
        plan, _of_keys(settled.ledger, {b.key for b in plan.read}), total, options, started, sum(r.bytes for r in reads), version
    )


def _decoded(
    plan: Plan, before: pa.Table, xapi_url: str, folder: Path, options: IngestOptions, progress: Stage
) -> tuple[list[BundleRead], list[DayBundle]]:
    """Reads the plan's bundles into the spool; every bundle of the day, numbered in key order."""
    kept = {row["key"]: row for row in before.to_pylist() if row["key"] in plan.kept}
    wanted = {bundle.key: bundle for bundle in plan.read}
    numbers = {key: number for number, key in enumerate(sorted(kept.keys() | wanted.keys()))}
    tasks = [Task(numbers[bundle.key], bundle.key, bundle.section, bundle.bytes) for bundle in plan.read]
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        progress("decode", done, len(tasks))

    progress("decode", 0, len(tasks))
    reads = (
        local.decode_all(xapi_url, tasks, folder, workers=options.workers, max_line_bytes=options.max_line_bytes, progress=step)
        if tasks
        else []
    )
    by_number = {read.no: read for read in reads}
    bundles = [
        _read_bundle(numbers[key], wanted[key], by_number[numbers[key]]) if key in wanted else _kept_bundle(numbers[key], kept[key])
        for key in numbers
    ]
    return reads, bundles


def _read_bundle(no: int, bundle: Wanted, read: BundleRead) -> DayBundle:
    return DayBundle(
        no, bundle.key, bundle.source_file, read.etag, bundle.uploaded_at, datetime.fromisoformat(read.last_modified),
        bundle.section, bundle.category, read.bytes, read.lines, read.blank, True,
    )  # fmt: skip


def _kept_bundle(no: int, row: dict[str, Any]) -> DayBundle:
    return DayBundle(
        no, row["key"], row["source_file"], row["source_etag"], row["uploaded_at"], row["last_modified"],
        row["section_id"], row["category"], row["bytes"], row["lines"], row["blank"], False,
    )  # fmt: skip


def _settled(
    snapshot: Snapshot, plan: Plan, bundles: Sequence[DayBundle], folder: Path, options: IngestOptions, *, append: bool
) -> Settled:
    out = folder / "settled"
    out.mkdir()
    files = [f for f in snapshot.files(first=plan.day, last=plan.day) if f.kind != "bundle"] if plan.kept else []
    with snapshot.local(files, folder) as paths:
        existing: dict[str, list[Path]] = {}
        for file, path in zip(files, paths, strict=True):
            existing.setdefault(file.kind, []).append(path)
        return settle(folder, out, bundles, existing, append=append, memory_mb=SETTLE_MEMORY_MB, threads=options.workers)


def _committed(lake: Lake, snapshot: Snapshot, plan: Plan, settled: Settled, before: pa.Table, folder: Path, *, held: bool) -> int:
    """Places the files and commits them; the day's ledger is written anew when `held` changes, so that all its rows agree."""
    append = plan.mode != "rebuild"
    replaced: list[DayFile] = []
    rows = settled.ledger
    if append and before.num_rows and _is_held(snapshot, plan.day) != held:
        rows = pa.concat_tables([before, rows])
        replaced = snapshot.files(kinds=["bundle"], first=plan.day, last=plan.day)
    added = [lake.place(path, plan.day, kind) for kind, paths in settled.files.items() for path in paths]
    if rows.num_rows:
        path = folder / "ledger.parquet"
        schema = tables.LEDGER.schema
        pq.write_table(
            rows.append_column("held", pa.array([held] * rows.num_rows)).select(schema.names).cast(schema), path, compression="zstd"
        )
        added.append(lake.place(path, plan.day, "bundle"))
    return lake.commit(snapshot, plan.day, added, replaced, rewrite=not append)


def quarantined_share(ledger: pa.Table) -> float:
    """Refused lines of the non-blank ones, 0 to 1; 0 for a day without lines."""
    lines = sum(ledger.column("lines").to_pylist()) - sum(ledger.column("blank").to_pylist())
    return sum(ledger.column("quarantined").to_pylist()) / lines if lines else 0.0


def _is_held(snapshot: Snapshot, day: date) -> bool:
    return day in snapshot.held(day, day)


def _snapshot_or_none(lake: Lake) -> Snapshot | None:
    try:
        return lake.snapshot()
    except FileNotFoundError:
        return None


def _ledger(snapshot: Snapshot | None, day: date) -> Any:
    import polars as pl

    return pl.DataFrame(_ledger_table(snapshot, day))


def _ledger_table(snapshot: Snapshot | None, day: date) -> pa.Table:
    """The day's ledger rows without `held`, as settled rows have them."""
    if snapshot is None:
        return _empty_ledger()
    rows = snapshot.ledger(day, day).select(_LEDGER_SCHEMA.names).to_arrow()
    return rows.cast(_LEDGER_SCHEMA)


_LEDGER_SCHEMA = pa.schema([f for f in tables.LEDGER.schema if f.name != "held"])


def _empty_ledger() -> pa.Table:
    return _LEDGER_SCHEMA.empty_table()


def _of_keys(ledger: pa.Table, keys: Collection[str]) -> pa.Table:
    mask = [key in keys for key in ledger.column("key").to_pylist()]
    return ledger.filter(pa.array(mask, type=pa.bool_()))


def _result(
    plan: Plan, run: pa.Table, total: pa.Table, options: IngestOptions, started: float, bytes_read: int, version: int | None
) -> IngestResult:
    return IngestResult(
        day=plan.day,
        mode=plan.mode,
        this_run=add_up(run),
        day_total=add_up(total),
        held=quarantined_share(total) > options.max_quarantined_share,
        seconds=time.monotonic() - started,
        reason=plan.reason,
        bytes_read=bytes_read,
        version=version,
    )


@contextmanager
def scratch_folder(spool: Path, day: date) -> Iterator[Path]:
    """A folder of this run's own, locked while it lives, so that clearing the spool never takes it from a running ingest."""
    folder = spool / f"{day.isoformat()}-{uuid.uuid4().hex[:12]}"
    folder.mkdir(parents=True)
    lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # shared with this run's workers, which may outlive it by a batch
        yield folder
    finally:
        os.close(lock)
        shutil.rmtree(folder, ignore_errors=True)


def clear_spool(spool: Path) -> list[Path]:
    """Removes the folders of runs that were killed; those it removed."""
    cleared = stale_folders(spool)
    for folder in cleared:
        shutil.rmtree(folder, ignore_errors=True)
    return cleared


def stale_folders(spool: Path) -> list[Path]:
    """Folders of runs that were killed: nobody holds their lock."""
    return [folder for folder in (sorted(spool.iterdir()) if spool.is_dir() else []) if _is_stale(folder)]


def _is_stale(folder: Path) -> bool:
    try:
        lock = os.open(folder / ".lock", os.O_RDWR)
    except FileNotFoundError:
        return False  # not one of ours, or just being made
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
