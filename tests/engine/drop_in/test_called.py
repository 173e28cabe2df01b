"""The job that Torus starts, from its argument list alone."""

from __future__ import annotations

import csv
import io
import json
import logging
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyspark
import pytest

from tests.command import clean_environment
from tests.engine.conftest import java_version
from tests.engine.drop_in.torus_world import GOLDEN, KEY, LATER, OTHER, SECTION, World, made_locally, make_buckets, make_folders
from torus_assets import settings
from torus_assets.engine import job
from torus_assets.engine.drop_in import called
from torus_assets.engine.drop_in.call import call_of

ATTEMPTS = "part_attempt_evalutedactivity_attempt_evaluatedpage_attempt_evaluted"
JOB = "2026-02-10_10-00-0{}.000000Z-7b0f8c1e-1111-4222-8333-123456789abc"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_folders(tmp_path_factory.mktemp("torus"))


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """An S3 of this module alone, as environment."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    yield names | {"AWS_DEFAULT_REGION": "us-east-1"}
    server.stop()


@pytest.fixture(scope="module")
def buckets(folders: World, aws: dict[str, str]) -> Iterator[World]:
    import boto3.session

    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.items():
            patch.setenv(name, value)
        yield make_buckets(folders, boto3.session.Session().client("s3"))


class Ended(dict[str, Any]):
    """The last words of a job; `status` is what it ended with."""

    status: int
    noise: str


def submitted(arguments: list[str], environment: Mapping[str, str], folder: Path) -> Ended:
    """`spark-submit job.py …` in a process of its own."""
    if (java_version() or 0) < 17:
        pytest.skip("Spark needs Java 17 or newer")
    program = Path(pyspark.__file__).parent / "bin/spark-submit"
    conf = ["--master", "local[2,4]", "--driver-memory", "1g", "--conf", f"spark.local.dir={folder}"]
    env = clean_environment(PYSPARK_PYTHON=sys.executable, TMPDIR=str(folder), **environment)
    done = subprocess.run(
        [program, *conf, job.__file__, *arguments], env=env, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.stdout, done.stderr[-3000:]
    return ended(done.returncode, done.stdout, done.stderr)


def ended(status: int, out: str, noise: str) -> Ended:
    found = Ended(json.loads(out.splitlines()[-1]))
    found.status, found.noise = status, noise
    assert found["exit"] == status, noise[-3000:]
    return found


def read_as_torus_does(world: World, job_id: str) -> list[str]:
    """The texts of all chunks, through the addresses in the manifest."""
    texts = []
    for address in world.manifest(job_id)["chunks"]:
        with urllib.request.urlopen(address) as answer:
            texts.append(answer.read().decode())
    return texts


# The whole way, from buckets --------------------------------------------------------------------------------------------------

HEAD = (
    "event_type,timestamp,user_id,section_id,project_id,publication_id,page_id,activity_id,activity_revision_id,attached_objectives,"
    "page_attempt_guid,page_attempt_number,part_id,part_attempt_guid,part_attempt_number,activity_attempt_number,activity_attempt_guid,score,"
    "out_of,response,feedback,hints\n"
)
FEEDBACK = (
    '"""{""content"":[{""children"":[{""text"":""Not quite: check the units.""}],""id"":""77120"",""type"":""p""}],""id"":""1190442""}"""'
)
OLD_CELLS = HEAD + "\n".join([
    f'Part Attempt,2026-02-03T15:06:41Z,U,9001,118,904,60480,60511,210774,"""10,11""",G,2,1,G,1,1,G,0.0,1.0,"""{{""files"":[],""input"":""a \\""q\\""\\nb \\u00e9""}}""",{FEEDBACK},"""773001"""',
    "Activity Attempt,2026-02-03T15:06:42Z,U,9001,118,904,60480,60511,210774,,G,2,,,,1,G,0.0,1.0,,,",
    "Page Attempt,2026-02-03T13:00:00Z,U,9001,118,904,60480,,,,G,2,,,,,,7.5,10.0,,,",
    'Part Attempt,2026-02-03T14:00:00Z,U,9001,118,904,60480,60511,210774,"""""",G,2,1,G,1,1,G,0.0,1.0,"""{""files"":[],""input"":""2887301124""}""","""null""",""""""',
]) + "\n"  # fmt: skip


def masked(text: str) -> str:
    """Pseudonyms, which nobody can write down beforehand, as U and G."""
    return re.sub(r"(?<=,)[0-9a-f]{32}(?=,)", "G", re.sub(r"(?<=,)s[a-z2-7]{32}(?=,)", "U", text))


def test_a_call_for_attempts_gives_what_torus_reads_in_the_old_cells_and_order(buckets, aws, tmp_path):
    """Sub types run together and misspelt, no key, no setting but how to reach S3; chunks of three rows."""
    job_id = JOB.format(1)
    buckets.look_up(job_id)
    arguments = buckets.arguments(job_id, "attempt_evaluated", f"{GOLDEN},77", ATTEMPTS, "--ignored_student_ids", "555001,555002", size=3)
    words = submitted(arguments, aws, tmp_path)
    assert words.status == 0, words
    assert (words["rows"], words["chunks"], words["reused"]) == (4, 2, False)
    assert words["source"]["lines"]["duplicates"] == 2

    manifest = buckets.manifest(job_id)
    run = f"{aws['AWS_ENDPOINT_URL']}/torus-datasets-test/{job_id}/runs/{words['run']}"
    assert manifest["chunks"] == [f"{run}/chunk_0.csv", f"{run}/chunk_1.csv"]
    first, second = map(masked, read_as_torus_does(buckets, job_id))
    assert first + second.removeprefix(HEAD) == OLD_CELLS
    assert manifest["context"] == {
        "bucket_name": "torus-xapi-test", "inventory_bucket_name": "torus-xapi-test-inventory", "results_bucket_name": "torus-datasets-test",
        "job_id": job_id, "ignored_student_ids": [], "ignored_students": 2, "chunk_size": 3, "section_ids": [77, GOLDEN], "page_ids": None,
        "action": "attempt_evaluated", "sub_types": ["part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated"],
        "exclude_fields": [], "project_id": None, "anonymize": True, "debug": False, "lookup": {},
    }  # fmt: skip

    notes = " ".join(words["notes"])
    assert "cannot be made again" in notes
    assert "section 77" in notes
    assert words["source"]["inventory"].endswith("2026-02-04T01-00Z/manifest.json")
    told = json.loads(buckets.store.get(f"{job_id}/runs/{words['run']}/run.json").body)
    assert told["source"]["cut_off"] == words["source"]["cut_off"]
    public = b"".join(buckets.store.get(key).body for key in buckets.keys(f"{job_id}/"))
    assert not re.search(rb"41207|555001|555002", public)
    assert all(name not in words.noise for name in ("41207", "@"))
    assert [path.name for path in tmp_path.iterdir()] == []
    assert {key.split("/")[0] for key in buckets.keys("")} == {"contexts", job_id}


def test_a_call_for_datashop_gives_the_files_of_the_local_engine(buckets, folders, aws, tmp_path):
    job_id = JOB.format(2)
    buckets.look_up(job_id)
    arguments = buckets.arguments(job_id, "datashop", f"{SECTION},{OTHER}", "datashop", size=500)
    environment = {**aws, "TORUS_PSEUDONYM_KEY": KEY, "TORUS_MAX_QUARANTINED_SHARE": "0.5"}
    words = submitted(arguments, environment, tmp_path)
    assert words.status == 0, words
    wanted, store = made_locally(folders, call_of(arguments, settings.from_environment({})).request, tmp_path / "local")
    assert wanted.rows == words["rows"] > 100
    texts = read_as_torus_does(buckets, job_id)
    assert [text.encode() for text in texts] == [store.get(wanted.folder + name).body for name in wanted.chunks]
    assert 'name="ATTEMPT"' in texts[0]


# In this process, from folders ------------------------------------------------------------------------------------------------


@pytest.fixture
def call(folders: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Calls the job here, with results in a folder of the test."""
    monkeypatch.setenv("TORUS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORUS_PSEUDONYM_KEY", KEY)
    monkeypatch.setenv("TORUS_MAX_QUARANTINED_SHARE", "0.5")
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def once(arguments: list[str]) -> Ended:
        capsys.readouterr()
        status = called.main(arguments)
        said = capsys.readouterr()
        return ended(status, said.out, said.err)

    return once


def a_copy(world: World, folder: Path) -> World:
    """The world with bundles of its own."""
    import shutil

    shutil.copytree(world.root / "events", folder / "events")
    shutil.copytree(world.root / "events-inventory", folder / "events-inventory")
    shutil.copy(world.root / "lookup.json", folder)
    return World(folder, f"file://{folder / 'events'}", f"file://{folder / 'results'}")


def test_whole_damaged_sections_are_the_bytes_of_the_local_engine_and_a_second_call_only_verifies_them(call, folders, spark, tmp_path):
    world = a_copy(folders, tmp_path)
    world.look_up("wide")
    arguments = world.arguments("wide", "attempt_evaluated", f"{SECTION},{OTHER},{GOLDEN}", ATTEMPTS, size=97)
    words = call(arguments)
    assert words.status == 0, words
    wanted, store = made_locally(world, call_of(arguments, settings.from_environment({})).request, tmp_path / "local")
    mine = f"wide/runs/{words['run']}/"
    assert words["rows"] == wanted.rows > 100
    assert len(wanted.chunks) > 2
    assert all(world.store.get(mine + name).body == store.get(wanted.folder + name).body for name in wanted.chunks)
    assert words["source"]["lines"]["refused"] > 0
    assert "cannot be read" in " ".join(words["notes"])

    before = world.manifest("wide"), world.keys("wide/"), world.store.get(f"{mine}run.json")
    again = call(arguments)
    assert (again.status, again["reused"], again["run"]) == (0, True, words["run"])
    assert (world.manifest("wide"), world.keys("wide/"), world.store.get(f"{mine}run.json")) == before


def test_an_object_of_the_inventory_that_is_gone_is_not_passed_over_in_silence(call, folders, spark, tmp_path):
    world = a_copy(folders, tmp_path)
    world.look_up("lossy")
    world.bundles.delete([LATER])
    take_old = world.arguments("lossy", "attempt_evaluated", f"{GOLDEN},{SECTION}", ATTEMPTS)
    words = call(take_old)
    assert words.status == 3, words
    assert words["source"]["gone"] == 1
    assert "1 objects that the inventory" in words["problems"][0]
    rows = list(csv.DictReader(io.StringIO(read_as_torus_does(world, "lossy")[0])))
    assert len([row for row in rows if row["section_id"] == str(GOLDEN)]) == 3  # page, and both parts by the replay


def test_a_day_of_too_many_refused_lines_is_held_and_nothing_is_published(call, folders, spark, tmp_path, monkeypatch):
    monkeypatch.setenv("TORUS_MAX_QUARANTINED_SHARE", "0.0")
    world = a_copy(folders, tmp_path)
    world.look_up("held")
    arguments = world.arguments("held", "attempt_evaluated", f"{SECTION},{OTHER}", ATTEMPTS)
    words = call(arguments)
    assert words.status == 3
    assert "held day" in words["problems"][0]
    assert world.keys("held/") == []
    assert call([*arguments, "--include_held", "true"]).status == 0
    assert list(tmp_path.glob("torus-*")) == []


def test_a_lake_is_read_where_one_is_named(call, folders, spark, tmp_path):
    world = a_copy(folders, tmp_path)
    world.look_up("of-lake")
    arguments = world.arguments("of-lake", "attempt_evaluated", str(GOLDEN), ATTEMPTS)
    made_locally(world, call_of(arguments, settings.from_environment({})).request, tmp_path / "local")
    words = call([*arguments, "--lake_url", f"file://{tmp_path / 'local/lake'}", "--links", "relative", "--dialect", "rfc4180"])
    assert (words.status, words["rows"]) == (0, 4)
    assert words["source"]["lake"].endswith("/local/lake")
    assert world.manifest("of-lake")["chunks"] == [f"runs/{words['run']}/chunk_0.csv"]


# Without a Spark ---------------------------------------------------------------------------------------------------------------


def test_sections_without_an_object_give_an_empty_data_set_that_says_so(call, folders, tmp_path):
    world = a_copy(folders, tmp_path)
    world.look_up("empty")
    words = call(world.arguments("empty", "video", "77,78", "playedpausedseekedcompleted"))
    assert (words.status, words["rows"], words["chunks"]) == (0, 0, 0)
    assert world.manifest("empty")["chunks"] == []
    assert words["notes"] == ["the store has no object of section 77, 78", "the data set is empty: rows 0"]
    assert b"This data set is empty" in world.store.get(f"empty/runs/{words['run']}/index.html").body


def test_wrong_usage_names_every_mistake_and_writes_nothing(call, folders, tmp_path):
    world = World(tmp_path, folders.bucket, f"file://{tmp_path / 'results'}")
    words = call([*world.arguments("x", "vidio", "a", ""), "--exlude_fields", "hints"])
    assert words.status == 2
    assert [problem.split(":")[0] for problem in words["problems"]] == ["exlude_fields", "action", "section_ids"]
    assert not (tmp_path / "results").exists()


def test_a_lookup_that_cannot_be_read_ends_the_call_before_the_work(call, folders, tmp_path):
    world = World(tmp_path, folders.bucket, f"file://{tmp_path / 'results'}")
    world.store.put("contexts/broken.json", b"{")
    words = call(world.arguments("broken", "attempt_evaluated", str(GOLDEN), ATTEMPTS))
    assert words.status == 1
    assert "lookup is no JSON document" in words["problems"][0]
    assert world.keys() == ["contexts/broken.json"]


def test_a_job_without_lookup_is_told_and_for_datashop_something_is_lost(call, folders, tmp_path):
    world = World(tmp_path, folders.bucket, f"file://{tmp_path / 'results'}")
    assert call(world.arguments("none", "page_viewed", "77", "page_viewed")).status == 0
    words = call(world.arguments("none-either", "datashop", "77", "datashop"))
    assert words.status == 3
    assert "is --results_bucket_name the bucket that Torus writes to?" in words["problems"][0]
