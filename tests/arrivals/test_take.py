"""From real notifications in a real queue to the arrivals table, to requests, and only then out of the queue."""

from __future__ import annotations

import json
import time
from datetime import date, datetime, timedelta
from itertools import count
from typing import Any

import boto3.session
import msgspec
import pytest

from tests.arrivals.queues import Killed, Notified, PlayedRuns, Sabotage
from tests.factories import DAY, Place, bundle_key, numbered
from torus_assets.arrivals import acknowledge, asked, table, take
from torus_assets.arrivals.index import with_arrivals
from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.take import REFUSED
from torus_assets.arrivals.tick import Limits, Sources, Ticked, tick
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi import bundle_index, day
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import LakeMissing

NOW = datetime.fromisoformat("2026-02-03T16:00:00+00:00")
LIMITS = Limits(first_day=date(2026, 1, 1), open_days=3, listing_seconds=1.0)


class House:
    """A bucket with a queue, a lake in a folder, and ticks half a minute apart."""

    def __init__(self, root, s3: str, prefix: str = "") -> None:
        self.place = Place(root)
        self.store: ObjectStore = open_store(str(root / "lake"))
        self.notified = Notified(s3.removeprefix("s3://"))
        self.bundles = open_store(s3 + prefix)
        self.runs = PlayedRuns()
        self.now = NOW
        self.cursor: str | None = None
        self.listing = False  # what the queue brings is to be seen alone

    def put(self, name: str, *lines: int, **more: Any) -> str:
        key = bundle_key(name, **more)
        self.bundles.put(key, b"\n".join(map(numbered, lines or (1,))))
        return key

    def tick(self) -> Ticked:
        """One tick; its requests are in flight afterwards."""
        self.now += timedelta(seconds=30)
        swept = self.bundles if self.listing else Unlisted(self.bundles)
        sources = Sources(swept, self.store, self._snapshot(), self.notified.queue, Ledgers())  # pyright: ignore[reportArgumentType]
        ticked = tick(sources, self.runs.played(), LIMITS, self.cursor, now=self.now, clock=time.monotonic)
        self.cursor = ticked.cursor
        self.runs.launch(ticked.due.requests, "in flight", self.now)
        return ticked

    def end_runs(self, state: str = "success") -> None:
        """What is in flight ends; a success has ingested its days."""
        for run_key, outcome in self.runs.outcomes.items():
            if outcome.state == "in flight":
                self.runs.outcomes[run_key] = outcome._replace(state=state, ended_at=self.now)  # pyright: ignore[reportArgumentType]
        if state == "success":
            self.ingest()

    def ingest(self, one: date = DAY) -> None:
        with_arrivals(self.bundles, open_store(str(self.place.root / "none")), self.place.lake, one, one)
        day.ingest(self.place.lake, self.bundles, one, self.place.spool, IngestOptions(workers=1, max_quarantined_share=1.0))

    def pending(self) -> list[str]:
        return [key for rows in table.pending(self.store, self._snapshot()).values() for key in rows["key"]]

    def acknowledgements(self) -> list[str]:
        return [info.key for info in self.store.list(acknowledge.PREFIX)]

    def ledger(self) -> dict[str, str]:
        return dict(self.place.lake.snapshot().ledger().select("key", "source_etag").iter_rows())

    def _snapshot(self):
        try:
            return self.place.lake.snapshot()
        except LakeMissing:
            return None


class Unlisted:
    """The store without its listing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def folders(self, prefix: str = "") -> list[str]:
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture(autouse=True)
def short_polls(monkeypatch):
    monkeypatch.setattr(take, "POLL_SECONDS", 0)  # moto has one server: what is there comes at once


@pytest.fixture(params=["", "/torus/xapi"], ids=["bucket", "prefix"])
def house(request, tmp_path, s3) -> House:
    return House(tmp_path, s3, request.param)


@pytest.fixture
def plain(tmp_path, s3) -> House:
    return House(tmp_path, s3)


def test_notifications_of_s3_become_arrivals_one_request_and_an_empty_queue(house):
    keys = [house.put("a b+ö", 1), house.put("b", 2), house.put("c", 3, day=DAY - timedelta(days=1))]
    first = house.tick()
    assert first.taken.ignored == {"test_event": 1}
    assert (first.taken.messages, first.taken.bundles, first.taken.arrived, first.taken.waiting) == (4, 3, 3, 3)
    assert sorted(house.pending()) == sorted(keys)
    assert [(one.first, one.last) for one in first.due.requests] == [(DAY - timedelta(days=1), DAY)]
    assert house.notified.left() == 3  # the test event went at once, the others when the run is seen
    second = house.tick()
    assert (second.acknowledged.deleted, second.due.requests, house.notified.left()) == (3, [], 0)
    assert house.acknowledgements() == []
    house.ingest(DAY - timedelta(days=1))
    house.end_runs()
    third = house.tick()
    assert (third.pending, third.due.requests, third.due.waiting) == (0, [], {})
    assert list(house.store.list("xapi/arrivals/")) == []
    assert third.reason.startswith("nothing new")


def test_a_message_stays_until_the_run_that_was_asked_for_is_seen(plain):
    plain.put("a")
    plain.tick()
    plain.runs.outcomes.clear()  # Dagster was killed before it made the run
    again = plain.tick()
    assert (again.acknowledged.deleted, again.acknowledged.waiting, plain.notified.left()) == (0, 1, 1)
    assert len(again.due.requests) == 1
    assert plain.tick().acknowledged.deleted == 1


def test_what_arrives_while_a_run_is_at_work_waits_for_the_next_and_a_burst_is_one_run(plain):
    plain.put("a", 1)
    first = plain.tick()
    for n in range(5):
        plain.put(f"burst {n}", 10 + n)
        assert plain.tick().due.requests == []
    assert plain.notified.left() == 5  # what arrived since waits for its run, hidden
    plain.place.lake.ensure()
    plain.end_runs("success")
    assert plain.tick().due.requests == []  # the index took them all: they were in the table by then
    assert plain.tick().pending == 0
    assert plain.notified.left() == 0
    assert len(plain.ledger()) == 6
    assert len(first.due.requests) == 1


def test_waiting_messages_stay_hidden_for_as_long_as_they_wait(plain):
    plain.runs.in_flight = {DAY}
    plain.put("a")
    plain.tick()
    [before] = plain.acknowledgements()
    plain.now += timedelta(seconds=acknowledge.HIDDEN_SECONDS)
    assert plain.tick().acknowledged.waiting == 1
    [after] = plain.acknowledgements()
    assert after != before
    plain.runs.in_flight = set()
    plain.tick()
    assert plain.tick().acknowledged.deleted == 1
    assert plain.acknowledgements() == []


def test_out_of_order_and_replayed_notifications_end_in_what_the_store_has(plain):
    key = plain.put("a", 1)
    first = plain.bundles.head(key)
    plain.put("a", 2)
    body = {"Records": [{"s3": {"bucket": {"name": plain.notified.bucket}, "object": {"key": key, "eTag": first.etag}}}]}
    plain.notified.send(body)  # the older one again, after the newer
    assert plain.tick().taken.arrived == 1
    plain.end_runs()
    assert plain.ledger() == {key: plain.bundles.head(key).etag}
    plain.tick()
    plain.notified.send(body)
    replayed = plain.tick()
    assert (replayed.taken.arrived, replayed.taken.deleted, replayed.due.requests) == (0, 1, [])


def test_an_overwritten_object_is_asked_for_again(plain):
    key = plain.put("a", 1)
    plain.tick()
    plain.end_runs()
    plain.tick()
    time.sleep(max(0.0, 1.01 - time.time() % 1))  # S3 tells seconds: an overwrite of the same second has no later time
    plain.put("a", 2)
    again = plain.tick()
    assert (again.taken.arrived, len(again.due.requests)) == (1, 1)
    plain.end_runs()
    assert plain.ledger() == {key: plain.bundles.head(key).etag}


def test_an_object_that_is_gone_when_looked_at_is_counted_and_its_messages_go(plain):
    plain.bundles.delete([plain.put("a")])
    ticked = plain.tick()
    assert (ticked.taken.gone, ticked.taken.arrived, ticked.due.requests) == (1, 0, [])
    assert ticked.taken.ignored == {"test_event": 1, "removed": 1}
    assert plain.notified.left() == 0


def test_an_object_that_goes_before_its_run_is_asked_for_once_and_then_dropped(plain):
    kept, lost = plain.put("kept", 1), plain.put("lost", 2)
    plain.tick()
    plain.bundles.delete([lost])
    plain.end_runs()
    assert list(plain.ledger()) == [kept]
    ticked = plain.tick()
    assert ticked.due.waiting.keys() | {one.first for one in ticked.due.requests} == {DAY}
    plain.end_runs()
    after = [plain.tick() for _ in range(3)]
    assert after[-1].pending == 0
    assert ticked.gone + sum(one.gone for one in after) == 1
    assert list(plain.store.list(table.PREFIX)) == []
    assert list(plain.store.list(asked.PREFIX)) == []


def test_a_poisonous_message_neither_blocks_nor_vanishes(plain):
    plain.notified.send("not json")
    plain.notified.send({"Records": [{"s3": {}}, {"s3": {"bucket": {"name": plain.notified.bucket}, "object": {"key": plain.put("b")}}}]})
    good = plain.put("a")
    ticked = plain.tick()
    assert (ticked.taken.refused, ticked.taken.arrived) == (2, 2)
    assert good in plain.pending()
    documents = [json.loads(plain.store.get(info.key).body) for info in plain.store.list(REFUSED)]
    assert "not json" in {document["body"] for document in documents}
    assert all(document["reasons"] for document in documents)
    plain.tick()
    assert plain.notified.left() == 0


def test_an_object_that_cannot_be_looked_at_holds_up_its_own_message_alone(plain):
    good, bad = plain.put("good"), plain.put("bad")
    original = plain.bundles.head

    def head(key: str):
        if key == bad:
            raise PermissionError("denied")
        return original(key)

    plain.bundles.head = head
    ticked = plain.tick()
    assert ticked.taken.unreachable == {"PermissionError": 1}
    assert plain.pending() == [good]
    plain.tick()
    assert plain.notified.left() == 1


def test_messages_whose_receipts_are_void_come_again_and_are_not_waited_for(plain):
    plain.put("a")
    plain.tick()
    [key] = plain.acknowledgements()
    waiting = msgspec.json.decode(plain.store.get(key).body, type=acknowledge.Acknowledgement)
    plain.store.put(key, msgspec.json.encode(msgspec.structs.replace(waiting, receipts=["void"])))
    ticked = plain.tick()
    assert (ticked.acknowledged.deleted, ticked.acknowledged.returning, ticked.acknowledged.waiting) == (0, 1, 0)
    assert plain.acknowledgements() == []


def test_acknowledgements_of_another_queue_wait_for_it(plain):
    plain.put("a")
    plain.tick()
    first, plain.notified = plain.notified, Notified(plain.notified.bucket)
    assert plain.tick().acknowledged.deleted == 0
    plain.notified = first
    assert plain.tick().acknowledged.deleted == 1


def test_a_missed_notification_is_found_by_listing(plain):
    plain.listing = True
    missed = plain.put("missed")
    plain.notified.sqs.purge_queue(QueueUrl=plain.notified.url)
    ticked = plain.tick()
    assert (ticked.taken.bundles, ticked.listed, len(ticked.due.requests)) == (0, 1, 1)
    assert plain.pending() == [missed]


def test_told_by_both_sources_it_is_one_arrival(plain):
    plain.listing = True
    plain.put("a")
    ticked = plain.tick()
    assert (ticked.taken.arrived, ticked.listed, ticked.pending) == (1, 0, 1)
    plain.cursor = None
    assert plain.tick().listed == 0


def at_rest(house: House) -> None:
    """A first tick: two bundles, and a message that nobody can read."""


def at_work(house: House) -> None:
    """A request is out and its messages wait; something more arrives."""
    house.tick()
    house.put("c", 3)


def ended(house: House) -> None:
    """The run has done its work; table, request and acknowledgements are to be cleared away, and something more arrives."""
    house.tick()
    house.end_runs()
    house.put("c", 3)


@pytest.mark.parametrize("scene", [at_rest, at_work, ended])
def test_a_kill_between_any_two_steps_loses_nothing_and_doubles_nothing(tmp_path, s3, scene):
    """Each round kills the tick at a later change of the outside world, then goes on undisturbed."""
    for at in count(1):
        house = House(tmp_path / str(at), s3, f"/{at}")
        house.put("a", 1)
        house.put("b", 2)
        house.notified.send("poison")
        scene(house)
        killed = kill(house, at)
        house.notified.reveal()
        for _ in range(4):
            house.tick()
            house.end_runs()
        keys = {info.key for info in house.bundles.list()}
        assert house.place.lake.snapshot().ledger()["key"].sort().to_list() == sorted(keys)
        assert bundle_index.read_index(house.store, DAY).table["key"].to_pylist() == sorted(keys)
        assert house.tick().pending == 0
        assert house.notified.left() == 0
        assert [info.key.rpartition("/")[0] + "/" for info in house.store.list("xapi/arrivals/")] == [REFUSED]
        if not killed:
            break
    assert at > 4


def kill(house: House, at: int) -> bool:
    """A tick that is killed at the change of that number; False when it ended before."""
    sabotage, store, client = Sabotage(at), house.store, house.notified.sqs
    house.store, house.notified.sqs = open_store(store.url), boto3.session.Session().client("sqs")
    sabotage.on(house.store, "put", "delete")
    sabotage.on(house.notified.sqs, "delete_message_batch", "change_message_visibility_batch")
    try:
        house.tick()
    except Killed:
        return True
    finally:
        house.store, house.notified.sqs = store, client
    return False
