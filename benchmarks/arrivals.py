"""What it costs to look whether anything has arrived, when nothing has: calls of the store and CPU seconds per look.

The bucket is a sorted list of keys in memory that counts calls, a page of 1,000 keys each, as S3 has it: 100 upload days, of which 3 are open.
The lake's ledger knows every key. Before: list the bucket from its beginning and keep what was modified after the last look, as object sensors
commonly do (it also loses keys of the same second, and those that come late). Now: ticks of `s3_arrivals` until its sweep over the open days is
complete, with the ledger read from the lake.

    python -m benchmarks.arrivals [--keys 1000000] [--sections 50]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow.parquet as pq

from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.tick import Limits, Runs, Sources, tick
from torus_assets.clients.object_store import ObjectInfo, ObjectStore, open_store
from torus_assets.xapi import tables
from torus_assets.xapi.bundles import parse_key
from torus_assets.xapi.lake import Lake

PAGE = 1000
DAYS, OPEN = 100, 3
LAST = date(2026, 11, 21)
MOMENT = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATEGORIES = ("attempt_evaluated", "page_viewed")
BUDGET_SECONDS = 2.0


class Bucket:
    """Keys in order, and how often the store was called for them."""

    bucket, prefix, is_local, url = "bench", "", False, "s3://bench"

    def __init__(self, keys: list[str]) -> None:
        self.keys = sorted(keys)
        self.calls = 0

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[ObjectInfo]:
        start = bisect_right(self.keys, after) if after else bisect_left(self.keys, prefix)
        self.calls += 1
        for count, at in enumerate(range(start, len(self.keys))):
            if count and count % PAGE == 0:
                self.calls += 1
            if not self.keys[at].startswith(prefix):
                return
            yield ObjectInfo(self.keys[at], 2, "etag", MOMENT)

    def head(self, key: str) -> ObjectInfo | None:
        raise AssertionError(f"nothing is new, so nobody has to look at {key}")

    def folders(self, prefix: str = "") -> list[str]:
        base = prefix.rstrip("/") + "/"
        found: list[str] = []
        at = bisect_left(self.keys, base)
        while at < len(self.keys) and self.keys[at].startswith(base):
            found.append(self.keys[at][len(base) :].split("/")[0])
            at = bisect_left(self.keys, f"{base}{found[-1]}0")  # "0" is the character after "/"
        self.calls += 1 + len(found) // PAGE
        return found


def keys_of(count: int, sections: int) -> list[str]:
    per_folder = count // (DAYS * sections * len(CATEGORIES))
    return [
        f"section/{3000 + section}/{category}/{LAST - timedelta(days=day)}T10-{n // 60 % 60:02d}-{n % 60:02d}.{n:06d}Z_{n}.jsonl"
        for section in range(sections)
        for category in CATEGORIES
        for day in range(DAYS)
        for n in range(per_folder)
    ]


def ledger(lake: Lake, bucket: Bucket, scratch: Path) -> None:
    """A lake whose ledger has every object of the open days."""
    for day in (LAST - timedelta(days=n) for n in range(OPEN)):
        rows: list[dict[str, Any]] = []
        for key in bucket.keys:
            parsed = parse_key(key)
            if parsed is not None and parsed.uploaded_at.date() == day:
                rows.append(
                    {
                        "key": key, "source_file": f"s3://bench/{key}", "source_etag": "etag", "uploaded_at": parsed.uploaded_at, "last_modified": MOMENT,
                        "section_id": int(parsed.partition_id), "category": parsed.category, "bytes": 2, "rows_by_kind": "{}",
                        "quarantined_by_reason": "{}", "coerced": "{}", "held": False, "parser_version": tables.PARSER_VERSION,
                        **dict.fromkeys(("lines", "blank", "rows", "duplicates", "quarantined", "forgotten", "section_mismatches"), 0),
                    }
                )  # fmt: skip
        path = scratch / f"{day}.parquet"
        pq.write_table(tables.pa.Table.from_pylist(rows, schema=tables.LEDGER.schema), path)
        snapshot = lake.ensure()
        lake.commit(snapshot, day, [lake.place(path, day, "bundle")], [], rewrite=False)


def before(bucket: Bucket, since: datetime) -> list[str]:
    """The plain way: everything below the prefix, then what is younger than the last look."""
    return sorted(info.key for info in bucket.list("section/") if info.last_modified > since)


def measured(keys: int, sections: int) -> dict[str, Any]:
    bucket = Bucket(keys_of(keys, sections))
    start = time.process_time()
    assert before(bucket, MOMENT) == []
    plain = {"calls": bucket.calls, "cpu_seconds": round(time.process_time() - start, 2)}
    with tempfile.TemporaryDirectory(prefix="arrivals-") as name:
        lake = Lake(f"file://{name}/lake")
        ledger(lake, bucket, Path(name))
        sources = Sources(cast("ObjectStore", bucket), open_store(lake.root), lake.snapshot(), None, Ledgers())
        nobody = Runs(lambda _: {}, lambda: frozenset(), lambda _, __: {})
        limits = Limits(date(2023, 1, 1), OPEN, 1.0)
        bucket.calls, cursor, walls, start = 0, None, list[float](), time.process_time()
        while True:
            began = time.monotonic()
            ticked = tick(sources, nobody, limits, cursor, now=datetime(2026, 11, 21, 13, tzinfo=UTC), clock=time.monotonic)
            walls.append(time.monotonic() - began)
            assert not ticked.due.requests
            cursor = ticked.cursor
            if ticked.swept.complete:
                break
        now = {
            "ticks": len(walls),
            "longest_tick_seconds": round(max(walls), 2),
            "calls": bucket.calls,
            "cpu_seconds": round(time.process_time() - start, 2),
            "keys_of_open_days": keys * OPEN // DAYS,
        }
    return {"before": plain, "now": now}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("keys", 1_000_000), ("sections", 50)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    found = measured(options.keys, options.sections)
    ratios = {name: round(found["before"][name] / found["now"][name], 1) for name in ("calls", "cpu_seconds")}
    print(json.dumps({"benchmark": "arrivals", **found, "fewer": ratios, "tick_budget_seconds": BUDGET_SECONDS}, indent=2))


if __name__ == "__main__":
    main()
