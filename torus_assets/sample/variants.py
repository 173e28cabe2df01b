"""Legal variants: what older, newer and other emitters write (spec/xapi.md 2 to 4). None of them costs a row or a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from random import Random

from torus_assets.sample.statements import attribution

Variant = Callable[[bytes, Random], bytes]

_E = rb'"http://oli\.cmu\.edu/extensions/'
_KEY = re.compile(_E + rb'(\w+)":')
_IDS = re.compile(_E + rb'(section_id|project_id)":(\d+)')
_NULLABLE = re.compile(_E + rb'(project_id|publication_id)":\d+')
_TIME = re.compile(rb'"timestamp":"([^".Z]+)(?:\.(\d+))?Z"')
_DISPLAY = re.compile(rb'"display":\{"en-US":"[^"]*"\},')
_EVALUATED = re.compile(rb'"verb":\{.*\}(?=\}$)')
_ENROLLMENT = re.compile(_E + rb'enrollment_id":\d+,')
_PAGE_NUMBER = re.compile(_E + rb'page_attempt_number":\d+')
_PAGE_GUID = re.compile(_E + rb'page_attempt_guid":"[^"]+"')
_RESPONSE = re.compile(rb'"response":.*,"score"')
_SESSION = re.compile(_E + rb'session_id":"[^"]+"')
_OBJECTIVES = re.compile(_E + rb'attached_objectives":\[[^\]]*\]')
_REGISTRATION = re.compile(rb'"registration":"[^"]*",')
_SUB_TYPE = re.compile(rb'"subType":"[^"]*",')
_NUMBER = re.compile(rb'extensions/(progress|length)":[\d.]+')


def https_scheme(line: bytes, rng: Random) -> bytes:
    return _KEY.sub(rb'"https://oli.cmu.edu/extensions/\1":', line)


def ids_as_text(line: bytes, rng: Random) -> bytes:
    return _IDS.sub(rb'"http://oli.cmu.edu/extensions/\1":"\2"', line)


def no_display(line: bytes, rng: Random) -> bytes:
    return _DISPLAY.sub(b"", line, count=1)


def other_time(line: bytes, rng: Random) -> bytes:
    """The same instant with 0 to 9 fraction digits, in UTC or another zone."""
    found = _TIME.search(line)
    assert found, "every undamaged statement has a timestamp"
    fraction = (found[2] or b"").ljust(9, b"0")[: rng.randrange(10)]
    hours = rng.choice((0, 0, -5, 2))
    local = datetime.fromisoformat(found[1].decode() + "+00:00").astimezone(timezone(timedelta(hours=hours)))
    zone = "Z" if not hours else f"{hours:+03d}:00"
    text = local.strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction.decode()}" if fraction else "") + zone
    return line[: found.start()] + f'"timestamp":"{text}"'.encode() + line[found.end() :]


def other_verb(line: bytes, rng: Random) -> bytes:
    word = rng.choice((b"answered", b"evaluated"))
    verb = b'"verb":{"display":{"en-US":"%s"},"id":"http://adlnet.gov/expapi/verbs/%s"}' % (word, word)
    return _EVALUATED.sub(verb, line, count=1)


def experienced(line: bytes, rng: Random) -> bytes:
    verb = b'"verb":{"display":{"en-US":"experienced"},"id":"http://adlnet.gov/expapi/verbs/experienced"}'
    return _EVALUATED.sub(verb, line, count=1)


def attributed(role: str) -> Variant:
    """An experiment's evidence behind the enrolment id, where the emitter is new enough to write one."""

    def with_attribution(line: bytes, rng: Random) -> bytes:
        entry = attribution(role, rng.randrange(5_000, 6_000)).encode()
        return _ENROLLMENT.sub(lambda found: found[0] + entry, line, count=1)

    return with_attribution


def other_response(line: bytes, rng: Random) -> bytes:
    shape = rng.choice((b"null", b'"B"', b"3.5", b'{"files":[{"path":"u/1.png"}],"input":"see file"}', b"[]", b"{}"))
    return _RESPONSE.sub(lambda _: b'"response":%s,"score"' % shape, line, count=1)


def null_session(line: bytes, rng: Random) -> bytes:
    return _SESSION.sub(b'"http://oli.cmu.edu/extensions/session_id":null', line)


def no_objectives(line: bytes, rng: Random) -> bytes:
    return _OBJECTIVES.sub(b'"http://oli.cmu.edu/extensions/attached_objectives":[]', line)


def null_project(line: bytes, rng: Random) -> bytes:
    return _NULLABLE.sub(rb'"http://oli.cmu.edu/extensions/\1":null', line)


def no_sub_type(line: bytes, rng: Random) -> bytes:
    return _SUB_TYPE.sub(b"", line)


def intro_video(line: bytes, rng: Random) -> bytes:
    """Played outside a page: no page attempt."""
    line = _PAGE_NUMBER.sub(b'"http://oli.cmu.edu/extensions/page_attempt_number":null', line)
    return _PAGE_GUID.sub(b'"http://oli.cmu.edu/extensions/page_attempt_guid":null', line)


def null_numbers(line: bytes, rng: Random) -> bytes:
    return _NUMBER.sub(rb'extensions/\1":null', line)


def legacy_completed(line: bytes, rng: Random) -> bytes:
    """`page_id` instead of `resource_id`, and no registration; other video verbs were never written so."""
    if b"video/verbs/completed" not in line:
        return line
    return _REGISTRATION.sub(b"", line).replace(b"extensions/resource_id", b"extensions/page_id")


def legacy_tutor(line: bytes, rng: Random) -> bytes:
    line = line.replace(b"Tutor Message", b"Tutor Activity Message", 1)
    return line.replace(b"extensions/tutor_message", b"extensions/tutor_activity_message", 1)


_ANYWHERE: tuple[Variant, ...] = (https_scheme, ids_as_text, no_display, other_time, other_time)
_ATTEMPT: tuple[Variant, ...] = (*_ANYWHERE, other_verb, other_verb)
VARIANTS: dict[str, tuple[Variant, ...]] = {
    "part_attempt": (*_ATTEMPT, other_response, other_response, null_session, no_objectives, attributed("outcome")),
    "activity_attempt": (*_ATTEMPT, attributed("rollup")),
    "page_attempt": (*_ATTEMPT, attributed("rollup")),
    "page_viewed": (*_ANYWHERE, null_project, no_sub_type, experienced, attributed("exposure")),
    "video": (*_ANYWHERE, intro_video, null_numbers, legacy_completed, legacy_completed, experienced, attributed("media_interaction")),
    "tutor_message": (*_ANYWHERE, legacy_tutor),
    "experiment_assignment": (no_display, other_time),
    "other": _ANYWHERE,
}
