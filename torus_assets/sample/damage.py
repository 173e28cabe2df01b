"""Damage: what arrives broken, and what has to become of it.

Each class edits the finished bytes of a sound line and says the outcome. One thing is wrong per line.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

from torus_assets.sample.course import json_text
from torus_assets.sample.outcomes import CODES, REFUSED, ROW, Line, Outcome

DEEP = 300

_E = r"https?://oli\.cmu\.edu/extensions/"
_SCALAR = r'(?:"[^"]*"|[-\d.]+|null|true)'
_CUT = re.compile(rb'(?<=[a-zA-Z_])":')
_DEFINITION_TYPE = re.compile(rb'"type":"http[^"]*"(?=\},"id")')
_VERB_ID = re.compile(rb'"id":"[^"]*"\}\}$')
_NAME = b'"name":{"en-US":"'


def _extension(name: str) -> re.Pattern[bytes]:
    return re.compile(f'("{_E}{name}":){_SCALAR}'.encode())


def _video(name: str) -> re.Pattern[bytes]:
    return re.compile(f'("https://w3id\\.org/xapi/video/extensions/{name}":){_SCALAR}'.encode())


def _member(name: str) -> re.Pattern[bytes]:
    return re.compile(f'("{name}":){_SCALAR}'.encode())


_USER = re.compile(rb'("name":)("?\d+"?)')
_RAW = _member("raw")
_EVERY_KEY = (_USER, _member("timestamp"), _extension("section_id"))
_PAGE_KEYS = (_extension("page_id"), _extension("page_attempt_guid"))
_ACTIVITY_KEYS = (*_PAGE_KEYS, _extension("activity_id"), _extension("activity_attempt_guid"))
KEYS: dict[str, tuple[re.Pattern[bytes], ...]] = {
    "part_attempt": (*_EVERY_KEY, *_ACTIVITY_KEYS, _extension("part_id"), _extension("part_attempt_guid"), _RAW),
    "activity_attempt": (*_EVERY_KEY, *_ACTIVITY_KEYS, _RAW),
    "page_attempt": (*_EVERY_KEY, *_PAGE_KEYS, _RAW),
    "page_viewed": (*_EVERY_KEY, *_PAGE_KEYS),
    "tutor_message": (*_EVERY_KEY, *_ACTIVITY_KEYS),
}

_IDS = {name: _extension(name) for name in ("project_id", "publication_id", "enrollment_id")}
_PAGE_VALUES = _IDS | {"page_attempt_number": _extension("page_attempt_number")}
_SCORE_VALUES = {"scaled_score": _member("scaled"), "out_of": _member("max")}
_ACTIVITY_VALUES = _PAGE_VALUES | {name: _extension(name) for name in ("activity_attempt_number", "activity_revision_id")}
VALUES: dict[str, dict[str, re.Pattern[bytes]]] = {
    "part_attempt": _ACTIVITY_VALUES | _SCORE_VALUES | {name: _extension(name) for name in ("part_attempt_number", "session_id")},
    "activity_attempt": _ACTIVITY_VALUES | _SCORE_VALUES,
    "page_attempt": _PAGE_VALUES | _SCORE_VALUES,
    "page_viewed": _PAGE_VALUES,
    "video": _PAGE_VALUES | {"video_length": _video("length"), "video_progress": _video("progress"), "video_time": _video("time")},
    "tutor_message": _ACTIVITY_VALUES,
}

_USER_MEMBER = re.compile(rb',"name":"?\d+"?(?=\},"objectType":"Agent")')
_TIMESTAMP_MEMBER = re.compile(rb'"timestamp":"[^"]*",')
_RAW_MEMBER = re.compile(rb'"raw":[^,]*,')
_REQUIRED: dict[str, tuple[re.Pattern[bytes], ...]] = {
    "part_attempt": (_RAW_MEMBER, re.compile(f'"{_E}part_attempt_guid":"[^"]*",'.encode())),
    "activity_attempt": (_RAW_MEMBER,),
    "page_attempt": (_RAW_MEMBER,),
    "page_viewed": (re.compile(f'"{_E}page_id":[^,]*,'.encode()),),
}


def truncated_line(line: bytes, kind: str, rng: Random) -> Line:
    """Cut inside a key of the last two thirds: the input ends within a string, and the line stays unlike any other."""
    cuts = [found.start() for found in _CUT.finditer(line, len(line) // 3)]
    return Line(line[: rng.choice(cuts)], REFUSED["truncated"])


def invalid_utf8(line: bytes, kind: str, rng: Random) -> Line:
    junk = rng.choice((b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\x80", b"\xf0\x9f\x98"))
    return Line(line.replace(_NAME, _NAME + junk + b" ", 1), REFUSED["not_utf8"])


def wrong_type_key(line: bytes, kind: str, rng: Random) -> Line:
    """A field that joins or orders: the line is refused."""
    pattern = rng.choice(KEYS.get(kind, _EVERY_KEY[:2]))
    value = rng.choice((b"[1]", b'{"id":1}', b"[]", b"{}"))
    return Line(pattern.sub(lambda found: found[1] + value, line, count=1), REFUSED["wrong_type"])


def wrong_type_value(line: bytes, kind: str, rng: Random) -> Line:
    """Any other field: the row stays, without the value."""
    present = {name: pattern for name, pattern in VALUES.get(kind, {}).items() if pattern.search(line)}
    if not present:  # kinds without such fields
        return wrong_type_key(line, kind, rng)
    column = rng.choice(sorted(present))
    value = rng.choice((b"[]", b'{"value":1}', b"[2]")) if column == "session_id" else rng.choice((b'"several"', b"[2]", b"{}"))
    body = present[column].sub(lambda found: found[1] + value, line, count=1)
    return Line(body, CODES[Outcome(kind=kind, coerced=column)])


def missing_field(line: bytes, kind: str, rng: Random) -> Line:
    pattern = rng.choice((_USER_MEMBER, _TIMESTAMP_MEMBER, *_REQUIRED.get(kind, ())))
    return Line(pattern.sub(b"", line, count=1), REFUSED["missing_field"])


def not_object(line: bytes, kind: str, rng: Random) -> Line:
    """Sound JSON of another shape; some of these lines are equal to each other."""
    text = json_text(line.decode()).encode()
    return Line(rng.choice((b"[" + line + b"]", text, b"null", b"42", b"[]")), REFUSED["not_object"])


def control_character(line: bytes, kind: str, rng: Random) -> Line:
    raw = rng.choice((b"\x00", b"\x01", b"\t", b"\x1f", b"\x0b"))
    return Line(line.replace(_NAME, _NAME + raw, 1), REFUSED["not_json"])


def lone_surrogate(line: bytes, kind: str, rng: Random) -> Line:
    half = rng.choice((rb"\ud83d", rb"\udc00", rb"\uDBFF x"))
    return Line(line.replace(_NAME, _NAME + half + b" ", 1), REFUSED["lone_surrogate"])


def too_deep(line: bytes, kind: str, rng: Random) -> Line:
    """More brackets than any course nests, and fewer than would stop a JSON reader by themselves."""
    return Line(b'{"attachments":' + b"[" * DEEP + b"]" * DEEP + b"," + line[1:], REFUSED["too_deep"])


def unknown_kind(line: bytes, kind: str, rng: Random) -> Line:
    line = _DEFINITION_TYPE.sub(b'"type":"http://oli.cmu.edu/extensions/types/unheard_of"', line, count=1)
    line = _VERB_ID.sub(b'"id":"http://oli.cmu.edu/extensions/verbs/unheard_of"}}', line)
    return Line(line, ROW["other"])


def empty_object(line: bytes, kind: str, rng: Random) -> Line:
    return Line(b"{}", REFUSED["missing_field"])


def crlf(line: bytes, kind: str, rng: Random) -> Line:
    return Line(line, ROW[kind], crlf=True)


Damage = Callable[[bytes, str, Random], Line]

DAMAGES: dict[str, Damage] = {
    made.__name__: made
    for made in (
        truncated_line,
        invalid_utf8,
        wrong_type_key,
        wrong_type_value,
        missing_field,
        not_object,
        control_character,
        lone_surrogate,
        too_deep,
        unknown_kind,
        empty_object,
        crlf,
    )
}
BLANK_LINE = "blank_line"  # an extra line before a sound one, see bundles.py
CLASSES = (*DAMAGES, BLANK_LINE)
BLANKS = (b"", b"  ", b"\t", b" \t ")
