"""One parse for every path: the bytes of a line become one row or one refusal, never an exception.

Two ways give the same answer. The *strict* way decodes the line straight into the typed shape of the kind that its bytes suggest
(353 k lines a CPU second here); whatever does not fit takes the *tolerant* way, field by field, which knows every variant
(spec/xapi.md 2 to 4) and names what is wrong. The strict way is only a faster road to rows the tolerant way would give too, and a
property test holds it to that.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Raw

from torus_assets.xapi import kinds, statements
from torus_assets.xapi.kinds import KINDS, Row
from torus_assets.xapi.statements import JOINING, OLI, OLI_HTTPS, Refused

MAX_DEPTH = 128  # brackets open at once; Torus' deepest feedback is about 20. Python's own limit differs by version.
KEPT_BYTES = 4096  # of an over-long line

_HTTPS = OLI_HTTPS.encode()
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)  # possessive: a 15 MB text took 1.9 GB to step back into
_BRACKETS = re.compile(rb"[\[\]{}]")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

# Bytes that only a statement of the kind has, most frequent kind first. A guess: the decoded type decides.
_MARKS = (
    (f'"{kinds.PART_ATTEMPT_TYPE}"'.encode(), "part_attempt"),
    (f'"{kinds.ACTIVITY_ATTEMPT_TYPE}"'.encode(), "activity_attempt"),
    (f'"{kinds.PAGE_TYPE}"'.encode(), "page_viewed"),
    (f'"{kinds.VIDEO_TYPE}"'.encode(), "video"),
    (f'"{kinds.PAGE_ATTEMPT_TYPE}"'.encode(), "page_attempt"),
    (f'"{OLI}tutor_message"'.encode(), "tutor_message"),
)
_STRICT = {kind: msgspec.json.Decoder(KINDS[kind].shape) for _, kind in _MARKS}
_ANY = msgspec.json.Decoder(Raw)
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_TEXT = msgspec.json.Decoder(str)
_TEXTS = msgspec.json.Decoder(list[str | int])


class Event(NamedTuple):
    """A line that became a row; `row` is in the order of the kind's columns after those of its place."""

    kind: str
    digest: bytes  # SHA-256 of the line's bytes
    line: int  # among the non-blank lines, from 1
    row: Row


class Refusal(NamedTuple):
    """A line that was refused, with its bytes (a prefix of them when it is over long)."""

    reason: str
    detail: str
    digest: bytes
    line: int
    raw: bytes
    raw_bytes: int


class OverLong(NamedTuple):
    """Stands for a line of more than the largest size: its first bytes, its length and its SHA-256."""

    prefix: bytes
    length: int
    digest: bytes


def lines_of(body: bytes) -> list[bytes]:
    """Physical lines: they end at LF, one CR before it belongs to the end, a last LF makes no further line."""
    lines = body.split(b"\n")
    if not lines[-1]:
        lines.pop()
    if b"\r" in body:
        # the CR of a last line without LF belongs to no line end
        ended = len(lines) if body.endswith(b"\n") else len(lines) - 1
        lines[:ended] = [line.removesuffix(b"\r") for line in lines[:ended]]
    return lines


def streamed_lines(blocks: Iterable[bytes], max_line_bytes: int) -> Iterator[bytes | OverLong]:
    """Physical lines of a body that arrives in blocks, in memory bounded by one block and one line."""
    held: list[bytes] = []  # of the line under way
    length = 0
    over: Any = None  # hash of an over-long line under way
    prefix = b""
    last_was_cr = False  # an over-long line's CR is hashed only when no LF follows it

    def add(part: bytes) -> None:
        nonlocal length, over, prefix, last_was_cr
        if not part:
            return
        length += len(part)
        if over is None:
            held.append(part)
            if length <= max_line_bytes + 1:
                return
            part, over = b"".join(held), hashlib.sha256()
            held.clear()
        prefix += part[: KEPT_BYTES - len(prefix)]
        if last_was_cr:
            over.update(b"\r")
        last_was_cr = part.endswith(b"\r")
        over.update(part[:-1] if last_was_cr else part)

    def end(*, by_lf: bool) -> bytes | OverLong:
        nonlocal length, over, prefix, last_was_cr
        if over is None:
            line = b"".join(held)
            if by_lf:
                line = line.removesuffix(b"\r")
            done: bytes | OverLong = (
                line if len(line) <= max_line_bytes else OverLong(line[:KEPT_BYTES], len(line), hashlib.sha256(line).digest())
            )
        else:
            if last_was_cr and not by_lf:
                over.update(b"\r")
            length -= last_was_cr and by_lf
            done = OverLong(prefix[:length], length, over.digest())
        held.clear()
        length, over, prefix, last_was_cr = 0, None, b"", False
        return done

    for block in blocks:
        start = 0
        while (at := block.find(b"\n", start)) >= 0:
            add(block[start:at])
            yield end(by_lf=True)
            start = at + 1
        add(block[start:])
    if length:
        yield end(by_lf=False)


class Parsed(NamedTuple):
    """One pass over a bundle: `lines = events + refusals + blank`."""

    events: list[Event]
    refusals: list[Refusal]
    lines: int
    blank: int


def parse(body: bytes, section: int | None, max_line_bytes: int = 16 << 20) -> Parsed:
    """Every line of a bundle as an event or a refusal, in file order; blank lines are counted.

    Args:
        body: the object's bytes.
        section: the section of its key, for statements that do not say theirs; None for `project/` keys.
        max_line_bytes: longer lines are refused as `too_long`.
    """
    return parse_lines(lines_of(body), section, max_line_bytes)


def parse_lines(lines: Iterable[bytes | OverLong], section: int | None, max_line_bytes: int = 16 << 20) -> Parsed:
    """As `parse`, over lines that were cut already."""
    events: list[Event] = []
    refusals: list[Refusal] = []
    count = blank = number = 0
    for line in lines:
        count += 1
        if isinstance(line, OverLong) or len(line) > max_line_bytes:
            number += 1
            refusals.append(_too_long(line, number, max_line_bytes))
            continue
        if not line or line.isspace():
            blank += 1
            continue
        number += 1
        digest = hashlib.sha256(line).digest()
        try:
            kind, row = row_of(line, section)
        except Refused as refused:
            refusals.append(Refusal(refused.reason, refused.detail, digest, number, line, len(line)))
        else:
            events.append(Event(kind, digest, number, row))
    return Parsed(events, refusals, count, blank)


def _too_long(line: bytes | OverLong, number: int, limit: int) -> Refusal:
    if not isinstance(line, OverLong):
        line = OverLong(line[:KEPT_BYTES], len(line), hashlib.sha256(line).digest())
    return Refusal("too_long", f"Expected at most {limit} bytes, got {line.length}", line.digest, number, line.prefix, line.length)


def row_of(line: bytes, section: int | None) -> tuple[str, Row]:
    """The lake kind and row of one line.

    Raises:
        Refused: the line cannot become a row; reason and path are in it.
    """
    if not line.isascii():
        _check_utf8(line)
    if line.count(b"[") + line.count(b"{") > MAX_DEPTH:
        _check_depth(line)
    if _HTTPS not in line:
        for mark, kind in _MARKS:
            if mark in line:
                try:
                    statement = _STRICT[kind].decode(line)
                    found = kinds.classify(statement.object.definition.type, statement.verb.verb_id)
                    if found is not None and found[0] == kind:
                        return kind, KINDS[kind].row(statement, section, found[1], None)
                except (msgspec.MsgspecError, Refused):
                    pass  # the tolerant way says what is wrong, or finds the variant
                break
    return tolerant_row(line, section)


def tolerant_row(line: bytes, section: int | None) -> tuple[str, Row]:
    """As `row_of`, field by field: every variant, and a clear reason for every refusal."""
    _check_json(line)
    kind, event_kind = _kind_of(line)
    coerced: list[str] = []
    statement = _build(KINDS[kind].shape, Raw(line), "$", coerced)
    row = KINDS[kind].row(statement, section, event_kind, ",".join(sorted(set(coerced))) or None)
    return kind, (*row, line.decode()) if kind == "other" else row


def _check_utf8(line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise Refused("not_utf8", f"Expected UTF-8 - at byte {error.start}") from None


def _check_depth(line: bytes) -> None:
    depth = 0
    for bracket in _BRACKETS.finditer(_STRINGS.sub(b"", line)):
        depth += 1 if bracket[0] in b"[{" else -1
        if depth > MAX_DEPTH:
            raise Refused("too_deep", f"Expected at most {MAX_DEPTH} brackets open at once")


def _check_json(line: bytes) -> None:
    try:
        _ANY.decode(line)
    except RecursionError:
        raise Refused("too_deep", f"Expected at most {MAX_DEPTH} brackets open at once") from None
    except msgspec.MsgspecError as error:
        if _SURROGATE.search(line) and _is_json_but_for_surrogates(line):
            raise Refused("lone_surrogate", "Expected Unicode text, got half of a surrogate pair") from None
        if "truncated" in str(error):
            raise Refused("truncated", f"Expected more: the line ends within the statement, after {len(line)} bytes") from None
        raise Refused("not_json", str(error).removeprefix("JSON is malformed: ").capitalize()) from None
    if line.lstrip()[:1] != b"{":
        raise Refused("not_object", f"Expected `object`, got {_type_name(line.lstrip())}")


def _is_json_but_for_surrogates(line: bytes) -> bool:
    try:
        json.loads(line, parse_constant=int)  # NaN is no JSON: int() says so
    except (ValueError, RecursionError):
        return False
    return True


def _type_name(raw: bytes) -> str:
    names = {b'"': "`str`", b"[": "`array`", b"{": "`object`", b"t": "`bool`", b"f": "`bool`", b"n": "`null`"}
    return names.get(raw[:1], "number")


# The tolerant way. Members are looked at as raw JSON, so that texts stay as received.


def _kind_of(line: bytes) -> tuple[str, str]:
    top = _MEMBERS.decode(line)
    definition = _members(_members(top.get("object")).get("definition"))
    type_, verb = _text(definition.get("type")), _text(_members(top.get("verb")).get("id"))
    found = kinds.classify(type_, verb)
    if found is None and type_ is None:
        result = _members(top.get("result"))
        extensions = {**_members(result.get("extensions")), **_members(_members(top.get("context")).get("extensions"))}
        names = frozenset(name.removeprefix(OLI).removeprefix(OLI_HTTPS) for name in extensions)
        found = kinds.classify_by_fields(verb, names, "score" in result)
    return found or ("other", "unknown")


def _members(raw: Raw | None) -> dict[str, Raw]:
    """Members of a JSON object; none when it is something else."""
    return _MEMBERS.decode(raw) if raw is not None and bytes(raw)[:1] == b"{" else {}


def _text(raw: Raw | None) -> str | None:
    return _TEXT.decode(raw) if raw is not None and bytes(raw)[:1] == b'"' else None


class _Field(NamedTuple):
    """How one field of a shape is read the tolerant way."""

    attribute: str
    name: str  # in JSON
    other_name: str | None  # under the https scheme
    required: bool
    default: Any  # called for a fresh value
    decoder: msgspec.json.Decoder[Any]
    shape: Any  # of a nested object, else None
    refuses: bool  # a wrong type refuses the line; else the value becomes null and is counted
    nullable: bool
    integers: bool
    integer_list: bool
    is_raw: bool


@cache
def _fields(shape: Any) -> tuple[_Field, ...]:
    return tuple(_field(info) for info in msgspec.structs.fields(shape))


def _field(info: Any) -> _Field:
    arms = get_args(info.type) if get_origin(info.type) is not None and type(None) in get_args(info.type) else (info.type,)
    nullable = type(None) in arms
    [*types] = [arm for arm in arms if arm is not type(None)]
    nested = types[0] if len(types) == 1 and _is_shape(types[0]) else None
    wanted = str(types[0])
    return _Field(
        attribute=info.name,
        name=info.encode_name,
        other_name=OLI_HTTPS + info.encode_name.removeprefix(OLI) if info.encode_name.startswith(OLI) else None,
        required=info.required,
        default=(lambda: info.default) if info.default is not NODEFAULT else info.default_factory,
        decoder=msgspec.json.Decoder(info.type),
        shape=nested,
        refuses=info.name in JOINING or (nested is not None and not nullable),
        nullable=nullable,
        integers=len(types) == 1 and wanted.startswith("typing.Annotated[int"),
        integer_list=wanted.startswith("list[typing.Annotated[int"),
        is_raw=info.type is Raw,
    )


def _is_shape(type_: Any) -> bool:
    origin = get_origin(type_) or type_
    return isinstance(origin, type) and issubclass(origin, msgspec.Struct)


def _build(shape: Any, raw: Raw, path: str, coerced: list[str]) -> Any:
    """The shape filled from a JSON object; what is of a wrong type refuses, or becomes null and is named in `coerced`."""
    body = bytes(raw)
    if body.lstrip()[:1] != b"{":
        raise Refused("wrong_type", f"Expected `object`, got {_type_name(body)} - at `{path}`")
    members = _MEMBERS.decode(raw)
    values: dict[str, Any] = {}
    for f in _fields(shape):
        value = members.get(f.name)
        if value is None and f.other_name is not None:
            value = members.get(f.other_name)
        where = f"{path}.{f.name}"
        if value is None:
            if f.required:
                raise Refused("missing_field", f"Expected a value - at `{where}`")
            values[f.attribute] = f.default()
        elif f.shape is not None and not (f.nullable and bytes(value) == b"null"):
            values[f.attribute] = _nested(f, value, where, coerced)
        else:
            values[f.attribute] = _leaf(f, value, where, coerced)
    return (get_origin(shape) or shape)(**values)


def _nested(f: _Field, value: Raw, where: str, coerced: list[str]) -> Any:
    if not f.refuses and bytes(value)[:1] != b"{":
        coerced.append(_column_of(f))
        return None
    return _build(f.shape, value, where, coerced)


def _column_of(f: _Field) -> str:
    """A nested object that is none stands for the column its one field feeds, and an early place for the column it falls back for."""
    return (_fields(f.shape)[0] if f.shape is not None else f).attribute.removesuffix("_early")


def _leaf(f: _Field, value: Raw, where: str, coerced: list[str]) -> Any:
    if f.is_raw:
        return value
    try:
        return f.decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        repaired = _digits(f, value)
        if repaired is not None:
            return repaired
        if f.refuses or f.attribute in JOINING:
            raise Refused("wrong_type", f"{str(error).split(' - at ')[0]} - at `{where}`") from None
    coerced.append(_column_of(f))
    return None


def _digits(f: _Field, value: Raw) -> Any:
    """Integers may come as digits in text, alone or in lists."""
    try:
        if f.integers:
            return f.decoder.decode(_integer_bytes(_TEXT.decode(value)))
        if f.integer_list:
            return f.decoder.decode(b"[" + b",".join(_integer_bytes(item) for item in _TEXTS.decode(value)) + b"]")
    except (msgspec.MsgspecError, ValueError):
        pass  # not digits: the caller refuses or counts it
    return None


def _integer_bytes(item: str | int) -> bytes:
    text = str(item).strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError("not digits")
    return (text.lstrip("0") or "0").encode()


__all__ = [
    "KEPT_BYTES",
    "Event",
    "OverLong",
    "Parsed",
    "Refusal",
    "lines_of",
    "parse",
    "parse_lines",
    "row_of",
    "statements",
    "streamed_lines",
    "tolerant_row",
]
