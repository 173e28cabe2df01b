"""A transaction of a data set: what both DataShop forms are written from, and what rollup, counts and page are made of.

All texts here are clean (`text.py`): no character that XML or DataShop cannot take, no tab or line break, nothing over its limit
in `rules.py`. Escaping is the writers' business. Learners, sessions and guids are pseudonyms already, unless the request was
permitted to name them.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Context(NamedTuple):
    """Where a student works: one for each student, session and problem; declared in the same file before its first transaction."""

    id: str  # unique in the data set
    name: str  # START_PROBLEM
    student: str
    session: str
    time: str  # when the problem was opened, `yyyy-MM-dd HH:mm:ss.SSS`, UTC; never after the first transaction
    section_id: int
    class_name: str  # `Section 3021`
    dataset: str
    levels: tuple[tuple[str, str], ...]  # (type, name), outermost first; at least one, types differ
    problem: str
    tutor_flag: str  # tutor or test
    fields: tuple[tuple[str, str], ...]  # custom fields that hold for all its transactions
    conditions: tuple[tuple[str, str], ...] = ()  # (name, type) of an experiment's conditions; embedded tutors send them


class Skill(NamedTuple):
    """A knowledge component (KC), within a model."""

    name: str
    model: str = "Default"
    category: str = ""


class Transaction(NamedTuple):
    """One thing a student did at a step, and the answer of the tutor if it gave one."""

    id: str  # unique in the data set
    context: Context
    view: int  # number of the problem view (context) of this student and problem, from 1
    time: str  # like Context.time
    student_type: str  # ATTEMPT, HINT_REQUEST, or what an embedded tutor says
    student_subtype: str
    tutor_type: str  # RESULT, HINT_MSG; empty: no reply, so DataShop has an untutored action
    tutor_subtype: str
    selection: str
    action: str
    input: str  # up to 65,535 bytes; the tab-delimited form cuts it at 255
    outcome: str  # CORRECT, INCORRECT, HINT; empty without reply
    advice: str  # feedback or hint text
    classification: str
    hint_id: str
    help_level: int | None  # number of the hint in authored order, from 1
    total_hints: int | None
    skills: tuple[Skill, ...]
    fields: tuple[tuple[str, str], ...]  # custom fields of this transaction alone

    @property
    def step(self) -> str:
        """Step name as DataShop makes it: selection and action joined by a blank. Empty without reply: an untutored action has no step."""
        return f"{self.selection} {self.action}".strip() if self.tutor_type else ""


# The same transactions as a table in order of the files: what rollup, counts, page and plots read. Nothing a learner wrote is in it.
FACTS = pa.schema(
    [
        ("number", pa.int64()),  # place in the data set, from 0
        ("transaction_id", pa.string()),
        ("section_id", pa.int64()),
        ("student", pa.string()),
        ("session", pa.string()),
        ("time", pa.timestamp("ms", tz="UTC")),
        ("problem_hierarchy", pa.string()),  # `Unit Cells, Page Osmosis`: type and name of each level, joined by `, `
        ("problem", pa.string()),
        ("view", pa.int64()),
        ("problem_start", pa.timestamp("ms", tz="UTC")),  # the context's time
        ("step", pa.string()),  # null: untutored action
        ("student_type", pa.string()),
        ("outcome", pa.string()),  # null: untutored action
        ("skills", pa.list_(pa.string())),  # KC names of the model Default; [] for none
        ("score", pa.float64()),  # null for hints and unscored attempts
        ("out_of", pa.float64()),
    ]
)
