"""What an embedded tutor (CTAT) logged: the messages inside one `tutor_message` statement.

Source: spec/xapi.md 4.6, spec/datashop.md 2 and 6. The XML is not always well-formed, and its `meta` (user, session, time, zone) is
the tutor's own and not to be trusted: it is not read.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import NamedTuple

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.model import Skill

CONTEXT, TOOL, TUTOR = "context_message", "tool_message", "tutor_message"
KINDS = (CONTEXT, TOOL, TUTOR)
_REFERENCE = re.compile(r"&#(x[0-9a-fA-F]+|[0-9]+);")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


class UnreadableXml(ValueError):
    """Not XML that can be read; the message says where, never what."""


class TutorMessage(NamedTuple):
    """One message; texts as sent, empty where the message has none."""

    kind: str  # context_message, tool_message or tutor_message
    context: str  # the tutor's own context id
    transaction: str  # its own transaction id; empty in a context message
    name: str  # of the context, else of the semantic event
    subtype: str = ""
    problem: str = ""
    tutor_flag: str = ""
    selection: str = ""  # several are joined by blanks, as DataShop does for its step names
    action: str = ""
    input: str = ""
    outcome: str = ""
    classification: str = ""
    hint_id: str = ""
    hint_number: int | None = None
    total_hints: int | None = None
    advice: str = ""  # the first, the only one DataShop keeps
    skills: tuple[Skill, ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()


def messages(xml: str) -> list[TutorMessage]:
    """The messages of a statement, in order. Elements that are none of `KINDS` are left out; so are messages without context id,
    and tool and tutor messages without transaction id, which DataShop could never join.

    Raises:
        UnreadableXml: not well-formed, or with a document type.
    """
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise UnreadableXml("a document type or entity is declared, which no tutor message has")
    xml = _REFERENCE.sub(_legal, rules.FORBIDDEN.sub(rules.STAND_IN, _DECLARATION.sub("", xml)))
    try:
        root = ET.fromstring(f"<all>{xml}</all>")  # noqa: S314  no document type, so no entities to expand
    except (ET.ParseError, ValueError) as error:
        raise UnreadableXml(f"not well-formed: {error}") from None
    found = (_message(element) for element in root.iter() if element.tag in KINDS)
    return [message for message in found if message.context and (message.transaction or message.kind == CONTEXT)]


def _legal(reference: re.Match[str]) -> str:
    """A character reference, or its stand-in where XML has no such character."""
    digits, base = (reference[1][1:], 16) if reference[1].startswith("x") else (reference[1], 10)
    digits = digits.lstrip("0") or "0"
    number = int(digits, base) if len(digits) <= 7 else 1 << 32  # Python refuses to read thousands of digits
    illegal = number > 0x10FFFF or (number < 0x20 and number not in {9, 10, 13}) or 0xD800 <= number <= 0xDFFF or number in {0xFFFE, 0xFFFF}
    return rules.STAND_IN if illegal else reference[0]


def _message(element: ET.Element) -> TutorMessage:
    context = element.get("context_message_id", "").strip()
    if element.tag == CONTEXT:
        problem = next(iter(element.iter("problem")), None)
        return TutorMessage(
            CONTEXT,
            context,
            "",
            element.get("name", "").strip(),
            problem=_text(problem, "name"),
            tutor_flag=problem.get("tutorFlag", "") if problem is not None else "",
            fields=_fields(element),
            conditions=tuple((_text(one, "name"), _text(one, "type")) for one in element.findall("condition") if _text(one, "name")),
        )
    event = element.find("semantic_event")
    described = element.find("event_descriptor")
    evaluated = element.find("action_evaluation")
    return TutorMessage(
        str(element.tag),
        context,
        _attribute(event, "transaction_id"),
        _attribute(event, "name"),
        _attribute(event, "subtype"),
        problem=_text(element, "problem_name"),
        selection=_joined(described, "selection"),
        action=_joined(described, "action"),
        input=_joined(described, "input"),
        outcome=_outcome("".join(evaluated.itertext()) if evaluated is not None else ""),
        classification=_attribute(evaluated, "classification"),
        hint_id=_attribute(evaluated, "hint_id"),
        hint_number=_number(_attribute(evaluated, "current_hint_number")),
        total_hints=_number(_attribute(evaluated, "total_hints_available")),
        advice=_text(element, "tutor_advice"),
        skills=tuple(_skills(element)),
        fields=_fields(element),
    )


def _outcome(text: str) -> str:
    """DataShop's word for it; any other text as it stands (spec/datashop.md 2, Names and values)."""
    text = text.strip()
    low = text.lower()
    if low in rules.CORRECT_ALIASES:
        return rules.CORRECT
    if low in rules.INCORRECT_ALIASES:
        return rules.INCORRECT
    return rules.HINT if "hint" in low or "help" in low else text


def _skills(element: ET.Element) -> Iterator[Skill]:
    for skill in element.findall("skill"):
        if name := _text(skill, "name"):
            models = [model for one in skill.findall("model_name") if (model := _all_text(one))]
            for model in models or [rules.DEFAULT_MODEL]:
                yield Skill(name, model, _text(skill, "category"))


def _fields(element: ET.Element) -> tuple[tuple[str, str], ...]:
    found = ((_text(one, "name"), _text(one, "value")) for one in element.findall("custom_field"))
    return tuple((name, value) for name, value in found if name and value)


def _joined(element: ET.Element | None, tag: str) -> str:
    return " ".join(text for one in element.findall(tag) if (text := _all_text(one))) if element is not None else ""


def _text(element: ET.Element | None, tag: str) -> str:
    """Text of the first child with this tag."""
    child = element.find(tag) if element is not None else None
    return _all_text(child) if child is not None else ""


def _all_text(element: ET.Element) -> str:
    return "".join(element.itertext()).strip()


def _attribute(element: ET.Element | None, name: str) -> str:
    return element.get(name, "").strip() if element is not None else ""


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,4}", text) else None
