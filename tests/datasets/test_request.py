"""What may be asked for, and how a wrong request is refused."""

from __future__ import annotations

import json
from datetime import date

import pytest

from torus_assets.datasets.request import RequestError, parse_request

GOOD = {"job_id": "2026-01-02_03-04-05.123456Z-7b0f8c1e-1111-4222-8333-123456789abc", "action": "attempt_evaluated", "section_ids": [3021]}


def problems(**keys: object) -> tuple[str, ...]:
    with pytest.raises(RequestError) as caught:
        parse_request({k: v for k, v in {**GOOD, **keys}.items() if v != "absent"})
    return caught.value.problems


def test_the_defaults_are_those_of_the_design():
    request = parse_request(json.dumps(GOOD).encode())
    assert (request.format, request.dialect, request.chunk_rows) == (("csv",), "rfc4180", 50_000)
    assert (request.anonymize, request.include_held, request.scope) == (True, False, GOOD["job_id"])
    assert request.sub_types == ("part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated")


def test_ids_may_be_numbers_or_text_and_two_spellings_of_one_request_are_equal():
    one = parse_request({**GOOD, "section_ids": ["7", 3021, 7], "page_ids": ["5"], "ignored_student_ids": [9, "8"], "project_id": "118"})
    two = parse_request({**GOOD, "section_ids": [3021, 7], "page_ids": [5], "ignored_student_ids": ["8", "9"], "project_id": 118})
    assert one == two
    assert one.section_ids == (7, 3021)
    assert one.ignored_student_ids == ("8", "9")


@pytest.mark.parametrize("pages", ["all", [], None])
def test_no_restriction_to_pages_in_each_way_torus_says_it(pages):
    assert parse_request({**GOOD, "page_ids": pages}).page_ids is None


@pytest.mark.parametrize(
    ("action", "given", "names"),
    [
        ("attempt_evaluated", ["part_attempt_evaluted", "page_attempt_evaluted"], ("part_attempt_evaluated", "page_attempt_evaluated")),
        ("video", ["playedpausedseekedcompleted"], ("played", "paused", "seeked", "completed")),
        ("video", ["seeked,played"], ("played", "seeked")),
        (
            "attempt_evaluated",
            ["part_attempt_evalutedactivity_attempt_evaluated"],
            ("part_attempt_evaluated", "activity_attempt_evaluated"),
        ),
    ],
)
def test_sub_types_misspelt_or_run_together_are_understood(action, given, names):
    assert parse_request({**GOOD, "action": action, "sub_types": given}).sub_types == names


def test_all_mistakes_are_listed_at_once_and_by_name():
    found = problems(
        job_id="../x", section_id=[1], section_ids="3021", sub_types=["part_atempt_evaluated"], exclude_fields=["feedbak"], chunk_rows=0,
        anonymize=False, date_from="2026-13-01", dialect="excel", format="xlsx", ignored_student_ids=[None],
    )  # fmt: skip
    assert sorted(problem.split(":")[0] for problem in found) == sorted([
        "section_id", "job_id", "section_ids", "sub_types", "exclude_fields", "chunk_rows", "permitted_by", "date_from", "dialect", "format",
        "ignored_student_ids",
    ])  # fmt: skip
    assert "section_id: unknown key (did you mean 'section_ids'?)" in found
    assert "sub_types: unknown 'part_atempt_evaluated' (did you mean 'part_attempt_evaluated'?)" in found
    assert "exclude_fields: attempt_evaluated has no column 'feedbak' (did you mean 'feedback'?)" in found


@pytest.mark.parametrize("job_id", ["", "a/b", "..", "a..b", ".hidden", "contexts", "requests", "x" * 129, "a\n", 7, None])
def test_a_job_id_that_is_no_safe_folder_is_refused(job_id):
    assert [problem.split(":")[0] for problem in problems(job_id=job_id)] == ["job_id"]


@pytest.mark.parametrize("keys", [{"action": "datashop"}, {"format": "datashop-xml"}])
def test_datashop_is_recognised_and_refused_for_now(keys):
    [problem] = problems(**keys)
    assert "comes with datasets/datashop" in problem


@pytest.mark.parametrize("document", [b"{", b"[]", b"\xff", "7"])
def test_what_is_no_json_object_is_refused(document):
    with pytest.raises(RequestError):
        parse_request(document)


def test_dates_are_days_in_order():
    request = parse_request({**GOOD, "date_from": "2026-01-02", "date_to": "2026-01-02"})
    assert request.date_from == request.date_to == date(2026, 1, 2)
    assert problems(date_from="2026-01-03", date_to="2026-01-02") == ("date_from: 2026-01-03 is after date_to 2026-01-02",)


def test_true_is_no_id_and_no_count():
    assert len(problems(section_ids=[True], chunk_rows=True)) == 2


def test_no_student_id_appears_in_a_message_or_a_repr():
    assert "secret" not in repr(parse_request({**GOOD, "ignored_student_ids": ["secret"]}))
    assert "secret" not in "".join(problems(ignored_student_ids=["secret", ["secret"]]))


def test_the_table_itself_never_changes():
    request = parse_request({**GOOD, "exclude_fields": ["feedback", "hints"]})
    assert len(request.table.without(request.exclude_fields)) == 20
    assert len(parse_request(GOOD).table.columns) == 22
    assert any("leaves no column" in problem for problem in problems(exclude_fields=list(request.table.names)))
