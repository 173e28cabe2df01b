"""Memory and growth of an ingest: the peak of all its processes together over one day, and the time of N against 2N lines.

Peak memory is the sum over the process tree, every 50 ms, of PSS (shared pages counted once) or of RSS where PSS cannot be read.

    python -m benchmarks.memory [--lines 2000000] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks import worlds

TARGET_MB = 1500
TARGET_GROWTH = 2.2
SAMPLE_SECONDS = 0.05


def resident(process: psutil.Process) -> int:
    """Bytes of one process: PSS, else RSS."""
    try:
        for line in Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        pass
    try:
        return process.memory_info().rss
    except psutil.Error:
        return 0


def watched(ran: subprocess.Popen[str]) -> int:
    """The peak of the tree until its root ends."""
    root, peak = psutil.Process(ran.pid), 0
    while ran.poll() is None:
        try:
            tree = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            break
        peak = max(peak, sum(map(resident, tree)))
        time.sleep(SAMPLE_SECONDS)
    return peak


def measured(folder: Path, lines: int, workers: int) -> dict:
    bundles = worlds.make(folder / "bundles", lines)
    used, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "benchmarks.ingest", "--way", "now", "--folder", str(folder), "--workers", str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=worlds.installed(folder, pandas=False)) as ran:
        peak = watched(ran)
        answer = ran.communicate()[0]
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert json.loads(answer)["rows"] == lines
    shutil.rmtree(folder / "out")
    shutil.rmtree(folder / "bundles")
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return {"lines": lines, "bundles": bundles, "peak_mb": peak // 1_000_000, "wall_seconds": round(wall, 1), "cpu_seconds": round(cpu, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=2_000_000, help="of the larger day; the smaller has half")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torus-memory-") as name:
        half, whole = (measured(Path(name), lines, options.workers) for lines in (options.lines // 2, options.lines))
    growth = whole["wall_seconds"] / half["wall_seconds"]
    told = {
        "growth": round(growth, 2),
        "cpu_growth": round(whole["cpu_seconds"] / half["cpu_seconds"], 2),
        "target_mb": TARGET_MB,
        "target_growth": TARGET_GROWTH,
    }
    passed = whole["peak_mb"] < TARGET_MB and growth <= TARGET_GROWTH
    print(json.dumps({"benchmark": "memory", "workers": options.workers, "passed": passed, **told, "half": half, "whole": whole}, indent=2))


if __name__ == "__main__":
    main()
