"""Sessions, contexts and views: who worked where, when it was opened, and how often."""

from __future__ import annotations

import pytest
from datashop_lake import attempt, by_guid, exported, judged, notes, opened, read, said, tool
from small_lake import SmallLake


def sessions(made) -> dict[str, str]:
    return {guid: one.session for guid, one in by_guid(made).items()}


def starts(made) -> dict[str, str]:
    """Guid -> when its problem was opened, without the date's year and the milliseconds."""
    return {guid: one.problem_start[5:-4] for guid, one in by_guid(made).items()}


def views(made) -> dict[str, int | None]:
    return {guid: one.view for guid, one in by_guid(made, "tab").items()}


def test_two_students_at_the_same_problems_have_their_own_contexts_and_sessions(lake, make):
    """Interleaved, in one browser: the session id is the same for both."""
    lake.add("2026-01-03", [
        attempt(f"{user}-{part_id}", user, f"12:0{number}:00", part_id=str(part_id), session_id="one browser")
        for number, (user, part_id) in enumerate([(4001, 1), (4002, 1), (4001, 2), (4002, 2)])
    ])  # fmt: skip
    for named in (True, False):
        made = exported(make, named=named)
        found = read(made)
        assert len({one.session for one in found}) == len({one.student for one in found}) == 2
        assert len({(one.student, one.session) for one in found}) == 2
        assert made.body("chunk_0.xml").count(b"<context_message ") == 4
        assert {one.view for one in read(made, "tab")} == {1}


def test_attempts_at_the_parts_of_an_activity_stay_with_their_own_part_whatever_the_order(lake, make):
    """The job this replaces filed each later attempt at part 1 under part 2."""
    lake.add("2026-01-03", [
        attempt(f"{part_id}-{number}", at=f"12:{number:02d}:0{part_id}", part_id=part_id, activity_attempt_number=number)
        for number in (1, 2, 3) for part_id in ("1", "2")
    ])  # fmt: skip
    made = exported(make)
    for guid, one in by_guid(made).items():
        assert one.problem == f"Activity 60511, Part {guid[0]}"
    assert set(views(made).values()) == {1}


def test_midnight_does_not_split_a_session(lake, make):
    lake.add(
        "2026-01-03",
        [attempt("before", at="23:59:50", session_id=None), attempt("after", at="00:00:10", day="2026-01-03", session_id=None)],
    )
    made = exported(make)
    assert len(set(sessions(made).values())) == 1
    assert views(made) == {"before": 1, "after": 1}


def test_a_retry_on_the_next_day_is_of_the_same_session_only_if_the_browser_says_so(lake, make):
    lake.add("2026-01-03", [
        attempt("first"), attempt("same", day="2026-01-03"), attempt("other", at="13:00:00", day="2026-01-03", session_id="new"),
    ])  # fmt: skip
    made = exported(make)
    assert sessions(made) == {"first": "s-41207", "same": "s-41207", "other": "new"}
    assert views(made) == {"first": 1, "same": 1, "other": 2}


def test_without_session_ids_a_pause_of_over_half_an_hour_splits(lake, make):
    lake.add("2026-01-03", [
        attempt("a", at="12:00:00", session_id=None), attempt("b", at="12:30:00", session_id=None), attempt("c", at="13:00:01", session_id=None),
        attempt("d", at="13:00:01", day="2026-01-03", session_id=" "),
    ])  # fmt: skip
    made = exported(make)
    found = sessions(made)
    assert found["a"] == found["b"]
    assert len({found["b"], found["c"], found["d"]}) == 3
    assert views(made) == {"a": 1, "b": 1, "c": 2, "d": 3}
    assert notes(made)["sessions_without_id"] == 3


def test_an_attempt_without_session_id_belongs_to_the_one_named_around_it(lake, make):
    lake.add("2026-01-03", [
        attempt("early", at="12:00:00", session_id=None), attempt("one", at="12:01:00", session_id="one"), attempt("between", at="12:02:00", session_id=None),
        attempt("two", at="12:03:00", session_id="two"), attempt("late", at="12:04:00", session_id=None), attempt("far", at="15:00:00", session_id=None),
    ])  # fmt: skip
    found = sessions(exported(make))
    assert [found[name] for name in ("early", "between", "late")] == ["one", "one", "two"]
    assert found["far"] not in {"one", "two"}


def test_a_tutors_messages_take_the_session_of_the_sitting(lake, make):
    lake.add("2026-01-03", [attempt("a"), said(tool(), at="12:10:00"), said(tool("T10"), at="15:00:00")])
    made = exported(make)
    found = [one.session for one in read(made)]
    assert found[0] == found[1] == "s-41207"
    assert found[2] not in {"s-41207", ""}


def test_sessions_come_in_order_of_time_and_a_students_transactions_together(lake, make):
    lake.add("2026-01-03", [
        attempt(f"{user}-{hour}", user, f"{hour}:00:00", session_id=f"{user} at {hour}") for hour in (15, 13, 14) for user in (4002, 4001)
    ])  # fmt: skip
    found = read(exported(make))
    assert [(one.student, one.time[11:13]) for one in found] == [(f"400{user}", hour) for user in (1, 2) for hour in ("13", "14", "15")]
    assert [one.view for one in read(exported(make), "tab")] == [1, 2, 3] * 2


def test_a_problem_is_opened_when_its_page_was_last_seen_before_the_first_attempt(lake, make):
    lake.add("2026-01-03", [
        opened(at="11:50:00"), opened(at="11:55:00"), attempt("first", at="12:00:00"), opened(at="12:01:00"), attempt("second", at="12:02:00"),
        attempt("elsewhere", at="12:03:00", page=7, page_attempt_guid="other page", activity_id=8),
    ])  # fmt: skip
    assert starts(exported(make)) == {
        "first": "01-02 11:55:00", "second": "01-02 11:55:00", "elsewhere": "01-02 12:03:00",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("seen", "start"),
    [
        ({"at": "12:00:00.000001"}, "12:00:00"),  # after it, if only by a microsecond
        ({"at": "12:00:00"}, "12:00:00"),
        ({"at": "11:30:00"}, "11:30:00"),  # of the sitting: half an hour before the session begins
        ({"at": "11:29:59"}, "12:00:00"),
        ({"at": "11:58:00", "day": "2025-12-30"}, "12:00:00"),  # days earlier
        ({"at": "11:58:00", "user": 9}, "12:00:00"),  # somebody else
        ({"at": "11:58:00", "page_attempt_guid": "another"}, "12:00:00"),  # another attempt at the page
        ({"at": "11:58:00", "section": 1}, "12:00:00"),
    ],
)
def test_only_a_view_of_the_same_page_in_the_same_sitting_counts(lake, make, seen, start):
    lake.add("2026-01-03", [opened(**seen), attempt("a")])
    made = exported(make)
    assert starts(made) == {"a": f"01-02 {start}"}
    assert judged(made).counts.get("context.after_first", 0) == 0


def test_each_session_has_the_opening_of_its_own_sitting(lake, make):
    lake.add("2026-01-03", [
        opened(at="11:58:00"), attempt("first"), opened(at="09:59:00", day="2026-01-03"), attempt("again", at="10:00:00", day="2026-01-03", session_id="next"),
    ])  # fmt: skip
    made = exported(make)
    assert starts(made) == {"first": "01-02 11:58:00", "again": "01-03 09:59:00"}
    assert views(made) == {"first": 1, "again": 2}
    assert judged(made).sections["Section 3021"].problem_views == 2


def test_a_second_activity_attempt_without_a_first_still_opens_its_problem(lake, make):
    lake.add("2026-01-03", [attempt("second", activity_attempt_number=2, part_attempt_number=3)])
    [one] = read(exported(make))
    assert (one.outcome, one.fields["activity_attempt_number"], one.fields["part_attempt_number"]) == ("CORRECT", "2", "3")


@pytest.mark.parametrize(
    ("time", "shown"),
    [
        ("2026-01-02T12:00:00.999999Z", "2026-01-02 12:00:00.999"),  # cut, not rounded
        ("2026-01-02T12:00:00.5Z", "2026-01-02 12:00:00.500"),
        ("2026-01-02T12:00:00.000001Z", "2026-01-02 12:00:00.000"),
        ("2026-01-02T23:30:00-05:00", "2026-01-03 04:30:00.000"),
        ("2026-01-01T00:15:00.25+05:45", "2025-12-31 18:30:00.250"),
    ],
)
def test_times_are_utc_with_exactly_three_digits(lake, make, time, shown):
    statement = attempt("a")
    statement["timestamp"] = time
    lake.add("2026-01-03", [statement])
    [one] = read(exported(make))
    assert (one.time, one.problem_start, one.time_zone) == (shown, shown, "UTC")


def test_one_student_in_two_sections_has_a_context_and_a_view_in_each(lake, make):
    lake.add("2026-01-03", [attempt("a", section=3021), attempt("b", at="12:01:00", section=3022)])
    made = exported(make, sections=(3021, 3022))
    assert [(one.section, one.student) for one in read(made)] == [("Section 3021", "41207"), ("Section 3022", "41207")]
    assert views(made) == {"a": 1, "b": 1}


def test_numbers_and_texts_are_one_student_and_both_are_ignored_when_asked(lake: SmallLake, make):
    lake.add("2026-01-03", [attempt("number", 4001), attempt("text", "4001", at="12:01:00"), attempt("stays", 4002, part_id="2")])
    made = exported(make)
    assert [one.student for one in read(made)] == ["4001", "4001", "4002"]
    made = exported(make, ignored_student_ids=["4001"])
    assert [one.student for one in read(made)] == ["4002"]
    assert made.result.excluded == {"ignored_student": 2}


def test_of_several_evaluations_of_one_part_attempt_the_latest_stays_and_copies_count_once(lake: SmallLake, make):
    late = attempt("same", at="12:09:00", score=1.0, response={"input": "late"})
    lake.add("2026-01-03", [attempt("same", score=0.0, response={"input": "early"}), late])
    lake.add("2026-01-04", [late], "b.jsonl")
    made = exported(make)
    [one] = read(made)
    assert (one.input, one.outcome, one.time) == ("late", "CORRECT", "2026-01-02 12:09:00.000")
    assert made.result.receipt["superseded"] == {"duplicates_across_days": 1, "superseded_evaluation": 1}
    assert made.result.receipt["rows"]["read"] == made.result.rows + sum(made.result.excluded.values()) == 3
