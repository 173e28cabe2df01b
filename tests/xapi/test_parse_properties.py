"""What holds for any bytes: one fate per line and no exception; and both ways of reading a statement agree."""

from __future__ import annotations

import copy
import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.factories import EXAMPLES, OLI, OLI_HTTPS, SECTION, line
from torus_assets.xapi import parse, tables
from torus_assets.xapi.decode import SCHEMAS
from torus_assets.xapi.statements import Refused

LIMIT = 64
KINDS = sorted(EXAMPLES)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8) | st.sampled_from(["", "0", "3021", " 7 ", "-1", "1.5"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in members for place in ((*path, key), *places(inner, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid statement with up to three members replaced, dropped, renamed to https or said twice, as text damaged or not."""
    made = copy.deepcopy(EXAMPLES[draw(st.sampled_from(KINDS))])
    for _ in range(draw(st.integers(0, 3))):
        found = places(made)
        if not found:
            break
        *above, last = draw(st.sampled_from(found))
        owner: Any = made
        for key in above:
            owner = owner[key]
        action = draw(st.sampled_from(["replace", "replace", "drop", "https", "digits"]))
        if action == "replace":
            owner[last] = draw(json_values)
        elif action == "digits":
            owner[last] = str(owner[last])
        elif action == "drop" or not isinstance(owner, dict):
            del owner[last]
        else:
            owner[str(last).replace(OLI, OLI_HTTPS)] = owner[last]
            if draw(st.booleans()):
                del owner[last]
    body = (
        json.dumps(made, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from([None, None, "\t"])))
        .replace("\n", " ")
        .encode(errors="surrogatepass")
    )
    if draw(st.integers(0, 4)) == 0 and b'"' in body:  # damage within: escapes, duplicate members, numbers out of range
        at = draw(st.integers(0, len(body)))
        body = (
            body[:at] + draw(st.sampled_from([rb"\ud800", rb"\u0041", b'"a":1,', b"1e999", b"\x00", b"[", b" ", b'"', b"\xff"])) + body[at:]
        )
    return body


def outcome(way: Any, body: bytes) -> tuple[str, Any]:
    try:
        return "row", way(body, SECTION)
    except Refused as refused:
        return "refused", (refused.reason, refused.detail)


@settings(max_examples=700)
@given(mutated())
@example(line(EXAMPLES["part_attempt_evaluated"]).replace(b'"2887301124"', rb'"\ud800"'))
@example(line(EXAMPLES["page_viewed"]).replace(b'"registration"', b'"x"'))
def test_the_strict_way_gives_what_the_tolerant_way_gives(body):
    try:
        body.decode()
    except UnicodeDecodeError:
        return  # refused before either way
    assert outcome(parse.row_of, body) == outcome(parse.tolerant_row, body)


@pytest.mark.parametrize("event_kind", [kind for kind in KINDS if kind not in ("tutor_activity_message", "experiment_condition_assigned")])
def test_an_example_takes_the_strict_way(event_kind, monkeypatch):
    """Else the property above would compare the tolerant way with itself."""
    monkeypatch.setattr(parse, "tolerant_row", lambda *_: pytest.fail("took the tolerant way"))
    parse.row_of(line(EXAMPLES[event_kind]), SECTION)


@settings(max_examples=300)
@given(
    st.lists(mutated() | st.binary(max_size=40) | st.sampled_from([b"", b" ", b"{}", b"null", b"[" * 200]), max_size=6),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_every_line_has_one_fate(lines, end, ends):
    parsed = parse.parse(end.join(lines) + (end if ends else b""), SECTION)
    assert parsed.lines == len(parsed.events) + len(parsed.refusals) + parsed.blank
    numbers = [event.line for event in parsed.events] + [refused.line for refused in parsed.refusals]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    for refused in parsed.refusals:
        assert refused.reason in tables.REASONS
        assert (refused.raw_bytes, refused.digest) == (len(refused.raw), hashlib.sha256(refused.raw).digest())
    for event in parsed.events:
        assert len(event.row) == len(SCHEMAS[event.kind]) - 3
        assert event.row[0] is not None, "a row without a section"


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_become_rows_or_reasons(body):
    parsed = parse.parse(body, None)
    assert parsed.lines == len(parse.lines_of(body)) == len(parsed.events) + len(parsed.refusals) + parsed.blank


def test_refusals_say_nothing_of_the_line():
    """Each member of each example in turn is replaced by a word that no detail may repeat."""
    word = "Rosalind952"
    for made in EXAMPLES.values():
        for *above, last in places(made):
            damaged = copy.deepcopy(made)
            owner: Any = damaged
            for key in above:
                owner = owner[key]
            owner[last] = {word: word}
            for refused in parse.parse(line(damaged), SECTION).refusals:
                assert word not in refused.detail


pieces = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\r", b"a", b"x" * (LIMIT - 1), b"y" * LIMIT, b"z" * (LIMIT + 1), b"w" * 300]), max_size=12
)


def cut(body: bytes, sizes: list[int]) -> list[bytes]:
    blocks, at = [], 0
    for size in sizes:
        blocks.append(body[at : at + size])
        at += size
    return [*blocks, body[at:]]


@settings(max_examples=500)
@given(pieces.map(b"".join) | st.binary(max_size=400), st.lists(st.integers(0, 90), max_size=30))
def test_lines_are_the_same_however_the_body_arrives(body, sizes):
    found = list(parse.streamed_lines(cut(body, sizes), LIMIT))
    expected = parse.lines_of(body)
    assert [line_ if isinstance(line_, bytes) else (line_.length, line_.digest) for line_ in found] == [
        line_ if len(line_) <= LIMIT else (len(line_), hashlib.sha256(line_).digest()) for line_ in expected
    ]
    kept = [line_.prefix for line_ in found if isinstance(line_, parse.OverLong)]
    assert kept == [line_[: parse.KEPT_BYTES] for line_ in expected if len(line_) > LIMIT]


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_lines_and_their_ends_are_the_body(body):
    """No byte is lost but line ends: LF always, CR before LF once."""
    assert b"\n".join(parse.lines_of(body)) == body.replace(b"\r\n", b"\n").removesuffix(b"\n")
