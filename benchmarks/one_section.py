"""CSV of one section out of many: wall and CPU seconds of a whole export (survey, rows, pseudonyms, scan for users, page, receipt).

The lake holds `--sections` times `--rows` part attempts over `--days` upload days, as an ingest leaves it: a file a day, sorted by section,
time and hash, zstd, row groups of 40 k. Rows of one section are made by the real parser and copied to the others.

    python -m benchmarks.one_section [--rows 50000] [--sections 200] [--days 20]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from types import SimpleNamespace

TARGET_SECONDS = 2
ROUNDS = 3


def make(folder: Path, rows: int, sections: int, days: int) -> list[SimpleNamespace]:
    """The lake's files."""
    import polars as pl
    import pyarrow as pa

    from benchmarks.csv_export import statement
    from torus_assets.xapi.parse import parse
    from torus_assets.xapi.tables import BY_KIND

    schema = BY_KIND["part_attempt"].schema
    files = []
    chance = Random(1)
    for number in range(days):
        day = date(2026, 1, 5) + timedelta(days=number)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        lines = [
            json.dumps(statement(chance, 3000, midnight + timedelta(seconds=chance.randrange(86400))), ensure_ascii=False)
            for _ in range(rows // days)
        ]
        made = [
            (e.digest.hex(), "s3://bucket/a.jsonl", "etag", e.line, midnight, *e.row) for e in parse("\n".join(lines).encode(), 3000).events
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(zip(*made, strict=True), schema, strict=True)]
        first = pl.DataFrame(pa.table(arrays, schema=schema)).sort("timestamp", "event_hash")
        path = folder / f"{day}.parquet"
        copies = pl.concat([first.lazy().with_columns(section_id=pl.lit(3000 + at, pl.Int64)) for at in range(sections)])
        copies.sink_parquet(path, compression="zstd", row_group_size=40_000)
        files.append(SimpleNamespace(path=path.name, day=day, kind="part_attempt"))
    return files


def exported(folder: Path, files: list[SimpleNamespace], section: int, round_: int) -> tuple[int, float, float]:
    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets.export import export
    from torus_assets.datasets.pseudonyms import PseudonymKey
    from torus_assets.datasets.request import parse_request

    class Pinned:
        version = 1

        def files(self, *, kinds=None, first=None, last=None):  # noqa: ARG002
            return [file for file in files if kinds is None or file.kind in kinds]

        @contextmanager
        def local(self, wanted, scratch) -> Iterator[list[Path]]:  # noqa: ARG002
            yield [folder / file.path for file in wanted]

        def held(self, first=None, last=None):  # noqa: ARG002
            return []

    request = parse_request({"job_id": "bench", "action": "attempt_evaluated", "section_ids": [section]})
    started, used = time.monotonic(), time.process_time()
    result = export(
        request, Pinned(), open_store(f"file://{folder / str(round_)}"), pseudonyms=PseudonymKey(b"k" * 32), scratch=folder / "scratch"
    )
    return result.rows, time.monotonic() - started, time.process_time() - used


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 50_000), ("sections", 200), ("days", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="one-section-") as name:
        folder = Path(name)
        files = make(folder, options.rows, options.sections, options.days)
        size = sum((folder / file.path).stat().st_size for file in files)
        runs = [exported(folder, files, 3000 + options.sections // 2 + n, n) for n in range(ROUNDS)]
    seconds, cpu = [round(taken, 2) for _, taken, _ in runs], [round(used, 2) for *_, used in runs]
    told = {
        "rows": runs[0][0],
        "of_rows": options.rows * options.sections,
        "lake_megabytes": size // 1_000_000,
        "seconds": seconds,
        "cpu_seconds": cpu,
    }
    median = statistics.median(seconds)
    print(
        json.dumps(
            {"benchmark": "one_section", **told, "median": median, "target": TARGET_SECONDS, "passed": median < TARGET_SECONDS}, indent=2
        )
    )


if __name__ == "__main__":
    main()
