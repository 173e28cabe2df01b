"""Ingest: lines per second from bundles to a committed Delta table, against the way a day was read before.

Each way runs in a process of its own, start and imports included, in alternating rounds; medians are told.
Byte code is there, as in an installed service, and ours runs without pandas, which the local engine keeps from being loaded. CPU seconds are of the whole
process tree. *Before* (spec/datasets.md 5): objects one after the other, `json.loads` per line, a dict of 22 columns per row with the
old job's cells, `pandas.DataFrame.to_csv` per 50,000 rows, one process. *Now*: `torus_assets.xapi.day` as the assets call it, which lists
and indexes the bundles, types every column, finds duplicates, sorts, writes the ledger and commits: work that the old way did not do.

    python -m benchmarks.ingest [--lines 100000 400000] [--rounds 3] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import worlds

CHUNK_ROWS = 50_000
TARGET = 1.5  # times as many lines per wall second


def before(folder: Path) -> int:
    """The old way; returns the rows written."""
    import pandas as pd

    rows: list[dict] = []
    written = chunk = 0
    out = folder / "out"
    out.mkdir()

    def save() -> None:
        pd.DataFrame(rows).to_csv(out / f"chunk_{chunk}.csv", index=False)

    for path in sorted((folder / "bundles").rglob("*.jsonl")):
        for line in path.read_bytes().decode().splitlines():
            row = worlds.old_row(line)
            if row is None:
                continue
            rows.append(row)
            written += 1
            if len(rows) == CHUNK_ROWS:
                save()
                rows.clear()
                chunk += 1
    if rows:
        save()
    return written


def now(folder: Path, workers: int) -> int:
    """Ours; returns the rows committed."""
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi import day
    from torus_assets.xapi.ingest import IngestOptions
    from torus_assets.xapi.lake import Lake

    bundles, lake = open_store(f"file://{folder}/bundles"), Lake(f"file://{folder}/out/lake")
    day.find_bundles(bundles, open_store(f"file://{folder}/inventory"), lake, worlds.DAY, worlds.DAY, listing="auto")
    result = day.ingest(lake, bundles, worlds.DAY, folder / "out/spool", IngestOptions(workers=workers))
    assert result.version is not None
    return sum(result.this_run["rows"].values())


def measured(folder: Path, way: str, workers: int, shared: Path) -> dict:
    """One way in a process of its own; what it wrote is removed."""
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "benchmarks.ingest", "--way", way, "--folder", str(folder), "--workers", str(workers)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=worlds.installed(shared, pandas=way == "before"))
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    shutil.rmtree(folder / "out")
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {"rows": json.loads(ran.stdout)["rows"], "wall": wall, "cpu": cpu}


def told(runs: list[dict]) -> dict:
    wall, cpu = (statistics.median(run[name] for run in runs) for name in ("wall", "cpu"))
    rows = runs[0]["rows"]
    return {
        "wall_seconds": round(wall, 2), "cpu_seconds": round(cpu, 2), "lines_per_wall_second": round(rows / wall), "lines_per_cpu_second": round(rows / cpu),
        "all_wall_seconds": [round(run["wall"], 2) for run in runs],
    }  # fmt: skip


def compared(lines: int, rounds: int, workers: int, sections: int) -> dict:
    runs: dict[str, list[dict]] = {"before": [], "now": []}
    with tempfile.TemporaryDirectory(prefix="torus-ingest-") as name:
        folder = Path(name)
        bundles = worlds.make(folder / "bundles", lines, sections=sections)
        small = folder / "warm"
        worlds.make(small / "bundles", 100)
        for way in runs:
            measured(small, way, workers, folder)  # writes byte code
        for number in range(rounds):
            for way in ("before", "now") if number % 2 == 0 else ("now", "before"):
                runs[way].append(measured(folder, way, workers, folder))
    assert all(run["rows"] == lines for way in runs.values() for run in way), runs
    old, new = told(runs["before"]), told(runs["now"])
    return {
        "lines": lines, "bundles": bundles, "before": old, "now": new, "ratio_per_wall_second": round(old["wall_seconds"] / new["wall_seconds"], 2),
        "ratio_per_cpu_second": round(old["cpu_seconds"] / new["cpu_seconds"], 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 400_000])
    for name, default in (("rounds", 3), ("workers", 2), ("sections", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps({"rows": before(options.folder) if options.way == "before" else now(options.folder, options.workers)}))
        return
    results = [compared(lines, options.rounds, options.workers, options.sections) for lines in options.lines]
    passed = all(result["ratio_per_wall_second"] >= TARGET for result in results)
    print(
        json.dumps(
            {"benchmark": "ingest", "workers": options.workers, "target_ratio": TARGET, "passed": passed, "results": results}, indent=2
        )
    )


if __name__ == "__main__":
    main()
