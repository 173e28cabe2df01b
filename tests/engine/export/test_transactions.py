"""DataShop data sets on executors: the same files, counts and figures as the local engine's, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.datasets.datashop_lake import FORMS, attempt, custom, declared, opened, reply, said, skill, tool
from tests.datasets.small_lake import SmallLake
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.datashop import out, pieces
from torus_assets.datasets.datashop.pieces import Person, Piece, Plan
from torus_assets.datasets.datashop.verify import Report
from torus_assets.datasets.export import export
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.output import Output
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.reading import Tally, users
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.release import PersonalData
from torus_assets.datasets.request import Request, parse_request
from torus_assets.engine.export import transactions
from torus_assets.engine.export.datasets import export_on_spark
from torus_assets.engine.export.lake_files import LakeFiles
from torus_assets.engine.export.transactions import UNNUMBERED, OnSpark, There, cut, per_task, section_groups
from torus_assets.engine.hands import SparkHands, host_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = PseudonymKey(b"a key of the tests, not of anybody")
SECTIONS = (3021, 3022, 3023)
TARGET = "job-1/runs/run/"
PIECE_ROWS = 12
LOOKUP = b'{"skill_titles": {"59012": "Adding"}, "dataset_name": "Cells"}'


def some_day(day: str) -> list[dict[str, Any]]:
    """Students in three sections, with an embedded tutor each; one says her id, two share a session, and a section has most rows."""
    statements = []
    for user in range(41200, 41212):
        more = {"section": 3021 if user % 4 else 3022 + user % 8 // 4, "day": day}
        statements += [
            opened(user, "09:00:00", **more),
            attempt(f"{user}-{day}", user, "09:01:00", hints_requested=["1", "2"], attached_objectives=[59012], **more),
            attempt(f"{user}-{day}-2", user, "09:02:00", part_id="2", response={"input": f"I am {user}"}, **more),
            attempt(f"{user}-{day}-2", user, "09:03:00", part_id="2", score=0.5, **more),
            attempt(f"{user}-{day}-3", user, "19:03:00", session_id=f"shared {user // 2}", **more),
            said(declared(more=skill("s", "m")), tool(f"T{day}", more=custom("x", "1")), reply(f"T{day}", more=skill("s", "m")),
                 user=user, at="09:04:00", **more),
        ]  # fmt: skip
    return statements


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> SmallLake:
    made = SmallLake(tmp_path_factory.mktemp("world") / "lake")
    first, second = some_day("2026-01-02"), some_day("2026-01-03")
    made.add("2026-01-02", first, row_group_size=10)
    return made.add("2026-01-03", [*second, *first[:9]], source="b.jsonl")  # the first students' events came again


@dataclass
class Run:
    """A data set that was made, and everything that is said of it."""

    files: dict[str, bytes]
    entries: list[Any]
    tally: Tally
    made: out.Made
    reports: dict[str, Report]
    told: list[tuple[int, int]] = field(default_factory=list)


def request(**keys: Any) -> Request:
    return parse_request({"job_id": "job-1", "action": "datashop", "section_ids": list(SECTIONS), "format": FORMS, "rollup": "csv", **keys})


def run(
    site: out.Site, asked: Request, store: ObjectStore, lake: SmallLake, redaction: Redaction | None = None, lookup: bytes = LOOKUP
) -> Run:
    names = KEY.scoped(asked.scope)
    known = users(asked, [lake.folder / file.path for file in lake.files(kinds=asked.table.kinds)])
    output, tally, told = Output(store, TARGET, redaction or names.redaction(known, {})), Tally(), []
    made = out.make(site, asked, parse_lookup(lookup), names, tally, output, lambda *done: told.append(done))
    reports = site.read_back(output)
    files = {entry.key.removeprefix(TARGET): store.get(entry.key).body for entry in store.list(TARGET)}
    return Run(files, output.in_order(), tally, made, reports, told)


def here(asked: Request, lake: SmallLake, folder: Path) -> Run:
    """The local engine's, in pieces of the same size."""
    with (
        pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(dir=folder) as scratch, pieces.connect(Path(scratch)) as connection,
    ):  # fmt: skip
        patch.setattr(pieces, "PIECE_ROWS", PIECE_ROWS)
        files = lake.files(kinds=asked.table.kinds)
        paths = pieces.by_kind(files, [lake.folder / file.path for file in files], Path(scratch))
        return run(out.Here(asked, paths, Path(scratch), connection), asked, open_store(str(folder / "here")), lake)


@pytest.fixture
def hands(spark: SparkSession, tmp_path: Path) -> Iterator[SparkHands]:
    with SparkHands(spark, str(tmp_path / "scratch"), str(tmp_path / "there")) as hands:
        yield hands


def on_spark(hands: SparkHands, asked: Request, lake: SmallLake, url: str | None = None, **more: Any) -> Run:
    there = There(
        LakeFiles(url or lake.folder.as_uri(), tuple(lake.files(kinds=asked.table.kinds)), hands.room), hands.scratch_url, hands.store_url,
        TARGET,
    )  # fmt: skip
    with OnSpark(hands, asked, there, piece_rows=PIECE_ROWS) as site:
        return run(site, asked, open_store(hands.store_url), lake, **more)


def assert_same(one: Run, other: Run) -> None:
    assert one.files == other.files
    assert one.entries == other.entries
    assert (one.tally, one.made.expected, one.made.notes, one.made.figures) == (
        other.tally, other.made.expected, other.made.notes, other.made.figures,
    )  # fmt: skip
    assert {form: report.document() for form, report in one.reports.items()} == {
        form: report.document() for form, report in other.reports.items()
    }
    assert all(report.ok for report in one.reports.values())


@pytest.fixture(scope="module")
def local(lake: SmallLake, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """What the local engine makes of it, in many pieces."""
    made = here(request(), lake, tmp_path_factory.mktemp("local"))
    assert len([name for name in made.files if name.endswith(".xml")]) > 10  # two digits: order is not that of names
    assert made.tally.duplicates
    assert made.tally.superseded
    return made


def left_in(url: str) -> list[str]:
    return [entry.key for entry in open_store(url).list()]


def test_both_engines_give_the_same_files_counts_and_figures(lake, hands, local):
    spark = on_spark(hands, request(), lake)
    assert_same(local, spark)
    assert spark.told[-1] == local.told[-1] == (spark.tally.read, spark.tally.read)
    assert left_in(hands.scratch_url) == []
    assert not [name for name in spark.files if UNNUMBERED in name]


def test_however_the_work_is_cut_the_bytes_are_the_same(lake, hands, local, monkeypatch):
    monkeypatch.setattr(transactions, "SCOPE_ROWS", 50)  # sections are counted apart
    monkeypatch.setattr(transactions, "TASKS_PER_CORE", 1)  # tasks make several pieces
    monkeypatch.setattr(transactions, "RENAMES", 3)
    monkeypatch.setattr(out, "READ_BYTES", 1)  # each file is read back by a task of its own
    assert_same(local, on_spark(hands, request(), lake))


def test_one_form_restrictions_and_parquet_rollups_too(lake, hands, tmp_path):
    asked = request(
        rollup="parquet", format=["datashop-tab"], date_to="2026-01-02", section_ids=[3021, 3023], ignored_student_ids=["41201"]
    )
    assert_same(here(asked, lake, tmp_path), on_spark(hands, asked, lake))


def test_a_data_set_without_a_row_has_no_chunk(lake, hands, tmp_path):
    asked = request(date_from="2027-01-01")
    spark = on_spark(hands, asked, lake)
    assert_same(here(asked, lake, tmp_path), spark)
    assert spark.files.keys() <= {"student_step.csv", "learning_curve.csv"}


class KillingHands(SparkHands):
    """Hands whose first task of each kind loses its worker when it has just done its work."""

    def over(self, function: Callable[[Any], Any], items: Iterable[Any], what: str = "") -> list[Any]:
        marker = Path(open_store(self.scratch_url).path(f"killed-{what}".replace(" ", "-").replace(":", "")))
        marker.parent.mkdir(parents=True, exist_ok=True)
        return super().over(partial(killed_once, marker, function), items, what)


def killed_once(marker: Path, function: Callable[[Any], Any], item: Any) -> Any:
    done = function(item)
    with suppress(FileExistsError):
        marker.touch(exist_ok=False)
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def test_a_worker_killed_after_its_work_changes_nothing(lake, spark, tmp_path, local):
    with KillingHands(spark, str(tmp_path / "scratch"), str(tmp_path / "there")) as hands:
        assert_same(local, on_spark(hands, request(), lake))
        kinds = [
            "DataShop-files",
            "DataShop-names",
            "DataShop-read-back",
            "DataShop-summary",
            "DataShop-what-the-lake-has",
            "DataShop-what-was-read",
            "DataShop-who-is-in-it",
        ]
        assert left_in(hands.scratch_url) == [f"killed-{kind}" for kind in kinds]


def test_a_file_with_personal_data_is_never_put_and_the_others_go(lake, hands):
    lookup = b'{"skill_titles": {"59012": "ann@example.edu"}}'
    known = KEY.scoped(request().scope).redaction([("torus.example.edu", "41203")], {"41203": "ann@example.edu"})
    with pytest.raises(PersonalData, match=r"chunk_0\.xml:\d+") as raised:
        on_spark(hands, request(), lake, lookup=lookup, redaction=known)
    assert "ann@" not in str(raised.value)
    assert left_in(hands.store_url) == left_in(hands.scratch_url) == []


def test_lake_and_store_in_buckets(lake, executors_on_s3, spark, local):
    s3 = executors_on_s3
    remote = open_store(f"{s3}/lake")
    for file in lake.files():
        remote.put(file.path, lake.folder / file.path)
    with SparkHands(spark, f"{s3}/scratch", f"{s3}/there") as hands:
        assert_same(local, on_spark(hands, request(), lake, remote.url))
        assert left_in(hands.scratch_url) == []
        assert sorted(left_in(hands.store_url)) == sorted(TARGET + name for name in local.files)
    assert not host_folder(hands.room).exists() or not list(host_folder(hands.room).iterdir())


def test_a_whole_data_set_is_the_same_as_the_local_engine_s(lake, spark, tmp_path):
    class Snapshot(SmallLake):
        url = lake.folder.as_uri()

    snapshot = Snapshot(**vars(lake))
    stores = open_store(str(tmp_path / "here")), open_store(str(tmp_path / "there"))
    for store in stores:
        store.put("contexts/job-1.json", LOOKUP)
    arguments = request(), snapshot
    one = export(*arguments, stores[0], pseudonyms=KEY, scratch=tmp_path / "scratch")
    other = export_on_spark(spark, *arguments, stores[1], pseudonyms=KEY, scratch=tmp_path / "scratch")
    assert one == other
    assert one.ok
    bodies = [{entry.key: store.get(entry.key).body for entry in store.list() if not entry.key.endswith("/run.json")} for store in stores]
    assert bodies[0] == bodies[1]
    assert {"student_step.csv", "receipt.json", "chunk_0.xml", "lookup.json"} <= {key.rpartition("/")[2] for key in bodies[0]}


def test_tasks_are_as_large_as_the_cluster_lets_them_be():
    assert [per_task(pieces, 2) for pieces in (1, 7, 16, 40, 10_000)] == [1, 1, 2, 5, 20]
    assert cut("abcde", 2) == ["ab", "cd", "e"]
    people = [Person(section, None, "u", rows) for section, rows in [(1, 200_000), (2, 90_000), (2, 20_000), (3, 900_000), (7, 5)]]
    assert section_groups(Plan((Piece(0, 0, tuple(people)),), frozenset(), frozenset())) == [(1,), (2,), (3,), (7,)]
    assert section_groups(Plan((Piece(0, 0, tuple(people[:2])),), frozenset(), frozenset())) == [(1, 2)]
