"""Whole worlds whose truth is known, through the command line: in folders, on S3, in two halves, and loaded backwards."""

from __future__ import annotations

import os
import shutil
from typing import Any
from urllib.parse import urlsplit

from tests.command import Torus
from torus_assets.clients.object_store import open_store
from torus_assets.demo import differences_from_truth
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world


def span(truth: dict[str, Any]) -> tuple[str, str, str, str]:
    return "--from", min(truth["days"]), "--to", max(truth["days"])


def ingested(torus: Torus, truth: dict[str, Any]) -> list[str]:
    """Ingests all days; how what they came to differs from the truth."""
    done = torus("ingest", *span(truth), "--json").expect(0).document
    assert done["ok"]
    return differences_from_truth(truth, {day["day"]: day["day_total"] for day in done["days"]})


def test_a_world_in_folders_that_comes_in_two_halves_and_is_loaded_backwards(tmp_path):
    home, late = tmp_path / "home", tmp_path / "late"
    truth = make_world(SampleOptions(out=f"file://{home}", statements=6000, days=3, damage=0.03))
    bundles = sorted(path for path in (home / "xapi").rglob("*.jsonl"))
    for path in bundles[::2]:  # every second one, so that halves share days, sections and replays
        aside = late / path.relative_to(home)
        aside.parent.mkdir(parents=True, exist_ok=True)
        path.rename(aside)
    torus = Torus(home)
    first = torus("ingest", *span(truth), "--json", "--listing", "always").expect(0).document
    assert 0 < sum(day["this_run"]["bundles"] for day in first["days"]) < truth["bundles"]
    shutil.copytree(late / "xapi", home / "xapi", dirs_exist_ok=True)
    assert ingested(torus, truth) == []

    for day in sorted(truth["days"], reverse=True):
        [loaded] = torus("warehouse", "load", "--from", day, "--to", day, "--json").expect(0).document["days"]
    assert loaded["rows_of_the_table"] == truth["distinct_events"]
    assert torus("reconcile", *span(truth), "--json").expect(0).document["ok"]


def test_a_world_on_s3_of_more_than_one_page_of_objects(tmp_path, s3):
    truth = make_world(SampleOptions(out=s3, statements=2800, sections=8, students=400, days=2, damage=0.03))
    assert truth["bundles"] > 1000
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    variables |= {f"TORUS_{name.upper()}_URL": f"{s3}/{name}" for name in ("xapi", "inventory", "lake", "datasets")}
    torus = Torus(tmp_path, {**variables, "TORUS_PSEUDONYM_KEY": "a key of at least thirty-two characters"})
    assert ingested(torus, truth) == []
    loaded = torus("warehouse", "load", *span(truth), "--json").expect(0).document
    assert loaded["days"][-1]["rows_of_the_table"] == truth["distinct_events"]

    request = tmp_path / "request.json"
    request.write_bytes(open_store(f"{s3}/datasets").get("requests/sample-attempts.json").body)
    made = torus("dataset", "run", str(request), "--json").expect(0).document
    assert made["ok"]
    assert made["rows"] > 0
    assert urlsplit(made["folder"]).scheme == "s3"
    assert torus("reconcile", *span(truth), "--json").expect(0).document["ok"]
    assert {path.name for path in tmp_path.iterdir()} <= {"clickhouse", "dagster", "spool", "request.json"}


def test_a_truth_that_differs_is_told_apart():
    truth = {"days": {"2026-02-02": {"bundles": 1, "rows": {"video": 2}}}}
    assert differences_from_truth(truth, {"2026-02-02": {"bundles": 1, "rows": {"video": 1}}}) != []
    assert differences_from_truth(truth, {}) == ["2026-02-02: not ingested"]
