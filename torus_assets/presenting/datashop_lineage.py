"""What each column of a DataShop table is made from. Source: docs/datashop.md, `What becomes what`, as datasets/datashop/ does it.

The mapping is code, not a list of columns, so this is the one list of lineage that is written by hand.
"""

from __future__ import annotations

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.attempts import NUMBERS
from torus_assets.datasets.hierarchy import PAGE

Sources = tuple[tuple[str, str], ...]  # (asset, column)


def _attempts(*columns: str) -> Sources:
    return tuple(("xapi/part_attempts", column) for column in columns)


def _tutors(*columns: str) -> Sources:
    return tuple(("xapi/tutor_messages", column) for column in columns)


def _both(*columns: str) -> Sources:
    return (*_attempts(*columns), *_tutors(*columns))


def _lookup(*members: str) -> Sources:
    return tuple(("datasets/lookup", member) for member in members)


XML = _tutors("tutor_xml")
_OPENED = tuple(("xapi/page_views", column) for column in ("timestamp", "page_id"))
_PROBLEM = _attempts("activity_id", "part_id")
_HINT = (*_attempts("hint_ids"), *_lookup("activities"), *XML)

SOURCES: dict[str, Sources] = {
    "Transaction Id": (*_attempts("part_attempt_guid", "event_hash"), *XML),
    "Anon Student Id": (*_both("user_id", "home_page"), *_lookup("users")),
    "Session Id": (*_attempts("session_id"), *_tutors("activity_attempt_guid")),
    "Time": _both("timestamp"),
    "Student Response Type": (*_attempts("hint_ids"), *XML),
    "Student Response Subtype": XML,
    "Tutor Response Type": (*_attempts("score", "out_of", "hint_ids"), *XML),
    "Tutor Response Subtype": XML,
    rules.TAB_LEVEL.format(PAGE): (*_both("page_id"), *_lookup("hierarchy")),
    "Problem Name": (*_PROBLEM, *XML),
    "Problem View": (*_PROBLEM, *_attempts("timestamp"), *XML),
    "Problem Start Time": (*_OPENED, *_both("timestamp")),
    "Step Name": (*_PROBLEM, *_lookup("activities"), *XML),
    "Attempt At Step": (*_PROBLEM, *_attempts("timestamp"), *XML),
    "Outcome": (*_attempts("score", "out_of", "hint_ids"), *XML),
    "Selection": (*_PROBLEM, *XML),
    "Action": (*_attempts("activity_id"), *_lookup("activities"), *XML),
    "Input": (*_attempts("response_json"), *_lookup("activities"), *XML),
    "Feedback Text": (*_attempts("feedback_json"), *_HINT),
    "Feedback Classification": XML,
    "Help Level": _HINT,
    "Total Num Hints": _HINT,
    "Condition Name": XML,
    "Condition Type": XML,
    rules.TAB_KC.format("Default"): (*_attempts("attached_objectives"), *_lookup("skill_titles"), *XML),
    rules.TAB_KC_CATEGORY.format("Default"): XML,
    "Class": _both("section_id"),
    **{rules.TAB_FIELD.format(name): _both(name) for name in ("section_id", "page_id", "activity_id")},
    rules.TAB_FIELD.format("part_id"): _attempts("part_id"),
    rules.TAB_FIELD.format("activity_type"): (*_both("activity_id"), *_lookup("activities")),
    rules.TAB_FIELD.format("item"): (*_PROBLEM, *_lookup("activities")),
    **{rules.TAB_FIELD.format(name): _attempts(name) for name in ("score", "out_of", "part_attempt_guid")},
    **{rules.TAB_FIELD.format(name): _both(name) for name in ("activity_attempt_guid", "page_attempt_guid")},
    **{rules.TAB_FIELD.format(name): _attempts(name) if name == "part_attempt_number" else _both(name) for name in NUMBERS},
    rules.TAB_FIELD.format("files"): _attempts("response_json"),
    rules.TAB_FIELD.format("feedback"): _attempts("feedback_json"),
    rules.TAB_FIELD.format("time_is_of"): _attempts("hint_ids"),
}
