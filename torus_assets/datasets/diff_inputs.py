"""What decided two data sets and is not the same: the causes of a difference, from their receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torus_assets.datasets.run_folder import Run

OF_ROWS = ("section_ids", "sub_types", "page_ids", "ignored_students", "project_id", "date_from", "date_to")  # which rows are in it
OF_CELLS = ("dialect", "anonymize", "scope", "permitted_by", "dataset_name")  # how they are written
OF_COLUMNS = ("exclude_fields",)
NOT_A_CAUSE = ("job_id",)
KIND_OF = {
    "Part Attempt": "part_attempt",
    "Activity Attempt": "activity_attempt",
    "Page Attempt": "page_attempt",
    "page_viewed": "page_viewed",
}
VIDEO = ("played", "paused", "seeked", "completed")


@dataclass(frozen=True)
class Cause:
    """One input that differs."""

    name: str  # changed request, changed lookup, changed code, changed key, held days, new data, data gone, changed data
    text: str  # for people; holds no learner
    details: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return {"cause": self.name, "text": self.text, **self.details}


@dataclass(frozen=True)
class Inputs:
    """The causes, and what can be said of rows with them."""

    causes: tuple[Cause, ...]
    request: frozenset[str]  # keys of the request that differ
    new_kinds: frozenset[str]  # kinds of events of which B read more, or others
    gone_kinds: frozenset[str]  # of which A read more, or others
    shared_sections: frozenset[int]
    learners_comparable: bool  # the same learner has the same name in both
    guids_comparable: bool

    def why(self, change: str, section: str, event: str) -> tuple[str, ...]:
        """Names of the causes that could make rows of a section and event appear (`only_b`), vanish (`only_a`) or change (`changed`)."""
        return tuple(cause.name for cause in self.causes if self._makes(cause.name, change, _number(section), _kind(event)))

    def _makes(self, cause: str, change: str, section: int | None, kind: str | None) -> bool:
        if cause == "changed request":
            return self._request_makes(change, section)
        if cause in ("new data", "data gone", "changed data"):
            kinds = {"only_a": self.gone_kinds, "only_b": self.new_kinds, "changed": self.new_kinds | self.gone_kinds}[change]
            return kind in kinds if kind else bool(kinds)
        if cause == "held days":
            return change != "changed"
        if cause in ("changed lookup", "changed key"):
            return change == "changed"
        return True  # changed code

    def _request_makes(self, change: str, section: int | None) -> bool:
        if change == "changed":
            return bool(self.request.intersection((*OF_CELLS, *OF_COLUMNS)))
        others = self.request.intersection(OF_ROWS) - {"section_ids"}
        return bool(others) or ("section_ids" in self.request and section not in self.shared_sections)


def compare_inputs(a: Run, b: Run) -> Inputs:
    """What differs between the inputs of two runs."""
    one, two = a.receipt, b.receipt
    keys = changed_keys(one["request"], two["request"])
    shared = frozenset(one["request"]["section_ids"]) & frozenset(two["request"]["section_ids"])
    data, new_kinds, gone_kinds = _data(one, two, "section_ids" in keys)
    causes = [
        *_request(one["request"], two["request"], keys),
        *_simple(one, two, "changed lookup", "lookup_sha256", "the lookup"),
        *_simple(one, two, "changed code", "code_version", "the code"),
        *_simple(one, two, "changed key", "key_fingerprint", "the pseudonym key"),
        *_held(one.get("held_days_included", []), two.get("held_days_included", [])),
        *data,
    ]
    return Inputs(tuple(causes), frozenset(keys), new_kinds, gone_kinds, shared, *_comparable(one, two))


def changed_keys(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    return [key for key in sorted({*a, *b} - {*NOT_A_CAUSE}) if a.get(key) != b.get(key)]


def _comparable(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[bool, bool]:
    """(learners, guids): under pseudonyms both need one key and one scope; without, learners need one lookup."""
    hidden = (a["request"].get("anonymize", True), b["request"].get("anonymize", True))
    if hidden == (True, True):
        same = a["key_fingerprint"] == b["key_fingerprint"] and a["request"].get("scope") == b["request"].get("scope")
        return same, same
    both_open = hidden == (False, False)
    return both_open and a.get("lookup_sha256") == b.get("lookup_sha256"), both_open


def _request(a: Mapping[str, Any], b: Mapping[str, Any], keys: list[str]) -> list[Cause]:
    if not keys:
        return []
    changes = [{"key": key, "from": a.get(key), "to": b.get(key)} for key in keys]
    words = "; ".join(f"{change['key']} {_said(change['from'])} -> {_said(change['to'])}" for change in changes)
    return [Cause("changed request", words, {"changes": changes})]


def _said(value: Any) -> str:
    if isinstance(value, dict):  # ignored students: their number, which is all that a receipt says
        return f"{value.get('count')} student(s)"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _simple(a: Mapping[str, Any], b: Mapping[str, Any], name: str, key: str, what: str) -> list[Cause]:
    if a.get(key) == b.get(key):
        return []
    before, after = (_short(document.get(key)) for document in (a, b))
    return [Cause(name, f"{what}: {before} -> {after}", {"from": a.get(key), "to": b.get(key)})]


def _short(value: str | None) -> str:
    return "none" if value is None else value[:12] if len(value) == 64 else value


def _held(a: list[str], b: list[str]) -> list[Cause]:
    if a == b:
        return []
    added, left = sorted(set(b) - set(a)), sorted(set(a) - set(b))
    return [Cause("held days", f"{len(added)} held day(s) more in B, {len(left)} fewer", {"added": added, "left": left})]


def _data(a: Mapping[str, Any], b: Mapping[str, Any], other_sections: bool) -> tuple[list[Cause], frozenset[str], frozenset[str]]:
    """Days and kinds that were read and are new, gone, or not the same. Of other sections, the parts do not say whether data changed."""
    before, after = ({(part["day"], part["kind"]): part for part in document["read"]} for document in (a, b))
    new, gone, changed = [], [], []
    for day, kind in sorted({*before, *after}):
        was, is_ = before.get((day, kind)), after.get((day, kind))
        if was and is_ and was["digest"] == is_["digest"] and was["rows"] == is_["rows"]:
            continue
        rows = (is_["rows"] if is_ else 0) - (was["rows"] if was else 0)
        (new if rows > 0 else gone if rows < 0 else changed).append({"day": day, "kind": kind, "rows": rows})
    both = {part["kind"] for part in [*new, *gone] if (part["day"], part["kind"]) in before and (part["day"], part["kind"]) in after}
    changed_kinds = {part["kind"] for part in changed} | both  # more rows may hide that some went
    note = ", or of the sections that only one asked for" if other_sections else ""
    causes = [
        Cause(name, f"{_days(parts)}: {_counted(parts)}{note}", {"parts": parts})
        for name, parts in (("new data", new), ("data gone", gone), ("changed data", changed))
        if parts
    ]
    return causes, frozenset({part["kind"] for part in new} | changed_kinds), frozenset({part["kind"] for part in gone} | changed_kinds)


def _days(parts: list[dict[str, Any]]) -> str:
    days = sorted({part["day"] for part in parts})
    return days[0] if len(days) == 1 else f"{len(days)} upload days, {days[0]} to {days[-1]}"


def _counted(parts: list[dict[str, Any]]) -> str:
    by_kind: dict[str, int] = {}
    for part in parts:
        by_kind[part["kind"]] = by_kind.get(part["kind"], 0) + part["rows"]
    return ", ".join(f"{rows:+,} rows of {kind}" if rows else f"other rows of {kind}" for kind, rows in sorted(by_kind.items()))


def _number(section: str) -> int | None:
    digits = section.removeprefix("Section ")
    return int(digits) if digits.isdigit() else None


def _kind(event: str) -> str | None:
    """The kind of an event type of a table; None for a transaction, which may come of several."""
    return "video" if event in VIDEO else KIND_OF.get(event)
