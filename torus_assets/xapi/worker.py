"""A decoding process: the tombstones in first, then one JSON line in per batch of bundles, one JSON line out with what they held."""

from __future__ import annotations

import fcntl
import gc
import importlib.abc
import json
import os
import sys
from pathlib import Path

import pyarrow as pa

from torus_assets.clients.object_store import open_store
from torus_assets.xapi.decode import LOCK, BundleGone, Task, decode
from torus_assets.xapi.tombstones import Tombstones


def main() -> None:
    """Serves until standard input closes."""
    url, folder, max_line_bytes = sys.argv[1:4]
    fcntl.flock(os.open(Path(folder) / LOCK, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_SH)  # until this process ends
    without_pandas()
    gc.disable()  # rows make no cycles, and collections over millions of tuples cost as much as decoding them
    store = open_store(url)
    first = sys.stdin.readline()
    if not first:  # there was no batch left for this process
        return
    tombstones = Tombstones.unpacked(first)
    for message in sys.stdin:
        number, batch = json.loads(message)
        try:
            reads = decode(store, [Task(*task) for task in batch], Path(folder), f"w{number:05d}", int(max_line_bytes), tombstones)
            answer: tuple[str, object] = ("read", reads)
        except BundleGone as gone:
            answer = ("gone", str(gone))
        except Exception as error:  # noqa: BLE001  the boundary of the process: the parent raises it again
            answer = ("failed", f"{type(error).__name__}: {error}")
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class _NoPandas(importlib.abc.MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError(fullname)


def without_pandas() -> None:
    """Keeps pyarrow from importing pandas, where that is installed, at its first `pa.array`: 0.3 CPU seconds and 37 MB per process."""
    absent = _NoPandas()
    sys.meta_path.insert(0, absent)
    try:
        pa.array([0])  # pyarrow tries once and remembers
    finally:
        sys.meta_path.remove(absent)


if __name__ == "__main__":
    main()
