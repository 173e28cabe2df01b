"""The lookup: places, skills, activities; and everything that documents of old had and that ended a job (D-19)."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from torus_assets.datasets.lookup import EMPTY, Hint, Lookup, LookupInvalid, parse_lookup


def node(title: Any, *children: Any, graded: Any = False) -> dict[str, Any]:
    return {"title": title, "graded": graded, "children": list(children)}


def named(*texts: Any) -> list[dict[str, Any]]:
    return [{"id": f"t{number}", "content": [{"type": "p", "children": [{"text": text}]}]} for number, text in enumerate(texts, start=1)]


def lookup_of(**maps: Any) -> Lookup:
    return parse_lookup({"dataset_name": "course-1", "skill_titles": {}, "hierarchy": {}, "activities": {}, **maps})


COURSE = {
    "1": node("Chemistry", 10, 20),
    "10": node("Matter", 11),
    "11": node("Atoms", 60480, 60481),
    "20": node("Reactions", 60482),
    "60480": node("Quiz", graded=True),
    "60481": {"title": "Practice", "graded": None, "children": None},
    "60482": {"title": "Review"},
    "70000": node("Nowhere in the course"),
}


# Places


def test_a_page_has_its_containers_outermost_first():
    lookup = lookup_of(hierarchy=COURSE)
    assert lookup.place(60480) == ((("Course", "Chemistry"), ("Unit", "Matter"), ("Module", "Atoms"), ("Page", "Quiz")), True, True)
    assert lookup.place(60481) == ((("Course", "Chemistry"), ("Unit", "Matter"), ("Module", "Atoms"), ("Page", "Practice")), False, True)
    assert lookup.place(60482) == ((("Course", "Chemistry"), ("Unit", "Reactions"), ("Page", "Review")), False, True)
    assert lookup.place(70000) == ((("Page", "Nowhere in the course"),), False, True)
    assert lookup.level_types == ("Course", "Unit", "Module", "Page")
    assert lookup.problems == ()


def test_without_one_container_over_all_others_units_are_outermost():
    lookup = lookup_of(hierarchy={**COURSE, "2": node("Appendix", 21), "21": node("Tables")})
    assert lookup.place(60482).levels == (("Unit", "Chemistry"), ("Module", "Reactions"), ("Page", "Review"))
    assert lookup.place(21).levels == (("Unit", "Appendix"), ("Page", "Tables"))
    assert lookup.level_types == ("Unit", "Module", "Section", "Page")


def test_deep_containers_are_numbered_sections():
    deep = {str(key): node(f"C{key}", key + 1) for key in range(1, 8)}
    lookup = lookup_of(hierarchy=deep | {"8": node("Leaf")})
    types = tuple(type_ for type_, _ in lookup.place(8).levels)
    assert types == ("Course", "Unit", "Module", "Section", "Section 2", "Section 3", "Section 4", "Page") == lookup.level_types


def test_pages_that_are_not_there_are_named_by_their_id():
    for lookup in (EMPTY, lookup_of(hierarchy=COURSE)):
        assert lookup.place(999) == ((("Page", "Page 999"),), False, False)
        assert lookup.place(None) == ((("Page", "No page"),), False, False)
    assert EMPTY.level_types == ("Page",)


@pytest.mark.parametrize("title", [None, "", "  ", 5, ["x"], {}])
def test_untitled_nodes_are_named_by_their_id(title):
    lookup = lookup_of(hierarchy={"1": node(title, 2), "2": node(title)})
    assert lookup.place(2).levels == (("Course", "Container 1"), ("Page", "Page 2"))
    assert lookup.problems == ("hierarchy: no title: 2 (1, 2)",)


def test_children_may_be_text_ids_or_missing_or_odd():
    lookup = lookup_of(hierarchy={"1": node("C", "2", 3, 404, None, "x", 2, 2.5), "2": node("A"), "3": {"title": "B", "children": "4"}})
    assert lookup.place(2).levels == (("Course", "C"), ("Page", "A"))
    assert lookup.place(3).levels == (("Course", "C"), ("Page", "B"))
    assert lookup.problems == (
        "hierarchy: child is no resource id, left out: 1 (1)",
        "hierarchy: child is not in the lookup: 1 (404)",
        "hierarchy: children are no array: 1 (3)",
    )


def test_of_several_parents_the_smallest_id_is_taken():
    lookup = lookup_of(hierarchy={"1": node("Top", 9, 8), "9": node("Nine", 50), "8": node("Eight", 50), "50": node("Shared")})
    assert lookup.place(50).levels == (("Course", "Top"), ("Unit", "Eight"), ("Page", "Shared"))
    assert lookup.problems == ("hierarchy: several parents, the smallest id is taken: 1 (50)",)


def test_a_cycle_is_cut_and_told():
    lookup = lookup_of(
        hierarchy={
            "1": node("Top", 4),
            "5": node("Five", 6),
            "6": node("Six", 7, 50),
            "7": node("Seven", 5),
            "50": node("P"),
            "4": node("Four", 4),
        }
    )
    assert lookup.place(50).levels == (("Unit", "Five"), ("Module", "Six"), ("Page", "P"))
    assert lookup.place(4).levels == (("Unit", "Top"), ("Page", "Four"))
    assert lookup.problems == ("hierarchy: cycle, cut at its smallest id: 2 (4, 5)",)


def test_a_chain_of_thousands_of_containers_is_cut_and_read_in_time():
    chain = {str(key): node(f"C{key}", key + 1) for key in range(1, 20_001)}
    lookup = lookup_of(hierarchy=chain)
    assert len(lookup.place(20_000).levels) == 31
    assert lookup.place(20_000).levels[-2:] == (("Section 27", "C30"), ("Page", "C20000"))
    assert lookup.problems[1] == "hierarchy: container below 30 others, left out of levels: 19970 (31, 32, 33, 34, 35)"


@pytest.mark.parametrize(("graded", "expected"), [(True, True), (False, False), (None, False), ("true", False), (1, False)])
def test_only_true_is_graded(graded, expected):
    lookup = lookup_of(hierarchy={"2": node("A", graded=graded)})
    assert lookup.place(2).graded is expected
    assert bool(lookup.problems) == (graded in ("true", 1) and graded is not True)


# Skills


def test_skills_that_share_a_title_stay_apart():
    lookup = lookup_of(skill_titles={"7": "Balance", "9": " Balance\n", "8": "Balance (7)", "5": "Name ions", "6": "", "4": None})
    assert lookup.skills == {7: "Balance (7) (7)", 9: "Balance (9)", 8: "Balance (7) (8)", 5: "Name ions"}
    assert "skill_titles: no title, left out: 2 (4, 6)" in lookup.problems
    assert lookup_of(skill_titles={"7": "Balance", "9": "Balance"}).skills == {7: "Balance (7)", 9: "Balance (9)"}


# Activities


def test_texts_of_an_activity_are_found_by_id():
    [hint_1, empty, hint_3] = named("First", "", "Third")
    parts = [{"id": "1", "hints": [empty, hint_1, hint_3]}, {"id": 2, "hints": None}]
    lookup = lookup_of(activities={"31": {"type": "oli_multiple_choice", "choices": named("Yes", "No"), "items": None, "parts": parts}})
    activity = lookup.activity(31)
    assert activity is not None
    assert (activity.slug, activity.choices, activity.items) == ("oli_multiple_choice", {"t1": "Yes", "t2": "No"}, {})
    first, second = activity.part("1"), activity.part("2")
    assert first is not None
    assert second is not None
    assert (first.hints, first.total_hints) == ({"t1": Hint(1, "First"), "t3": Hint(2, "Third")}, 2)
    assert (second.hints, second.total_hints) == ({}, 0)
    assert activity.part("3") is activity.part(None) is lookup.activity(32) is lookup.activity(None) is None
    assert lookup.problems == ()


def test_an_item_is_found_by_the_parts_id_else_by_its_place():
    def item(items: list[Any], *parts: str, of: str | None) -> str | None:
        activity = lookup_of(activities={"3": {"type": "oli_likert", "items": items, "parts": [{"id": part} for part in parts]}}).activity(
            3
        )
        assert activity is not None
        return activity.item_text(of)

    assert item(named("A", "B"), "t2", "t1", of="t1") == "A"
    assert item(named("A", "B"), "p1", "p2", of="p2") == "B"
    assert item(named("A", "B"), "p1", of="p1") is None
    assert item(named("A", "B"), "p1", "p2", of="p3") is None
    assert item(named("A", "B"), "p1", "p2", of=None) is None
    assert item([{"content": "A"}, {"id": "t2", "content": "B"}], "p1", "p2", of="p1") == "A"
    assert item([], of=None) is None


def test_entries_without_id_or_with_one_that_came_before_keep_their_place():
    choices = [
        {"content": "A"},
        None,
        {"id": "x", "content": "C"},
        {"id": "x", "content": "D"},
        "E",
        {"id": " ", "content": 5},
        {"id": "#8"},
        None,
    ]
    lookup = lookup_of(activities={"3": {"type": "t", "choices": choices, "parts": [None, {"id": "1", "hints": choices}]}})
    activity = lookup.activity(3)
    assert activity is not None
    assert activity.choices == {"#1": "A", "#2": "", "x": "C", "#4": "D", "#5": "E", "#6": "5", "#8": "", "##8": ""}
    part = activity.part("1")
    assert part is not None
    assert part.hints == {"#1": (1, "A"), "x": (2, "C"), "#4": (3, "D"), "#5": (4, "E"), "#6": (5, "5")}
    assert lookup.problems == (
        "activities: choices without id: 5 (3)",
        "activities: content in choices is no content: 1 (3)",
        "activities: content in hints is no content: 1 (3)",
        "activities: hints without id: 5 (3)",
        "activities: id repeated in choices: 1 (3)",
        "activities: id repeated in hints: 1 (3)",
        "activities: parts without id: 1 (3)",
    )


def test_odd_activities_are_defaulted_and_told():
    lookup = lookup_of(
        activities={
            "1": None,
            "2": {},
            "3": {"type": 5, "parts": {}, "choices": "x", "items": 7},
            "04": {"type": "a"},
            "4": {"type": "b"},
            "x": {},
        }
    )
    assert lookup.activity(1) is None
    assert lookup.activity(2) == lookup.activity(3) == (None, {}, {}, {})
    assert lookup.activities[4].slug == "a"
    assert lookup.problems == (
        "activities: choices are no array: 1 (3)",
        "activities: id repeated, the first stays: 1 (4)",
        "activities: items are no array: 1 (3)",
        "activities: key is no resource id: 1",
        "activities: no object, left out: 1 (1)",
        "activities: no type: 2 (2, 3)",
        "activities: parts are no array: 1 (3)",
    )


# The document


@pytest.mark.parametrize("value", [None, "absent"])
def test_maps_that_are_null_or_absent_are_empty_and_told(value):
    maps = {} if value else dict.fromkeys(("skill_titles", "hierarchy", "activities", "users"))
    lookup = parse_lookup({"dataset_name": "x", **maps})
    assert (lookup.skills, lookup.nodes, lookup.activities, lookup.users, lookup.user_ids) == ({}, {}, {}, {}, frozenset())
    assert lookup.problems == tuple(f"{name}: absent or null: 1" for name in ("activities", "hierarchy", "skill_titles"))


@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_maps_of_a_wrong_type_are_empty_and_told(value):
    lookup = lookup_of(skill_titles=value, hierarchy=value, activities=value, users=value)
    assert (lookup.skills, lookup.nodes, lookup.activities, lookup.users) == ({}, {}, {}, {})
    assert lookup.problems == tuple(f"{name}: no object: 1" for name in ("activities", "hierarchy", "skill_titles", "users"))


def test_users_are_counted_and_never_named():
    users = {"41207": {"email": "ada@example.org"}, "41208": {"email": None}, "41209": None, "41210": {"email": " "}}
    lookup = lookup_of(users=users)
    assert lookup.users == {"41207": "ada@example.org"}
    assert lookup.user_ids == set(users)
    assert lookup.problems == ("users: no e-mail: 3",)
    shown = repr(lookup) + json.dumps(lookup.public_document())
    assert not any(user in shown for user in [*users, "ada"])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "no JSON document: line 1, column 1"),
        (b"{", "no JSON document: line 1, column 2"),
        (b"[]", "expected the lookup to be a JSON object, got list"),
        (b"null", "got NoneType"),
        (b'"\xff"', r"not UTF-8 \(byte 1\)"),
        (b"[" * 100_000, "nested too deep"),
    ],
)
def test_what_is_no_object_is_refused_with_the_reason(document, message):
    with pytest.raises(LookupInvalid, match=message):
        parse_lookup(document)


def test_json_that_only_tolerant_readers_take_is_taken():
    lookup = parse_lookup(
        b'\xef\xbb\xbf{"skill_titles": {"7": "a\\ud800b"}, "hierarchy": {"8": {"title": "T", "graded": ' + b"9" * 5000 + b"}}}"
    )
    assert lookup.skills == {7: "a\ufffdb"}
    assert lookup.place(8).levels == (("Page", "T"),)
    json.dumps(lookup.public_document(), ensure_ascii=False).encode()


def test_a_mapping_is_known_by_its_content_and_bytes_by_themselves():
    document = {"hierarchy": COURSE, "dataset_name": "x"}
    turned = dict(reversed(document.items()))
    assert parse_lookup(document).sha256 == parse_lookup(turned).sha256 != parse_lookup({**document, "dataset_name": "y"}).sha256
    raw = json.dumps(document).encode()
    assert parse_lookup(raw).sha256 != parse_lookup(raw + b"\n").sha256
    assert parse_lookup(raw).places == parse_lookup(document).places


def told_again(lookup: Lookup) -> tuple[Any, ...]:
    return (lookup.dataset_name, lookup.skills, lookup.nodes, lookup.places, lookup.level_types, lookup.activities)


def test_a_lookup_crosses_to_another_process_as_it_is():
    lookup = lookup_of(
        hierarchy=COURSE, activities={"3": {"type": "t", "choices": named("A"), "parts": [{"id": "1", "hints": named("H")}]}}
    )
    assert pickle.loads(pickle.dumps(lookup)) == lookup


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.sampled_from(["1", "2", "3"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["1", "2", "3", "id", "content"]), inner),
    max_leaves=15,
)
IDS = st.integers(0, 9).map(str)
TEXTS = st.lists(st.fixed_dictionaries({}, optional={"id": IDS | JSON, "content": JSON}) | JSON, max_size=4)
PARTS = st.lists(st.fixed_dictionaries({"hints": TEXTS}, optional={"id": IDS | JSON}) | JSON, max_size=3)
NODE = st.fixed_dictionaries({"children": st.lists(st.integers(0, 9) | IDS)}, optional={"title": JSON, "graded": JSON})
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "dataset_name": JSON,
        "skill_titles": st.dictionaries(IDS, st.sampled_from(["A", "B", "A (1)"]) | JSON) | JSON,
        "hierarchy": st.dictionaries(IDS, NODE | JSON) | JSON,
        "activities": st.dictionaries(IDS, st.fixed_dictionaries({"choices": TEXTS, "items": TEXTS, "parts": PARTS}) | JSON) | JSON,
        "users": st.dictionaries(st.just("secretive"), st.fixed_dictionaries({"email": JSON}) | JSON) | JSON,
    },
)


@given(DOCUMENTS)
@example({"hierarchy": {"1": {"children": [2]}, "2": {"children": [3]}, "3": {"children": [1, 2]}}})
@settings(max_examples=150)
def test_every_document_is_read_and_its_snapshot_says_the_same(document):
    lookup = parse_lookup(json.dumps(document).encode())
    assert len(set(lookup.skills.values())) == len(lookup.skills)
    for key in lookup.nodes:
        levels = lookup.place(key).levels
        assert levels[-1][0] == "Page"
        assert all(title for _, title in levels)
        assert len({type_ for type_, _ in levels}) == len(levels)
        assert {type_ for type_, _ in levels} <= set(lookup.level_types)
    for activity in lookup.activities.values():
        for part_id, part in activity.parts.items():
            assert [hint.number for hint in part.hints.values()] == list(range(1, part.total_hints + 1))
            activity.item_text(part_id)
    assert "secretive" not in " ".join(lookup.problems) + json.dumps(lookup.public_document())
    again = parse_lookup(json.dumps(lookup.public_document()).encode())
    assert told_again(again) == told_again(lookup)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_bytes_are_a_lookup_or_refused(document):
    try:
        assert isinstance(parse_lookup(document), Lookup)
    except LookupInvalid:
        return
