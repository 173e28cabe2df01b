"""Data sets as the graph makes them: which asset, what the run shows, and what is never published."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import dagster as dg
import polars as pl
import psycopg
import pytest

from resources.lake import LakeResource
from resources.postgres import PostgresResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from tests.datasets.postgres_server import PASSWORD_IN_URL, READER, binaries, postgres
from tests.datasets.test_lookup_database import NEW, PAGE, SCHEMA, Torus
from tests.factories import EXAMPLES, Place, bundle_key, changed, line
from torus_assets import runs, settings
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.assets import dataset_csv, dataset_datashop, dataset_lookup
from torus_assets.datasets.catalog import submit
from torus_assets.datasets.datashop import attempts
from torus_assets.datasets.request import parse_request

LOOKUP = {
    "dataset_name": "graph-test",
    "skill_titles": {"59012": "Balance equations"},
    "hierarchy": {"60480": {"title": "Page one", "graded": False, "children": None}},
    "activities": {
        "60511": {"type": "oli_multiple_choice", "choices": [{"id": "2887301124", "content": [{"text": "Water"}]}], "parts": []}
    },
    "users": {"41207": {"email": "learner@example.edu"}},
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("TORUS_XAPI_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL", "TORUS_PSEUDONYM_KEY", "TORUS_DATABASE_URL", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    monkeypatch.setenv("TORUS_WORKERS", "1")
    place = Place(tmp_path)
    hints = changed(EXAMPLES["part_attempt_evaluated"], {"ext(part_attempt_guid)": "11111111-2222-4333-8444-555555555555"})
    lines = [line(EXAMPLES[name]) for name in ("part_attempt_evaluated", "page_viewed", "tutor_message")]
    place.put(bundle_key("A"), [*lines, line(hints)])
    place.ingest()
    return tmp_path


def datasets(home: Path) -> ObjectStore:
    return open_store(settings.from_environment().datasets_url)


def asked(home: Path, action: str, **more: object):
    store = datasets(home)
    store.put("contexts/job.json", json.dumps(LOOKUP).encode())
    document = {"job_id": "job", "action": action, "section_ids": [3021], **more}
    submit(store, json.dumps(document).encode())
    return parse_request(document)


def test_a_request_for_datashop_runs_its_own_asset_with_all_checks(home):
    outcome = runs.run_dataset(asked(home, "datashop", format=["datashop-xml", "datashop-tab"]))
    assert outcome.errors == []
    assert outcome.checks == {
        f"datasets/datashop:{name}": True for name in ("receipt_is_true", "nobody_is_named", "datashop_takes_it", "files_equal_lake")
    }
    assert outcome.of("datasets/csv") == {}
    [found] = outcome.of("datasets/datashop").values()
    assert (found["transactions"], found["hints"], found["files"]) == (5, 2, 2)  # two attempts with a hint each, one message of a tutor
    [lookup] = outcome.of("datasets/lookup").values()
    assert (lookup["source"], lookup["activities"], lookup["users"]) == ("beside the request", 1, 1)
    manifest = json.loads(datasets(home).get("job/manifest.json").body)
    assert [name.rsplit("/", 1)[1] for name in manifest["chunks"]] == ["chunk_0.txt", "chunk_0.xml"]


def test_materializing_the_other_asset_says_which_one_it_is(home):
    asked(home, "datashop")
    chosen = settings.from_environment()
    resources = {
        "lake": LakeResource(url=chosen.lake_url),
        "datasets": ObjectStoreResource(url=chosen.datasets_url),
        "progress": ProgressResource(),
        "postgres": PostgresResource(),
        **{name: runs.definitions.resources_for(chosen)[name] for name in ("duckdb", "spark")},
    }
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("dataset_jobs", ["job"])
        found = dg.materialize(
            [dataset_lookup, dataset_csv, dataset_datashop],
            selection=[dg.AssetKey(["datasets", "csv"])],
            partition_key="job",
            resources=resources,
            instance=instance,
            raise_on_error=False,
        )
    [failure] = [event for event in found.all_events if event.event_type == dg.DagsterEventType.STEP_FAILURE]
    assert "this request is for datasets/datashop" in str(failure.step_failure_data.error)


def test_without_a_lookup_content_appears_under_its_ids_and_the_run_says_so(home):
    request = asked(home, "datashop")
    datasets(home).delete(["contexts/job.json"])
    outcome = runs.run_dataset(request)
    assert outcome.success
    [lookup] = outcome.of("datasets/lookup").values()
    assert lookup["source"].startswith("none")
    [found] = outcome.of("datasets/datashop").values()
    assert found["notes"]["skills_not_in_lookup"] > 0
    body = datasets(home).get(f"job/runs/{found['run']}/chunk_0.xml").body
    assert b"<name>Page 60480</name>" in body


@pytest.mark.skipif(binaries() is None, reason="no PostgreSQL here: neither on PATH nor in /usr/lib/postgresql")
def test_without_a_lookup_it_is_asked_from_the_database_once_and_kept(home, monkeypatch):
    request = asked(home, "datashop")
    datasets(home).delete(["contexts/job.json"])
    with postgres() as server:
        server.execute("CREATE DATABASE torus")
        with psycopg.connect(server.url(database="torus")) as session:
            session.execute(SCHEMA)
            torus = Torus(session)
            torus.fill()
            torus.publish(NEW, 60480, PAGE, "The page in the database")
        monkeypatch.setenv("TORUS_DATABASE_URL", server.url(READER, PASSWORD_IN_URL, "torus"))
        outcome = runs.run_dataset(request)
    assert outcome.errors == []
    [lookup] = outcome.of("datasets/lookup").values()
    assert (lookup["source"], lookup["users"]) == ("Torus' database", 2)
    [found] = outcome.of("datasets/datashop").values()
    store = datasets(home)
    assert b"<name>The page in the database</name>" in store.get(f"job/runs/{found['run']}/chunk_0.xml").body
    assert b"example.org" not in store.get(f"job/runs/{found['run']}/lookup.json").body
    again = runs.run_dataset(request)  # the database is gone: what was asked then is the lookup of this job
    assert [one["reused"] for one in again.of("datasets/datashop").values()] == [True]


@pytest.mark.parametrize("url", ["postgresql://torus:secret-word@127.0.0.1:1/torus"])
def test_a_database_that_does_not_answer_fails_the_run_without_its_password(home, monkeypatch, url):
    request = asked(home, "datashop")
    datasets(home).delete(["contexts/job.json"])
    monkeypatch.setenv("TORUS_DATABASE_URL", url)
    outcome = runs.run_dataset(request)
    assert not outcome.success
    assert "127.0.0.1" in outcome.errors[0]
    kept = b"".join(path.read_bytes() for path in (home / "dagster").rglob("*") if path.is_file())
    assert b"secret-word" not in kept + "".join(outcome.errors).encode()


def test_files_that_do_not_equal_the_lake_fail_the_check_and_are_not_published(home, monkeypatch):
    """The mapping loses its hints here: what is written is well-formed, and only the count tells."""
    request = asked(home, "datashop")
    lost = attempts.frame({}, pl.DataFrame())
    monkeypatch.setattr(attempts, "_hints", lambda rows, mapper: lost)
    outcome = runs.run_dataset(request)
    assert outcome.failed_checks == ["datasets/datashop:files_equal_lake"]
    store = datasets(home)
    assert store.head("job/manifest.json") is None
    [run] = {entry.key.split("/")[2] for entry in store.list("job/runs/")}
    evidence = json.loads(store.get(f"job/runs/{run}/receipt.json").body)["checks"]["datashop_xml_equals_lake"]
    assert evidence["differences"] == [
        "Section 3021: 3 transactions in the files, 5 in the lake",
        "Section 3021: 0 hints in the files, 2 in the lake",
    ]


def test_nothing_of_a_learner_reaches_logs_or_dagsters_storage(home, caplog):
    with caplog.at_level(logging.DEBUG):
        assert runs.run_dataset(asked(home, "datashop", ignored_student_ids=["90017"])).success
        assert runs.run_dataset(asked(home, "attempt_evaluated")).success
    kept = b"".join(path.read_bytes() for path in (home / "dagster").rglob("*") if path.is_file())
    for private in ("learner@example.edu", "41207", "90017", "b0f6a2de-1f7a-4c67-8a43-5f0f4e7c9d21"):
        assert private.encode() not in kept
        assert private not in caplog.text
