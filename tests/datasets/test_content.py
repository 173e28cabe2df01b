"""Text of rich content, in every shape it comes in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.datasets.content import content_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["type", "text", "children", "content", "model", "src", "alt", "caption", "code"]) | st.text(), inner
        )
        | st.fixed_dictionaries({"type": st.sampled_from(["p", "a", "img", "formula", "code", "popup"]), "children": inner})
    ),
    max_leaves=30,
)


def p(*leaves: Any) -> dict[str, Any]:
    return {"type": "p", "id": "1", "children": [{"text": leaf} if isinstance(leaf, str) else leaf for leaf in leaves]}


@pytest.mark.parametrize(
    "content",
    [
        [p("Two words")],
        {"model": [p("Two words")], "selection": None},
        {"content": [p("Two words")]},
        {"content": {"model": [p("Two words")]}},
        {"children": [p("Two words")]},
        {"id": "a", "content": [p("Two words")]},
        p("Two words"),
        {"text": "Two words"},
        {"text": "Two words", "strong": True, "type": "text"},
        "Two words",
        ["Two ", "words"],
        [p("Two ", {"text": "words", "em": True})],
        [None, p(" "), {"type": "p"}, {}, p("Two words"), [], {"type": "p", "children": 7 * [{"text": ""}]}],
    ],
    ids=repr,
)
def test_every_shape_of_content_gives_its_words(content):
    assert content_text(content) == "Two words"


@pytest.mark.parametrize(
    "content", [None, "", " ", [], {}, [{}], {"model": None}, {"model": []}, True, False, [p("")], {"type": "p", "children": None}]
)
def test_content_without_text_is_empty(content):
    assert content_text(content) == ""


def test_leaves_run_together_and_inline_nodes_with_them():
    link = {"type": "a", "href": "https://example.org", "children": [{"text": "lin"}]}
    assert content_text([p("A ", link, "k, H", {"text": "2", "sub": True}, "O.")]) == "A link, H2O."


def test_blocks_are_separated_by_one_blank():
    listed = {"type": "ul", "children": [{"type": "li", "children": [{"text": item}]} for item in ("one", "two ")]}
    table = {"type": "table", "children": [{"type": "tr", "children": [{"type": "td", "children": [p(cell)]} for cell in ("a", "b")]}]}
    heading = {"type": "h2", "children": [{"text": "Title"}]}
    assert content_text([heading, p("First."), p(""), p("Second."), listed, table]) == "Title First. Second. one two a b"


def test_text_beside_a_block_does_not_run_into_it():
    assert content_text({"type": "li", "children": [{"text": "before"}, p("inside"), {"text": "after"}]}) == "before inside after"


def test_lines_of_code_are_blocks():
    lines = {"type": "code", "children": [{"type": "code_line", "children": [{"text": line}]} for line in ("a = 1", "b = 2")]}
    assert content_text([lines]) == "a = 1 b = 2"
    assert content_text([{"type": "code", "language": "python", "code": "a = 1\nb = 2", "children": [{"text": ""}]}]) == "a = 1\nb = 2"


def test_formulas_give_their_source_where_they_stand():
    formula = {"type": "formula_inline", "subtype": "latex", "src": "x^2", "children": [{"text": ""}]}
    assert content_text([p("Is ", formula, "+1 even?")]) == "Is x^2+1 even?"
    assert content_text([p("Is"), {**formula, "type": "formula"}]) == "Is x^2"


def test_pictures_give_words_and_no_addresses():
    picture = {"type": "img", "src": "https://example.org/cell.png", "children": [{"text": ""}]}
    assert content_text([picture]) == ""
    assert content_text([p("See"), {**picture, "alt": "A cell", "caption": [p("Figure 1")]}, p("here")]) == "See A cell Figure 1 here"
    assert content_text([{**picture, "caption": "plain caption"}]) == "plain caption"
    assert content_text([p("(", {"type": "img_inline", "alt": "arrow", "src": "a.png"}, ")")]) == "(arrow)"


def test_a_popup_gives_the_word_that_opens_it():
    popup = {"type": "popup", "trigger": "hover", "children": [{"text": "osmosis"}], "content": [p("A long explanation")]}
    assert content_text([p("Define ", popup, ".")]) == "Define osmosis."


def test_content_nested_ten_thousand_deep_is_read():
    deep: Any = {"text": "bottom"}
    for level in range(10_000):
        deep = [deep] if level % 3 == 0 else {"children": [deep]} if level % 3 == 1 else {"type": "p", "children": [deep]}
    assert content_text(deep) == "bottom"


def test_numbers_are_their_digits():
    assert content_text({"text": 5}) == "5"
    assert content_text([p("is "), 2.5]) == "is 2.5"
    assert content_text(10**5000) == ""


@given(JSON)
def test_no_json_makes_it_raise(content):
    text = content_text(content)
    assert isinstance(text, str)
    assert text == text.strip()
