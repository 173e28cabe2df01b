"""Memory and time of a whole DataShop export: XML, table, student-step rollup, proof and page of N part attempts and of a quarter of them.

Memory is the sum of PSS (shared pages counted once) over all processes, every 50 ms. It should be flat: a piece's, whatever the size of the data set.
The table of stages says where the wall seconds go and how high the memory stood meanwhile; pieces are made in processes of their own.

    python -m benchmarks.dataset_memory [--attempts 1000000] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks import course, worlds
from benchmarks.memory import SAMPLE_SECONDS, resident

TARGET_MB = 1000
SECTIONS = 20
Interval = tuple[str, float, float, float]  # stage, from, to: seconds of the monotonic clock; CPU seconds


def export(folder: Path, workers: int) -> dict[str, Any]:
    """One export; rows, and when each stage was at work."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets.export import export, lookup_key
    from torus_assets.datasets.pseudonyms import PseudonymKey
    from torus_assets.datasets.request import parse_request
    from torus_assets.xapi.lake import Lake

    store = open_store(f"file://{folder}/datasets")
    store.put(lookup_key("bench"), json.dumps(course.lookup()).encode())
    sections = list(range(course.SECTIONS[0], course.SECTIONS[0] + SECTIONS))
    asked = {"job_id": "bench", "action": "datashop", "section_ids": sections, "format": ["datashop-xml", "datashop-tab"], "rollup": "csv"}
    snapshot, key = Lake(f"file://{folder}/lake").snapshot(), PseudonymKey(b"k" * 32)
    started, used = time.monotonic(), _cpu()
    with stages() as seen:
        result = export(parse_request(asked), snapshot, store, pseudonyms=key, scratch=folder / "scratch", workers=workers)
    assert result.ok, result.checks
    return {"rows": result.rows, "stages": [("all", started, time.monotonic(), _cpu() - used), *seen]}


@contextmanager
def stages() -> Iterator[list[Interval]]:
    """While it lasts, notes when the stages of an export are at work."""
    from torus_assets.datasets import output, page_of, rollup, site
    from torus_assets.datasets.datashop import out, pieces

    seen: list[Interval] = []
    watched: list[tuple[str, Any, str]] = [
        ("survey", site, "survey"), ("users", site, "users"), ("plan", pieces, "plan"), ("scope", out, "scope"), ("pieces", out, "pieces_done"),
        ("release scan", output.release, "scan"), ("rollup", rollup, "rollup"), ("figures", page_of, "of_transactions"), ("read back", out, "read_back"),
        ("page", page_of, "put"),
    ]  # fmt: skip
    kept = [getattr(module, name) for _, module, name in watched]
    for (stage, module, name), plain in zip(watched, kept, strict=True):
        setattr(module, name, _timed(stage, plain, seen))
    try:
        yield seen
    finally:
        for (_, module, name), plain in zip(watched, kept, strict=True):
            setattr(module, name, plain)


def _timed(stage: str, plain: Callable[..., Any], seen: list[Interval]) -> Callable[..., Any]:
    def called(*args: Any, **named: Any) -> Any:
        start, used = time.monotonic(), _cpu()
        made = plain(*args, **named)
        if isinstance(made, Iterator):
            return _each(stage, made, seen)
        seen.append((stage, start, time.monotonic(), _cpu() - used))
        return made

    return called


def _each(stage: str, made: Iterator[Any], seen: list[Interval]) -> Iterator[Any]:
    while True:
        start, used = time.monotonic(), _cpu()
        one = next(made, seen)
        seen.append((stage, start, time.monotonic(), _cpu() - used))
        if one is seen:
            return
        yield one


def _cpu() -> float:
    """CPU seconds of this process and of children that ended."""
    return sum(os.times()[:4])


def watched(ran: subprocess.Popen[str]) -> list[tuple[float, list[int]]]:
    """The memory of each process of the tree in MB, the root's first, until the root ends."""
    root, samples = psutil.Process(ran.pid), []
    while ran.poll() is None:
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        samples.append((time.monotonic(), [resident(process) // 1_000_000 for process in tree]))
        time.sleep(SAMPLE_SECONDS)
    return samples


def measured(folder: Path, attempts: int, workers: int) -> dict[str, Any]:
    folder.mkdir()
    course.make(folder, course.many(attempts, sections=SECTIONS))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "benchmarks.dataset_memory", "--folder", str(folder), "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=worlds.installed(folder, pandas=False)) as ran:
        samples = watched(ran)
        answer = json.loads(ran.communicate()[0])
    assert ran.returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    table = _table(answer["stages"], samples)
    _, highest = max(samples, key=lambda sample: sum(sample[1]))
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {
        "rows": answer["rows"], "peak_mb": sum(highest), "processes_at_the_peak_mb": highest, "wall_seconds": table["all"]["wall_seconds"],
        "cpu_seconds": round(cpu, 1), "stages": table,
    }  # fmt: skip


def _table(seen: list[Interval], samples: list[tuple[float, list[int]]]) -> dict[str, dict[str, float]]:
    """Wall and CPU seconds, and highest memory of each stage."""
    found: dict[str, dict[str, float]] = {}
    for stage, start, end, cpu in seen:
        entry = found.setdefault(stage, {"wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_mb": 0})
        entry["wall_seconds"] = round(entry["wall_seconds"] + end - start, 3)
        entry["cpu_seconds"] = round(entry["cpu_seconds"] + cpu, 3)
        entry["peak_mb"] = max([entry["peak_mb"], *(sum(each) for at, each in samples if start <= at <= end)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        print(json.dumps(export(options.folder, options.workers)))
        return
    with tempfile.TemporaryDirectory(prefix="dataset-memory-") as name:
        quarter, whole = (measured(Path(name) / str(size), size, options.workers) for size in (options.attempts // 4, options.attempts))
    passed = whole["peak_mb"] < TARGET_MB
    head = {"benchmark": "dataset_memory", "workers": options.workers, "target_mb": TARGET_MB, "passed": passed}
    print(json.dumps({**head, "quarter": quarter, "whole": whole}, indent=2))


if __name__ == "__main__":
    main()
