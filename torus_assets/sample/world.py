"""A seeded sample world: bundles, inventories, lookups and requests, and the truth about all of it.

Same seed and options give the same bytes, with any number of processes. (In the inventories e-tags and times
are those of the store, which differ from one writing to the next.)
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime, time, timedelta
from typing import Any, NamedTuple

from torus_assets.sample.bundles import packed
from torus_assets.sample.course import course, json_text
from torus_assets.sample.inventory import Listed, write_inventory
from torus_assets.sample.lookup import JOB, lookup, requests
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.outcomes import ROW, Line
from torus_assets.sample.shard import Shard, bundles_of, courses_of, shards
from torus_assets.sample.students import roster
from torus_assets.sample.truth import Facts, Truth
from torus_assets.sample.writer import Writer

ONE_PROCESS_STATEMENTS = 40_000  # below it, starting processes takes longer than the work
MYSTERY_LINES = 3
JUNK = {
    "section/{section}/attempt_evaluated/README.txt": b"Not a bundle.\n",
    "attempt/12/part/9.json": b'{"legacy":"one document per object"}',
    "section/{section}/attempt_evaluated/not-a-time_0A.jsonl": b"{}",
}

Progress = Callable[[int, int], object]  # statements done, statements in all


class ShardDone(NamedTuple):
    statements: int
    facts: list[Facts]
    damage: dict[str, int]


def make_world(options: SampleOptions, progress: Progress | None = None, processes: int | None = None) -> dict[str, Any]:
    """Writes the world under `options.out` and returns its truth, which `truth.json` holds as well.

    Args:
        options: Size, place and seed.
        progress: Called with the number of statements written so far and the number planned.
        processes: How many work on it; by default one per core, and one for a small world.

    Raises:
        FileExistsError: The place already holds objects of a world; nothing is changed then.
    """
    with Writer(options.out) as writer:
        if next(iter(writer.store.list("xapi/")), None):
            raise FileExistsError(f"{options.out} already holds bundles under xapi/; a sample world needs an empty place")
    described, damage = Truth(), Counter[str]()
    by_day: dict[str, list[Facts]] = defaultdict(list)
    mystery = _write_odd_keys(options)
    by_day[mystery.day].append(mystery)
    done = MYSTERY_LINES
    for part in _all_shards(options, processes):
        damage.update(part.damage)
        done += part.statements
        for facts in part.facts:
            by_day[facts.day].append(facts)
        if progress:
            progress(done, options.statements)
    for day in sorted(by_day):
        described.settle(day, by_day.pop(day))
    truth = described.document(options.described(), len(JUNK), dict(damage))
    _write_documents(options, truth)
    _write_inventories(options)
    return truth


def write_shard(options: SampleOptions, shard: Shard) -> ShardDone:
    """Writes all objects of one shard; this is what the processes run."""
    injected: dict[str, int] = {}
    facts: list[Facts] = []
    section_id = options.section_id(shard.section)
    with Writer(options.out) as writer:
        for bundle in bundles_of(options, shard, injected):
            writer.put(f"xapi/{bundle.key}", bundle.body, bundle.uploaded)
            facts.append(Facts(bundle.key, section_id, bundle.digests, bundle.codes))
    return ShardDone(shard.statements, facts, injected)


def _all_shards(options: SampleOptions, processes: int | None) -> Iterator[ShardDone]:
    todo = sorted(shards(options, max(1, options.statements - MYSTERY_LINES)), key=lambda shard: -shard.statements)
    if processes is None:
        processes = 1 if options.statements < ONE_PROCESS_STATEMENTS else os.cpu_count() or 1
    if processes == 1:
        yield from (write_shard(options, shard) for shard in todo)
        return
    # Spawned, not forked: an object store's client has threads.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for done in as_completed([pool.submit(write_shard, options, shard) for shard in todo]):
            yield done.result()


def _write_odd_keys(options: SampleOptions) -> Facts:
    """Keys that are no bundles, and one bundle of a category that nobody knows."""
    section_id, day = options.section_id(0), options.day(0)
    noon = datetime.combine(options.first_day, time(12), UTC)
    lines = [
        Line(
            json_text(
                {
                    "actor": {"account": {"homePage": "torus.example.edu", "name": 41_000 + number}, "objectType": "Agent"},
                    "context": {"extensions": {"http://oli.cmu.edu/extensions/section_id": section_id}},
                    "object": {
                        "definition": {"name": {"en-US": "Mystery"}, "type": "http://oli.cmu.edu/extensions/types/mystery"},
                        "id": f"torus.example.edu/mystery/{number}",
                        "objectType": "Activity",
                    },
                    "timestamp": f"{day}T11:59:5{number}Z",
                    "verb": {"display": {"en-US": "puzzled"}, "id": "http://oli.cmu.edu/extensions/verbs/puzzled"},
                }
            ).encode(),
            ROW["other"],
        )
        for number in range(MYSTERY_LINES)
    ]
    key = f"section/{section_id}/mystery_category/{noon:%Y-%m-%dT%H-%M-%S.%fZ}_0123456789ABCDEF0123456789ABCDEF.jsonl"
    bundle = packed(key, noon, lines)
    with Writer(options.out) as writer:
        for name, body in JUNK.items():
            writer.put("xapi/" + name.format(section=section_id), body, noon)
        writer.put(f"xapi/{key}", bundle.body, noon)
    return Facts(key, section_id, bundle.digests, bundle.codes)


def _write_documents(options: SampleOptions, truth: dict[str, object]) -> None:
    courses = [course(options.seed, number) for number in range(courses_of(options))]
    students = [student for section in range(options.sections) for student in roster(options, section)]
    context = json.dumps(lookup(courses, students), ensure_ascii=False).encode()
    asked = requests([options.section_id(index) for index in range(options.sections)])
    with Writer(options.out) as writer:
        for job in (JOB, *asked):
            writer.put(f"datasets/contexts/{job}.json", context)
        for name, request in asked.items():
            writer.put(f"datasets/requests/{name}.json", json.dumps(request, indent=2).encode())
        writer.put("truth.json", json.dumps(truth, indent=2).encode())


def _write_inventories(options: SampleOptions) -> None:
    """The newest complete one is of the last day but one, at 01:00; what came later is found by listing only."""
    last_but_one = datetime.combine(options.first_day + timedelta(days=options.days - 2), time(1), UTC)
    with Writer(options.out) as writer:
        listed = [Listed(info.key.removeprefix("xapi/"), info.size, info.last_modified, info.etag) for info in writer.store.list("xapi/")]
        for offset, complete in ((-1, True), (0, True), (1, False)):
            taken = last_but_one + timedelta(days=offset)
            before = f"{taken:%Y-%m-%dT%H-%M}"
            known = [item for item in listed if _uploaded(item.key) < before]
            write_inventory(lambda key, body: writer.put(f"inventory/{key}", body), taken, known, complete=complete)


def _uploaded(key: str) -> str:
    """The time in a key; keys without one sort before all times."""
    name = key.rsplit("/", 1)[1]
    return name[:16] if name[:2].isdigit() else ""
