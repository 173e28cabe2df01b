"""Scratch folders of runs: each run's own, locked while it lives, cleared when it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from torus_assets.xapi.decode import LOCK


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
        lock = os.open(folder / LOCK, os.O_RDWR)
    except FileNotFoundError:
        return False  # not one of ours, or just being made
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
