"""What a data set is asked for with: one JSON document, read whole or refused with every mistake named.

Keys: DESIGN.md 8, and `include_held` (take held days too), `scope` (data sets of one scope share pseudonyms; default: the job
id), `dataset_name` and `rollup` (DataShop), `preset` (`presets.py`), and the names of Torus and the old job (`old_names.py`).
Ids may be numbers or digits in text. Sub types are taken as Torus sends them: misspelt, or run together (spec/datasets.md 3.1, 3.2).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date
from typing import Any, Literal

import msgspec

from torus_assets.datasets.csv_tables import Action, Dialect, OrderName
from torus_assets.datasets.request_reader import CHUNK_ROWS, TABLES, Reader
from torus_assets.datasets.request_values import kind


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
    order: OrderName = "time"  # filled: `source` when the document asks for the dialect compat and names none
    chunk_rows: int = CHUNK_ROWS
    include_held: bool = False
    scope: str = ""  # filled: the job id, when the document names none
    dataset_name: str | None = None  # of DataShop; None: the lookup's
    rollup: Literal["csv", "parquet"] | None = None  # student-step rollup beside DataShop's files; None: none
    notes: tuple[str, ...] = field(default=(), compare=False)  # what of the document was ignored, and why: `key: reason`

    @property
    def table(self) -> Action:
        return TABLES[self.action]

    def document(self) -> dict[str, Any]:
        """The request as JSON values, without the notes. Holds the ignored students: not for manifests or receipts."""
        return msgspec.to_builtins({key: getattr(self, key) for key in KEYS})

    def __repr__(self) -> str:  # student ids must not reach a log by way of a repr
        return f"Request(job_id={self.job_id!r}, action={self.action!r}, sections={len(self.section_ids)})"


KEYS = tuple(f.name for f in fields(Request) if f.name != "notes")


def run_key(request: Request) -> str:
    """32 hex characters, equal for two documents that ask the same, for ever.

    A plain digest over everything, ignored students included: for those who may read requests anyway, not for a receipt.
    The order of time is left out: requests were made before there was another.
    """
    document = request.document()
    if document["order"] == "time":
        del document["order"]
    return hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()[:32]


def parse_request(document: bytes | str | Mapping[str, Any]) -> Request:
    """The request in `document`.

    Raises:
        RequestError: with all mistakes at once.
    """
    if not isinstance(document, Mapping):
        try:
            document = msgspec.json.decode(document)
        except RecursionError:
            raise RequestError(["not a request: nested too deep"]) from None
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise RequestError([f"not a JSON document: {error}"]) from None
        if not isinstance(document, dict):
            raise RequestError([f"expected a JSON object, got {kind(document)}"])
    reader = Reader(document, KEYS)
    values = reader.values()
    if reader.problems:
        raise RequestError(reader.problems)
    return Request(**values, notes=tuple(reader.notes))
