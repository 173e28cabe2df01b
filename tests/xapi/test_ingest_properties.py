"""Increments and a rebuild give the same lake, however the day's bundles arrive."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.factories import SECTION, Place, bundle_key, line, numbered, statement
from tests.xapi.forgetful import ADA, Forgetful, of_ada

OTHER = 4000
LINES = [
    *(numbered(n) for n in range(5)),
    line(statement("page_viewed", {"ext(project_id)": "x"})),  # coerced
    line(statement("page_viewed", {"ext(section_id)": None})),  # the key's section
    line(statement("page_viewed", {"ext(section_id)": OTHER})),
    b"{}", b"words", b"", b" ",
]  # fmt: skip

bodies = st.lists(st.sampled_from(LINES), max_size=6).map(b"\n".join)
bundles = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from([SECTION, SECTION, OTHER]), bodies), min_size=1, max_size=6, unique_by=lambda b: b[0]
)
splits = st.lists(st.integers(1, 3), min_size=6, max_size=6)


def put(place: Place, bundle: tuple[int, int, bytes]) -> None:
    second, section, body = bundle
    place.put(bundle_key(f"{59 - second:02d}", second=second, section=section), body)


def without_etags(contents: dict[str, Any], root: Path) -> dict[str, Any]:
    """Another folder's lake to compare with: its objects differ in address, etag and time, and in nothing else."""
    unlike = ("source_etag", "last_modified")
    return {
        table: [
            {**{name: value for name, value in row.items() if name not in unlike}, "source_file": row["source_file"].replace(str(root), "")}
            for row in rows
        ]
        for table, rows in contents.items()
    }


@settings(max_examples=15)
@given(bundles, splits, st.randoms(use_true_random=False), st.booleans())
def test_increments_give_what_a_rebuild_gives(arriving, sizes, random, by_section):
    with tempfile.TemporaryDirectory() as folder:
        stepwise = Place(Path(folder) / "stepwise")
        random.shuffle(arriving)
        waiting = list(arriving)
        for size in sizes:
            for bundle in waiting[:size]:
                put(stepwise, bundle)
            del waiting[:size]
            if by_section:
                stepwise.ingest(sections=frozenset({random.choice([SECTION, OTHER])}))
            else:
                stepwise.ingest()
            if not waiting:
                break
        stepwise.ingest()
        by_increments = stepwise.contents()
        assert stepwise.ingest().mode == "none"
        stepwise.ingest(rebuild=True)
        assert stepwise.contents() == by_increments, "a rebuild of the same lake"

        at_once = Place(Path(folder) / "at_once")
        for bundle in arriving:
            put(at_once, bundle)
        at_once.ingest()
        assert without_etags(at_once.contents(), at_once.root) == without_etags(by_increments, stepwise.root)


@settings(max_examples=8)
@given(bundles, st.integers(0, 5), bodies)
def test_a_changed_bundle_gives_what_it_would_have_given_at_first(arriving, which, body):
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for bundle in arriving:
            put(place, bundle)
        place.ingest()
        second, section, _ = arriving[which % len(arriving)]
        put(place, (second, section, body))
        place.ingest(sections=frozenset({section}))
        changed = place.contents()
        place.ingest(rebuild=True)
        assert place.contents() == changed


HERS = [of_ada(), of_ada("video_played"), of_ada("page_viewed", timestamp="noon"), of_ada()[:-30]]
mixed = st.lists(st.sampled_from([*LINES, *HERS]), max_size=6).map(b"\n".join)
mixed_bundles = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from([SECTION, SECTION, OTHER]), mixed), min_size=1, max_size=6, unique_by=lambda b: b[0]
)


@settings(max_examples=12)
@given(mixed_bundles, splits, st.integers(0, 6), st.randoms(use_true_random=False))
def test_a_learner_forgotten_at_any_step_leaves_what_a_rebuild_without_them_gives(arriving, sizes, forgotten_after, random):
    with tempfile.TemporaryDirectory() as folder:
        stepwise = Forgetful(Path(folder) / "stepwise")
        random.shuffle(arriving)
        waiting = list(arriving)
        for step, size in enumerate(sizes):
            if step == forgotten_after:
                stepwise.forget()
                stepwise.lake.ensure()
                stepwise.resettle()
            for bundle in waiting[:size]:
                put(stepwise, bundle)
            del waiting[:size]
            stepwise.ingest()
        stepwise.forget()
        stepwise.resettle()
        by_steps = stepwise.contents()
        assert not any(row.get("user_id") == ADA for rows in by_steps.values() for row in rows)
        stepwise.fates()
        stepwise.ingest(rebuild=True)
        assert stepwise.contents() == by_steps, "a rebuild of the same lake"

        at_once = Forgetful(Path(folder) / "at_once")
        at_once.forget()
        for bundle in arriving:
            put(at_once, bundle)
        at_once.ingest()
        assert without_etags(at_once.contents(), at_once.root) == without_etags(by_steps, stepwise.root)
