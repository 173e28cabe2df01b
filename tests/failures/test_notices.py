"""One notice per distinct failure: what is the same, when it is told again, and what closes it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.failures import notices
from torus_assets.failures.notices import Failure, after_success, fingerprint, message, normalised, noted, told
from torus_assets.failures.spans import Span, joined, spans_of, without

AT = datetime(2026, 2, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failure(text: str = "the lake has no day 2026-02-02: ingest it first", **changes: object) -> Failure:
    values = {"job": "refresh", "step": "raw_events", "nature": "permanent", "kind": "MissingDay", "text": text, "what_to_do": "Ingest it."}
    return Failure(**{**values, "at": AT, "run_id": "r1", "spans": spans_of(["2026-02-02"]), **changes})


def day(n: int) -> str:
    return (date(2026, 1, 1) + timedelta(days=n)).isoformat()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2026-02-02: 5 rows in the lake, 1,204 arrived", "2026-03-15: 17 rows in the lake, 3 arrived"),
        ("s3://bucket/section/1/a.jsonl: the object is gone", "s3://other/section/22/b.jsonl: the object is gone"),
        ("file 9b7e1f302c444f0aab67 is damaged", "file 0b7e1f302c444f0aab61 is damaged"),
        ("2 held day(s) would be read: 2026-01-02, 2026-01-03; repair", "1 held day(s) would be read: 2026-01-09; repair"),
        (
            "took 5b0f7c52-9a41-4c1e-8f0d-2f6f3a7b1c10 at 2026-02-02T10:00:00Z",
            "took 6b0f7c52-9a41-4c1e-8f0d-2f6f3a7b1c11 at 2026-02-02 11:00",
        ),
    ],
)
def test_numbers_days_ids_and_keys_do_not_make_two_failures(one, other):
    assert normalised(one) == normalised(other)
    assert fingerprint(failure(one)) == fingerprint(failure(other))


def test_job_step_class_and_words_do():
    kinds = [{}, {"job": "ingest"}, {"step": "xapi_day"}, {"kind": "HeldDay"}, {"text": "another sentence"}, {"nature": "interrupted"}]
    assert len({fingerprint(failure(**kind)) for kind in kinds}) == len(kinds)


def test_a_failure_is_told_once_while_it_goes_on_and_again_after_a_day():
    first = noted(None, failure())
    assert first.is_due
    again = noted(told(first, AT), failure(run_id="r2", at=AT + HOUR))
    assert (again.is_due, again.count, again.runs) == (False, 2, ("r2", "r1"))
    assert not noted(again, failure(run_id="r3", at=AT + 23 * HOUR)).is_due
    assert noted(again, failure(run_id="r3", at=AT + 24 * HOUR)).is_due


def test_a_failure_that_was_not_delivered_stays_due():
    assert noted(noted(None, failure()), failure(run_id="r2")).is_due


def test_a_run_that_two_sensors_see_counts_once():
    first = told(noted(None, failure()), AT)
    assert noted(first, failure(at=AT + timedelta(days=3))) == first


def test_after_it_was_mended_the_next_one_is_told_at_once():
    open_ = told(noted(None, failure()), AT)
    mended = after_success(open_, "any", ["raw_events"], spans_of(["2026-02-02"]), AT + HOUR)
    assert mended.closed_at == AT + HOUR
    fresh = noted(mended, failure(run_id="r9", at=AT + 2 * HOUR))
    assert (fresh.is_due, fresh.count, fresh.first_seen) == (True, 1, AT + 2 * HOUR)


def test_only_the_same_step_and_the_same_partitions_mend_it_and_only_afterwards():
    open_ = noted(None, failure(spans=spans_of(["2026-02-02", "2026-02-03", "2026-02-04"])))
    assert after_success(open_, "any", ["xapi_day"], open_.spans, AT + HOUR) == open_
    assert after_success(open_, "any", ["raw_events"], open_.spans, AT - HOUR) == open_
    partly = after_success(open_, "any", ["raw_events"], spans_of(["2026-02-03"]), AT + HOUR)
    assert (partly.closed_at, partly.spans) == (None, (Span("2026-02-02", "2026-02-02"), Span("2026-02-04", "2026-02-04")))
    assert after_success(partly, "any", ["raw_events"], [Span("2026-01-01", "2026-12-31")], AT + HOUR).closed_at


def test_a_failure_without_partitions_is_mended_by_the_next_success_of_its_step():
    assert after_success(noted(None, failure(spans=())), "any", ["raw_events"], (), AT + HOUR).closed_at


def test_what_failed_outside_the_steps_is_mended_by_its_own_job():
    open_ = noted(None, failure(step="", nature="outside"))
    assert after_success(open_, "ingest", ["raw_events"], open_.spans, AT + HOUR) == open_
    assert after_success(open_, "refresh", ["raw_events"], open_.spans, AT + HOUR).closed_at


def test_what_is_kept_does_not_grow_with_the_failures():
    notice = None
    for n in range(100):
        notice = noted(notice, failure(run_id=f"run{n}", spans=spans_of([day(2 * n)]), at=AT + n * HOUR))
    assert notice is not None
    assert (notice.count, len(notice.runs), len(notice.spans)) == (100, notices.RUNS_KEPT, notices.SPANS_KEPT)
    assert notice.more_spans == 80
    assert msgspec.json.decode(msgspec.json.encode(notice), type=notices.Notice) == notice


def test_the_message_says_what_where_why_and_what_to_do():
    notice = noted(None, failure(spans=spans_of([day(0), day(1), day(5)])))
    assert message(notice).splitlines() == [
        "refresh / raw_events: failed, and running it again will not cure it",
        "Partitions: 2026-01-01 to 2026-01-02, 2026-01-06",
        "Why: the lake has no day 2026-02-02: ingest it first",
        "What to do: Ingest it.",
        "Run: /runs/r1",
    ]


DAYS = st.sets(st.integers(0, 40).map(day), max_size=20)


def days_of(spans) -> set[str]:
    return {one for one in map(day, range(41)) if any(span.first <= one <= span.last for span in spans)}


@given(DAYS, DAYS)
def test_spans_of_days_are_sets_of_days(one, other):
    assert days_of(spans_of(one)) == one
    assert joined(spans_of(one), spans_of(other)) == spans_of(one | other)
    assert set(without(spans_of(one), spans_of(other))) == set(without(spans_of(one - other), ()))
    assert days_of(without(spans_of(one), spans_of(other))) == one - other


def test_keys_that_are_no_days_stand_alone():
    assert spans_of(["job-2", "job-1"]) == (Span("job-1", "job-1"), Span("job-2", "job-2"))
    assert without(spans_of(["job-1", "job-2"]), spans_of(["job-1"])) == (Span("job-2", "job-2"),)
    assert without(spans_of(["2026-01-02x"]), [Span("2026-01-01", "2026-02-01")]) == spans_of(["2026-01-02x"])
