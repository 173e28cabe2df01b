"""A small damaged world for tables: days that repeat events, uploads that do not follow the events' times, sections whose text sorts otherwise."""

from __future__ import annotations

import json
import random
from datetime import date
from pathlib import Path
from typing import Any

from tests.factories import Place, bundle_key, line, statement
from torus_assets.clients.object_store import open_store

DAYS = (date(2026, 2, 3), date(2026, 2, 4), date(2026, 2, 5))
SECTIONS = (998, 3021, 12045)  # as text: 12045, 3021, 998
KINDS = ("part_attempt_evaluated", "part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated")
GUID = "http://oli.cmu.edu/extensions/page_attempt_guid"
DAMAGED = (b'{"cut', b"not json", b"", b"\xff\xfe")


def make_world(root: Path) -> Place:
    """Bundles of three sections and days, ingested. Every line has a guid of its own, but for the copies."""
    place, chance = Place(root), random.Random(5)
    for day_number, day in enumerate(DAYS):
        for section in SECTIONS:
            for second in (7, 3):
                name = f"{chance.randrange(1 << 32):08x}"
                lines = [_attempt(chance, day_number, section, f"{name}-{n}") for n in range(chance.randrange(5, 16))]
                lines.insert(2, chance.choice(DAMAGED))
                place.put(bundle_key(name, section=section, day=day, second=second), lines)
        place.put(bundle_key(f"v{day_number}", section=3021, category="video", day=day), [_video(n, day_number) for n in range(9)])
    _replay(place)
    for day in DAYS:
        place.ingest(day=day)
    return place


def _attempt(chance: random.Random, day: int, section: int, guid: str) -> bytes:
    user = 41200 + chance.randrange(9)
    changes: dict[str, Any] = {
        "actor.account.name": user, "ext(section_id)": section, "ext(page_attempt_guid)": guid, "result.score.raw": chance.choice((0.0, 0.5, 1.0)),
        "timestamp": f"2026-02-0{chance.randrange(1, 4 + day)}T{chance.randrange(24):02d}:0{chance.randrange(10)}:00Z",
    }  # fmt: skip
    kind = chance.choice(KINDS)
    if kind.startswith("part"):
        changes["result.response"] = {"files": [], "input": f"I am {user}, é"}
    return line(statement(kind, changes))


def _video(number: int, day: int) -> bytes:
    kinds = ("video_played", "video_paused", "video_seeked", "video_completed")
    changes = {
        "actor.account.name": 41200 + number, "ext(page_attempt_guid)": f"{day}-{number}", "timestamp": f"2026-02-0{1 + number % 3}T10:00:00.{number:06d}Z",
        "object.definition.name.en-US": "Cells for 41203",
    }  # fmt: skip
    return line(statement(kinds[number % 4], changes))


def _replay(place: Place) -> None:
    """The first objects of a day come again on the next ones under other names, one of them sooner in the order of keys."""
    store = open_store(place.url)
    keys = sorted(entry.key for entry in store.list() if "/attempt_evaluated/2026-02-03T" in entry.key)
    first, second = (store.get(key).body for key in (keys[0], keys[-1]))
    place.put(bundle_key("again", section=12045, day=DAYS[1], second=1), first)
    place.put(bundle_key("again", section=998, day=DAYS[1], second=9), second)
    place.put(bundle_key("twice", section=998, day=DAYS[2], second=1), second.split(b"\n")[3:])


def old_order(place: Place, sections: tuple[int, ...] = SECTIONS) -> list[str]:
    """The guids of the attempts as the old job has them (spec/datasets.md 6): keys sorted, lines in order; each event once, as uploaded first."""
    store = open_store(place.url)
    found: dict[bytes, tuple[str, str, int, str]] = {}
    for key in sorted((entry.key for entry in store.list()), key=lambda key: key.encode()):
        _, section, category, name = key.split("/")
        if category == "attempt_evaluated" and int(section) in sections:
            for number, text in enumerate(store.get(key).body.split(b"\n")):
                guid = _guid(text)
                copy = (name[:10], key, number, guid or "")
                if guid and (text not in found or copy < found[text]):
                    found[text] = copy
    return [guid for _, _, _, guid in sorted(found.values(), key=lambda copy: (copy[1].encode(), copy[2]))]


def _guid(text: bytes) -> str | None:
    try:
        return json.loads(text)["context"]["extensions"][GUID]
    except ValueError:
        return None
