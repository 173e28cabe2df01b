"""One message at a time: its values against the limits, and what it says, read out as DataShop stores it.

A message that breaks rules is read as far as it goes, so that one mistake does not hide others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.findings import Findings, Place, shown
from torus_assets.datasets.datashop.parsed import outcome_of
from torus_assets.datasets.datashop.verify_document import CONTEXT, MESSAGE, TUTOR
from torus_assets.datasets.datashop.verify_structure import structure_faults
from torus_assets.datasets.datashop.verify_values import clean, time_fault, too_long

Pair = tuple[str, str]

_NUMBER = re.compile(r"[0-9]{1,9}")
_CLASS = {
    "name": rules.CLASS, "school": rules.SCHOOL, "period": rules.PERIOD, "description": rules.CLASS_DESCRIPTION, "instructor": rules.INSTRUCTOR,
}  # fmt: skip


class Said:
    """What a message says. Texts are clean; empty text: not there."""

    __slots__ = (
        "action", "advice", "child", "class_name", "classification", "context_id", "dataset", "event", "fields", "help_level", "input",
        "kind", "levels", "outcome", "problem", "selection", "session", "skills", "time", "time_zone", "total_hints", "transaction", "user",
    )  # fmt: skip

    def __init__(self, kind: str, child: int) -> None:
        self.kind, self.child = kind, child  # tag, place among the children of the root
        self.context_id = self.user = self.session = self.time = self.time_zone = ""
        self.transaction = self.event = ""  # of semantic_event; of a context: its name
        self.selection = self.action = self.input = ""  # of the first event_descriptor; several are joined by a blank
        self.outcome = self.classification = self.advice = ""
        self.help_level: int | None = None
        self.total_hints: int | None = None
        self.skills: list[tuple[str, str, str]] = []  # (model, category, name)
        self.fields: list[Pair] = []
        self.dataset = self.class_name = self.problem = ""  # these and the levels: of a context
        self.levels: tuple[Pair, ...] = ()

    @property
    def where(self) -> str:
        if self.kind == CONTEXT:
            return f"{self.kind} {shown(self.context_id)}"
        return f"{self.kind} {shown(self.transaction)}".strip()

    @property
    def step(self) -> str:
        return f"{self.selection} {self.action}".strip()


class MessageReader:
    """Reads the messages of one file, one after the other."""

    def __init__(self, file: str, findings: Findings, this_year: int) -> None:
        self.file, self.findings, self.this_year = file, findings, this_year
        self.element: Any = None  # the message, an lxml element
        self.said = Said("", 0)
        self.faults = 0
        # Of the last meta without fault: user, session and zone as they stand, and clean.
        self.before: tuple[tuple[str | None, str | None, str | None], tuple[str, str, str]] = (None, None, None), ("", "", "")

    def read(self, child: int, element: Any) -> Said:
        """What a message says; its own rules are checked on the way."""
        self.element = element
        said = self.said = Said(element.tag, child)
        said.context_id = self.text(element, element.get("context_message_id"), rules.MESSAGE_ID, "context_message_id")
        if said.kind == CONTEXT:
            said.event = self.text(element, element.get("name"), rules.CONTEXT_NAME, "name")
        has_meta = False
        for part in element:
            tag = part.tag
            if tag == "meta":
                has_meta = True
                self.meta(part)
            elif (read := _PARTS.get(tag)) is not None:
                read(self, part)
        for at, rule, text in structure_faults(element):
            self.fault(rule, at, text)
        if not has_meta and said.kind != MESSAGE:
            self.fault("meta.missing", element, "there is no meta; expected user_id, session_id, time and time_zone")
        return said

    def fault(self, rule: str, at: Any, text: str) -> None:
        """A finding about an element of this message."""
        self.faults += 1
        if not self.said.transaction and (event := self.element.find("semantic_event")) is not None:
            self.said.transaction = clean(event.get("transaction_id"))
        index = next((index for index, one in enumerate(self.element.iter("*")) if one is at), 0)
        self.findings.add(rule, Place(self.file, self.said.where, None, self.said.child, index), text)

    def text(self, at: Any, raw: str | None, most: int, what: str = "", *, in_bytes: bool = False, rule: str = "value.too_long") -> str:
        """A value, clean, its length and characters checked. `what` names it, if it is not the element itself."""
        if raw and raw.isascii() and len(raw) <= most and raw.isprintable():  # nearly all
            return raw.strip()
        text = clean(raw)
        if len(text) > most or (in_bytes and len(text) * 3 > most):
            long = too_long(text, most, in_bytes=in_bytes)
            if long is not None:
                self.fault(rule, at, f"{what or at.tag} has {long}")
        if not text.isascii() and rules.ASTRAL.search(text):
            count = len(rules.ASTRAL.findall(text))
            self.fault("value.above_ffff", at, f"{what or at.tag} has {count} characters above U+FFFF; replace them by U+FFFD")
        return text

    # Parts of messages, by their tag

    def meta(self, meta: Any) -> None:
        said, texts = self.said, [part.text for part in meta]
        if len(texts) == 4 and self.before[0] == (texts[0], texts[1], texts[3]):  # one student's messages follow each other
            said.user, said.session, said.time_zone = self.before[1]
            said.time = self.time(meta[2], texts[2])
            return
        faults = self.faults
        for part in meta:
            tag = part.tag
            if tag == "user_id":
                said.user = self.text(part, part.text, rules.USER)
            elif tag == "session_id":
                said.session = self.text(part, part.text, rules.SESSION)
            elif tag == "time":
                said.time = self.time(part, part.text)
            elif tag == "time_zone":
                said.time_zone = self.text(part, part.text, rules.ZONE)
        if len(texts) == 4 and faults == self.faults:
            self.before = (texts[0], texts[1], texts[3]), (said.user, said.session, said.time_zone)

    def time(self, at: Any, raw: str | None) -> str:
        text = clean(raw)
        fault = time_fault(text, self.this_year) if text else None
        if fault is not None:
            self.fault(fault[0], at, fault[1])
        return text

    def semantic_event(self, event: Any) -> None:
        self.said.transaction = self.text(event, event.get("transaction_id"), rules.MESSAGE_ID, "transaction_id")
        self.said.event = self.text(event, event.get("name"), rules.EVENT_NAME, "name")
        self.text(event, event.get("subtype"), rules.EVENT_NAME, "subtype")

    def problem_name(self, part: Any) -> None:
        self.fault("problem_name.redundant", part, "there is a problem_name; leave it out")

    def event_descriptor(self, descriptor: Any) -> None:
        said, found = self.said, {"selection": [], "action": [], "input": []}
        for part in descriptor:
            tag = part.tag
            if tag not in found:
                continue
            text = self.text(part, part.text, rules.INPUT, in_bytes=True) if tag == "input" else self.text(part, part.text, rules.SELECTION)
            if text:
                found[tag].append(text)
            else:
                self.fault("event.empty_part", part, f"{tag} is empty")
        if not len(descriptor):
            self.fault("event.no_parts", descriptor, "event_descriptor has no selection, action or input")
        if descriptor.getprevious() is None or descriptor.getprevious().tag != "event_descriptor":
            said.selection, said.action, said.input = map(" ".join, found.values())

    def action_evaluation(self, part: Any) -> None:
        said = self.said
        text = self.text(part, part.text, rules.OUTCOME)
        outcome = outcome_of(text)
        if not text:
            self.fault("event.empty_part", part, "action_evaluation is empty")
        elif outcome == "unknown":
            self.fault("outcome.unknown", part, f"the evaluation is none DataShop knows ({len(text)} characters)")
        said.outcome = said.outcome or outcome
        if not part.keys():
            return
        self.text(part, part.get("hint_id"), rules.HINT_ID, "hint_id")
        classification = self.text(part, part.get("classification"), rules.CLASSIFICATION, "classification")
        said.classification = said.classification or classification
        number, total = part.get("current_hint_number"), part.get("total_hints_available")
        for name, value in (("current_hint_number", number), ("total_hints_available", total)):
            if value is not None and not _NUMBER.fullmatch(value):
                self.fault("hint.number", part, f"{name} is not a number; expected digits")
        if said.help_level is None and number is not None and _NUMBER.fullmatch(number):
            said.help_level = int(number)
        if said.total_hints is None and total is not None and _NUMBER.fullmatch(total):
            said.total_hints = int(total)
        if said.help_level is not None and not 1 <= said.help_level <= (said.help_level if said.total_hints is None else said.total_hints):
            self.fault("hint.number", part, f"this is hint {said.help_level} of {'?' if said.total_hints is None else said.total_hints}")

    def tutor_advice(self, part: Any) -> None:
        text = self.text(part, part.text, rules.ADVICE, in_bytes=True)
        self.said.advice = self.said.advice or text  # the first one counts

    def skill(self, part: Any) -> None:
        name = category = ""
        models: list[str] = []
        for one in part:
            tag = one.tag
            if tag == "name":
                name = self.text(one, one.text, rules.SKILL, "name of a skill", in_bytes=True)
            elif tag == "category":
                category = self.text(one, one.text, rules.SKILL_CATEGORY)
            elif tag == "model_name":
                models.append(self.text(one, one.text, rules.SKILL_MODEL))
        if self.said.kind == TUTOR:
            self.said.skills += [(model or rules.DEFAULT_MODEL, category, name) for model in models or ("",)] if name else ()
        else:
            self.fault("context.skill", part, "a skill outside a tutor message")

    def custom_field(self, part: Any) -> None:
        texts = [one.text for one in part]
        if len(texts) == 2:  # anything else is a fault of structure
            name = self.text(part, texts[0], rules.FIELD_NAME, "name of a custom field")
            self.said.fields.append((name, self.text(part, texts[1], rules.FIELD_VALUE, "value of a custom field")))

    def class_(self, part: Any) -> None:
        for one in part:
            text = self.text(one, one.text, _CLASS.get(one.tag, rules.CLASS), f"class {one.tag}", rule="class.part")
            if not text:
                self.fault("class.part", one, f"class {one.tag} is empty")
            if one.tag == "name":
                self.said.class_name = text

    def dataset(self, dataset: Any) -> None:
        self.said.dataset = self.name_of(dataset)
        levels: list[Pair] = []
        inner = dataset.find("level")
        while inner is not None:
            kind = self.text(inner, inner.get("type"), rules.LEVEL_TYPE, "type of a level")
            if not kind:
                self.fault("level.no_type", inner, "the level has no type")
            elif not rules.NAME_CHARACTERS.fullmatch(kind):
                self.fault("level.type_characters", inner, "the type of the level has other characters")
            if kind in dict(levels):
                self.fault("level.type_repeated", inner, f"type {kind[:100]} stands twice in one path; use a type for each depth")
            levels.append((kind, self.name_of(inner)))
            self.problem(inner.find("problem"))
            inner = inner.find("level")
        self.said.levels = tuple(levels)

    def problem(self, problem: Any) -> None:
        if problem is not None:
            self.said.problem = self.name_of(problem)
            for context in problem.findall("context"):
                self.text(context, context.text, rules.PROBLEM_CONTEXT, in_bytes=True)

    def name_of(self, of: Any) -> str:
        """The name of a data set, level or problem: the validator tool holds each to 100 characters."""
        name = of.find("name")
        return "" if name is None else self.text(name, name.text, rules.PROBLEM, f"name of {of.tag}")

    def condition(self, part: Any) -> None:
        for one in part:
            if one.tag in ("name", "type"):
                self.text(one, one.text, rules.CONDITION if one.tag == "name" else rules.CONDITION_TYPE, f"{one.tag} of a condition")


_PARTS: Mapping[str, Callable[[MessageReader, Any], None]] = {
    "semantic_event": MessageReader.semantic_event, "problem_name": MessageReader.problem_name, "event_descriptor": MessageReader.event_descriptor,
    "action_evaluation": MessageReader.action_evaluation, "tutor_advice": MessageReader.tutor_advice, "skill": MessageReader.skill,
    "custom_field": MessageReader.custom_field, "class": MessageReader.class_, "dataset": MessageReader.dataset,
    "condition": MessageReader.condition,
}  # fmt: skip
