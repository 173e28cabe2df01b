"""A transaction as it reads back from a file, the same for both forms, and what a section comes to.

This is what DataShop makes of a file (spec/datashop.md 4), so it may be compared with what was meant.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
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


def hashed(text: str) -> int:
    """A hash of 8 bytes that is the same in every process."""
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little", signed=True)


class SectionNumbers(NamedTuple):
    """What a section (class) came to. Numbers of students, problems, skills and views are of distinct ones."""

    transactions: int  # tool messages that become a transaction; rows
    hints: int  # of these, with HINT_REQUEST
    attempts: int  # of these, with ATTEMPT
    students: int
    problems: int  # by level path and name
    skills: int  # by model and name
    problem_views: int  # by student, problem and start
    by_outcome: dict[str, int]  # "" for untutored actions

    def document(self) -> dict[str, Any]:
        return self._asdict()


@dataclass(slots=True)
class SectionCounts:
    """A section that is being counted."""

    transactions: int = 0
    hints: int = 0
    attempts: int = 0
    by_outcome: Counter[str] = field(default_factory=Counter)
    # Distinct ones as hashes of 8 bytes: two of a million are alike once in 30 million uploads.
    student_hashes: set[int] = field(default_factory=set)
    problem_hashes: set[int] = field(default_factory=set)
    skill_hashes: set[int] = field(default_factory=set)
    view_hashes: set[int] = field(default_factory=set)

    def count(self, one: ParsedTransaction) -> None:
        self.transactions += 1
        if one.student_type == rules.HINT_REQUEST:
            self.hints += 1
        elif one.student_type == rules.ATTEMPT:
            self.attempts += 1
        self.by_outcome[one.outcome] += 1
        self.student_hashes.add(hashed(one.student))
        problem = hashed(repr((one.levels, one.problem)))
        self.problem_hashes.add(problem)
        self.view_hashes.add(hashed(repr((one.student, problem, one.problem_start or one.view))))
        for model, _, name in one.skills:
            self.skill_hashes.add(hashed(repr((model, name))))

    def numbers(self) -> SectionNumbers:
        return SectionNumbers(
            self.transactions, self.hints, self.attempts, len(self.student_hashes), len(self.problem_hashes), len(self.skill_hashes),
            len(self.view_hashes), dict(sorted(self.by_outcome.items())),
        )  # fmt: skip
