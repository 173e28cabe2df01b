"""What a data set has to hold, told from the lake without the way it is written: what the parsed files are compared with, and the
columns that its tab-delimited form needs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import duckdb
import msgspec

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.mapping import skill_name
from torus_assets.datasets.datashop.pieces import SQL, Paths, restrictions
from torus_assets.datasets.datashop.tab_form import Shape, tutor_heading
from torus_assets.datasets.datashop.text import clean, heading_name, level_name
from torus_assets.datasets.datashop.tutor import CONTEXT, TOOL, TutorMessage, UnreadableXml, messages
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.request import Request

FETCH_ROWS = 8_192


class SectionCounts(NamedTuple):
    """What one section's files have to come to when they are read back."""

    transactions: int
    hints: int
    students: int
    problems: int
    skills: int


@dataclass
class _Section:
    transactions: int = 0
    hints: int = 0
    students: set[tuple[str | None, str]] = field(default_factory=set)
    problems: set[object] = field(default_factory=set)
    skills: set[tuple[str, str]] = field(default_factory=set)

    def counts(self) -> SectionCounts:
        return SectionCounts(self.transactions, self.hints, len(self.students), len(self.problems), len(self.skills))


@dataclass
class Scope:
    """The lake's side of the comparison, and the shape of the table."""

    sections: dict[int, SectionCounts]
    shape: Shape


class _Tutored(NamedTuple):
    """What one student's tutors said in one section."""

    section_id: int
    who: tuple[str | None, str]
    said: list[tuple[int | None, int | None, str | None, TutorMessage]]  # page, activity, attempt at it, message


def scope(connection: duckdb.DuckDBPyConnection, request: Request, paths: Paths, lookup: Lookup) -> Scope:
    """Reads the lake once for the counts and the columns."""
    found: dict[int, _Section] = defaultdict(_Section)
    most_skills = _attempts(connection, request, paths, lookup, found)
    models: dict[str, tuple[int, bool]] = {rules.DEFAULT_MODEL: (max(1, most_skills), False)}
    fields: dict[str, None] = {}
    conditions = 0
    for tutored in _tutored(connection, request, paths):
        section = found[tutored.section_id]
        conditions = max([conditions, *(len(message.conditions) for *_, message in tutored.said)])
        fields.update((tutor_heading(name), None) for *_, message in tutored.said for name, _ in message.fields)
        _count_tutored(section, tutored, lookup, models)
    shape = _shape(lookup, models, fields, conditions)
    return Scope({section: one.counts() for section, one in sorted(found.items()) if one.transactions}, shape)


def together(parts: Sequence[Scope], lookup: Lookup) -> Scope:
    """One scope of several; no section may be in two of them."""
    models: dict[str, tuple[int, bool]] = {rules.DEFAULT_MODEL: (1, False)}
    for model, most, categories in (one for part in parts for one in part.shape.models):
        known, have = models.get(model, (1, False))
        models[model] = (max(known, most), have or categories)
    extras = {name for part in parts for name in part.shape.extras}
    shape = _shape(lookup, models, extras, max((part.shape.conditions for part in parts), default=0))
    counts = {section: one for part in parts for section, one in part.sections.items()}
    return Scope(dict(sorted(counts.items())), shape)


def _shape(lookup: Lookup, models: Mapping[str, tuple[int, bool]], extras: Iterable[str], conditions: int) -> Shape:
    ordered = sorted(models.items(), key=lambda one: (one[0] != rules.DEFAULT_MODEL, one[0]))
    return Shape(
        level_types=lookup.level_types or ("Page",),
        models=tuple((model, most, categories) for model, (most, categories) in ordered),
        extras=tuple(sorted(extras)),
        conditions=conditions,
    )


def _attempts(connection: duckdb.DuckDBPyConnection, request: Request, paths: Paths, lookup: Lookup, found: dict[int, _Section]) -> int:
    """Counts part attempts and hints; the most skills that one attempt has."""
    connection.execute((SQL / "datashop_expected.sql").read_text(), _read(request, "attempts", paths))
    skills: dict[str, list[tuple[str, str]]] = {}
    problems: dict[tuple[Any, ...], object] = {}
    for row in iter(lambda: connection.fetchmany(FETCH_ROWS), []):
        for section_id, home, user, page, activity, part, objectives, hints, scored in row:
            section = found[section_id]
            section.transactions += 1 + hints
            section.hints += hints
            section.students.add((home, user))
            key = (page, activity, part)
            if key not in problems:
                problems[key] = (_levels(lookup, page), activity, part)
            section.problems.add(problems[key])
            if objectives and objectives not in skills:
                skills[objectives] = [
                    (rules.DEFAULT_MODEL, skill_name(lookup.skills.get(one), one)) for one in dict.fromkeys(msgspec.json.decode(objectives))
                ]
            if objectives and (scored or hints):
                section.skills.update(skills[objectives])
    return max(map(len, skills.values()), default=0)


def _read(request: Request, name: str, paths: Paths) -> dict[str, Any]:
    sections = list(request.section_ids)
    bounds = {"first_section": min(sections), "last_section": max(sections)}  # by which row groups are skipped
    return {**restrictions(request), **bounds, "sections": sections, name: [str(path) for path in paths[name]]}


def _levels(lookup: Lookup, page: int | None) -> tuple[str, ...]:
    return tuple(level_name(title).text for _, title in lookup.place(page).levels)


def _tutored(connection: duckdb.DuckDBPyConnection, request: Request, paths: Paths) -> Iterator[_Tutored]:
    connection.execute((SQL / "datashop_tutor_rows.sql").read_text(), _read(request, "tutors", paths))
    at: _Tutored | None = None
    for rows in iter(lambda: connection.fetchmany(FETCH_ROWS), []):
        for section_id, home, user, page, activity, attempt, xml in rows:
            if at is None or (at.section_id, at.who) != (section_id, (home, user)):
                if at is not None:
                    yield at
                at = _Tutored(section_id, (home, user), [])
            try:
                at.said.extend((page, activity, attempt, message) for message in messages(xml or ""))
            except UnreadableXml:
                continue  # counted where the rows are mapped
    if at is not None:
        yield at


def _count_tutored(section: _Section, tutored: _Tutored, lookup: Lookup, models: dict[str, tuple[int, bool]]) -> None:
    declared: dict[tuple[str | None, str], str] = {}
    for _, _, attempt, message in tutored.said:
        if message.kind == CONTEXT:
            declared.setdefault((attempt, message.context), message.problem)
    tools: dict[tuple[str | None, str, str], list[TutorMessage]] = defaultdict(list)
    for page, activity, attempt, message in tutored.said:
        own = attempt, message.context, message.transaction
        if message.kind == TOOL and message not in tools[own]:
            tools[own].append(message)
            section.transactions += 1
            section.hints += message.name == rules.HINT_REQUEST
            section.students.add(tutored.who)
            problem = clean(declared.get(own[:2]) or message.problem, rules.PROBLEM).text or f"Activity {activity}"
            section.problems.add((_levels(lookup, page), problem))
    for pairs in _skills_of_replies(tutored, tools, models):
        section.skills.update(pairs)
        for model in {model for model, _ in pairs}:
            most, categories = models[model]
            models[model] = (max(most, sum(one == model for one, _ in pairs)), categories)


def _skills_of_replies(
    tutored: _Tutored, tools: Mapping[tuple[str | None, str, str], list[TutorMessage]], models: dict[str, tuple[int, bool]]
) -> Iterable[set[tuple[str, str]]]:
    """(model, name) of the skills of each transaction that was answered; `models` learns which have categories."""
    found: dict[tuple[str | None, str, str], set[tuple[str, str]]] = defaultdict(set)
    for _, _, attempt, message in tutored.said:
        own = attempt, message.context, message.transaction
        known = tools.get(own)
        if message.kind in {CONTEXT, TOOL} or not known or rules.REPLIES.get(known[0].name) != message.name:
            continue
        for skill in message.skills:
            model = heading_name(skill.model, rules.SKILL_MODEL)
            most, categories = models.get(model, (1, False))
            models[model] = (most, categories or bool(skill.category))
            found[own].add((model, clean(skill.name, rules.SKILL).text))
    return found.values()
