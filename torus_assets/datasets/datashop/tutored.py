"""Transactions of embedded tutors: tool messages joined with the replies that came for them.

The tutor's own ids are kept as far as they are readable, and made unique by a digest of student and session: `A17` is every student's.
Its problem name is kept; level path, data set name, user, session and times are ours (spec/datashop.md 6). A context that the tutor never
declared is made. Contexts may be declared, and replies come, before or after what they belong to, in another session even. Of several
replies to one transaction DataShop keeps the first and fills gaps from the others; so do we, and write one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from torus_assets.datasets.datashop import rules, tutor
from torus_assets.datasets.datashop.frame import COLUMNS, Fields, Place, Step, frame
from torus_assets.datasets.datashop.ids import digest
from torus_assets.datasets.datashop.mapping import Mapper
from torus_assets.datasets.datashop.model import Skill
from torus_assets.datasets.datashop.tab_form import tutor_heading
from torus_assets.datasets.datashop.text import heading_name
from torus_assets.datasets.datashop.tutor import CONTEXT, TOOL, TutorMessage, UnreadableXml

OWN_ID_BYTES = 60  # of a message id's 100, so that a digest has room
NUMBERS = ("activity_attempt_number", "page_attempt_number", "activity_revision_id", "project_id", "publication_id")
GUIDS = ("activity_attempt_guid", "page_attempt_guid")


Own = tuple[str | None, str, str]  # attempt at the activity, and the tutor's own ids in it: context, transaction (empty for a context)


class Row(NamedTuple):
    """A `tutor_message` statement that is exported."""

    line: int
    place_of_student: int
    session: int
    section_id: int
    time: str
    opened: str | None
    page_id: int | None
    activity_id: int | None
    activity_attempt_guid: str | None
    page_attempt_guid: str | None
    activity_attempt_number: int | None
    page_attempt_number: int | None
    activity_revision_id: int | None
    project_id: int | None
    publication_id: int | None
    tutor_xml: str | None


@dataclass
class Context:
    """A context of the tutor in one session."""

    id: str
    place: int
    view: int
    time: str
    used: bool = False


@dataclass
class Draft:
    """A tool message and its replies, which may come at any time."""

    context: Context
    row: Row
    sub: int
    tool: TutorMessage
    id: str
    replies: list[TutorMessage] = field(default_factory=list)


@dataclass
class Student:
    """What one student's tutors said so far. Tutors use their ids again in the next activity."""

    declared: dict[Own, TutorMessage]
    tools: dict[Own, list[tuple[TutorMessage, Draft]]] = field(default_factory=dict)
    early: dict[Own, list[TutorMessage]] = field(default_factory=dict)  # replies that came before what they answer
    views: Counter[tuple[Any, str]] = field(default_factory=Counter)  # by levels and problem


def transactions(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    """The transactions of these tutor messages, which are in order of student, session and time."""
    found: list[dict[str, Any]] = []
    for _, of_student in groupby(map(Row._make, rows.select(Row._fields).iter_rows()), key=lambda row: row.place_of_student):
        said = [(row, _messages(row, mapper)) for row in of_student]
        student = Student(_declared(said))
        drafts: list[Draft] = []
        for _, of_session in groupby(said, key=lambda one: one[0].session):
            contexts: dict[Own, Context] = {}
            drafts += [draft for row, messages in of_session for draft in _drafts(row, messages, student, contexts, mapper)]
        found += [_finished(draft, mapper) for draft in drafts]
        mapper.count("tutor_replies_without_tool_message", sum(map(len, student.early.values())))
    made = pl.DataFrame(found, schema=COLUMNS, orient="row")
    return frame({name: name for name in COLUMNS}, made)


def _messages(row: Row, mapper: Mapper) -> list[TutorMessage]:
    """The messages of one statement; what gives none is counted."""
    try:
        found = tutor.messages(row.tutor_xml or "")
    except UnreadableXml:
        mapper.unreadable["tutor_xml_unreadable", row.section_id] += 1
        return []
    if not found:
        mapper.unreadable["tutor_xml_without_message", row.section_id] += 1
    return found


def _declared(said: Iterable[tuple[Row, list[TutorMessage]]]) -> dict[Own, TutorMessage]:
    """The contexts that a student's tutors declared, whenever; of several with one id the first."""
    found: dict[Own, TutorMessage] = {}
    for row, messages in said:
        for message in messages:
            if message.kind == CONTEXT:
                found.setdefault((row.activity_attempt_guid, message.context, ""), message)
    return found


def _drafts(row: Row, messages: list[TutorMessage], student: Student, contexts: dict[Own, Context], mapper: Mapper) -> Iterator[Draft]:
    """The tool messages of one statement; its replies join the drafts they answer."""
    for sub, message in enumerate(messages):
        own = row.activity_attempt_guid, message.context, message.transaction
        known = student.tools.get(own, [])
        if message.kind == CONTEXT:
            continue
        if message.kind == TOOL:
            if any(tool == message for tool, _ in known):
                mapper.count("tutor_tool_messages_repeated", 1)
                continue
            draft = _draft(row, sub, message, student, contexts, mapper, len(known))
            student.tools.setdefault(own, []).append((message, draft))
            for reply in student.early.pop(own, []):
                _reply(draft, reply, mapper)
            yield draft
        elif known:
            _reply(known[0][1], message, mapper)
        else:
            student.early.setdefault(own, []).append(message)


def _reply(draft: Draft, reply: TutorMessage, mapper: Mapper) -> None:
    if rules.REPLIES.get(draft.tool.name) != reply.name:
        mapper.count("tutor_replies_of_another_kind", 1)  # DataShop ignores them
    else:
        draft.replies.append(reply)


def _draft(
    row: Row, sub: int, message: TutorMessage, student: Student, contexts: dict[Own, Context], mapper: Mapper, repeats: int
) -> Draft:
    at = row.activity_attempt_guid, message.context, ""
    context = contexts.get(at)
    if context is None:
        context = contexts[at] = _context(row, message, student.declared.get(at), student, mapper)
    session = mapper.shelves.sessions.values[row.session]
    unique = digest(row.section_id, *session, _attempt(row, mapper), message.context, message.transaction)[:16]
    suffix = f"-{repeats + 1}" if repeats else ""
    return Draft(context, row, sub, message, f"{_own(message.transaction, mapper)}-{unique}{suffix}")


def _context(row: Row, message: TutorMessage, declared: TutorMessage | None, student: Student, mapper: Mapper) -> Context:
    if declared is None:
        mapper.count("tutor_contexts_made", 1)
    levels, graded = mapper.levels(row.page_id, mapper.notes)
    problem = mapper.text((declared.problem if declared else "") or message.problem, rules.PROBLEM) or f"Activity {row.activity_id}"
    flag = declared.tutor_flag if declared and declared.tutor_flag in rules.TUTOR_FLAGS[:-1] else "test" if graded else "tutor"
    activity = mapper.lookup.activity(row.activity_id)
    fields = dict(mapper.fields({
        "section_id": row.section_id, "page_id": row.page_id, "activity_id": row.activity_id, "activity_type": activity.slug if activity is not None else None,
    }))  # fmt: skip
    for name, value in _extras(declared, [], mapper) if declared else ():
        fields.setdefault(name, value)
    conditions = tuple(
        (mapper.text(name, rules.CONDITION), mapper.text(type_, rules.CONDITION_TYPE))
        for name, type_ in (declared.conditions if declared else ())
    )
    name = mapper.text(declared.name if declared else "", rules.CONTEXT_NAME) or rules.START_PROBLEM
    shown = tuple((name, value) for name, value in fields.items() if value)
    place = Place(name, row.section_id, mapper.dataset, levels, problem, flag, shown, tuple(one for one in conditions if one[0]))
    student.views[levels, problem] += 1
    session = mapper.shelves.sessions.values[row.session]
    return Context(
        f"{_own(message.context, mapper)}-{digest(row.section_id, *session, _attempt(row, mapper), message.context)[:16]}",
        mapper.shelves.places.number(place), student.views[levels, problem], row.opened or row.time,
    )  # fmt: skip


def _attempt(row: Row, mapper: Mapper) -> str | None:
    """The activity attempt as the data set shows it: nobody may try real guids on a digest."""
    return mapper.guid(row.activity_attempt_guid) if row.activity_attempt_guid is not None else None


def _own(own_id: str, mapper: Mapper) -> str:
    return mapper.text(own_id, OWN_ID_BYTES) or "t"


def _finished(draft: Draft, mapper: Mapper) -> dict[str, Any]:
    """The transaction, with what its replies said."""
    tool, replies, row = draft.tool, draft.replies, draft.row
    mapper.count("tutor_replies_merged", max(0, len(replies) - 1))

    def text(name: str, limit: int) -> str | None:
        """The first reply that has it."""
        return mapper.text(next((value for reply in replies if (value := getattr(reply, name))), ""), limit) or None

    number, total = (
        next((value for reply in replies if (value := getattr(reply, name)) is not None), None) for name in ("hint_number", "total_hints")
    )
    if number is not None and total is not None and not 1 <= number <= total:
        mapper.count("tutor_hint_numbers_left_out", 1)
        number = total = None
    step = Step(
        text("selection", rules.SELECTION // 2) or mapper.text(tool.selection, rules.SELECTION // 2),
        text("action", rules.ACTION // 2 - 1) or mapper.text(tool.action, rules.ACTION // 2 - 1),
    )
    skills = _skills(replies, mapper)
    extras = _extras(tool, replies, mapper)
    opens, draft.context.used = not draft.context.used, True
    return {
        "line": row.line, "sub": draft.sub, "session": row.session, "id": draft.id, "context": draft.context.id, "opens": opens,
        "context_time": draft.context.time, "place": draft.context.place, "view": draft.context.view, "time": row.time,
        "student_type": mapper.text(tool.name, rules.EVENT_NAME), "student_subtype": mapper.text(tool.subtype, rules.EVENT_NAME) or None,
        "tutor_type": rules.REPLIES[tool.name] if replies else None, "tutor_subtype": text("subtype", rules.EVENT_NAME),
        "step": mapper.shelves.steps.number(step), "input": mapper.text(tool.input, rules.INPUT) or None, "outcome": text("outcome", rules.OUTCOME),
        "advice": text("advice", rules.ADVICE), "classification": text("classification", rules.CLASSIFICATION), "hint_id": text("hint_id", rules.HINT_ID),
        "help_level": number, "total_hints": total, "skills": mapper.shelves.skills.number(skills) if skills else None,
        **{name: mapper.guid(value) for name in GUIDS if (value := getattr(row, name))}, **{name: getattr(row, name) for name in NUMBERS},
        "extras": mapper.shelves.extras.number(extras) if extras else None,
    }  # fmt: skip


def _extras(tool: TutorMessage, replies: list[TutorMessage], mapper: Mapper) -> Fields:
    """The tutor's custom fields; of several with one name the first."""
    found: dict[str, str] = {}
    for message in (tool, *replies):
        for name, value in message.fields:
            found.setdefault(tutor_heading(name), mapper.text(value, rules.FIELD_VALUE))
    return tuple((name, value) for name, value in found.items() if value)


def _skills(replies: list[TutorMessage], mapper: Mapper) -> tuple[Skill, ...]:
    """Each KC of a model once, in the first category that a reply gives it; by model, as columns have them."""
    found: dict[tuple[str, str], Skill] = {}
    for skill in (_skill(one, mapper) for reply in replies for one in reply.skills):
        known = found.get((skill.model, skill.name))
        if known is None or not known.category:
            found[skill.model, skill.name] = skill
    return tuple(sorted(found.values(), key=lambda skill: (skill.model != rules.DEFAULT_MODEL, skill.model)))


def _skill(skill: Skill, mapper: Mapper) -> Skill:
    return Skill(
        mapper.text(skill.name, rules.SKILL) or "unnamed",
        heading_name(skill.model, rules.SKILL_MODEL),
        mapper.text(skill.category, rules.SKILL_CATEGORY),
    )
