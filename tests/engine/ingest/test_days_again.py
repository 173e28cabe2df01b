"""Days that have something already: increments, rebuilds, what was forgotten or deleted, and others who commit meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING

import pytest

from tests.engine.ingest.twins import KEY, Twins, contents
from tests.factories import bundle_key, numbered
from tests.xapi.forgetful import of_ada
from torus_assets.engine.ingest.days import ingest_days
from torus_assets.xapi.ingest import IngestOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MORE, DISPLACED, CHANGED, VANISHED, SECTIONS = DAYS = [date(2026, 2, n) for n in range(1, 6)]
TWO = 4000  # a second section


@pytest.fixture
def twins(tmp_path) -> Twins:
    return Twins(f"file://{tmp_path}", tmp_path / "spool")


def test_days_that_change_in_every_way_stay_the_same_on_both_engines(twins: Twins, spark: SparkSession):
    lines = [numbered(n) for n in range(40)]
    for day in DAYS:
        twins.put(bundle_key("M", day=day), [*lines[:20], lines[3], b"{}", b"", of_ada()])
        twins.put(bundle_key("N", day=day, section=TWO), [*lines[10:30], b"{}", b"not json"])
    first = twins.ingest(spark, DAYS)
    assert {one.mode for one in first.results.values()} == {"increment"}
    assert first.results[MORE].day_total["duplicates"] == 12

    twins.put(bundle_key("O", day=MORE, section=5000), [*lines[25:35], b"{}", numbered(99)])  # some known, some new
    twins.put(bundle_key("A", day=DISPLACED), lines[:5])  # its key comes before that of the survivors
    twins.put(bundle_key("M", day=CHANGED), [*lines[:8], numbered(100)])
    twins.bundles.delete([bundle_key("M", day=VANISHED)])
    second = twins.ingest(spark, DAYS)
    assert [one.mode for one in second.results.values()] == ["increment", "rebuild", "rebuild", "none", "none"]

    # The other section's lines are written again as they are; one plan is enough, as days do not stand in each other's way.
    plans: list[str] = []
    third = twins.ingest(spark, DAYS, lambda stage, done, _: plans.append(f"{stage} {done}"), rebuild=True, sections=frozenset({TWO}))
    assert plans.count("decode 0") == 1
    assert set(third.results) == set(DAYS)
    fourth = twins.ingest(spark, DAYS, rebuild=True)
    assert (set(fourth.refused), set(fourth.results)) == ({VANISHED}, set(DAYS) - {VANISHED})
    fifth = twins.ingest(spark, [VANISHED, SECTIONS], rebuild=True, drop_vanished=True)
    assert fifth.results[VANISHED].day_total["bundles"] == 1

    twins.forget()
    twins.put(bundle_key("Z", day=MORE, second=2), [of_ada("video_played"), numbered(101)])
    last = twins.ingest(spark, DAYS, rebuild=True)
    assert [one.day_total["forgotten"] for one in last.results.values()] == [2, 1, 0, 0, 1]


def test_lines_kept_as_duplicates_are_read_again_when_their_survivor_goes(twins: Twins, spark: SparkSession):
    """A rebuild of one section drops what another section's duplicates point at: their content is needed."""
    [day, *_] = DAYS
    twins.put(bundle_key("A", day=day), [numbered(1), numbered(2)])
    twins.put(bundle_key("B", day=day, section=TWO), [numbered(1), numbered(3)])
    twins.ingest(spark, [day])
    twins.put(bundle_key("A", day=day), [numbered(2)])
    done = twins.ingest(spark, [day], rebuild=True, sections=frozenset({3021}))
    assert (done.results[day].day_total["duplicates"], len(contents(twins.lakes[1], "page_views"))) == (0, 1)


def test_who_commits_the_day_meanwhile_is_seen_and_the_day_is_planned_again(twins: Twins, spark: SparkSession):
    day, other = DAYS[:2]
    for each in (day, other):
        twins.put(bundle_key("A", day=each), [numbered(n) for n in range(20)])
    twins.index([day, other])
    options = IngestOptions(max_quarantined_share=1.0, workers=1)
    lake = twins.lakes[1]
    twins.here(day, options)
    once = at_stage("write", lambda: same_lake(twins).here(day, options))
    done = ingest_days(spark, lake, twins.bundles, [day, other], options, progress=once)
    assert (done.results[day].mode, done.results[other].mode) == ("none", "increment")
    twins.here(other, options)
    twins.are_equal()


def test_who_is_forgotten_while_a_day_is_settled_is_not_in_it(twins: Twins, spark: SparkSession):
    day = DAYS[0]
    twins.put(bundle_key("A", day=day), [of_ada(), numbered(1)])
    twins.index([day])
    options = IngestOptions(max_quarantined_share=1.0, workers=1)
    done = ingest_days(spark, twins.lakes[1], twins.bundles, [day], options, tombstone_key=KEY, progress=at_stage("write", twins.forget))
    assert done.results[day].day_total["forgotten"] == 1
    twins.here(day, options)
    twins.are_equal()
    table = twins.scratch.parent / "spark/xapi/statements"
    placed = {str(path.relative_to(table)) for path in table.rglob("*.parquet")}
    assert placed == {file.path for file in twins.lakes[1].snapshot().files()}  # no file with her lines lies there in no version


def test_objects_that_only_an_old_listing_knows_are_found_by_listing_again(twins: Twins, spark: SparkSession):
    """One is gone, one has other bytes: executors read what was planned, or the day is listed anew; other days do not wait for it."""
    day, other = DAYS[:2]
    for name in "ABC":
        twins.put(bundle_key(name, day=day), [numbered(ord(name)), numbered(1)])
    twins.put(bundle_key("A", day=other), [numbered(5)])
    twins.index([day, other])
    twins.bundles.delete([bundle_key("A", day=day)])
    twins.put(bundle_key("C", day=day), [numbered(200), numbered(201)])
    options = IngestOptions(max_quarantined_share=1.0, workers=1)
    told: list[date] = []
    ingest_days(spark, twins.lakes[1], twins.bundles, [day, other], options, on_day=lambda one: told.append(one.day))
    assert told == [other, day]
    for each in (day, other):
        twins.here(each, options)
    twins.are_equal()


def at_stage(stage: str, act: Callable[[], object]) -> Callable[[str, int, int], None]:
    """Acts once, when the stage begins."""
    acted: list[str] = []

    def progress(name: str, done: int, total: int) -> None:
        if name == stage and not acted:
            acted.append(name)
            act()

    return progress


def same_lake(twins: Twins) -> Twins:
    """Twins whose local engine writes the lake of the other."""

    class Crossed(Twins):
        @property
        def lakes(self):
            here, spark = super().lakes
            return spark, here

    return Crossed(twins.url, twins.scratch)
