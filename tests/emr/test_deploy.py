"""Code and application of EMR Serverless: planned without a trace, put in place in an order that never leaves half of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.emr.emr_world import ROLE, EmrWorld
from torus_assets.clients.emr import EmrServerless
from torus_assets.clients.emr_errors import EmrError, NotThere
from torus_assets.clients.object_store import open_store
from torus_assets.emr import applications, deploy
from torus_assets.emr.contents import Contents
from torus_assets.emr.deployed import Code, code, code_store
from torus_assets.emr.package import Built, package
from torus_assets.emr.pins import Target
from torus_assets.emr.releases import release_of
from torus_assets.emr.spark_parameters import NotForEmr, job_variables, spark_properties, spark_submit_parameters
from torus_assets.settings import Settings, SparkSettings, from_environment

AT = "2026-03-01T00:00:00+00:00"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:torus-AbCdEf"
JOB = Path(__file__).parents[2] / "torus_assets" / "engine" / "job.py"


@pytest.fixture
def chosen(emr: EmrWorld, tmp_path: Path) -> Settings:
    settings = from_environment({"TORUS_HOME": str(tmp_path), "TORUS_SCRATCH_URL": "s3://private/scratch"})
    return replace(
        settings, emr=emr.settings(application_id=None, application_name=emr.application_name, secrets={"TORUS_PSEUDONYM_KEY": SECRET})
    )


@pytest.fixture
def client(emr: EmrWorld) -> EmrServerless:
    return EmrServerless(emr.client())


def small(folder: Path, text: str = "", release: str = "emr-7.13.0") -> Path:
    """A package of job.py alone, with a text added to it."""
    folder.mkdir(exist_ok=True)
    source = folder / "torus_assets" / "engine" / "job.py"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(JOB.read_text() + text)
    package(Built(Contents({"torus_assets.engine.job": source}), (), Target(release_of(release), "x86_64")), folder, wheels=None)
    return folder


def keys(world: EmrWorld) -> list[str]:
    return [entry.key for entry in open_store(world.bucket).list()]


def put_in_place(chosen: Settings, folder: Path, client: EmrServerless | None, **limits: int) -> list[str]:
    """Deploys; what was said on the way."""
    said: list[str] = []
    deploy.carry_out(deploy.plan(chosen, deploy.packaged(folder, chosen), client, **limits), client, at=AT, say=said.append)
    return said


def test_a_plan_changes_nothing_and_names_no_secret(emr, chosen, client, tmp_path):
    before = dict(vars(emr.application))
    document = deploy.plan(chosen, deploy.packaged(small(tmp_path / "p"), chosen), client, most_vcpus=40).document()
    assert keys(emr) == []
    assert vars(emr.application) == before
    assert document["application"] == emr.application_id
    assert document["update"]["maximumCapacity"] == {"cpu": "40 vCPU", "memory": "160 GB"}
    assert [each["to"].removeprefix(f"{emr.bucket}/code/") for each in document["uploads"]][-2:] == ["dataset.zip", "job.py"]
    assert f"EMR.secret@{SECRET}" in json.dumps(document)


def test_the_version_is_up_before_the_names_that_torus_uses(emr, chosen, client, tmp_path):
    said = put_in_place(chosen, small(tmp_path / "p"), client)
    uploaded = [line.removeprefix("uploading ") for line in said if line.startswith("uploading")]
    version = uploaded[0].split("/")[1]
    assert uploaded == [f"versions/{version}/{name}" for name in ("dataset.zip", "dataset.json", "job.py")] + ["dataset.zip", "job.py"]
    assert [line for line in said if "application" in line] == [
        f"stopping application {emr.application_id}",
        f"changed application {emr.application_id}: architecture, monitoringConfiguration, runtimeConfiguration",
    ]
    assert "code/deployed.json" in keys(emr)
    place = code(chosen.emr)
    assert place == Code(f"{emr.bucket}/code/versions/{version}/job.py", f"{emr.bucket}/code/versions/{version}/dataset.zip", version)
    store = open_store(f"{emr.bucket}/code")
    assert store.get("job.py").body == store.get(f"versions/{version}/job.py").body == JOB.read_bytes()


def test_a_busy_application_keeps_the_old_code_under_the_names_that_torus_uses(emr, chosen, client, tmp_path):
    put_in_place(chosen, small(tmp_path / "old"), client)
    before = code(chosen.emr)
    emr.application.state = "STARTED"
    run = emr.add("RUNNING")
    new = small(tmp_path / "new", "# changed\n")
    with pytest.raises(applications.Busy, match=r"has 1 active job runs: wait for their end, or deploy the code alone \(--code-only\)"):
        put_in_place(chosen, new, client)
    assert code(chosen.emr) == before
    assert open_store(f"{emr.bucket}/code").get("job.py").body == JOB.read_bytes()
    assert emr.application.state == "STARTED"
    emr.move(run, "SUCCESS")
    put_in_place(chosen, new, client)
    assert code(chosen.emr) != before
    assert open_store(before.job_url.rpartition("/")[0]).head("dataset.zip")  # a job that started before still finds its code
    assert open_store(f"{emr.bucket}/code").get("job.py").body.endswith(b"# changed\n")


def test_what_is_in_place_is_not_uploaded_again(chosen, tmp_path):
    folder = small(tmp_path / "p")
    assert put_in_place(chosen, folder, None) != []
    assert put_in_place(chosen, folder, None) == []
    code_store(chosen.emr).delete(["job.py"])
    assert put_in_place(chosen, folder, None) == ["uploading dataset.zip", "uploading job.py"]


def test_a_name_that_is_free_gets_an_application_with_limits_and_logs(emr, chosen, client, tmp_path):
    chosen = replace(chosen, emr=replace(chosen.emr, application_name="torus-new"))
    found = deploy.plan(chosen, deploy.packaged(small(tmp_path / "p"), chosen), client)
    assert found.creation is not None
    assert found.creation["maximumCapacity"] == {"cpu": "100 vCPU", "memory": "400 GB"}
    assert found.creation["architecture"] == "X86_64"
    assert found.creation["monitoringConfiguration"] == {
        "cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": "/aws/emr-serverless"},
        "s3MonitoringConfiguration": {"logUri": f"{emr.bucket}/logs/"},
    }
    document = deploy.carry_out(found, client, at=AT)
    made = emr.backend.applications[document["application_id"]]
    assert (made.name, made.release_label, made.type) == ("torus-new", "emr-7.13.0", "Spark")
    assert made.auto_stop_configuration == {"enabled": True, "idleTimeoutMinutes": 15}


def test_only_what_is_ours_is_changed(chosen):
    document = applications.creation(chosen, "x86_64", "t", most_vcpus=None, idle_minutes=None)
    existing: dict[str, Any] = {
        name: document[name] for name in ("releaseLabel", "architecture", "monitoringConfiguration", "runtimeConfiguration")
    }
    existing |= {"networkConfiguration": {"subnetIds": ["subnet-1"]}, "maximumCapacity": {"cpu": "8 vCPU", "memory": "32 GB"}}
    assert applications.change(existing, chosen, "x86_64", most_vcpus=None, idle_minutes=None) == {}

    theirs = {"classification": "spark-defaults", "properties": {"spark.theirs": "1", "spark.redaction.regex": "old"}}
    log4j = {"classification": "spark-driver-log4j2", "properties": {"rootLogger.level": "warn"}}
    logs = {"cloudWatchLoggingConfiguration": {"enabled": False, "logStreamNamePrefix": "torus"}}
    existing |= {"runtimeConfiguration": [log4j, theirs], "monitoringConfiguration": logs, "releaseLabel": "emr-7.9.0"}
    changed = applications.change(existing, chosen, "x86_64", most_vcpus=None, idle_minutes=None)
    assert changed.keys() == {"releaseLabel", "monitoringConfiguration", "runtimeConfiguration"}
    assert changed["monitoringConfiguration"]["cloudWatchLoggingConfiguration"] == {
        "enabled": True,
        "logGroupName": "/aws/emr-serverless",
        "logStreamNamePrefix": "torus",
    }
    kept, merged = changed["runtimeConfiguration"]
    assert kept == log4j
    assert merged["properties"]["spark.theirs"] == "1"
    assert merged["properties"]["spark.emr-serverless.driverEnv.TORUS_SCRATCH_URL"] == "s3://private/scratch"
    assert not [name for name in merged["properties"] if name.endswith("TORUS_LAKE_URL")]


def test_two_applications_of_one_name_are_told_apart_by_people(emr, chosen, client):
    other = emr.client().create_application(name=emr.application_name, releaseLabel="emr-7.13.0", type="SPARK")["applicationId"]
    with pytest.raises(EmrError, match="2 applications are called") as caught:
        applications.application(client, chosen.emr)
    assert other in str(caught.value)
    assert emr.application_id in str(caught.value)


def test_the_name_is_found_behind_the_first_fifty(emr, chosen, client):
    for number in range(51):
        emr.client().create_application(name=f"many-{number}", releaseLabel="emr-7.13.0", type="SPARK")
    last = replace(chosen.emr, application_name="many-50")
    found = applications.application(client, last)
    assert found is not None
    assert found["name"] == "many-50"
    with pytest.raises(NotForEmr, match="no application is called 'nobody'"):
        applications.application_id(client, replace(last, application_name="nobody"))
    with pytest.raises(NotThere, match="application 00nothere is not there: check the id, AWS_REGION and the account"):
        client.application("00nothere")


def test_a_package_that_does_not_fit_is_refused(chosen, tmp_path):
    with pytest.raises(deploy.NotPackaged, match="has no package: run `torus emr package` first"):
        deploy.packaged(tmp_path, chosen)
    folder = small(tmp_path / "p", release="emr-7.9.0")
    with pytest.raises(deploy.NotPackaged, match=r"for emr-7\.9\.0, and EMR_RELEASE_LABEL is emr-7\.13\.0"):
        deploy.packaged(folder, chosen)
    folder = small(tmp_path / "p")
    with pytest.raises(deploy.NotPackaged, match="for x86_64, not for arm64"):
        deploy.packaged(folder, chosen, "arm64")
    (folder / "job.py").write_text("other")
    with pytest.raises(deploy.NotPackaged, match="is not the one in the archive"):
        deploy.packaged(folder, chosen)
    with (folder / "dataset.zip").open("ab") as archive:
        archive.write(b"x")
    with pytest.raises(deploy.NotPackaged, match="is not what its manifest says"):
        deploy.packaged(folder, chosen)


def test_a_custom_image_brings_the_packages_itself(emr, chosen, client):
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/torus:1"
    chosen = replace(chosen, emr=replace(chosen.emr, image_uri=image))
    found = deploy.plan(chosen, deploy.job_only(chosen, "arm64"), client)
    assert [upload.key.rpartition("/")[2] for upload in found.uploads] == ["job.py", "job.py"]
    assert found.change["imageConfiguration"] == {"imageUri": image}
    assert found.change["architecture"] == "ARM64"
    assert "spark.archives" not in found.torus["EMR_DATASET_SPARK_SUBMIT_PARAMETERS"]
    deploy.carry_out(found, client, at=AT)
    assert code(chosen.emr).archive_url is None


def test_torus_is_told_what_starts_our_job(emr, chosen, tmp_path):
    found = deploy.plan(chosen, deploy.packaged(small(tmp_path / "p"), chosen), None).torus
    assert found["EMR_DATASET_APPLICATION_NAME"] == emr.application_name
    assert found["EMR_DATASET_ENTRY_POINT"] == f"{emr.bucket}/code/job.py"
    assert found["EMR_DATASET_EXECUTION_ROLE"] == ROLE
    words = found["EMR_DATASET_SPARK_SUBMIT_PARAMETERS"].split()
    assert f"spark.archives={emr.bucket}/code/dataset.zip#dataset" in words
    assert "spark.executorEnv.PYSPARK_PYTHON=/usr/bin/python3.11" in words
    assert f"spark.emr-serverless.driverEnv.TORUS_PSEUDONYM_KEY=EMR.secret@{SECRET}" in words
    assert set(words[::2]) == {"--conf"}


def test_spark_conf_wins_and_what_cannot_be_said_is_refused_without_its_value(chosen):
    mine = SparkSettings(conf={"spark.executor.memory": "20g"})
    assert spark_properties(chosen.emr, mine, None)["spark.executor.memory"] == "20g"
    with pytest.raises(NotForEmr, match=r"^spark\.x: white space, quotes and backslashes") as caught:
        spark_submit_parameters(chosen.emr, SparkSettings(conf={"spark.x": "-Dsecret=1 -Dmore"}), None)
    assert "secret" not in str(caught.value)
    with pytest.raises(NotForEmr, match=r"emr-7\.0\.0 has no Python 3\.11"):
        spark_submit_parameters(replace(chosen.emr, release="emr-7.0.0"), mine, None)


def test_folders_of_this_machine_are_no_places_for_a_job(chosen):
    with pytest.raises(NotForEmr, match="set TORUS_LAKE_URL, TORUS_XAPI_URL to s3://"):
        job_variables(chosen, ("TORUS_XAPI_URL", "TORUS_LAKE_URL"))
    found = job_variables(
        replace(chosen, lake_url="s3://lake", pseudonym_key="never say this", tombstone_key="nor this"), ("TORUS_LAKE_URL",)
    )
    assert found["TORUS_LAKE_URL"] == "s3://lake"
    assert "TORUS_XAPI_URL" not in found
    assert not any("this" in value for value in found.values())
