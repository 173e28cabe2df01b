"""`torus emr` as people use it: processes of their own, against EMR Serverless as moto plays it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3.session
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from tests.command import MAIN, PROJECT, Torus, clean_environment
from tests.emr.emr_world import ROLE, EmrWorld, many
from tests.emr.test_deploy import small
from torus_assets.clients.emr import EmrServerless
from torus_assets.clients.emr_errors import EmrError
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.catalog import request_key
from torus_assets.emr.submit import follow

JOB_ID = "2026-03-01_10-11-12.123456Z-0a1b2c3d-0a1b-4c2d-8e3f-0a1b2c3d4e5f"
TORUS_CALL = [
    "--bucket_name", "torus-xapi", "--chunk_size", "5000", "--sub_types", "playedpaused", "--job_id", JOB_ID, "--section_ids", "1,2",
    "--page_ids", "all", "--action", "video", "--enforce_project_id", "9", "--ignored_student_ids", "4711,4712",
]  # fmt: skip


@pytest.fixture
def torus(emr: EmrWorld, tmp_path: Path) -> Torus:
    """The command, with stores in moto and code deployed."""
    store = open_store(f"{emr.bucket}/code")
    store.put("job.py", b"")
    store.put("dataset.zip", b"")
    places = {f"TORUS_{name}_URL": f"{emr.bucket}/{name.lower()}" for name in ("LAKE", "DATASETS", "XAPI", "INVENTORY")}
    return Torus(tmp_path, {**emr.environment(), **aws(), **places})


def aws() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def ends_as(world: EmrWorld, *states: str, details: str = "") -> None:
    """Every run that is started goes through these states."""

    def walk(run: Any) -> None:
        world.walk(run.id, *states)
        run.state_details = details

    world.on_start = walk


def request(folder: Path, **more: Any) -> Path:
    file = folder / "request.json"
    document = {"job_id": "study-1", "action": "video", "section_ids": [1], "ignored_student_ids": ["4711"], **more}
    file.write_text(json.dumps(document))
    return file


def test_a_dry_run_shows_the_whole_request_and_starts_nothing(torus, emr):
    said = torus("emr", "submit", "--dry-run", "--json", "--", *TORUS_CALL, EMR_SECRETS="TORUS_PSEUDONYM_KEY=arn:aws:x").expect(0)
    document = said.document["start_job_run"]
    assert document["clientToken"] == document["name"] == JOB_ID
    assert document["executionRoleArn"] == ROLE
    spark_submit = document["jobDriver"]["sparkSubmit"]
    assert spark_submit["entryPoint"] == f"{emr.bucket}/code/job.py"
    assert spark_submit["entryPointArguments"] == [*TORUS_CALL[:-1], "(2 ids)"]
    assert f"--conf spark.archives={emr.bucket}/code/dataset.zip#dataset" in spark_submit["sparkSubmitParameters"]
    assert "TORUS_PSEUDONYM_KEY=EMR.secret@arn:aws:x" in spark_submit["sparkSubmitParameters"]
    assert "TORUS_LAKE_URL" not in spark_submit["sparkSubmitParameters"]
    assert document["configurationOverrides"]["monitoringConfiguration"]["cloudWatchLoggingConfiguration"]["enabled"]
    assert "471" not in said.out + said.err
    assert emr.runs == []


def test_a_call_of_torus_is_followed_to_its_end(torus, emr):
    ends_as(emr, "SCHEDULED", "RUNNING", "SUCCESS")
    said = torus("emr", "submit", "--json", "--", *TORUS_CALL).expect(0)
    [run] = emr.runs
    assert run.client_token == JOB_ID
    assert run.job_driver["sparkSubmit"]["entryPointArguments"] == TORUS_CALL
    assert run.configuration_overrides["monitoringConfiguration"]["s3MonitoringConfiguration"] == {"logUri": f"{emr.bucket}/logs/"}
    states = [line.split()[1] for line in said.err.splitlines() if line[2:3] == ":"]
    assert states == ["SCHEDULED", "RUNNING", "SUCCESS"]
    found = said.document
    assert (found["run"], found["state"], found["job_id"], found["action"], found["sections"]) == (run.id, "SUCCESS", JOB_ID, "video", 2)
    assert found["logs"] == f"{emr.bucket}/logs/applications/{emr.application_id}/jobs/{run.id}/"
    assert "cloudwatch" in found["log_link"]
    assert "471" not in said.out + said.err


def test_a_request_becomes_the_argument_list_that_asks_for_the_same(torus, emr, tmp_path):
    ends_as(emr, "SUCCESS")
    torus("emr", "submit", str(request(tmp_path, dialect="compat"))).expect(0)
    [run] = emr.runs
    words = run.job_driver["sparkSubmit"]["entryPointArguments"]
    said = dict(zip(words[::2], words[1::2], strict=True))
    assert (said["--job_id"], said["--dialect"], said["--ignored_student_ids"]) == ("study-1", "compat", "4711")
    assert (said["--lake_url"], said["--results_bucket_name"]) == (f"{emr.bucket}/lake", f"{emr.bucket}/datasets")
    assert open_store(f"{emr.bucket}/datasets").head(request_key("study-1")), "the platform does not know of the request"

    again = torus("emr", "submit", "study-1").expect(0)  # its id is enough now, and its token starts nothing twice
    assert len(emr.runs) == 1
    run.created_at -= timedelta(hours=2)
    again = torus("emr", "submit", "study-1").expect(0)
    assert "the same token started this run 2 h ago: nothing new was started" in again.err
    torus("emr", "submit", "study-1", "--token", "study-1-again").expect(0)
    assert [run.client_token for run in emr.runs] == ["study-1", "study-1-again"]


@pytest.mark.parametrize(("state", "details", "code"), [("FAILED", "Job failed. ExitCode: 3.", 3), ("FAILED", "", 1), ("CANCELLED", "", 1)])
def test_the_exit_code_tells_how_the_run_ended(torus, emr, state, details, code):
    emr.on_start = lambda run: emr.move(run.id, state, details=details)
    assert state in torus("emr", "submit", "--", *TORUS_CALL).expect(code).out


def test_what_is_wrong_is_told_before_anything_starts(torus, emr, tmp_path):
    wrong = torus("emr", "submit", "--", "--action", "movies", "--section_ids", "1").expect(2).err
    assert "call refused" in wrong
    assert "bucket_name: missing" in wrong
    assert "job_id" in wrong
    assert "is no file, and no job of that id" in torus("emr", "submit", "nothing").expect(2).err
    assert "set TORUS_LAKE_URL to s3://" in torus("emr", "submit", str(request(tmp_path)), TORUS_LAKE_URL="").expect(2).err
    assert "EMR_EXECUTION_ROLE_ARN is not set" in torus("emr", "submit", "--", *TORUS_CALL, EMR_EXECUTION_ROLE_ARN="").expect(2).err
    assert "run `torus emr deploy` first" in torus("emr", "submit", "--", *TORUS_CALL, EMR_CODE_URL=f"{emr.bucket}/empty").expect(2).err
    assert "nobody is there to ask" in torus("emr", "deploy").expect(2).err
    assert "has no package" in torus("emr", "deploy", "--dry-run").expect(2).err
    assert "release 'emr-1' is not known" in torus("emr", "package", "--release", "emr-1").expect(2).err
    assert "expected x86_64 or arm64" in torus("emr", "package", "--platform", "sparc").expect(2).err
    assert emr.runs == []


def test_ctrl_c_leaves_the_job_running_and_says_how_to_end_it(torus, emr):
    emr.starts_as = "RUNNING"
    env = clean_environment(TORUS_HOME=str(torus.home), **torus.variables)
    words = [sys.executable, "-c", MAIN, "emr", "submit", "--", *TORUS_CALL]
    with subprocess.Popen(words, env=env, cwd=PROJECT, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while "get_job_run" not in emr.calls and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=30)
        finally:
            process.kill()  # or leaving the block would wait for it
    [run] = emr.runs
    assert process.returncode == 1
    assert f"goes on. Look: torus emr status {run.id}. End it: torus emr cancel {run.id}" in err
    assert run.state == "RUNNING"
    assert "cancel_job_run" not in emr.calls


def test_status_lists_the_newest_of_many_pages_and_shows_one_in_detail(torus, emr):
    now = datetime.now(UTC)
    many(emr, 60, first=now - timedelta(hours=5))
    run = emr.add("RUNNING", at=now - timedelta(minutes=3), arguments=TORUS_CALL, log_url=f"{emr.bucket}/logs")
    emr.bill(run, vcpu=10, memory=40)
    listed = torus("emr", "status", "--most", "3", "--json").expect(0).document["runs"]
    assert [one["state"] for one in listed] == ["RUNNING", "SUCCESS", "SUCCESS"]
    assert listed[0]["run"] == run
    assert listed[1]["name"] == "run 59"
    assert emr.calls.count("list_job_runs") == 2
    shown = torus("emr", "status", "--most", "1").expect(0).out
    assert "3 min ago" in shown
    assert "0.76 USD" in shown
    one = torus("emr", "status", run, "--json").expect(0).document
    assert one["job_id"] == JOB_ID
    assert one["cost_usd"] == pytest.approx(10 * 0.052624 + 40 * 0.0057785)
    assert one["dashboard"].startswith("https://")
    assert "471" not in json.dumps(one)
    assert "is not there" in torus("emr", "status", "00nothere").expect(1).err


def test_cancel_says_what_state_the_run_came_to(torus, emr):
    run = emr.add("RUNNING")
    assert "nobody is there to ask" in torus("emr", "cancel", run).expect(2).err
    assert emr.run(run).state == "RUNNING"
    assert f"job run {run} is CANCELLED" in torus("emr", "cancel", run, "--yes").expect(0).out
    assert "is CANCELLED already: there is nothing to cancel" in torus("emr", "cancel", run, "--yes").expect(3).err


def test_a_refusal_names_the_permission(torus, emr):
    emr.refuses = "User is not authorized"
    said = torus("emr", "submit", "--", *TORUS_CALL).expect(1)
    assert "needs the permission emr-serverless:StartJobRun, and iam:PassRole on the execution role" in said.err
    assert "471" not in said.err


def test_a_lost_connection_is_waited_out_and_an_unknown_state_followed_on(emr):
    run = emr.add("RUNNING")
    emr.walk(run, "RUNNING", "DREAMING", "SUCCESS")
    once = Config(retries={"total_max_attempts": 1})
    client = boto3.session.Session().client("emr-serverless", endpoint_url=emr.endpoint, config=once)  # pyright: ignore
    lost = [True, False, True, True, False]

    def cut(**_: Any) -> None:
        if lost and lost.pop(0):
            raise EndpointConnectionError(endpoint_url=emr.endpoint)

    client.meta.events.register("before-send.emr-serverless.GetJobRun", cut)
    states: list[str] = []
    silences: list[EmrError] = []
    found = follow(EmrServerless(client), emr.application_id, run, on_state=states.append, on_silence=silences.append, sleep=lambda _: None)
    assert found["state"] == "SUCCESS"
    assert states == ["RUNNING", "DREAMING", "SUCCESS"]
    assert [error.again for error in silences] == [True, True, True]
    emr.vanish(run)
    with pytest.raises(EmrError, match="is not there"):
        follow(EmrServerless(client), emr.application_id, run, on_state=states.append, on_silence=silences.append, sleep=lambda _: None)


def test_deploying_by_the_command_puts_code_and_application_in_place(torus, emr):
    small(torus.home / "emr")
    planned = torus("emr", "deploy", "--dry-run", "--json").expect(0).document
    assert planned["application"] == emr.application_id
    assert "deployed.json" not in [entry.key for entry in open_store(f"{emr.bucket}/code").list()]
    assert emr.application.state == "STARTED"
    said = torus("emr", "deploy", "--yes", "--max-vcpu", "48").expect(0)
    assert f"EMR_DATASET_ENTRY_POINT={emr.bucket}/code/job.py" in said.out
    assert f"version {planned['version']} is in place" in said.out
    assert emr.application.maximum_capacity == {"cpu": "48 vCPU", "memory": "192 GB"}
    entry = torus("emr", "submit", "--dry-run", "--json", "--", *TORUS_CALL).document["start_job_run"]["jobDriver"]["sparkSubmit"][
        "entryPoint"
    ]
    assert entry == f"{emr.bucket}/code/versions/{planned['version']}/job.py"


def test_requirements_for_the_image_are_exact_and_without_dagster(torus):
    lines = torus("emr", "package", "--requirements", "--platform", "arm64").expect(0).out.splitlines()
    names = {line.partition("==")[0] for line in lines}
    assert {"pyarrow", "obstore", "pandas", "dagster-pipes"} <= names
    assert names.isdisjoint({"dagster", "pyspark", "pytest"})
    assert all(" --hash=sha256:" in line for line in lines)
