"""CSV data sets: rows per CPU second from the lake, against the way it was done before.

Both ways give the same part attempts as CSV in chunks of 50,000 rows, each in a process of its own; CPU seconds are those of
the whole process tree, with and without start and imports. *Before* (spec/datasets.md 5, 6): objects one after the other, `json.loads`
per line, a dict per row, `pandas.DataFrame.to_csv` per chunk, cells encoded as the old job did. *Now*: `datasets.export` from
Parquet as an ingest leaves it (a file per day, sorted by section, time and hash, zstd, row groups of 40 k), with the order, pseudonyms, digests,
checksums and receipt that the old way did not have.

    python -m benchmarks.csv_export [--rows 400000] [--days 4] [--sections 20] [--dialect rfc4180]
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from benchmarks import worlds

CHUNK_ROWS = 50_000
LINES_PER_OBJECT = 20
OLI = "http://oli.cmu.edu/extensions/"
FIRST_DAY = date(2026, 1, 5)


def statement(random: random.Random, section: int, when: datetime) -> dict:
    """A part attempt of the length that Torus sends, 1.7 kB (spec/xapi.md 4.1)."""
    guid = f"{random.getrandbits(128):032x}"
    extensions = {
        "activity_attempt_guid": f"{guid[:8]}-{guid[8:12]}-{guid[12:16]}-{guid[16:20]}-{guid[20:]}", "activity_attempt_number": 1,
        "activity_id": 60000 + random.randrange(900), "activity_revision_id": 210000 + random.randrange(900),
        "attached_objectives": [59012, 59000 + random.randrange(60)], "enrollment_id": 77310, "hints_requested": [] if random.random() < 0.8 else ["773001"],
        "page_attempt_guid": f"{guid[4:12]}-{guid[12:16]}-{guid[16:20]}-{guid[20:24]}-{guid[20:]}", "page_attempt_number": 2,
        "page_id": 60480 + random.randrange(60), "part_attempt_guid": f"{guid[2:10]}-{guid[10:14]}-{guid[14:18]}-{guid[18:22]}-{guid[20:]}",
        "part_attempt_number": 1, "part_id": "1", "project_id": 118, "publication_id": 904, "section_id": section,
        "session_id": f"{guid[8:16]}-{guid[:4]}",
    }  # fmt: skip
    feedback = {
        "content": [
            {
                "children": [
                    {"text": random.choice(["Correct. Both halves follow from the definition.", "Not quite: «mass» is conserved."])}
                ],
                "type": "p",
            }
        ],
        "id": str(random.randrange(10**9)),
    }
    score = float(random.random() < 0.6)
    return {
        "actor": {"account": {"homePage": "torus.example.edu", "name": 40000 + random.randrange(2000)}, "objectType": "Agent"},
        "context": {"extensions": {OLI + k: v for k, v in extensions.items()}},
        "object": {
            "definition": {"name": {"en-US": "Part Attempt"}, "type": "http://adlnet.gov/expapi/activities/question"},
            "id": f"torus.example.edu/part_attempt/{guid}}}", "objectType": "Activity",
        },
        "result": {
            "completion": True, "extensions": {OLI + "feedback": feedback},
            "response": {"files": [], "input": random.choice(["option_1", "42", "the membrane lets water through"])},
            "score": {"max": 1.0, "min": 0, "raw": score, "scaled": score}, "success": True,
        },
        "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "verb": {"display": {"en-US": "completed"}, "id": "http://adlnet.gov/expapi/verbs/completed"},
    }  # fmt: skip


def make(folder: Path, rows: int, days: int, sections: int) -> None:
    """Objects as Torus writes them, and the lake's Parquet of the same lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from torus_assets.xapi.parse import parse
    from torus_assets.xapi.tables import BY_KIND

    chance = random.Random(1)
    schema = BY_KIND["part_attempt"].schema
    (folder / "objects").mkdir()
    (folder / "lake").mkdir()
    (folder / "sections.json").write_text(json.dumps(list(range(3000, 3000 + sections))))
    for number in range(days):
        day = FIRST_DAY + timedelta(days=number)
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        tables = []
        for place in range(rows // days // LINES_PER_OBJECT):
            section = 3000 + chance.randrange(sections)
            lines = [
                json.dumps(
                    statement(chance, section, midnight + timedelta(seconds=chance.randrange(86400))),
                    ensure_ascii=False,
                    separators=(",", ":"),
                )
                for _ in range(LINES_PER_OBJECT)
            ]
            body = "\n".join(lines).encode()
            name = f"{number:03d}-{place:06d}.jsonl"
            (folder / "objects" / name).write_bytes(body)
            made = [(e.digest.hex(), f"s3://bucket/{name}", "etag", e.line, midnight, *e.row) for e in parse(body, section).events]
            assert len(made) == LINES_PER_OBJECT
            tables.append(
                pa.table(
                    [pa.array(column, field.type) for column, field in zip(zip(*made, strict=True), schema, strict=True)], schema=schema
                )
            )
        table = pa.concat_tables(tables).sort_by([("section_id", "ascending"), ("timestamp", "ascending"), ("event_hash", "ascending")])
        pq.write_table(table, folder / "lake" / f"{day}.parquet", compression="zstd", row_group_size=40_000)


def started(*imported: object) -> None:  # noqa: ARG001
    """Remembers the CPU seconds that start and imports took: 1 s for ours without compiled byte code, whatever the size."""
    global start_cpu
    start_cpu = time.process_time()


start_cpu = 0.0


def before(folder: Path) -> int:
    """The old way; returns the rows written."""
    import pandas as pd

    started(pd)

    rows: list[dict] = []
    written = chunk = 0
    (folder / "before").mkdir()

    def save() -> None:
        pd.DataFrame(rows).to_csv(folder / "before" / f"chunk_{chunk}.csv", index=False)

    for path in sorted((folder / "objects").iterdir()):
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


def now(folder: Path, dialect: str) -> int:
    """Ours; returns the rows written."""
    from contextlib import contextmanager
    from types import SimpleNamespace

    from torus_assets.clients.object_store import open_store
    from torus_assets.datasets.export import export
    from torus_assets.datasets.pseudonyms import PseudonymKey
    from torus_assets.datasets.request import parse_request

    open_store(f"file://{folder}")
    started(export)
    files = [SimpleNamespace(path=p.name, day=date.fromisoformat(p.stem), kind="part_attempt") for p in sorted((folder / "lake").iterdir())]

    class Pinned:
        version = 1

        def files(self, *, kinds=None, first=None, last=None):  # noqa: ARG002
            return [file for file in files if kinds is None or file.kind in kinds]

        @contextmanager
        def local(self, wanted, scratch):  # noqa: ARG002
            yield [folder / "lake" / file.path for file in wanted]

        def held(self, first=None, last=None):  # noqa: ARG002
            return []

    sections = json.loads((folder / "sections.json").read_text())
    request = parse_request(
        {"job_id": "bench", "action": "attempt_evaluated", "section_ids": sections, "chunk_rows": CHUNK_ROWS, "dialect": dialect}
    )
    result = export(
        request, Pinned(), open_store(f"file://{folder / dialect}"), pseudonyms=PseudonymKey(b"k" * 32), scratch=folder / "scratch"
    )
    return result.rows


def measured(folder: Path, way: str) -> dict:
    """One way in a process of its own."""
    start = resource.getrusage(resource.RUSAGE_CHILDREN)
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.csv_export", "--way", way, "--folder", str(folder)], check=True, capture_output=True, text=True
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    told = json.loads(ran.stdout.splitlines()[-1])
    work = cpu - told["start_cpu_seconds"]
    return {
        **told,
        "cpu_seconds": round(cpu, 2),
        "rows_per_cpu_second": round(told["rows"] / work),
        "rows_per_cpu_second_with_start": round(told["rows"] / cpu),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 400_000), ("days", 4), ("sections", 20)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--dialect", default="rfc4180", choices=("rfc4180", "compat"))
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        rows = before(options.folder) if options.way == "before" else now(options.folder, options.way)
        peak = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        print(json.dumps({"rows": rows, "peak_mb": int(peak) // 1024, "start_cpu_seconds": round(start_cpu, 2)}))
        return
    with tempfile.TemporaryDirectory(prefix="csv-export-") as name:
        folder = Path(name)
        make(folder, options.rows, options.days, options.sections)
        old, new = measured(folder, "before"), measured(folder, options.dialect)
    assert old["rows"] == new["rows"], (old, new)
    ratio = new["rows_per_cpu_second"] / old["rows_per_cpu_second"]
    whole = new["rows_per_cpu_second_with_start"] / old["rows_per_cpu_second_with_start"]
    told = {"ratio": round(ratio, 1), "ratio_with_start": round(whole, 1), "target": 15}
    print(json.dumps({"benchmark": "csv_export", "dialect": options.dialect, "before": old, "now": new, **told}, indent=2))


if __name__ == "__main__":
    main()
