"""`torus forget` as people use it: look, remove, look again; and what it refuses to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.command import Said, Torus
from tests.factories import DAY, Place, bundle_key, numbered
from tests.forgetting import canary
from torus_assets.cli import app
from torus_assets.clients.object_store import open_store
from torus_assets.xapi.ingest import IngestOptions, ingest_day
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tombstones import list_marks

WHO = ("--home-page", canary.HOME, "--user", "-", "--by", "Ada")
ID = canary.USER + "\n"


class Here:
    """The command in this process, which saves seconds a call."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.place = Place(home)

    def __call__(self, *words: str, given: str | None = None, **variables: str) -> Said:
        env = {"TORUS_HOME": str(self.home), "COLUMNS": "200", "DAGSTER_HOME": "", "TORUS_MAX_QUARANTINED_SHARE": "1", **variables}
        done = CliRunner().invoke(app, list(words), input=given, env=env, prog_name="torus")
        return Said(done.exit_code, done.stdout, done.stderr)

    def tombstones(self) -> frozenset[str]:
        return list_marks(open_store(self.place.lake.root))


@pytest.fixture
def torus(tmp_path, monkeypatch) -> Here:
    for name in ("TORUS_TOMBSTONE_KEY", "TORUS_PSEUDONYM_KEY", "TORUS_LAKE_URL", "TORUS_XAPI_URL", "TORUS_DATASETS_URL", "CLICKHOUSE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", "")  # remembered, so that what `runs` sets is taken back
    here = Here(tmp_path / "home")
    here.place.put(bundle_key("a"), [*canary.events(), *canary.refusals(), *map(numbered, range(30))])
    here.place.ingest()
    return here


def test_a_look_then_the_removal_then_the_list(torus):
    events, refused = len(list(canary.events())), len(list(canary.refusals()))
    would = torus("forget", *WHO, "--dry-run", "--json", given=ID).expect(0).document
    assert (would["dry_run"], would["receipt_key"], would["receipt"]["total_lines"]) == (True, None, events + refused)
    assert torus.tombstones() == frozenset()
    assert not (torus.home / "pseudonym.key").exists()
    assert not (torus.home / "tombstone.key").exists()

    done = torus("forget", *WHO, "--yes", given=ID).expect(0)
    assert f"{events + refused} lines of the lake" in done.out
    assert "1 objects of Torus' own bucket hold their lines" in done.out
    assert canary.USER not in done.out + done.err
    [mark] = torus.tombstones()
    assert f"tombstone {mark}\nreceipt forgotten/receipts/{mark}/" in done.out
    assert "nothing of this learner was found; the tombstone stands all the same" in torus("forget", *WHO, "--yes", given=ID).expect(0).out

    [listed] = torus("forget", "list", "--json").expect(0).document["forgotten"]
    assert (listed["mark"], listed["by"], listed["receipts"], listed["total_lines"]) == (mark, "Ada", 2, events + refused)
    assert mark in torus("forget", "list").expect(0).out


def test_the_id_may_stand_on_the_command_line_and_the_host_in_any_spelling(torus):
    done = torus("forget", "--home-page", "https://Torus.Example.edu/", "--user", canary.USER, "--yes", "--json").expect(0).document
    assert done["receipt"]["lines"][DAY.isoformat()]["quarantined"] == len(list(canary.refusals()))
    assert done["ok"]
    assert done["receipt"]["by"], "the login stands for a name that was not given"


def test_what_cannot_be_removed_yet_is_said_and_is_exit_code_3(torus):
    (torus.home / "spool" / "dataset-young").mkdir(parents=True)
    said = torus("forget", *WHO, "--yes", given=ID).expect(3)
    assert "NOT YET: 1 folders of the spool may be in use: run this again in a day" in said.out


def test_nobody_was_forgotten(torus):
    assert torus("forget", "list").expect(0).out == "nobody was forgotten\n"


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (("--home-page", canary.HOME, "--yes"), None, "--user: expected the learner's user id"),
        (("--user", "-", "--yes"), ID, "--home-page: expected the host"),
        (("--home-page", canary.HOME, "--user", "-", "--yes"), "\n", "--user: expected the learner's user id, got nothing"),
        (WHO, ID, "nobody is there to ask: say --yes"),
    ],
)
def test_what_is_missing_is_said_and_nothing_happens(torus, words, given, says):
    said = torus("forget", *words, given=given).expect(2)
    assert says in said.err
    assert canary.USER not in said.out + said.err
    assert torus.tombstones() == frozenset()


def test_a_real_store_needs_a_key_of_its_own(torus, s3):
    said = torus("forget", *WHO, "--yes", given=ID, TORUS_LAKE_URL=f"{s3}/lake").expect(2)
    assert "TORUS_TOMBSTONE_KEY is not set" in said.err


def test_a_lake_in_s3_is_cleared_to_the_last_object(torus, s3):
    lake = f"{s3}/lake"
    keys: dict[str, Any] = {"TORUS_LAKE_URL": lake, "TORUS_TOMBSTONE_KEY": "a key of the tests, not of anybody"}
    for rebuild in (False, True):
        made = IngestOptions(workers=1, max_quarantined_share=1.0, rebuild=rebuild)
        ingest_day(Lake(lake), torus.place.url, DAY, torus.place.index(), torus.place.spool, made)
    done = torus("forget", *WHO, "--yes", "--json", given=ID, **keys).expect(0).document
    assert done["receipt"]["total_lines"] == done["receipt"]["old_lines"] == len([*canary.events(), *canary.refusals()])
    store, current = open_store(f"{lake}/xapi/statements"), {file.path for file in Lake(lake).snapshot().files()}
    assert {info.key for info in store.list("upload_date=")} == current
    for info in open_store(lake).list():
        assert canary.USER.encode() not in open_store(lake).get(info.key).body, info.key


def test_the_command_of_its_own_process_says_nothing_but_the_document(torus):
    alone = Torus(torus.home)
    said = alone("forget", "--home-page", canary.HOME, "--user", canary.USER, "--yes", "--json").expect(0)
    assert json.loads(said.out)["ok"]
    assert canary.USER not in said.out + said.err
