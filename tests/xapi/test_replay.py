"""After a rule was fixed: refused lines parsed again from their kept bytes, and nothing else read."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import date
from itertools import chain
from pathlib import Path

import pytest

from tests.factories import DAY, bundle_key, hashes, line, numbered, statement
from tests.xapi.forgetful import ADA, HOME, Forgetful, of_ada
from torus_assets.xapi import kinds, parse, quarantine
from torus_assets.xapi.quarantine import UnknownReason, Waiting, stretches, waiting
from torus_assets.xapi.resettle import preview_day
from torus_assets.xapi.tables import REASONS

NOON = line(statement("page_viewed", {"timestamp": "noon"}))  # refused by every version
OFFSET = line(statement("page_viewed", {"timestamp": "2026-02-03T15:03:58+01:00"}))
SPACED = line(statement("video_paused", {"timestamp": "2026-02-03 15:04:41", "ext(project_id)": "x"}))  # coerces project_id
SECTIONLESS = line(statement("page_viewed", {"timestamp": "2026-02-03 15:00:00", "ext(section_id)": None}))
LONG = line(statement("tutor_message", {"result.message": "<message>" + "x" * 6000}))


@pytest.fixture
def place(tmp_path: Path) -> Forgetful:
    return Forgetful(tmp_path)


@pytest.fixture
def old_rule(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The parser as it was before it knew offsets and spaces in times. `undo` fixes the rule."""
    monkeypatch.setattr(kinds, "INSTANT", re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z)?", re.ASCII))
    kinds.instant.cache_clear()
    yield monkeypatch
    kinds.instant.cache_clear()


def put_all(place: Forgetful) -> None:
    place.put(bundle_key("A", second=1), [numbered(0), OFFSET, b"", NOON, SPACED, b"{}"])
    place.put(bundle_key("B", second=2, section=4000), [SPACED, OFFSET, SECTIONLESS, numbered(1), OFFSET, b"words"])
    place.put(bundle_key("C", second=3, section="118"), [SECTIONLESS, numbered(2)])


def fixed(place: Forgetful, rule: pytest.MonkeyPatch) -> None:
    """The day ingested by the old rule, then the rule as it is now."""
    place.ingest()
    rule.undo()


def test_a_replay_gives_what_a_rebuild_gives_and_reads_no_bundle(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    assert place.fates() == {"lines": 14, "rows": 3, "duplicates": 4, "quarantined": 6, "forgotten": 0, "blank": 1}
    shutil.move(place.store, place.root / "away")
    result = place.resettle(replay=["wrong_type"])
    assert (result.replayed, result.still_refused, result.incomplete) == (2, {"wrong_type": 1}, 0)
    assert place.fates() == {"lines": 14, "rows": 5, "duplicates": 4, "quarantined": 4, "forgotten": 0, "blank": 1}
    assert result.day_total["rows"] == {"page_viewed": 1, "part_attempt": 1, "activity_attempt": 1, "page_attempt": 1, "video": 1}
    assert result.day_total["coerced"] == {"project_id": 1}
    assert result.day_total["quarantined"] == {"missing_field": 2, "not_json": 1, "wrong_type": 1}
    replayed = place.contents()
    assert place.lake.snapshot().version == 2
    shutil.move(place.root / "away", place.store)
    place.ingest(rebuild=True)
    assert place.contents() == replayed


def test_what_passes_has_its_old_bundle_and_line(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    place.resettle(replay=["wrong_type"])
    [view] = place.contents()["page_views"]
    assert (view["source_file"].split("_")[-1], view["source_line"], view["timestamp_text"][-6:]) == ("A.jsonl", 2, "+01:00")


def test_what_still_does_not_pass_gets_todays_reason(place, monkeypatch):
    """Under a lower limit of depth both lines were too deep; one of them has no actor, either."""
    monkeypatch.setattr(parse, "MAX_DEPTH", 5)
    place.put(bundle_key("A"), [numbered(0), b'{"a":' * 6 + b"1" + b"}" * 6])
    place.ingest()
    monkeypatch.undo()
    assert place.fates()["quarantined"] == 2
    result = place.resettle(replay=["too_deep"])
    assert (result.replayed, result.still_refused) == (1, {"missing_field": 1})
    assert [(row["reason"], row["source_line"]) for row in place.contents()["quarantine"]] == [("missing_field", 2)]
    replayed = place.contents()
    place.ingest(rebuild=True)
    assert place.contents() == replayed
    assert place.fates()["rows"] == 1


def test_replaying_again_commits_nothing(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    first = place.resettle(replay=["wrong_type"])
    again = place.resettle(replay=REASONS)
    assert (again.version, again.replayed, again.day_total) == (None, 0, first.day_total)
    assert sum(again.still_refused.values()) == 4
    assert place.lake.snapshot().version == first.version


def test_only_the_reasons_asked_for_are_parsed_again(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    assert (place.resettle(replay=["not_json", "truncated"]).version, place.lake.snapshot().version) == (None, 1)
    with pytest.raises(UnknownReason, match="wrong_typ'; the reasons are"):
        place.resettle(replay=["wrong_typ"])


def test_increments_after_a_replay_know_what_passed(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    place.resettle(replay=["wrong_type"])
    place.put(bundle_key("D", second=9), [OFFSET, SPACED, NOON])
    result = place.ingest()
    assert (result.mode, result.this_run["duplicates"]) == ("increment", 3)
    increments = place.contents()
    place.ingest(rebuild=True)
    assert place.contents() == increments


def test_lines_that_were_too_long_pass_when_all_of_them_was_kept(place):
    place.put(bundle_key("A"), [numbered(0), LONG, numbered(1)])
    place.ingest(max_line_bytes=1024)
    assert place.fates()["quarantined"] == 3
    assert waiting(place.lake.root, DAY, DAY) == {DAY: Waiting(whole=2, incomplete=1)}
    result = place.resettle(replay=["too_long"])
    assert (result.replayed, result.still_refused, result.incomplete) == (2, {}, 1)
    [prefix] = place.contents()["quarantine"]
    assert (prefix["reason"], len(prefix["raw"]), prefix["source_line"]) == ("too_long", 4096, 2)
    replayed = place.contents()
    place.ingest(rebuild=True)
    assert place.fates()["rows"] == 3, "the bundle itself has all of it"
    tables = ("part_attempts", "activity_attempts")
    assert [place.contents()[table] for table in tables] == [replayed[table] for table in tables]


def test_a_limit_that_was_lowered_since_takes_no_bytes_away(place):
    place.put(bundle_key("A"), [LONG[:-3]])
    place.ingest()
    result = place.resettle(replay=REASONS, max_line_bytes=1024)
    assert (result.version, result.still_refused) == (None, {"too_long": 1})
    assert place.contents()["quarantine"][0]["raw"] == LONG[:-3]


def test_a_replay_releases_a_day_that_was_held(place, old_rule):
    place.put(bundle_key("A"), [numbered(0), OFFSET, SPACED])
    assert place.ingest(max_quarantined_share=0.2).held
    old_rule.undo()
    assert not place.resettle(replay=["wrong_type"], max_quarantined_share=0.2).held
    assert place.lake.snapshot().held() == []


def test_a_replay_does_not_bring_a_forgotten_learner_back(place, old_rule):
    """Neither when her refused line was there before she was forgotten, nor when another version of the rule could not tell."""
    hers = of_ada(timestamp="2026-02-03 15:00:00")
    place.put(bundle_key("A"), [hers, OFFSET, hers])
    fixed(place, old_rule)
    place.forget()
    result = place.resettle(replay=["wrong_type"])
    assert (result.replayed, result.forgotten) == (1, {"duplicate": 1, "quarantined": 1})
    assert place.fates() == {"lines": 3, "rows": 1, "duplicates": 0, "quarantined": 0, "forgotten": 2, "blank": 0}
    replayed = place.contents()
    assert ADA not in str(replayed)
    place.ingest(rebuild=True)
    assert place.contents() == replayed


def test_a_look_says_what_would_pass_and_changes_nothing(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    before = place.tree()
    seen = preview_day(place.lake, DAY, replay=["wrong_type"])
    assert place.tree() == before
    done = place.resettle(replay=["wrong_type"])
    assert (seen.replayed, seen.still_refused, seen.incomplete) == (done.replayed, done.still_refused, done.incomplete)
    assert seen.version is None


def test_a_look_leaves_out_lines_of_forgotten_learners(place, old_rule):
    place.put(bundle_key("A"), [of_ada(timestamp="2026-02-03 15:00:00"), OFFSET])
    fixed(place, old_rule)
    place.forget(HOME, ADA)
    assert preview_day(place.lake, DAY, replay=REASONS, tombstones=place.tombstones).replayed == 1


def test_identity_stays_through_a_replay(place, old_rule):
    put_all(place)
    fixed(place, old_rule)
    before = place.contents()
    place.resettle(replay=["wrong_type"])
    after = place.contents()
    assert before["duplicates"] == after["duplicates"]
    for contents in (before, after):
        del contents["bundles"]
    assert hashes(chain(*before.values())) == hashes(chain(*after.values()))


def test_days_that_follow_one_another_are_one_stretch():
    days = [date(2026, 2, n) for n in (28, 3, 4, 1)] + [date(2026, 3, 1)]
    assert stretches(days) == [(date(2026, 2, 1),) * 2, (date(2026, 2, 3), date(2026, 2, 4)), (date(2026, 2, 28), date(2026, 3, 1))]
    assert stretches([]) == []
    assert quarantine.known_reason("too_long") == "too_long"
