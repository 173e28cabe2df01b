"""The heading of a tab-delimited table: which columns there are, and whether DataShop takes them (spec/datashop.md 7)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.verify_values import Fault

ANY = 1 << 62  # no limit
STUDENT, SESSION, TIME, ZONE, ID = "anonstudentid", "sessionid", "time", "timezone", "transactionid"
STUDENT_TYPE, TUTOR_TYPE = "studentresponsetype", "tutorresponsetype"
LEVEL, PROBLEM, VIEW, START, STEP = "level", "problemname", "problemview", "problemstarttime", "stepname"
OUTCOME, SELECTION, ACTION, INPUT = "outcome", "selection", "action", "input"
FEEDBACK, CLASSIFICATION, HELP, TOTAL = "feedbacktext", "feedbackclassification", "helplevel", "totalnumhints"
CONDITION, CONDITION_TYPE, KC, CATEGORY = "conditionname", "conditiontype", "kc", "kccategory"
SCHOOL, CLASS, FIELD = "school", "class", "cf"

# Kind of column (heading without blanks and case) -> most bytes in a cell. The problem's 255 are the database's.
LIMITS: Mapping[str, int] = {
    "row": ANY, "samplename": ANY, ID: rules.MESSAGE_ID, STUDENT: rules.USER, SESSION: rules.SESSION, TIME: ANY, ZONE: rules.ZONE,
    "duration(sec)": ANY, STUDENT_TYPE: rules.EVENT_NAME, "studentresponsesubtype": rules.EVENT_NAME, TUTOR_TYPE: rules.EVENT_NAME,
    "tutorresponsesubtype": rules.EVENT_NAME, LEVEL: rules.LEVEL, PROBLEM: 255, VIEW: ANY, START: ANY, STEP: rules.STEP, "attemptatstep": ANY,
    OUTCOME: rules.OUTCOME, SELECTION: rules.SELECTION, ACTION: rules.ACTION, INPUT: rules.TAB_INPUT, FEEDBACK: rules.ADVICE,
    CLASSIFICATION: rules.CLASSIFICATION, HELP: ANY, TOTAL: ANY, CONDITION: rules.CONDITION, CONDITION_TYPE: rules.CONDITION_TYPE,
    KC: rules.SKILL, CATEGORY: rules.SKILL_CATEGORY, SCHOOL: rules.SCHOOL, CLASS: rules.CLASS, FIELD: rules.FIELD_VALUE,
}  # fmt: skip
NAMES: Mapping[str, int] = {LEVEL: rules.LEVEL_TYPE, KC: rules.SKILL_MODEL, CATEGORY: rules.SKILL_MODEL, FIELD: rules.FIELD_NAME}  # bytes
REPEATED = frozenset((LEVEL, SELECTION, ACTION, INPUT, CONDITION, CONDITION_TYPE, KC, CATEGORY))
PAIRS: Mapping[str, str] = {CONDITION_TYPE: CONDITION, CLASSIFICATION: FEEDBACK, CATEGORY: KC}  # second -> first
SHOWN: Mapping[str, str] = {
    **{"".join(name.split()).lower(): name for name in (*rules.TAB_HEAD, *rules.TAB_PROBLEM, *rules.TAB_FEEDBACK, *rules.TAB_TAIL)},
    CONDITION: "Condition Name", CONDITION_TYPE: "Condition Type", LEVEL: "Level", KC: "KC", CATEGORY: "KC Category", FIELD: "CF",
}  # fmt: skip
_NAMED = re.compile(r"(.*?)\((.*)\)", re.DOTALL)
_KEYWORDS = frozenset(["select", "insert", "update", "delete", "drop", "alter", "create", "table", "where", "from", "union"])


@dataclass(frozen=True)
class Column:
    """A column of a table: `kind` as in `LIMITS`, or another text for one that is not known."""

    heading: str
    kind: str
    name: str = ""  # in parentheses

    @property
    def normal(self) -> str:
        """The heading such that headings that DataShop takes for one are equal."""
        return f"{self.kind}({self.name})" if self.kind in NAMES else self.kind


def column_of(heading: str) -> Column:
    """What a heading means; matched without regard to case and blanks."""
    kind = "".join(heading.split()).lower()
    if kind not in LIMITS and (named := _NAMED.fullmatch(heading.strip())):
        outer = "".join(named[1].split()).lower()
        if outer in NAMES:
            return Column(heading, outer, named[2].strip())
    return Column(heading, kind)


def heading_faults(columns: Sequence[Column]) -> Iterator[Fault]:
    """What is wrong with the headings of a table."""
    for check in (_unknown, _required, _duplicates, _names, _pairs):
        yield from check(columns)


def _unknown(columns: Sequence[Column]) -> Iterator[Fault]:
    for place, column in enumerate(columns, start=1):
        if column.kind not in LIMITS:
            yield "head.unknown", f"column {place}: the heading is none of DataShop's ({len(column.heading)} characters)"


def _required(columns: Sequence[Column]) -> Iterator[Fault]:
    kinds = {column.kind for column in columns}
    for kind in (STUDENT, SESSION, TIME, PROBLEM):
        if kind not in kinds:
            yield "head.required", f"there is no column {SHOWN[kind]}"
    if LEVEL not in kinds:
        yield "head.required", "there is no column Level (<type>); expected at least one"
    for kind in (SELECTION, ACTION, INPUT):
        if kind not in kinds and STEP not in kinds:
            yield "head.required", f"there is no column {SHOWN[kind]}, and no Step Name instead"


def _duplicates(columns: Sequence[Column]) -> Iterator[Fault]:
    for normal, times in Counter(column.normal for column in columns if column.kind in LIMITS and column.kind not in REPEATED).items():
        if times > 1:
            heading = next(column.heading for column in columns if column.normal == normal)
            yield "head.duplicate", f"{heading[:100]} stands {times} times"


def _names(columns: Sequence[Column]) -> Iterator[Fault]:
    for place, column in enumerate(columns, start=1):
        most = NAMES.get(column.kind)
        if most is None:
            continue
        shown = f"column {place}, {SHOWN[column.kind]}"
        if not rules.NAME_CHARACTERS.fullmatch(column.name):
            what = "has other characters" if column.name else "is missing"
            yield "head.name", f"{shown}: the name in parentheses {what}; expected letters, digits, blank, dash, underscore"
        elif len(column.name) > most:
            yield "head.name", f"{shown}: the name in parentheses has {len(column.name)} characters, of {most} at most"
        elif column.name.lower() in _KEYWORDS:
            yield "head.keyword", f"{shown}: {column.name} is a word of the database"


def _pairs(columns: Sequence[Column]) -> Iterator[Fault]:
    for place, column in enumerate(columns):
        first = PAIRS.get(column.kind)
        if first is None:
            continue
        before = columns[place - 1] if place else None
        if before is None or before.kind != first or before.name != column.name:
            yield "head.pair", f"column {place + 1}, {SHOWN[column.kind]}, has to stand right after its {SHOWN[first]}"
