"""What the page of a data set shows: plain values, all fit for whoever may have the data set. Nothing here is escaped yet.

No clock time: the same data set has the same page; when it was made stands in `run.json` beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

ATTEMPTS, VIEWS, VIDEO, DATASHOP = "attempt_evaluated", "page_viewed", "video", "datashop"
ACTIONS = {  # title, what a bar of the daily plot counts
    ATTEMPTS: ("Evaluated attempts", "attempts"),
    VIEWS: ("Page views", "page views"),
    VIDEO: ("Video events", "video events"),
    DATASHOP: ("Transactions for DataShop", "attempts"),
}

CSV, PARQUET, XML, TAB = "csv", "parquet", "datashop-xml", "datashop-tab"  # formats, as a request names them
FORMATS = {CSV: "CSV", PARQUET: "Parquet", XML: "DataShop XML", TAB: "DataShop tab-delimited"}
SUFFIXES = {CSV: ".csv", PARQUET: ".parquet", XML: ".xml", TAB: ".txt"}  # of the chunks
STUDENT_STEP, LEARNING_CURVE, CHUNK = "student_step", "learning_curve", "chunk"


class SectionCount(NamedTuple):
    """Rows of one kind in one section."""

    section: int
    kind: str  # part_attempt, page_viewed …
    rows: int


class SectionNumbers(NamedTuple):
    """A section as DataShop counts it."""

    section: int
    transactions: int
    hints: int
    students: int
    problems: int
    skills: int


class Point(NamedTuple):
    """One opportunity of a learning curve."""

    opportunity: int  # from 1
    error_rate: float  # 0 to 1, of first attempts
    students: int


class Curve(NamedTuple):
    skill: str
    points: tuple[Point, ...]  # in order of opportunity; a missing one is a gap


class Scores(NamedTuple):
    """How the points of attempts are spread."""

    bins: tuple[tuple[str, int], ...]  # label, attempts
    unscored: int  # without score, or with nothing to score


class Entry(NamedTuple):
    """One column or element of a file, as the data dictionary explains it."""

    name: str
    type: str
    empty: str  # when there is no value; empty text: always filled, or not known
    meaning: str  # with the unit


class Described(NamedTuple):
    """All columns of one kind of file."""

    kind: str  # a format, student_step or learning_curve
    title: str
    about: str
    entries: tuple[Entry, ...]


class File(NamedTuple):
    name: str  # relative to the page
    rows: int | None
    bytes: int
    sha256: str
    what: str  # chunk, student_step, learning_curve, lookup


@dataclass(frozen=True)
class Preview:
    """The first rows of the first file, as text. Long cells are cut by the page."""

    of: str  # the file's name
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Plots:
    """What is drawn. None: does not apply to this data set, and is left out; empty: the plot says that there is nothing."""

    per_day: tuple[tuple[date, int], ...] = ()  # UTC; days without any may be left out
    scores: Scores | None = None
    curves: tuple[Curve, ...] | None = None  # the most frequent skills first; six are drawn


@dataclass(frozen=True)
class Page:
    """All that `render` needs."""

    title: str  # the DataShop name, or the job id
    job_id: str
    run: str  # content id
    action: str  # a key of ACTIONS
    formats: tuple[str, ...]  # keys of FORMATS
    request: tuple[tuple[str, str], ...]  # label, value; ignored students as a count only
    code_version: str
    key_fingerprint: str
    lake_version: int
    cut_off: date | None  # the newest upload day that was read; None: none was
    first_event: str | None  # `yyyy-MM-dd HH:mm:ss`, UTC; None: no event
    last_event: str | None
    rows_read: int
    rows_exported: int
    counts: tuple[SectionCount, ...]
    excluded: tuple[tuple[str, int], ...]  # reason, rows
    superseded: tuple[tuple[str, int], ...]
    files: tuple[File, ...]
    dictionary: tuple[Described, ...]
    sections: tuple[SectionNumbers, ...] = ()  # of DataShop data sets
    learners: int | None = None  # different ones; None: not known
    plots: Plots = field(default_factory=Plots)
    preview: Preview | None = None
    dialect: str = "rfc4180"  # of CSV cells
    anonymize: bool = True
    permitted_by: str | None = None
    held_days: tuple[str, ...] = ()  # days read although held
    notes: Mapping[str, int] = field(default_factory=dict)  # what was replaced, cut, not found: name, count
    lookup_problems: tuple[str, ...] = ()

    def chunks(self, format_: str) -> tuple[str, ...]:
        """Names of the data's own files in one format, in order."""
        return tuple(file.name for file in self.files if file.what == CHUNK and file.name.endswith(SUFFIXES[format_]))

    def described(self, kind: str) -> Described | None:
        return next((one for one in self.dictionary if one.kind == kind), None)
