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
from pathlib import Path
from typing import NamedTuple

from benchmarks import course, datashop_before, worlds

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
    from torus_assets.datasets.datashop import pieces
    from torus_assets.datasets.lookup import parse_lookup
    from torus_assets.datasets.pseudonyms import PseudonymKey, RealNames
    from torus_assets.datasets.request import parse_request
    from torus_assets.xapi.lake import Lake

    lookup = parse_lookup(course.lookup())
    names = PseudonymKey(b"k" * 32).scoped("bench") if pseudonyms else RealNames()
    snapshot, out = Lake(f"file://{folder}/lake").snapshot(), folder / "out"
    out.mkdir()
    wanted = snapshot.files(kinds=tuple(pieces.KINDS.values()))
    sections = sorted({section for (_, _), rows in course.tables(1).items() for section in rows["section_id"]})
    return Made(0, 0, 0, 0.0)
