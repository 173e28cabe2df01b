"""Requests for data sets: each is run once, wrong ones are named once, and nothing in Dagster gives a student away."""

import json
import os
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from resources.deployments import resources_for
from resources.s3 import ObjectStoreResource
from sensors import dataset_requests as module
from sensors.dataset_requests import dataset_requests
from tests.sensors.runs import on_disk, place_at
from torus_assets import definitions, settings
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.catalog import request_key, state, submit
from torus_assets.datasets.request import parse_request
from torus_assets.datasets.withdrawal import withdraw
from torus_assets.jobs import DATASET, DATASHOP_DATASET

STUDENT = "90017"
LOCATION = dg.Definitions(
    assets=definitions.ASSETS,
    asset_checks=definitions.CHECKS,
    jobs=[DATASET, DATASHOP_DATASET],
    resources=resources_for(settings.from_environment({})),
)


def document(job_id: str, action: str = "attempt_evaluated", **more: object) -> bytes:
    return json.dumps({"job_id": job_id, "action": action, "section_ids": [3021], **more}).encode()


class Desk:
    """The sensor with its cursor, over a store of requests."""

    def __init__(self, place, url: str) -> None:
        self.place, self.url, self.cursor = place, url, None
        self.store = open_store(url)

    def tick(self):
        found = self.place.tick(dataset_requests, self.cursor, LOCATION, datasets=ObjectStoreResource(url=self.url))
        self.cursor = found.cursor or self.cursor
        return found

    def asked(self) -> list[tuple[str, str]]:
        return [(request.job_name, request.partition_key) for request in self.tick().run_requests]


@pytest.fixture
def home(tmp_path, monkeypatch):
    for name in ("TORUS_XAPI_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "TORUS_PSEUDONYM_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    """One for all: a tick only reads it. Dagster looks up dynamic partitions only in an instance on disk."""
    with on_disk(tmp_path_factory.mktemp("requests") / "dagster") as opened:
        yield opened


@pytest.fixture
def desk(home, instance):
    with place_at(home, nullcontext(instance)) as place:
        yield Desk(place, (home / "datasets").as_uri())


def test_each_request_is_run_once_by_the_job_of_its_action(desk):
    submit(desk.store, document("one"))
    submit(desk.store, document("two", "datashop"))
    found = desk.tick()
    assert sorted((request.job_name, request.partition_key) for request in found.run_requests) == [("dataset", "one"), ("datashop", "two")]
    [added] = found.dynamic_partitions_requests
    assert (added.partitions_def_name, sorted(added.partition_keys)) == ("dataset_jobs", ["one", "two"])
    assert desk.asked() == []


def test_a_request_that_the_command_line_has_answered_is_not_run_again_until_it_is_put_anew(desk):
    submit(desk.store, document("answered"))
    run = "answered/runs/0123/"
    request = parse_request(document("answered")).document() | {"ignored_students": {"count": 0}}
    desk.store.put(
        f"{run}receipt.json", json.dumps({"run": "0123", "request": request, "files": [], "rows": {"exported": 0}}, default=str).encode()
    )
    desk.store.put(f"{run}run.json", json.dumps({"finished": (datetime.now(UTC) + timedelta(seconds=5)).isoformat()}).encode())
    desk.store.put("answered/manifest.json", json.dumps({"receipt": "runs/0123/receipt.json"}).encode())
    assert state(desk.store, "answered").state == "complete"
    assert desk.asked() == []
    later = datetime.now(UTC).timestamp() + 60
    os.utime(desk.store.path(request_key("answered")), (later, later))
    assert desk.asked() == [("dataset", "answered")]


def test_requests_in_s3_are_found_too(home, instance, s3, monkeypatch):
    monkeypatch.setenv("TORUS_PSEUDONYM_KEY", "a key of more than sixteen bytes")
    with place_at(home, nullcontext(instance)) as place:
        desk = Desk(place, f"{s3}/datasets")
        submit(desk.store, document("one"))
        assert desk.asked() == [("dataset", "one")]
        submit(desk.store, document("two"))  # mostly within the same second
        assert desk.asked() == [("dataset", "two")]
        assert desk.asked() == []


def test_a_changed_request_is_run_again_and_so_is_an_older_version_put_back(desk):
    keys = set()
    for sections in ([1], [2], [1]):
        desk.store.put(request_key("one"), json.dumps({"job_id": "one", "action": "video", "section_ids": sections}).encode())
        [request] = desk.tick().run_requests
        keys.add(request.run_key)
    assert len(keys) == 3


def test_a_lost_cursor_asks_for_the_same_runs_under_the_same_keys(desk):
    submit(desk.store, document("one"))
    [first] = desk.tick().run_requests
    desk.cursor = None
    [again] = desk.tick().run_requests
    assert again.run_key == first.run_key


def test_a_withdrawn_job_is_not_run_until_it_is_submitted_again(desk):
    submit(desk.store, document("one"))
    withdraw(desk.store, "one", "somebody", datetime.now(UTC))
    assert desk.asked() == []
    submit(desk.store, document("one"))
    assert desk.asked() == [("dataset", "one")]


def test_an_invalid_request_is_named_once_with_the_number_of_its_mistakes(desk):
    desk.store.put(request_key("bad"), json.dumps({"job_id": "bad", "action": f"see {STUDENT}", "section_ids": []}).encode())
    desk.store.put(request_key("misnamed"), document("another"))
    desk.store.put("requests/not an id.json", b"{}")
    submit(desk.store, document("good"))
    assert desk.asked() == [("dataset", "good")]
    desk.cursor = None
    assert desk.asked() == [("dataset", "good")]
    told = "\n".join(desk.place.messages)
    assert len(desk.place.messages) == 3
    assert "requests/bad.json: not run\nWhy: the request has 2 mistakes\nWhat to do: `torus dataset status bad` lists them" in told
    assert "requests/misnamed.json: not run\nWhy: the request has 1 mistake\n" in told
    assert STUDENT not in told
    assert "not an id" not in told


def test_a_mended_request_is_run_and_its_mistakes_are_taken_back(desk):
    desk.store.put(request_key("one"), b"no document")
    assert desk.asked() == []
    assert len(desk.place.book.open()) == 1
    submit(desk.store, document("one"))
    assert desk.asked() == [("dataset", "one")]
    assert desk.place.book.open() == []


def test_a_notice_that_is_not_delivered_does_not_stop_the_others_requests(desk):
    desk.place.hook.status = 500
    desk.store.put(request_key("bad"), b"[]")
    submit(desk.store, document("good"))
    assert desk.asked() == [("dataset", "good")]
    assert [notice.told_at for notice in desk.place.book.open()] == [None]


def test_neither_run_keys_nor_the_cursor_hold_a_digest_that_can_be_guessed(desk, home):
    submit(desk.store, document("one", ignored_student_ids=[STUDENT]))
    found = desk.tick()
    (home / "pseudonym.key").write_text("another key of more than sixteen bytes")
    desk.cursor = None
    other = desk.tick()
    assert found.run_requests[0].run_key != other.run_requests[0].run_key
    assert found.cursor != other.cursor
    etag = desk.store.head(request_key("one")).etag
    assert etag not in found.cursor + found.run_requests[0].run_key


def test_without_a_key_in_a_real_deployment_nothing_is_passed_by(desk, monkeypatch):
    submit(desk.store, document("one"))
    monkeypatch.setenv("TORUS_LAKE_URL", "s3://bucket/lake")
    found = desk.tick()
    assert (found.run_requests, found.cursor) == ([], None)
    assert "TORUS_PSEUDONYM_KEY is not set" in found.skip_message
    monkeypatch.delenv("TORUS_LAKE_URL")
    assert desk.asked() == [("dataset", "one")]


def test_many_requests_come_in_several_ticks_and_none_is_lost(desk, monkeypatch):
    monkeypatch.setattr(module, "REQUESTS_PER_TICK", 4)
    for n in range(10):
        submit(desk.store, document(f"job-{n}"))
        os.utime(desk.store.path(request_key(f"job-{n}")), (1_700_000_000, 1_700_000_000))  # all of one second
    asked = [desk.asked() for _ in range(4)]
    assert [len(one) for one in asked] == [4, 4, 2, 0]
    assert len({job for one in asked for _, job in one}) == 10


def test_other_objects_are_no_requests(desk):
    desk.store.put("requests/readme.txt", b"x")
    desk.store.put("requests/deeper/one.json", document("one"))
    assert desk.asked() == []


def test_a_request_that_is_gone_before_it_is_read_is_passed_by(desk):
    info = module.ObjectInfo("requests/gone.json", 1, "e", datetime.now(UTC) - timedelta(minutes=1))
    assert module.read(desk.store, info) == module.Asked("gone", info.last_modified)


def test_the_sensor_is_on_by_default_and_knows_both_jobs():
    assert dataset_requests.default_status == dg.DefaultSensorStatus.RUNNING
    assert {target.job_name for target in dataset_requests.targets} == {"dataset", "datashop"}
