"""Manifests of edge devices: each asks for one run, however late and in whatever order devices put them."""

import os
from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from resources.s3 import ObjectStoreResource
from sensors.day_folders import Cursor, Watch, look, open_days, parsed, turns, written
from sensors.edge_uploads import edge_upload_sensor, hive_day
from tests.sensors.runs import in_memory, place_at
from torus_assets.clients.object_store import ObjectInfo, open_store

TODAY = date(2026, 2, 10)
NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)
PREFIX = "scenario=raw/region=eu-west-1/"
DAYS = dg.DailyPartitionsDefinition("2025-01-01", end_offset=1)


def key(day: date, node: str, hour: int = 3) -> str:
    return f"{PREFIX}{hive_day(day)}hour={hour:02d}/node-{node}.parquet.manifest.json"


def partition_of(manifest: str) -> str | None:
    parts = dict(part.split("=", 1) for part in manifest.split("/") if "=" in part)
    found = [parts.get(name) for name in ("year", "month", "day")]
    return "-".join(map(str, found)) if "hour" in parts else None


@dg.asset(partitions_def=DAYS)
def readings(context: dg.AssetExecutionContext) -> None:
    """What devices read."""


READINGS = dg.define_asset_job("readings", [readings], partitions_def=DAYS)


class Edge:
    """A sensor over a store of uploads, with its cursor and a clock that the test moves."""

    def __init__(self, place, url: str) -> None:
        self.place, self.url, self.cursor, self.now = place, url, None, NOON
        self.store = open_store(url)
        self.sensor = edge_upload_sensor(
            name="raw_eu", target="readings", partition_of=partition_of, prefix=PREFIX, watch=Watch(3, 30, 10, 5), clock=lambda: self.now
        )

    @property
    def definitions(self) -> dg.Definitions:
        return dg.Definitions(
            assets=[readings], jobs=[READINGS], sensors=[self.sensor], resources={"edge": ObjectStoreResource(url=self.url)}
        )

    def put(self, day: date, node: str, body: bytes = b"{}", at: datetime | None = None) -> None:
        self.store.put(key(day, node), body)
        if self.store.is_local:
            stamp = (at or self.now).timestamp()
            os.utime(self.store.path(key(day, node)), (stamp, stamp))

    def tick(self):
        found = self.place.tick(self.sensor, self.cursor, self.definitions, edge=ObjectStoreResource(url=self.url))
        self.cursor = found.cursor
        return found

    def asked(self) -> list[str]:
        return [request.run_key.partition("node-")[2].partition(".")[0] for request in self.tick().run_requests]


@pytest.fixture
def edge(tmp_path):
    with place_at(tmp_path, in_memory()) as place:
        yield Edge(place, (tmp_path / "edge").as_uri())


def test_a_manifest_asks_for_one_run_of_its_day(edge):
    edge.put(TODAY, "a")
    edge.store.put(key(TODAY, "b").removesuffix(".manifest.json"), b"data without its manifest")
    [request] = edge.tick().run_requests
    assert request.partition_key == "2026-02-10"
    assert request.run_key.startswith(f"{key(TODAY, 'a')}:")
    assert edge.asked() == []


def test_the_run_that_is_asked_for_runs(edge):
    edge.put(TODAY, "a")
    [request] = edge.tick().run_requests
    job = edge.definitions.resolve_job_def("readings")
    done = job.execute_in_process(instance=edge.place.instance, partition_key=request.partition_key)
    assert done.success


def test_manifests_of_the_same_second_late_overwritten_and_out_of_order_are_all_found(edge):
    edge.put(TODAY, "m")
    assert edge.asked() == ["m"]
    edge.put(TODAY, "a")
    edge.put(TODAY, "z")
    assert edge.asked() == ["a", "z"]
    edge.put(TODAY, "late", at=NOON - timedelta(minutes=10))
    edge.put(TODAY - timedelta(days=2), "older-day")
    assert edge.asked() == ["late", "older-day"]
    edge.put(TODAY, "a", b'{"changed": true}')
    assert edge.asked() == ["a"]


def test_a_device_that_was_offline_for_weeks_is_found_when_its_days_have_their_turn(edge):
    edge.put(TODAY - timedelta(days=20), "before")
    found = [name for _ in range(3) for name in edge.asked()]
    assert found == ["before"]
    edge.now += timedelta(days=1)
    edge.put(TODAY - timedelta(days=20), "after", at=edge.now)
    assert [name for _ in range(3) for name in edge.asked()] == ["after"]


def test_a_lost_cursor_asks_for_the_same_runs_under_the_same_keys(edge):
    edge.put(TODAY, "a")
    [first] = edge.tick().run_requests
    edge.cursor = None
    [again] = edge.tick().run_requests
    assert again.run_key == first.run_key


def test_a_key_that_says_no_partition_is_passed_over_and_does_not_stop_the_rest(edge):
    edge.store.put(f"{PREFIX}{hive_day(TODAY)}strange.manifest.json", b"{}")
    edge.put(TODAY, "a")
    assert edge.asked() == ["a"]
    assert edge.asked() == []


def test_manifests_in_s3_are_found(tmp_path, s3):
    with place_at(tmp_path, in_memory()) as place:
        edge = Edge(place, f"{s3}/uploads")
        edge.now = datetime.now(UTC)
        today = edge.now.date()
        edge.put(today, "b")
        assert edge.asked() == ["b"]
        edge.put(today, "a")
        assert edge.asked() == ["a"]
        edge.put(today, "a", b"changed")
        assert edge.asked() == ["a"]
        assert edge.asked() == []


def test_a_burst_is_taken_in_pieces_and_none_is_lost(edge):
    for n in range(12):
        edge.put(TODAY, f"{n:02d}")
    pieces = [edge.asked() for _ in range(4)]
    assert [len(piece) for piece in pieces] == [5, 5, 2, 0]
    assert sorted(name for piece in pieces for name in piece) == [f"{n:02d}" for n in range(12)]


def info(day: date, name: str, at: datetime) -> ObjectInfo:
    return ObjectInfo(key(day, name), 1, "e", at)


def test_old_days_take_turns_and_each_has_one():
    watch = Watch(open_days=2, kept_days=11, old_days=4)
    seen, last = [], None
    for _ in range(5):
        some = turns(last, TODAY, watch)
        seen += some
        last = some[-1]
    old = [TODAY - timedelta(days=n) for n in range(2, 12)]
    assert seen == [*old, *old]
    assert not set(old) & set(open_days(TODAY, watch))
    assert turns(None, TODAY, Watch(open_days=5, kept_days=3)) == []
    assert turns(last, TODAY + timedelta(days=1), watch)[0] <= TODAY - timedelta(days=1)


def test_a_tick_lists_only_the_open_days_and_those_whose_turn_it_is():
    listed: list[date] = []

    def listing(day: date):
        listed.append(day)
        return []

    look(Cursor(), listing, NOON, Watch(open_days=3, kept_days=100, old_days=4))
    assert len(listed) == 7


def test_an_old_day_that_was_not_taken_whole_keeps_its_turn():
    day = TODAY - timedelta(days=3)
    watch = Watch(open_days=3, kept_days=60, old_days=2, limit=4)
    objects = [info(day, str(n), NOON) for n in range(10)]
    cursor, found = Cursor(), []
    for _ in range(3):
        tick = look(cursor, lambda one: objects if one == day else [], NOON, watch)
        found += [one.key for one in tick.fresh]
        cursor = parsed(written(tick.cursor))
    assert sorted(found) == sorted(one.key for one in objects)


def test_the_cursor_forgets_days_that_are_no_longer_kept_and_stays_small():
    watch = Watch(open_days=3, kept_days=20, old_days=20, limit=1000)
    cursor = Cursor()
    for n in range(100):
        today = TODAY + timedelta(days=n)
        objects = {today: [info(today, str(m), NOON + timedelta(days=n, seconds=m)) for m in range(200)]}
        cursor = look(cursor, lambda day, objects=objects: objects.get(day, []), NOON + timedelta(days=n, hours=1), watch).cursor
    assert len(cursor.days) <= 21
    assert len(written(cursor)) < 8000


@pytest.mark.parametrize("text", [None, "", "not a cursor", '{"days": 3}', '{"days": {"no day": {}}}'])
def test_a_lost_or_damaged_cursor_starts_from_everything(text):
    assert parsed(text) == Cursor()
