"""Tidying the lake: fewer files, the same rows, nothing of a running ingest."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.factories import DAY, Place, bundle_key, numbered
from torus_assets.xapi import quarantine
from torus_assets.xapi.ingest import scratch_folder
from torus_assets.xapi.maintain import crowded, maintain

KEEP_NOTHING = timedelta(0)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def increments(place: Place, count: int) -> None:
    for n in range(count):
        place.put(bundle_key(f"B{n}", second=n), [numbered(n), b"{}", b"not json"])
        place.ingest(max_quarantined_share=1.0)


def test_a_day_of_many_increments_becomes_few_files_with_the_same_rows(place: Place) -> None:
    increments(place, 4)
    before, files = place.contents(), len(place.lake.snapshot().files())
    assert crowded(place.lake.snapshot(), 2) == [DAY]
    done = maintain(place.lake.root, place.spool, KEEP_NOTHING, compact_above=2, dry_run=False)
    assert done["compacted"] == [DAY.isoformat()]
    assert place.contents() == before
    assert len(place.lake.snapshot().files()) < files
    assert crowded(place.lake.snapshot(), 2) == []


def test_a_held_day_stays_held_when_it_is_compacted(place: Place) -> None:
    for n in range(3):
        place.put(bundle_key(f"B{n}", second=n), [numbered(n), b"{}"])
        place.ingest(max_quarantined_share=0.01)
    assert place.lake.snapshot().held() == [DAY]
    maintain(place.lake.root, place.spool, KEEP_NOTHING, compact_above=2, dry_run=False)
    assert place.lake.snapshot().held() == [DAY]


def test_a_dry_run_changes_nothing(place: Place) -> None:
    increments(place, 4)
    before = place.tree()
    maintain(place.lake.root, place.spool, KEEP_NOTHING, compact_above=2, dry_run=True)
    assert place.tree() == before


def test_files_that_a_killed_ingest_placed_and_never_committed_are_removed(place: Place) -> None:
    increments(place, 1)
    folder = Path(place.lake.url.removeprefix("file://"))
    orphan = folder / f"upload_date={DAY}" / "kind=other" / "orphan.parquet"
    orphan.parent.mkdir(parents=True, exist_ok=True)
    orphan.write_bytes(b"half")
    half = folder / ".torus-tmp" / "half"
    half.parent.mkdir(exist_ok=True)
    half.write_bytes(b"half")
    long_ago = time.time() - 200_000
    os.utime(orphan, (long_ago, long_ago))
    os.utime(half, (long_ago, long_ago))
    before = place.contents()
    maintain(place.lake.root, place.spool, KEEP_NOTHING, compact_above=8, dry_run=False)
    assert not orphan.exists()
    assert not half.exists()
    assert place.contents() == before


def test_the_spool_of_a_running_ingest_is_left_alone(place: Place) -> None:
    increments(place, 1)
    stale = place.spool / "2026-01-01-killed"
    stale.mkdir(parents=True)
    (stale / ".lock").touch()
    with scratch_folder(place.spool, DAY) as running:
        done = maintain(place.lake.root, place.spool, KEEP_NOTHING, compact_above=8, dry_run=False)
        assert running.exists()
    assert done["spool_cleared"] == [stale.name]
    assert not stale.exists()


def test_quarantine_groups_lines_that_are_broken_alike_and_shows_their_bytes(place: Place) -> None:
    place.put(bundle_key("A"), [b'{"a":', b'{"ab":', b"\xff", numbered(1)])
    place.ingest(max_quarantined_share=1.0)
    groups = quarantine.groups(place.lake.root, DAY, DAY)
    assert [(group["reason"], group["lines"]) for group in groups] == [("truncated", 2), ("not_utf8", 1)]
    assert groups[0]["first"].endswith("line 1")
    [line] = quarantine.lines(place.lake.root, DAY, DAY, reason="not_utf8")
    assert line["raw"] == "\\xff"
    with pytest.raises(quarantine.UnknownReason, match="truncated"):
        quarantine.groups(place.lake.root, DAY, DAY, "broken")
