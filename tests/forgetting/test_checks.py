"""The standing truth that who was forgotten stays forgotten, as the catalog evaluates it."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest

from resources.lake import LakeResource
from tests.factories import DAY, Place, bundle_key
from tests.forgetting import canary
from torus_assets.clients.object_store import open_store
from torus_assets.forgetting.checks import forgotten_stay_forgotten
from torus_assets.xapi.tombstones import OtherKey, leave

KEY = "a key of the tests, not of anybody"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Place:
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    monkeypatch.setenv("TORUS_TOMBSTONE_KEY", KEY)
    return Place(tmp_path)


def checked(place: Place) -> dg.AssetCheckResult:
    found = forgotten_stay_forgotten(lake=LakeResource(url=place.lake.root))
    assert isinstance(found, dg.AssetCheckResult)
    return found


def test_it_holds_where_there_is_nothing_and_where_nobody_was_forgotten(place):
    assert checked(place).passed
    place.put(bundle_key("a"), list(canary.events()))
    place.ingest()
    assert checked(place).passed


def test_it_fails_with_the_days_and_counts_and_without_the_learner(place):
    place.put(bundle_key("a"), [*canary.events(), *canary.refusals(), *canary.others()])
    place.ingest()
    leave(open_store(place.lake.root), KEY.encode(), canary.HOME, canary.USER, datetime(2026, 3, 1, tzinfo=UTC), "Ada")
    found = checked(place)
    lines = len([*canary.events(), *canary.refusals()])
    assert not found.passed
    assert {name: value.value for name, value in found.metadata.items()} == {
        "tombstones": 1,
        "lines": lines,
        "days": {DAY.isoformat(): lines},
    }


def test_without_the_key_it_cannot_pass(place, monkeypatch):
    leave(open_store(place.lake.root), KEY.encode(), canary.HOME, canary.USER, datetime(2026, 3, 1, tzinfo=UTC), "Ada")
    monkeypatch.setenv("TORUS_TOMBSTONE_KEY", "another key, of another deployment")
    with pytest.raises(OtherKey):
        checked(place)
