"""Requests that are remembered until they are settled: ``xapi/arrivals/asked/{run key}.json`` in the lake store.

Written before the request is handed to Dagster. A request whose run never appears is made again under the same run key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime

import msgspec

from torus_assets.arrivals.due import Asked, Outcome, Request
from torus_assets.clients.object_store import ObjectStore

PREFIX = "xapi/arrivals/asked/"


class _Document(msgspec.Struct):
    run_key: str
    asked_at: datetime
    attempt: int
    days: dict[date, str]


def remember(store: ObjectStore, requests: Iterable[Request], now: datetime) -> None:
    """Writes requests down, each once."""
    for one in requests:
        store.put(f"{PREFIX}{one.run_key}.json", msgspec.json.encode(_Document(one.run_key, now, one.attempt, dict(one.days))))


def remembered(store: ObjectStore, outcomes: Callable[[Sequence[str]], Mapping[str, Outcome]]) -> list[Asked]:
    """All of them, with what became of their runs. Costs one listing, and a get for each.

    Args:
        outcomes: of run keys; those without a run are left out.
    """
    documents = [msgspec.json.decode(store.get(info.key).body, type=_Document) for info in store.list(PREFIX)]
    asked = [Asked(one.run_key, one.asked_at, one.days) for one in documents]
    found = outcomes([one.run_key for one in asked]) if asked else {}
    return [replace(one, outcome=found.get(one.run_key)) for one in asked]


def forget(store: ObjectStore, run_keys: Iterable[str]) -> None:
    """Removes those that are settled."""
    store.delete([f"{PREFIX}{run_key}.json" for run_key in run_keys])
