"""An ingest in a process of its own that can be told to kill itself at an exact point; nothing of this is in production code.

Usage: ingest_child.py ROOT [--kill POINT[:N|last]] [--file-limit BYTES] [--workers N] [--inline-bytes N] [--max-line-bytes N]
POINT: snapshot, decode, decoded, flush, settle, settled, place, placed, commit or committed (before or after the call).
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from factories import Place

from torus_assets.engine import decode, local
from torus_assets.xapi import ingest, lake

POINTS: dict[str, tuple[Any, str, bool]] = {  # owner, name, after the call
    "snapshot": (lake.Lake, "snapshot", False),
    "decode": (local, "decode_all", False),
    "decoded": (local, "decode_all", True),
    "flush": (decode.Spool, "flush", False),
    "flushed": (decode.Spool, "flush", True),
    "settle": (ingest, "settle", False),
    "settled": (ingest, "settle", True),
    "place": (lake.Lake, "place", False),
    "placed": (lake.Lake, "place", True),
    "commit": (lake.Lake, "commit", False),
    "committed": (lake.Lake, "commit", True),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(point: str, call: str) -> None:
    owner, name, after = POINTS[point]
    whole: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        # the ledger is placed last (ingest._committed)
        here = args[3] == "bundle" if call == "last" else calls == int(call)
        if here and not after:
            die()
        result = whole(*args, **kwargs)
        if here:
            die()
        return result

    setattr(owner, name, counted)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--kill")
    parser.add_argument("--file-limit", type=int)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--inline-bytes", type=int)
    parser.add_argument("--batch-bytes", type=int)
    parser.add_argument("--max-line-bytes", type=int, default=16 << 20)
    parser.add_argument("--rebuild", action="store_true")
    asked = parser.parse_args()
    if asked.kill:
        point, _, call = asked.kill.partition(":")
        kill_at(point, call or "1")
    if asked.inline_bytes is not None:
        local.INLINE_BYTES = asked.inline_bytes
    if asked.batch_bytes is not None:
        local.BATCH_BYTES = asked.batch_bytes
    if asked.file_limit is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write over the limit fails with EFBIG, as a full disk's does with ENOSPC
        resource.setrlimit(resource.RLIMIT_FSIZE, (asked.file_limit, asked.file_limit))
    place = Place(asked.root)
    print("started", flush=True)
    result = place.ingest(workers=asked.workers, max_line_bytes=asked.max_line_bytes, rebuild=asked.rebuild)
    print(result.day_total["lines"], max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024)


if __name__ == "__main__":
    main()
