"""Settling a day and committing what came of it: the end of every ingest, compaction and resettlement."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from torus_assets.clients.object_store import open_store
from torus_assets.xapi import tables
from torus_assets.xapi.lake import DayFile, Lake, Snapshot
from torus_assets.xapi.ledger import Plan
from torus_assets.xapi.scratch import scratch_folder
from torus_assets.xapi.settle import AS_READ, Amended, DayBundle, Settled, settle

SETTLE_MEMORY_MB = 550  # 2 M lines of a day stay under 1.5 GB in all processes with it
_LEDGER_SCHEMA = pa.schema([f for f in tables.LEDGER.schema if f.name != "held"])


class LearnerForgotten(RuntimeError):
    """A learner was forgotten since the day's lines were decoded: nothing was committed, plan again."""


class Written(NamedTuple):
    """What a commit of a day left behind."""

    settled: Settled
    ledger: pa.Table  # of the whole day, without `held`
    held: bool
    version: int | None  # of the lake; None when there was nothing to commit


def write_day(
    lake: Lake,
    snapshot: Snapshot,
    plan: Plan,
    before: pa.Table,
    bundles: Sequence[DayBundle],
    folder: Path,
    *,
    limit: float,
    threads: int,
    amended: Amended = AS_READ,
    still_valid: Callable[[], None] = lambda: None,
) -> Written:
    """Settles the day and commits what came of it; nothing when nothing changed.

    Args:
        before: the day's ledger in the snapshot.
        bundles: every bundle of the day after the plan, numbered in key order.
        folder: scratch space, with the spool files of the lines that are new.
        limit: share of refused lines above which the day is held.
        still_valid: called right before the commit; LearnerForgotten from it leaves the lake as it was.

    Raises:
        Displaced, ContentNeeded: as `settle`.
        DayChanged: the day was committed by somebody else since the snapshot; nothing changed.
    """
    nothing = plan.mode != "rebuild" and not plan.read
    settled = Settled({}, empty_ledger(), {}) if nothing else _settled(snapshot, plan, bundles, folder, threads, amended)
    placed = [lake.place(path, plan.day, kind) for kind, paths in settled.files.items() for path in paths]
    done = commit_placed(lake, snapshot, plan, before, settled.ledger, placed, folder, limit=limit, still_valid=still_valid)
    return Written(settled, *done)


class Committed(NamedTuple):
    """What a day is after its commit."""

    ledger: pa.Table  # of the whole day, without `held`
    held: bool
    version: int | None  # of the lake; None when there was nothing to commit


def commit_placed(
    lake: Lake,
    snapshot: Snapshot,
    plan: Plan,
    before: pa.Table,
    ledger: pa.Table,
    placed: Sequence[AddAction],
    folder: Path,
    *,
    limit: float,
    still_valid: Callable[[], None] = lambda: None,
) -> Committed:
    """Commits a day whose files stand in their places already, with its ledger; nothing when nothing changed.

    Args:
        before, limit, still_valid: as `write_day`.
        ledger: rows of the bundles that the plan reads (of all, in a rebuild), without `held`.
        folder: scratch space for the ledger's file.

    Raises:
        DayChanged: as `write_day`. The placed files stay where they are, in no version.
        LearnerForgotten: from `still_valid`; the placed files are gone, as they may hold that learner's lines.
    """
    append = plan.mode != "rebuild"
    total = pa.concat_tables([before, ledger]) if append else ledger
    held = quarantined_share(total) > limit
    was_held = is_held(snapshot, plan.day)
    if append and not placed and not ledger.num_rows and was_held == held:
        return Committed(total, held, None)
    replaced: list[DayFile] = []
    rows = ledger
    if append and before.num_rows and was_held != held:  # the day's ledger is written anew, so that all its rows agree
        rows = total
        replaced = snapshot.files(kinds=["bundle"], first=plan.day, last=plan.day)
    added = list(placed)
    if rows.num_rows:
        added.append(lake.place(_ledger_file(rows, folder, held=held), plan.day, "bundle"))
    try:
        still_valid()
    except LearnerForgotten:
        open_store(lake.url).delete([action.path for action in added])
        raise
    return Committed(total, held, lake.commit(snapshot, plan.day, added, replaced, rewrite=not append))


def _ledger_file(rows: pa.Table, folder: Path, *, held: bool) -> Path:
    path = folder / "ledger.parquet"
    schema = tables.LEDGER.schema
    whole = rows.append_column("held", pa.array([held] * rows.num_rows, pa.bool_())).select(schema.names).cast(schema)
    pq.write_table(whole, path, compression="zstd")
    return path


def write_anew(
    lake: Lake, snapshot: Snapshot, day: date, folder: Path, *, limit: float, threads: int, amended: Amended = AS_READ
) -> Written:
    """Writes the day's lines again as the lake has them, `amended`, in one commit; no bundle is read.

    Args:
        folder: scratch space, with the spool files of lines that were parsed again.

    Raises:
        DayChanged: as `write_day`.
    """
    before = ledger_table(snapshot, day)
    bundles = kept_bundles(before)
    plan = Plan(day, "rebuild", [], frozenset(bundle.key for bundle in bundles), "from the lake itself")
    return write_day(lake, snapshot, plan, before, bundles, folder, limit=limit, threads=threads, amended=amended)


def hold_anew(lake: Lake, snapshot: Snapshot, day: date, folder: Path, *, limit: float) -> Written:
    """Judges again whether the day is held; only its ledger is written, and only when that changed.

    Raises:
        DayChanged: as `write_day`.
    """
    plan = Plan(day, "none", [], frozenset(), "held or not")
    return write_day(lake, snapshot, plan, ledger_table(snapshot, day), [], folder, limit=limit, threads=1)


def compact_day(lake: Lake, day: date, spool: Path, *, threads: int = os.cpu_count() or 1) -> int | None:
    """Writes the day's files anew from the lake itself: fewer files, the same rows; the new version.

    Raises:
        DayChanged: the day was committed by somebody else meanwhile; nothing changed.
    """
    snapshot = lake.snapshot()
    limit = -1.0 if is_held(snapshot, day) else 1.0  # held stays as it is
    with scratch_folder(spool, day) as folder:
        return write_anew(lake, snapshot, day, folder, limit=limit, threads=threads).version


def _settled(snapshot: Snapshot, plan: Plan, bundles: Sequence[DayBundle], folder: Path, threads: int, amended: Amended) -> Settled:
    out = folder / "settled"
    out.mkdir()
    files = [f for f in snapshot.files(first=plan.day, last=plan.day) if f.kind != "bundle"] if plan.kept else []
    with snapshot.local(files, folder) as paths:
        existing: dict[str, list[Path]] = {}
        for file, path in zip(files, paths, strict=True):
            existing.setdefault(file.kind, []).append(path)
        append = plan.mode != "rebuild"
        return settle(folder, out, bundles, existing, append=append, memory_mb=SETTLE_MEMORY_MB, threads=threads, amended=amended)


def quarantined_share(ledger: pa.Table) -> float:
    """Refused lines of the non-blank ones, 0 to 1; 0 for a day without lines."""
    lines = sum(ledger.column("lines").to_pylist()) - sum(ledger.column("blank").to_pylist())
    return sum(ledger.column("quarantined").to_pylist()) / lines if lines else 0.0


def is_held(snapshot: Snapshot, day: date) -> bool:
    return day in snapshot.held(day, day)


def kept_bundles(ledger: pa.Table) -> list[DayBundle]:
    """Every bundle of a day as its ledger has it, numbered in key order."""
    rows = sorted(ledger.to_pylist(), key=lambda row: row["key"])
    return [kept_bundle(no, row) for no, row in enumerate(rows)]


def kept_bundle(no: int, row: dict[str, Any]) -> DayBundle:
    """A bundle whose lines stay as the lake has them, from its ledger row."""
    return DayBundle(
        no, row["key"], row["source_file"], row["source_etag"], row["uploaded_at"], row["last_modified"], row["section_id"],
        row["category"], row["bytes"], row["lines"], row["blank"], row["forgotten"], row["parser_version"], False,
    )  # fmt: skip


def ledger_table(snapshot: Snapshot | None, day: date) -> pa.Table:
    """The day's ledger rows without `held`, as settled rows have them."""
    if snapshot is None:
        return empty_ledger()
    rows = snapshot.ledger(day, day).select(_LEDGER_SCHEMA.names).to_arrow()
    return rows.cast(_LEDGER_SCHEMA)


def empty_ledger() -> pa.Table:
    return _LEDGER_SCHEMA.empty_table()
