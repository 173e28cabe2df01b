"""What is asked for: table-driven, and as properties over any situation."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.arrivals.due import ATTEMPTS, PAUSES, Asked, Due, Outcome, Situation, decide

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
FIRST, LAST = date(2026, 1, 1), date(2026, 2, 10)
A, B, C, D = (date(2026, 2, n) for n in (1, 2, 3, 4))


def asked(days: dict[date, str], state: str | None = None, minutes_ago: float = 120, key: str | None = None) -> Asked:
    at = NOW - timedelta(minutes=minutes_ago)
    outcome = Outcome(state, at, f"run-{minutes_ago:g}") if state else None  # pyright: ignore[reportArgumentType]
    return Asked(key or f"key-{minutes_ago:g}", at - timedelta(minutes=1), days, outcome)


def situation(pending: dict[date, str], *before: Asked, **more) -> Situation:
    return Situation(now=NOW, first=FIRST, last=LAST, pending=pending, asked=before, **more)


def spans(due: Due) -> list[tuple[date, date]]:
    return [(request.first, request.last) for request in due.requests]


def test_nothing_pending_asks_for_nothing():
    assert decide(situation({})) == Due()


def test_contiguous_days_are_one_request_and_a_day_without_news_is_never_in_one():
    due = decide(situation({D: "d", A: "a", B: "b"}))
    assert spans(due) == [(A, B), (D, D)]
    assert due.waiting == {}


def test_a_day_that_a_run_is_at_work_on_waits_and_divides_the_range():
    due = decide(situation({A: "a", B: "b", C: "c"}, in_flight={B}))
    assert spans(due) == [(A, A), (C, C)]
    assert due.waiting == {B: "a run is at work on it"}


def test_a_request_whose_run_is_queued_is_not_made_again():
    due = decide(situation({A: "new"}, asked({A: "a"}, "in flight", 0)))
    assert (due.requests, due.over) == ([], [])


def test_a_burst_becomes_one_request_after_the_run_that_was_at_work():
    before = asked({A: "some"}, "success", 1)
    due = decide(situation({A: "more"}, before))
    assert spans(due) == [(A, A)]
    assert due.requests[0].attempt == 1
    assert due.over == [before.run_key]


def test_days_outside_of_the_graph_are_explained():
    due = decide(situation({LAST + timedelta(days=1): "x", FIRST - timedelta(days=1): "y"}))
    assert due.requests == []
    assert due.waiting == {
        LAST + timedelta(days=1): "its day has not begun",
        FIRST - timedelta(days=1): "it is before the first day, 2026-01-01 (TORUS_FIRST_DAY)",
    }


@pytest.mark.parametrize("failures", [1, 2, 3, 4])
def test_a_failed_day_is_asked_for_again_after_a_pause_that_grows(failures):
    pause = PAUSES[failures - 1].total_seconds() / 60
    earlier = [asked({A: "a"}, "failure", pause + 600 + n) for n in range(failures - 1)]
    too_early = decide(situation({A: "a"}, *earlier, asked({A: "a"}, "failure", pause - 0.1)))
    assert too_early.requests == []
    assert f"attempt {failures + 1} comes at" in too_early.waiting[A]
    again = decide(situation({A: "a"}, *earlier, asked({A: "a"}, "failure", pause)))
    assert [request.attempt for request in again.requests] == [failures + 1]


def test_a_killed_run_is_asked_for_again_at_once_but_only_the_first_time():
    killed = asked({A: "a"}, "interrupted", 0)
    assert [request.attempt for request in decide(situation({A: "a"}, killed)).requests] == [2]
    again = decide(situation({A: "a"}, asked({A: "a"}, "interrupted", 10), killed))
    assert again.requests == []
    assert "attempt 3 comes at" in again.waiting[A]


def failed(times: int, digest: str = "a", days: tuple[date, ...] = (A,)) -> list[Asked]:
    return [asked(dict.fromkeys(days, digest), "failure", 1000 - n) for n in range(times)]


def test_the_same_arrivals_are_given_up_and_what_is_new_is_asked_for():
    due = decide(situation({A: "a"}, *failed(ATTEMPTS)))
    assert due.requests == []
    assert "given up after 5 attempts, the last is run run-996" in due.waiting[A]
    assert due.over == []
    assert spans(decide(situation({A: "more"}, *failed(ATTEMPTS)))) == [(A, A)]


def test_something_new_does_not_cut_the_pause_of_a_day_that_keeps_failing():
    before = [*failed(4), asked({A: "a"}, "failure", 30)]
    assert "attempt 6 comes at" in decide(situation({A: "more"}, *before)).waiting[A]


def test_a_day_that_failed_after_its_ingest_is_asked_for_though_nothing_is_pending():
    before = asked({A: "a"}, "failure", 5)
    due = decide(situation({}, before))
    assert spans(due) == [(A, A)]
    assert due.requests[0].days == {A: "a"}
    assert due.over == []


def test_a_success_ends_it():
    before = [*failed(2), asked({A: "a"}, "success", 1)]
    due = decide(situation({}, *before))
    assert due == Due(over=[one.run_key for one in before])


def test_a_persons_success_begins_anew():
    before = failed(ATTEMPTS)
    by_hand = {A: NOW - timedelta(minutes=10)}
    assert decide(situation({}, *before, succeeded=by_hand)) == Due(over=[one.run_key for one in before])
    due = decide(situation({A: "a"}, *before, succeeded=by_hand))
    assert [request.attempt for request in due.requests] == [1]
    assert due.requests[0].run_key not in {one.run_key for one in before}


def test_an_earlier_success_of_others_changes_nothing():
    assert decide(situation({A: "a"}, *failed(ATTEMPTS), succeeded={A: NOW - timedelta(days=30)})).requests == []


def test_a_run_that_ended_well_and_left_the_same_pending_is_looked_into_and_ends_too():
    one = asked({A: "a"}, "success", 0.5)
    due = decide(situation({A: "a"}, one))
    assert (due.left, due.requests) == ([A], [])
    many = [asked({A: "a"}, "success", 1000 - n) for n in range(ATTEMPTS)]
    assert "given up" in decide(situation({A: "a"}, *many)).waiting[A]


def test_a_permanent_failure_of_one_day_is_not_asked_for_again_until_something_new_arrives():
    before = asked({A: "a"}, "permanent", 10_000)
    due = decide(situation({A: "a"}, before))
    assert (due.requests, due.over) == ([], [])
    assert "failed for good" in due.waiting[A]
    assert spans(decide(situation({A: "new"}, before))) == [(A, A)]


def test_a_range_that_failed_for_good_is_divided_until_the_day_to_blame_stands_alone():
    days = {A: "a", B: "b", C: "c", D: "d"}
    whole = asked(days, "permanent", 10)
    assert spans(decide(situation(days, whole))) == [(A, B), (C, D)]
    left, right = asked({A: "a", B: "b"}, "permanent", 5), asked({C: "c", D: "d"}, "success", 5, key="right")
    due = decide(situation({A: "a", B: "b"}, whole, left, right))
    assert spans(due) == [(A, A), (B, B)]
    assert due.over == []  # the success of the right half clears it of the failure that the left half still needs
    ends = [asked({A: "a"}, "permanent", 1, key="alone"), asked({B: "b"}, "success", 2, key="good")]
    due = decide(situation({A: "a"}, whole, left, right, *ends))
    assert due.requests == []
    assert "failed for good" in due.waiting[A]
    assert due.waiting.keys() == {A}
    assert due.over == []
    by_hand = situation({}, whole, left, right, *ends, succeeded={A: NOW})
    assert set(decide(by_hand).over) == {one.run_key for one in by_hand.asked}


def test_a_request_whose_run_nobody_saw_is_made_again_under_its_run_key():
    first = decide(situation({A: "a", B: "b"})).requests[0]
    unseen = Asked(first.run_key, NOW - timedelta(minutes=1), first.days)
    due = decide(situation({A: "a", B: "b"}, unseen))
    assert [request.run_key for request in due.requests] == [first.run_key]
    assert due.over == []
    changed = decide(situation({A: "a", B: "more"}, unseen))
    assert changed.requests[0].run_key != first.run_key
    assert changed.over == [first.run_key]


def test_run_keys_differ_by_days_arrivals_attempt_and_time_and_are_the_same_for_the_same_situation():
    def key(pending, *before, now=NOW):
        return decide(Situation(now=now, first=FIRST, last=LAST, pending=pending, asked=before)).requests[0].run_key

    keys = [
        key({A: "a"}),
        key({A: "b"}),
        key({B: "a"}),
        key({A: "a", B: "b"}),
        key({A: "a"}, *failed(1)),
        key({A: "a"}, now=NOW + timedelta(seconds=30)),
    ]
    assert len(set(keys)) == len(keys)
    assert key({A: "a"}) == keys[0]


def test_a_day_that_fails_for_weeks_is_remembered_by_its_last_failures_alone():
    before = [asked({A: f"set {n}"}, "failure", 10_000 - n) for n in range(50)]
    assert len(decide(situation({A: "new"}, *before)).over) == 40


DAYS = st.sampled_from([FIRST + timedelta(days=n) for n in range(-2, 45)])
DIGESTS = st.sampled_from("abc")
OUTCOMES = st.none() | st.builds(
    Outcome,
    st.sampled_from(["in flight", "success", "failure", "permanent"]),
    st.integers(0, 5000).map(lambda minutes: NOW - timedelta(minutes=minutes)),
    st.just("run"),
)
ASKED = st.lists(
    st.builds(
        Asked, st.uuids().map(str), st.just(NOW - timedelta(days=9)), st.dictionaries(DAYS, DIGESTS, min_size=1, max_size=5), OUTCOMES
    ),
    max_size=8,
)


@given(
    st.builds(
        Situation,
        now=st.just(NOW),
        first=st.just(FIRST),
        last=st.just(LAST),
        pending=st.dictionaries(DAYS, DIGESTS),
        asked=ASKED,
        in_flight=st.frozensets(DAYS),
        succeeded=st.dictionaries(DAYS, st.just(NOW - timedelta(hours=3)), max_size=5),
    )
)
def test_every_pending_day_is_in_exactly_one_request_or_has_its_reason(situation):
    due = decide(situation)
    asked_for = [day for request in due.requests for day in request.days]
    assert len(asked_for) == len(set(asked_for))
    assert set(asked_for).isdisjoint(due.waiting)
    assert situation.pending.keys() <= set(asked_for) | due.waiting.keys()
    assert set(asked_for).isdisjoint(situation.in_flight)
    in_flight = {day for one in situation.asked if one.outcome and one.outcome.state == "in flight" for day in one.days}
    assert set(asked_for).isdisjoint(in_flight)
    known = situation.pending.keys() | {day for one in situation.asked if one.outcome for day in one.days}
    assert set(asked_for) | due.waiting.keys() <= known
    for request in due.requests:
        assert len(request.days) == (request.last - request.first).days + 1
        assert FIRST <= request.first <= request.last <= LAST
        assert all(situation.pending.get(day, digest) == digest for day, digest in request.days.items())
    assert len({request.run_key for request in due.requests}) == len(due.requests)
    assert set(due.over) <= {one.run_key for one in situation.asked}
    assert set(due.over).isdisjoint(request.run_key for request in due.requests)
    assert decide(situation) == due


@given(st.dictionaries(DAYS, DIGESTS, min_size=1), st.sampled_from(["success", "failure", "permanent"]))
def test_whatever_runs_come_to_asking_ends(pending, state):
    """Nothing new arrives and every run ends the same way at once: after some hours nothing is asked for."""
    before: list[Asked] = []
    now = NOW
    for _ in range(30):
        due = decide(Situation(now=now, first=FIRST, last=LAST, pending=pending, asked=before))
        before = [one for one in before if one.run_key not in due.over]
        before += [Asked(request.run_key, now, request.days, Outcome(state, now, "run")) for request in due.requests]
        now += timedelta(hours=2)
    assert due.requests == []
    assert due.waiting.keys() == pending.keys()


@given(st.integers(1, 40), st.data())
def test_days_beside_one_that_always_fails_are_all_done_in_few_runs(count, data):
    days = [FIRST + timedelta(days=n) for n in range(count)]
    poison = data.draw(st.sampled_from(days))
    pending, before, now, runs = dict.fromkeys(days, "a"), list[Asked](), NOW, 0
    for _ in range(20):
        due = decide(Situation(now=now, first=FIRST, last=LAST, pending=pending, asked=before))
        before = [one for one in before if one.run_key not in due.over]
        for request in due.requests:
            state = "permanent" if poison in request.days else "success"
            before.append(Asked(request.run_key, now, request.days, Outcome(state, now, "run")))
            pending = {day: digest for day, digest in pending.items() if state == "permanent" or day not in request.days}
            runs += 1
        now += timedelta(seconds=30)
    assert pending.keys() == due.waiting.keys() == {poison}
    assert runs <= 1 + 2 * count.bit_length()
