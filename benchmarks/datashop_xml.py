"""DataShop XML: messages per CPU second, against a plain ElementTree implementation of the old mapping in the same run.

Rows of the lake in `benchmarks/course.py`: hints for a fifth of the attempts, feedback that repeats, or with `--unique-feedback` never. Each way is a
process of its own, byte code is there, rounds alternate, and what is told are medians of CPU seconds of all threads, without start and imports:

- `memory`: from rows in memory to the bytes of the messages. *Before* has a list of dicts, *now* tables, as the reader gives them. Once with real
  names, which is the same work (the old job made no pseudonyms), and once with pseudonyms for students, sessions and guids.
- `files`: from Parquet to files on disk, with the order, sessions and page openings that the old way did not work out.

Ours writes one context for each session and problem, the old job one for each first attempt: `ratio_per_transaction` compares pairs instead.

    python -m benchmarks.datashop_xml [--attempts 100000] [--unique-feedback] [--rounds 3]
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
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import course, datashop_before, worlds

if TYPE_CHECKING:
    from torus_assets.datasets.datashop.pieces import Piece
    from torus_assets.datasets.datashop.produce import Work

TARGET = 8  # times the messages per CPU second, from rows in memory with real names
WAYS = ("memory-before", "memory-now", "memory-now-pseudonyms", "files-before", "files-now", "files-now-pseudonyms")


class Made(NamedTuple):
    messages: int
    transactions: int
    bytes: int
    cpu_seconds: float


def before(folder: Path, *, files: bool) -> Made:
    """The old way."""
    import pyarrow.dataset as ds

    from torus_assets.xapi.lake import Lake

    snapshot, lookup = Lake(f"file://{folder}/lake").snapshot(), datashop_before.prepared(course.lookup())
    with snapshot.local(snapshot.files(kinds=["part_attempt"]), folder) as paths:
        started = time.process_time()
        rows = ds.dataset([str(path) for path in paths]).to_table(columns=list(datashop_before.COLUMNS)).to_pylist()
    out = folder / "out"
    out.mkdir()
    if files:
        count = datashop_before.write(rows, lookup, out)
        size = sum(path.stat().st_size for path in out.iterdir())
    else:
        started, count, size = time.process_time(), 0, 0
        for message in datashop_before.messages(rows, lookup):
            count, size = count + 1, size + len(message)
    spent = time.process_time() - started
    return Made(count, sum(1 + len(json.loads(row["hint_ids"])) for row in rows), size, spent)


def now(folder: Path, *, files: bool, pseudonyms: bool) -> Made:
    """Ours, with one worker: its own process."""
    from torus_assets.datasets import reading
    from torus_assets.datasets.datashop import pieces, produce, rules
    from torus_assets.datasets.datashop.tab_form import Shape
    from torus_assets.datasets.lookup import parse_lookup
    from torus_assets.datasets.pseudonyms import PseudonymKey, RealNames
    from torus_assets.datasets.request import parse_request
    from torus_assets.xapi.lake import Lake

    lookup, out = parse_lookup(course.lookup()), folder / "out"
    names = PseudonymKey(b"k" * 32).scoped("bench") if pseudonyms else RealNames()
    request = parse_request({"job_id": "bench", "action": "datashop", "section_ids": course.SECTIONS})
    snapshot = Lake(f"file://{folder}/lake").snapshot()
    wanted = snapshot.files(kinds=tuple(pieces.KINDS.values()))
    out.mkdir()
    with snapshot.local(wanted, out) as paths:
        started = time.process_time()
        by_kind = pieces.by_kind(wanted, paths, out)
        with pieces.connect(out) as connection:
            plan = pieces.plan(connection, request, by_kind, names)
        users = names.redaction(reading.users(request, paths), {})
        shape = Shape(lookup.level_types, ((rules.DEFAULT_MODEL, 2, False),))  # of the table, which is not made
        work = produce.Work(request, by_kind, lookup, names, users, "bench", shape, plan.shared_sessions, out)
        made = _files if files else _in_memory
        return made(work, plan.pieces, started)


def _files(work: Work, pieces: Sequence[Piece], started: float) -> Made:
    from torus_assets.datasets.datashop.produce import pieces_done

    done = list(pieces_done(work, pieces, 1))
    spent = time.process_time() - started
    written = [file for one in done for file in one.files]
    text = b"".join(file.path.read_bytes() for file in written)
    return Made(text.count(b"</meta>"), sum(file.transactions for file in written), len(text), spent)


def _in_memory(work: Work, pieces: Sequence[Piece], started: float) -> Made:
    from torus_assets.datasets.datashop import produce
    from torus_assets.datasets.datashop.mapping import Mapper
    from torus_assets.datasets.datashop.xml_form import XmlForm

    with closing(produce.Maker(work)) as maker:
        read = [maker.reader.read(piece, Counter()) for piece in pieces]
    form, messages, transactions, size = XmlForm(anonymous=work.names.anonymous), 0, 0, 0
    started = time.process_time()
    for rows in read:
        mapper = Mapper(work.lookup, work.names, work.redaction, work.dataset, work.shared_sessions)
        made = produce.transactions(rows, mapper)
        for slice_ in produce._slices(made):
            size += len(produce._bytes(form.texts(slice_, mapper.shelves)))
        messages += int(made["opens"].sum()) + made.height + made["tutor_type"].count()
        transactions += made.height
    return Made(messages, transactions, size, time.process_time() - started)


def child(way: str, folder: Path) -> Made:
    what, how, *named = way.split("-")
    files = what == "files"
    made = before(folder, files=files) if how == "before" else now(folder, files=files, pseudonyms=bool(named))
    shutil.rmtree(folder / "out")
    return made


def measured(way: str, folder: Path) -> Made:
    """One way in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.datashop_xml", "--way", way, "--folder", str(folder)]
    ran = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=worlds.installed(folder, pandas=False))
    return Made(*json.loads(ran.stdout))


def told(runs: Sequence[Made]) -> dict[str, Any]:
    messages, transactions, size, _ = runs[0]
    cpu = statistics.median(run.cpu_seconds for run in runs)
    return {
        "messages": messages, "transactions": transactions, "megabytes": round(size / 1e6, 1), "cpu_seconds": round(cpu, 2),
        "messages_per_cpu_second": round(messages / cpu), "transactions_per_cpu_second": round(transactions / cpu),
        "all_cpu_seconds": [round(run.cpu_seconds, 2) for run in runs],
    }  # fmt: skip


def compared(folder: Path, rounds: int) -> dict[str, Any]:
    runs: dict[str, list[Made]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            runs[way].append(measured(way, folder))
    assert len({run.transactions for made in runs.values() for run in made}) == 1, runs
    results = {way: told(made) for way, made in runs.items()}
    for way, result in results.items():
        old = results[f"{way.split('-')[0]}-before"]
        for unit in ("message", "transaction"):
            result[f"ratio_per_{unit}"] = round(result[f"{unit}s_per_cpu_second"] / old[f"{unit}s_per_cpu_second"], 1)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unique-feedback", action="store_true")
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(child(options.way, options.folder)))
        return
    with tempfile.TemporaryDirectory(prefix="datashop-xml-") as name:
        course.make(Path(name), course.tables(options.attempts, unique_feedback=options.unique_feedback))
        results = compared(Path(name), options.rounds)
    passed = results["memory-now"]["ratio_per_message"] >= TARGET
    head = {"benchmark": "datashop_xml", "unique_feedback": options.unique_feedback, "target_ratio": TARGET, "passed": passed}
    print(json.dumps({**head, "results": results}, indent=2))


if __name__ == "__main__":
    main()
