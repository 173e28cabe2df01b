"""Parity of the engines at size: a damaged world, ingested by both, every row of every kind of every day compared both ways.

The world is that of `torus sample` with damage: replays, refused lines of every reason, all kinds of statements. Says rows and differences per kind, and
what each engine took. It ends with 1 when anything differs.

    python -m benchmarks.engine_parity [--statements 300000] [--days 5] [--damage 0.05] [--duplicates 0.05]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from torus_assets.clients.object_store import open_store
from torus_assets.engine import parity
from torus_assets.engine.ingest.days import ingest_days
from torus_assets.engine.session import session
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world
from torus_assets.settings import SparkSettings
from torus_assets.xapi import bundle_index, day
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake

FIRST = date(2026, 2, 2)


def ingested(folder: Path, days: list[date]) -> dict[str, float]:
    """Both lakes below the folder; seconds of each engine, Spark's start apart."""
    bundles = open_store(f"file://{folder}/world/xapi")
    options = IngestOptions(max_quarantined_share=1.0, workers=2)
    found = bundle_index.index_days(bundles, None, days[0], days[-1], listing="always")
    for engine in ("local", "spark"):
        bundle_index.write_index(open_store(f"file://{folder}/{engine}"), found)
    started = time.monotonic()
    for one in days:
        day.ingest(Lake(f"file://{folder}/local"), bundles, one, folder / "spool", options)
    local = time.monotonic()
    with session("parity", SparkSettings()) as spark:
        ready = time.monotonic()
        ingest_days(spark, Lake(f"file://{folder}/spark"), bundles, days, options)
        done = time.monotonic()
    return {"local": local - started, "spark_start": ready - local, "spark": done - ready}


def compared(folder: Path, days: list[date]) -> dict[str, Any]:
    """Rows and differences per kind over all days."""
    rows, differences = Counter[str](), Counter[str]()
    lakes = Lake(f"file://{folder}/local"), Lake(f"file://{folder}/spark")
    for one in days:
        index = list(bundle_index.read_index(open_store(lakes[0].root), one))
        for kind in parity.compare(parity.Sample(one, index, len(index)), *lakes, folder):
            rows[kind.kind] += kind.local
            differences[kind.kind] += kind.only_local + kind.only_spark + bool(kind.columns)
    return {"rows": dict(rows), "differences": dict(differences)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("statements", 300_000), ("days", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    for name in ("damage", "duplicates"):
        parser.add_argument(f"--{name}", type=float, default=0.05)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="torus-parity-") as name:
        folder, days = Path(name), [FIRST + timedelta(days=n) for n in range(asked.days)]
        made = SampleOptions(
            out=f"file://{folder}/world", statements=asked.statements, days=asked.days, first_day=FIRST, damage=asked.damage, duplicates=asked.duplicates
        )  # fmt: skip
        make_world(made)
        seconds = ingested(folder, days)
        found = compared(folder, days)
    agree = not any(found["differences"].values()) and all(found["rows"].values())
    print(
        json.dumps(
            {"benchmark": "engine_parity", "agree": agree, "seconds": {name: round(n, 1) for name, n in seconds.items()}, **found}, indent=2
        )
    )
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
