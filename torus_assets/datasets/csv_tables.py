"""The CSV tables of a data set: columns, where each comes from in the lake, and how a cell is written.

Source: spec/datasets.md 5. `ACTIONS` is the list: another table is another value in it.

Dialect `rfc4180` (default): integers as integers, numbers in their shortest form (`1.0`, `0.25`), times as received, lists
and JSON as JSON text as received, null as an empty field, empty text as `""`. UTF-8, comma, `\\n`, quotes where needed.

Dialect `compat` writes the cells of the job this replaces, byte for byte (spec/datasets.md 5.5): lists as `"10,11"` and JSON
as compact ASCII, each within literal quotes of its own; null response or feedback of a part as `"null"`; empty text as an
empty field; numbers as Python's `repr`. It departs from the old cells on purpose where these were wrong:

- an integer never drifts to `5.0` because another row of its chunk lacks one (D-14); scores and seconds are always numbers
  (`1.0`), which the old job wrote as `1` in chunks without a fraction or an empty cell;
- the two seek columns are the right way round (D-05);
- a row is kept when a key is absent that the old job could not do without (D-13); its cell reads as if null;
- learners appear under pseudonyms (D-04), and an event that came twice is one row (D-12).

Its rows also come in the old order, by object and line, unless the request's `order` says `time` (`orders.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

CSV_VERSION = 3  # goes up when the same rows of the lake would give other bytes; part of the content id of a run

Cell = Literal["text", "integer", "number", "time", "list", "json"]
Dialect = Literal["rfc4180", "compat"]
OrderName = Literal["time", "source"]  # of rows; `orders.py` says what they mean

POLARS: dict[Cell, pl.DataType] = {
    "text": pl.String(), "integer": pl.Int64(), "number": pl.Float64(), "time": pl.String(), "list": pl.String(), "json": pl.String(),
}  # fmt: skip


@dataclass(frozen=True)
class CsvColumn:
    """One column: its cells, its meaning and the lake column it comes from, per kind where that differs.

    A kind that `source` does not name has no such value: an empty field.
    """

    name: str
    cell: Cell
    doc: str
    source: Mapping[str, str | pl.Expr]
    holds: Literal["", "guid", "free text"] = ""  # what pseudonyms.py has to look after

    def of(self, kind: str) -> pl.Expr:
        """The values of this column in rows of `kind`."""
        source = self.source.get(kind)
        if source is None:
            return pl.lit(None, POLARS[self.cell]).alias(self.name)
        return (pl.col(source) if isinstance(source, str) else source).alias(self.name)


@dataclass(frozen=True)
class Action:
    """One kind of data set: which kinds of the lake it reads and which columns it has."""

    name: str
    doc: str
    kinds: tuple[str, ...]
    sub_types: Mapping[str, str]  # as asked for -> `event_kind` in the lake
    columns: tuple[CsvColumn, ...]
    kind_of: Mapping[str, str] = field(default_factory=dict)  # sub type -> kind, where one kind is one sub type

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def without(self, excluded: tuple[str, ...]) -> tuple[CsvColumn, ...]:
        """The columns that stay, in order; this list itself never changes (D-15)."""
        return tuple(column for column in self.columns if column.name not in excluded)


PART, ACTIVITY, PAGE, VIEW, VIDEO = "part_attempt", "activity_attempt", "page_attempt", "page_viewed", "video"
ATTEMPTS = (PART, ACTIVITY, PAGE)
USER = "user_id"  # what stands in this column is decided by pseudonyms.py


def _same(name: str, cell: Cell, doc: str, kinds: tuple[str, ...], source: str | None = None, *, free: bool = False) -> CsvColumn:
    return CsvColumn(
        name, cell, doc, dict.fromkeys(kinds, source or name), "free text" if free else "guid" if name.endswith("_guid") else ""
    )


def _constant(doc: str, **texts: str) -> CsvColumn:
    return CsvColumn("event_type", "text", doc, {kind: pl.lit(text) for kind, text in texts.items()})


def _head(kinds: tuple[str, ...]) -> tuple[CsvColumn, ...]:
    return (
        _same(
            "timestamp",
            "time",
            "Event time as received: ISO-8601, usually UTC with a final Z; older emitters may give an offset.",
            kinds,
            "timestamp_text",
        ),
        _same(USER, "text", "Learner: a pseudonym of this data set, unless the request was permitted to name them.", kinds),
        _same("section_id", "integer", "Course section.", kinds),
        _same("project_id", "integer", "Authoring project.", kinds),
        _same("publication_id", "integer", "Publication of the project.", kinds),
        _same("page_id", "integer", "Resource id of the page; for intro videos, of the unit or module.", kinds),
    )


def _page_attempt(kinds: tuple[str, ...]) -> tuple[CsvColumn, ...]:
    return (
        _same("page_attempt_guid", "text", "Attempt at the page, as a pseudonym.", kinds),
        _same("page_attempt_number", "integer", "Number of the attempt at the page, from 1.", kinds),
    )


def _only(column: str, *kinds: str) -> pl.Expr:
    """`column` in video events of these kinds, null in the others (spec/datasets.md 5.4)."""
    return pl.when(pl.col("event_kind").is_in([f"video_{kind}" for kind in kinds])).then(pl.col(column))


_VIDEO_FROM = pl.when(pl.col("event_kind") == "video_seeked").then("video_seek_from").otherwise("video_time")

ATTEMPT_EVALUATED = Action(
    "attempt_evaluated",
    "Evaluated parts, activities and pages.",
    ATTEMPTS,
    {f"{kind}_evaluated": f"{kind}_evaluated" for kind in ATTEMPTS},
    (
        _constant("What was evaluated.", part_attempt="Part Attempt", activity_attempt="Activity Attempt", page_attempt="Page Attempt"),
        *_head(ATTEMPTS),
        _same("activity_id", "integer", "Resource id of the activity.", (PART, ACTIVITY)),
        _same("activity_revision_id", "integer", "Revision of the activity that the learner saw.", (PART, ACTIVITY)),
        _same("attached_objectives", "list", "Resource ids of the part's skills.", (PART,)),
        *_page_attempt(ATTEMPTS),
        _same("part_id", "text", "Part (input) within the activity.", (PART,)),
        _same("part_attempt_guid", "text", "Attempt at the part, as a pseudonym.", (PART,)),
        _same("part_attempt_number", "integer", "Number of the attempt at the part within the activity attempt, from 1.", (PART,)),
        _same("activity_attempt_number", "integer", "Number of the attempt at the activity, from 1.", (PART, ACTIVITY)),
        _same("activity_attempt_guid", "text", "Attempt at the activity, as a pseudonym.", (PART, ACTIVITY)),
        _same("score", "number", "Points.", ATTEMPTS),
        _same("out_of", "number", "Points possible; may be 0.", ATTEMPTS),
        _same("response", "json", "What the learner entered, as received; ids and e-mail addresses of the data set's own users replaced.", (PART,), "response_json", free=True),
        _same("feedback", "json", "Feedback shown, as received; users replaced as in `response`.", (PART,), "feedback_json", free=True),
        _same("hints", "list", "Ids of the hints asked for, in request order.", (PART,), "hint_ids"),
    ),
    {f"{kind}_evaluated": kind for kind in ATTEMPTS},
)  # fmt: skip

PAGE_VIEWED = Action(
    "page_viewed",
    "Openings of delivery pages.",
    (VIEW,),
    {"page_viewed": "page_viewed"},
    (_constant("Constant.", page_viewed="page_viewed"), *_head((VIEW,)), *_page_attempt((VIEW,))),
    {"page_viewed": VIEW},
)

VIDEO_EVENTS = Action(
    "video",
    "Plays, pauses, seeks and completions of videos.",
    (VIDEO,),
    {name: f"video_{name}" for name in ("played", "paused", "seeked", "completed")},
    (
        CsvColumn("event_type", "text", "What happened.", {VIDEO: pl.col("event_kind").str.strip_prefix("video_")}),
        *_head((VIDEO,)),
        *_page_attempt((VIDEO,)),
        _same("content_element_id", "text", "Video element in the page.", (VIDEO,)),
        _same("video_url", "text", "Media URL as the player reports it.", (VIDEO,), free=True),
        _same("video_title", "text", "Title as the player reports it.", (VIDEO,), free=True),
        CsvColumn("video_length", "number", "Duration, seconds.", {VIDEO: _only("video_length", "played", "paused", "completed")}),
        CsvColumn("video_time_from", "number", "Position; for a seek, the position before it. Seconds.", {VIDEO: _VIDEO_FROM}),
        CsvColumn("video_time_to", "number", "Position after a seek, seconds.", {VIDEO: _only("video_seek_to", "seeked")}),
        CsvColumn("video_played_segments", "text", "`start[.]end` pairs joined with `[,]`, seconds.", {VIDEO: _only("video_played_segments", "paused", "completed")}),
        CsvColumn("video_progress", "number", "Sum of segments / duration; may pass 1.", {VIDEO: _only("video_progress", "paused", "completed")}),
    ),
)  # fmt: skip

ACTIONS = {action.name: action for action in (ATTEMPT_EVALUATED, PAGE_VIEWED, VIDEO_EVENTS)}

# Not a table: transactions, made in `datashop/`. The kinds are what it reads; page views only say when a page was opened.
DATASHOP = Action(
    "datashop", "Transactions for DataShop, of part attempts, hints and embedded tutors.", (PART, "tutor_message", VIEW), {}, ()
)


# Cells ----------------------------------------------------------------------------------------------------------------


def cells(rows: pl.DataFrame, columns: tuple[CsvColumn, ...], dialect: Dialect, *, is_part: pl.Series) -> pl.DataFrame:
    """`rows` with the cells of `dialect`, ready for the CSV writer. `is_part` marks the part attempts among them."""
    if dialect == "compat":
        rows = rows.with_columns(_old_cells(rows[column.name], column.cell, is_part) for column in columns)
    rows = rows.select(column.name for column in columns)
    if rows.width == 1 and dialect == "rfc4180":  # a null alone would be a blank line, which readers skip
        rows = rows.select(pl.all().cast(pl.String).fill_null(""))
    return rows


def _old_cells(values: pl.Series, cell: Cell, is_part: pl.Series) -> pl.Series:
    if cell == "list":
        return _each(values, old_list)
    if cell == "json":
        return _each(values.zip_with(~is_part | values.is_not_null(), pl.Series(["null"])), old_json)
    if cell == "number":
        return _each(values, repr)
    if cell in {"text", "time"}:
        return values.replace("", None)
    return values


def _each(values: pl.Series, write: Callable[..., str]) -> pl.Series:
    """`write` applied once to each different value: cells repeat, and Python is the slow part."""
    known = values.unique().drop_nulls()
    written = pl.Series([write(value) for value in known], dtype=pl.String)
    return values.replace_strict(known, written, default=None, return_dtype=pl.String).alias(values.name)


def old_json(text: str) -> str:
    """The old cell of a JSON value: compact, key order as received, ASCII only, within quotes of its own."""
    return '"' + json.dumps(json.loads(text), separators=(",", ":")) + '"'


def old_list(text: str) -> str:
    """The old cell of a list: elements joined by commas, within quotes of its own."""
    return '"' + ",".join(str(element) for element in json.loads(text)) + '"'
