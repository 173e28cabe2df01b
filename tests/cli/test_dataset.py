"""`torus dataset` as people use it: ask, look, make, compare, take back, clear.

Calls that start Dagster, or that end at the boundary for errors, are processes; the others run here, which saves seconds each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.command import Said, Torus
from torus_assets.cli import app
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world

DAYS = ("--from", "2026-02-02", "--to", "2026-02-03")


def request(folder: Path, **keys: Any) -> str:
    path = folder / "request.json"
    path.write_text(json.dumps({"job_id": "biology", "action": "page_viewed", "section_ids": [3021], **keys}))
    return str(path)


class Here(Torus):
    """The same, in this process."""

    def __call__(self, *words: str, **variables: str) -> Said:
        done = CliRunner().invoke(app, words, env={"TORUS_HOME": str(self.home), "COLUMNS": "200", **variables}, prog_name="torus")
        return Said(done.exit_code, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def torus(tmp_path_factory) -> Torus:
    home = tmp_path_factory.mktemp("made")
    make_world(SampleOptions(out=f"file://{home}", statements=300, days=2))
    for sample in (home / "datasets").rglob("*.json"):
        sample.unlink()
    made = Torus(home)
    made("ingest", *DAYS).expect(0)
    return made


def test_the_life_of_a_data_set(torus, tmp_path):
    here = Here(torus.home)
    assert "no data set was asked for" in here("dataset", "list").expect(0).out
    asked = here("dataset", "submit", request(tmp_path, chunk_size="500")).expect(0)
    assert asked.out == "biology is asked for: page_viewed of 1 section(s)\n"
    [waiting] = here("dataset", "list", "--json").expect(0).document["jobs"]
    assert (waiting["state"], waiting["run"]) == ("submitted", None)

    first = torus("dataset", "run", "biology", "--json").expect(0)
    assert "note: chunk_size: ignored; it counts input files per chunk" in first.err
    first = first.document
    assert first["notes"] == ["chunk_size: ignored; it counts input files per chunk; here chunk_rows says how many rows a file has"]
    assert (first["job_id"], first["reused"]) == ("biology", False)
    [done] = torus("dataset", "status", "--json").expect(0).document["jobs"]
    assert (done["state"], done["run"], done["rows"], done["attempt"]["status"]) == ("complete", first["run"], first["rows"], "SUCCESS")
    [listed] = here("dataset", "list", "--json").expect(0).document["jobs"]
    assert listed == {name: value for name, value in done.items() if name != "attempt"}

    assert here("dataset", "diff", "biology", f"biology/{first['run']}").expect(0).out.rstrip().endswith("the same bytes")
    second = torus("dataset", "run", request(tmp_path, date_to="2026-02-02"), "--json").expect(0).document
    assert 0 < second["rows"] < first["rows"]
    differ = here("dataset", "diff", f"biology/{first['run']}", "biology", "--json").expect(3).document
    assert not differ["ok"]
    assert [cause["cause"] for cause in differ["causes"]] == ["changed request"]
    assert [(group["only_a"], group["only_b"], group["changed"]) for group in differ["rows"]["groups"]] == [
        (first["rows"] - second["rows"], 0, 0)
    ]
    assert "date_to none -> 2026-02-02" in here("dataset", "diff", f"biology/{first['run']}", "biology").expect(3).out
    said = torus("dataset", "status", "biology").expect(0).out
    assert said.startswith(f"biology: complete\nrun {second['run']}: {second['rows']} rows")
    assert "last attempt: SUCCESS" in said

    assert here("dataset", "withdraw", "biology", "--by", "Ada").expect(0).out == "biology is withdrawn\n"
    assert here("dataset", "withdraw", "biology", "--by", "Bob", "--json").expect(0).document["withdrawn_before"]
    assert "biology was withdrawn; submit its request again" in here("dataset", "run", "biology").expect(2).err
    assert "biology was withdrawn; name one of its runs" in torus("dataset", "diff", "biology", "biology").expect(1).err.replace("\n", " ")
    assert "nothing has expired" in here("dataset", "expire").expect(0).out
    would = here("dataset", "expire", "--withdrawn-days", "0", "--dry-run", "--json").expect(0).document
    assert {one["key"] for one in would["removed"]} == {f"biology/runs/{run}/" for run in (first["run"], second["run"])}
    did = here("dataset", "expire", "--withdrawn-days", "0", "--json").expect(0).document
    assert did["removed"] == would["removed"]
    assert not (torus.home / "datasets" / "biology").exists()


def test_a_request_with_mistakes_is_not_submitted(tmp_path):
    torus = Torus(tmp_path / "home")
    said = torus("dataset", "submit", request(tmp_path, action="stare", colour="red")).expect(2)
    assert "request refused:" in said.err
    assert "\n  colour: unknown key" in said.err
    assert "\n  action: unknown action 'stare'" in said.err
    assert not torus.home.exists()


def test_what_is_invalid_in_the_store_is_listed_with_its_mistakes(tmp_path):
    place = tmp_path / "home" / "datasets" / "requests"
    place.mkdir(parents=True)
    (place / "wrong.json").write_text('{"job_id": "other", "action": "video", "section_ids": [1]}')
    said = Torus(tmp_path / "home")("dataset", "list").expect(3)
    assert "invalid" in said.out
    assert "wrong: job_id: says 'other', and the object is requests/wrong.json" in said.err.replace("\n", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("status", "never"), 1, "no data set 'never' was asked for here"),
        (("withdraw", "never", "--by", "Ada"), 1, "no data set 'never' was asked for here"),
        (("withdraw", "never"), 2, "--by"),
        (("run", "never"), 2, "never is no file, and no job of that id was submitted"),
        (("diff", "never", "never"), 1, "never has no published run"),
        (("submit", "/nowhere.json"), 2, "/nowhere.json"),
        (("expire", "--keep-days", "-1"), 2, "--keep-days"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_not_there_is_said_and_nothing_is_made(tmp_path, words, code, message):
    said = Torus(tmp_path / "home")("dataset", *words, COLUMNS="200").expect(code)
    assert message in said.err
    assert said.out == ""
    assert not (tmp_path / "home").exists()
