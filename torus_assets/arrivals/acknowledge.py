"""When a message may go: acknowledgements, ``xapi/arrivals/acknowledge/{digest}.json`` in the lake store.

A message is deleted once every bundle it names is in the ledger, or is in the arrivals table and a run over its day has been asked
for since and seen in Dagster. Until then it stays hidden in the queue; if we are killed it comes back, which is harmless.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import msgspec

from torus_assets.arrivals.due import Asked
from torus_assets.clients.object_store import ObjectStore
from torus_assets.clients.sqs import Queue

PREFIX = "xapi/arrivals/acknowledge/"
HIDDEN_SECONDS = 300  # that a received message stays invisible to others; prolonged while it waits


class Acknowledgement(msgspec.Struct, kw_only=True):
    """Messages that wait for the same days."""

    queue: str  # its URL
    taken_at: datetime  # UTC; a run asked for then or later covers them
    hidden_until: datetime  # UTC
    days: list[date]
    receipts: list[str]


@dataclass
class Acknowledged:
    """What became of them in one tick."""

    deleted: int = 0  # messages
    returning: int = 0  # messages whose receipt is void: they come again
    waiting: int = 0  # messages


def write(store: ObjectStore, queue: Queue, waits: Mapping[str, Collection[date]], now: datetime) -> None:
    """Notes messages (by receipt) with the days they wait for."""
    groups: dict[tuple[date, ...], list[str]] = {}
    for receipt, days in waits.items():
        groups.setdefault(tuple(sorted(days)), []).append(receipt)
    until = now + timedelta(seconds=HIDDEN_SECONDS)
    for days, receipts in groups.items():
        _put(store, Acknowledgement(queue=queue.url, taken_at=now, hidden_until=until, days=list(days), receipts=receipts))


def settle(store: ObjectStore, queue: Queue, pending: Collection[date], asked: Sequence[Asked], now: datetime) -> Acknowledged:
    """Deletes messages that may go, and keeps the others hidden.

    Args:
        pending: days of which something is pending.
        asked: earlier requests with their runs.
    """
    told = Acknowledged()
    for key, one in _read(store, queue.url):
        if all(day not in pending or _covered(day, one.taken_at, asked) for day in one.days):
            _delete(store, queue, key, one, told)
        elif one.hidden_until - now < timedelta(seconds=HIDDEN_SECONDS / 2):
            _prolong(store, queue, key, one, now, told)
        else:
            told.waiting += len(one.receipts)
    return told


def _delete(store: ObjectStore, queue: Queue, key: str, one: Acknowledgement, told: Acknowledged) -> None:
    answered = queue.delete(one.receipts)
    told.deleted += answered.done
    told.returning += len(answered.void)
    told.waiting += len(answered.failed)
    _replace(store, key, msgspec.structs.replace(one, receipts=answered.failed))


def _prolong(store: ObjectStore, queue: Queue, key: str, one: Acknowledgement, now: datetime, told: Acknowledged) -> None:
    answered = queue.hide(one.receipts, HIDDEN_SECONDS)
    void = set(answered.void)
    kept = [receipt for receipt in one.receipts if receipt not in void]
    told.returning += len(void)
    told.waiting += len(kept)
    _replace(store, key, msgspec.structs.replace(one, receipts=kept, hidden_until=now + timedelta(seconds=HIDDEN_SECONDS)))


def _covered(day: date, taken_at: datetime, asked: Iterable[Asked]) -> bool:
    return any(one.outcome and one.asked_at >= taken_at and day in one.days for one in asked)


def _read(store: ObjectStore, url: str) -> list[tuple[str, Acknowledgement]]:
    """Those of this queue; another queue's wait until it is set again."""
    found = [(info.key, msgspec.json.decode(store.get(info.key).body, type=Acknowledgement)) for info in store.list(PREFIX)]
    return [(key, one) for key, one in found if one.queue == url]


def _put(store: ObjectStore, one: Acknowledgement) -> str:
    body = msgspec.json.encode(one)
    key = f"{PREFIX}{hashlib.sha256(body).hexdigest()[:32]}.json"
    store.put(key, body)
    return key


def _replace(store: ObjectStore, key: str, one: Acknowledgement) -> None:
    """What is left of an acknowledgement in its place; nothing when no message is left in it."""
    if not one.receipts or _put(store, one) != key:
        store.delete([key])
