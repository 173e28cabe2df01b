"""What attempts, hints, answers and content become."""

from __future__ import annotations

import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datashop_lake import attempt, by_guid, exported, judged, look_up, notes, page_of, read
from small_lake import part

from torus_assets.datasets.datashop.answers import Answers
from torus_assets.datasets.datashop.verify import iter_transactions
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.redaction import Redaction


def activity(**members: Any) -> dict[str, Any]:
    """A lookup of activity 60511."""
    return {"activities": {"60511": {"type": "oli_multiple_choice", **members}}}


CHOICES = activity(
    choices=[{"id": "c1", "content": "Water"}, {"id": "c2", "content": [{"type": "p", "children": [{"text": "Air"}]}]}, "Fire"]
)
HINTS = activity(
    parts=[
        {
            "id": "1",
            "hints": [
                {"id": 11, "content": "Read"},
                {"id": "12", "content": []},
                {"id": "13", "content": "Look"},
                {"id": "14", "content": "Do"},
            ],
        }
    ]
)


# Outcomes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "out_of", "outcome"),
    [(1, 1, "CORRECT"), (0, 1, "INCORRECT"), (2.5, 3, "INCORRECT"), (5, 3, "CORRECT"), (0.1 + 0.2, 0.3, "CORRECT"), (-1, 1, "INCORRECT")],
)
def test_full_credit_is_correct_anything_less_is_not_and_the_score_stands_beside_it(lake, make, score, out_of, outcome):
    lake.add("2026-01-03", [attempt("a", score=score, out_of=out_of)])
    [one] = read(exported(make))
    assert (one.outcome, one.tutor_type) == (outcome, "RESULT")
    assert (float(one.fields["score"]), float(one.fields["out_of"])) == (score, out_of)


@pytest.mark.parametrize(("score", "out_of"), [(0, 0), (1, 0), (1, None), (0, -1)])
def test_what_cannot_be_scored_is_an_untutored_action_with_its_feedback_kept(lake, make, score, out_of):
    feedback = {"content": [{"type": "p", "children": [{"text": "Thanks"}]}]}
    lake.add("2026-01-03", [attempt("a", score=score, out_of=out_of, feedback=feedback, attached_objectives=[5], hints_requested=["1"])])
    made = exported(make)
    hint, one = read(made)
    assert (one.outcome, one.tutor_type, one.step, one.advice, one.skills) == ("", "", "", "", ())
    assert one.fields["feedback"] == "Thanks"
    assert hint.skills == (("Default", "", "Objective 5"),)
    assert notes(made)["unscored_attempts"] == 1


def test_an_attempt_without_score_is_unscored_too(lake, make):
    """The parser takes no such statement, but the column may be null."""
    lake.add("2026-01-03", [attempt("a"), attempt("b", at="12:00:01", score=0.0)])
    [path] = lake.folder.rglob("*.parquet")
    rows = pq.read_table(path)
    scores = pa.array([None if score == 0 else score for score in rows["score"].to_pylist()], pa.float64())
    pq.write_table(rows.set_column(rows.schema.get_field_index("score"), rows.schema.field("score"), scores), path)
    made = exported(make)
    assert [(one.outcome, one.fields.get("score")) for one in read(made)] == [("CORRECT", "1"), ("", None)]
    assert notes(made)["unscored_attempts"] == 1


# Hints ----------------------------------------------------------------------------------------------------------------


def test_each_hint_is_a_transaction_of_its_own_before_its_attempt_in_order_of_request(lake, make, store):
    look_up(store, HINTS)
    lake.add("2026-01-03", [attempt("a", hints_requested=["14", 11, "13", "11"], attached_objectives=[5])])
    made = exported(make)
    found = read(made)
    assert [one.id for one in found] == ["a-h1", "a-h2", "a-h3", "a-h4", "a"]
    assert [(one.advice, one.help_level, one.total_hints) for one in found[:4]] == [
        ("Do", 3, 3),
        ("Read", 1, 3),
        ("Look", 2, 3),
        ("Read", 1, 3),
    ]
    assert {(one.student_type, one.tutor_type, one.outcome) for one in found[:4]} == {("HINT_REQUEST", "HINT_MSG", "HINT")}
    assert {one.step for one in found} == {"Activity 60511, Part 1 Multiple choice submission"}
    assert {one.time for one in found} == {"2026-01-02 12:00:00.000"}
    assert {one.fields.get("time_is_of") for one in found[:4]} == {"the attempt"}
    assert {one.skills for one in found} == {(("Default", "", "Objective 5"),)}
    assert made.body("chunk_0.xml").count(b"<context_message ") == 1
    assert judged(made).sections["Section 3021"].hints == 4


def test_hints_of_several_attempts_keep_their_own_ids(lake, make):
    lake.add(
        "2026-01-03",
        [attempt(name, at=f"12:0{at}:00", hints_requested=["1", "2"], part_attempt_number=at) for at, name in enumerate("abc", 1)],
    )
    assert [one.id for one in read(exported(make))] == [f"{name}{end}" for name in "abc" for end in ("-h1", "-h2", "")]


def test_an_unknown_hint_keeps_its_id_and_has_no_number(lake, make, store):
    look_up(store, HINTS)
    lake.add("2026-01-03", [attempt("a", hints_requested=["99", "12"])])  # 12 has no text, so nobody has seen it
    made = exported(make)
    assert [(one.advice, one.help_level) for one in read(made)[:2]] == [("", None), ("", None)]
    assert made.body("chunk_0.xml").count(b'hint_id="99"') == 1
    assert notes(made)["hints_not_in_lookup"] == 2


# Answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "shown"),
    [
        ({"input": "c1"}, "Water"),
        ({"input": "c2 c1"}, "Air; Water"),
        ({"input": "#3"}, "Fire"),  # a choice without id
        ({"input": "c1 gone"}, "Water; gone"),
        ({"input": "two words of my own"}, "two words of my own"),
        ({"input": "C1"}, "C1"),
        ({"input": ""}, ""),
        ({"input": None}, ""),
        ({"input": 4.5}, "4.5"),
        ({"input": True}, "true"),
        ({"input": {"a": "c1"}}, '{"a":"c1"}'),
        ({"input": ["c1"]}, '["c1"]'),
        ({"files": []}, '{"files":[]}'),
        ("plain", "plain"),
        ({}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_an_answer_is_the_texts_of_its_choices_or_what_was_entered(response, shown):
    known = parse_lookup(CHOICES).activity(60511)
    assert Answers(Redaction()).response(known, json.dumps(response)).input.text == shown


@pytest.mark.parametrize("text", ["two words", "c1"])
def test_without_choices_an_answer_is_what_was_entered(text):
    for document in ({}, activity()):
        known = parse_lookup(document).activity(60511)
        assert Answers(Redaction()).response(known, json.dumps({"input": text})).input.text == text
    assert Answers(Redaction()).response(None, None).input.text == ""


def test_free_text_in_one_part_and_choices_in_another_are_told_apart(lake, make, store):
    look_up(store, CHOICES)
    lake.add("2026-01-03", [
        attempt("text", part_id="1", response={"input": "I think water or air", "files": [{"url": "x"}, {"url": "y"}]}),
        attempt("choice", part_id="2", response={"input": "c1"}),
    ])  # fmt: skip
    found = by_guid(exported(make))
    assert (found["text"].input, found["choice"].input) == ("I think water or air", "Water")
    assert (found["text"].fields["files"], found["choice"].fields.get("files")) == ("2", None)


@pytest.mark.parametrize(
    ("entered", "shown", "noted"),
    [
        ("a\x00b\x1b", "a\ufffdb\ufffd", {"control_characters_replaced": 2}),
        ("&#0; &#60;b&#62;", "&#0; &#60;b&#62;", {}),
        ("<b>&amp;</b> \"x\" 'y' ]]>", "<b>&amp;</b> \"x\" 'y' ]]>", {}),
        ("𝛥x 😀", "Δx \ufffd", {"astral_characters_replaced": 2}),
        ("a\tb\r\nc", "a b c", {}),
        (r"\frac{1}{2}\N\t", r"\frac{1}{2}\N\t", {}),
    ],
)
def test_nothing_a_learner_types_can_harm_a_file_or_is_changed_without_a_count(lake, make, entered, shown, noted):
    lake.add("2026-01-03", [attempt("a", response={"input": entered}), attempt("b", at="12:00:01", response={"input": "fine"})])
    made = exported(make)
    assert [one.input for one in read(made)] == [shown, "fine"]
    assert {name: n for name, n in notes(made).items() if name.endswith("replaced")} == noted


def test_equal_answers_that_are_changed_are_counted_each(lake, make):
    lake.add("2026-01-03", [attempt(name, at=f"12:00:0{at}", response={"input": "😀"}) for at, name in enumerate("abc")])
    assert notes(exported(make))["astral_characters_replaced"] == 3


def test_feedback_of_any_shape_is_advice(lake, make):
    shapes = [
        {"content": [{"type": "p", "children": [{"text": "No: "}, {"type": "em", "children": [{"text": "units"}]}]}]},
        "No: units",
        {"model": [{"text": "No: units"}]},
    ]
    lake.add("2026-01-03", [attempt(f"{at}", at=f"12:00:0{at}", feedback=shape) for at, shape in enumerate([*shapes, None])])
    assert [one.advice for one in read(exported(make))] == ["No: units"] * 3 + [""]


# Problems and content -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "action"),
    [
        ("oli_image_coding", "Image coding submission"),
        ("oli_response_multi", "Response multi submission"),
        ("oli_adaptive", "Adaptive submission"),
        ("new_thing", "New thing submission"),
        (None, "Activity submission"),
    ],
)
def test_every_type_of_activity_has_an_action(lake, make, store, slug, action):
    look_up(store, {"activities": {"60511": {"type": slug}}})
    lake.add("2026-01-03", [attempt("a")])
    [one] = read(exported(make))
    assert (one.action, one.input, one.fields.get("activity_type")) == (action, "4", slug)


def test_a_likert_item_is_named_by_its_part_or_its_place(lake, make, store):
    items = [{"id": "2", "content": "I like it"}, {"content": "I would again"}]
    look_up(store, activity(items=items, parts=[{"id": "x"}, {"id": "y"}]))
    lake.add("2026-01-03", [attempt(part_id, at=f"12:00:0{at}", part_id=part_id, out_of=0) for at, part_id in enumerate(["2", "y", "z"])])
    assert [one.fields.get("item") for one in read(exported(make))] == ["I like it", "I would again", None]


def test_activities_and_pages_the_lookup_does_not_know_are_named_by_id_and_counted(lake, make, store):
    look_up(store, page_of("Osmosis"))
    lake.add("2026-01-03", [attempt("a"), attempt("b", at="12:00:01", page=7), attempt("c", at="12:00:02", page=7)])
    made = exported(make)
    assert [(one.levels, one.problem) for one in read(made)][:2] == [
        ((("Page", "Osmosis"),), "Activity 60511, Part 1"), ((("Page", "Page 7"),), "Activity 60511, Part 1"),
    ]  # fmt: skip
    assert notes(made) == {"contexts_of_pages_not_in_lookup": 1, "contexts_of_activities_not_in_lookup": 2}


def test_levels_have_a_type_for_each_depth(lake, make, store):
    look_up(store, page_of("Osmosis", "Biology", "Cells", "Walls", "Water", "Deep", "Deeper"))
    lake.add("2026-01-03", [attempt("a")])
    [one] = read(exported(make))
    assert one.levels == (
        ("Course", "Biology"), ("Unit", "Cells"), ("Module", "Walls"), ("Section", "Water"), ("Section 2", "Deep"), ("Section 3", "Deeper"), ("Page", "Osmosis"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("hierarchy", "levels"),
    [
        (
            {
                "60480": {"title": "P", "children": None},
                "5": {"title": "U", "children": [60480, 60481]},
                "6": {"title": "V", "children": [60480]},
            },
            [("Unit", "U"), ("Page", "P")],
        ),
        (
            {"60480": {"title": "P"}, "5": {"title": "U", "children": [6]}, "6": {"title": "V", "children": [5, 60480]}},
            [("Course", "U"), ("Unit", "V"), ("Page", "P")],
        ),
        ({"60480": {"title": "P", "children": [60480]}}, [("Page", "P")]),
        ({"60480": {}, "5": {"children": [60480]}}, [("Course", "Container 5"), ("Page", "Page 60480")]),
        ({"60480": {"title": "  "}}, [("Page", "Page 60480")]),
        ({"60480": None}, [("Page", "Page 60480")]),
    ],
)
def test_hierarchies_with_missing_parents_nulls_and_cycles_still_place_the_page(lake, make, store, hierarchy, levels):
    look_up(store, {"hierarchy": hierarchy})
    lake.add("2026-01-03", [attempt("a"), attempt("b", at="12:00:01", page=99)])
    found = read(exported(make))
    assert list(found[0].levels) == levels
    assert found[1].levels == (("Page", "Page 99"),)


def test_titles_are_cut_between_characters_at_100_bytes_and_lose_no_quote(lake, make, store):
    look_up(store, page_of("x" + "é" * 60, "Newton's \t'laws'", "中" * 40))
    lake.add("2026-01-03", [attempt("a")])
    made = exported(make)
    assert [name for _, name in read(made)[0].levels] == ["Newton’s ’laws’", "中" * 33, "x" + "é" * 49]
    assert notes(made)["texts_cut"] == 2


def test_a_graded_page_is_a_test(lake, make, store):
    look_up(store, page_of("Quiz", graded=True))
    lake.add("2026-01-03", [attempt("a"), attempt("b", at="12:00:01", page=7)])
    body = exported(make).body("chunk_0.xml")
    assert (body.count(b'tutorFlag="test"'), body.count(b'tutorFlag="tutor"')) == (1, 1)


def test_skills_are_titles_and_unknown_objectives_do_not_fold_into_one(lake, make, store):
    look_up(store, {"skill_titles": {"5": "Adding", "6": "Adding", "7": " "}})
    lake.add("2026-01-03", [attempt("a", attached_objectives=[5, 6, 7, 8, 5])])
    made = exported(make)
    assert [name for _, _, name in read(made)[0].skills] == ["Adding (5)", "Adding (6)", "Objective 7", "Objective 8"]
    assert notes(made)["skills_not_in_lookup"] == 2
    assert judged(made).sections["Section 3021"].skills == 4


@pytest.mark.parametrize("name", ["Spring 'é' <1>", None])
def test_the_data_set_has_the_name_that_was_asked_for_or_the_lookups_or_the_jobs(lake, make, store, name):
    look_up(store, {"dataset_name": "Of the lookup"})
    lake.add("2026-01-03", [attempt("a")])
    shown = "Spring 'é' &lt;1&gt;" if name else "Of the lookup"
    assert f"<dataset><name>{shown}</name>" in exported(make, dataset_name=name).body("chunk_0.xml").decode()


def test_an_attempt_that_has_only_what_it_must_have_says_no_more(lake, make):
    lake.add("2026-01-03", [
        attempt(
            "a", hints_requested=None, attached_objectives=None, session_id=None, project_id=None, publication_id=None, part_attempt_number=None,
            activity_attempt_number=None, page_attempt_number=None, activity_revision_id=None, out_of=None, response=None, feedback=None,
        ),
    ])  # fmt: skip
    [one] = read(exported(make))
    assert set(one.fields) == {
        "score", "part_attempt_guid", "activity_attempt_guid", "page_attempt_guid", "section_id", "page_id", "activity_id", "part_id",
    }  # fmt: skip


def test_long_and_odd_part_ids_stay_problems_of_their_own(lake, make):
    ids = ["p" * 150 + end for end in "ab"] + ["it's\tone", "it's one", "1", "1 ", "1\x1b", "1\x00"]
    lake.add("2026-01-03", [attempt(f"{at}", at=f"12:00:0{at}", part_id=part_id) for at, part_id in enumerate(ids)])
    assert len({one.problem for one in read(exported(make))}) == len(ids) == 8


def test_two_students_with_one_attempt_guid_are_told_apart_and_cost_nobody_the_data_set(lake, make):
    lake.add(
        "2026-01-02",
        [part(user=1001, part_attempt_guid="same"), part(user=1002, part_attempt_guid="same"), part(user=1001, part_attempt_guid="other")],
    )
    made = make("datashop", format=["datashop-xml", "datashop-tab"])
    assert made.result.ok
    ids = [one.id for one in iter_transactions([("x.xml", lambda: io.BytesIO(made.body("chunk_0.xml")))])]
    assert len(ids) == len(set(ids)) == 6  # each attempt with its hint
    assert made.result.receipt["notes"]["attempts_of_several_students"] == 2
