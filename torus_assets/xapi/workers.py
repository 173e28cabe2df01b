"""The local engine: bundles are decoded by processes of this machine.

Workers are plain child processes that talk JSON lines over their standard streams. They load neither Dagster nor this process's
state (90 MB each instead of 300), and they end when their input closes, so a killed parent leaves none behind.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue

from torus_assets.clients.object_store import open_store
from torus_assets.xapi.decode import BundleGone, BundleRead, Task, cut, decode
from torus_assets.xapi.tombstones import NONE, Tombstones

INLINE_BYTES = 4 << 20  # a plan smaller than this is decoded here: starting a worker takes 0.4 s
BATCH_BYTES = 32 << 20  # one message to a worker: bounds how unevenly the last ones end
BATCH_OBJECTS = 2000

Progress = Callable[[int], None]  # called with the number of bundles just done


class WorkerFailed(RuntimeError):
    """A worker ended or refused; its last words are in the message."""


def decode_all(
    url: str,
    tasks: Sequence[Task],
    folder: Path,
    *,
    workers: int,
    max_line_bytes: int,
    tombstones: Tombstones = NONE,
    progress: Progress = lambda _: None,
) -> list[BundleRead]:
    """Decodes every bundle of the plan into spool files under `folder`; what each held, in plan order.

    Lines of learners in `tombstones` are counted and dropped.

    Raises:
        BundleGone: an object vanished since it was listed.
        WorkerFailed: a worker process died; nothing of the plan is settled then.
    """
    batches = cut(tasks, BATCH_BYTES, BATCH_OBJECTS, lambda task: task.bytes)
    if sum(task.bytes for task in tasks) < INLINE_BYTES or (workers == 1 and len(batches) <= 1):
        store = open_store(url)
        reads = [read for n, batch in enumerate(batches) for read in decode(store, batch, folder, f"i{n:05d}", max_line_bytes, tombstones)]
        progress(len(reads))
        return reads
    todo: SimpleQueue[tuple[int, list[Task]]] = SimpleQueue()
    for item in enumerate(batches):
        todo.put(item)
    reads = []
    count = min(workers, len(batches))
    with ThreadPoolExecutor(count) as threads:
        for done in [threads.submit(_serve, url, todo, folder, max_line_bytes, tombstones, progress) for _ in range(count)]:
            reads.extend(done.result())
    return sorted(reads)


def _serve(
    url: str, todo: SimpleQueue[tuple[int, list[Task]]], folder: Path, max_line_bytes: int, tombstones: Tombstones, progress: Progress
) -> list[BundleRead]:
    """One worker's life: whom to forget, then batches until none is left. The key of the tombstones is on no command line."""
    reads: list[BundleRead] = []
    command = [sys.executable, "-m", "torus_assets.xapi.worker", url, str(folder), str(max_line_bytes)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin
        first = tombstones.packed() + "\n"  # goes out with the first batch
        try:
            while (item := _next(todo)) is not None:
                number, batch = item
                answer = _ask(worker, first + json.dumps([number, batch]) + "\n")
                first = ""
                if not answer.endswith("\n"):
                    raise WorkerFailed(
                        f"a decoding process ended with status {worker.wait()} (memory or disk exhausted?); nothing was changed"
                    )
                kind, content = json.loads(answer)
                if kind == "gone":
                    raise BundleGone(content)
                if kind == "failed":
                    raise WorkerFailed(content)
                reads.extend(BundleRead(*read) for read in content)
                progress(len(content))
        except BaseException:
            _drain(todo)  # the other workers stop after the batch they are on
            worker.kill()
            with suppress(BrokenPipeError):  # closing sends what is still buffered
                worker.stdin.close()
            raise
        worker.stdin.close()
    return reads


def _ask(worker: subprocess.Popen[str], message: str) -> str:
    """The worker's answer; without its line end when the worker ended meanwhile."""
    assert worker.stdin
    assert worker.stdout
    try:
        worker.stdin.write(message)
        worker.stdin.flush()
    except BrokenPipeError:
        return ""
    return worker.stdout.readline()


def _next(todo: SimpleQueue[tuple[int, list[Task]]]) -> tuple[int, list[Task]] | None:
    try:
        return todo.get_nowait()
    except Empty:
        return None


def _drain(todo: SimpleQueue[tuple[int, list[Task]]]) -> None:
    while _next(todo) is not None:
        pass
