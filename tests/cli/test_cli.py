"""The command line as it is used: what it prints, what it leaves alone, and how it ends. Every call is a process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.command import Torus
from torus_assets.cli import app
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world

FIGURES = {"bundles", "lines", "blank", "rows", "duplicates", "quarantined", "forgotten", "coerced"}
DAYS = ("--from", "2026-02-02", "--to", "2026-02-03")
COMMANDS: dict[tuple[str, ...], set[str]] = {
    (): {
        "ingest",
        "backfill",
        "status",
        "warehouse",
        "dataset",
        "reconcile",
        "quarantine",
        "lake",
        "forget",
        "doctor",
        "sample",
        "demo",
        "dev",
    },
    ("ingest",): {"--from", "--to", "--section", "--rebuild", "--drop-vanished", "--max-quarantined", "--listing", "--dry-run", "--json"},
    ("backfill",): {"--from", "--to", "--section", "--rebuild", "--no-load", "--dry-run", "--yes", "--json"},
    ("status",): {"--from", "--to", "--json"},
    ("warehouse",): {"load"},
    ("warehouse", "load"): {"--from", "--to", "--include-held", "--json"},
    ("dataset",): {"submit", "run", "status", "list", "verify", "diff", "withdraw", "expire"},
    ("dataset", "submit"): {"REQUEST.json", "--json"},
    ("dataset", "run"): {"REQUEST.json|JOB", "--json"},
    ("dataset", "status"): {"JOB", "--json"},
    ("dataset", "list"): {"--json"},
    ("dataset", "verify"): {"JOB", "--json"},
    ("dataset", "diff"): {"A", "B", "--json"},
    ("dataset", "withdraw"): {"JOB", "--by", "--json"},
    ("dataset", "expire"): {"--keep-days", "--withdrawn-days", "--unfinished-days", "--lookup-days", "--dry-run", "--json"},
    ("reconcile",): {"--from", "--to", "--json"},
    ("quarantine",): {"list", "show", "replay"},
    ("quarantine", "replay"): {"--from", "--to", "--reason", "--dry-run", "--json"},
    ("forget",): {"--home-page", "--user", "--by", "--dry-run", "--yes", "--json", "list"},
    ("quarantine", "list"): {"--from", "--to", "--reason", "--json"},
    ("quarantine", "show"): {"--from", "--to", "--reason", "--limit", "--json"},
    ("lake",): {"maintain"},
    ("lake", "maintain"): {"--keep-days", "--compact-above", "--dry-run", "--json"},
    ("doctor",): {"--json"},
    ("sample",): {
        "--out",
        "--statements",
        "--sections",
        "--students",
        "--days",
        "--first-day",
        "--seed",
        "--damage",
        "--duplicates",
        "--json",
    },
    ("demo",): {"--statements", "--json"},
    ("dev",): {"--port", "--host"},
}


def tree(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Torus, dict[str, Any]]:
    """An ingested world of two days, which tests may read but not change; and what the ingest printed."""
    home = tmp_path_factory.mktemp("made")
    make_world(SampleOptions(out=f"file://{home}", statements=600, days=2))
    torus = Torus(home)
    return torus, torus("ingest", *DAYS, "--json").expect(0).document


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_a_help_that_names_its_options(command):
    said = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "160", "TERM": "dumb"}, prog_name="torus")
    assert said.exit_code == 0
    assert {option for option in COMMANDS[command] if option not in said.output} == set()


def test_ingest_prints_one_document_of_the_promised_shape(made):
    _, document = made
    assert set(document) == {"days", "ok"}
    assert document["ok"] is True
    assert [day["day"] for day in document["days"]] == ["2026-02-02", "2026-02-03"]
    for day in document["days"]:
        assert set(day) == {"day", "mode", "this_run", "day_total", "held", "seconds"}
        assert set(day["this_run"]) == set(day["day_total"]) == FIGURES
        assert (day["mode"], day["held"]) == ("increment", False)
        total = day["day_total"]
        fates = sum(total["rows"].values()) + sum(total["quarantined"].values()) + total["duplicates"] + total["forgotten"] + total["blank"]
        assert total["lines"] == fates


def test_a_dry_run_changes_nothing(made):
    torus, document = made
    before = tree(torus.home)
    said = torus("ingest", *DAYS, "--rebuild", "--dry-run", "--json").expect(0).document
    assert tree(torus.home) == before
    assert [day["mode"] for day in said["days"]] == ["rebuild", "rebuild"]
    assert [day["this_run"]["bundles"] for day in said["days"]] == [day["day_total"]["bundles"] for day in document["days"]]
    torus("lake", "maintain", "--keep-days", "0", "--dry-run", "--json").expect(0)
    assert tree(torus.home) == before


def test_the_quarantine_is_counted_and_shown(made):
    torus, document = made
    refused = sum(sum(day["day_total"]["quarantined"].values()) for day in document["days"])
    listed = torus("quarantine", "list", *DAYS, "--json").expect(0).document
    assert listed["lines"] == refused == sum(group["lines"] for group in listed["groups"])
    shown = torus("quarantine", "show", *DAYS, "--limit", "1000", "--json").expect(0).document["lines"]
    assert len(shown) == refused
    assert all(line["raw"] and line["reason"] and line["detail"] for line in shown)
    wrong = torus("quarantine", "list", *DAYS, "--reason", "ugly")
    assert wrong.code == 2
    assert "'ugly' is no reason; the reasons are" in wrong.err


def test_the_doctor_names_every_system(made):
    said = made[0]("doctor", "--json").expect(0).document
    assert {"bundles", "inventory", "data sets", "lake", "ClickHouse", "pseudonym key", "arrivals queue", "tombstones"} <= {
        system["system"] for system in said["systems"]
    }
    assert said["ok"]
    assert all(system["kind"] == "embedded" for system in said["systems"])


@pytest.mark.parametrize(
    ("words", "variables", "message"),
    [
        (("ingest", "--sideways"), {}, "--sideways"),
        (("ingest", "--from", "2026-02-02"), {}, "--to"),
        (("ingest", "--from", "2026-02-30", "--to", "2026-03-01"), {}, "2026-02-30"),
        (("ingest", "--from", "2026-02-03", "--to", "2026-02-02"), {}, "--to 2026-02-02 is before --from 2026-02-03"),
        (("ingest", "--from", "1999-12-31", "--to", "2026-02-02"), {}, "before the first day of the graph, 2023-01-01 (TORUS_FIRST_DAY)"),
        (("reconcile", "--from", "2026-02-03", "--to", "9999-01-01"), {}, "--to 9999-01-01 is after today"),
        (("doctor",), {"TORUS_FIRST_DAY": "yesterday"}, "TORUS_FIRST_DAY: expected a day as YYYY-MM-DD, got 'yesterday'"),
        (("dataset", "run", "/nowhere/request.json"), {}, "/nowhere/request.json"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else "",
)
def test_wrong_usage_ends_with_two_and_says_why(tmp_path, words, variables, message):
    said = Torus(tmp_path / "home")(*words, COLUMNS="200", **variables).expect(2)
    assert message in said.err
    assert said.out == ""
    assert not (tmp_path / "home").exists()


def test_a_request_with_mistakes_gets_all_of_them_named(tmp_path):
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"job_id": "../up", "action": "stare", "section_ids": [], "colour": "red"}))
    said = Torus(tmp_path / "home")("dataset", "run", str(request)).expect(2)
    for mistake in ("job_id", "action", "section_ids", "colour"):
        assert mistake in said.err
    assert not (tmp_path / "home").exists()


def test_an_empty_home_is_no_error_until_something_is_asked_of_it(tmp_path):
    torus = Torus(tmp_path / "home")
    day = ("--from", "2026-02-02", "--to", "2026-02-02")
    for words in (("quarantine", "list", *day), ("lake", "maintain"), ("warehouse", "load", *day)):
        assert torus(*words).expect(1).err.replace("\n", "").endswith("run `torus ingest` first")
    [empty] = torus("ingest", *day, "--json").expect(0).document["days"]
    assert (empty["mode"], empty["day_total"]["bundles"], empty["held"]) == ("none", 0, False)
    assert "has no day 2026-02-02" in torus("warehouse", "load", *day).expect(1).err


def test_the_main_job_step_by_step(made, tmp_path):
    """On a copy of the world: load, data set, reconcile; then what a missing, a new and a rebuilt bundle lead to."""
    source, document = made
    home = tmp_path / "home"
    for name in ("xapi", "inventory", "datasets"):
        shutil.copytree(source.home / name, home / name)
    torus = Torus(home)
    first = torus("ingest", *DAYS).expect(0)
    assert "2026-02-02" in first.out
    assert [day["mode"] for day in torus("ingest", *DAYS, "--json").expect(0).document["days"]] == ["none", "none"]
    section = int((home / "xapi" / "section").iterdir().__next__().name)
    rebuilt = torus("ingest", *DAYS, "--rebuild", "--section", str(section), "--json").expect(0).document["days"]
    assert [day["day_total"] for day in rebuilt] == [day["day_total"] for day in document["days"]]
    assert all(day["mode"] == "rebuild" and day["this_run"]["bundles"] < day["day_total"]["bundles"] for day in rebuilt)

    loaded = torus("warehouse", "load", *DAYS, "--json").expect(0).document
    assert loaded["ok"]
    assert loaded["failed_checks"] == []
    request = home / "datasets" / "requests" / "sample-attempts.json"
    made_first, made_again = (torus("dataset", "run", str(request), "--json").expect(0).document for _ in range(2))
    assert (made_first["reused"], made_again["reused"]) == (False, True)
    assert made_first["run"] == made_again["run"]
    assert torus("reconcile", *DAYS).expect(0).out.rstrip().endswith("everything adds up")

    key = "section/3021/video/2026-02-02T23-59-59.000000Z_00000000000000000000000000000000.jsonl"
    (home / "xapi" / key).parent.mkdir(parents=True, exist_ok=True)
    (home / "xapi" / key).write_text("{}\n")
    of_the_day = [path for path in (home / "xapi").rglob("2026-02-02T*.jsonl") if path.name not in key]
    gone = max(of_the_day, key=lambda path: path.stat().st_size)  # more than duplicates
    gone.unlink()
    found = torus("reconcile", *DAYS, "--json").expect(3).document
    assert not found["ok"]
    assert found["days"][0]["missing"] == [key]
    assert found["days"][0]["vanished"] == [str(gone.relative_to(home / "xapi"))]
    (home / "xapi" / key).unlink()
    refused = torus("ingest", *DAYS, "--rebuild").expect(1)
    assert "--drop-vanished" in refused.err
