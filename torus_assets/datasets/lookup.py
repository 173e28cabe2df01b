"""The lookup of a data set ("context"): titles, places and texts of the content that events name by id only.

Source: spec/datasets.md 8.1; D-19 says what ended the job this replaces and is defaulted and reported here. How a lookup is made:
`docs/lookup.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec

from torus_assets.datasets.content import content_text
from torus_assets.datasets.hierarchy import PAGE, Node, Place, places_of, read_nodes, unknown_place
from torus_assets.datasets.oddities import Oddities, name, objects, text, whole
from torus_assets.datasets.redaction import Redaction


class LookupInvalid(ValueError):
    """The document is no JSON object; the message says what it is."""


class Hint(NamedTuple):
    """A hint with text; `number` is its place among these in authored order, from 1."""

    number: int
    text: str


class PartInfo(NamedTuple):
    """Hints of a part by id. Hints without text are neither here nor in the total."""

    hints: Mapping[str, Hint]

    @property
    def total_hints(self) -> int:
        return len(self.hints)


class ActivityInfo(NamedTuple):
    """An activity: registration slug, texts and parts by id in authored order. What came without id has its place as key, `#2`."""

    slug: str | None
    choices: Mapping[str, str]
    items: Mapping[str, str]
    parts: Mapping[str, PartInfo]

    def part(self, part_id: str | None) -> PartInfo | None:
        return self.parts.get(part_id) if part_id is not None else None

    def item_text(self, part_id: str | None) -> str | None:
        """Text of a part's item (likert): the item with the part's id, else the one at the part's place when there are as many of both."""
        if part_id is None:
            return None
        if part_id in self.items:
            return self.items[part_id]
        if part_id in self.parts and len(self.items) == len(self.parts):
            return list(self.items.values())[list(self.parts).index(part_id)]
        return None


@dataclass(frozen=True)
class Lookup:
    """A lookup as it was understood. Plain dicts: it crosses to worker processes."""

    dataset_name: str | None = None
    skills: Mapping[int, str] = field(default_factory=dict)  # KC name by objective id; no two ids have one name
    nodes: Mapping[int, Node] = field(default_factory=dict)
    places: Mapping[int, Place] = field(default_factory=dict)
    level_types: tuple[str, ...] = (PAGE,)  # every type that any page has, outermost first
    activities: Mapping[int, ActivityInfo] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict)  # user id -> e-mail, of those who have one
    user_ids: frozenset[str] = frozenset()
    problems: tuple[str, ...] = ()  # kind, count, ids of content; never users
    sha256: str = ""  # of the document's bytes

    def __repr__(self) -> str:  # users must not reach a log by way of a repr
        return f"Lookup(nodes={len(self.nodes)}, activities={len(self.activities)}, skills={len(self.skills)}, users={len(self.user_ids)})"

    def place(self, page_id: int | None) -> Place:
        """Where a page lies. Worked out once, when the document was read."""
        known = self.places.get(page_id) if page_id is not None else None
        return known or unknown_place(page_id)

    def activity(self, activity_id: int | None) -> ActivityInfo | None:
        return self.activities.get(activity_id) if activity_id is not None else None

    def public_document(self) -> dict[str, Any]:
        """The lookup in the form it was read in, normalised (plain texts, skills by KC name) and without users."""
        return {
            "dataset_name": self.dataset_name,
            "skill_titles": {str(key): title for key, title in self.skills.items()},
            "hierarchy": {
                str(key): {"title": node.title, "graded": node.graded, "children": list(node.children)} for key, node in self.nodes.items()
            },
            "activities": {str(key): _written(activity) for key, activity in self.activities.items()},
        }


EMPTY = Lookup()


def without_addresses(lookup: Lookup, users: Redaction) -> Lookup:
    """The lookup with the e-mail addresses of users replaced in every text of the course; the same object when there are none.

    Numbers stay: in a course they are content.
    """
    if not users.mails.tokens:
        return lookup
    told = msgspec.json.encode(lookup.public_document()).decode()
    shown = users.mails.json(told)
    if shown == told:
        return lookup
    made = parse_lookup(shown.encode())
    return replace(made, users=lookup.users, user_ids=lookup.user_ids, problems=lookup.problems, sha256=lookup.sha256)


def _written(activity: ActivityInfo) -> dict[str, Any]:
    def texts(named: Mapping[str, str]) -> list[dict[str, str]]:
        return [{"id": key, "content": content} for key, content in named.items()]

    parts = [{"id": key, "hints": texts({own: hint.text for own, hint in part.hints.items()})} for key, part in activity.parts.items()]
    return {"type": activity.slug, "choices": texts(activity.choices), "items": texts(activity.items), "parts": parts}


def parse_lookup(document: bytes | Mapping[str, Any]) -> Lookup:
    """The lookup in `document`; whatever is odd in it is defaulted, and told in `problems`.

    Raises:
        LookupInvalid: it is no JSON object.
    """
    values, raw = _decoded(document)
    odd = Oddities()
    nodes = read_nodes(values, odd)
    places = places_of(nodes, odd)
    skills, activities, users = _skills(values, odd), _activities(values, odd), _users(values, odd)
    return Lookup(
        dataset_name=text(values.get("dataset_name")),
        skills=skills,
        nodes=nodes,
        places=places.by_id,
        level_types=places.level_types,
        activities=activities,
        users={key: email for key, email in users.items() if email is not None},
        user_ids=frozenset(users),
        problems=odd.told(),
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _decoded(document: bytes | Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    """The document as JSON values, and the bytes it is known by: its own, or the canonical ones of a mapping."""
    try:
        if isinstance(document, Mapping):
            return document, json.dumps(dict(document), sort_keys=True, separators=(",", ":")).encode()
        values = _values(document.removeprefix(b"\xef\xbb\xbf"))
    except RecursionError:
        raise LookupInvalid("the lookup is nested too deep to be read; expected a JSON object as in docs/lookup.md") from None
    except UnicodeDecodeError as error:
        raise LookupInvalid(f"the lookup is not UTF-8 (byte {error.start}); write it again as UTF-8") from None
    except json.JSONDecodeError as error:
        raise LookupInvalid(
            f"the lookup is no JSON document: line {error.lineno}, column {error.colno}: {error.msg}; write it again"
        ) from None
    if not isinstance(values, dict):
        raise LookupInvalid(f"expected the lookup to be a JSON object, got {type(values).__name__}; write it again as in docs/lookup.md")
    return values, document


def _values(document: bytes) -> Any:
    """The values of a JSON text. What only the strict decoder refuses (lone surrogates, numbers out of range) is read by the other one."""
    try:
        return msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.loads(document.decode(), parse_int=lambda digits: int(digits) if len(digits) < 20 else float(digits))


def _users(values: Mapping[str, Any], odd: Oddities) -> dict[str, str | None]:
    """E-mail by user id; None for a user without one. Absent and null are as they should be: most requests are anonymous."""
    found = values.get("users")
    if not isinstance(found, Mapping):
        if found is not None:
            odd.add("users: no object")
        return {}
    users = {whole(str(key)).strip(): text(user.get("email")) if isinstance(user, Mapping) else None for key, user in found.items()}
    if missing := list(users.values()).count(None):
        odd.add("users: no e-mail", times=missing)
    return users


def _skills(values: Mapping[str, Any], odd: Oddities) -> dict[int, str]:
    """KC names; ids that share a title get their id appended, so that no two objectives become one KC."""
    names: dict[int, str] = {}
    for key, value in objects(values, "skill_titles", odd).items():
        if title := text(value):
            names[key] = title
        else:
            odd.add("skill_titles: no title, left out", key)
    while shared := {title for title, times in Counter(names.values()).items() if times > 1}:
        for key in [key for key, title in names.items() if title in shared]:
            odd.add("skill_titles: title shared, the id is appended", key)
            names[key] = f"{names[key]} ({key})"
    return names


def _activities(values: Mapping[str, Any], odd: Oddities) -> dict[int, ActivityInfo]:
    activities: dict[int, ActivityInfo] = {}
    for key, value in objects(values, "activities", odd).items():
        if not isinstance(value, Mapping):
            odd.add("activities: no object, left out", key)
            continue
        slug = text(value.get("type"))
        if slug is None:
            odd.add("activities: no type", key)
        choices, items = (_texts(key, field, value.get(field), odd) for field in ("choices", "items"))
        activities[key] = ActivityInfo(slug, choices, items, _parts(key, value.get("parts"), odd))
    return activities


def _parts(key: int, value: object, odd: Oddities) -> dict[str, PartInfo]:
    parts: dict[str, PartInfo] = {}
    for part_id, part in _named(key, "parts", value, odd).items():
        texts = _texts(key, "hints", part.get("hints") if isinstance(part, Mapping) else None, odd)
        told = [(hint_id, content) for hint_id, content in texts.items() if content]
        parts[part_id] = PartInfo({hint_id: Hint(number, content) for number, (hint_id, content) in enumerate(told, start=1)})
    return parts


def _texts(key: int, field: str, value: object, odd: Oddities) -> dict[str, str]:
    """Texts by id, in authored order."""
    texts: dict[str, str] = {}
    for own, entry in _named(key, field, value, odd).items():
        content = entry.get("content") if isinstance(entry, Mapping) and "content" in entry else entry
        if isinstance(content, bool | int | float):
            odd.add(f"activities: content in {field} is no content", key)
        texts[own] = whole(content_text(content))
    return texts


def _named(key: int, field: str, value: object, odd: Oddities) -> dict[str, Any]:
    """Entries of an array by id. None is dropped: one without id, or whose id came before, has its place as key, `#2`."""
    if value is None:
        return {}
    if not isinstance(value, list | tuple):
        odd.add(f"activities: {field} are no array", key)
        return {}
    named: dict[str, Any] = {}
    for place, entry in enumerate(value, start=1):
        own = name(entry.get("id")) if isinstance(entry, Mapping) else None
        if own is None or own in named:
            odd.add(f"activities: {field} without id" if own is None else f"activities: id repeated in {field}", key)
            own = f"#{place}"
            while own in named:
                own = f"#{own}"
        named[own] = entry
    return named
