"""A day written anew from the lake alone, without learners who were forgotten."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from tests.factories import DAY, EXAMPLES, bundle_key, line, numbered, statement
from tests.xapi.forgetful import ADA, HOME, KEY, Forgetful, of_ada
from torus_assets.forgetting.learner import learner
from torus_assets.forgetting.looking import look
from torus_assets.xapi import resettle
from torus_assets.xapi.commit import compact_day
from torus_assets.xapi.lake import DayChanged, LakeMissing, Snapshot
from torus_assets.xapi.resettle import resettle_day
from torus_assets.xapi.tombstones import NONE

REFUSED = of_ada(timestamp="noon")
CUT = of_ada("video_played")[:-30]
OTHERS = line(statement("page_viewed", {"actor.account": {"homePage": "other.example.edu", "name": ADA}}))


def lines_of(snapshot: Snapshot, home_page: str = HOME, user_id: str = ADA) -> dict[date, dict[str, int]]:
    """Where a learner is, as `torus forget` looks for them."""
    return look(snapshot, learner(home_page, user_id, KEY)).lines


@pytest.fixture
def place(tmp_path: Path) -> Forgetful:
    return Forgetful(tmp_path)


def put_all(place: Forgetful) -> None:
    """Hers: 11 rows of every kind, 2 refused lines, and 3 duplicates of them in another section; others': 4 rows, 2 refused lines."""
    place.put(bundle_key("A", second=1), [*map(of_ada, EXAMPLES), numbered(0), b"", b"{}", REFUSED])
    place.put(bundle_key("B", second=2, section=4000), [CUT, numbered(1), of_ada(), REFUSED, CUT, OTHERS])
    place.put(bundle_key("C", second=3, section="118"), [numbered(2), b"words"])


def test_every_line_of_a_forgotten_learner_goes_in_one_commit_and_is_counted(place):
    put_all(place)
    place.ingest()
    before, version = place.contents(), place.lake.snapshot().version
    place.forget()
    result = place.resettle()
    assert (result.version, place.lake.snapshot().version) == (version + 1, version + 1)
    assert sum(result.forgotten.values()) == 16
    assert {kind: result.forgotten[kind] for kind in ("quarantined", "duplicate", "video")} == {
        "quarantined": 2,
        "duplicate": 3,
        "video": 4,
    }
    assert place.fates() == {"lines": 23, "rows": 4, "duplicates": 0, "quarantined": 2, "forgotten": 16, "blank": 1}
    assert result.day_total["forgotten"] == 16
    after = place.contents()
    for table in after:
        if table != "bundles":
            assert after[table] == [row for row in before[table] if row in after[table]], "what stays is as it was"
    assert [row["home_page"] for row in after["page_views"] if row["user_id"] == ADA] == ["other.example.edu"]
    assert not list(place.spool.iterdir())


def test_a_resettled_day_is_what_a_rebuild_gives_and_needs_no_bundle(place):
    put_all(place)
    place.ingest()
    place.forget()
    shutil.move(place.store, place.root / "away")
    place.resettle()
    resettled = place.contents()
    shutil.move(place.root / "away", place.store)
    place.ingest(rebuild=True)
    assert place.contents() == resettled


def test_doing_it_again_commits_nothing(place):
    put_all(place)
    place.ingest()
    place.forget()
    first = place.resettle()
    again = place.resettle()
    assert (again.version, again.forgotten, again.day_total) == (None, {}, first.day_total)
    assert place.lake.snapshot().version == first.version


def test_a_day_without_the_learner_is_left_alone(place):
    place.put(bundle_key("A"), [numbered(0), b"{}", OTHERS])
    place.ingest()
    place.forget()
    assert place.resettle().version is None
    assert place.lake.snapshot().version == 1


def test_counts_of_two_who_were_forgotten_one_after_the_other_add_up(place):
    place.put(bundle_key("A"), [of_ada(), numbered(0), numbered(1), numbered(0)])
    place.ingest()
    place.forget()
    assert place.resettle().day_total["forgotten"] == 1
    place.forget(HOME, "100000")
    assert place.resettle().forgotten == {"duplicate": 1, "part_attempt": 1}
    assert place.fates() == {"lines": 4, "rows": 1, "duplicates": 0, "quarantined": 0, "forgotten": 3, "blank": 0}
    place.put(bundle_key("B", second=9), [of_ada(), numbered(0), numbered(5)])
    assert place.ingest().day_total["forgotten"] == 5
    place.fates()


def test_an_increment_after_the_forgetting_does_not_bring_the_learner_back(place):
    put_all(place)
    place.ingest()
    place.forget()
    place.resettle()
    place.put(bundle_key("0", second=0), [of_ada(), REFUSED, numbered(8)])  # a smaller place than any survivor had
    result = place.ingest()
    assert (result.mode, result.this_run["forgotten"]) == ("increment", 2)
    assert lines_of(place.lake.snapshot()) == {}
    increments = place.contents()
    place.ingest(rebuild=True)
    assert place.contents() == increments


def test_compacting_a_day_keeps_the_count_of_the_forgotten(place):
    put_all(place)
    place.forget()
    place.ingest()
    before = place.contents()
    assert place.fates()["forgotten"] == 16
    assert compact_day(place.lake, DAY, place.spool) == place.lake.snapshot().version
    assert place.contents() == before


def test_a_day_is_held_or_released_by_its_new_share(place):
    place.put(bundle_key("A"), [REFUSED, REFUSED[:-1], numbered(0), of_ada()])
    assert place.ingest(max_quarantined_share=0.4).held
    place.forget()
    assert not place.resettle(max_quarantined_share=0.4).held
    assert place.lake.snapshot().held() == []
    place.put(bundle_key("B", second=9), [b"{}"])
    place.ingest(max_quarantined_share=1)
    rows = place.contents()["part_attempts"]
    held = place.resettle(max_quarantined_share=0.1)
    assert (held.held, held.version is not None, place.lake.snapshot().held()) == (True, True, [DAY])
    assert place.resettle(max_quarantined_share=0.1).version is None
    assert place.contents()["part_attempts"] == rows


def test_a_commit_by_somebody_else_meanwhile_is_planned_upon(place, monkeypatch):
    put_all(place)
    place.ingest()
    place.forget()
    write_anew, calls = resettle.write_anew, []

    def others_first(*args, **kwargs):
        if not calls:
            place.put(bundle_key("D", second=40), [numbered(7), of_ada()])
            place.ingest()
        calls.append(1)
        return write_anew(*args, **kwargs)

    monkeypatch.setattr(resettle, "write_anew", others_first)
    assert sum(place.resettle().forgotten.values()) == 16
    assert len(calls) == 2
    assert place.fates()["forgotten"] == 17
    assert len(place.contents()["bundles"]) == 4


def test_a_day_that_never_rests_is_given_up_and_left_as_it_was(place, monkeypatch):
    place.put(bundle_key("A"), [of_ada()])
    place.ingest()
    place.forget()

    def changed(*_, **__):
        raise DayChanged("somebody else")

    monkeypatch.setattr(resettle, "write_anew", changed)
    monkeypatch.setattr(resettle.time, "sleep", lambda _: None)
    with pytest.raises(DayChanged, match="12 times"):
        place.resettle()
    assert place.fates()["rows"] == 1


def test_ingests_and_resettlements_at_once_lose_and_double_nothing(place):
    put_all(place)
    place.ingest()
    place.forget()
    for n in range(6):
        place.put(bundle_key(f"L{n}", second=20 + n), [of_ada(), numbered(20 + n), CUT])
    with ThreadPoolExecutor(4) as threads:
        work = [threads.submit(job) for job in (place.ingest, place.resettle, place.ingest, place.resettle)]
        [done.result() for done in work]
    assert place.fates() == {"lines": 41, "rows": 10, "duplicates": 0, "quarantined": 2, "forgotten": 28, "blank": 1}


def test_a_lake_or_a_day_that_is_not_there_is_no_damage(place):
    with pytest.raises(LakeMissing):
        resettle_day(place.lake, DAY, place.spool, max_quarantined_share=1)
    place.lake.ensure()
    assert resettle_day(place.lake, DAY, place.spool, max_quarantined_share=1).version is None


def test_a_lake_in_a_bucket_is_resettled_too(tmp_path, s3):
    place = Forgetful(tmp_path, f"{s3}/lake")
    put_all(place)
    place.ingest()
    place.forget()
    assert lines_of(place.lake.snapshot())[DAY]["quarantined"] == 2
    assert sum(place.resettle().forgotten.values()) == 16
    assert place.fates()["forgotten"] == 16
    assert lines_of(place.lake.snapshot()) == {}
    assert not list(place.spool.iterdir())


def test_where_a_learner_is(place):
    later = date(2026, 2, 9)
    put_all(place)
    place.put(bundle_key("Z", day=later), [of_ada(), numbered(0)])
    place.put(bundle_key("Z", day=date(2026, 2, 10)), [numbered(0), OTHERS])
    for day in (DAY, later, date(2026, 2, 10)):
        place.ingest(day=day)
    snapshot = place.lake.snapshot()
    found = lines_of(snapshot, f"https://{HOME}/")
    assert found[later] == {"page_viewed": 1}
    assert {day: sum(counts.values()) for day, counts in found.items()} == {DAY: 16, later: 1}
    assert (found[DAY]["duplicate"], found[DAY]["quarantined"]) == (3, 2)
    assert lines_of(snapshot, "nowhere.example.edu", "nobody") == {}


def test_nothing_said_of_a_resettlement_names_the_learner(place):
    put_all(place)
    place.ingest()
    place.forget()
    result = place.resettle()
    assert ADA not in json.dumps(result.document()) + repr(result) + json.dumps(result.as_ingest().document())
    assert place.tombstones != NONE
