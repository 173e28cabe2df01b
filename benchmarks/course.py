"""A course and what students did in it: the world of the data set benchmarks.

Statements of spec/xapi.md 4.1, 1.7 kB each, go through the real parser and become the rows that an ingest leaves: a file for each day and kind,
sorted by section, time and hash. Students work in sessions of some 20 attempts, a page after the other; for a fifth of the attempts
hints were asked for. Feedback repeats, as authored feedback does, unless `unique_feedback` gives each attempt its own. The same arguments give
the same rows. `copied` makes large lakes out of small ones.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.worlds import OLI, WORDS
from torus_assets.xapi import kinds
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.parse import parse_lines
from torus_assets.xapi.tables import BY_KIND

FIRST_DAY = date(2026, 1, 5)
PAGES, ACTIVITIES_A_PAGE = 60, 5
SESSIONS, ATTEMPTS_A_SESSION = 10, 20  # of a student
TYPES = ("oli_multiple_choice", "oli_check_all_that_apply", "oli_short_answer", "oli_multi_input")
PROJECT, PUBLICATION = 118, 904
SECTIONS = (3000, 3001, 3002, 3003)
HOST = "torus.example.edu"

Tables = dict[tuple[date, str], pl.DataFrame]  # rows by day and kind


def lookup() -> dict[str, Any]:
    """The course as a lookup document (spec/datasets.md 8.1): units of modules of pages, activities of four types, three hints a part."""
    pages = range(100, 100 + PAGES)
    modules = {
        f"{50 + n}": {"title": f"Module {n + 1}: «cells»", "graded": False, "children": list(pages[n * 5 : n * 5 + 5])}
        for n in range(PAGES // 5)
    }
    units = {
        f"{10 + n}": {"title": f"Unit {n + 1}", "graded": False, "children": [50 + 3 * n + m for m in range(3)]} for n in range(PAGES // 15)
    }
    return {
        "dataset_name": "course-5a3c19e07b",
        "skill_titles": {str(900 + n): f"{WORDS[n % len(WORDS)]} & {WORDS[n * 7 % len(WORDS)]} {n}" for n in range(90)},
        "hierarchy": {**units, **modules, **{str(page): {"title": f"Page {page}", "graded": page % 10 == 0, "children": []} for page in pages}},
        "activities": {str(activity): _activity(activity) for page in pages for activity in _activities(page)},
    }  # fmt: skip


def _activities(page: int) -> range:
    return range(page * 100, page * 100 + ACTIVITIES_A_PAGE)


def _parts(activity: int) -> range:
    return range(1, 3 if TYPES[activity % 4] == "oli_multi_input" else 2)


def _activity(activity: int) -> dict[str, Any]:
    choices = [{"id": f"option_{n}", "content": _rich(f"Choice {n} of {activity}: {' '.join(WORDS[n : n + 5])}")} for n in range(4)]
    hints = {
        part: [{"id": f"{activity}{part}{n}", "content": _rich(f"Look at step {n}: {' '.join(WORDS[n : n + 9])}.")} for n in range(3)]
        for part in _parts(activity)
    }
    kind = TYPES[activity % 4]
    return {
        "type": kind, "choices": choices if kind != "oli_short_answer" else None, "items": None,
        "parts": [{"id": str(part), "hints": found} for part, found in hints.items()],
    }  # fmt: skip


def _rich(text: str) -> list[dict[str, Any]]:
    return [{"type": "p", "children": [{"text": text}]}]


def tables(
    attempts: int, *, sections: int = len(SECTIONS), days: int = 4, unique_feedback: bool = False, students: int | None = None
) -> Tables:
    """About so many part attempts (never fewer, a session more at most), and the page views that belong to them."""
    chance = random.Random(1)
    lines: dict[tuple[date, int], list[bytes]] = defaultdict(list)
    students = students or max(sections, attempts // (SESSIONS * ATTEMPTS_A_SESSION))
    made = number = 0
    while made < attempts:
        student, session = number % students, number // students
        section, day = SECTIONS[0] + student % sections, FIRST_DAY + timedelta(days=(session + student) % days)
        start = datetime(day.year, day.month, day.day, 1 + session // days % 22, tzinfo=UTC) + timedelta(seconds=chance.randrange(1200))
        found = [*_session(chance, section, 40_000 + student, start, ATTEMPTS_A_SESSION, unique_feedback)]
        lines[day, section] += [line for line, _ in found]
        made += sum(is_attempt for _, is_attempt in found)
        number += 1
    return _parsed(lines)


def _session(chance: random.Random, section: int, user: int, at: datetime, attempts: int, unique: bool) -> Iterator[tuple[bytes, bool]]:
    """Statements of a session, each with whether it is a part attempt."""
    session = _guid(chance)
    shared = {"enrollment_id": user + 30_000, "project_id": PROJECT, "publication_id": PUBLICATION, "section_id": section}
    made = 0
    while made < attempts:
        page = 100 + chance.randrange(PAGES)
        where = {**shared, "page_attempt_guid": _guid(chance), "page_attempt_number": 1 + chance.randrange(2), "page_id": page}
        yield _view(user, where, at), False
        for activity in _activities(page):
            for number in range(1, chance.choice((2, 2, 3, 4))):
                its = {
                    **where,
                    "activity_id": activity,
                    "activity_attempt_guid": _guid(chance),
                    "activity_attempt_number": number,
                    "session_id": session,
                }
                for part in _parts(activity):
                    at += timedelta(seconds=chance.randrange(5, 60))
                    yield _attempt(chance, user, its, part, at, unique), True
                    made += 1


def _view(user: int, where: Mapping[str, Any], at: datetime) -> bytes:
    definition = {"name": {"en-US": "Page"}, "subType": "basic", "type": kinds.PAGE_TYPE}
    thing = {"definition": definition, "id": f"{HOST}/page/{where['page_id']}", "objectType": "Page"}
    verb = {"display": {"en-US": "viewed"}, "id": kinds.VIEWED}
    return _line(user, where, thing, {"completion": True, "success": True}, at, verb)


def _attempt(chance: random.Random, user: int, its: Mapping[str, Any], part: int, at: datetime, unique: bool) -> bytes:
    activity, guid = its["activity_id"], _guid(chance)
    hints = [f"{activity}{part}{n}" for n in range(chance.choice((1, 1, 2)))] if chance.random() < 0.2 else []
    right = chance.random() < 0.6
    told = (
        f"{'Correct' if right else 'Not quite'}: {' '.join(WORDS[activity % 20 :])} & step {activity % 100 + 1} of page {activity // 100}."
    )
    if unique:
        told = f"{told} {_words(chance, 12)}"
    where = {
        **its, "activity_revision_id": 200_000 + activity, "attached_objectives": [900 + activity % 90, 900 + activity // 100 % 90], "hints_requested": hints,
        "part_attempt_guid": guid, "part_attempt_number": 1, "part_id": str(part),
    }  # fmt: skip
    thing = {
        "definition": {"name": {"en-US": "Part Attempt"}, "type": kinds.PART_ATTEMPT_TYPE},
        "id": f"{HOST}/part_attempt/{guid}}}", "objectType": "Activity",
    }  # fmt: skip
    feedback = {"content": _rich(told), "id": str(7_000_000 + 2 * activity + right)}
    result = {
        "completion": True, "extensions": {OLI + "feedback": feedback}, "response": {"files": [], "input": _input(chance, activity)},
        "score": {"max": 1.0, "min": 0, "raw": float(right), "scaled": float(right)}, "success": True,
    }  # fmt: skip
    return _line(user, where, thing, result, at, {"display": {"en-US": "completed"}, "id": "http://adlnet.gov/expapi/verbs/completed"})


def _input(chance: random.Random, activity: int) -> str:
    kind = TYPES[activity % 4]
    if kind == "oli_short_answer" or (kind == "oli_multi_input" and chance.random() < 0.5):
        return _words(chance, chance.randrange(1, 15))
    return " ".join(f"option_{n}" for n in sorted(chance.sample(range(4), 2 if kind == "oli_check_all_that_apply" else 1)))


def _line(user: int, where: Mapping[str, Any], thing: Any, result: Any, at: datetime, verb: Any) -> bytes:
    return msgspec.json.encode({
        "actor": {"account": {"homePage": HOST, "name": user}, "objectType": "Agent"},
        "context": {"extensions": {OLI + name: value for name, value in where.items()}}, "object": thing, "result": result,
        "timestamp": at.strftime("%Y-%m-%dT%H:%M:%SZ"), "verb": verb,
    })  # fmt: skip


def _words(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(WORDS, k=count))


def _guid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _parsed(lines: Mapping[tuple[date, int], list[bytes]]) -> Tables:
    rows: dict[tuple[date, str], list[tuple[Any, ...]]] = defaultdict(list)
    for (day, section), its_lines in lines.items():
        uploaded, source = datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC), f"s3://bucket/section/{section}/{day}.jsonl"
        parsed = parse_lines(its_lines, section)
        assert not parsed.refusals, parsed.refusals[0].detail
        for event in parsed.events:
            rows[day, event.kind].append((event.digest.hex(), source, "etag", event.line, uploaded, *event.row))
    found: Tables = {}
    for (day, kind), its_rows in rows.items():
        schema = BY_KIND[kind].schema
        table = pa.table(
            [pa.array(column, field.type) for column, field in zip(zip(*its_rows, strict=True), schema, strict=True)], schema=schema
        )
        found[day, kind] = sorted_as_in_the_lake(pl.DataFrame(table))
    return found


def sorted_as_in_the_lake(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort("section_id", "timestamp", "event_hash")


def copied(rows: pl.DataFrame, number: int, *, section_id: int | None = None) -> pl.DataFrame:
    """The rows as if other students had made them: other users, sessions, guids and hashes (a prefix), the texts as they are.

    `section_id` moves them all into one section; without it they stay where they are.
    """
    names = ("event_hash", "page_attempt_guid", "activity_attempt_guid", "part_attempt_guid", "session_id")
    other = [(pl.lit(f"{number:04x}") + pl.col(name).str.slice(4)).alias(name) for name in names if name in rows.columns]
    moved = [pl.lit(section_id, pl.Int64).alias("section_id")] if section_id is not None else []
    return rows.with_columns(*other, *moved, (pl.col("user_id").cast(pl.Int64) + number * 100_000).cast(pl.String).alias("user_id"))


def many(attempts: int, *, sections: int = 20, days: int = 4, copies: int = 20) -> Tables:
    """About so many part attempts as `tables` gives them, quickly: a part of them made, the rest copied."""
    made = tables(attempts // copies, sections=sections, days=days)
    return {key: sorted_as_in_the_lake(pl.concat(copied(rows, number) for number in range(copies))) for key, rows in made.items()}


def put(lake: Lake, day: date, found: Iterable[tuple[str, pa.Table]], folder: Path) -> None:
    """One commit for the day, one file for each kind, as an ingest writes them."""
    added = []
    for kind, table in found:
        path = folder / f"{kind}.parquet"
        pq.write_table(table.cast(BY_KIND[kind].schema), path, compression="zstd", row_group_size=40_000)
        added.append(lake.place(path, day, kind))
        path.unlink(missing_ok=True)
    lake.commit(lake.snapshot(), day, added, (), rewrite=True)


def make(root: Path, found: Tables) -> Lake:
    """A lake with these rows."""
    lake = Lake(f"file://{root}/lake")
    lake.ensure()
    for day in sorted({day for day, _ in found}):
        put(lake, day, [(kind, rows.to_arrow()) for (one, kind), rows in found.items() if one == day], root)
    return lake
