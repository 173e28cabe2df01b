"""Following runs is arithmetic: each run once per state, none lost and none doubled, whatever was listed when."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.emr.emr_world import EmrWorld, many
from torus_assets.clients.emr import PAGE, connect
from torus_assets.emr import following
from torus_assets.emr.asked import asked, exit_code
from torus_assets.emr.following import ENDED_KEPT, Event, Position, Reported, Run, absent, follow, parsed, position_of, written

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
START = Position("00app")
TORUS_JOB = "2026-03-01_11-00-00.123456Z-0b9f4c1e-7d55-4a4c-9e35-0123456789ab"
ARGUMENTS = [
    "--bucket_name", "torus-xapi-prod", "--chunk_size", "10000", "--sub_types", "playedpaused", "--job_id", TORUS_JOB,
    "--section_ids", "101,102,103", "--page_ids", "all", "--action", "video", "--enforce_project_id", "7",
    "--ignored_student_ids", "4711,4712",
]  # fmt: skip


def run(name: str, state: str = "RUNNING", created: datetime = NOON, updated: datetime | None = None) -> Run:
    return Run(name, state, created, updated or created)


def told(events: Iterable[Event]) -> list[tuple[str, str, str]]:
    return [event.key for event in events]


def look(position: Position, *runs: Run, gone: tuple[str, ...] = (), now: datetime = NOON, limit: int = 40) -> following.Followed:
    return follow(position, runs, gone, now, limit=limit)


def test_a_run_is_told_once_per_state():
    first = look(START, run("a", "PENDING"))
    assert told(first.events) == [("a", "PENDING", "state")]
    assert look(first.position, run("a", "PENDING")).events == ()
    second = look(first.position, run("a", "RUNNING"))
    assert [(event.before, event.run.state) for event in second.events] == [("PENDING", "RUNNING")]
    third = look(second.position, run("a", "SUCCESS"))
    assert told(third.events) == [("a", "SUCCESS", "state")]
    assert third.position.active == {}
    assert look(third.position, run("a", "SUCCESS")).events == ()


def test_an_ended_run_that_has_another_attempt_is_followed_again():
    ended = look(START, run("a", "FAILED")).position
    again = look(ended, run("a", "RUNNING"))
    assert told(again.events) == [("a", "RUNNING", "state")]
    assert told(look(again.position, run("a", "FAILED")).events) == [("a", "FAILED", "state")]


def test_an_unknown_state_is_told_and_followed_on():
    found = look(START, run("a", "HIBERNATING"))
    assert told(found.events) == [("a", "HIBERNATING", "state")]
    assert told(look(found.position, run("a", "SUCCESS")).events) == [("a", "SUCCESS", "state")]


def test_an_active_run_that_is_neither_listed_nor_known_has_vanished_and_is_told_once():
    position = look(START, run("a"), run("b")).position
    assert absent(position, [run("b")], NOON, limit=9) == ("a",)
    found = look(position, run("b"), gone=("a",))
    assert told(found.events) == [("a", "RUNNING", "vanished")]
    assert absent(found.position, [run("b")], NOON, limit=9) == ()


def test_an_old_active_run_outside_the_listing_is_asked_for_alone_and_its_end_is_told():
    position = look(START, run("old", created=NOON - 3 * timedelta(days=1)), run("new")).position
    assert following.listing_from(position, NOON) == NOON - following.LOOK_BACK
    assert absent(position, [run("new")], NOON, limit=9) == ("old",)
    got = run("old", "SUCCESS", created=NOON - 3 * timedelta(days=1))
    assert told(look(position, run("new"), got).events) == [("old", "SUCCESS", "state")]


def test_more_absent_runs_than_a_look_may_ask_for_all_have_their_turn():
    position = look(START, *(run(f"r{number:02}") for number in range(25))).position
    asked_for = {run_id for minute in range(3) for run_id in absent(position, [], NOON + minute * MINUTE, limit=10)}
    assert len(asked_for) == 25


def test_a_run_that_stays_too_long_in_one_state_is_told_once_per_state():
    position = look(START, run("waits", "PENDING"), run("works", "RUNNING")).position
    runs = (run("waits", "PENDING"), run("works", "RUNNING"))
    assert look(position, *runs, now=NOON + HOUR).events == ()
    found = look(position, *runs, now=NOON + HOUR + MINUTE)
    assert told(found.events) == [("waits", "PENDING", "long")]
    assert look(found.position, *runs, now=NOON + 2 * HOUR).events == ()
    assert told(look(found.position, *runs, now=NOON + 13 * HOUR).events) == [("works", "RUNNING", "long")]


def test_a_limit_leaves_the_newest_for_the_next_look_and_passes_none_by():
    runs = [run(f"r{number:03}", "SUCCESS", NOON - timedelta(days=6) + number * HOUR) for number in range(100)]
    position, seen = START, []
    for _ in range(20):
        floor = following.listing_from(position, NOON)
        found = look(position, *(one for one in reversed(runs) if one.created_at > floor), limit=7)
        seen += [event.run.id for event in found.events]
        position = found.position
    assert seen == [one.id for one in runs]


def test_a_run_in_the_future_hides_none_that_comes_after():
    position = look(START, run("early", "SUCCESS", NOON + timedelta(days=2))).position
    assert told(look(position, run("late", "SUCCESS", NOON + MINUTE), now=NOON + HOUR).events) == [("late", "SUCCESS", "state")]


def test_the_position_stays_small_and_still_doubles_nothing():
    runs = [run(f"r{number:05}", "SUCCESS", NOON + number * timedelta(seconds=1)) for number in range(ENDED_KEPT + 500)]
    found = look(START, *runs, now=NOON + HOUR, limit=10_000)
    assert len(found.position.ended) == ENDED_KEPT
    assert len(written(found.position)) < 200_000
    assert look(found.position, *runs, now=NOON + HOUR, limit=10_000).events == ()


@pytest.mark.parametrize("cursor", [None, "", "{", '{"application": 3}', "[]", '{"application": "another"}'])
def test_a_cursor_that_is_lost_damaged_or_of_another_application_is_none(cursor):
    assert parsed(cursor, "00app") is None


STATES = st.sampled_from(["SUBMITTED", "PENDING", "RUNNING", "CANCELLING", "SUCCESS", "FAILED", "CANCELLED", "NEW_STATE"])
LOOKS = st.lists(st.dictionaries(st.sampled_from("abcdef"), STATES, max_size=6), max_size=8)


@given(LOOKS)
def test_a_position_survives_being_written_and_being_made_again_from_the_reports(looks):
    position, reports = START, []
    for number, states in enumerate(looks):
        now = NOON + number * MINUTE
        runs = [run(name, state, NOON, now) for name, state in states.items()]
        gone = tuple(name for name in position.active if name not in states)
        found = follow(position, runs, gone, now, limit=40)
        reports = [*(Reported(event.run, event.about) for event in reversed(found.events)), *reports]
        position = found.position
        assert parsed(written(position), "00app") == position
    again = position_of("00app", reports)
    assert {name: seen.state for name, seen in again.active.items()} == {name: seen.state for name, seen in position.active.items()}
    listed = [run(name, seen.state) for name, seen in position.active.items()] + [run(name, "SUCCESS") for name in position.ended]
    assert follow(again, listed, (), NOON, limit=40).events == ()


def test_runs_of_a_real_listing_are_all_found_over_its_pages(emr: EmrWorld):
    ids = many(emr, 2 * PAGE + 20, first=NOON - 3 * HOUR)
    working = emr.add("RUNNING", at=NOON, name="at work")
    client = connect()
    listed = [following.run_of(one) for one in client.list_job_runs(emr.application_id, following.listing_from(START, NOON))]
    assert emr.calls.count("list_job_runs") == 3
    found = look(Position(emr.application_id), *listed, limit=500)
    assert [event.run.id for event in found.events] == [*ids, working]
    assert found.position.newest == NOON
    assert following.run_of(client.get_job_run(emr.application_id, working)) in listed


def test_of_the_arguments_only_job_action_and_the_number_of_sections_are_read():
    found = asked({"jobDriver": {"sparkSubmit": {"entryPointArguments": ARGUMENTS}}, "tags": {"owner": "4711"}})
    assert found == (TORUS_JOB, "video", 3, None)
    assert "4711" not in repr(found)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, (None, None, None, None)),
        ({"jobDriver": {"sparkSubmit": {"entryPointArguments": ["--job_id=j-1", "--action=drop table", "--section_ids=Ann Smith"]}}}, ("j-1",)),
        ({"jobDriver": {"sparkSubmit": {"entryPointArguments": ["--job_id", "../contexts/x", "--action"]}}}, (None,)),
        ({"name": TORUS_JOB}, (TORUS_JOB,)),
        ({"name": "for Ann Smith", "tags": {"dagster/run-id": "Ann Smith"}}, (None, None, None, None)),
        ({"tags": {"dagster/run-id": "0b9f4c1e-7d55-4a4c-9e35-0123456789ab"}}, (None, None, None, "0b9f4c1e-7d55-4a4c-9e35-0123456789ab")),
    ],
)  # fmt: skip
def test_what_has_not_the_form_of_torus_is_not_repeated(document, expected):
    found = asked(document)
    assert found[: len(expected)] == expected
    assert found[len(expected) :] == (None,) * (4 - len(expected))


@pytest.mark.parametrize(("details", "code"), [("Job failed. ExitCode: 137. Caused by: user 4711", 137), ("exit code 3", 3), ("", None)])
def test_only_the_exit_code_is_read_from_the_details_of_a_failure(details, code):
    assert exit_code({"stateDetails": details}) == code
