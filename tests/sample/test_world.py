"""The sample world: that it is what its truth says, and the same each time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer

from tests.sample import naive_count
from torus_assets.clients.object_store import open_store
from torus_assets.sample.bundles import MOST_ACTIONS
from torus_assets.sample.damage import CLASSES
from torus_assets.sample.options import SampleOptions, shares
from torus_assets.sample.outcomes import KINDS, REASONS
from torus_assets.sample.world import make_world

INVENTORY = "inventory/torus-xapi-sample/torus-xapi-sample-inventory"
OPTIONS = SampleOptions("", statements=6_000, damage=0.06, duplicates=0.05)


def world(root: Path, processes: int = 1, **changed: Any) -> dict[str, Any]:
    return make_world(replace(OPTIONS, out=root.as_uri(), **changed), processes=processes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    world(folder)
    return folder


@pytest.fixture(scope="module")
def truth(root: Path) -> dict[str, Any]:
    return json.loads((root / "truth.json").read_text())


def digest(root: Path) -> dict[str, str]:
    """Everything but the inventories, whose e-tags and times are the store's."""
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and "inventory" not in path.parts
    }


def test_the_same_seed_gives_the_same_bytes_with_any_number_of_processes(root: Path, tmp_path: Path) -> None:
    world(tmp_path / "again")
    world(tmp_path / "two", processes=2)
    world(tmp_path / "other", seed=8)
    first = digest(root)
    assert digest(tmp_path / "again") == first
    assert digest(tmp_path / "two") == first
    assert not {key for key in first.keys() & digest(tmp_path / "other").keys() if "/attempt_evaluated/2" in key}


def test_the_truth_is_what_an_independent_count_of_the_bytes_gives(root: Path, truth: dict[str, Any]) -> None:
    distinct: dict[str, set[str]] = {}
    sections: dict[str, Counter[str]] = {}
    bundles = naive_count.bundles(root)
    days = {day: naive_count.day_counts(root, keys, distinct, sections) for day, keys in bundles.items()}
    assert days == truth["days"]
    assert {section: {"rows": dict(rows)} for section, rows in sections.items()} == truth["sections"]
    assert {section: len(events) for section, events in distinct.items()} == truth["distinct_events_by_section"]
    assert len(set().union(*distinct.values())) == truth["distinct_events"]
    assert sum(map(len, bundles.values())) == truth["bundles"]
    assert sum(sections.values(), Counter()) == truth["kinds"]


def test_every_line_has_one_fate(truth: dict[str, Any]) -> None:
    for day in truth["days"].values():
        fates = sum(day["rows"].values()) + sum(day["quarantined"].values()) + day["duplicates"] + day["blank"]
        assert day["lines"] == fates
    assert truth["statements"] == sum(day["lines"] - day["blank"] for day in truth["days"].values())


def test_there_are_as_many_statements_as_asked_for(tmp_path: Path) -> None:
    truth = world(tmp_path, statements=2_500, duplicates=0.0)
    assert truth["statements"] == 2_500
    assert set(truth["damage"]) == set(CLASSES)


def test_a_world_without_damage_has_only_rows(tmp_path: Path) -> None:
    truth = world(tmp_path, statements=2_000, damage=0.0, duplicates=0.0)
    assert sum(truth["kinds"].values()) == truth["distinct_events"] == truth["statements"] == 2_000
    assert truth["damage"] == {}


@pytest.mark.parametrize("share", [0.0001, 0.06])
def test_every_damage_class_and_kind_and_reason_occurs(tmp_path: Path, share: float) -> None:
    truth = world(tmp_path, statements=4_000, damage=share, duplicates=share)
    assert set(truth["damage"]) == {*CLASSES, "replayed_line", "replayed_bundle"}
    assert set(truth["kinds"]) == set(KINDS)
    if share > 0.01:
        assert {reason for day in truth["days"].values() for reason in day["quarantined"]} == set(REASONS)


@pytest.mark.parametrize(
    "changed",
    [
        {"statements": 1},
        {"statements": 300, "days": 1},
        {"statements": 300, "students": 1, "sections": 1},
        {"statements": 900, "sections": 7, "students": 7, "days": 2},
    ],
)
def test_small_worlds_are_sound_as_well(tmp_path: Path, changed: dict[str, Any]) -> None:
    truth = world(tmp_path, **changed)
    bundles = naive_count.bundles(tmp_path)
    days = {day: naive_count.day_counts(tmp_path, keys, {}, {}) for day, keys in bundles.items()}
    assert days == truth["days"]


def test_kinds_come_in_realistic_proportion(tmp_path: Path) -> None:
    kinds = world(tmp_path, statements=20_000, students=30, damage=0.0, duplicates=0.0)["kinds"]
    expected = {"part_attempt": 0.45, "activity_attempt": 0.22, "page_attempt": 0.04, "page_viewed": 0.14, "video": 0.12}
    for kind, share in expected.items():
        assert kinds[kind] / 20_000 == pytest.approx(share, rel=0.35), kind
    assert kinds["experiment_assignment"] + kinds["other"] < 200


def test_keys_follow_the_grammar_but_for_the_junk(root: Path, truth: dict[str, Any]) -> None:
    keys = [info.key for info in open_store(root.as_uri()).list("xapi/")]
    junk = [key for key in keys if not naive_count.KEY.match(key.removeprefix("xapi/"))]
    assert len(junk) == truth["junk_keys"]
    assert len(keys) == truth["junk_keys"] + truth["bundles"]
    assert any("/mystery_category/" in key for key in keys)


def test_a_bundle_holds_one_section_and_a_bounded_number_of_actions(root: Path) -> None:
    for keys in naive_count.bundles(root).values():
        for key in keys:
            section = key.split("/")[1]
            sound = [line for line in naive_count.lines_of((root / "xapi" / key).read_bytes()) if _is_row(line)]
            assert {str(naive_count.extensions(json.loads(line))["section_id"]) for line in sound} <= {section}
            assert len(sound) <= MOST_ACTIONS * 12


def _is_row(line: bytes) -> bool:
    try:
        return bool(line.strip()) and bool(naive_count.kind_and_coerced(line))
    except naive_count.Refused:
        return False


def test_some_events_are_uploaded_on_a_later_day(root: Path) -> None:
    late = [
        key
        for day, keys in naive_count.bundles(root).items()
        for key in keys
        for line in naive_count.lines_of((root / "xapi" / key).read_bytes())
        if _is_row(line) and json.loads(line)["timestamp"][:10] < day
    ]
    assert late


def test_errors_fall_with_practice(tmp_path: Path) -> None:
    world(tmp_path, statements=12_000, students=20, damage=0.0, duplicates=0.0)
    tries: dict[tuple[str, int], list[tuple[str, bool]]] = defaultdict(list)
    for keys in naive_count.bundles(tmp_path).values():
        for line in (line for key in keys for line in naive_count.lines_of((tmp_path / "xapi" / key).read_bytes())):
            value = json.loads(line)
            if naive_count.TYPES.get(value["object"]["definition"]["type"]) == "part_attempt":
                score = value["result"]["score"]
                for skill in naive_count.extensions(value)["attached_objectives"]:
                    person = str(value["actor"]["account"]["name"])
                    tries[person, skill].append((value["timestamp"], score["raw"] < score["max"]))
    curves = [[wrong for _, wrong in sorted(made)] for made in tries.values()]
    first = [wrong for curve in curves for wrong in curve[:2]]
    tenth = [wrong for curve in curves for wrong in curve[8:12]]
    assert sum(first) / len(first) > sum(tenth) / len(tenth) + 0.15


def test_the_inventory_is_as_aws_lays_it_out(root: Path) -> None:
    folder = root / INVENTORY / "2026-02-07T01-00Z"
    text = (folder / "manifest.json").read_bytes()
    manifest = json.loads(text)
    assert (folder / "manifest.checksum").read_text() == hashlib.md5(text, usedforsecurity=False).hexdigest()
    [file] = manifest["files"]
    body = (root / "inventory" / file["key"]).read_bytes()
    assert (len(body), hashlib.md5(body, usedforsecurity=False).hexdigest()) == (file["size"], file["MD5checksum"])
    assert (manifest["fileFormat"], manifest["version"]) == ("Parquet", "2016-11-30")
    assert datetime.fromtimestamp(int(manifest["creationTimestamp"]) / 1000, UTC).hour == 1


def test_the_inventory_says_what_the_store_lists_and_lacks_the_last_two_days(root: Path) -> None:
    manifest = json.loads((root / INVENTORY / "2026-02-07T01-00Z/manifest.json").read_text())
    rows = pq.read_table(root / "inventory" / manifest["files"][0]["key"]).to_pylist()
    listed = {info.key: info for info in open_store((root / "xapi").as_uri()).list()}
    for row in rows:
        info = listed.pop(row["key"])
        assert (row["size"], row["e_tag"]) == (info.size, info.etag)
        assert abs((row["last_modified_date"] - info.last_modified).total_seconds()) < 0.001
    assert listed
    assert all(key.rsplit("/", 1)[1] >= "2026-02-07T01-00" for key in listed)


def test_the_newest_inventory_is_a_trap_and_an_older_one_is_complete(root: Path) -> None:
    complete = {path.parent.name for path in (root / INVENTORY).glob("*/manifest.checksum")}
    every = {path.parent.name for path in (root / INVENTORY).glob("*/manifest.json")}
    assert complete == {"2026-02-06T01-00Z", "2026-02-07T01-00Z"}
    assert every - complete == {"2026-02-08T01-00Z"}


def test_a_place_that_holds_a_world_is_left_alone(root: Path) -> None:
    before = digest(root)
    with pytest.raises(FileExistsError, match="already holds bundles"):
        world(root)
    assert digest(root) == before


def test_impossible_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"damage is 0\.9"):
        replace(OPTIONS, damage=0.9)
    with pytest.raises(ValueError, match="2 students cannot fill 3 sections"):
        replace(OPTIONS, students=2)


def test_shares_sum_to_the_total() -> None:
    assert shares(10, [1, 1, 1]) == [4, 3, 3]
    assert sum(shares(1_001, [0.3, 0.1, 2.7])) == 1_001


def test_a_world_can_be_made_in_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="worlds")
        small = replace(OPTIONS, out="s3://worlds/one", statements=600)
        made = make_world(small, processes=2)
        store = open_store("s3://worlds/one")
        assert json.loads(store.get("truth.json").body) == made
        keys = [info.key for info in store.list("xapi/")]
        assert len(keys) == made["bundles"] + made["junk_keys"]
        manifest = json.loads(store.get(f"{INVENTORY}/2026-02-07T01-00Z/manifest.json").body)
        assert store.head(f"inventory/{manifest['files'][0]['key']}")
    finally:
        server.stop()
