"""A lake of a few statements, made by the project's own parser, sorted as an ingest leaves its files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from torus_assets.xapi.parse import parse
from torus_assets.xapi.tables import BY_KIND

OLI = "http://oli.cmu.edu/extensions/"
VIDEO = "https://w3id.org/xapi/video/extensions/"
NOON = "2026-01-02T12:00:00Z"


class SmallFile(NamedTuple):
    path: str
    day: date
    kind: str
    rows: int
    bytes: int


@dataclass
class SmallLake:
    """`lake.Snapshot`, as far as data sets use it, over files of a folder."""

    folder: Path
    version: int = 0
    held_days: list[date] = field(default_factory=list)
    _files: list[SmallFile] = field(default_factory=list)

    def add(self, day: str, statements: Iterable[dict[str, Any]], source: str = "a.jsonl", row_group_size: int | None = None) -> SmallLake:
        """One object's statements, uploaded on `day`; one file per kind."""
        when = date.fromisoformat(day)
        body = b"\n".join(json.dumps(s, ensure_ascii=False, separators=(",", ":")).encode() for s in statements)
        parsed = parse(body, None)
        assert not parsed.refusals, parsed.refusals
        uploaded = datetime(when.year, when.month, when.day, 13, tzinfo=UTC)
        for kind in sorted({event.kind for event in parsed.events}):
            rows = [(e.digest.hex(), f"s3://bucket/{source}", "etag", e.line, uploaded, *e.row) for e in parsed.events if e.kind == kind]
            schema = BY_KIND[kind].schema
            table = pa.Table.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)
            table = table.sort_by([("section_id", "ascending"), ("timestamp", "ascending"), ("event_hash", "ascending")])
            path = f"upload_date={day}/kind={kind}/{len(self._files)}.parquet"
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, self.folder / path, compression="zstd", row_group_size=row_group_size)
            self._files.append(SmallFile(path, when, kind, len(rows), (self.folder / path).stat().st_size))
        self.version += 1
        return self

    def files(self, *, kinds: Any = None, first: date | None = None, last: date | None = None) -> list[SmallFile]:
        return [
            f for f in self._files if (kinds is None or f.kind in kinds) and (not first or f.day >= first) and (not last or f.day <= last)
        ]

    @contextmanager
    def local(self, files: Iterable[SmallFile], scratch: Path) -> Iterator[list[Path]]:
        yield [self.folder / file.path for file in files]

    def held(self, first: date | None = None, last: date | None = None) -> list[date]:
        return [d for d in self.held_days if (not first or d >= first) and (not last or d <= last)]


def _statement(user: Any, type_: str, verb: str, time: str, extensions: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    return {
        "actor": {"account": {"homePage": "torus.example.edu", "name": user}, "objectType": "Agent"},
        "verb": {"id": verb},
        "object": {"id": "torus.example.edu/x}", "definition": {"type": type_}},
        "result": result,
        "timestamp": time,
        "context": {"extensions": {OLI + name: value for name, value in extensions.items()}},
    }


def _scope(section: int, page: int, changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "section_id": section, "project_id": 118, "publication_id": 904, "page_id": page,
        "page_attempt_guid": "page-guid", "page_attempt_number": 2, **more, **changes,
    }  # fmt: skip


def part(user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, **changes: Any) -> dict[str, Any]:
    result = {
        "score": {"raw": changes.pop("score", 1.0), "max": changes.pop("out_of", 1.0), "min": 0, "scaled": 1.0},
        "response": changes.pop("response", {"files": [], "input": "4"}),
        "success": True,
        "completion": True,
        "extensions": {OLI + "feedback": changes.pop("feedback", {"id": "f1", "content": []})},
    }
    scope = _scope(
        section, page, changes, activity_id=60511, activity_revision_id=210774, activity_attempt_guid="activity-guid", activity_attempt_number=1,
        part_id="1", part_attempt_guid="part-guid", part_attempt_number=1, hints_requested=["773001"], attached_objectives=[59012, 59044],
        session_id="session",
    )  # fmt: skip
    return _statement(user, "http://adlnet.gov/expapi/activities/question", "http://adlnet.gov/expapi/verbs/completed", at, scope, result)


def activity(user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, **changes: Any) -> dict[str, Any]:
    scope = _scope(
        section,
        page,
        changes,
        activity_id=60511,
        activity_revision_id=210774,
        activity_attempt_guid="activity-guid",
        activity_attempt_number=1,
    )
    score = {"score": {"raw": 2.5, "max": 3, "scaled": 0.83}, "success": True, "completion": True}
    return _statement(user, OLI + "activity_attempt", "http://adlnet.gov/expapi/verbs/completed", at, scope, score)


def page(user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, **changes: Any) -> dict[str, Any]:
    score = {"score": {"raw": 7, "max": 10, "scaled": 0.7}, "success": True, "completion": True}
    return _statement(user, OLI + "page_attempt", "http://adlnet.gov/expapi/verbs/completed", at, _scope(section, page, changes), score)


def view(user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, **changes: Any) -> dict[str, Any]:
    done = {"success": True, "completion": True}
    return _statement(user, OLI + "types/page", "http://id.tincanapi.com/verb/viewed", at, _scope(section, page, changes), done)


def video(
    verb: str, user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, length: float | None = 312.44, **result: Any
) -> dict[str, Any]:
    """A video event; `result` by the short names of spec/xapi.md 4.5, `_` for `-`."""
    iri = "http://adlnet.gov/expapi/verbs/experienced" if verb == "experienced" else f"https://w3id.org/xapi/video/verbs/{verb}"
    shown = {VIDEO + name.replace("_", "-"): value for name, value in result.items()}
    scope = _scope(section, page, {}, content_element_id="2918847710", resource_id=page)
    del scope["page_id"]
    made = _statement(user, "https://w3id.org/xapi/video/activity-type/video", iri, at, scope, {"extensions": shown})
    made["object"] = {
        "id": "https://video.example.edu/cells, part 1.mp4",
        "definition": {"name": {"en-US": "Cells, part 1"}, "type": made["object"]["definition"]["type"]},
    }
    if length is not None:
        made["context"]["extensions"][VIDEO + "length"] = length
    return made


def tutor(xml: str, user: Any = 41207, at: str = NOON, section: int = 3021, page: int = 60480, **changes: Any) -> dict[str, Any]:
    """One log message of an embedded tutor; its session is never named."""
    scope = _scope(
        section, page, changes, activity_id=60512, activity_revision_id=210775, activity_attempt_guid="tutored-guid", activity_attempt_number=1
    )  # fmt: skip
    return _statement(user, OLI + "tutor_message", "http://activitystrea.ms/schema/1.0/create", at, scope, {"message": xml})
