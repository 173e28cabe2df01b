"""What a Spark job says of its work, as the messages that travel through Dagster Pipes.

Each is one JSON object with one of these keys: `day` (an `IngestResult`), `refused` (a day that its own error kept out), `dataset` (where it
stands), `progress`, `error` (why the job ended), and `done`, the last. No row of a learner and no secret is ever in one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, NamedTuple

from torus_assets.failures.known import what_to_do
from torus_assets.failures.words import said
from torus_assets.xapi.ingest import IngestOptions, IngestResult
from torus_assets.xapi.ledger import RowsWouldVanish

Message = Mapping[str, Any]
Tell = Callable[[Message], None]
INGEST, DATASET = "ingest", "dataset"


def ingest_work(lake_url: str, xapi_url: str, days: Iterable[date], options: IngestOptions) -> dict[str, Any]:
    """The document of the work `ingest`."""
    sections = None if options.sections is None else sorted(options.sections)
    return {
        "lake_url": lake_url,
        "xapi_url": xapi_url,
        "days": [day.isoformat() for day in days],
        "options": {**asdict(options), "sections": sections},
    }


def options_of(document: Message) -> IngestOptions:
    """The options of `ingest_work`, back."""
    told = dict(document.get("options") or {})
    sections = told.pop("sections", None)
    return IngestOptions(**told, sections=None if sections is None else frozenset(sections))


def dataset_work(lake_url: str, datasets_url: str, job_id: str) -> dict[str, Any]:
    """The document of the work `dataset`: its request stays in the data set store, since it may name students."""
    return {"lake_url": lake_url, "datasets_url": datasets_url, "job_id": job_id}


def day_message(result: IngestResult) -> Message:
    return {"day": result.packed()}


def refused_message(day: date, error: RowsWouldVanish) -> Message:
    return {"refused": {"day": day.isoformat(), "text": str(error)}}


def error_message(error: BaseException, kept: str | None) -> Message:
    """An error as it may be told (`failures.words`).

    Args:
        kept: where its whole text is, when it may quote learners and is not in the message.
    """
    words = said(error)
    where = f": its text may quote learners and is not shown; it is in {kept}" if words.hidden and kept else ""
    return {"error": {**words._asdict(), "text": f"{words.text}{where}", "what_to_do": what_to_do(error)}}


class Days(NamedTuple):
    """What became of the days of an ingest."""

    done: dict[date, IngestResult]
    refused: dict[date, Exception]


def ingested(messages: Iterable[Message]) -> Days:
    """The days that a job reported, each with its result or with why it was refused."""
    done: dict[date, IngestResult] = {}
    refused: dict[date, Exception] = {}
    for message in messages:
        if "day" in message:
            result = IngestResult.unpacked(message["day"])
            done[result.day] = result
        elif "refused" in message:
            refused[date.fromisoformat(message["refused"]["day"])] = RowsWouldVanish(message["refused"]["text"])
    return Days(dict(sorted(done.items())), dict(sorted(refused.items())))


def dataset_of(messages: Iterable[Message]) -> dict[str, Any]:
    """`run`, `folder` and `reused` of the data set that a job made."""
    return next(dict(message["dataset"]) for message in messages if "dataset" in message)


def error_of(messages: Iterable[Message]) -> dict[str, Any] | None:
    """Why the job ended, when it said so."""
    return next((message["error"] for message in messages if "error" in message), None)


def unreported(work: str, document: Message, messages: Sequence[Message]) -> list[str]:
    """What a job that came to its end should have said, and did not; empty when all is there."""
    lacking: list[str] = []
    if work == INGEST:
        told = {message[name]["day"] for message in messages for name in ("day", "refused") if name in message}
        lacking += [day for day in document["days"] if day not in told]
    elif not any(work in message for message in messages):
        lacking.append(f"the {work}")
    return lacking if any("done" in message for message in messages) else [*lacking, "its end"]
