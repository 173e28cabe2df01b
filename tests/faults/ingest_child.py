"""An ingest in a process of its own that can be told to kill itself, or to run out of disk, at an exact point.

Nothing of this is in production code: the child replaces the functions it counts. It is forked from a server that has loaded the
libraries already (1.2 s of every start) and has done nothing with them yet.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from tests.factories import Place
from torus_assets.xapi import commit, decode, lake, workers

POINTS: dict[str, tuple[Any, str, bool]] = {  # owner, name, after the call
    "snapshot": (lake.Lake, "snapshot", False),
    "decode": (workers, "decode_all", False),
    "decoded": (workers, "decode_all", True),
    "flush": (decode.Spool, "flush", False),
    "flushed": (decode.Spool, "flush", True),
    "settle": (commit, "settle", False),
    "settled": (commit, "settle", True),
    "place": (lake.Lake, "place", False),
    "placed": (lake.Lake, "place", True),
    "commit": (lake.Lake, "commit", False),
    "committed": (lake.Lake, "commit", True),
}


class Ended(NamedTuple):
    """How a child ended: its exit code (negative: the signal), and unless it was killed the lines of the day and its peak in MB."""

    code: int
    lines: int | None = None
    peak_mb: int | None = None
    error: str | None = None


class Child:
    """A running ingest, just before its first step."""

    def __init__(self, root: Path, **asked: Any) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload(["torus_assets.xapi.ingest", "hypothesis"])
        self._answers, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(root, asked, theirs))
        self._process.start()
        theirs.close()
        assert self._answers.recv() == "started"

    def kill(self) -> None:
        assert self._process.pid
        with suppress(ProcessLookupError):  # it got through before
            os.kill(self._process.pid, signal.SIGKILL)

    def end(self) -> Ended:
        try:
            answer = self._answers.recv()
        except EOFError:
            answer = ()
        self._process.join(60)
        return Ended(self._process.exitcode if self._process.exitcode is not None else 999, *answer)


def _run(root: Path, asked: dict[str, Any], answers: Connection) -> None:
    os.setsid()
    if kill := asked.pop("kill_at", None):
        _at(kill, lambda: os.kill(os.getpid(), signal.SIGKILL))
    if full := asked.pop("full_at", None):
        point, size = full
        _at(point, lambda: _limit(size))
    for name in ("INLINE_BYTES", "BATCH_BYTES"):
        setattr(workers, name, asked.pop(name, getattr(workers, name)))
    place = Place(root)
    answers.send("started")
    try:
        lines = place.ingest(**asked).day_total["lines"]
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent looks at it
        answers.send((None, None, f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from None
    answers.send((lines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))


def _limit(size: int) -> None:
    """From here on a write beyond `size` bytes of any file fails with EFBIG, as a full disk's does with ENOSPC."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _at(point: str, act: Callable[[], None]) -> None:
    """Acts at the n-th call (default: the first) of a point, `name:n`; `place:last` is the ledger's, which is placed last."""
    name, _, which = point.partition(":")
    owner, function, after = POINTS[name]
    whole: Callable[..., Any] = getattr(owner, function)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        here = args[3] == "bundle" if which == "last" else calls == int(which or 1)
        if here and not after:
            act()
        result = whole(*args, **kwargs)
        if here and after:
            act()
        return result

    setattr(owner, function, counted)
