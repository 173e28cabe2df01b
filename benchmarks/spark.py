"""Spark: lines per second, scaling and memory of an ingest on `local[1]` and `local[2]`, beside the local engine in the same run.

One day, the same bundles for all. Each way runs in a process of its own, start and imports included (Spark's start is told apart: the time
until the session is there). Peak memory is of all its processes together, JVM and Python workers (see `benchmarks.memory`). *Scaling* is lines per
second of the work after the start on two threads over those on one; 2.0 would be perfect. The rows that each way committed are compared by
count and by the sum of their hashes.

    python -m benchmarks.spark [--lines 1000000] [--rounds 1] [--engine local spark]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks import worlds
from benchmarks.memory import resident

SAMPLE_SECONDS = 0.5  # looking at a JVM takes longer than at a Python process
WAYS = ("local 1", "local 2", "spark 1", "spark 2")


def carried_out(folder: Path, way: str, conf: dict[str, str]) -> dict[str, Any]:
    """One way, in this process."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi import day
    from torus_assets.xapi.ingest import IngestOptions
    from torus_assets.xapi.lake import Lake

    engine, workers = way.split()
    bundles, lake = open_store(f"file://{folder}/bundles"), Lake(f"file://{folder}/out/lake")
    day.find_bundles(bundles, open_store(f"file://{folder}/inventory"), lake, worlds.DAY, worlds.DAY, listing="auto")
    options = IngestOptions(workers=int(workers))
    started = time.monotonic()
    if engine == "local":
        began = started
        day.ingest(lake, bundles, worlds.DAY, folder / "out/spool", options)
    else:
        from torus_assets.engine.ingest.days import ingest_days
        from torus_assets.engine.session import session
        from torus_assets.settings import SparkSettings

        with session("benchmark", SparkSettings(master=f"local[{workers},4]", conf=conf)) as spark:
            began = time.monotonic()
            done = ingest_days(spark, lake, bundles, [worlds.DAY], options)
            assert not done.refused, done.refused
            ended = time.monotonic()
        return {"start": began - started, "work": ended - began} | digest(lake)
    return {"start": 0.0, "work": time.monotonic() - began} | digest(lake)


def digest(lake: Any) -> dict[str, Any]:
    """Rows of the day and the sum of the first 60 bits of their hashes."""
    import polars as pl

    rows = lake.snapshot().scan("part_attempts").select(
        pl.len().alias("rows"), pl.col("event_hash").str.slice(0, 15).str.to_integer(base=16).sum().alias("sum")
    ).collect()  # fmt: skip
    return {"rows": rows["rows"][0], "digest": rows["sum"][0] % (1 << 62)}


def watched(ran: subprocess.Popen[str]) -> tuple[int, float]:
    """Of the tree until its root ends: peak bytes, and CPU seconds as last seen of each process (a JVM does not wait for its workers)."""
    root, peak, used = psutil.Process(ran.pid), 0, dict[int, float]()
    while ran.poll() is None:
        memory = 0
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        for process in tree:
            try:
                times = process.cpu_times()
            except psutil.Error:
                continue
            used[process.pid] = times.user + times.system
            memory += resident(process)
        peak = max(peak, memory)
        time.sleep(SAMPLE_SECONDS)
    return peak, sum(used.values())


def measured(folder: Path, way: str, shared: Path) -> dict[str, Any]:
    """One way in a process of its own; what it wrote is removed."""
    command = [sys.executable, "-m", "benchmarks.spark", "--way", way, "--folder", str(folder)]
    started = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=worlds.installed(shared, pandas=way.startswith("spark"))) as ran:
        peak, cpu = watched(ran)
        answer = ran.communicate()[0]
    if ran.returncode:
        raise SystemExit(f"{way}: ended with {ran.returncode}")
    wall = time.monotonic() - started
    lake = sum(path.stat().st_size for path in (folder / "out/lake").rglob("*.parquet"))
    shutil.rmtree(folder / "out")
    return {"wall": wall, "cpu": cpu, "peak_mb": peak // 1_000_000, "lake_mb": lake // 1_000_000, **json.loads(answer.splitlines()[-1])}


def told(lines: int, runs: list[dict[str, Any]]) -> dict[str, Any]:
    wall, start, work, cpu = (statistics.median(run[name] for run in runs) for name in ("wall", "start", "work", "cpu"))
    return {
        "wall_seconds": round(wall, 1), "start_seconds": round(start, 1), "work_seconds": round(work, 1), "lines_per_second": round(lines / work),
        "lines_per_wall_second": round(lines / wall), "cpu_seconds": round(cpu, 1), "lake_mb": runs[0]["lake_mb"], "peak_mb": max(run["peak_mb"] for run in runs),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(carried_out(options.folder, options.way, {})))
        return
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in options.ways}
    with tempfile.TemporaryDirectory(prefix="torus-spark-") as name:
        folder = Path(name)
        bundles = worlds.make(folder / "bundles", options.lines)
        for _ in range(options.rounds):
            for way in options.ways:
                runs[way].append(measured(folder, way, folder))
    found = {(run["rows"], run["digest"]) for all_runs in runs.values() for run in all_runs}
    ways = {way: told(options.lines, all_runs) for way, all_runs in runs.items()}
    ratios = {
        f"{engine}: two over one": round(ways[f"{engine} 2"]["lines_per_second"] / ways[f"{engine} 1"]["lines_per_second"], 2)
        for engine in ("local", "spark")
        if {f"{engine} 1", f"{engine} 2"} <= ways.keys()
    } | {
        f"spark over local, {n}": round(ways[f"spark {n}"]["lines_per_second"] / ways[f"local {n}"]["lines_per_second"], 2)
        for n in (1, 2)
        if {f"spark {n}", f"local {n}"} <= ways.keys()
    }
    same = len(found) == 1 and next(iter(found))[0] == options.lines
    print(
        json.dumps(
            {"benchmark": "spark", "lines": options.lines, "bundles": bundles, "same_rows": same, "ratios": ratios, "ways": ways}, indent=2
        )
    )


if __name__ == "__main__":
    main()
