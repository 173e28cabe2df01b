"""Users' ids and e-mail addresses in what learners, tutors and players wrote."""

from __future__ import annotations

import json
import re
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.datasets.redaction import Redaction, redaction

USERS = [("h", "41207"), ("h", "the-learner"), ("h", "mailto:Kim.Lee@example.edu"), ("h", "42")]
EMAILS = {"41207": "One@example.edu", "90001": "o'neil+x@mail.example.edu", "42": "ab"}
NAMES = {"41207": "ANNA", "the-learner": "BERT", "mailto:Kim.Lee@example.edu": "CLEO", "90001": "DORA", "42": "EMIL"}
KNOWN = redaction(USERS, EMAILS, lambda _, user: NAMES[user])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("my id is 41207", "my id is ANNA"),
        ("(41207), 41207. #41207", "(ANNA), ANNA. #ANNA"),
        ("x41207 412071 41207y 41_207", "x41207 412071 41207y 41_207"),
        ("one@EXAMPLE.edu", "ANNA"),
        ("<one@example.edu>, 'one@example.edu' \"one@example.edu\"; ...one@example.edu.", "<ANNA>, 'ANNA' \"ANNA\"; ...ANNA."),
        ("mailto:one@example.edu?subject=x", "mailto:ANNA?subject=x"),
        ("https://x.edu/?u=one%40example.edu&id=41207", "https://x.edu/?u=ANNA&id=ANNA"),
        ("ONE%40EXAMPLE.EDU", "ANNA"),
        ("write me.one@example.edu-thanks", "write me.ANNA-thanks"),
        ("one@example.edus", "one@example.edus"),
        ("another@example.edu", "another@example.edu"),
        ("anyone@example.edu", "anyone@example.edu"),
        ("the-learner", "BERT"),
        ("(The-Learner)-x", "(BERT)-x"),
        ("the-learners", "the-learners"),
        ("kim.lee@example.edu", "CLEO"),
        ("O'NEIL+x@mail.example.edu", "DORA"),
        ("90001", "DORA"),
        ("42 and ab", "42 and ab"),  # too short to be told from an answer
        ("", ""),
    ],
)
def test_whole_tokens_are_replaced_and_nothing_else(text, shown):
    assert KNOWN.text(text) == shown


def test_equal_ids_of_two_hosts_and_of_the_lookup_have_a_name_each():
    found = redaction([("a", "41207"), ("b", "50000")], {"60000": "six@example.edu"}, lambda home, user: f"{home}:{user}")
    assert found.tokens == {"41207": "a:41207", "50000": "b:50000", "60000": "None:60000", "six@example.edu": "None:60000"}


@pytest.mark.parametrize(
    ("document", "shown"),
    [
        ({"input": "I am 41207"}, {"input": "I am ANNA"}),
        ({"input": 41207, "more": [41207, 412070, -41207, True]}, {"input": "ANNA", "more": ["ANNA", 412070, "-ANNA", True]}),
        ({"input": 41207.5, "share": 0.41207, "x": 1.5}, {"input": "ANNA.5", "share": "0.ANNA", "x": 1.5}),
        ({"41207": {"one@example.edu": []}}, {"ANNA": {"ANNA": []}}),
        ("one@example.edu", "ANNA"),
    ],
)
def test_json_is_replaced_in_strings_keys_and_numbers(document, shown):
    assert json.loads(KNOWN.json(json.dumps(document))) == shown


@pytest.mark.parametrize("text", ['"\\u0034\\u0031207"', '"one\\u0040example.edu"', '"\\u006fne@example.edu"'])
def test_json_escapes_hide_nothing(text):
    assert json.loads(KNOWN.json(text)) == "ANNA"
    assert json.loads(KNOWN.json_or_text(text)) == "ANNA"


def test_json_without_users_keeps_its_bytes():
    text = '{ "a" : 1.0,  "b": "\\u00e9" }'
    assert KNOWN.json(text) == text
    assert KNOWN.json_or_text("{ 41207") == "{ ANNA"


def test_columns_are_replaced_where_they_hold_something_and_nulls_stay():
    texts = pl.Series("t", ["41207", None, "fine", "ONE%40example.edu", "41207"])
    assert KNOWN.column(texts, is_json=False).to_list() == ["ANNA", None, "fine", "ANNA", "ANNA"]
    cells = pl.Series("j", ['{"a":41207}', None, '"\\u0034\\u0031207"', '"x"'])
    assert KNOWN.column(cells, is_json=True).to_list() == ['{"a":"ANNA"}', None, '"ANNA"', '"x"']
    assert KNOWN.column(pl.Series("n", [41207]), is_json=False).to_list() == [41207]


def test_without_users_nothing_is_touched():
    assert Redaction().text("41207") == "41207"
    assert Redaction().json("not json") == "not json"


@pytest.mark.parametrize("piece", ["a.", "a@", "a%40", "one.", "one@example.", "the-", "the-learner-", "-", "1234.", "@", "\\"])
def test_a_long_hostile_text_takes_linear_time(piece):
    began = time.process_time()
    KNOWN.text(piece * (65_536 // len(piece)))
    assert time.process_time() - began < 1


TOKENS = st.sampled_from(
    ["41207", "the-learner", "kim.lee@example.edu", "one@example.edu", "ONE%40example.edu", "o'neil+x@mail.example.edu", "90001"]
)
PIECES = st.lists(TOKENS | st.text("ab1 .@-+'%40\\\"<>é\n", max_size=6), max_size=12)


def holds_a_token(text: str) -> bool:
    """Looked for another way: between characters that make no word."""
    plain = text.lower().replace("%40", "@")
    return any(re.search(rf"(?<!\w){re.escape(token)}(?!\w)", plain) for token in KNOWN.tokens)


@given(PIECES)
def test_after_redaction_no_token_is_found_in_a_text(pieces):
    assert not holds_a_token(KNOWN.text("".join(pieces)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.sampled_from([41207, -90001, 41207.0, 1.5]) | PIECES.map("".join),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PIECES.map("".join), inner, max_size=3),
        max_leaves=8,
    )
)
def test_after_redaction_no_token_is_found_in_any_text_of_a_json_document(document):
    shown = KNOWN.json(json.dumps(document))
    assert not holds_a_token(json.dumps(json.loads(shown), ensure_ascii=False))
    assert KNOWN.json(shown) == shown


@given(PIECES)
def test_what_was_redacted_stays_as_it_is(pieces):
    once = KNOWN.text("".join(pieces))
    assert KNOWN.text(once) == once
