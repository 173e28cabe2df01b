"""Texts of errors that may quote learners: files below `TORUS_HOME/errors` that only this user can read, for two weeks at most.

`torus forget` removes them all: nobody can say which of them quotes whom.
"""

from __future__ import annotations

import os
import re
import traceback
from datetime import datetime, timedelta
from pathlib import Path

FOLDER = "errors"
KEPT_DAYS = 14
KEPT_FILES = 100
LONGEST_BYTES = 1 << 20


def keep(home: Path, name: str, error: BaseException, now: datetime) -> Path:
    """Writes frames, causes and messages of an error; the file replaces an older one of that name.

    Args:
        home: `TORUS_HOME`.
        name: of the file, such as run and step; anything that is no word character becomes a dash.
        now: aware; files older than `KEPT_DAYS` are removed.

    Raises:
        OSError: it cannot be written.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    path = folder / (re.sub(r"[^\w.]+", "-", name).strip(".-")[:150] + ".txt")
    path.unlink(missing_ok=True)  # its mode would stay
    text = "".join(traceback.format_exception(error)).encode(errors="backslashreplace")[:LONGEST_BYTES]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(text)
    os.utime(path, (now.timestamp(), now.timestamp()))
    _prune(folder, now)
    return path


def clear(home: Path) -> int:
    """Removes every kept text; how many there were."""
    found = list((home / FOLDER).glob("*.txt"))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _prune(folder: Path, now: datetime) -> None:
    oldest = (now - timedelta(days=KEPT_DAYS)).timestamp()
    ages: list[tuple[float, Path]] = []
    for path in folder.glob("*.txt"):
        try:
            ages.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # another process clears the same folder
            continue
    for place, (age, path) in enumerate(sorted(ages, reverse=True)):
        if age < oldest or place >= KEPT_FILES:
            path.unlink(missing_ok=True)
