"""Columns, types, units and meanings: declared here once, read everywhere.

Names follow Torus' `raw_events` (spec/clickhouse.md 2) where that table has the field; the others are ours. Adding a
kind of event is adding one `Table` to `EVENT_TABLES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

REASONS = ("not_utf8", "not_json", "truncated", "not_object", "missing_field", "wrong_type", "lone_surrogate", "too_long", "too_deep")

PARSER_VERSION = 1  # goes up when the same bytes would give another row; kept in the ledger

ColumnType = Literal["text", "json", "integer", "number", "truth", "time", "bytes", "day"]

ARROW: dict[ColumnType, pa.DataType] = {
    "text": pa.string(),
    "json": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "truth": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "bytes": pa.binary(),
    "day": pa.date32(),
}


@dataclass(frozen=True)
class Column:
    """One column: its meaning, its type in the lake and, where the warehouse has it, its ClickHouse type."""

    name: str
    type: ColumnType
    doc: str
    clickhouse: str | None = None  # None: not a column of raw_events
    private: bool = False  # names a learner or holds what one wrote: never in previews, logs or metadata

    @property
    def arrow(self) -> pa.Field:
        return pa.field(self.name, ARROW[self.type])


@dataclass(frozen=True)
class Table:
    """One kind of line of the day: the rows of `kind` in the lake's one table."""

    name: str  # of the asset and of `lake.table(...)`
    kind: str  # partition value in the lake
    doc: str
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([column.arrow for column in self.columns])

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _text(name: str, doc: str, clickhouse: str | None = "Nullable(String)", *, private: bool = False) -> Column:
    return Column(name, "text", doc, clickhouse, private)


def _json(name: str, doc: str, clickhouse: str | None = "Nullable(String)", *, private: bool = False) -> Column:
    return Column(name, "json", doc, clickhouse, private)


def _id(name: str, doc: str, clickhouse: str = "Nullable(UInt64)") -> Column:
    return Column(name, "integer", doc, clickhouse)


def _count(name: str, doc: str) -> Column:
    return Column(name, "integer", doc, "Nullable(UInt32)")


def _number(name: str, doc: str) -> Column:
    return Column(name, "number", doc, "Nullable(Float64)")


PLACE = (
    _text("event_hash", "Lower-case hex SHA-256 of the line's bytes without its line end: the identity of the event.", "String"),
    _text("source_file", "Object the line came from, as `s3://bucket/key` or `file:///path`."),
    _text("source_etag", "ETag of that object, without quotes."),
    Column("source_line", "integer", "Number among the object's non-blank lines, from 1.", "Nullable(UInt32)"),
    Column("uploaded_at", "time", "UTC instant of the upload, from the object's key; not an event time.", "Nullable(DateTime64(6, 'UTC'))"),
)  # fmt: skip

STATEMENT = (
    _id("section_id", "Course section: from the statement, else from the key. Never null.", "UInt64"),
    _text("event_kind", "Finest name of what happened, e.g. `video_paused`.", "LowCardinality(String)"),
    Column("timestamp", "time", "Event time, UTC, microseconds.", "DateTime64(3, 'UTC')"),
    _text("timestamp_text", "Event time as received.", None),
    _text("user_id", "Torus user id as text, else the `mbox` as received.", private=True),
    _text("home_page", "Torus host, without scheme and trailing slash, lower case.", private=True),
    _text("home_page_raw", "Torus host as received.", private=True),
    _text("statement_id", "`id` of the statement; no emitter writes one.", private=True),
    _text("verb_id", "xAPI verb IRI as received.", "LowCardinality(String)"),
    _text("verb_display", "English name of the verb, as received."),
    _id("project_id", "Authoring project; null when the emitter could not look it up."),
    _id("publication_id", "Publication of the project; null like project_id."),
    _id("enrollment_id", "Participant in the section; absent before about 2026-08."),
    _json("experiment_attributions", "Experiment evidence as received, a JSON array.", private=True),
    _text("coerced", "Fields of a wrong type that became null in this row, joined by commas; null when none.", None),
)  # fmt: skip

PAGE = (
    _id("page_id", "Resource id of the page; for intro videos, of the unit or module."),
    _text("page_attempt_guid", "Attempt at the page; null for intro videos."),
    _count("page_attempt_number", "Number of the attempt at the page, from 1."),
)
ACTIVITY = (
    _id("activity_id", "Resource id of the activity."),
    _id("activity_revision_id", "Revision of the activity that the learner saw."),
    _text("activity_attempt_guid", "Attempt at the activity."),
    _count("activity_attempt_number", "Number of the attempt at the activity, from 1."),
)
SCORE = (
    _number("score", "Points."),
    _number("out_of", "Points possible; may be 0."),
    _number("scaled_score", "score / out_of as sent; 0 when out_of is 0."),
)
DONE = (
    Column("success", "truth", "Constant true in the source: says nothing about correctness.", "Nullable(Bool)"),
    Column("completion", "truth", "Constant true in the source.", "Nullable(Bool)"),
)
PART = (
    _text("part_id", "Part (input) within the activity."),
    _text("part_attempt_guid", "Attempt at the part."),
    _count("part_attempt_number", "Number of the attempt at the part within the activity attempt, from 1."),
    _text("response", "What the learner entered: `input` of the response, as text; else the whole response as JSON.", private=True),
    _json("response_json", "Whole response as received, as JSON; null when null.", private=True),
    _text("feedback", "Feedback shown: its text when it is text, else its JSON."),
    _json("feedback_json", "Whole feedback as received, as JSON; null when null."),
    _count("hints_requested", "Number of hints asked for."),
    _json("hint_ids", "Ids of the hints asked for, in request order, as a JSON array of text."),
    _json("attached_objectives", "Resource ids of the part's skills, as a JSON array."),
    _text("session_id", "Browser session; absent in statements of 2024.", private=True),
)  # fmt: skip
VIDEO = (
    _text("content_element_id", "Video element in the page; for intro videos the container's resource id."),
    _text("video_url", "Media URL as the player reports it."),
    _text("video_title", "Title; players often send the URL again."),
    _number("video_time", "Position, seconds (played, paused, completed)."),
    _number("video_length", "Duration, seconds; null when unknown."),
    _number("video_progress", "Sum of segments / duration, overlaps not merged: may pass 1."),
    _text("video_played_segments", "`start[.]end` pairs joined with `[,]`, seconds."),
    _number("video_seek_from", "Position before the seek, seconds."),
    _number("video_seek_to", "Position after the seek, seconds."),
)
VIEW = (_text("page_sub_type", "`basic` or `advanced`; null in older statements."),)
TUTOR = (_text("tutor_xml", "DataShop XML of an embedded tutor, as received; not always well-formed.", private=True),)
WHOLE = (_json("statement", "The whole statement as received.", private=True),)


def _table(name: str, kind: str, doc: str, *groups: tuple[Column, ...]) -> Table:
    return Table(name, kind, doc, tuple(column for group in groups for column in group))


def _event(name: str, kind: str, doc: str, *groups: tuple[Column, ...]) -> Table:
    return _table(name, kind, doc, PLACE, STATEMENT, *groups)


EVENT_TABLES = (
    _event("part_attempts", "part_attempt", "One evaluated part (one input) of one activity attempt.", PAGE, ACTIVITY, SCORE, DONE, PART),
    _event("activity_attempts", "activity_attempt", "One evaluated activity attempt.", PAGE, ACTIVITY, SCORE, DONE),
    _event("page_attempts", "page_attempt", "One evaluated attempt at a whole page, with its score.", PAGE, SCORE, DONE),
    _event("page_views", "page_viewed", "One opening of a delivery page.", PAGE, DONE, VIEW),
    _event("video_events", "video", "One play, pause, seek or completion of a video.", PAGE, VIDEO),
    _event("tutor_messages", "tutor_message", "One log message of an embedded tutor.", PAGE, ACTIVITY, TUTOR),
    _event("experiment_assignments", "experiment_assignment", "One assignment of a learner to an experiment's condition."),
    _event("other_statements", "other", "Well-formed statements of a kind we do not know, kept whole.", WHOLE),
)  # fmt: skip

KEY_SECTION = Column("section_id", "integer", "Section of the object's key; null for `project/` keys.")

QUARANTINE = _table(
    "quarantine", "quarantined", "Lines that were refused, with their bytes and the reason.",
    PLACE,
    (
        KEY_SECTION,
        _text("reason", "Why, as a code: " + " ".join(REASONS) + ".", None),
        _text("detail", "Path of the field and what was expected; never a value.", None),
        Column("raw", "bytes", "The line's bytes; a prefix when the line is over long.", private=True),
        Column("raw_bytes", "integer", "Length of the whole line."),
    ),
)  # fmt: skip
DUPLICATES = _table(
    "duplicates", "duplicate", "Lines whose event survives elsewhere in the day: hash and place only.", PLACE, (KEY_SECTION,)
)
LEDGER = _table(
    "bundles", "bundle", "The ledger: one row per object read, with what became of its lines.",
    (
        _text("key", "Key of the object below the bundle store's root.", None),
        *PLACE[1:3],
        PLACE[4],
        Column("last_modified", "time", "When the store says the object was written."),
        KEY_SECTION,
        _text("category", "Category in the key.", None),
        Column("bytes", "integer", "Size of the object."),
        Column("lines", "integer", "Lines: rows + duplicates + quarantined + forgotten + blank."),
        Column("blank", "integer", "Lines of white space only."),
        Column("rows", "integer", "Lines that became rows."),
        Column("duplicates", "integer", "Lines whose event survives elsewhere in the day."),
        Column("quarantined", "integer", "Lines refused."),
        Column("forgotten", "integer", "Lines of learners who were forgotten."),
        _json("rows_by_kind", "Rows per kind, a JSON object.", None),
        _json("quarantined_by_reason", "Refused lines per reason, a JSON object.", None),
        _json("coerced", "Fields that became null per column, a JSON object.", None),
        Column("section_mismatches", "integer", "Rows whose section differs from the key's; the body wins."),
        Column("parser_version", "integer", "Version of the parser that read it."),
        Column("held", "truth", "The day's quarantined share passed the limit: loads and exports refuse the day."),
    ),
)  # fmt: skip

TABLES = (*EVENT_TABLES, QUARANTINE, DUPLICATES, LEDGER)
BY_NAME = {table.name: table for table in TABLES}
BY_KIND = {table.kind: table for table in TABLES}
EVENT_KINDS = tuple(table.kind for table in EVENT_TABLES)

# `event_type` of raw_events keeps upstream's six values (spec/clickhouse.md 2); all other kinds are `unknown` there.
EVENT_TYPES = {
    kind: kind if kind in {"video", "activity_attempt", "page_attempt", "page_viewed", "part_attempt"} else "unknown"
    for kind in EVENT_KINDS
}


def _union() -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for table in TABLES:
        for column in table.columns:
            known = columns.setdefault(column.name, column)
            if known.type != column.type and {known.type, column.type} != {"text", "json"}:
                raise TypeError(f"column {column.name}: {known.type} in one table, {column.type} in {table.name}")
    return columns


UNION = _union()
PARTITION_COLUMNS = (
    Column("upload_date", "day", "UTC day of the upload, from the object's key: the partition.", "Date"),
    _text("kind", "Kind of the line: the partition.", "LowCardinality(String)"),
)


def lake_schema() -> pa.Schema:
    """Schema of the one Delta table: the partition columns and the union of every kind's columns, all nullable."""
    return pa.schema([column.arrow for column in (*PARTITION_COLUMNS, *UNION.values())])
