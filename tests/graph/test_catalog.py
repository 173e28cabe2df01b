"""The whole graph as the catalog shows it: every asset complete, numbers that can be plotted, pictures, and nothing of a learner."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from tests.factories import EXAMPLES, Place, bundle_key, changed, line
from torus_assets import definitions, runs
from torus_assets.presenting.figures import FIGURES, HOURS

BUSY, EMPTY = date(2026, 2, 3), date(2026, 2, 4)
WHOLE = {"datasets/torus_jobs", "engine/parity"}  # of no day and no request of ours, and counts instead of rows
FROM_OUTSIDE = {"xapi/bundle_index", "datasets/lookup", *WHOLE}  # the store and Torus' database are no assets
SERVER_FILLS = {"row_digest", "inserted_at", "event_version", "upload_date", "kind"}  # of raw_events: no column of a lake table
DEFINED = [asset for asset in definitions.ASSETS if isinstance(asset, dg.AssetsDefinition)]
SENTENCE = re.compile(r"[^.!?]+[.:]( |$)|[^.!?]+[.!?]$")


@pytest.fixture(scope="module")
def specs() -> dict[str, dg.AssetSpec]:
    return {spec.key.to_user_string(): spec for spec in definitions.build().resolve_all_asset_specs()}


def columns(spec: dg.AssetSpec) -> dict[str, dg.TableColumn]:
    schema = spec.metadata.get("dagster/column_schema")
    assert isinstance(schema, dg.TableSchema), f"{spec.key.to_user_string()} has no dagster/column_schema"
    return {column.name: column for column in schema.columns}


def origin(spec: dg.AssetSpec) -> Mapping[str, Any]:
    lineage = spec.metadata.get("dagster/column_lineage")
    assert isinstance(lineage, dg.TableColumnLineage), f"{spec.key.to_user_string()} has no dagster/column_lineage"
    return lineage.deps_by_column


def test_every_asset_says_whose_it_is_where_it_belongs_and_what_it_may_hold(specs):
    lacking = {
        key: lacks
        for key, spec in specs.items()
        if (
            lacks := [
                name
                for name, has in {
                    "group": spec.group_name == key.split("/")[0],
                    "kinds": 1 <= len(spec.kinds) <= 3,
                    "owners": bool(spec.owners),
                    "tag pii": spec.tags.get("pii") in {"none", "pseudonymous", "identifiable", "identified"},
                    "partitions": (spec.partitions_def is not None) == (key not in WHOLE),
                }.items()
                if not has
            ]
        )
    }
    assert lacking == {}


def test_descriptions_are_one_or_two_sentences_that_do_not_repeat_the_key(specs):
    for key, spec in specs.items():
        said = spec.description or ""
        assert 30 <= len(said) <= 240, key
        assert said[0].isupper(), key
        assert said.endswith("."), key
        assert len(re.findall(r"[.!?](?= |$)", said)) <= 3, key
        assert key.split("/")[1].replace("_", " ") != said.rstrip(".").lower(), key


def test_every_asset_shows_its_columns_with_their_meanings(specs):
    for key, spec in specs.items():
        shown = columns(spec)
        assert shown, key
        assert [name for name, column in shown.items() if not column.description or not column.type] == [], key


def test_lineage_leads_from_columns_that_exist_to_columns_that_exist(specs):
    for key in specs.keys() - FROM_OUTSIDE:
        deps, upstream = origin(specs[key]), {dep.asset_key.to_user_string() for dep in specs[key].deps}
        assert deps, key
        assert set(deps) <= set(columns(specs[key])), key
        for name, found in deps.items():
            assert found, f"{key}.{name}"
            for dep in found:
                above = dep.asset_key.to_user_string()
                assert above in upstream, f"{key}.{name} comes from {above}, which is not upstream of it"
                assert dep.column_name in columns(specs[above]), f"{key}.{name} <- {above}.{dep.column_name}"


def test_every_dependency_shows_in_the_lineage(specs):
    for key in specs.keys() - FROM_OUTSIDE:
        named = {dep.asset_key.to_user_string() for found in origin(specs[key]).values() for dep in found}
        assert {dep.asset_key.to_user_string() for dep in specs[key].deps} == named, key


def test_all_columns_of_raw_events_lead_back_to_the_lake(specs):
    spec = specs["warehouse/raw_events"]
    assert set(columns(spec)) - set(origin(spec)) == SERVER_FILLS


def test_every_step_that_shares_something_waits_in_a_pool():
    pools = {
        key.to_user_string(): pool.op.pool for pool in DEFINED for key in pool.keys if isinstance(pool.op.pool, str)
    }  # fmt: skip
    assert pools["warehouse/raw_events"] == "clickhouse"
    assert pools["xapi/bundles"] == "lake"
    assert pools["xapi/bundle_index"] == "event_bucket"
    assert pools["datasets/csv"] == pools["datasets/datashop"] == "datasets"


def test_a_range_of_days_is_one_run_and_data_sets_are_one_each():
    policies = {key.to_user_string(): one.backfill_policy for one in DEFINED for key in one.keys if key.to_user_string() not in WHOLE}
    for key, policy in policies.items():
        single = dg.BackfillPolicy.single_run() if not key.startswith("datasets/") else dg.BackfillPolicy.multi_run(1)
        assert policy == single, key


# Runs on a real instance


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """A TORUS_HOME whose busy day has canaries in every text; the empty day has no bundle."""
    root = tmp_path_factory.mktemp("catalog")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TORUS_XAPI_URL", "TORUS_INVENTORY_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "CLICKHOUSE_HOST"):
            patch.delenv(name, raising=False)
        patch.setenv("DAGSTER_HOME", "")  # remembered, so that what `runs` sets is taken back
        patch.setenv("TORUS_HOME", str(root))
        patch.setenv("TORUS_WORKERS", "1")
        patch.setenv("TORUS_MAX_QUARANTINED_SHARE", "1")
        place = Place(root)
        place.put(bundle_key("plain", day=BUSY), [line(EXAMPLES[kind]) for kind in EXAMPLES])
        place.put(bundle_key("canaries", day=BUSY, second=1), [*with_canaries(), b"CANARY is no JSON", b'{"actor": "CANARY'])
        yield root


def texts(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all texts below a value."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from texts(one, (*path, name))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from texts(one, (*path, at))


def replaced(value: Any, path: tuple[Any, ...], put: Any) -> Any:
    """A copy in which the text at the path is another one."""
    if not path:
        return put
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], put)
    return copy


def with_canaries() -> Iterator[bytes]:
    """Every example once for each of its texts, with a canary there; once with the learner's id as one; once with a member more."""
    for kind, example in EXAMPLES.items():
        for number, path in enumerate(texts(example)):
            yield line(replaced(example, path, f"CANARY-{kind}-{number}"))
        yield line(changed(example, {"actor.account.name": 900719925474099}))
        yield line(changed(example, {"actor": {"mbox": "mailto:canary@example.edu"}}))
        yield line(changed(example, {"ext(enrollment_id)": 900719925474077}))
        yield line(changed(example, {"ext(CANARY)": "CANARY", "CANARY": {"CANARY": 1}}))


@pytest.fixture(scope="module")
def outcome(home: Path) -> runs.RunOutcome:
    outcome = runs.run_days("refresh", BUSY, EMPTY)
    assert outcome.success, outcome.errors
    return outcome


def numbers(metadata: Mapping[str, Any]) -> set[str]:
    return {name for name, value in metadata.items() if isinstance(value, int | float) and not isinstance(value, bool)}


@pytest.mark.parametrize("key", sorted(FIGURES))
def test_a_busy_and_an_empty_day_have_the_same_numbers(outcome, key):
    found = outcome.of(key)
    assert set(found) == {BUSY.isoformat(), EMPTY.isoformat()}
    for day, metadata in found.items():
        assert numbers(metadata) >= FIGURES[key], day
    busy, empty = found[BUSY.isoformat()], found[EMPTY.isoformat()]
    assert {name: type(busy[name]) for name in FIGURES[key]} == {name: type(empty[name]) for name in FIGURES[key]}
    assert empty["dagster/partition_row_count"] == 0


def test_the_ledger_shows_what_the_run_read_and_what_became_of_it(outcome, home):
    busy = outcome.of("xapi/bundles")[BUSY.isoformat()]
    size = sum(path.stat().st_size for path in (home / "xapi").rglob("*.jsonl"))
    assert (busy["bundles_read"], busy["lines_read"], busy["bytes_read"]) == (2, busy["lines"], size)
    assert busy["lines"] == sum(busy[fate] for fate in ("rows", "duplicates", "quarantined", "forgotten", "blank"))
    assert 0 < busy["quarantined_share"] < 1
    assert busy["lines_by_fate"].startswith("```\n")


def test_pictures_show_the_shape_of_a_busy_day_and_words_for_an_empty_one(outcome):
    busy, empty = (outcome.of("xapi/page_views")[day.isoformat()]["events_per_hour"] for day in (BUSY, EMPTY))
    rows = busy.split("\n")[1:-1]
    assert [row.split()[0] for row in rows] == list(HOURS)
    assert empty == "no such event on this day"
    refused = [outcome.of("xapi/quarantine")[day.isoformat()]["by_reason"] for day in (BUSY, EMPTY)]
    assert "wrong_type" in refused[0]
    assert refused[1] == "no line of this day was refused"


def test_nothing_of_a_learner_is_in_metadata_checks_logs_or_dagsters_storage(outcome, home, capfd):
    """The lake does hold the canaries, so a search that finds none has looked in the right place."""
    lake = b"".join(str(row).encode() for row in Place(home).lake.snapshot().scan("part_attempts").collect().rows())
    assert b"CANARY" in lake
    assert b"900719925474099" in lake
    kept = b"".join(path.read_bytes() for path in (home / "dagster").rglob("*") if path.is_file())
    assert b"counts_add_up" in kept
    for canary in (rb"CANARY", rb"canary@", rb"900719925474099", rb"900719925474077"):
        assert re.findall(rb".{0,80}" + canary + rb".{0,20}", kept) == []
    assert not re.search(r"CANARY|canary@|9007199254740", str(outcome.metadata))
