"""A transaction as it reads back from a file, the same for both forms, and what a section comes to.

This is what DataShop makes of a file (spec/datashop.md 4), so it may be compared with what was meant.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torus_assets.datasets.datashop import rules


class ParsedTransaction(NamedTuple):
    """One transaction of a file. Texts are as DataShop stores them: no tab or line break, trimmed. Empty text: nothing there."""

    id: str
    section: str  # class/name, or the column Class
    student: str
    session: str
    time: str  # as it stands in the file
    time_zone: str
    levels: tuple[tuple[str, str], ...]  # (type, name), outermost first; levels without name are left out
    problem: str
    view: int | None  # None: not given, as always in XML
    problem_start: str  # the context's time
    student_type: str
    tutor_type: str  # empty: untutored
    selection: str  # several are joined by a blank, like actions and inputs
    action: str
    input: str
    outcome: str  # CORRECT, INCORRECT, HINT, `unknown`, or empty
    advice: str
    classification: str
    help_level: int | None
    total_hints: int | None
    skills: tuple[tuple[str, str, str], ...]  # (model, category, name), in order of the file
    fields: dict[str, str]  # custom fields; the first value of a name counts
    step: str  # empty: untutored


def outcome_of(text: str) -> str:
    """An evaluation as DataShop reads it: case-blind, with aliases; `unknown` for what it does not know."""
    if text in _OUTCOMES:
        return text
    word = text.lower()
    if word in rules.CORRECT_ALIASES:
        return rules.CORRECT
    if word in rules.INCORRECT_ALIASES:
        return rules.INCORRECT
    return rules.HINT if "hint" in word or "help" in word else "unknown"


_OUTCOMES = frozenset((*rules.OUTCOMES, ""))


@dataclass(slots=True)
class SectionCounts:
    """What a section (class) comes to. Numbers of students, problems, skills and views are of distinct ones."""

    transactions: int = 0  # tool messages that become a transaction; rows
    hints: int = 0  # of these, with HINT_REQUEST
    attempts: int = 0  # of these, with ATTEMPT
    by_outcome: Counter[str] = field(default_factory=Counter)  # "" for untutored actions
    # Distinct ones as Python's own 8-byte hashes, equal only within a process: two of a million are alike once in 30 million uploads.
    student_hashes: set[int] = field(default_factory=set)
    problem_hashes: set[int] = field(default_factory=set)  # of level path and name
    skill_hashes: set[int] = field(default_factory=set)  # of model and name
    view_hashes: set[int] = field(default_factory=set)  # of student, problem and start

    @property
    def students(self) -> int:
        return len(self.student_hashes)

    @property
    def problems(self) -> int:
        return len(self.problem_hashes)

    @property
    def skills(self) -> int:
        return len(self.skill_hashes)

    @property
    def problem_views(self) -> int:
        return len(self.view_hashes)

    def count(self, one: ParsedTransaction) -> None:
        self.transactions += 1
        if one.student_type == rules.HINT_REQUEST:
            self.hints += 1
        elif one.student_type == rules.ATTEMPT:
            self.attempts += 1
        self.by_outcome[one.outcome] += 1
        self.student_hashes.add(hash(one.student))
        problem = hash((one.levels, one.problem))
        self.problem_hashes.add(problem)
        self.view_hashes.add(hash((one.student, problem, one.problem_start or one.view)))
        for model, _, name in one.skills:
            self.skill_hashes.add(hash((model, name)))

    def document(self) -> dict[str, Any]:
        numbers = ("transactions", "hints", "attempts", "students", "problems", "skills", "problem_views")
        return {**{name: getattr(self, name) for name in numbers}, "by_outcome": dict(sorted(self.by_outcome.items()))}
