"""A new complete inventory asks for one comparison: never two, never of a damaged one, whatever happens to the cursor."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import dagster as dg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.lake import LakeResource
from resources.s3 import ObjectStoreResource
from sensors.inventories import choose, inventories, read_cursor, run_request
from tests.factories import Place, bundle_key
from tests.inventories import row, write
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.health.checks import RECONCILE_CHECKS


def at(day: int, home: str = "events/daily") -> str:
    return f"{home}/2026-02-{day:02d}T01-00Z/manifest.json"


def usable(_: str) -> None:
    """Every report is."""


def test_of_several_new_reports_only_the_newest_is_compared_and_the_others_are_named():
    chosen = choose({"events/daily": at(5)}, [at(day) for day in (8, 7, 6, 5, 4)], usable)
    assert chosen.requests == [at(8)]
    assert chosen.passed_over == [at(7), at(6)]
    assert chosen.cursor == {"events/daily": at(8)}
    assert choose(chosen.cursor, [at(8), at(7)], usable).requests == []


def test_a_damaged_report_does_not_move_the_cursor_past_itself():
    chosen = choose({"events/daily": at(5)}, [at(7), at(6)], lambda manifest: "incomplete" if manifest == at(7) else None)
    assert (chosen.requests, chosen.unusable, chosen.cursor) == ([at(6)], {at(7): "incomplete"}, {"events/daily": at(6)})
    assert choose(chosen.cursor, [at(7), at(6)], usable).requests == [at(7)]


def test_two_configurations_are_both_seen_whatever_their_dates():
    weekly = "other/weekly"
    manifests = [at(8), at(7), at(2, weekly)]
    chosen = choose({}, manifests, usable)
    assert sorted(chosen.requests) == [at(8), at(2, weekly)]
    assert choose(chosen.cursor, [*manifests, at(3, weekly)], usable).requests == [at(3, weekly)]


def test_a_lost_cursor_asks_for_the_newest_alone_under_the_run_key_it_had():
    manifests = [at(8), at(7)]
    assert choose(read_cursor(None), manifests, usable).requests == [at(8)]
    assert choose({}, manifests, usable).passed_over == []
    assert run_request(at(8)).run_key == at(8)


@pytest.mark.parametrize("text", [None, "", "{", "[1]", '{"a": 1}', "2026-02-05"])
def test_a_cursor_that_is_not_ours_counts_as_lost(text):
    assert read_cursor(text) == {}


def test_a_tick_looks_at_a_bounded_number_of_reports():
    seen: list[str] = []
    choose({}, [at(day) for day in range(1, 29)], lambda manifest: seen.append(manifest) or "broken")
    assert seen == [at(day) for day in range(28, 21, -1)]


@given(
    st.lists(st.lists(st.tuples(st.sampled_from(["a", "b/c"]), st.integers(1, 9)), max_size=4), max_size=6),
    st.sets(st.integers(1, 9)),
)
def test_over_any_ticks_no_report_is_asked_for_twice_and_the_newest_usable_one_always_is(ticks, broken):
    there: set[str] = set()
    cursor: dict[str, str] = {}
    asked: list[str] = []

    def why_not(manifest: str) -> str | None:
        return "broken" if any(manifest == at(day, home) for day in broken for home in ("a", "b/c")) else None

    for arrived in ticks:
        there |= {at(day, home) for home, day in arrived}
        chosen = choose(cursor, sorted(there), why_not)
        asked += chosen.requests
        cursor = chosen.cursor
    assert len(asked) == len(set(asked))
    for home in ("a", "b/c"):
        if right := [manifest for manifest in there if manifest.startswith(f"{home}/") and not why_not(manifest)]:
            assert max(right) in asked


# --- a real store


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(str(tmp_path / "inventory"))


def tick(tmp_path: Path, cursor: str | None = None) -> dg.SensorResult:
    context = dg.build_sensor_context(
        cursor=cursor,
        resources={
            "bundles": ObjectStoreResource(url=Place(tmp_path).url),
            "inventory": ObjectStoreResource(url=f"file://{tmp_path / 'inventory'}"),
        },
    )
    result = inventories(context)
    assert isinstance(result, dg.SensorResult)
    return result


def test_a_report_is_asked_for_once_it_is_complete(store, tmp_path):
    assert "0 configurations" in str(tick(tmp_path).skip_reason)
    manifest = write(store, "2026-02-05T01-00Z", [[row(bundle_key("a"))]])
    checksum = store.get(manifest.replace(".json", ".checksum")).body
    store.delete([manifest.replace(".json", ".checksum")])
    early = tick(tmp_path)
    assert (early.run_requests, early.cursor) == ([], "{}")
    assert "1 reports are not usable" in str(early.skip_reason)
    store.put(manifest.replace(".json", ".checksum"), checksum)
    [request] = tick(tmp_path, early.cursor).run_requests or []
    assert (request.run_key, request.run_config) == (
        manifest,
        {"ops": {"xapi__bundles_ledger_has_every_object": {"config": {"manifest": manifest}}}},
    )
    after = tick(tmp_path, tick(tmp_path, early.cursor).cursor)
    assert after.run_requests == []
    assert json.loads(after.cursor or "") == {"events/daily": manifest}


def test_the_run_it_asks_for_is_one_that_the_job_takes(store, tmp_path, monkeypatch):
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    write(store, "2026-02-05T01-00Z", [[row(bundle_key("a", day=date(2022, 2, 3)))]])  # before the first day of the graph
    [request] = tick(tmp_path).run_requests or []
    ledger_alone = dg.AssetSelection.checks(RECONCILE_CHECKS[0])
    definitions = dg.Definitions(
        assets=[dg.AssetSpec(["xapi", "bundles"])],
        asset_checks=RECONCILE_CHECKS[:1],
        jobs=[dg.define_asset_job("reconcile", ledger_alone)],
        sensors=[inventories],
        resources={
            **{name: ObjectStoreResource(url=f"file://{tmp_path / name}") for name in ("inventory", "bundles")},
            "lake": LakeResource(url=f"file://{tmp_path / 'lake'}"),
        },
    )
    dg.Definitions.validate_loadable(definitions)
    done = definitions.resolve_job_def("reconcile").execute_in_process(run_config=request.run_config)
    assert done.success
