"""Forgetting a learner: what goes, what stays, what is named, and that being killed anywhere only means running again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.factories import Place, bundle_key
from tests.forgetting import canary
from torus_assets.clients import clickhouse
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.forgetting import forget as forgetting
from torus_assets.forgetting.forget import Forgotten, Places, StillThere, forget, preview
from torus_assets.forgetting.learner import Learner, NoLearner, learner
from torus_assets.forgetting.leftovers import log_columns
from torus_assets.forgetting.looking import look, still_there
from torus_assets.forgetting.receipts import RECEIPTS, listed
from torus_assets.settings import ClickHouseSettings
from torus_assets.warehouse.load import load_day
from torus_assets.xapi.ingest import IngestOptions, ingest_day
from torus_assets.xapi.tombstones import OtherKey, read_tombstones

SECRET = b"a key of the tests, not of anybody"
DAYS = (date(2026, 2, 3), date(2026, 2, 4))
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EVENTS = len(list(canary.events()))
REFUSED = len(list(canary.refusals()))


class World:
    """Two days of bundles with a learner in them, ingested and loaded."""

    def __init__(self, root: Path) -> None:
        self.place = Place(root)
        self.house = ClickHouseSettings(folder=root / "clickhouse")
        self.who = learner(canary.HOME, canary.USER, SECRET)
        self.places = Places(
            self.place.lake, open_store(f"file://{root / 'datasets'}"), lambda: clickhouse.connect(self.house), root,
            PseudonymKey(SECRET), 1.0, 16 << 20,
        )  # fmt: skip

    def fill(self) -> World:
        first, second = DAYS
        self.place.put(bundle_key("a", day=first), [*canary.others(0), canary.namesake(), *canary.events(), *canary.refusals()])
        self.place.put(bundle_key("b", day=first, second=1), [*canary.events(), *canary.others(50, 3)])
        self.place.put(bundle_key("c", day=second, section="bio101"), [*list(canary.events())[:3], *canary.others(100)])
        self.ingest()
        return self

    def ingest(self, **options: Any) -> None:
        for day in DAYS:
            self.place.ingest(day=day, **options)

    def load(self) -> None:
        with clickhouse.connect(self.house) as client:
            for day in DAYS:
                load_day(client, self.place.lake.snapshot(), day, scratch=self.place.spool)

    def forget(self, **options: Any) -> Forgotten:
        return forget(self.places, self.who, **{"at": datetime.now(UTC), "by": "Ada", **options})

    def lake_files(self) -> set[Path]:
        return set((self.place.root / "lake" / "xapi" / "statements").rglob("*.parquet"))


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path).fill()


def without(place: Place) -> dict[date, dict[str, list[Any]]]:
    """What a lake of the others' lines alone has, without the ledger."""
    return {day: {name: rows for name, rows in place.contents(day).items() if name != "bundles"} for day in DAYS}


def test_every_line_of_theirs_goes_and_the_others_stay_as_they_were(world):
    before = without(world.place)
    world.load()
    done = world.forget()
    assert (
        done.receipt.lines[DAYS[0].isoformat()] | {"quarantined": REFUSED, "duplicate": EVENTS} == done.receipt.lines[DAYS[0].isoformat()]
    )
    assert done.receipt.total == EVENTS + REFUSED + EVENTS + 3
    assert done.receipt.clickhouse_rows == EVENTS + 3 - 3, "of a repeated event the warehouse has one row"
    assert done.receipt.is_clean
    assert not look(world.place.lake.snapshot(), world.who)
    assert still_there(world.place.lake.snapshot(), read_tombstones(open_store(world.place.lake.root), SECRET)) == {}
    after = without(world.place)
    for day in DAYS:
        for name, rows in after[day].items():
            gone = [row for row in before[day][name] if row not in rows]
            assert [row for row in before[day][name] if row in rows] == rows, "nothing else changed"
            assert all(
                (row.get("user_id", canary.USER), row.get("home_page", canary.HOME)) == (canary.USER, canary.HOME) for row in gone
            ), name
    ledger = {row["key"]: row for day in DAYS for row in world.place.contents(day)["bundles"]}
    assert [row["forgotten"] for row in ledger.values()] == [EVENTS + REFUSED, EVENTS, 3]
    for row in ledger.values():
        assert row["lines"] == row["rows"] + row["duplicates"] + row["quarantined"] + row["forgotten"] + row["blank"]


def test_what_is_not_ours_to_remove_is_named(world):
    done = world.forget()
    assert done.receipt.source_objects == 3
    assert [name.rpartition("_")[2] for name in done.objects] == ["c.jsonl", "a.jsonl", "b.jsonl"]
    assert done.receipt.data_sets == {"runs": 0, "lookups": 0, "requests": 0, "cannot_be_told": 0}


def test_neither_an_ingest_nor_a_rebuild_nor_a_load_brings_them_back(world):
    world.load()
    world.forget()
    stones = read_tombstones(open_store(world.place.lake.root), SECRET)
    for rebuild in (False, True):
        made = IngestOptions(max_quarantined_share=1.0, workers=1, rebuild=rebuild)
        for day in DAYS:
            ingest_day(world.place.lake, world.place.url, day, world.place.index(day), world.place.spool, made, forgotten=lambda: stones)
        assert not look(world.place.lake.snapshot(), world.who)
    with clickhouse.connect(world.house) as client:
        for day in DAYS:
            result = load_day(client, world.place.lake.snapshot(), day, scratch=world.place.spool)
            assert (result.inserted, result.replaced, result.deleted) == (0, 0, 0)


def test_the_receipt_has_counts_and_names_nobody(world):
    done = world.forget()
    kept = open_store(world.place.lake.root).get(done.key).body
    assert json.loads(kept) == done.receipt.document()
    assert done.key.startswith(f"{RECEIPTS}{world.who.mark}/")
    for word in (*canary.WORDS, canary.HOME):
        assert word.encode() not in kept
    assert canary.USER not in repr(world.who) + repr(world.places)


def test_forgetting_twice_leaves_one_tombstone_and_finds_nothing(world):
    first = world.forget()
    version = world.place.lake.snapshot().version
    again = world.forget(by="Grace")
    assert (again.receipt.mark, again.receipt.total, again.receipt.clickhouse_rows, again.receipt.files_removed) == (
        first.receipt.mark,
        0,
        0,
        0,
    )
    assert world.place.lake.snapshot().version == version
    [stone] = listed(open_store(world.place.lake.root))
    assert (stone["by"], stone["receipts"], stone["total_lines"]) == ("Ada", 2, first.receipt.total)


def test_a_learner_nobody_knows_leaves_a_tombstone_all_the_same(world):
    nobody = learner(canary.HOME, "never seen", SECRET)
    before = world.lake_files()
    done = forget(world.places, nobody, at=NOW, by="Ada")
    assert (done.receipt.total, done.receipt.files_removed, done.receipt.is_clean) == (0, 0, True)
    assert world.lake_files() == before
    assert read_tombstones(open_store(world.place.lake.root), SECRET).forgets(canary.HOME, "never seen")


def test_a_store_without_a_lake_and_a_table_gets_its_tombstone(tmp_path):
    done = World(tmp_path).forget()
    assert (done.receipt.total, done.receipt.clickhouse_rows, done.receipt.is_clean) == (0, 0, True)


def test_files_of_older_versions_and_of_killed_ingests_go_too(world):
    world.ingest(rebuild=True)
    orphan = next(path for path in world.lake_files() if "kind=page_viewed" in str(path) and str(DAYS[0]) in str(path))
    killed = orphan.with_name("killed.parquet")
    killed.write_bytes(orphan.read_bytes())
    done = world.forget()
    current = {file.path for file in world.place.lake.snapshot().files()}
    root = world.place.root / "lake" / "xapi" / "statements"
    assert {str(path.relative_to(root)) for path in world.lake_files()} == current
    assert done.receipt.files_removed > len(current)
    assert done.receipt.old_lines > done.receipt.total


def test_old_files_of_a_day_that_no_longer_has_them_go_and_other_days_keep_theirs(tmp_path):
    world = World(tmp_path)
    world.place.put(bundle_key("x", day=DAYS[0]), list(canary.events()))
    world.place.put(bundle_key("y", day=DAYS[1]), list(canary.others()))
    world.ingest()
    world.place.remove(bundle_key("x", day=DAYS[0]))
    world.place.put(bundle_key("z", day=DAYS[0]), list(canary.others(40)))
    world.ingest(rebuild=True, drop_vanished=True)
    done = world.forget()
    assert (done.receipt.total, done.receipt.old_lines) == (0, EVENTS)
    assert done.receipt.files_removed
    old = world.lake_files() - {world.place.root / "lake/xapi/statements" / file.path for file in world.place.lake.snapshot().files()}
    assert old
    assert all(f"upload_date={DAYS[1]}" in str(path) for path in old), "older versions of other days stay readable"


def test_a_file_that_a_running_ingest_may_still_commit_stays_and_is_told(world, monkeypatch):
    done: list[Path] = []
    sweep = forgetting.sweep
    some = next(path for path in world.lake_files() if "kind=page_viewed" in str(path) and str(DAYS[0]) in str(path))
    theirs = some.read_bytes()

    def placed(lake, days, now):
        """An ingest places a file right after the day was written anew."""
        if not done:
            done.append(some.with_name("running.parquet"))
            done[0].write_bytes(theirs)
            later = time.time() + 5
            os.utime(done[0], (later, later))
        return sweep(lake, days, now)

    monkeypatch.setattr(forgetting, "sweep", placed)
    first = world.forget()
    assert done[0].exists()
    assert (first.receipt.old_lines, first.receipt.old_lines_left, first.receipt.is_clean) == (0, 2, False)
    monkeypatch.undo()
    old = time.time() - 90_000
    os.utime(done[0], (old, old))
    again = world.forget()
    assert not done[0].exists()
    assert (again.receipt.old_lines, again.receipt.old_lines_left, again.receipt.is_clean) == (2, 0, True)


def test_folders_of_killed_runs_are_cleared_and_those_in_use_are_told(world):
    spool = world.place.spool
    for name, age in (("2026-02-03-killed", 0), ("dataset-old", 90_000), ("dataset-young", 0)):
        (spool / name).mkdir(parents=True)
        (spool / name / "rows.parquet").write_text(canary.USER)
        for path in (spool / name / "rows.parquet", spool / name):
            os.utime(path, (time.time() - age, time.time() - age))
    (spool / "2026-02-03-killed" / ".lock").touch()
    done = world.forget()
    assert sorted(path.name for path in spool.iterdir()) == ["dataset-young"]
    assert (done.receipt.folders_cleared, done.receipt.folders_left, done.receipt.is_clean) == (2, 1, False)


def test_what_a_killed_write_left_in_the_lake_is_cleared_when_it_is_old(world):
    unfinished = world.place.root / "lake" / "xapi" / "statements" / ".torus-tmp"
    unfinished.mkdir(exist_ok=True)
    for name, age in (("old", 90_000), ("young", 0)):
        (unfinished / name).write_text(canary.USER)
        os.utime(unfinished / name, (time.time() - age, time.time() - age))
    done = world.forget()
    assert [path.name for path in unfinished.iterdir()] == ["young"]
    assert (done.receipt.writes_left, done.receipt.is_clean) == (1, False)


def test_the_log_of_the_table_keeps_no_value_of_a_learner(world):
    snapshot = world.place.lake.snapshot()
    assert log_columns(snapshot) == []
    names = {name.partition(".")[2] for name in pa.table(snapshot.delta.get_add_actions(flatten=True)).column_names}
    assert {"section_id", "timestamp"} < names, "it does keep values of these two"


def test_what_an_ingest_brings_back_meanwhile_is_found_by_the_last_look(world, monkeypatch):
    erased: list[int] = []
    erase = forgetting.erase_learner

    def meanwhile(*args: Any, **options: Any) -> Any:
        """An ingest of an older release, which knows no tombstones, commits the day while ClickHouse is looked at."""
        if not erased:
            world.place.ingest(day=DAYS[0], rebuild=True)
        erased.append(1)
        return erase(*args, **options)

    monkeypatch.setattr(forgetting, "erase_learner", meanwhile)
    done = world.forget()
    assert len(erased) == 2
    assert not look(world.place.lake.snapshot(), world.who)
    assert done.receipt.lines[DAYS[0].isoformat()]["quarantined"] == 2 * REFUSED
    assert done.receipt.is_clean


def test_an_ingest_that_keeps_bringing_them_back_is_an_error(world, monkeypatch):
    erase = forgetting.erase_learner
    monkeypatch.setattr(
        forgetting, "erase_learner", lambda *args, **options: (world.place.ingest(day=DAYS[1], rebuild=True), erase(*args, **options))[1]
    )
    with pytest.raises(StillThere, match="came back 5 times") as caught:
        world.forget()
    assert canary.USER not in str(caught.value)


STEPS = ("write a day anew", "remove old files", "erase from ClickHouse", "look once more", "keep the receipt")


class Killed(BaseException):
    """The process ends here."""


def killer(step: str, times: int) -> Callable[[str], None]:
    seen: list[str] = []

    def told(now: str) -> None:
        seen.append(now)
        if seen.count(step) == times:
            raise Killed

    return told


@pytest.mark.parametrize(("step", "times"), [*((step, 1) for step in STEPS), ("write a day anew", 2)])
def test_killed_before_any_step_it_is_finished_by_running_again(world, step, times):
    world.load()
    with pytest.raises(Killed):
        world.forget(step=killer(step, times))
    done = world.forget()
    assert done.receipt.is_clean
    assert not look(world.place.lake.snapshot(), world.who)
    current = {file.path for file in world.place.lake.snapshot().files()}
    assert len(world.lake_files()) == len(current), "no old file of theirs is left"
    assert len(list(listed(open_store(world.place.lake.root)))) == 1
    with clickhouse.connect(world.house) as client:
        assert client.query(
            "SELECT count() FROM raw_events WHERE user_id = 'canary-4711-zx' AND home_page = 'torus.example.edu'"
        ).result_rows == [(0,)]


def test_the_tombstone_stands_before_anything_else_is_touched(world):
    files = world.lake_files()
    with pytest.raises(Killed):
        world.forget(step=killer("look into the lake", 1))
    assert read_tombstones(open_store(world.place.lake.root), SECRET).forgets(canary.HOME, canary.USER)
    assert world.lake_files() == files


def test_a_preview_changes_nothing_and_says_the_same(world):
    world.load()
    tree = world.place.tree()
    would = preview(world.places, world.who, at=NOW, by="Ada")
    moved = {name for name, _ in set(tree) ^ set(world.place.tree()) if not name.startswith("clickhouse")}
    assert moved <= {"spool", "."}
    done = world.forget()
    assert (would.receipt.lines, would.receipt.clickhouse_rows, would.objects) == (
        done.receipt.lines,
        done.receipt.clickhouse_rows,
        done.objects,
    )
    assert would.key == ""


def test_tombstones_of_another_key_stop_everything(world):
    world.forget()
    other = Learner(canary.HOME, "somebody else", b"another key, of another deployment")
    with pytest.raises(OtherKey, match="TORUS_TOMBSTONE_KEY"):
        forget(world.places, other, at=NOW, by="Ada")


def test_a_learner_has_an_id_and_a_host_unless_the_id_is_an_mbox():
    for home, user in ((canary.HOME, " "), (None, "41207")):
        with pytest.raises(NoLearner) as caught:
            learner(home, user, SECRET)
        assert "41207" not in str(caught.value)
    assert learner(None, "mailto:ada@example.edu", SECRET).home is None


def test_the_same_learner_has_one_mark_under_every_spelling_of_the_host():
    spelt = ("torus.example.edu", "https://Torus.example.edu/", " http://torus.example.edu")
    assert len({learner(home, canary.USER, SECRET).mark for home in spelt}) == 1


def test_who_was_forgotten_and_stands_in_the_lake_again_is_noticed(world):
    world.forget()
    world.place.ingest(day=DAYS[0], rebuild=True)
    stones = read_tombstones(open_store(world.place.lake.root), SECRET)
    assert still_there(world.place.lake.snapshot(), stones) == {DAYS[0]: EVENTS + REFUSED}
    assert still_there(world.place.lake.snapshot(), stones, first=DAYS[1]) == {}
