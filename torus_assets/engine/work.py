"""The work that a Spark job can be asked for: ingest days, make a data set. The same function in every place that Spark runs in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import date
from typing import TYPE_CHECKING, Any

from torus_assets.clients.object_store import open_store
from torus_assets.engine import reports
from torus_assets.engine.reports import DATASET, INGEST, Message, Tell
from torus_assets.settings import Settings
from torus_assets.xapi.ingest import Stage
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tombstones import tombstone_secret

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Opened = Callable[[str], AbstractContextManager["SparkSession"]]  # a session under a name
EVERY_SECONDS = 1.0  # between two words about progress


class UnknownWork(ValueError):
    """A job was asked for something that this release does not do."""


def carry_out(work: str, document: Message, tell: Tell, chosen: Settings, opened: Opened) -> None:
    """Does a piece of work and tells what came of it, `done` last.

    Args:
        document: of `reports.ingest_work` or `reports.dataset_work`; addresses that it leaves out are those of the settings.
        chosen: knobs and secrets of the process that the driver runs in.
        opened: starts Spark; its session ends with the work.

    Raises:
        UnknownWork: neither of the two.
        Exception: what the work itself raises; days told before it are committed.
    """
    if work not in WORKS:
        raise UnknownWork(f"work: expected {' or '.join(WORKS)}, got {work!r}; is the uploaded archive of another release?")
    with opened(f"torus {work}") as spark:
        done = WORKS[work](spark, document, tell, chosen)
        version = spark.version
    tell({"done": {"work": work, "spark": version, **done}})


def _ingest(spark: SparkSession, document: Message, tell: Tell, chosen: Settings) -> dict[str, Any]:
    from torus_assets.engine.ingest.days import ingest_days

    made = ingest_days(
        spark,
        Lake(document.get("lake_url") or chosen.lake_url),
        open_store(document.get("xapi_url") or chosen.xapi_url),
        [date.fromisoformat(day) for day in document["days"]],
        reports.options_of(document),
        tombstone_key=tombstone_secret(chosen),
        on_day=lambda result: tell(reports.day_message(result)),
        progress=_at_times(tell),
    )
    for day, error in made.refused.items():
        tell(reports.refused_message(day, error))
    return {"days": len(made.results), "refused": len(made.refused)}


def _dataset(spark: SparkSession, document: Message, tell: Tell, chosen: Settings) -> dict[str, Any]:
    from torus_assets.datasets.catalog import request_key
    from torus_assets.datasets.pseudonyms import pseudonym_key
    from torus_assets.datasets.request import parse_request
    from torus_assets.engine.export.datasets import export_on_spark

    lake_url, datasets_url = (document.get(name) or getattr(chosen, name) for name in ("lake_url", "datasets_url"))
    store, say = open_store(datasets_url), _at_times(tell)
    result = export_on_spark(
        spark,
        parse_request(store.get(request_key(document["job_id"])).body),
        Lake(lake_url).snapshot(),
        store,
        pseudonyms=pseudonym_key(chosen.pseudonym_key, chosen.home, (chosen.xapi_url, lake_url, datasets_url)),
        scratch=chosen.spool,
        scratch_url=chosen.scratch_url,
        progress=lambda done, total: say("export", done, total),
    )
    tell({DATASET: {"run": result.run, "folder": result.folder, "reused": result.reused}})
    return {"rows": result.rows}


WORKS: Mapping[str, Callable[[SparkSession, Message, Tell, Settings], dict[str, Any]]] = {INGEST: _ingest, DATASET: _dataset}  # type: ignore[name-defined]


def _at_times(tell: Tell, clock: Callable[[], float] = time.monotonic) -> Stage:
    """Progress as messages, a second apart, and each stage's last word."""
    last = float("-inf")

    def say(stage: str, done: int, total: int) -> None:
        nonlocal last
        now = clock()
        if done >= total or now - last >= EVERY_SECONDS:
            last = now
            tell({"progress": {"stage": stage, "done": done, "total": total}})

    return say
