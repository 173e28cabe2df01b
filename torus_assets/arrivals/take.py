"""From the queue to the arrivals table: what messages name, looked at in the store, made durable.

A notification says where to look; what is there, the store says. So overwritten, replayed and out-of-order notifications all come
out right. The order is: bundles into the table, refused messages into ``xapi/arrivals/refused/``, acknowledgements, and only then
deletions. Killed between any two steps, the messages come back and end the same way.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime

import msgspec

from torus_assets.arrivals import acknowledge
from torus_assets.arrivals.known import Known
from torus_assets.arrivals.payloads import Named, Reading, read_message
from torus_assets.clients.object_store import ObjectInfo, ObjectStore
from torus_assets.clients.sqs import Message, Queue
from torus_assets.xapi.bundle_index import bundle_of

REFUSED = "xapi/arrivals/refused/"
MESSAGES = 2000  # of one tick at most
SECONDS = 10.0  # that one tick spends on receiving
POLL_SECONDS = 1  # that the queue may wait for a first message: a poll without a wait asks only some of SQS' servers
THREADS = 16


@dataclass
class Taken:
    """What one tick made of the queue. Counts of messages, and of the bundles they named."""

    messages: int = 0
    deleted: int = 0  # messages that nothing waits for
    waiting: int = 0  # messages that wait for a run
    refused: int = 0  # messages of which something could not be read; kept
    bundles: int = 0  # named, each once
    arrived: int = 0  # of them, new
    gone: int = 0  # of them, no longer in the store
    unreachable: Counter[str] = field(default_factory=Counter)  # of them, by the error; their messages come again
    ignored: Counter[str] = field(default_factory=Counter)  # records, by why


def take(queue: Queue, bundles: ObjectStore, known: Known, *, now: datetime, clock: Callable[[], float]) -> Taken:
    """Receives what the budget of a tick allows and makes it durable.

    Costs a call per ten messages, one HEAD per bundle that neither ledger nor table has under the etag named, and a few writes.

    Args:
        now: when the tick began (UTC).
        clock: seconds, from anywhere.
    """
    messages = _received(queue, clock)
    readings = [read_message(message.body, bundles.bucket, bundles.prefix) for message in messages]
    taken = Taken(len(messages))
    for reading in readings:
        taken.ignored += reading.ignored
    unreachable = _arrivals(bundles, known, readings, now, taken)
    for message, reading in zip(messages, readings, strict=True):
        if reading.refused:
            keep(known.store, message.body, reading.refused, now)
            taken.refused += 1
    _let_go(queue, known, list(zip(messages, readings, strict=True)), unreachable, now, taken)
    return taken


def keep(store: ObjectStore, body: bytes, reasons: Sequence[str], now: datetime) -> str:
    """Keeps a message that could not be read whole, once, with the reasons; its key."""
    document: dict[str, object] = {"reasons": list(reasons), "seen_at": now}
    try:
        document["body"] = body.decode()
    except UnicodeDecodeError:
        document["body_base64"] = base64.b64encode(body).decode()
    key = f"{REFUSED}{hashlib.sha256(body).hexdigest()}.json"
    with suppress(FileExistsError):
        store.put(key, msgspec.json.encode(document), mode="create")
    return key


def _received(queue: Queue, clock: Callable[[], float]) -> list[Message]:
    deadline = clock() + SECONDS
    messages: dict[str, Message] = {}
    while len(messages) < MESSAGES and clock() < deadline:
        batch = queue.receive(wait_seconds=POLL_SECONDS, hidden_seconds=acknowledge.HIDDEN_SECONDS)
        if not batch:
            break
        messages |= {message.id: message for message in batch}  # the receipt of a message that came twice is the later one
    return list(messages.values())


def _arrivals(bundles: ObjectStore, known: Known, readings: Iterable[Reading], now: datetime, taken: Taken) -> set[str]:
    """Looks at what is not known and adds what is there; keys that the store gave no answer about."""
    named = list(dict.fromkeys(one for reading in readings for one in reading.named))
    taken.bundles = len({one.key for one in named})
    keys = known.unseen(named)
    with ThreadPoolExecutor(THREADS) as pool:
        looks = list(pool.map(lambda key: _look(bundles, key), keys))
    found = [bundle for look in looks if isinstance(look, ObjectInfo) and (bundle := bundle_of(look, "notification"))]
    news = known.news(found)
    known.add(news, now)
    taken.arrived = len(news)
    taken.gone = sum(look is None for look in looks)
    taken.unreachable = Counter(type(look).__name__ for look in looks if isinstance(look, Exception))
    return {key for key, look in zip(keys, looks, strict=True) if isinstance(look, Exception)}


def _look(bundles: ObjectStore, key: str) -> ObjectInfo | Exception | None:
    """One object; an error is an answer, too, so that one object cannot hold up the queue. It is counted by its name."""
    try:
        return bundles.head(key)
    except Exception as error:  # noqa: BLE001  # the boundary of one object
        return error


def _let_go(
    queue: Queue, known: Known, read: Iterable[tuple[Message, Reading]], unreachable: Collection[str], now: datetime, taken: Taken
) -> None:
    """Messages that wait for nothing are deleted, those that wait for a run are noted, those nobody could look up come again."""
    pending = {key: day for day, rows in known.pending().items() for key in rows["key"]}
    over: list[str] = []
    waits: dict[str, set[date]] = {}
    for message, reading in read:
        if any(one.key in unreachable for one in reading.named):
            continue
        if days := _days(reading.named, pending):
            waits[message.receipt] = days
        else:
            over.append(message.receipt)
    acknowledge.write(known.store, queue, waits, now)
    taken.waiting = len(waits)
    taken.deleted = queue.delete(over).done


def _days(named: Iterable[Named], pending: dict[str, date]) -> set[date]:
    return {pending[one.key] for one in named if one.key in pending}
