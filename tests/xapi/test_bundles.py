"""The key grammar."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torus_assets.xapi.bundles import CATEGORIES, KEY_PATTERN, day_of, parse_key

GOOD = "section/3021/attempt_evaluated/2026-02-03T15-06-44.120773Z_4E6D1E5C9B0A4B7CA6F0C2D1B8E93A17.jsonl"
JUNK = [
    "",
    GOOD + "\n",
    "/" + GOOD,
    "other/" + GOOD,
    GOOD.replace("section", "sections"),
    GOOD.replace("3021", "my-slug"),
    GOOD.replace("3021", "３"),  # digits, but not decimal ASCII
    GOOD.replace("3021", ""),
    GOOD.replace("attempt_evaluated", "Attempt"),
    GOOD.replace("attempt_evaluated", "a/b"),
    GOOD.replace("15-06-44", "15:06:44"),
    GOOD.replace("15-06-44", "25-06-44"),
    GOOD.replace("15-06-44", "15-06-60"),
    GOOD.replace("2026-02-03", "2026-02-30"),
    GOOD.replace("2026-02-03", "0000-02-03"),
    GOOD.replace("2026", "٢٠٢٦"),
    GOOD.replace(".120773Z", ".1207731Z"),
    GOOD.replace(".120773Z", ".Z"),
    GOOD.replace("Z_", "_"),
    GOOD.replace("Z_", "+00-00_"),
    GOOD.replace(".jsonl", ".json"),
    GOOD + ".gz",
    "section/3021/attempt_evaluated/2026-02-03T15-06-44.120773Z_.jsonl",
    "attempt_evaluated/3021/part/77.json",  # the layout before bundles
]


def test_a_key_says_all_its_parts():
    key = parse_key(GOOD)
    assert key is not None
    assert (key.key, key.partition, key.partition_id, key.category) == (GOOD, "section", "3021", "attempt_evaluated")
    assert key.uploaded_at == datetime(2026, 2, 3, 15, 6, 44, 120773, tzinfo=UTC)
    assert key.bundle_id == "4E6D1E5C9B0A4B7CA6F0C2D1B8E93A17"
    assert day_of(GOOD) == date(2026, 2, 3)


@pytest.mark.parametrize(("fraction", "microseconds"), [("", 0), (".1", 100_000), (".120", 120_000), (".000001", 1)])
def test_the_fraction_has_up_to_six_digits(fraction, microseconds):
    assert parse_key(GOOD.replace(".120773", fraction)).uploaded_at.microsecond == microseconds


@pytest.mark.parametrize("bundle", ["experiment-assessment-reward-17", "a_b", "ü.jsonl"])
def test_bundle_ids_of_every_origin(bundle):
    assert parse_key(f"section/1/video/2026-02-03T15-06-44Z_{bundle}.jsonl").bundle_id == bundle


def test_projects_and_unknown_categories_are_bundles():
    key = parse_key("project/my-slug/authoring/2026-02-03T15-06-44Z_x.jsonl")
    assert (key.partition, key.partition_id) == ("project", "my-slug")
    assert key.category not in CATEGORIES


@pytest.mark.parametrize("key", JUNK)
def test_other_keys_are_not_bundles(key):
    assert parse_key(key) is None
    assert day_of(key) is None


@given(st.one_of(st.text(max_size=30), st.sampled_from([GOOD, *JUNK])).flatmap(lambda text: st.sampled_from([text, text + "x", text[1:]])))
def test_the_pattern_refuses_nothing_in_arrow_that_is_a_bundle(key):
    seen_by_arrow = pc.extract_regex(pa.array([key]), KEY_PATTERN)[0].is_valid  # pyright: ignore
    assert seen_by_arrow or parse_key(key) is None
