"""Every variant of spec/xapi.md 2 to 4 gives its row, and every refusal says where and why without a word of the line."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.factories import (
    ADL,
    DROP,
    EXAMPLES,
    FEEDBACK,
    LAKE_KINDS,
    OLI,
    OLI_HTTPS,
    PAGE_GUID,
    SECTION,
    TUTOR_XML,
    changed,
    json_path,
    line,
    statement,
)
from torus_assets.xapi import tables
from torus_assets.xapi.parse import KEPT_BYTES, MAX_DEPTH, OverLong, Parsed, Refusal, lines_of, parse, parse_lines, streamed_lines

PLACE_COLUMNS = len(tables.PLACE)
SECRET = "Rosalind-Franklin-952"  # stands for anything a learner wrote
PART, ACTIVITY, PAGE, VIEW = "part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated", "page_viewed"
TUTOR = "tutor_message"


def row(body: bytes, section: int | None = SECTION) -> dict[str, Any]:
    """The one row of the one line, by column."""
    parsed = parse(body, section)
    assert not parsed.refusals, parsed.refusals[0][:2]
    [event] = parsed.events
    names = [column.name for column in tables.BY_KIND[event.kind].columns[PLACE_COLUMNS:]]
    return {"kind": event.kind, **dict(zip(names, event.row, strict=True))}


def row_with(event_kind: str, changes: dict[str, Any]) -> dict[str, Any]:
    return row(line(statement(event_kind, changes)))


def refusal(body: bytes, section: int | None = SECTION, **limits: int) -> Refusal:
    """The one refusal of the one line."""
    parsed = parse(body, section, **limits)
    assert not parsed.events, "the line became a row"
    [refused] = parsed.refusals
    return refused


# The examples


def test_the_test_vector_of_the_event_hash():
    [event] = parse(line(EXAMPLES[VIEW]), SECTION).events
    assert event.digest.hex() == "ffcb574f218ce72a8dd76339226acfae5b07bdc707a9316b06fae7027e05834b"


@pytest.mark.parametrize("event_kind", EXAMPLES)
def test_an_example_becomes_a_row_of_its_kind_with_nothing_coerced(event_kind):
    found = row(line(EXAMPLES[event_kind]))
    assert (found["kind"], found["event_kind"], found["coerced"]) == (LAKE_KINDS[event_kind], event_kind, None)
    assert (found["section_id"], found["user_id"], found["home_page"]) == (SECTION, "41207", "torus.example.edu")


def test_every_column_of_a_part_attempt():
    assert row(line(EXAMPLES[PART])) == {
        "kind": "part_attempt",
        "section_id": 3021,
        "event_kind": "part_attempt_evaluated",
        "timestamp": datetime(2026, 2, 3, 15, 6, 41, tzinfo=UTC),
        "timestamp_text": "2026-02-03T15:06:41Z",
        "user_id": "41207",
        "home_page": "torus.example.edu",
        "home_page_raw": "torus.example.edu",
        "statement_id": None,
        "verb_id": ADL + "completed",
        "verb_display": "completed",
        "project_id": 118,
        "publication_id": 904,
        "enrollment_id": 77310,
        "experiment_attributions": None,
        "coerced": None,
        "page_id": 60480,
        "page_attempt_guid": "5f0b7c52-9a41-4c1e-8f0d-2f6f3a7b1c10",
        "page_attempt_number": 2,
        "activity_id": 60511,
        "activity_revision_id": 210774,
        "activity_attempt_guid": "c1d2a8e4-63b5-4a0f-9d17-0b9e55a4f2aa",
        "activity_attempt_number": 1,
        "score": 0.0,
        "out_of": 1.0,
        "scaled_score": 0.0,
        "success": True,
        "completion": True,
        "part_id": "1",
        "part_attempt_guid": "9b7e1f30-2c44-4f0a-b6a7-7d1e0c9a5501",
        "part_attempt_number": 1,
        "response": "2887301124",
        "response_json": '{"files":[],"input":"2887301124"}',
        "feedback": json.dumps(FEEDBACK, separators=(",", ":")),
        "feedback_json": json.dumps(FEEDBACK, separators=(",", ":")),
        "hints_requested": 1,
        "hint_ids": '["773001"]',
        "attached_objectives": "[59012,59044]",
        "session_id": "b0f6a2de-1f7a-4c67-8a43-5f0f4e7c9d21",
    }


COMPLETED_VIDEO = {
    "event_kind": "video_completed",
    "page_id": 60480,
    "page_attempt_guid": PAGE_GUID,
    "page_attempt_number": 2,
    "content_element_id": "2918847710",
    "video_url": "https://cdn.example.edu/v/cells-01.mp4",
    "video_title": "Cells, part 1",
    "video_time": 312.44,
    "video_length": 312.44,
    "video_progress": 0.73,
    "video_played_segments": "12.5[.]48.25[,]120[.]312.44",
    "video_seek_from": None,
    "video_seek_to": None,
}


@pytest.mark.parametrize(
    ("event_kind", "columns"),
    [
        (PAGE, {"score": 7.5, "out_of": 10.0, "scaled_score": 0.75}),
        (VIEW, {"page_sub_type": "basic", "timestamp": datetime(2026, 2, 3, 15, 3, 58, 410277, tzinfo=UTC)}),
        ("video_completed", COMPLETED_VIDEO),
        ("video_seeked", {"video_seek_from": 48.25, "video_seek_to": 120.0, "video_time": None, "video_length": None}),
        (TUTOR, {"tutor_xml": TUTOR_XML, "activity_id": 60511}),
        ("experiment_condition_assigned", {"home_page_raw": "https://torus.example.edu", "enrollment_id": 77310}),
    ],
)
def test_the_columns_of_the_other_examples(event_kind, columns):
    found = row(line(EXAMPLES[event_kind]))
    assert {name: found[name] for name in columns} == columns


# Variants: (what the spec says, kind, what is changed, what the row has then)

ENVELOPE = [
    ("the user id is an integer or a string", PART, {"actor.account.name": "41207"}, {"user_id": "41207"}),
    ("user ids compare as strings", PART, {"actor.account.name": 41207}, {"user_id": "41207"}),
    ("the home page may carry a scheme", PART, {"actor.account.homePage": "https://Proton.OLI.cmu.edu/"},
     {"home_page": "proton.oli.cmu.edu", "home_page_raw": "https://Proton.OLI.cmu.edu/"}),
    ("the home page is trimmed", PART, {"actor.account.homePage": " http://a.b/ "}, {"home_page": "a.b", "home_page_raw": " http://a.b/ "}),
    ("mbox stands in for a missing account", PART, {"actor": {"mbox": "mailto:a@b.c"}},
     {"user_id": "mailto:a@b.c", "home_page": None, "home_page_raw": None}),
    ("mbox stands in for an account that is null", PART, {"actor": {"account": None, "mbox": "mailto:a@b.c"}}, {"user_id": "mailto:a@b.c"}),
    ("an account wins over an mbox", PART, {"actor.mbox": "mailto:a@b.c"}, {"user_id": "41207"}),
    ("a statement id is kept", PART, {"id": "0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11"}, {"statement_id": "0d6f3f0e-8a55-4f7b-9e0a-3b1b7f2f9c11"}),
    ("the verb's display may be absent", PART, {"verb.display": DROP}, {"verb_display": None, "event_kind": PART}),
    ("the verb's display may be null", VIEW, {"verb.display": None}, {"verb_display": None}),
    ("the verb's display never classifies", VIEW, {"verb.display.en-US": "played"}, {"verb_display": "played", "kind": "page_viewed"}),
    ("the stray brace of the object id is of no consequence", PART, {"object.id": "x/part_attempt/other}"},
     {"part_attempt_guid": "9b7e1f30-2c44-4f0a-b6a7-7d1e0c9a5501"}),
    ("the object id may be absent", ACTIVITY, {"object.id": DROP}, {"kind": "activity_attempt"}),
    ("the project may be null", VIEW, {"ext(project_id)": None, "ext(publication_id)": None}, {"project_id": None, "publication_id": None}),
    ("the enrollment is absent before 2026-08", PART, {"ext(enrollment_id)": DROP}, {"enrollment_id": None, "coerced": None}),
    ("the enrollment may be null", PART, {"ext(enrollment_id)": None}, {"enrollment_id": None, "coerced": None}),
    ("the body's section wins over the key's", PART, {"ext(section_id)": 7}, {"section_id": 7}),
    ("the key's section stands in", PART, {"ext(section_id)": DROP}, {"section_id": SECTION}),
    ("a null section is that of the key", PART, {"ext(section_id)": None}, {"section_id": SECTION}),
    ("ids may be digits in text", PART, {"ext(section_id)": "3021", "ext(page_id)": "0060480", "ext(page_attempt_number)": " 2 ",
     "ext(project_id)": "118"}, {"section_id": 3021, "page_id": 60480, "page_attempt_number": 2, "project_id": 118, "coerced": None}),
    ("the largest id", PART, {"ext(page_id)": 2**63 - 1}, {"page_id": 2**63 - 1}),
    ("a counter that is no integer is null and counted", PART, {"ext(page_attempt_number)": "two"},
     {"page_attempt_number": None, "coerced": "page_attempt_number"}),
    ("legacy generic keys are ignored", PART, {"ext(attempt_guid)": "x", "ext(attempt_number)": {}, "ext(host_name)": 1}, {"coerced": None}),
    ("attributions are kept as received", VIEW, {"ext(experiment_attributions)": [{"key": "k", "role": "exposure"}]},
     {"experiment_attributions": '[{"key":"k","role":"exposure"}]'}),
    ("attributions may be null", VIEW, {"ext(experiment_attributions)": None}, {"experiment_attributions": None}),
    ("text is any Unicode", PART, {"result.response": {"input": "naïve 𝛼 \u2028\u2029\x85"}}, {"response": "naïve 𝛼 \u2028\u2029\x85"}),
]  # fmt: skip

HTTPS_PAGE = OLI_HTTPS + "page_id"
SCHEMES = [
    ("extensions may be under https", PART, {"ext(page_id)": DROP, f"context.extensions.{OLI}": DROP}, HTTPS_PAGE, 1234, 1234),
    ("http wins over https", PART, {}, HTTPS_PAGE, 1234, 60480),
]

KINDS = [
    ("answered is completed", PART, {"verb.id": ADL + "answered"}, {"event_kind": PART, "verb_id": ADL + "answered"}),
    ("evaluated is completed", ACTIVITY, {"verb.id": ADL + "evaluated"}, {"event_kind": ACTIVITY, "verb_id": ADL + "evaluated"}),
    ("a page attempt may be answered", PAGE, {"verb.id": ADL + "answered"}, {"event_kind": PAGE}),
    ("a page may be experienced", VIEW, {"verb.id": ADL + "experienced"}, {"kind": "page_viewed", "event_kind": "page_viewed"}),
    ("a video may be experienced", "video_played", {"verb.id": ADL + "experienced"}, {"kind": "video", "event_kind": "video_experienced"}),
    ("a video may be experienced without a type", "video_played", {"verb.id": ADL + "experienced", "object.definition.type": DROP},
     {"event_kind": "video_experienced"}),
    ("an experienced video may name its element in the result only", "video_played",
     {"verb.id": ADL + "experienced", "object.definition.type": DROP, "ext(content_element_id)": DROP, "result.extensions.content_element_id": "e1"},
     {"event_kind": "video_experienced", "content_element_id": "e1"}),
    ("without a type, a part GUID says part", PART, {"object.definition.type": DROP}, {"event_kind": PART}),
    ("without a definition, a part GUID says part", PART, {"object.definition": DROP}, {"event_kind": PART}),
    ("without a type, an activity GUID says activity", ACTIVITY, {"object.definition.type": None}, {"event_kind": ACTIVITY}),
    ("without a type, a page GUID with a score says page", PAGE, {"object.definition.type": DROP}, {"event_kind": PAGE}),
    ("without a type, a page GUID without a score says nothing", PAGE, {"object.definition.type": DROP, "result.score": DROP},
     {"kind": "other", "event_kind": "unknown"}),
    ("a type of another verb is unknown", PART, {"verb.id": ADL + "failed"}, {"kind": "other", "event_kind": "unknown"}),
    ("an unknown type is unknown", PART, {"object.definition.type": "urn:x"}, {"kind": "other", "event_kind": "unknown"}),
    ("the older name of tutor messages", "tutor_activity_message", {}, {"kind": "tutor_message", "event_kind": "tutor_activity_message"}),
]  # fmt: skip

ATTEMPTS = [
    ("the session is absent in 2024", PART, {"ext(session_id)": DROP}, {"session_id": None, "coerced": None}),
    ("the session may be null", PART, {"ext(session_id)": None}, {"session_id": None, "coerced": None}),
    ("scores may be integers", PART, {"result.score": {"raw": 3, "max": 4, "min": 0, "scaled": 0.75}}, {"score": 3.0, "out_of": 4.0}),
    ("the points possible can be 0", PART, {"result.score": {"raw": 0, "max": 0, "min": 0, "scaled": 0.0}}, {"out_of": 0.0, "scaled_score": 0.0}),
    ("a response may be null", PART, {"result.response": None}, {"response": None, "response_json": None}),
    ("a response's input may be null", PART, {"result.response": {"files": [], "input": None}},
     {"response": None, "response_json": '{"files":[],"input":null}'}),
    ("a response's input may be a number", PART, {"result.response": {"input": 3.50}}, {"response": "3.5"}),
    ("a response may have no input", PART, {"result.response": {"a": 1}}, {"response": '{"a":1}', "response_json": '{"a":1}'}),
    ("a response's input may be an object", PART, {"result.response": {"input": {"a": [1]}}}, {"response": '{"a":[1]}'}),
    ("a response may be text", PART, {"result.response": 'say "a"'}, {"response": 'say "a"', "response_json": r'"say \"a\""'}),
    ("a response may be a list", PART, {"result.response": ["a", 1]}, {"response": '["a",1]'}),
    ("a response may be empty text", PART, {"result.response": {"input": ""}}, {"response": ""}),
    ("feedback may be text", PART, {"rext(feedback)": "Well done"}, {"feedback": "Well done", "feedback_json": '"Well done"'}),
    ("feedback may be null", PART, {"rext(feedback)": None}, {"feedback": None, "feedback_json": None}),
    ("feedback may be false", PART, {"rext(feedback)": False}, {"feedback": "false", "feedback_json": "false"}),
    ("no hints", PART, {"ext(hints_requested)": []}, {"hints_requested": 0, "hint_ids": "[]"}),
    ("hints in request order", PART, {"ext(hints_requested)": ["b", "a", "b"]}, {"hints_requested": 3, "hint_ids": '["b","a","b"]'}),
    ("hint ids may be integers", PART, {"ext(hints_requested)": [7, "8"]}, {"hints_requested": 2, "hint_ids": '["7","8"]', "coerced": None}),
    ("hints that are no list", PART, {"ext(hints_requested)": 2}, {"hints_requested": None, "hint_ids": None, "coerced": "hint_ids"}),
    ("no objectives", PART, {"ext(attached_objectives)": []}, {"attached_objectives": "[]"}),
    ("objectives twice", PART, {"ext(attached_objectives)": [5, 5]}, {"attached_objectives": "[5,5]"}),
    ("objectives as digits", PART, {"ext(attached_objectives)": ["59012", 7]}, {"attached_objectives": "[59012,7]", "coerced": None}),
    ("objectives that are none", PART, {"ext(attached_objectives)": {"1": [5]}}, {"attached_objectives": None, "coerced": "attached_objectives"}),
    ("a view without a sub type", VIEW, {"object.definition.subType": DROP}, {"page_sub_type": None, "coerced": None}),
    ("an advanced page", VIEW, {"object.definition.subType": "advanced"}, {"page_sub_type": "advanced"}),
    ("tutor XML need not be well-formed", TUTOR, {"result.message": "<message><a & b"}, {"tutor_xml": "<message><a & b"}),
]  # fmt: skip

INTRO = {"ext(page_attempt_guid)": None, "ext(page_attempt_number)": None, "ext(content_element_id)": "60480"}
VIDEOS = [
    ("legacy completed has page_id instead", "video_completed", {"ext(resource_id)": DROP, "ext(page_id)": 60499, "registration": DROP},
     {"page_id": 60499, "coerced": None}),
    ("resource_id wins over page_id", "video_paused", {"ext(page_id)": 1}, {"page_id": 60480}),
    ("intro videos have no page attempt", "video_played", INTRO,
     {"page_attempt_guid": None, "page_attempt_number": None, "page_id": 60480, "content_element_id": "60480", "coerced": None}),
    ("the element may be in the result", "video_played", {"ext(content_element_id)": DROP, "result.extensions.content_element_id": "e9"},
     {"content_element_id": "e9"}),
    ("the time may be video_play_time", "video_played", {"result.extensions": {"video_play_time": 3.5}}, {"video_time": 3.5}),
    ("the length may be in the result's extensions", "video_played", {"vctx(length)": DROP, "vres(length)": 9}, {"video_length": 9.0}),
    ("the length may be a plain extension of the result", "video_played", {"vctx(length)": DROP, "result.extensions.length": 9}, {"video_length": 9.0}),
    ("the length may be in the result", "video_played", {"vctx(length)": DROP, "result.length": 9}, {"video_length": 9.0}),
    ("the length may be in the definition", "video_played", {"vctx(length)": DROP, "object.definition.extensions": {"length": 9}}, {"video_length": 9.0}),
    ("the length may be null", "video_played", {"vctx(length)": None}, {"video_length": None, "coerced": None}),
    ("progress may be null", "video_paused", {"vres(progress)": None}, {"video_progress": None, "coerced": None}),
    ("progress may pass 1", "video_paused", {"vres(progress)": 2.25}, {"video_progress": 2.25}),
    ("no segments", "video_paused", {"vres(played-segments)": ""}, {"video_played_segments": ""}),
    ("a segment may be open", "video_paused", {"vres(played-segments)": "12.5[.]"}, {"video_played_segments": "12.5[.]"}),
    ("times may be integers", "video_played", {"vres(time)": 12}, {"video_time": 12.0}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("event_kind", "changes", "columns"), [pytest.param(*rest, id=says) for says, *rest in (*ENVELOPE, *KINDS, *ATTEMPTS, *VIDEOS)]
)
def test_a_variant(event_kind, changes, columns):
    found = row_with(event_kind, changes)
    assert {name: found[name] for name in columns} == columns


@pytest.mark.parametrize(("event_kind", "changes", "member", "value", "page"), [pytest.param(*rest, id=says) for says, *rest in SCHEMES])
def test_a_variant_of_the_extension_scheme(event_kind, changes, member, value, page):
    made = statement(event_kind, changes)
    made["context"]["extensions"][member] = value
    assert row(line(made))["page_id"] == page


@pytest.mark.parametrize("event_kind", EXAMPLES)
def test_every_kind_reads_all_its_extensions_under_https(event_kind):
    renamed = line(EXAMPLES[event_kind]).replace(f'"{OLI}'.encode(), f'"{OLI_HTTPS}'.encode())
    type_ = EXAMPLES[event_kind]["object"]["definition"]["type"]
    verb = EXAMPLES[event_kind]["verb"]["id"]
    assert row(line(changed(json.loads(renamed), {"object.definition.type": type_, "verb.id": verb}))) == row(line(EXAMPLES[event_kind]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-03T15:06:41Z", datetime(2026, 2, 3, 15, 6, 41, tzinfo=UTC)),
        *(
            (f"2026-02-03T15:06:41.{'123456789'[:n]}Z", datetime(2026, 2, 3, 15, 6, 41, int(f"{'123456789'[:n]:0<6}"[:6]), tzinfo=UTC))
            for n in range(1, 10)
        ),
        ("2026-02-03T15:06:41.999999999Z", datetime(2026, 2, 3, 15, 6, 41, 999999, tzinfo=UTC)),
        ("2026-02-03T15:06:41", datetime(2026, 2, 3, 15, 6, 41, tzinfo=UTC)),
        ("2026-02-03T15:06:41.5", datetime(2026, 2, 3, 15, 6, 41, 500000, tzinfo=UTC)),
        ("2026-02-03T23:06:41-05:00", datetime(2026, 2, 4, 4, 6, 41, tzinfo=UTC)),
        ("2026-02-03T01:06:41+0530", datetime(2026, 2, 2, 19, 36, 41, tzinfo=UTC)),
        ("2026-02-03 15:06:41z", datetime(2026, 2, 3, 15, 6, 41, tzinfo=UTC)),
    ],
)
def test_a_time(text, expected):
    found = row_with(PART, {"timestamp": text})
    assert (found["timestamp"], found["timestamp_text"]) == (expected, text)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-02-30T00:00:00Z", "2026-02-03", "2026-02-03T15:06Z", "2026-02-03T25:00:00Z", "2026-02-03T15:06:41.Z",
     "2026-02-03T15:06:41.1234567890Z", "2026-02-03T15:06:41+99:99", "2026-02-03T15:06:41 UTC", "1899-12-31T23:59:59Z", "2300-01-01T00:00:00Z",
     "0001-01-01T00:00:00+10:00", "٢٠٢٦-02-03T15:06:41Z"],
)  # fmt: skip
def test_no_time_refuses_the_line(text):
    refused = refusal(line(statement(PART, {"timestamp": text})))
    assert refused.reason == "wrong_type"
    assert refused.detail.endswith("at `$.timestamp`")


def test_a_statement_of_an_unknown_kind_is_kept_whole():
    made = line(statement(VIEW, {"object.definition.type": "urn:new", "result": {"x": "é\u2028"}}))
    spaced = b" " + made + b"\t"
    assert row(spaced)["statement"] == spaced.decode()


def test_the_least_a_statement_of_an_unknown_kind_has():
    least = {"actor": {"mbox": "mailto:a@b.c"}, "verb": {"id": "urn:did"}, "timestamp": "2026-01-02T00:00:00Z"}
    found = row(line(least))
    assert (found["kind"], found["section_id"], found["project_id"], found["verb_id"]) == ("other", SECTION, None, "urn:did")


# Refusals


def _named(*cases: tuple[str, Any]) -> list[Any]:
    return [pytest.param(*rest, id=says) for says, *rest in cases]


@pytest.mark.parametrize(
    ("body", "reason"),
    _named(
        ("bytes that are no UTF-8", b'{"a":"\xff"}', "not_utf8"),
        ("a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}', "not_utf8"),
        ("UTF-8 cut short", line({"a": "é"})[:-3], "not_utf8"),
        ("UTF-16", '{"a":"é"}'.encode("utf-16"), "not_utf8"),
        ("words", SECRET.encode(), "not_json"),
        ("two statements on a line", line(EXAMPLES[VIEW]) * 2, "not_json"),
        ("a raw control character", b'{"a":"\x01"}', "not_json"),
        ("a byte order mark", b"\xef\xbb\xbf" + line(EXAMPLES[VIEW]), "not_json"),
        ("NaN", b'{"a":NaN}', "not_json"),
        ("NaN next to an emoji", rb'{"a":NaN,"b":"\ud83d\ude00"}', "not_json"),
        ("a number with a leading zero", b'{"a":01}', "not_json"),
        ("a line cut in two", line(EXAMPLES[PART])[:700], "truncated"),
        ("only an opening brace", b"{", "truncated"),
        ("null", b"null", "not_object"),
        ("a list", b" [1]", "not_object"),
        ("text", f'"{SECRET}"'.encode(), "not_object"),
        ("a number", b"952", "not_object"),
        ("half of a surrogate pair", line(EXAMPLES[PART]).replace(b'"2887301124"', rb'"a\ud83d b"'), "lone_surrogate"),
        ("half of a pair at the end of a text", line(EXAMPLES[PART]).replace(b'"2887301124"', rb'"\ud83d"'), "lone_surrogate"),
        ("the second half alone", line(EXAMPLES[PART]).replace(b'"2887301124"', rb'"\ude00"'), "lone_surrogate"),
        ("half of a pair in a name", rb'{"\ud83d":1}', "lone_surrogate"),
        ("brackets without end", b'{"a":' * 100_000, "too_deep"),
        ("lists without end", b"[" * 1_000_000, "too_deep"),
        ("deep but well-formed", b'{"a":' * 500 + b"1" + b"}" * 500, "too_deep"),
        ("no members", b"{}", "missing_field"),
    ),
)
def test_a_line_that_is_no_statement_is_refused_with_its_reason(body, reason):
    refused = refusal(body)
    assert (refused.reason, refused.raw, refused.raw_bytes) == (reason, body, len(body))
    assert refused.digest == hashlib.sha256(body).digest()
    assert SECRET not in refused.detail


def test_a_pair_of_surrogates_is_text():
    assert row(line(EXAMPLES[PART]).replace(b'"2887301124"', rb'"\ud83d\ude00"'))["response"] == "😀"


def test_the_deepest_statement_that_is_read():
    inner: Any = "x"
    for _ in range(MAX_DEPTH - 3):  # the statement, its result and the response are three
        inner = [inner]
    assert row_with(PART, {"result.response": {"input": inner}})["response"].endswith("]")
    assert refusal(line(statement(PART, {"result.response": {"input": [inner]}}))).reason == "too_deep"


def test_brackets_in_text_are_not_depth():
    text = '[{"\\' * 300
    assert row_with(PART, {"result.response": {"input": text}})["response"] == text


REQUIRED = {
    PART: [
        "actor", "actor.account.name", "actor.account.homePage", "verb", "verb.id", "object", "context", "context.extensions", "timestamp",
        "ext(project_id)", "ext(publication_id)", "ext(page_id)", "ext(page_attempt_guid)", "ext(page_attempt_number)", "ext(activity_id)",
        "ext(activity_revision_id)", "ext(activity_attempt_guid)", "ext(activity_attempt_number)", "ext(part_id)", "ext(part_attempt_guid)",
        "ext(part_attempt_number)", "ext(hints_requested)", "ext(attached_objectives)", "result", "result.score", "result.score.raw",
        "result.score.max", "result.score.scaled", "result.response", "result.completion", "result.success", "rext(feedback)",
    ],
    ACTIVITY: ["result.score.raw", "ext(activity_attempt_guid)"],
    PAGE: ["result.score", "ext(page_attempt_guid)"],
    VIEW: ["ext(page_id)", "ext(page_attempt_guid)", "result.success"],
    "video_played": ["object.id", "object.definition.name", "object.definition.name.en-US", "ext(page_attempt_guid)", "ext(resource_id)",
                     "ext(content_element_id)"],
    TUTOR: ["result.message", "ext(activity_id)"],
    "experiment_condition_assigned": ["ext(project_id)", "timestamp"],
}  # fmt: skip


@pytest.mark.parametrize(("event_kind", "path"), [(kind, path) for kind, paths in REQUIRED.items() for path in paths])
def test_a_field_that_every_emitter_writes_is_missed(event_kind, path):
    refused = refusal(line(statement(event_kind, {path: DROP})))
    assert refused.reason == "missing_field"
    assert refused.detail.endswith(f"at `{json_path(path)}`")


def test_a_user_without_id_is_missed():
    refused = refusal(line(statement(PART, {"actor": {"objectType": "Agent"}})))
    assert (refused.reason, refused.detail) == ("missing_field", "Expected the user's id - at `$.actor.account.name`")


def test_a_section_that_nobody_says_is_missed():
    refused = refusal(line(statement(PART, {"ext(section_id)": DROP})), section=None)
    assert (refused.reason, refused.detail[-len(json_path("ext(section_id)")) - 1 : -1]) == ("missing_field", json_path("ext(section_id)"))


JOINING = {
    PART: {
        "actor": SECRET, "actor.account": SECRET, "actor.account.name": [SECRET], "actor.account.homePage": 952, "verb": SECRET, "verb.id": 952,
        "context": SECRET, "context.extensions": [SECRET], "timestamp": 952, "result": SECRET, "result.score": SECRET, "result.score.raw": SECRET,
        "ext(section_id)": SECRET, "ext(page_id)": SECRET, "ext(page_attempt_guid)": 952, "ext(activity_id)": 9.52, "ext(activity_attempt_guid)": [SECRET],
        "ext(part_id)": {SECRET: 1}, "ext(part_attempt_guid)": None,
    },
    "video_played": {"ext(resource_id)": SECRET, "ext(page_attempt_guid)": 952, "object": SECRET},
}  # fmt: skip


@pytest.mark.parametrize(
    ("event_kind", "path", "value"), [(kind, path, value) for kind, pairs in JOINING.items() for path, value in pairs.items()]
)
def test_a_field_that_joins_or_orders_of_a_wrong_type_refuses_the_line(event_kind, path, value):
    refused = refusal(line(statement(event_kind, {path: value})))
    assert refused.reason == "wrong_type"
    assert refused.detail.endswith(f"at `{json_path(path)}`")
    assert "952" not in refused.detail  # the secret ends so, too


@pytest.mark.parametrize("value", ["", "-1", "1.0", "1e3", "0x1", "1 2", "१२", str(2**63), "9" * 5000, -1, 2**63, True, 1.5, [1], {}])
def test_an_id_that_is_none_refuses_the_line(value):
    assert refusal(line(statement(PART, {"ext(page_id)": value}))).reason == "wrong_type"


@pytest.mark.parametrize("value", ["", True, 1.5, [], {}, None])
def test_a_user_id_that_is_none_refuses_the_line(value):
    assert refusal(line(statement(PART, {"actor.account.name": value}))).reason == "wrong_type"


@pytest.mark.parametrize("user", [10**18, 0, -5])
def test_a_user_id_of_any_size_is_text(user):
    assert row_with(PART, {"actor.account.name": user})["user_id"] == str(user)


COERCED = {
    PART: {
        "id": "statement_id", "verb.display": "verb_display", "verb.display.en-US": "verb_display", "ext(project_id)": "project_id",
        "ext(publication_id)": "publication_id", "ext(enrollment_id)": "enrollment_id", "ext(page_attempt_number)": "page_attempt_number",
        "ext(activity_revision_id)": "activity_revision_id", "ext(activity_attempt_number)": "activity_attempt_number",
        "ext(part_attempt_number)": "part_attempt_number", "ext(attached_objectives)": "attached_objectives", "ext(session_id)": "session_id",
        "result.score.max": "out_of", "result.score.scaled": "scaled_score", "result.success": "success", "result.completion": "completion",
    },
    VIEW: {"object.definition.subType": "page_sub_type"},
    "video_completed": {
        "ext(content_element_id)": "content_element_id", "vres(time)": "video_time", "vres(progress)": "video_progress",
        "vres(played-segments)": "video_played_segments", "vctx(length)": "video_length", "vres(time-from)": "video_seek_from",
        "vres(time-to)": "video_seek_to", "object.id": "video_url", "object.definition.name.en-US": "video_title",
        "result.extensions.video_play_time": "video_time", "result.extensions.length": "video_length", "result.length": "video_length",
        "object.definition.extensions": "video_length", "object.definition.extensions.length": "video_length",
    },
    TUTOR: {"result.message": "tutor_xml"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("event_kind", "path", "column"), [(kind, path, column) for kind, pairs in COERCED.items() for path, column in pairs.items()]
)
def test_any_other_field_of_a_wrong_type_becomes_null_and_is_counted(event_kind, path, column):
    found = row_with(event_kind, {path: [SECRET]})
    assert found["coerced"] == column
    assert column in tables.UNION
    if (
        path not in ("result.extensions.video_play_time", "result.extensions.length", "result.length")
        and "definition.extensions" not in path
    ):
        assert found[column] is None
    assert SECRET not in str(found)


def test_several_coerced_fields_are_named_once_each_in_order():
    wrong = {"result.success": 1, "ext(project_id)": "x", "vres(length)": "x", "vctx(length)": "x"}
    assert row_with(VIEW, wrong)["coerced"] == "project_id,success"
    assert (
        row_with("video_played", {"vctx(length)": "x", "vres(length)": "y", "ext(project_id)": "z"})["coerced"] == "project_id,video_length"
    )


@pytest.mark.parametrize("kind", tables.EVENT_KINDS)
def test_whatever_can_be_coerced_is_a_column(kind):
    """No example can show this for all fields of all shapes: the shapes are walked."""
    from torus_assets.xapi.kinds import KINDS
    from torus_assets.xapi.parse import _column_of, _fields
    from torus_assets.xapi.statements import JOINING as REFUSES

    waiting, names = [KINDS[kind].shape], set()
    while waiting:
        for field in _fields(waiting.pop()):
            if field.shape is not None:
                waiting.append(field.shape)
            if not field.refuses and not field.is_raw:
                names.add(_column_of(field))
    assert names - REFUSES <= {column.name for column in tables.BY_KIND[kind].columns}


# Lines


def _numbers(parsed: Parsed) -> list[int]:
    return [event.line for event in parsed.events] + [refused.line for refused in parsed.refusals]


@pytest.mark.parametrize(
    ("body", "lines", "blank", "numbers"),
    _named(
        ("no bytes have no lines", b"", 0, 0, []),
        ("one line without its end", b"%s", 1, 0, [1]),
        ("a last LF makes no further line", b"%s\n", 1, 0, [1]),
        ("two last LFs make a blank line", b"%s\n\n", 2, 1, [1]),
        ("only an LF is a blank line", b"\n", 1, 1, []),
        ("white space is blank", b" \t\r\n\r\n  \n%s", 4, 3, [1]),
        ("numbers skip blank lines", b"\n%s\n\n \n%s\n", 5, 3, [1, 2]),
        ("a CR belongs to the line end", b"%s\r\n%s\r\n", 2, 0, [1, 2]),
        ("a CR alone ends nothing", b"%s\r%s", 1, 0, [1]),
    ),
)
def test_lines(body, lines, blank, numbers):
    statement_ = line(EXAMPLES[VIEW])
    parsed = parse(body.replace(b"%s", statement_), SECTION)
    assert (parsed.lines, parsed.blank, _numbers(parsed)) == (lines, blank, numbers)


def test_a_line_end_is_not_part_of_the_event():
    made = line(EXAMPLES[VIEW])
    digests = [[event.digest for event in parse(body, SECTION).events] for body in (made, made + b"\n", made + b"\r\n")]
    assert digests == [[hashlib.sha256(made).digest()]] * 3


def test_only_one_cr_belongs_to_the_line_end_and_none_without_an_lf():
    made = line(EXAMPLES[VIEW])
    assert lines_of(made + b"\r\r\n" + made + b"\r") == [made + b"\r", made + b"\r"]


def test_refused_lines_are_numbered_with_the_others():
    parsed = parse(b"\n".join([b"words", line(EXAMPLES[VIEW]), b"", b"{}", line(EXAMPLES[PART])]), SECTION)
    assert [event.line for event in parsed.events] == [2, 4]
    assert [(refused.line, refused.reason) for refused in parsed.refusals] == [(1, "not_json"), (3, "missing_field")]
    assert (parsed.lines, parsed.blank) == (5, 1)


def test_u2028_inside_a_string_is_text_and_ends_no_line():
    made = line(statement(PART, {"result.response": {"input": "a\u2028b\u2029c\x85d"}}))
    assert len(parse(made + b"\n" + made, SECTION).events) == 2


# Over-long lines


def test_the_longest_line_that_is_read():
    made = line(EXAMPLES[VIEW])
    assert len(parse(made + b"\r\n", SECTION, len(made)).events) == 1
    assert refusal(made, max_line_bytes=len(made) - 1).reason == "too_long"


def test_an_over_long_line_keeps_its_beginning_its_length_and_its_hash():
    made = line(statement(PART, {"result.response": {"input": SECRET + "x" * 10_000}}))
    refused = refusal(made, max_line_bytes=5000)
    assert (refused.reason, refused.raw, refused.raw_bytes) == ("too_long", made[:KEPT_BYTES], len(made))
    assert refused.digest == hashlib.sha256(made).digest()
    assert SECRET not in refused.detail


@pytest.mark.parametrize("block", [1, 2, 3, 7, 1000, 1 << 20])
def test_over_long_lines_are_the_same_however_they_arrive(block):
    """With a limit below the kept prefix as well: the prefix grows over several blocks."""
    made = line(statement(PART, {"result.response": {"input": "x" * 6000}}))
    body = b"\r\n".join([made, line(EXAMPLES[VIEW]), b"", made + b"y" * 10 + b"\r", b"z" * 1030 + b"\r"])
    blocks = [body[at : at + block] for at in range(0, len(body), block)]
    assert parse_lines(streamed_lines(blocks, 1028), SECTION, 1028) == parse(body, SECTION, 1028)


def test_neighbours_of_an_over_long_line_go_on():
    made = line(EXAMPLES[VIEW])
    stand_in = OverLong(b"{", 1 << 30, b"\0" * 32)
    parsed = parse_lines([made, stand_in, b"", made], SECTION)
    assert ([event.line for event in parsed.events], [refused.line for refused in parsed.refusals]) == ([1, 3], [2])
    assert parsed.refusals[0][:2] == ("too_long", f"Expected at most {16 << 20} bytes, got {1 << 30}")
