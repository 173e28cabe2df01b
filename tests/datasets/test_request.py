"""What may be asked for, and how a wrong request is refused."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.datasets.old_names import IGNORED, RENAMED, NotAnArgument, argument_list
from torus_assets.datasets.presets import PRESETS
from torus_assets.datasets.request import KEYS, RequestError, parse_request, run_key

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
        job_id="../x", section_id=[1], section_ids="x", sub_types=["part_atempt_evaluated"], exclude_fields=["feedbak"], chunk_rows=0,
        anonymize=False, date_from="2026-13-01", dialect="excel", format="xlsx", ignored_student_ids=[None],
    )  # fmt: skip
    assert sorted(problem.split(":")[0] for problem in found) == sorted([
        "section_id", "job_id", "section_ids", "sub_types", "exclude_fields", "chunk_rows", "permitted_by", "date_from", "dialect", "format",
        "ignored_student_ids",
    ])  # fmt: skip
    assert "section_id: unknown key (did you mean 'section_ids'?)" in found
    assert "sub_types: unknown 'part_atempt_evaluated' (did you mean 'part_attempt_evaluated'?)" in found
    assert "exclude_fields: attempt_evaluated has no column 'feedbak' (did you mean 'feedback'?)" in found


@pytest.mark.parametrize("job_id", ["", "a/b", "..", "a..b", ".hidden", "contexts", "requests", "withdrawn", "x" * 129, "a\n", 7, None])
def test_a_job_id_that_is_no_safe_folder_is_refused(job_id):
    assert [problem.split(":")[0] for problem in problems(job_id=job_id)] == ["job_id"]


@pytest.mark.parametrize("document", [b"{", b"[]", b"\xff", "7", b"", b"[" * 100_000, b"1" * 5000, b"1e999", b'"\\ud800"', "\ud800"])
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


# Lists, ids and counts in every spelling -----------------------------------------------------------------------------------


def test_every_list_may_be_comma_separated_text():
    text = parse_request({
        **GOOD, "section_ids": "3021, 7,", "page_ids": "5,6", "ignored_student_ids": "9,8", "exclude_fields": "hints,feedback",
        "sub_types": "part_attempt_evaluted,page_attempt_evaluated", "format": "csv,parquet", "chunk_rows": "100", "include_held": "true",
    })  # fmt: skip
    lists = parse_request({
        **GOOD, "section_ids": [7, 3021], "page_ids": [5, 6], "ignored_student_ids": [8, "9"], "exclude_fields": ["feedback", "hints"],
        "sub_types": ["part_attempt_evaluated", "page_attempt_evaluated"], "format": ["parquet", "csv"], "chunk_rows": 100, "include_held": True,
    })  # fmt: skip
    assert text == lists
    assert run_key(text) == run_key(lists)


@pytest.mark.parametrize("rows", [0, -1, 1.5, "many", [], 1 << 40])
def test_a_count_of_rows_is_a_whole_number_that_makes_sense(rows):
    [problem] = problems(chunk_rows=rows)
    assert problem.startswith("chunk_rows: expected a whole number of at least 1")


def test_every_wrong_name_of_a_list_is_named():
    [problem] = problems(sub_types=["playd", "part_attempt_evaluated", "stared"])
    assert "'playd'" in problem
    assert "'stared'" in problem
    [problem] = problems(exclude_fields="feedbak,hint")
    assert problem == (
        "exclude_fields: attempt_evaluated has no column 'feedbak' (did you mean 'feedback'?); "
        "attempt_evaluated has no column 'hint' (did you mean 'hints'?)"
    )


def test_a_wrong_text_is_repeated_shortly_and_on_one_line():
    [problem] = problems(dialect="excel\n\x1b[31m" + "x" * 5000)
    assert len(problem) < 200
    assert problem.isprintable()


# Old names -----------------------------------------------------------------------------------------------------------------

OLD: dict[str, tuple[Any, str, Any]] = {  # old name -> what it says there, the key it stands for, what that says
    "event_type": ("video", "action", "video"),
    "job_type": ("datashop", "action", "datashop"),
    "output_type": ("parquet", "format", ("parquet",)),
    "event_sub_types": (["part_attempt_evaluted"], "sub_types", ("part_attempt_evaluated",)),
    "excluded_fields": (["hints"], "exclude_fields", ("hints",)),
    "enforce_project_id": ("118", "project_id", 118),
}


def test_every_old_name_has_its_case_here():
    assert set(OLD) == {name for names in RENAMED.values() for name in names}


@pytest.mark.parametrize("name", OLD)
def test_an_old_name_says_the_same_as_the_key(name):
    said, key, value = OLD[name]
    document = {**GOOD, name: said}
    if key == "action":
        del document["action"]
    assert getattr(parse_request(document), key) == value


@pytest.mark.parametrize("name", OLD)
def test_a_key_and_its_old_name_may_agree_but_not_differ(name):
    said, key, value = OLD[name]
    same = value if isinstance(value, (str, int)) else list(value)
    assert getattr(parse_request({**GOOD, key: same, name: said}), key) == value
    other = {
        "action": "page_viewed",
        "format": "csv",
        "sub_types": ["page_attempt_evaluated"],
        "exclude_fields": ["score"],
        "project_id": 7,
    }[key]
    assert [problem for problem in problems(**{key: other, name: said}) if problem.startswith(key)] == [
        f"{key}: says something else than {name}, which means the same"
    ]


@pytest.mark.parametrize("name", IGNORED)
def test_what_the_old_job_needed_and_we_do_not_is_ignored_with_a_note(name):
    said = {"chunk_size": 10_000, "debug": "true", "lookup": {}}.get(name, "torus-xapi-prod")
    request = parse_request({**GOOD, name: said})
    assert request == parse_request(GOOD)
    [note] = request.notes
    assert note.startswith(f"{name}: ignored; ")


def test_what_is_ignored_is_checked_where_it_can_be():
    found = problems(bucket_name=7, results_bucket_name=[], chunk_size="large", debug={"any": "thing"})
    assert sorted(problem.split(":")[0] for problem in found) == ["bucket_name", "chunk_size", "results_bucket_name"]


def test_a_custom_job_of_torus_says_nothing_about_the_action():
    assert parse_request({**GOOD, "job_type": "custom"}) == parse_request(GOOD)
    assert problems(job_type="bespoke")[0].startswith("job_type: unknown action 'bespoke'")


@pytest.mark.parametrize(
    ("given", "is_on"), [("false", False), ("true", True), ("no", True), ("False", True), (True, True), (False, False)]
)
def test_anonymize_is_read_as_the_old_job_read_it(given, is_on):
    request = parse_request({**GOOD, "anonymize": given, "permitted_by": "the review board"})
    assert request.anonymize is is_on
    assert bool(request.notes) == (given in ("no", "False"))
    if not is_on:
        assert problems(anonymize=given) == ("permitted_by: has to say who permitted it when anonymize is false",)


def test_a_number_is_no_answer_to_anonymize():
    assert problems(anonymize=0) == ("anonymize: expected true or false, got a number",)


TORUS_SENDS = [
    "--bucket_name", "torus-xapi-prod", "--chunk_size", "50000", "--sub_types", "playedpausedseekedcompleted", "--job_id", GOOD["job_id"],
    "--section_ids", "3034,3021", "--page_ids", "all", "--action", "video", "--enforce_project_id", "118", "--exclude_fields", "video_url,video_title",
    "--ignored_student_ids", "41,42",
]  # fmt: skip


def test_the_argument_list_of_torus_is_a_request():
    request = parse_request(argument_list(TORUS_SENDS))
    assert request == parse_request({
        **GOOD, "action": "video", "section_ids": [3021, 3034], "project_id": 118, "exclude_fields": ["video_url", "video_title"],
        "ignored_student_ids": [41, 42],
    })  # fmt: skip
    assert [note.split(":")[0] for note in request.notes] == ["bucket_name", "chunk_size"]
    joined = [f"{name}={value}" for name, value in zip(TORUS_SENDS[::2], TORUS_SENDS[1::2], strict=True)]
    assert argument_list(joined) == argument_list(TORUS_SENDS)


def test_the_argument_list_of_torus_for_datashop_is_a_request():
    words = [
        "--sub_types",
        "datashop",
        "--job_id",
        "a",
        "--section_ids",
        "1",
        "--page_ids",
        "all",
        "--action",
        "datashop",
        "--chunk_size",
        "500",
    ]
    request = parse_request(argument_list(words))
    assert request == parse_request({"job_id": "a", "section_ids": [1], "action": "datashop"})
    assert [note.split(":")[0] for note in request.notes] == ["chunk_size", "sub_types"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["video"], "argument 1: expected --name value"),
        (["--"], "argument 1: expected --name value"),
        (["--action"], "argument 1: --action has no value"),
        (["--action", "--job_id", "a"], "argument 1: --action has no value"),
        (["--action", "video", "--action=video"], "argument 3: --action is given twice"),
    ],
)
def test_an_argument_list_that_is_none_is_refused_with_the_place(words, message):
    with pytest.raises(NotAnArgument, match=message):
        argument_list(words)


# Presets -------------------------------------------------------------------------------------------------------------------

ATTEMPTS = ("part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated")
MEANT = {
    "datashop": ("datashop", (), ()),
    "attempts_simple": ("attempt_evaluated", ATTEMPTS, ("response", "feedback", "hints")),
    "attempts_extended": ("attempt_evaluated", ATTEMPTS, ()),
    "video": ("video", ("played", "paused", "seeked", "completed"), ()),
    "page_viewed": ("page_viewed", ("page_viewed",), ()),
    "required_survey": ("attempt_evaluated", ATTEMPTS[:1], ("feedback", "hints")),
}


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_fills_what_the_document_leaves_out(preset):
    request = parse_request({"job_id": "a", "section_ids": [1], "page_ids": [60480], "preset": preset})
    assert (request.action, request.sub_types, request.exclude_fields) == MEANT[preset]


def test_what_the_document_says_stands_before_its_preset():
    request = parse_request({"job_id": "a", "section_ids": [1], "preset": "attempts_simple", "excluded_fields": ["hints"]})
    assert (request.exclude_fields, request.sub_types) == (("hints",), ATTEMPTS)


@pytest.mark.parametrize("pages", [{}, {"page_ids": "all"}, {"page_ids": []}])
def test_the_survey_needs_its_pages(pages):
    with pytest.raises(RequestError) as caught:
        parse_request({"job_id": "a", "section_ids": [1], "preset": "required_survey", **pages})
    assert caught.value.problems == ("page_ids: missing; required_survey needs the ids of the survey's pages",)


def test_a_preset_of_another_action_is_a_mistake():
    assert problems(preset="video") == ("preset: video is made of video, and the action is attempt_evaluated",)
    assert problems(preset="atempts_simple")[0].startswith("preset: unknown preset 'atempts_simple' (did you mean 'attempts_simple'?)")


# DataShop ------------------------------------------------------------------------------------------------------------------


def test_the_defaults_of_datashop():
    request = parse_request({**GOOD, "action": "datashop"})
    assert (request.format, request.rollup, request.dataset_name) == (("datashop-xml",), "csv", None)
    assert (request.sub_types, request.exclude_fields, request.notes) == ((), (), ())
    assert request.table.kinds == ("part_attempt", "tutor_message", "page_viewed")


def test_both_forms_of_datashop_may_be_asked_for():
    request = parse_request({**GOOD, "action": "datashop", "format": ["datashop-tab", "datashop-xml"], "dataset_name": "Biology I"})
    assert (request.format, request.dataset_name) == (("datashop-xml", "datashop-tab"), "Biology I")


@pytest.mark.parametrize(("given", "rollup"), [("csv", "csv"), ("parquet", "parquet"), (None, None), (False, None), ("none", None)])
def test_the_rollup_is_csv_parquet_or_none(given, rollup):
    assert parse_request({**GOOD, "action": "datashop", "rollup": given}).rollup == rollup


def test_what_only_tables_have_is_ignored_for_datashop_with_a_note():
    request = parse_request({
        **GOOD, "job_type": "datashop", "action": "datashop", "sub_types": ["datashop"], "excluded_fields": ["x"], "output_type": "csv",
        "dialect": "compat", "order": "source",
    })  # fmt: skip
    assert request == parse_request({**GOOD, "action": "datashop"})
    assert sorted(note.split(":")[0] for note in request.notes) == ["dialect", "exclude_fields", "order", "output_type", "sub_types"]
    assert [note.split(":")[0] for note in parse_request({**GOOD, "dataset_name": "Biology I"}).notes] == ["dataset_name"]


@pytest.mark.parametrize(
    ("said", "order"),
    [
        ({}, "time"), ({"dialect": "rfc4180"}, "time"), ({"dialect": "compat"}, "source"), ({"dialect": "compat", "order": "time"}, "time"),
        ({"order": "source"}, "source"), ({"dialect": "compat", "order": None}, "source"),
    ],
)  # fmt: skip
def test_the_order_goes_with_the_dialect_unless_it_is_said(said, order):
    assert parse_request({**GOOD, **said}).order == order


def test_an_unknown_order_is_refused_by_name():
    assert problems(order="sources") == ("order: unknown order 'sources' (did you mean 'source'?); known: time, source",)


def test_forms_and_rollups_of_the_other_kind_of_data_set_are_mistakes():
    assert problems(format="datashop-xml") == ("format: unknown format of attempt_evaluated 'datashop-xml'; known: csv, parquet",)
    assert problems(action="datashop", format="csv")[0].startswith("format: unknown format of datashop 'csv'")
    assert problems(rollup="csv") == ("rollup: only a DataShop data set has one",)
    assert problems(action="datashop", rollup="xlsx")[0].startswith("rollup: unknown rollup 'xlsx'")
    assert problems(action="datashop", dataset_name="\u00e9" * 51) == ("dataset_name: expected at most 100 bytes of UTF-8, got 102",)


# What holds for every document ---------------------------------------------------------------------------------------------

NAMES = (*KEYS, "preset", *IGNORED, *(name for names in RENAMED.values() for name in names))
WORDS = ("all", "csv", "datashop", "video", "false", "2026-01-02", "played", "1,2", "attempts_simple", "compat", "hints", "\ud800", *MEANT)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=6), JSON, max_size=12), st.booleans())
def test_any_document_is_a_request_or_a_request_error(document, with_the_rest):
    try:
        request = parse_request({**GOOD, **document} if with_the_rest else document)
    except RequestError as error:
        _each_names_its_key(error.problems)
    else:
        _is_its_own_document(request)


def _each_names_its_key(found):
    assert found
    assert all(": " in problem for problem in found)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_request_or_a_request_error(body):
    with pytest.raises(RequestError):
        parse_request(body)


GOOD_VALUES = st.fixed_dictionaries(
    {"job_id": st.from_regex(r"[A-Za-z0-9]{1,9}", fullmatch=True), "section_ids": st.lists(st.integers(0, 9), min_size=1)},
    optional={
        "page_ids": st.lists(st.integers(0, 9)) | st.just("all"),
        "ignored_student_ids": st.lists(st.integers(0, 99) | st.sampled_from(["a", "7"])),
        "project_id": st.integers(0, 9) | st.just("8"),
        "date_from": st.just("2026-01-02"),
        "date_to": st.just("2026-01-03"),
        "chunk_rows": st.integers(1, 9),
        "include_held": st.booleans(),
        "dialect": st.sampled_from(["rfc4180", "compat"]),
        "order": st.sampled_from(["time", "source"]),
        "scope": st.sampled_from(["shared", "other"]),
        "anonymize": st.booleans(),
        "rollup": st.none() | st.just(False),
        "dataset_name": st.just("Biology I"),
        "chunk_size": st.just(500),
    },
)


@given(GOOD_VALUES, st.sampled_from(["attempt_evaluated", "video", "page_viewed", "datashop"]))
def test_the_document_of_a_request_is_that_request(values, action):
    request = parse_request({**values, "action": action, "permitted_by": "the review board"})
    _is_its_own_document(request)


def _is_its_own_document(request):
    again = parse_request(json.dumps(request.document()))
    assert again == request
    assert run_key(again) == run_key(request)
    assert again.notes == ()


def test_the_run_key_tells_two_requests_apart_and_stays_what_it_is():
    assert run_key(parse_request(GOOD)) == run_key(parse_request({**GOOD, "format": "csv", "chunk_size": 7}))
    assert run_key(parse_request(GOOD)) != run_key(parse_request({**GOOD, "include_held": True}))
    assert len(run_key(parse_request(GOOD))) == 32


def test_a_request_for_the_order_of_time_has_the_run_key_it_had_before_there_was_another():
    asked = {"job_id": "job-1", "action": "video", "section_ids": [3021]}
    assert run_key(parse_request(asked)) == "f00d902142bab47798268dec6cdb6338"
    assert run_key(parse_request({**asked, "dialect": "compat", "order": "time"})) == "3a0d494cb5ff7df8a464d06f3fd8710c"
    assert run_key(parse_request({**asked, "dialect": "compat"})) != "3a0d494cb5ff7df8a464d06f3fd8710c"
