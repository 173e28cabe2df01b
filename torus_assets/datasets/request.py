"""What a data set is asked for with: one JSON document, read whole or refused with every mistake named.

Keys: DESIGN.md 8, and `include_held` (take held days too) and `scope` (data sets of one scope share pseudonyms; default: the
job id). Ids may be numbers or digits in text. Sub types are taken as Torus sends them: misspelt, or run together
(spec/datasets.md 3.1, 3.2).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import msgspec

from torus_assets.datasets.csv_tables import ACTIONS, Action, Dialect

CHUNK_ROWS = 50_000
FORMATS = ("csv", "parquet")
DATASHOP_FORMATS = ("datashop-xml", "datashop-tab")
DIALECTS = ("rfc4180", "compat")
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
RESERVED = frozenset({"contexts", "requests"})  # folders that stand beside the jobs' folders
LATER = "comes with datasets/datashop, not with datasets/csv"


class RequestError(ValueError):
    """The document cannot be used; `problems` lists every mistake, `key: what is wrong`."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("request refused: " + "; ".join(self.problems))


@dataclass(frozen=True)
class Request:
    """A checked request in one normal form: two documents that ask for the same are equal."""

    job_id: str
    action: str
    section_ids: tuple[int, ...]
    format: tuple[str, ...] = ("csv",)
    sub_types: tuple[str, ...] = ()  # filled: all of the action, when the document names none
    page_ids: tuple[int, ...] | None = None
    ignored_student_ids: tuple[str, ...] = ()
    project_id: int | None = None
    date_from: date | None = None  # event dates, UTC, both ends included
    date_to: date | None = None
    exclude_fields: tuple[str, ...] = ()
    anonymize: bool = True
    permitted_by: str | None = None
    dialect: Dialect = "rfc4180"
    chunk_rows: int = CHUNK_ROWS
    include_held: bool = False
    scope: str = ""  # filled: the job id, when the document names none

    @property
    def table(self) -> Action:
        return ACTIONS[self.action]

    def document(self) -> dict[str, Any]:
        """The request as JSON values. Holds the ignored students: not for manifests or receipts."""
        return msgspec.to_builtins({f.name: getattr(self, f.name) for f in fields(self)})

    def __repr__(self) -> str:  # student ids must not reach a log by way of a repr
        return f"Request(job_id={self.job_id!r}, action={self.action!r}, sections={len(self.section_ids)})"


KEYS = tuple(f.name for f in fields(Request))


def parse_request(document: bytes | str | Mapping[str, Any]) -> Request:
    """The request in `document`.

    Raises:
        RequestError: with all mistakes at once.
    """
    if not isinstance(document, Mapping):
        try:
            document = msgspec.json.decode(document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError([f"not a JSON document: {error}"]) from None
        if not isinstance(document, dict):
            raise RequestError([f"expected a JSON object, got {_kind(document)}"])
    return _Reader(document).request()


class _Reader:
    """Reads key after key and collects what is wrong instead of stopping at it."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.problems: list[str] = [f"{key}: unknown key{_nearest(key, KEYS)}" for key in document if key not in KEYS]

    def request(self) -> Request:
        action = self.action()
        table = ACTIONS.get(action or "")
        job_id = self.value("job_id", _job_id, required=True)
        first, last = self.value("date_from", _day), self.value("date_to", _day)
        if first and last and first > last:
            self.problems.append(f"date_from: {first} is after date_to {last}")
        anonymize = self.value("anonymize", _truth, True)
        permitted_by = self.value("permitted_by", _text)
        if anonymize is False and not permitted_by:
            self.problems.append("permitted_by: has to say who permitted it when anonymize is false")
        values: dict[str, Any] = {
            "job_id": job_id,
            "action": action,
            "section_ids": self.value("section_ids", _ids, required=True),
            "format": self.value("format", _formats, ("csv",)),
            "sub_types": self.sub_types(table),
            "page_ids": self.value("page_ids", _page_ids),
            "ignored_student_ids": self.value("ignored_student_ids", _students, ()),
            "project_id": self.value("project_id", _id),
            "date_from": first,
            "date_to": last,
            "exclude_fields": self.exclude_fields(table),
            "anonymize": anonymize,
            "permitted_by": permitted_by,
            "dialect": self.value("dialect", _dialect, "rfc4180"),
            "chunk_rows": self.value("chunk_rows", _count, CHUNK_ROWS),
            "include_held": self.value("include_held", _truth, False),
            "scope": self.value("scope", _text, job_id),
        }
        if self.problems:
            raise RequestError(self.problems)
        return Request(**values)

    def value(self, key: str, read: Callable[[Any], Any], default: Any = None, *, required: bool = False) -> Any:
        given = self.document.get(key)
        if given is None:
            if required:
                self.problems.append(f"{key}: missing")
            return default
        try:
            return read(given)
        except ValueError as error:
            self.problems.append(f"{key}: {error}")
            return default

    def action(self) -> str | None:
        def read(given: Any) -> str:
            text = _text(given)
            if text == "datashop":
                raise ValueError(f"datashop {LATER}")
            if text not in ACTIONS:
                raise ValueError(f"unknown action {text!r}{_nearest(text, ACTIONS)}; known: {', '.join(ACTIONS)}")
            return text

        return self.value("action", read, required=True)

    def sub_types(self, table: Action | None) -> tuple[str, ...]:
        if table is None:  # names cannot be judged without an action, which is reported already
            return ()
        texts = self.value("sub_types", _texts, ())
        names: set[str] = set()
        for text in (part for given in texts for part in given.split(",") if part.strip()):
            known = _run_of(text.strip(), table.sub_types)
            if not known:
                self.problems.append(f"sub_types: unknown {text.strip()!r}{_nearest(text.strip(), table.sub_types)}")
            names.update(known)
        return tuple(name for name in table.sub_types if name in names or not names)

    def exclude_fields(self, table: Action | None) -> tuple[str, ...]:
        names = self.value("exclude_fields", _texts, ())
        if table is None:
            return names
        self.problems += [
            f"exclude_fields: {table.name} has no column {name!r}{_nearest(name, table.names)}" for name in names if name not in table.names
        ]
        if set(names) >= set(table.names):
            self.problems.append("exclude_fields: leaves no column")
        return tuple(name for name in table.names if name in names)


def _run_of(text: str, known: Iterable[str]) -> list[str]:
    """`text` as a run of known names without separator; empty when it is none. `evaluted` counts as `evaluated`."""
    text = text.replace("evaluted", "evaluated")
    if not text:
        return []
    for name in known:
        if text == name:
            return [name]
        if text.startswith(name) and (rest := _run_of(text[len(name) :], known)):
            return [name, *rest]
    return []


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected text, got {'empty text' if isinstance(value, str) else _kind(value)}")
    return value.strip()


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_kind(value)}")
    return value


def _id(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip()):
        return int(value)
    raise ValueError(f"expected an id (digits), got {_kind(value) if not isinstance(value, (int, str)) else 'something else'}")


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"expected a whole number of at least 1, got {value if isinstance(value, (int, float)) else _kind(value)}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"expected a list, got {_kind(value)}")
    return list(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_text(element) for element in _list(value)))


def _ids(value: Any) -> tuple[int, ...]:
    ids = tuple(sorted({_id(element) for element in _list(value)}))
    if not ids:
        raise ValueError("expected at least one id")
    return ids


def _page_ids(value: Any) -> tuple[int, ...] | None:
    """Torus says `all` or sends an empty list for no restriction."""
    return None if value in ("all", []) else _ids(value)


def _students(value: Any) -> tuple[str, ...]:
    """Compared as text (D-08); the message never shows one."""
    found = set()
    for element in _list(value):
        if isinstance(element, bool) or not isinstance(element, (int, str)) or not str(element).strip():
            raise ValueError(f"expected ids, found {_kind(element)}")
        found.add(str(element).strip())
    return tuple(sorted(found))


def _day(value: Any) -> date:
    text = _text(value)
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        raise ValueError(f"expected a day as YYYY-MM-DD, got {text!r}")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no day: {error}") from None


def _job_id(value: Any) -> str:
    text = _text(value)
    if not JOB_ID.fullmatch(value) or ".." in text or text in RESERVED:
        raise ValueError(
            "expected up to 128 letters, digits, `.`, `_`, `-` that begin with a letter or digit, without `..`; it becomes part of a path"
        )
    return text


def _formats(value: Any) -> tuple[str, ...]:
    names = _texts(value if isinstance(value, (list, tuple)) else [value])
    for name in names:
        if name in DATASHOP_FORMATS:
            raise ValueError(f"{name} {LATER}")
        if name not in FORMATS:
            raise ValueError(f"unknown format {name!r}{_nearest(name, FORMATS)}; known: {', '.join(FORMATS)}")
    if not names:
        raise ValueError("expected at least one format")
    return tuple(name for name in FORMATS if name in names)


def _dialect(value: Any) -> str:
    text = _text(value)
    if text not in DIALECTS:
        raise ValueError(f"unknown dialect {text!r}{_nearest(text, DIALECTS)}; known: {', '.join(DIALECTS)}")
    return text
