"""Tables on executors: every file of the run, byte by byte, as the local engine makes it."""

from __future__ import annotations

import csv
import io
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3.session
import pytest

from tests.datasets.table_world import DAYS, SECTIONS, make_world, old_order
from tests.factories import Place
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets import orders
from torus_assets.datasets.export import ExportResult, UnknownSections, export, result_of
from torus_assets.datasets.pseudonyms import PseudonymKey, Pseudonyms
from torus_assets.datasets.reading import survey
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.release import PersonalData
from torus_assets.datasets.request import parse_request
from torus_assets.engine.export import curves, tables
from torus_assets.engine.export.datasets import OnSpark, export_on_spark, file_groups
from torus_assets.engine.export.tables import Cut, per_task, sought, stretches
from torus_assets.engine.hands import SparkHands, host_folder
from torus_assets.xapi.lake import DayFile, Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

KEY = PseudonymKey(b"a key of the tests, not of anybody")
BATCH_ROWS = 20  # pieces of the order; chunks cut them


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections are looked through in parts, and students counted in parts, as if there were millions."""
    monkeypatch.setattr(tables, "COPIES_ROWS", 40)
    monkeypatch.setattr(curves, "PART_ROWS", 30)


def asked(**keys: Any) -> Any:
    return parse_request({"job_id": "job-1", "action": "attempt_evaluated", "section_ids": list(SECTIONS), **keys})


def everything(store: ObjectStore) -> dict[str, bytes]:
    """Every object of the store; of run.json, which has clock times, only that it is there."""
    return {entry.key: b"" if entry.key.endswith("run.json") else store.get(entry.key).body for entry in store.list()}


def both(spark: SparkSession, lake: Lake, folder: Path, **keys: Any) -> tuple[ExportResult, dict[str, bytes], dict[str, bytes]]:
    """What Spark gave, its objects, and those of the local engine."""
    one, other = (open_store(str(folder / name)) for name in ("here", "spark"))
    shared: dict[str, Any] = {"pseudonyms": KEY, "scratch": folder / "scratch", "batch_rows": BATCH_ROWS}
    export(asked(**keys), lake.snapshot(), one, **shared)
    result = export_on_spark(spark, asked(**keys), lake.snapshot(), other, scratch_url=f"file://{folder}/private", **shared)
    return result, everything(other), everything(one)


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "keys",
    [
        {"format": ["csv", "parquet"], "chunk_rows": 33},
        {"dialect": "compat", "format": ["csv", "parquet"], "chunk_rows": 7},
        {"dialect": "compat", "order": "time", "chunk_rows": 1000},
        {
            "order": "source", "format": ["parquet"], "chunk_rows": 50, "exclude_fields": ["hints", "user_id"], "date_from": "2026-02-02",
            "date_to": "2026-02-04", "ignored_student_ids": ["41201", "41203"], "sub_types": ["part_attempt_evaluated"],
        },
        {"action": "video", "section_ids": [3021], "format": ["csv", "parquet"], "sub_types": ["paused", "seeked"], "chunk_rows": 4},
        {"action": "page_viewed", "section_ids": [3021]},
        {"action": "datashop", "format": ["datashop-xml", "datashop-tab"]},
    ],
    ids=["time", "source", "compat in time", "restricted", "video", "no rows", "datashop"],
)  # fmt: skip
def test_every_file_of_the_run_is_the_one_of_the_local_engine(spark, place, tmp_path, keys):
    result, found, wanted = both(spark, place.lake, tmp_path, **keys)
    assert list(found) == list(wanted)
    assert found == wanted
    assert bool(result.chunks) == (keys.get("action") != "page_viewed")
    assert left(tmp_path / "private") == left(tmp_path / "scratch") == []


def test_the_world_has_what_the_comparison_is_about(spark, place, tmp_path):
    result, found, _ = both(spark, place.lake, tmp_path, dialect="compat", chunk_rows=33, anonymize=False, permitted_by="the tests")
    assert len(result.chunks) > 3
    assert result.excluded["duplicates_across_days"] > 20
    texts = [io.StringIO(found[result.folder + name].decode(), newline="") for name in result.chunks]
    assert [row["page_attempt_guid"] for text in texts for row in csv.DictReader(text)] == old_order(place)
    again = result_of(open_store(str(tmp_path / "spark")), result.folder, reused=False)
    assert again == result


def test_a_second_call_only_verifies_and_unknown_sections_are_refused(spark, place, tmp_path):
    store = open_store(str(tmp_path / "out"))
    shared: dict[str, Any] = {"pseudonyms": KEY, "scratch": tmp_path / "scratch"}
    first = export_on_spark(spark, asked(), place.lake.snapshot(), store, **shared)
    before = [(entry.key, entry.last_modified) for entry in store.list()]
    again = export_on_spark(spark, asked(), place.lake.snapshot(), store, **shared)
    assert (first.reused, again.reused, again.run) == (False, True, first.run)
    assert [(entry.key, entry.last_modified) for entry in store.list()] == before
    with pytest.raises(UnknownSections, match="4711"):
        export_on_spark(spark, asked(section_ids=[3021, 4711]), place.lake.snapshot(), store, **shared)


@contextmanager
def environment_of_workers(spark: SparkSession, *names: str) -> Iterator[None]:
    """Workers get these variables of ours, as a job's workers have them from its start."""
    context = spark.sparkContext
    before = dict(context.environment)
    context.environment.update({name: os.environ[name] for name in names})
    try:
        yield
    finally:
        context.environment.clear()
        context.environment.update(before)


def test_a_lake_and_a_store_on_s3_give_the_same_bytes(spark, place, tmp_path, s3):
    private = f"{s3}-private"  # scratch is never in the bucket of results
    boto3.session.Session().client("s3").create_bucket(Bucket=private.removeprefix("s3://"))
    there = open_store(f"{s3}/lake")
    here = open_store(str(place.root / "lake"))
    for entry in here.list():
        there.put(entry.key, here.get(entry.key).body)
    wanted = open_store(str(tmp_path / "here"))
    keys = {"order": "source", "format": ["csv", "parquet"], "chunk_rows": 40}
    export(asked(**keys), place.lake.snapshot(), wanted, pseudonyms=KEY, scratch=tmp_path, batch_rows=BATCH_ROWS)
    with environment_of_workers(spark, "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        export_on_spark(
            spark, asked(**keys), Lake(f"{s3}/lake").snapshot(), open_store(f"{s3}/out"), pseudonyms=KEY, scratch=tmp_path / "driver",
            scratch_url=private, batch_rows=BATCH_ROWS,
        )  # fmt: skip
    found, local = everything(open_store(f"{s3}/out")), everything(wanted)
    pages = {key for key in local if key.endswith(("index.html", "manifest.json"))}  # the manifest names the bucket
    assert {key: body for key, body in found.items() if key not in pages} == {key: body for key, body in local.items() if key not in pages}
    assert found.keys() == local.keys()
    assert not list(open_store(private).list())
    again = open_store(str(tmp_path / "again"))
    export(asked(**keys), Lake(f"{s3}/lake").snapshot(), again, pseudonyms=KEY, scratch=tmp_path / "driver", batch_rows=BATCH_ROWS)
    assert everything(again) == local
    assert left(tmp_path / "driver") == []


def test_a_user_in_a_title_is_replaced_on_executors_too(spark, place, tmp_path):
    result, found, wanted = both(spark, place.lake, tmp_path, action="video", section_ids=[3021])
    names = KEY.scoped("job-1").learner("torus.example.edu", "41203")
    rows = list(csv.DictReader(io.StringIO(found[result.folder + "chunk_0.csv"].decode())))
    assert found == wanted
    assert {row["video_title"] for row in rows} == {f"Cells for {names}"}


def test_what_would_name_a_user_publishes_nothing_and_leaves_nothing(spark, place, tmp_path, monkeypatch):
    """Replaced by the id of another one: the look at the finished file finds that."""
    whole = Pseudonyms.redaction
    monkeypatch.setattr(
        Pseudonyms, "redaction", lambda names, users, emails: Redaction({**whole(names, users, emails).tokens, "41203": "41204"})
    )
    store = open_store(str(tmp_path / "out"))
    with pytest.raises(PersonalData, match=r"chunk_\d+\.csv:\d+") as refusal:
        export_on_spark(
            spark, asked(chunk_rows=20), place.lake.snapshot(), store, pseudonyms=KEY, scratch=tmp_path / "scratch",
            scratch_url=f"file://{tmp_path}/private", batch_rows=BATCH_ROWS,
        )  # fmt: skip
    assert "4120" not in str(refusal.value)
    assert left(tmp_path) == []


class KillingHands(SparkHands):
    """Hands of which the first task of each kind loses its worker right after its work."""

    def over(self, function: Callable[[Any], Any], items: Iterable[Any], what: str = "") -> list[Any]:
        marker = open_store(self.scratch_url).path("killed " + what.replace(":", ""))
        marker.parent.mkdir(parents=True, exist_ok=True)
        return super().over(partial(killed_once, marker, function), items, what)


def killed_once(marker: Path, function: Callable[[Any], Any], item: Any) -> Any:
    done = function(item)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done


def test_workers_that_are_killed_change_nothing(spark, place, tmp_path):
    keys = {"order": "source", "chunk_rows": 33}
    here, there = open_store(str(tmp_path / "here")), open_store(str(tmp_path / "there"))
    shared: dict[str, Any] = {"pseudonyms": KEY, "scratch": tmp_path / "scratch", "batch_rows": BATCH_ROWS}
    export(asked(**keys), place.lake.snapshot(), here, **shared)
    with KillingHands(spark, str(tmp_path / "private"), there.url) as hands:
        export(asked(**keys), place.lake.snapshot(), there, site=OnSpark(hands, place.lake.url), **shared)
        assert not list(host_folder(hands.room).iterdir())
    assert everything(there) == everything(here)
    killed = {path.name.removeprefix("killed tables ") for path in (tmp_path / "private").glob("killed tables *")}
    assert killed == {"copies of events", "what stays", "chunks", "learning curves"}


# The cutting, without Spark --------------------------------------------------------------------------------------------------


def some_pieces(n: int) -> list[orders.Range]:
    return [orders.Range((1, at), (1, at), (0,), (1,), 10) for at in range(n)]


def test_stretches_hold_each_row_that_stays_once_and_in_order():
    kept = [5, 0, 12, 1, 30, 0, 2]
    for chunk_rows in (1, 4, 7, 50):
        for chunks in (1, 3):
            found = stretches(some_pieces(7), kept, chunk_rows, chunks)
            rows = [(cut.number, cut.first + at) for one in found for cut in one.cuts for at in range(cut.rows)]
            assert rows == [(number, at) for number, n in enumerate(kept) for at in range(n)]
            assert [one.first_chunk for one in found] == list(range(0, -(-50 // chunk_rows), chunks))
            sizes = [sum(cut.rows for cut in one.cuts) for one in found]
            assert all(size == chunk_rows * chunks for size in sizes[:-1])
    assert stretches(some_pieces(2), [0, 0], 5, 1) == []
    assert stretches(some_pieces(2), [3, 3], 4, 1)[1].cuts == (Cut(1, some_pieces(2)[1], 1, 2),)


def test_a_task_reads_a_few_pieces_and_writes_whole_chunks():
    assert per_task(rows=10_000_000, chunk_rows=50_000, batch_rows=100_000, cores=2) == 8
    assert per_task(rows=400_000, chunk_rows=50_000, batch_rows=100_000, cores=2) == 1  # all cores have some
    assert per_task(rows=10_000_000, chunk_rows=2_000_000, batch_rows=100_000, cores=2) == 1


def test_copies_are_looked_for_in_sections_of_several_days_each_part_by_hash(place):
    snapshot = place.lake.snapshot()
    files = snapshot.files(kinds=asked().table.kinds)
    with snapshot.local(files, place.root) as paths:
        seen = survey(asked(order="source"), files, paths)
    found = sought(asked(order="source"), seen)
    assert [one.number for one in found] == list(range(len(found)))
    assert {one.sections for one in found} == {(998,), (3021,), (12045,)}
    for section in SECTIONS:
        parts = [one.part for one in found if one.sections == (section,)]
        assert parts == [(n, len(parts)) for n in range(len(parts))]
        assert len(parts) > 1
    assert not sought(asked(order="source"), replace(seen, files=[file._replace(day=DAYS[0]) for file in files]))


def test_files_are_looked_through_in_groups_of_some_bytes():
    files = [DayFile(str(n), None, "part_attempt", 1, size) for n, size in enumerate((200 << 20, 100 << 20, 100 << 20, 900 << 20, 1))]  # pyright: ignore[reportArgumentType]
    groups = file_groups(list(enumerate(files)), cores=1)
    assert [[number for number, _ in group] for group in groups] == [[0], [1, 2], [3], [4]]
    assert len(file_groups(list(enumerate(files)), cores=2)) == 5
