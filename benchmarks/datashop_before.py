"""DataShop XML as it was made before: a plain ElementTree implementation of the old job's mapping (spec/datasets.md 9, spec/datashop.md 6).

Attempts are grouped by section, user and day, sorted as the old job sorted them; each message is a tree of its own with random ids, each text
decoded, looked up and flattened for its row. `benchmarks/datashop_xml.py` compares ours with it.
"""

from __future__ import annotations

import json
import random
import re
import string
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

CHUNK_MESSAGES = 50_000
COLUMNS = (
    "section_id", "user_id", "timestamp_text", "page_id", "page_attempt_guid", "activity_id", "activity_attempt_number", "part_id", "part_attempt_number",
    "score", "out_of", "response_json", "feedback_json", "hint_ids", "attached_objectives",
)  # fmt: skip
ORDER = ("page_attempt_guid", "activity_id", "activity_attempt_number", "part_id", "part_attempt_number")
CHOICES = {"oli_multiple_choice", "oli_check_all_that_apply", "oli_ordering"}
MIXED = {"oli_multi_input", "oli_response_multi", "oli_likert"}
ASTRAL = re.compile("[\U00010000-\U0010ffff]")
HEAD = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<tutor_related_message_sequence version_number="4" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    b' xsi:noNamespaceSchemaLocation="http://pslcdatashop.org/dtd/tutor_message_v4.xsd">\n'
)
FOOT = b"\n</tutor_related_message_sequence>\n"

Row = dict[str, Any]


def prepared(lookup: dict[str, Any]) -> dict[str, Any]:
    """The lookup as the old job changed it after loading: parts by id, ancestors of each node."""
    for activity in lookup["activities"].values():
        activity["parts"] = {part["id"]: part for part in activity["parts"]}
    nodes = lookup["hierarchy"]
    parents = {str(child): node for node, value in nodes.items() for child in value["children"]}
    for key, node in nodes.items():
        node["ancestors"] = []
        while key in parents:
            key = parents[key]
            node["ancestors"].insert(0, key)
    return lookup


def messages(rows: Iterable[Row], lookup: dict[str, Any]) -> Iterator[bytes]:
    """Every message, in the old order."""
    groups: dict[tuple[int, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row["section_id"], row["user_id"], row["timestamp_text"][:10]].append(row)
    for (_, user, day), group in groups.items():
        group.sort(key=lambda row: tuple(row[name] for name in ORDER))
        context_id = ""
        for row in group:
            if not context_id or (row["part_attempt_number"] == 1 and row["activity_attempt_number"] == 1):
                context_id = _random_id(row)
                yield tostring(_context(context_id, row, user, day, lookup))
            yield from map(tostring, _of_row(context_id, row, user, day, lookup))


def write(rows: Iterable[Row], lookup: dict[str, Any], folder: Path) -> int:
    """The messages in files; their number."""
    count, chunk = 0, []
    for message in messages(rows, lookup):
        chunk.append(message)
        count += 1
        if len(chunk) == CHUNK_MESSAGES:
            (folder / f"chunk_{count}.xml").write_bytes(HEAD + b"\n".join(chunk) + FOOT)
            chunk.clear()
    (folder / f"chunk_{count}.xml").write_bytes(HEAD + b"\n".join(chunk) + FOOT)
    return count


def _of_row(context_id: str, row: Row, user: str, day: str, lookup: dict[str, Any]) -> Iterator[Element]:
    """The pairs of tool and tutor message: hints, then the attempt."""
    activity = lookup["activities"].get(str(row["activity_id"]), {})
    part = activity.get("parts", {}).get(row["part_id"], {})
    skills = [lookup["skill_titles"].get(str(objective), "Unknown") for objective in json.loads(row["attached_objectives"] or "[]")]
    hints = {hint["id"]: text for hint in part.get("hints") or [] if (text := _text(hint["content"]))}
    for number, hint_id in enumerate(json.loads(row["hint_ids"] or "[]"), start=1):
        transaction = _random_id(row)
        yield _message("tool_message", context_id, row, user, day, activity, transaction, "HINT_REQUEST", "HINT")
        reply = _message("tutor_message", context_id, row, user, day, activity, transaction, "HINT_MSG", "HINT")
        shown = {"current_hint_number": str(number), "total_hints_available": str(len(hints))}
        SubElement(reply, "action_evaluation", shown).text = "HINT"
        SubElement(reply, "tutor_advice").text = _clean(hints.get(hint_id, "Unknown hint"))
        yield _with_skills(reply, skills)
    transaction = _random_id(row)
    yield _message("tool_message", context_id, row, user, day, activity, transaction, "ATTEMPT", _input(row, activity))
    feedback = _text(json.loads(row["feedback_json"] or "null"))
    reply = _message("tutor_message", context_id, row, user, day, activity, transaction, "RESULT", feedback)
    SubElement(reply, "action_evaluation").text = "CORRECT" if row["score"] == row["out_of"] else "INCORRECT"
    yield _with_skills(reply, skills)


def _context(context_id: str, row: Row, user: str, day: str, lookup: dict[str, Any]) -> Element:
    message = Element("context_message", {"context_message_id": context_id, "name": "START_PROBLEM"})
    _meta(message, row, user, day)
    level = SubElement(message, "dataset")
    SubElement(level, "name").text = _short(lookup["dataset_name"])
    nodes, page = lookup["hierarchy"], lookup["hierarchy"].get(str(row["page_id"]), {})
    for ancestor in page.get("ancestors", []):
        level = SubElement(level, "level", {"type": "Container"})
        SubElement(level, "name").text = _short(nodes[ancestor]["title"])
    level = SubElement(level, "level", {"type": "Page"})
    SubElement(level, "name").text = _short(page.get("title", "Unknown Page"))
    problem = SubElement(level, "problem", {"tutorFlag": "test" if page.get("graded") else "tutor"})
    SubElement(problem, "name").text = _problem(row)
    return message


def _message(
    tag: str, context_id: str, row: Row, user: str, day: str, activity: dict[str, Any], transaction: str, name: str, text: str
) -> Element:
    message = Element(tag, {"context_message_id": context_id})
    _meta(message, row, user, day)
    SubElement(message, "problem_name").text = _problem(row)
    SubElement(message, "semantic_event", {"transaction_id": transaction, "name": name})
    event = SubElement(message, "event_descriptor")
    SubElement(event, "selection").text = _problem(row)
    SubElement(event, "action").text = f"{activity.get('type', 'activity').removeprefix('oli_').replace('_', ' ').capitalize()} submission"
    SubElement(event, "input").text = _clean(text)
    return message


def _meta(message: Element, row: Row, user: str, day: str) -> None:
    meta = SubElement(message, "meta")
    SubElement(meta, "user_id").text = user
    SubElement(meta, "session_id").text = f"{day}-{user}"
    SubElement(meta, "time").text = row["timestamp_text"].replace("T", " ").split("Z")[0]
    SubElement(meta, "time_zone").text = "GMT"


def _with_skills(message: Element, skills: Iterable[str]) -> Element:
    for skill in skills:
        SubElement(SubElement(message, "skill"), "name").text = _clean(skill)
    return message


def _input(row: Row, activity: dict[str, Any]) -> str:
    value = json.loads(row["response_json"] or "{}").get("input") or ""
    kind = activity.get("type")
    if kind in CHOICES or kind in MIXED:
        choices = {choice["id"]: choice for choice in activity.get("choices") or []}
        text = " ".join(_text(choices[word]["content"]) if word in choices else "Unknown Choice" for word in value.split())
        value = value if kind in MIXED and text == "Unknown Choice" else text
    return value[:255] or "Student input"


def _text(node: Any) -> str:
    if isinstance(node, list):
        return "".join(map(_text, node))
    if isinstance(node, dict):
        return node["text"] if "text" in node else _text(node.get("children") or node.get("content"))
    return ""


def _problem(row: Row) -> str:
    return f"Activity {row['activity_id']}, Part {row['part_id']}"


def _short(text: str) -> str:
    return _clean(text).encode()[:100].decode(errors="ignore")


def _clean(text: str) -> str:
    return ASTRAL.sub("", text)


def _random_id(row: Row) -> str:
    return f"{row['activity_id']}-part{row['part_id']}-{''.join(random.choices(string.ascii_letters, k=8))}"
