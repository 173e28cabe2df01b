"""Which kind a statement is (spec/xapi.md 3), and the row each kind gives.

A row is a tuple in the order of its table's columns after the four of its place; `Kind.row` builds it from the typed statement.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from torus_assets.xapi import statements as shapes
from torus_assets.xapi.statements import OLI, Refused

VIDEO_TYPE = "https://w3id.org/xapi/video/activity-type/video"
PAGE_TYPE = OLI + "types/page"
PAGE_ATTEMPT_TYPE = OLI + "page_attempt"
ACTIVITY_ATTEMPT_TYPE = OLI + "activity_attempt"
PART_ATTEMPT_TYPE = "http://adlnet.gov/expapi/activities/question"
TUTOR_TYPES = {OLI + "tutor_message": "tutor_message", OLI + "tutor_activity_message": "tutor_activity_message"}
ASSIGNMENT_TYPE = OLI + "types/condition_assignment"

EXPERIENCED = "http://adlnet.gov/expapi/verbs/experienced"
VIEWED = "http://id.tincanapi.com/verb/viewed"
CREATED = "http://activitystrea.ms/schema/1.0/create"
ASSIGNED = OLI + "verbs/experiment_condition_assigned"
EVALUATED = {f"http://adlnet.gov/expapi/verbs/{verb}" for verb in ("completed", "answered", "evaluated")}
VIDEO_VERBS = {f"https://w3id.org/xapi/video/verbs/{verb}": f"video_{verb}" for verb in ("played", "paused", "seeked", "completed")}
VIDEO_KINDS = {**VIDEO_VERBS, EXPERIENCED: "video_experienced"}

EARLIEST_YEAR, LATEST_YEAR = 1900, 2299  # what ClickHouse's DateTime64 can hold
INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)?", re.ASCII)

Row = tuple[Any, ...]


@lru_cache(maxsize=1 << 16)
def instant(text: str) -> datetime:
    """UTC instant of an ISO-8601 text: 0 to 9 fraction digits (cut to microseconds), offsets converted, no zone means UTC."""
    found = INSTANT.fullmatch(text)
    if not found:
        raise Refused("wrong_type", "Expected an ISO-8601 time - at `$.timestamp`")
    day, clock, fraction, zone = found.groups()
    try:
        moment = datetime.fromisoformat(
            f"{day}T{clock}.{(fraction or '0')[:6]:0<6}{'+00:00' if zone in (None, 'Z', 'z') else zone}"
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused("wrong_type", "Expected a time that exists - at `$.timestamp`") from None
    if not EARLIEST_YEAR <= moment.year <= LATEST_YEAR:
        raise Refused("wrong_type", f"Expected a year from {EARLIEST_YEAR} to {LATEST_YEAR} - at `$.timestamp`")
    return moment


@lru_cache(maxsize=1 << 10)
def host(home_page: str) -> str:
    """The Torus host: trimmed, without scheme and trailing slash, lower case."""
    return re.sub(r"^https?://", "", home_page.strip().lower()).rstrip("/")


def json_text(raw: msgspec.Raw | None) -> str | None:
    """A JSON value as received; None when it is null or absent."""
    if raw is None:
        return None
    text = str(raw, "utf-8")  # pyright: ignore[reportArgumentType]  # Raw offers the buffer protocol
    return None if text in ("null", "") else text


def plain(text: str | None) -> str | None:
    """A JSON value for people: a string's own text, anything else as JSON."""
    return msgspec.json.decode(text, type=str) if text is not None and text[0] == '"' else text


class _Input(msgspec.Struct):
    input: msgspec.Raw = shapes.ABSENT


_USUAL = '{"files":[],"input":"'
_INPUT = msgspec.json.Decoder(_Input)


def entered(response: str | None) -> str | None:
    """What the learner entered: the response's `input` when it has one (a string bare, else JSON), else all of it."""
    if response is None or response[0] != "{":
        return plain(response)
    if response.startswith(_USUAL):  # nine in ten: a plain text, whose JSON is itself
        text = response[len(_USUAL) : -2]
        if response.endswith('"}') and '"' not in text and "\\" not in text:
            return text
    value = str(_INPUT.decode(response).input, "utf-8")  # pyright: ignore[reportArgumentType]
    if not value:
        return response
    return None if value == "null" else plain(value)


def _common(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    scope = x.context.extensions
    actor = x.actor
    account = actor.account
    if account is not None:
        name = account.user_id
        user, page = (name if type(name) is str else str(name)), account.home_page
    elif actor.mbox:
        user, page = actor.mbox, None
    else:
        raise Refused("missing_field", "Expected the user's id - at `$.actor.account.name`")
    section_id = scope.section_id
    if section_id is None:
        section_id = section
        if section_id is None:
            raise Refused(
                "missing_field", "Expected a section, in the statement or in the key - at `$.context.extensions." + OLI + "section_id`"
            )
    display = x.verb.display
    return (
        section_id,
        kind,
        instant(x.timestamp),
        x.timestamp,
        user,
        None if page is None else host(page),
        page,
        x.statement_id,
        x.verb.verb_id,
        None if display is None else display.verb_display,
        scope.project_id,
        scope.publication_id,
        scope.enrollment_id,
        json_text(scope.experiment_attributions),
        coerced,
    )


def _page(e: Any) -> Row:
    return (e.page_id, e.page_attempt_guid, e.page_attempt_number)


def _activity(e: Any) -> Row:
    return (
        e.page_id,
        e.page_attempt_guid,
        e.page_attempt_number,
        e.activity_id,
        e.activity_revision_id,
        e.activity_attempt_guid,
        e.activity_attempt_number,
    )


def _score(r: Any) -> Row:
    s = r.score
    return (s.score, s.out_of, s.scaled_score, r.success, r.completion)


def part_attempt(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    e, r = x.context.extensions, x.result
    response, feedback = json_text(r.response), json_text(r.extensions.feedback)
    hints, skills = e.hint_ids, e.attached_objectives
    return (
        *_common(x, section, kind, coerced),
        *_activity(e),
        *_score(r),
        e.part_id,
        e.part_attempt_guid,
        e.part_attempt_number,
        entered(response),
        response,
        plain(feedback),
        feedback,
        None if hints is None else len(hints),
        None if hints is None else msgspec.json.encode([str(hint) for hint in hints]).decode() if hints else "[]",
        None if skills is None else str(skills).replace(" ", ""),  # a list of integers prints as JSON
        e.session_id,
    )


def activity_attempt(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    return (*_common(x, section, kind, coerced), *_activity(x.context.extensions), *_score(x.result))


def page_attempt(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    return (*_common(x, section, kind, coerced), *_page(x.context.extensions), *_score(x.result))


def page_viewed(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    r = x.result
    return (*_common(x, section, kind, coerced), *_page(x.context.extensions), r.success, r.completion, x.object.definition.page_sub_type)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def video_event(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    e, v, d = x.context.extensions, x.result.extensions, x.object.definition
    page = _first(e.resource_id, e.page_id)
    if page is None:
        raise Refused("missing_field", f"Expected the page - at `$.context.extensions.{OLI}resource_id`")
    element = _first(e.content_element_id, v.content_element_id)
    if element is None and not (coerced and "content_element_id" in coerced) and kind != "video_experienced":
        raise Refused("missing_field", f"Expected the video element - at `$.context.extensions.{OLI}content_element_id`")
    early = d.extensions
    length = _first(v.video_length, e.video_length, v.video_length_early, x.result.video_length)
    if length is None and early is not None:
        length = _first(early.video_length, early.video_length_early)
    return (
        *_common(x, section, kind, coerced),
        page,
        e.page_attempt_guid,
        e.page_attempt_number,
        element,
        x.object.video_url,
        d.title.video_title,
        _first(v.video_time, v.video_time_early),
        length,
        v.video_progress,
        v.video_played_segments,
        v.video_seek_from,
        v.video_seek_to,
    )


def tutor_message(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    return (*_common(x, section, kind, coerced), *_activity(x.context.extensions), x.result.tutor_xml)


def experiment_assignment(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    return _common(x, section, kind, coerced)


def other(x: Any, section: int | None, kind: str, coerced: str | None) -> Row:
    return _common(x, section, kind, coerced)  # the whole statement follows; the parser has its text


class Kind(NamedTuple):
    """How one kind is recognised, decoded and turned into a row."""

    kind: str  # of the lake
    shape: Any
    row: Callable[[Any, int | None, str, str | None], Row]


KINDS = {
    kind.kind: kind
    for kind in (
        Kind("part_attempt", shapes.PartAttempt, part_attempt),
        Kind("activity_attempt", shapes.ActivityAttempt, activity_attempt),
        Kind("page_attempt", shapes.PageAttempt, page_attempt),
        Kind("page_viewed", shapes.PageView, page_viewed),
        Kind("video", shapes.VideoEvent, video_event),
        Kind("tutor_message", shapes.TutorMessage, tutor_message),
        Kind("experiment_assignment", shapes.Assigned, experiment_assignment),
        Kind("other", shapes.AnyStatement, other),
    )
}


def classify(type_: str | None, verb: str | None) -> tuple[str, str] | None:
    """(lake kind, event kind) by type, then verb: `completed` is shared by three kinds, `experienced` by two.

    None when neither says it; a known type with a verb that no emitter used for it is `other`.
    """
    if type_ == PART_ATTEMPT_TYPE:
        return ("part_attempt", "part_attempt_evaluated") if verb in EVALUATED else None
    if type_ == ACTIVITY_ATTEMPT_TYPE:
        return ("activity_attempt", "activity_attempt_evaluated") if verb in EVALUATED else None
    if type_ == PAGE_ATTEMPT_TYPE:
        return ("page_attempt", "page_attempt_evaluated") if verb in EVALUATED else None
    if type_ == PAGE_TYPE:
        return ("page_viewed", "page_viewed") if verb in (VIEWED, EXPERIENCED) else None
    if type_ == VIDEO_TYPE:
        return ("video", VIDEO_KINDS[verb]) if verb in VIDEO_KINDS else None
    if type_ in TUTOR_TYPES:
        return ("tutor_message", TUTOR_TYPES[type_]) if verb == CREATED else None
    if type_ == ASSIGNMENT_TYPE:
        return ("experiment_assignment", "experiment_condition_assigned") if verb == ASSIGNED else None
    return None


def classify_by_fields(verb: str | None, extensions: frozenset[str], has_score: bool) -> tuple[str, str] | None:
    """The kind of a statement without a type: by its extensions, part before activity (a part carries the activity's GUID too)."""
    if verb in VIDEO_VERBS or (verb == EXPERIENCED and "content_element_id" in extensions):
        return ("video", VIDEO_KINDS[verb])
    if verb == VIEWED:
        return ("page_viewed", "page_viewed")
    if verb not in EVALUATED:
        return None
    if "part_attempt_guid" in extensions:
        return ("part_attempt", "part_attempt_evaluated")
    if "activity_attempt_guid" in extensions:
        return ("activity_attempt", "activity_attempt_evaluated")
    if "page_attempt_guid" in extensions and has_score:
        return ("page_attempt", "page_attempt_evaluated")
    return None
