"""The structure of one message, against tutor_message.xsd."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  it has no types

# libxml2's kinds of schema errors -> our rule and words. Its own texts quote values, which may be learners'.
_KINDS = {
    "SCHEMAV_ELEMENT_CONTENT": ("schema.element", ""),
    "SCHEMAV_CVC_COMPLEX_TYPE_2_2": ("schema.element", "no element may stand within it"),
    "SCHEMAV_CVC_TYPE_3_1_2": ("schema.element", "no element may stand within it"),
    "SCHEMAV_CVC_COMPLEX_TYPE_2_1": ("schema.text", "it takes no text"),
    "SCHEMAV_CVC_COMPLEX_TYPE_2_3": ("schema.text", "it takes no text between its elements"),
    "SCHEMAV_CVC_COMPLEX_TYPE_4": ("schema.attribute", "a required attribute is missing"),
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": ("schema.attribute", "it takes no such attribute"),
    "SCHEMAV_CVC_TYPE_3_1_1": ("schema.attribute", "it takes no attribute"),
    "SCHEMAV_CVC_MINLENGTH_VALID": ("schema.empty", "it is empty; expected a text"),
    "SCHEMAV_CVC_ENUMERATION_VALID": ("schema.value", "expected one of: {}"),
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": ("schema.value", "expected true or false"),
}
_FOLLOW_UPS = {"SCHEMAV_CVC_TYPE_3_1_3"}  # said again, of the type instead of the facet
_ATTRIBUTE = re.compile(r"attribute '([^']{1,60})")
_EXPECTED = re.compile(r"Expected is (?:one of )?\( ([^)]*) \)|element of the set \{([^}]*)\}")


@cache
def _schema() -> Any:
    return etree.XMLSchema(etree.parse(Path(__file__).with_name("tutor_message.xsd")))


def structure_faults(message: Any) -> Iterator[tuple[Any, str, str]]:
    """What of a message's structure is not as defined: the element, the rule, and what was expected. Nothing, for most messages."""
    schema = _schema()
    if schema.validate(message):
        return
    for error in list(schema.error_log):
        kind = error.type_name
        if kind in _FOLLOW_UPS:
            continue
        rule, words = _KINDS.get(kind, ("schema.element", "it is not as the schema wants it"))
        at = _element(message, error.path)
        name = at.tag if isinstance(at.tag, str) else "?"
        attribute = _ATTRIBUTE.search(error.message)
        expected = _EXPECTED.search(error.message)
        names = "" if expected is None else (expected[1] or expected[2] or "").replace("'", "")
        if kind == "SCHEMAV_ELEMENT_CONTENT":
            words = "a child is missing" if "Missing child" in error.message else "it must not stand here"
            words += f"; expected {names}" if names else ""
        yield at, rule, f"{name[:60]}{f', attribute {attribute[1]}' if attribute else ''}: {words.format(names)}"


def _element(message: Any, path: str | None) -> Any:
    """The element an error is about, by its path from the message."""
    steps = (path or "").split("/", 2)[2:]
    found = message.xpath(steps[0]) if steps else []
    return found[0] if found else message
