"""Texts as XML and DataShop can take them."""

from __future__ import annotations

from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.text import ASTRAL, CUT, FORBIDDEN, clean, heading_name, level_name

NASTY = st.text(st.characters(codec=None) | st.sampled_from("\x00\x0b\t\r\n \u2028\ud800\udfff\ufffe\U0001d6e5\U0001f600&<>'\"\\é"))


@pytest.mark.parametrize("odd", ["\x00", "\x08", "\x0b", "\x1b", "\x1f", "\ufffe", "\uffff", "\udc00"])
def test_what_xml_forbids_becomes_a_stand_in_and_is_counted(odd):
    assert clean(f"a{odd}b{odd}", 100) == ("a\ufffdb\ufffd", {FORBIDDEN: 2})


@pytest.mark.parametrize("text", ["&#0;", "&#60;b&#62;", "&amp;lt;", "<b>", "]]>", "\\N", "a\x7f\x85b\u2028c"])
def test_what_a_learner_typed_stays_as_it_was_typed(text):
    assert clean(text, 100) == (text, None)


@pytest.mark.parametrize(
    ("text", "shown"), [("\U0001d6e5x", "Δx"), ("\U0001d62f", "n"), ("\U0001f10b", "\ufffd"), ("\U0001f600!", "\ufffd!")]
)
def test_a_character_above_ffff_becomes_its_plain_form_or_a_stand_in(text, shown):
    assert clean(text, 100) == (shown, {ASTRAL: 1})


def test_runs_of_tabs_and_line_breaks_are_one_blank_without_being_counted():
    assert clean("\n a\t\r\n\tb\n", 100) == ("a b", None)


@pytest.mark.parametrize(
    ("text", "shown"), [("é" * 60, "é" * 50), ("x" + "é" * 60, "x" + "é" * 49), ("中" * 40, "中" * 33), ("a" * 101, "a" * 100)]
)
def test_a_long_text_is_cut_between_characters_at_its_bytes(text, shown):
    assert clean(text, 100) == (shown, {CUT: 1})


def test_a_text_of_just_the_limit_is_whole():
    assert clean("é" * 50, 100) == ("é" * 50, None)


def test_a_cut_leaves_no_blank_at_the_end():
    assert clean("a" * 99 + " bcd", 100).text == "a" * 99


@given(NASTY, st.integers(1, 60))
def test_any_text_becomes_one_that_xml_and_the_database_can_hold_and_that_stays_so(text, limit):
    found = clean(text, limit).text
    assert len(found.encode()) <= limit
    assert not rules.FORBIDDEN.search(found)
    assert not rules.ASTRAL.search(found)
    assert not rules.BLANKS.search(found)
    assert found == found.strip()
    assert clean(found, limit) == (found, None)
    assert (ET.fromstring(f"<a>{escape(found)}</a>").text or "") == found


def test_single_quotes_in_level_names_become_typographic_ones():
    """The tab loader would remove them, and the two forms would name two levels."""
    assert level_name("Newton's 'laws'") == ("Newton’s ’laws’", None)


@pytest.mark.parametrize(
    ("name", "shown"), [("KC (a/b)", "KC _a_b_"), ("  x ", "x"), ("é", "_"), ("", "unnamed"), ("\t", "_"), ("a" * 60, "a" * 50)]
)
def test_names_in_headings_have_letters_digits_blank_dash_and_underscore(name, shown):
    assert heading_name(name, 50) == shown


@pytest.mark.parametrize("name", ["select", "Update", "TABLE"])
def test_a_heading_is_no_word_of_the_database(name):
    assert heading_name(name, 50) == f"{name}_"
