"""One commit per day: what stands in its way is another commit of that day, and nothing else."""

from __future__ import annotations

from datetime import date

import pytest

from tests.factories import Place, bundle_key, numbered
from torus_assets.xapi.lake import DayChanged

DAY, OTHER = date(2026, 2, 3), date(2026, 2, 4)


@pytest.fixture
def place(tmp_path) -> Place:
    made = Place(tmp_path)
    for day in (DAY, OTHER):
        made.put(bundle_key("A", day=day), [numbered(n) for n in range(9)])
        made.ingest(day=day)
    return made


def test_a_day_is_written_anew_on_a_snapshot_that_is_older_than_commits_of_other_days(place):
    snapshot = place.lake.snapshot()
    place.ingest(day=OTHER, rebuild=True)
    others = place.contents(OTHER)
    version = place.lake.commit(snapshot, DAY, [], [], rewrite=True)
    assert version == place.lake.snapshot().version
    assert place.contents(OTHER) == others
    assert sum(map(len, place.contents(DAY).values())) == 0


def test_a_day_that_was_committed_since_the_snapshot_is_not_committed_again(place):
    snapshot = place.lake.snapshot()
    place.ingest(day=DAY, rebuild=True)
    before = place.contents(DAY)
    with pytest.raises(DayChanged, match=DAY.isoformat()):
        place.lake.commit(snapshot, DAY, [], [], rewrite=True)
    assert place.contents(DAY) == before
