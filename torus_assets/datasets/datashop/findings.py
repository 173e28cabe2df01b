"""What the verifier found: one list of rules, and the findings of an upload by rule, with the first of each in full.

No text of a learner stands in a finding: rules name elements, columns, limits and lengths, and of ids only those of contexts and
transactions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]

SHOWN_PER_RULE = 20  # kept in full; the rest is counted
_SHOWN_ID = 100  # characters of an id in a finding


class Rule(NamedTuple):
    """A rule and what DataShop does with a file that breaks it."""

    severity: Severity
    why: str
    source: str  # sections of spec/datashop.md


def _error(why: str, source: str) -> Rule:
    return Rule("error", why, source)


def _warning(why: str, source: str) -> Rule:
    return Rule("warning", why, source)


RULES: Mapping[str, Rule] = {
    # the file
    "file.empty": _error("there is nothing to import", "1, 7"),
    "file.forms_mixed": _error("an upload is either tutor-message XML or a tab-delimited table", "0"),
    "file.large": _warning("DataShop builds the whole document in memory: split it between messages", "1"),
    "xml.malformed": _error("DataShop drops the whole file, with one line in its log", "1"),
    "xml.doctype": _error("a document type is not needed, and this verifier reads no entities", "1"),
    "xml.declaration": _error("the file has to begin with an XML declaration", "1"),
    "xml.encoding": _error("the file has to be UTF-8", "1"),
    "xml.root": _error("messages are read only within tutor_related_message_sequence", "1"),
    "xml.version": _error("without version 4 the file is read as version 2, or refused", "1"),
    "xml.root_child": _error("it is skipped, with all that is in it", "1"),
    "xml.stray_text": _error("text between messages is not read", "1"),
    "xml.no_message": _warning("the document is well-formed and empty: nothing is imported", "1"),
    # structure of a message: tutor_message.xsd
    "schema.element": _error("the version 4 schema fixes elements and their order", "2"),
    "schema.attribute": _error("the version 4 schema fixes attributes", "2"),
    "schema.value": _error("only the values of the format are read; another one is ignored", "2"),
    "schema.empty": _error("what is required must not be empty", "2, 5"),
    "schema.text": _error("text between elements is not read", "2"),
    "meta.missing": _error("without meta the user is unknown and the message cannot be stored", "2"),
    # values, both forms
    "value.too_long": _error("it does not fit DataShop's database: it is cut, or the student or message is not stored", "2, 7"),
    "value.above_ffff": _error("DataShop's database cannot store characters above U+FFFF", "2"),
    "time.pattern": _error("other times are misread, or replaced by the moment of import", "2"),
    "time.date": _error("dates and times that do not exist roll over into others", "2"),
    "time.years": _warning("years over 50 back or 20 ahead are replaced", "2"),
    "time.trailing": _warning("text after the time is ignored; an offset is not applied", "7"),
    "level.type_repeated": _error("levels of one type collide in one column", "4"),
    "level.type_characters": _error("types of levels take letters, digits, blank, dash and underscore", "4"),
    "level.no_type": _warning("a level should say its type", "5"),
    "class.part": _warning("parts of class that are empty are ignored, those too long are cut", "5"),
    "context.skill": _warning("skills of a context are read and dropped: put them into tutor messages", "2"),
    "problem_name.redundant": _warning("the context's problem counts, this one is ignored", "4, 5"),
    "event.empty_part": _warning("the validator warns of empty selections, actions, inputs and evaluations", "5"),
    "event.no_parts": _warning("the validator warns of an event_descriptor without children", "5"),
    "outcome.unknown": _warning("it becomes `unknown`; DataShop reads CORRECT, INCORRECT and HINT", "2"),
    "hint.number": _error("a hint is number 1 to the total of hints, in digits", "4, 7"),
    "step.none": _warning("without selection and action DataShop has no step for the transaction", "4"),
    # ids
    "id.context_twice": _error("a context id is unique in the data set; DataShop mixes its problems up", "3"),
    "id.transaction_twice": _error("a transaction id is unique in the data set; the later action stays without outcome", "3"),
    "id.session_of_two_users": _error("a session is one sitting of one student", "3"),
    "dataset.names_differ": _error("every name makes another data set", "3"),
    # joins
    "join.context_later": _error("declare a context before its first message: order is not promised otherwise", "3, 6"),
    "join.context_in_other_file": _error("every file should stand alone: do not rely on contexts of other files", "1"),
    "join.context_never": _error("the importer never processes a message without its context, and says nothing", "3"),
    "join.context_of_other_user": _error("the importer never processes it: user, session and context have to agree", "3"),
    "join.context_of_other_session": _error("the importer never processes it: user, session and context have to agree", "3"),
    "join.context_after_tool": _error("the importer moves the problem's start back, and the first duration is wrong", "4"),
    "join.tool_twice": _error("the later one is left over as an untutored action, without outcome, step and skills", "3"),
    "join.tutor_without_tool": _error("a tutor message without its tool message is never used", "3"),
    "join.reply_of_other_context": _error("it is never joined: tool and tutor message have to name one context", "3"),
    "join.reply_of_other_kind": _error("ATTEMPT joins only with RESULT, HINT_REQUEST only with HINT_MSG: the reply is ignored", "3"),
    "join.replies_merge": _warning("several replies merge into the first: meant for CTAT", "3"),
    "join.reply_far": _warning("this verifier does not count a reply so far behind its tool message", "3"),
    "join.step_differs": _warning("DataShop names the step after the tutor message, not after what the student touched", "4"),
    # the tab-delimited form
    "head.required": _error("the column is required", "7"),
    "head.duplicate": _error("a heading stands once, but for levels, selections, actions, inputs, conditions and KCs", "7"),
    "head.pair": _error("columns of a pair stand next to each other", "7"),
    "head.name": _error("names in headings take letters, digits, blank, dash and underscore, and have a limit", "7"),
    "head.keyword": _error("DataShop refuses words of its database as names in headings", "7"),
    "head.unknown": _warning("unknown columns are ignored", "7"),
    "head.differs": _error("files form one upload only if their headings agree", "7"),
    "row.encoding": _error("the file has to be UTF-8", "7"),
    "row.carriage_return": _error("line breaks and carriage returns within values must become blanks; lines end at a line feed", "7"),
    "row.fields": _error("a row has one field for each heading; a tab or line break within a value makes more", "7"),
    "row.backslash": _error("the loader reads a backslash as an escape: double it", "7"),
    "row.empty": _error("the value is never empty", "7"),
    "row.empty_level": _warning("a level should have a name", "7"),
    "row.digits": _error("the column takes digits only", "7"),
    "row.pair": _error("the second of a pair has no value without the first", "7"),
    "row.no_step": _error("a row needs a step name, a selection or an action, else it has no step", "7"),
    "row.no_view": _warning("without Problem View and Problem Start Time DataShop guesses views from the order of rows", "7"),
    "row.response": _warning("DataShop knows ATTEMPT and HINT_REQUEST, answered by RESULT and HINT_MSG", "7"),
    "row.quote": _warning("single quotes in student ids and levels are removed: two names may become one", "7"),
}


@dataclass(slots=True)
class Place:
    """Where something was found. In XML the line is filled in after the file is read, from `child` and `element`."""

    file: str
    where: str  # `tool_message t1`, `row`, or empty for the file as a whole
    line: int | None = None  # from 1; None: not known
    child: int = 0  # which child of the root, from 1; 0: the line is known, or there is none
    element: int = 0  # which element of that child in document order, from 0: the child itself


class Finding(NamedTuple):
    rule: str
    place: Place
    text: str

    @property
    def severity(self) -> Severity:
        return RULES[self.rule].severity

    def document(self) -> dict[str, object]:
        place = self.place
        return {
            "severity": self.severity, "rule": self.rule, "file": place.file, "line": place.line, "where": place.where, "text": self.text,
        }  # fmt: skip


class Findings:
    """All findings of an upload: counted by rule, the first of each kept."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.kept: list[Finding] = []

    def add(self, rule: str, place: Place, text: str, times: int = 1) -> None:
        """One finding, which stands for `times` of its kind."""
        if rule not in RULES:
            raise LookupError(f"{rule} is none of the verifier's rules")
        if self.counts[rule] < SHOWN_PER_RULE:
            self.kept.append(Finding(rule, place, text))
        self.counts[rule] += times

    def of_severity(self, severity: Severity) -> int:
        return sum(count for rule, count in self.counts.items() if RULES[rule].severity == severity)

    def without_line(self, file: str) -> Iterator[Place]:
        """Places in a file whose line is still to be looked up."""
        return (found.place for found in self.kept if found.place.file == file and found.place.line is None and found.place.child)


def shown(identifier: str) -> str:
    """An id of a context or transaction as a finding shows it."""
    return identifier if len(identifier) <= _SHOWN_ID else f"{identifier[:_SHOWN_ID]}…"
