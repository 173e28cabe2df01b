"""Statements of every kind, bundles on disk and what an ingest made of them.

The statements are the examples of spec/xapi.md 4, member for member; as compact JSON with sorted keys they are the spec's bytes.
Paths of members are written in the spec's shorthand: `ext(page_id)`, `rext(feedback)`, `vres(time)`, `vctx(length)`, and with
dots everywhere else (`result.score.raw`).
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

from torus_assets.clients.object_store import open_store
from torus_assets.xapi import tables
from torus_assets.xapi.ingest import IngestOptions, IngestResult, ingest_day
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import Wanted

OLI = "http://oli.cmu.edu/extensions/"
OLI_HTTPS = "https://oli.cmu.edu/extensions/"
VIDEO = "https://w3id.org/xapi/video/extensions/"
ADL = "http://adlnet.gov/expapi/verbs/"
DROP: Final = object()  # as a value in `changes`: the member is left out

JsonObject = dict[str, Any]

_SHORTHAND = {"ext": ("context", OLI), "rext": ("result", OLI), "vres": ("result", VIDEO), "vctx": ("context", VIDEO)}

SECTION = 3021
PAGE_GUID = "5f0b7c52-9a41-4c1e-8f0d-2f6f3a7b1c10"
ACTIVITY_GUID = "c1d2a8e4-63b5-4a0f-9d17-0b9e55a4f2aa"
PART_GUID = "9b7e1f30-2c44-4f0a-b6a7-7d1e0c9a5501"
TUTOR_XML = (
    '<message><tool_message context_message_id="A17"><meta><user_id>x</user_id><session_id>s</session_id>'
    "<time>2026-02-03 15:05:01</time><time_zone>US/Eastern</time_zone></meta><problem_name>balance-3</problem_name>"
    '<semantic_event transaction_id="T9" name="ATTEMPT"/><event_descriptor><selection>coef1</selection>'
    "<action>UpdateTextField</action><input>2</input></event_descriptor></tool_message></message>"
)
FEEDBACK = {"content": [{"children": [{"text": "Not quite: check the units."}], "id": "77120", "type": "p"}], "id": "1190442"}


def path_of(name: str) -> tuple[str, ...]:
    """Members from the statement down to the one that a path names."""
    if found := re.fullmatch(r"(ext|rext|vres|vctx)\((.+)\)", name):
        owner, prefix = _SHORTHAND[found[1]]
        return (owner, "extensions", prefix + found[2])
    return tuple(name.split("."))


def json_path(name: str) -> str:
    """The same place as the parser's details name it."""
    return ".".join(("$", *path_of(name)))


def changed(statement: JsonObject, changes: Mapping[str, Any]) -> JsonObject:
    """A copy with members replaced, added, or left out (`DROP`)."""
    result = copy.deepcopy(statement)
    for name, value in changes.items():
        *above, last = path_of(name)
        place = result
        for member in above:
            if not isinstance(place.get(member), dict):
                place[member] = {}
            place = place[member]
        if value is DROP:
            place.pop(last, None)
        else:
            place[last] = value
    return result


def line(statement: object) -> bytes:
    """The statement as the emitters write it: compact, keys sorted, text as UTF-8."""
    return json.dumps(statement, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def _statement(type_: str, name: str, object_id: str, verb: tuple[str, str], timestamp: str, extensions: JsonObject) -> JsonObject:
    return {
        "actor": {"account": {"homePage": "torus.example.edu", "name": 41207}, "objectType": "Agent"},
        "context": {"extensions": extensions},
        "object": {"definition": {"name": {"en-US": name}, "type": type_}, "id": object_id, "objectType": "Activity"},
        "timestamp": timestamp,
        "verb": {"display": {"en-US": verb[1]}, "id": verb[0]},
    }


def _oli(**members: Any) -> JsonObject:
    return {OLI + name: value for name, value in members.items()}


_SCOPE = _oli(enrollment_id=77310, project_id=118, publication_id=904, section_id=SECTION)
_PAGE = {**_SCOPE, **_oli(page_attempt_guid=PAGE_GUID, page_attempt_number=2, page_id=60480)}
_ACTIVITY = {
    **_PAGE,
    **_oli(activity_attempt_guid=ACTIVITY_GUID, activity_attempt_number=1, activity_id=60511, activity_revision_id=210774),
}
_PART = {
    **_ACTIVITY,
    **_oli(
        attached_objectives=[59012, 59044],
        hints_requested=["773001"],
        part_attempt_guid=PART_GUID,
        part_attempt_number=1,
        part_id="1",
        session_id="b0f6a2de-1f7a-4c67-8a43-5f0f4e7c9d21",
    ),
}
_WATCHING = {**_SCOPE, **_oli(content_element_id="2918847710", page_attempt_guid=PAGE_GUID, page_attempt_number=2, resource_id=60480)}
_LENGTH = {VIDEO + "length": 312.44}
_COMPLETED = (ADL + "completed", "completed")
_CREATED = ("http://activitystrea.ms/schema/1.0/create", "created")
_ASSIGNMENT = {
    "algorithm": "weighted_random", "assignment_id": 5120, "assignment_key": "31:12:77310", "assignment_scope": "intervention",
    "attribution_type": "assignment", "condition_code": "video-first", "condition_id": 88, "enrollment_id": 77310, "experiment_id": 31,
    "experiment_uuid": "0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11", "intervention_id": 12, "intervention_key": "60480:alt-7",
    "key": "31:12:77310", "policy_version": "weighted_random:v1", "project_id": 118, "publication_id": 904, "role": "assignment",
    "section_id": SECTION,
}  # fmt: skip


def _scored(raw: float, top: float, scaled: float, **more: Any) -> JsonObject:
    return {"completion": True, "score": {"max": top, "min": 0, "raw": raw, "scaled": scaled}, "success": True, **more}


def _part() -> JsonObject:
    made = _statement(
        "http://adlnet.gov/expapi/activities/question", "Part Attempt", f"torus.example.edu/part_attempt/{PART_GUID}}}", _COMPLETED,
        "2026-02-03T15:06:41Z", _PART,
    )  # fmt: skip
    return {**made, "result": _scored(0.0, 1.0, 0.0, extensions=_oli(feedback=FEEDBACK), response={"files": [], "input": "2887301124"})}


def _activity() -> JsonObject:
    made = _statement(
        OLI + "activity_attempt", "Activity Attempt", f"torus.example.edu/activity_attempt/{ACTIVITY_GUID}}}", _COMPLETED,
        "2026-02-03T15:06:41Z", _ACTIVITY,
    )  # fmt: skip
    return {**made, "result": _scored(0.0, 1.0, 0.0)}


def _page() -> JsonObject:
    made = _statement(
        OLI + "page_attempt", "Page Attempt", f"torus.example.edu/page_attempt/{PAGE_GUID}}}", _COMPLETED, "2026-02-03T15:06:41Z", _PAGE
    )
    return {**made, "result": _scored(7.5, 10.0, 0.75)}


def _view() -> JsonObject:
    verb = ("http://id.tincanapi.com/verb/viewed", "viewed")
    made = _statement(OLI + "types/page", "Page", "torus.example.edu/page/60480}", verb, "2026-02-03T15:03:58.410277Z", _PAGE)
    made["object"]["definition"]["subType"] = "basic"
    made["object"]["objectType"] = "Page"
    return {**made, "result": {"completion": True, "success": True}}


def _video(verb: str, timestamp: str, result: JsonObject, extensions: JsonObject) -> JsonObject:
    made = _statement(
        "https://w3id.org/xapi/video/activity-type/video", "Cells, part 1", "https://cdn.example.edu/v/cells-01.mp4",
        (f"https://w3id.org/xapi/video/verbs/{verb}", verb), timestamp, {**_WATCHING, **extensions},
    )  # fmt: skip
    made["context"]["contextActivities"] = {"category": [{"id": "https://w3id.org/xapi/video"}]}
    state = {VIDEO + name: value for name, value in result.items()}
    return {**made, "registration": "3021-60480-2918847710", "result": {"extensions": state}}


def _tutor(name: str, title: str, end: str) -> JsonObject:
    extensions = {**_ACTIVITY}
    if end:  # the one older version knows no enrollment
        del extensions[OLI + "enrollment_id"]
    made = _statement(
        OLI + name, title, f"torus.example.edu/{name}/{ACTIVITY_GUID}{end}", _CREATED, "2026-02-03T15:05:01.660902Z", extensions
    )
    made["object"]["objectType"] = "Tutor"
    return {**made, "result": {"message": TUTOR_XML}}


def _assigned() -> JsonObject:
    made = _statement(
        OLI + "types/condition_assignment", "Experiment condition assignment",
        "https://torus.example.edu/experiments/0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11/assignments/5120",
        (OLI + "verbs/experiment_condition_assigned", "experiment condition assigned"), "2026-02-03T15:03:57Z",
        {**_SCOPE, **_oli(experiment_attributions=[_ASSIGNMENT])},
    )  # fmt: skip
    return changed(made, {"actor.account": {"homePage": "https://torus.example.edu", "name": "41207"}})


EXAMPLES: dict[str, JsonObject] = {
    "part_attempt_evaluated": _part(),
    "activity_attempt_evaluated": _activity(),
    "page_attempt_evaluated": _page(),
    "page_viewed": _view(),
    "video_played": _video("played", "2026-02-03T15:04:05.118204Z", {"time": 12.5}, _LENGTH),
    "video_paused": _video(
        "paused", "2026-02-03T15:04:41.007311Z", {"played-segments": "12.5[.]30[,]33[.]48.25", "progress": 0.105, "time": 48.25}, _LENGTH
    ),
    "video_seeked": _video("seeked", "2026-02-03T15:04:43.550012Z", {"time-from": 48.25, "time-to": 120.0}, {}),
    "video_completed": _video(
        "completed",
        "2026-02-03T15:09:58.900140Z",
        {"played-segments": "12.5[.]48.25[,]120[.]312.44", "progress": 0.73, "time": 312.44},
        {**_LENGTH, VIDEO + "completion-threshold": "1.0"},
    ),
    "tutor_message": _tutor("tutor_message", "Tutor Message", ""),
    "tutor_activity_message": _tutor("tutor_activity_message", "Tutor Activity Message", "}"),
    "experiment_condition_assigned": _assigned(),
}
LAKE_KINDS = {
    "part_attempt_evaluated": "part_attempt",
    "activity_attempt_evaluated": "activity_attempt",
    "page_attempt_evaluated": "page_attempt",
    "page_viewed": "page_viewed",
    **dict.fromkeys(("video_played", "video_paused", "video_seeked", "video_completed"), "video"),
    **dict.fromkeys(("tutor_message", "tutor_activity_message"), "tutor_message"),
    "experiment_condition_assigned": "experiment_assignment",
}


def statement(event_kind: str, changes: Mapping[str, Any] | None = None) -> JsonObject:
    """The example of a kind, changed."""
    return changed(EXAMPLES[event_kind], changes or {})


def numbered(number: int, *, section: int = SECTION) -> bytes:
    """One of endlessly many different lines, of all kinds in turn; the same number gives the same bytes."""
    event_kind = list(EXAMPLES)[number % len(EXAMPLES)]
    return line(statement(event_kind, {"actor.account.name": 100_000 + number, "ext(section_id)": section}))


# Bundles on disk, and the lake that is made of them

DAY = date(2026, 2, 3)


def bundle_key(name: str, *, section: int | str = SECTION, category: str = "attempt_evaluated", day: date = DAY, second: int = 0) -> str:
    """Key of a bundle uploaded at 15:06 of the day and the second given."""
    partition = "project" if isinstance(section, str) else "section"
    return f"{partition}/{section}/{category}/{day.isoformat()}T15-06-{second:02d}.120773Z_{name}.jsonl"


@dataclass(frozen=True)
class Place:
    """A bundle store, a lake and a spool below one folder."""

    root: Path

    @property
    def store(self) -> Path:
        return self.root / "xapi"

    @property
    def url(self) -> str:
        return f"file://{self.store}"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def lake(self) -> Lake:
        return Lake(f"file://{self.root / 'lake'}")

    def put(self, key: str, content: bytes | Iterable[bytes]) -> str:
        """Writes a bundle: its bytes, or its lines."""
        body = content if isinstance(content, bytes) else b"\n".join(content)
        open_store(self.url).put(key, body)
        return key

    def remove(self, key: str) -> None:
        open_store(self.url).delete([key])

    def index(self, day: date = DAY) -> list[Wanted]:
        """Every bundle object of the day, as a listing of the store has them."""
        store = open_store(self.url)
        found: list[Wanted] = []
        for info in store.list():
            partition, owner, category, name = info.key.split("/")
            stamp = name.partition("_")[0]
            uploaded = datetime.fromisoformat(f"{stamp[:10]}T{stamp[11:].rstrip('Z').replace('-', ':')}").replace(tzinfo=UTC)
            if uploaded.date() == day:
                section = int(owner) if partition == "section" else None
                found.append(Wanted(info.key, store.uri(info.key), section, category, uploaded, info.size, info.etag, info.last_modified))
        return found

    def ingest(
        self, index: list[Wanted] | None = None, *, day: date = DAY, max_quarantined_share: float = 1.0, **options: Any
    ) -> IngestResult:
        """Brings the day up to date; by default with what the store has now, and no share of refusals holds it."""
        wanted = self.index(day) if index is None else index
        made = IngestOptions(max_quarantined_share=max_quarantined_share, **{"workers": 1, **options})
        return ingest_day(self.lake, self.url, day, wanted, self.spool, made)

    def contents(self, day: date = DAY) -> dict[str, list[JsonObject]]:
        """All the lake has of a day: every column of every row of every table, in an order of our own."""
        snapshot = self.lake.snapshot()
        result: dict[str, list[JsonObject]] = {}
        for table in tables.TABLES:
            rows = snapshot.scan(table.name, day, day).collect().to_dicts()
            result[table.name] = sorted(rows, key=lambda row: (row["source_file"], row.get("source_line") or 0))
        return result

    def tree(self) -> list[tuple[str, int]]:
        """Every file below the root with its time of change."""
        return sorted((str(path.relative_to(self.root)), path.stat().st_mtime_ns) for path in self.root.rglob("*"))


def hashes(rows: Iterable[JsonObject]) -> list[str]:
    return sorted(row["event_hash"] for row in rows)
