"""Loading a day into ClickHouse: ours from the lake's Parquet, beside text VALUES per bundle (spec/clickhouse.md 5, loader L1).

`python benchmarks/warehouse_load.py [--rows N] [--plain-rows N]` prints JSON: rows per CPU second of the whole process, the
engine's own threads and the merges it does meanwhile included, start-up of Python and chDB not; each way in a child process on an
empty chDB. `…_merged` adds the CPU time of merging everything into one part, which a long-lived server does sooner or later.
The plain way is given fewer rows, as it slows down with their number; both hold what they were given afterwards.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.clients.clickhouse import connect
from torus_assets.settings import ClickHouseSettings
from torus_assets.warehouse import schema
from torus_assets.warehouse.load import load_day
from torus_assets.xapi import tables
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tables import Column, Table

DAY = date(2026, 3, 2)
SHARES = {"part_attempt": 0.45, "activity_attempt": 0.15, "page_attempt": 0.05, "page_viewed": 0.25, "video": 0.1}
BUNDLE_ROWS = 50
FILE_ROWS = 250_000
JSON_TEXT = json.dumps({"input": "a learner's answer of usual length", "files": [], "focused": True})


def made(table: Table, rows: int, seed: int) -> pa.Table:
    """Rows of one kind: 400 sections, a day's time, text of usual length."""
    rng = np.random.default_rng(seed)
    return pa.table({c.name: values(c, rows, rng) for c in table.columns}, schema=table.schema).sort_by(
        [("section_id", "ascending"), ("timestamp", "ascending")]
    )


def values(column: Column, rows: int, rng: np.random.Generator) -> pa.Array:
    match column.type:
        case "integer":
            return pa.array(rng.integers(1, 400 if column.name == "section_id" else 40_000, rows))
        case "number":
            return pa.array(rng.integers(0, 40, rows) / 4)
        case "truth":
            return pa.array(np.ones(rows, bool))
        case "time":
            start = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp()) * 1_000_000
            return pa.array(start + rng.integers(-3_600, 82_000, rows) * 1_000_000, pa.timestamp("us", tz="UTC"))
        case "json":
            return pa.array([None if column.name == "experiment_attributions" else JSON_TEXT] * rows, pa.string())
        case _:
            return pa.array(text(column, rows, rng), pa.string())


def text(column: Column, rows: int, rng: np.random.Generator) -> list[str]:
    if column.name == "event_hash":
        raw = rng.bytes(32 * rows).hex()
        return [raw[i : i + 64] for i in range(0, 64 * rows, 64)]
    if column.name.endswith("guid"):
        raw = rng.bytes(16 * rows).hex()
        return [raw[i : i + 32] for i in range(0, 32 * rows, 32)]
    if column.name == "source_file":
        return [
            f"s3://bundles/section/{i % 400}/attempt_evaluated/2026-03-02T08-00-00.{i // BUNDLE_ROWS:06d}Z_x.jsonl" for i in range(rows)
        ]
    return [f"{column.name} {n}" for n in rng.integers(1, 2000, rows).tolist()]


def make_lake(root: Path, rows: int, day: date = DAY) -> None:
    lake = Lake(f"file://{root}")
    snapshot = lake.ensure()
    added = []
    scratch = root / "part.parquet"
    for kind, share in SHARES.items():
        left = round(rows * share)
        while left:
            size = min(left, FILE_ROWS)
            pq.write_table(made(tables.BY_KIND[kind], size, left + day.toordinal()), scratch, compression="zstd")
            added.append(lake.place(scratch, day, kind))
            left -= size
    lake.commit(snapshot, day, added, (), rewrite=True)
    scratch.unlink()


def ours(folder: Path, lake: Path) -> int:
    with connect(ClickHouseSettings(folder=folder)) as client:
        return load_day(client, Lake(f"file://{lake}").snapshot(), DAY, scratch=folder.parent).inserted


def plain(folder: Path, lake: Path) -> int:
    """As L1: per bundle and kind one INSERT with the values written into its text."""
    snapshot = Lake(f"file://{lake}").snapshot()
    rows = 0
    with connect(ClickHouseSettings(folder=folder)) as client:
        schema.ensure(client)
        files = snapshot.files(kinds=tables.EVENT_KINDS)
        with snapshot.local(files, folder.parent) as paths:
            for file, path in zip(files, paths, strict=True):
                names = [c.name for c in tables.BY_KIND[file.kind].columns if c.clickhouse]
                for batch in pq.ParquetFile(path).iter_batches(BUNDLE_ROWS, columns=names):
                    bundle = batch.to_pylist()
                    listed = ", ".join(f"({', '.join(literal(row[name]) for name in names)})" for row in bundle)
                    client.command(f"INSERT INTO raw_events ({', '.join(names)}) VALUES {listed}")
                    rows += len(bundle)
    return rows


def literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"'{value.strftime('%Y-%m-%d %H:%M:%S.%f')[:-3]}'"
    if isinstance(value, bool | int | float):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def child(way: str, folder: Path, lake: Path) -> None:
    with connect(ClickHouseSettings(folder=folder)) as client:
        client.command("SELECT 1")
        before, start, floor = cpu(), time.monotonic(), peak()
        rows = {"ours": ours, "plain": plain}[way](folder, lake)
        client.command("SELECT 1")
        seconds, wall, highest = cpu() - before, time.monotonic() - start, peak()
        client.command("OPTIMIZE TABLE raw_events FINAL")
        merging = cpu() - before - seconds
        [(there, events)] = client.query("SELECT count(), uniqExact(event_hash) FROM raw_events").result_rows
    assert there == events == rows, (there, events, rows)
    merged = seconds + merging
    report = {"rows": rows, "cpu_s": round(seconds, 2), "wall_s": round(wall, 2), "rows_per_cpu_s": round(rows / seconds)}
    after = {"merge_cpu_s": round(merging, 2), "rows_per_cpu_s_merged": round(rows / merged)}
    print(json.dumps({**report, **after, "floor_mb": floor, "peak_mb": highest}))


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak() -> int:
    """Highest resident memory in MB, the engine's mapped library (280 MB) included; `ru_maxrss` would count the parent's too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def measured(way: str, root: Path, rows: int) -> dict[str, Any]:
    lake = root / f"lake-{rows}"
    if not lake.exists():
        make_lake(lake, rows)
    command = [sys.executable, __file__, "--child", way, str(root / f"{way}-{rows}"), str(lake)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=500_000)
    options.add_argument("--plain-rows", type=int, default=20_000)
    options.add_argument("--child", nargs=3, metavar=("WAY", "FOLDER", "LAKE"))
    given = options.parse_args()
    if given.child:
        child(given.child[0], Path(given.child[1]), Path(given.child[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        before = measured("plain", Path(folder), given.plain_rows)
        now = measured("ours", Path(folder), given.rows)
    ratios = {
        "ratio": round(now["rows_per_cpu_s"] / before["rows_per_cpu_s"], 1),
        "ratio_merged": round(now["rows_per_cpu_s_merged"] / before["rows_per_cpu_s_merged"], 1),
    }
    print(json.dumps({"plain": before, "ours": now, **ratios}, indent=1))


if __name__ == "__main__":
    main()
