"""What the page of a run shows, put together from its receipt, its files and the figures of its rows."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from torus_assets.datasets import rollup
from torus_assets.datasets.csv_tables import ACTIONS
from torus_assets.datasets.datashop import pieces
from torus_assets.datasets.output import CHUNK, Output
from torus_assets.datasets.page import model
from torus_assets.datasets.page.dictionary import dictionary
from torus_assets.datasets.page.render import render
from torus_assets.datasets.request import Request
from torus_assets.datasets.tables_out import BINS, Seen

PAGE = "index.html"
PREVIEW_ROWS = 8
PREVIEW_BYTES = 256 << 10
DATASHOP_PREVIEW = (
    "Transaction Id", "Anon Student Id", "Time", "Student Response Type", "Problem Name", "Outcome", "Input", "Feedback Text", "KC (Default)",
)  # fmt: skip
SECRET = (
    "ignored_student_ids",
    "ignored_students",
    "permitted_by",
    "job_id",
    "action",
    "format",
    "anonymize",
)  # shown elsewhere, or not at all


@dataclass
class Figures:
    """What is drawn, and who and when."""

    plots: model.Plots = field(default_factory=model.Plots)
    first_event: str | None = None
    last_event: str | None = None
    learners: int | None = None


def of_transactions(connection: duckdb.DuckDBPyConnection, facts: Sequence[Path]) -> Figures:
    """Figures of a DataShop data set."""
    bins, unscored = rollup.scores(connection, facts)
    curves = tuple(model.Curve(skill, tuple(model.Point(*point) for point in points)) for skill, points in rollup.curves(connection, facts))
    plots = model.Plots(tuple(rollup.per_day(connection, facts)), model.Scores(tuple(bins), unscored), curves)
    if not facts:
        return Figures(plots)
    [row] = connection.sql(
        "SELECT strftime(make_timestamp(epoch_us(min(time))), '%Y-%m-%d %H:%M:%S'), strftime(make_timestamp(epoch_us(max(time))), '%Y-%m-%d %H:%M:%S'), "
        "count(DISTINCT student) FROM read_parquet($facts)",
        params={"facts": [str(path) for path in facts]},
    ).fetchall()
    return Figures(plots, *row)


def of_rows(seen: Seen, folder: Path) -> Figures:
    """Figures of a CSV or Parquet data set."""
    curves = None
    if seen.facts:
        with pieces.connect(folder) as connection:
            curves = tuple(
                model.Curve(skill, tuple(model.Point(*point) for point in points))
                for skill, points in rollup.curves(connection, seen.facts)
            )
    scores = None
    if seen.scores or seen.unscored:
        labels = [f"{place / BINS:.1f}–{(place + 1) / BINS:.1f}" for place in range(BINS)]
        scores = model.Scores(tuple((label, seen.scores[place]) for place, label in enumerate(labels)), seen.unscored)
    plots = model.Plots(tuple(sorted(seen.per_day.items())), scores, curves)
    return Figures(plots, seen.first, seen.last, len(seen.learners) if seen.learners is not None else None)


def put(output: Output, request: Request, name: str, receipt: Mapping[str, Any], figures: Figures, head: bytes, folder: Path) -> None:
    """Writes the page of the run; `head` is the beginning of its first table."""
    path = folder / PAGE
    path.write_bytes(render(page(request, name, receipt, figures, head)))
    output.put(path, PAGE, 0, "page")


def page(request: Request, name: str, receipt: Mapping[str, Any], figures: Figures, head: bytes) -> model.Page:
    """The page's content."""
    rows = receipt["rows"]
    first = next((file["name"] for file in receipt["files"] if file["what"] == CHUNK and file["name"].endswith((".txt", ".csv"))), None)
    heading = head.split(b"\n", 1)[0].decode(errors="ignore").split("\t") if first and first.endswith(".txt") else ()
    days = [part["day"] for part in receipt["read"]]
    return model.Page(
        title=name, job_id=request.job_id, run=receipt["run"], action=request.action, formats=request.format, request=_asked(request),
        code_version=receipt["code_version"], key_fingerprint=receipt["key_fingerprint"], lake_version=receipt["delta_version"],
        cut_off=date.fromisoformat(max(days)) if days else None, first_event=figures.first_event, last_event=figures.last_event,
        rows_read=rows["read"], rows_exported=rows["exported"],
        counts=tuple(model.SectionCount(one["section_id"], one["kind"], one["rows"]) for one in receipt["counts"]),
        excluded=tuple(receipt["excluded"].items()), superseded=tuple((reason, n) for reason, n in receipt["superseded"].items() if n),
        files=tuple(model.File(one["name"], one["rows"] if one["what"] in TABLES else None, one["bytes"], one["sha256"], one["what"]) for one in receipt["files"]),
        dictionary=dictionary(
            request.action, request.format, excluded=request.exclude_fields, dialect=request.dialect, headings=heading,
            rollup=any(file["what"] == model.STUDENT_STEP for file in receipt["files"]),
        ),
        sections=tuple(model.SectionNumbers(*(one[field] for field in ("section_id", "transactions", "hints", "students", "problems", "skills"))) for one in receipt["sections"]),
        learners=figures.learners, plots=figures.plots, preview=_preview(first, head, request), dialect=request.dialect, anonymize=request.anonymize,
        permitted_by=request.permitted_by, held_days=tuple(receipt["held_days_included"]), notes=receipt["notes"],
        lookup_problems=tuple(receipt["lookup_problems"]),
    )  # fmt: skip


TABLES = (CHUNK, model.STUDENT_STEP, model.LEARNING_CURVE)


def _asked(request: Request) -> tuple[tuple[str, str], ...]:
    """What was asked, fit for everybody: students that are left out as a count."""
    beside = {*SECRET, *(("dialect", "order", "chunk_rows") if request.action == "datashop" else ())}
    shown = [
        (key.replace("_", " ").capitalize(), ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
        for key, value in request.document().items()
        if key not in beside and value not in (None, [], (), "", False)
    ]
    if request.ignored_student_ids:
        shown.append(("Ignored students", f"{len(request.ignored_student_ids)}"))
    return tuple(shown)


def _preview(first: str | None, head: bytes, request: Request) -> model.Preview | None:
    if first is None:
        return None
    text = head.decode(errors="ignore")
    if first.endswith(".txt"):
        heading, *lines = [line.split("\t") for line in text.split("\n")]
        whole = [cells for cells in lines[:PREVIEW_ROWS] if len(cells) == len(heading)]
        rows = [dict(zip(reversed(heading), reversed(cells), strict=True)) for cells in whole]  # of repeated columns the first
        columns = [name for name in DATASHOP_PREVIEW if name in heading]
        return model.Preview(first, tuple(columns), tuple(tuple(row[name].replace("\\\\", "\\") for name in columns) for row in rows))
    found = list(csv.DictReader(io.StringIO(text, newline="")))[:PREVIEW_ROWS]
    columns = list(ACTIONS[request.action].names)
    columns = [name for name in columns if found and name in found[0]]
    return model.Preview(first, tuple(columns), tuple(tuple(row[name] or "" for name in columns) for row in found))
