"""A second opinion on a world: its bytes read with `json.loads`, without any of the code that made or will parse them."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

KEY = re.compile(r"^(section|project)/([^/]+)/([a-z_]+)/(\d{4}-\d{2}-\d{2})T\d{2}-\d{2}-\d{2}(?:\.\d{1,6})?Z_([^/_]+)\.jsonl$")
TYPES = {
    "http://adlnet.gov/expapi/activities/question": "part_attempt",
    "http://oli.cmu.edu/extensions/activity_attempt": "activity_attempt",
    "http://oli.cmu.edu/extensions/page_attempt": "page_attempt",
    "http://oli.cmu.edu/extensions/types/page": "page_viewed",
    "https://w3id.org/xapi/video/activity-type/video": "video",
    "http://oli.cmu.edu/extensions/tutor_message": "tutor_message",
    "http://oli.cmu.edu/extensions/tutor_activity_message": "tutor_message",
    "http://oli.cmu.edu/extensions/types/condition_assignment": "experiment_assignment",
}
DEEPEST = 128
_REQUIRED = {
    "part_attempt": ("page_id", "activity_id", "part_id", "page_attempt_guid", "activity_attempt_guid", "part_attempt_guid"),
    "activity_attempt": ("page_id", "activity_id", "page_attempt_guid", "activity_attempt_guid"),
    "page_attempt": ("page_id", "page_attempt_guid"),
    "page_viewed": ("page_id", "page_attempt_guid"),
    "tutor_message": ("page_id", "activity_id", "page_attempt_guid", "activity_attempt_guid"),
}
_INTEGERS = (
    "page_attempt_number",
    "activity_attempt_number",
    "part_attempt_number",
    "project_id",
    "publication_id",
    "enrollment_id",
    "activity_revision_id",
)


class Refused(Exception):
    """Its only argument is the reason."""


def bundles(root: Path) -> dict[str, list[str]]:
    """Keys of the bundles by upload day, each in order."""
    days: dict[str, list[str]] = {}
    for path in sorted((root / "xapi").rglob("*"), key=lambda path: path.relative_to(root / "xapi").as_posix()):
        key = path.relative_to(root / "xapi").as_posix()
        if path.is_file() and (found := KEY.match(key)):
            days.setdefault(found[4], []).append(key)
    return days


def lines_of(body: bytes) -> list[bytes]:
    lines = body.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix(b"\r") for line in lines]


def statement(line: bytes) -> dict[str, Any]:
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise Refused("not_utf8") from None
    depth = deepest = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    if deepest > DEEPEST:
        raise Refused("too_deep")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        ended = error.msg.startswith("Unterminated") or error.pos >= len(text)
        raise Refused("truncated" if ended else "not_json") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Refused("lone_surrogate") from None
    if not isinstance(value, dict):
        raise Refused("not_object")
    return value


def extensions(value: dict[str, Any]) -> dict[str, Any]:
    """Context extensions by their last segment."""
    return {key.rsplit("/", 1)[1]: item for key, item in value.get("context", {}).get("extensions", {}).items()}


def kind_and_coerced(line: bytes) -> tuple[str, list[str]]:
    """The kind and the columns that lose their value; raises Refused."""
    value = statement(line)
    if not value:
        raise Refused("missing_field")
    kind = TYPES.get(value["object"]["definition"]["type"], "other")
    ext = extensions(value)
    needed: list[tuple[dict[str, Any], str]] = [(value["actor"]["account"], "name"), (value, "timestamp"), (ext, "section_id")]
    needed += [(ext, name) for name in _REQUIRED.get(kind, ())]
    if kind.endswith("_attempt"):
        needed.append((value["result"]["score"], "raw"))
    for holder, name in needed:
        if name not in holder:
            raise Refused("missing_field")
        if isinstance(holder[name], dict | list):
            raise Refused("wrong_type")
    return kind, _coerced(value, ext, kind)


def _coerced(value: dict[str, Any], ext: dict[str, Any], kind: str) -> list[str]:
    if kind in ("other", "experiment_assignment"):
        return []
    names = [name for name in _INTEGERS if name in ext and not re.fullmatch(r"\d+|None", str(ext[name]))]
    if isinstance(ext.get("session_id"), dict | list):
        names.append("session_id")
    score, seen = value.get("result", {}).get("score", {}), value.get("result", {}).get("extensions", {})
    video = {key.rsplit("/", 1)[1]: item for key, item in seen.items()}
    numbers = {
        "scaled_score": score.get("scaled"),
        "out_of": score.get("max"),
        "video_length": ext.get("length"),
        "video_progress": video.get("progress"),
        "video_time": video.get("time"),
    }
    return names + [name for name, number in numbers.items() if not isinstance(number, int | float | None)]


def day_counts(root: Path, keys: list[str], distinct: dict[str, set[str]], sections: dict[str, Counter[str]]) -> dict[str, Any]:
    """The fates of one day; adds its rows to `distinct` and `sections`."""
    seen: set[str] = set()
    rows: Counter[str] = Counter()
    quarantined: Counter[str] = Counter()
    coerced: Counter[str] = Counter()
    lines = blank = duplicates = 0
    for line in (line for key in keys for line in lines_of((root / "xapi" / key).read_bytes())):
        lines += 1
        event = hashlib.sha256(line).hexdigest()
        if not line.strip():
            blank += 1
        elif event in seen:
            duplicates += 1
        else:
            seen.add(event)
            try:
                kind, columns = kind_and_coerced(line)
            except Refused as refused:
                quarantined[refused.args[0]] += 1
                continue
            rows[kind] += 1
            coerced.update(columns)
            section = str(extensions(json.loads(line))["section_id"])
            distinct.setdefault(section, set()).add(event)
            sections.setdefault(section, Counter())[kind] += 1
    return {
        "bundles": len(keys),
        "lines": lines,
        "blank": blank,
        "rows": dict(rows),
        "duplicates": duplicates,
        "quarantined": dict(quarantined),
        "forgotten": 0,
        "coerced": dict(coerced),
    }
