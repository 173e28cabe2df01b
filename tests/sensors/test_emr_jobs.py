"""Jobs that Torus starts, as the sensor sees them: a real listing over HTTP, states moved behind its back, and what people are told."""

# ruff: noqa: F811 (`emr` is a fixture)

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import msgspec
import pytest

from resources.s3 import ObjectStoreResource
from sensors.emr_jobs import EVENTS_PER_TICK, TORUS_JOBS, emr_jobs
from tests.emr.emr_world import EmrWorld, emr, many  # noqa: F401
from tests.emr.test_following import ARGUMENTS, TORUS_JOB
from tests.sensors.runs import Place, in_memory, place_at
from torus_assets.clients.object_store import open_store

MINUTE = timedelta(minutes=1)
LEARNERS = ("4711", "4712")
OWN_RUN = "0b9f4c1e-7d55-4a4c-9e35-0123456789ab"


class Following:
    """The sensor over one application, ticked as the daemon does it: events are written before the cursor is."""

    def __init__(self, place: Place, emr: EmrWorld) -> None:
        self.place, self.emr, self.cursor = place, emr, None
        self.url = (place.root / "datasets").as_uri()
        self.store = open_store(self.url)
        self.words = ""

    def tick(self, *, killed: bool = False, lost: bool = False) -> list[dict[str, Any]]:
        """The metadata of what was recorded; `killed`: the cursor was not written; `lost`: nothing was."""
        found = self.place.tick(emr_jobs, self.cursor, datasets=ObjectStoreResource(url=self.url))
        for event in found.asset_events if not lost else ():
            self.place.instance.report_runless_asset_event(event)
        self.words = found.skip_message
        if not killed and not lost:
            self.cursor = found.cursor
        return [{name: value.value for name, value in event.metadata.items()} for event in found.asset_events]

    def recorded(self) -> list[tuple[Any, Any, Any]]:
        """Everything that stands in the event log, oldest first."""
        found = self.place.instance.fetch_observations(TORUS_JOBS.key, limit=1000, ascending=True).records
        every = [one.asset_observation.metadata for one in found if one.asset_observation]
        return [(values["job_run"].value, values["state"].value, values["about"].value) for values in every]


@pytest.fixture
def at(tmp_path, emr: EmrWorld, monkeypatch) -> Iterator[Following]:
    for name, value in emr.environment().items():
        monkeypatch.setenv(name, value)
    with place_at(tmp_path, in_memory()) as place:
        yield Following(place, emr)


def ago(minutes: float) -> datetime:
    return datetime.now(UTC) - minutes * MINUTE


def test_a_job_of_torus_is_recorded_from_its_start_to_its_end_with_figures_links_and_manifest(at, emr):
    run = emr.add("PENDING", at=ago(9), arguments=ARGUMENTS, log_url="s3://analyticsjobs/logs")
    [first] = at.tick()
    assert (first["state"], first["job_id"], first["action"], first["sections"]) == ("PENDING", TORUS_JOB, "video", 3)
    assert first["started_by"] == "others"
    emr.move(run, "RUNNING", at=ago(5))
    [second] = at.tick()
    assert (second["before"], second["state"]) == ("PENDING", "RUNNING")
    at.store.put(f"contexts/{TORUS_JOB}.json", b"{}")
    at.store.put(f"{TORUS_JOB}/manifest.json", b"{}")
    emr.bill(run, vcpu=2.0, memory=8.0, seconds=240)
    emr.move(run, "SUCCESS", at=ago(1))
    [last] = at.tick()
    assert (last["vcpu_hours"], last["seconds"], last["manifest"]) == (2.0, 240.0, "there")
    assert last["cost_usd"] > 0
    assert last["logs"].endswith(f"/jobs/{run}/")
    assert at.tick() == []
    assert at.place.messages == []
    assert at.recorded() == [(run, "PENDING", "state"), (run, "RUNNING", "state"), (run, "SUCCESS", "state")]


def test_ids_of_learners_in_the_arguments_and_texts_of_emr_are_nowhere(at, emr, caplog):
    emr.add("FAILED", at=ago(1), arguments=ARGUMENTS, name="for Ann Smith", details="ExitCode: 1. ValueError: no learner 4711")
    [values] = at.tick()
    assert values["exit_code"] == 1
    everything = json.dumps([values, at.cursor, at.place.messages, at.words], default=str) + caplog.text
    kept = [
        open_store((at.place.root / "lake").as_uri()).get(info.key).body.decode()
        for info in open_store((at.place.root / "lake").as_uri()).list()
    ]
    assert kept
    assert not [word for word in (*LEARNERS, "Ann") for text in (everything, *kept) if word in text]


def test_a_failed_job_is_told_once_and_says_where_its_log_is(at, emr):
    run = emr.add("RUNNING", at=ago(20), arguments=ARGUMENTS, log_url="s3://analyticsjobs/logs")
    at.tick()
    emr.move(run, "FAILED", details="ExitCode: 137", at=ago(1))
    at.tick()
    at.tick()
    [message] = at.place.messages
    assert "exit code 137" in message
    assert TORUS_JOB in message
    assert f"s3://analyticsjobs/logs/applications/{emr.application_id}/jobs/{run}/" in message


def test_each_failed_job_is_told_by_itself_but_not_those_of_days_ago(at, emr):
    for minutes in (1, 2, 3 * 24 * 60):
        emr.add("FAILED", at=ago(minutes))
    assert len(at.tick()) == 3
    assert len(at.place.messages) == 2


def test_a_run_that_vanished_is_recorded_told_and_no_longer_waited_for(at, emr):
    run = emr.add("RUNNING", at=ago(5))
    at.tick()
    emr.vanish(run)
    [values] = at.tick()
    assert (values["state"], values["about"]) == ("RUNNING", "vanished")
    assert at.tick() == []
    [message] = at.place.messages
    assert "EMR no longer knows the run, which was RUNNING" in message


def test_an_unknown_state_is_recorded_and_told_and_the_run_is_followed_to_its_end(at, emr):
    run = emr.add("HIBERNATING", at=ago(5))
    [values] = at.tick()
    assert values["state"] == "HIBERNATING"
    emr.move(run, "SUCCESS")
    assert [values["state"] for values in at.tick()] == ["SUCCESS"]
    [message] = at.place.messages
    assert "EMR says HIBERNATING" in message
    assert at.place.book.open() == []


def test_a_run_that_waits_for_hours_is_told(at, emr):
    emr.add("QUEUED", at=ago(90))
    assert [values["about"] for values in at.tick()] == ["state", "long"]
    assert at.tick() == []
    [message] = at.place.messages
    assert "QUEUED since" in message


def test_a_tick_that_was_lost_after_it_told_people_is_recorded_by_the_next_and_told_once(at, emr):
    emr.add("FAILED", at=ago(1))
    at.tick(lost=True)
    assert len(at.tick()) == 1
    [notice] = at.place.book.open()
    assert notice.count == 1
    assert len(at.place.messages) == 1


def test_a_message_that_is_not_delivered_is_told_by_a_later_tick(at, emr):
    at.place.hook.status = 503
    emr.add("FAILED", at=ago(1))
    assert len(at.tick()) == 1
    at.place.hook.status = 200
    at.tick()
    assert len(at.place.messages) == 1


def test_the_notice_of_a_failed_run_is_closed_after_a_week(at, emr):
    emr.add("FAILED", at=ago(1))
    at.tick()
    [notice] = at.place.book.open()
    at.tick()
    assert at.place.book.open() == [notice]
    at.place.book.write(msgspec.structs.replace(notice, last_seen=ago(8 * 24 * 60)))
    at.tick()
    assert at.place.book.open() == []


def test_a_run_of_our_own_is_marked_and_its_failure_is_left_to_its_dagster_run(at, emr):
    emr.add("FAILED", at=ago(1), tags={"dagster/run-id": OWN_RUN, "dagster/job": "ingest"})
    [values] = at.tick()
    assert (values["started_by"], values["run"]) == ("this Dagster", OWN_RUN)
    assert at.place.messages == []


def test_a_success_without_a_manifest_is_told_only_where_its_lookup_is(at, emr):
    emr.add("SUCCESS", at=ago(1), arguments=["--job_id", "elsewhere", "--action", "video"])
    emr.add("SUCCESS", at=ago(1), arguments=["--job_id", "lost", "--action", "video"])
    at.store.put("contexts/lost.json", b"{}")
    assert {values["job_id"]: values["manifest"] for values in at.tick()} == {"elsewhere": "not in this store", "lost": "missing"}
    [message] = at.place.messages
    assert "(job lost)" in message


def test_a_lost_cursor_and_a_killed_tick_double_no_record_and_no_message(at, emr):
    many(emr, 3, first=ago(600))
    working, failed = emr.add("RUNNING", at=ago(30)), emr.add("FAILED", at=ago(2))
    assert len(at.tick(killed=True)) == 5
    assert at.tick() == []
    at.cursor = "{damaged"
    assert at.tick() == []
    emr.move(working, "CANCELLING")
    assert [values["state"] for values in at.tick(killed=True)] == ["CANCELLING"]
    assert at.tick() == []
    at.cursor = None
    emr.vanish(working)
    assert [(values["job_run"], values["about"]) for values in at.tick()] == [(working, "vanished")]
    assert len(at.recorded()) == len(set(at.recorded())) == 7
    assert len([message for message in at.place.messages if failed in message]) == 1


def test_more_news_than_a_tick_takes_is_recorded_over_several_and_none_is_missed(at, emr):
    ids = many(emr, EVENTS_PER_TICK + 15, first=ago(5000))
    assert len(at.tick()) == EVENTS_PER_TICK
    assert "15 more wait" in at.words
    assert len(at.tick()) == 15
    assert [run for run, _, _ in at.recorded()] == ids


def test_what_aws_refuses_is_one_sentence_and_the_cursor_stays(at, emr):
    emr.add("RUNNING", at=ago(5))
    at.tick()
    before = at.cursor
    emr.refuses = "no such right"
    assert at.tick() == []
    assert "emr-serverless:ListJobRuns" in at.words
    assert at.cursor == before
    emr.refuses = None
    assert at.tick() == []


def test_an_application_is_found_by_its_name(at, emr, monkeypatch):
    monkeypatch.delenv("EMR_APPLICATION_ID")
    monkeypatch.setenv("EMR_APPLICATION_NAME", emr.application_name)
    run = emr.add("RUNNING", at=ago(5))
    assert [values["job_run"] for values in at.tick()] == [run]
    monkeypatch.setenv("EMR_APPLICATION_NAME", "no-such-application")
    assert at.tick() == []
    assert "no EMR application is called 'no-such-application'" in at.words


def test_without_an_application_the_tick_says_so_and_asks_nobody(at, emr, monkeypatch):
    monkeypatch.delenv("EMR_APPLICATION_ID")
    assert at.tick() == []
    assert "EMR_APPLICATION_ID" in at.words
    assert emr.calls == []


def test_the_asset_says_what_it_is_and_loads_with_its_sensor():
    definitions = dg.Definitions(
        assets=[TORUS_JOBS],
        sensors=[emr_jobs],
        resources=dict.fromkeys(("datasets", "lake", "notifier"), ObjectStoreResource(url="file:///nowhere")),
    )
    dg.Definitions.validate_loadable(definitions)
    assert TORUS_JOBS.owners
    assert TORUS_JOBS.kinds == {"emr"}
    assert TORUS_JOBS.group_name == "datasets"
    assert emr_jobs.default_status == dg.DefaultSensorStatus.STOPPED
