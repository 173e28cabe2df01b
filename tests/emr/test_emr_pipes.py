"""A run of Dagster and its job on EMR Serverless: what it takes to count, what the run page shows, and what ends with what."""

import io
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import boto3.session
import dagster as dg
import pytest
from dagster_pipes import PipesContext, PipesDefaultContextLoader, PipesDefaultMessageWriter, PipesMappingParamsLoader

from resources import emr_pipes
from resources.spark import Reported, SparkResource
from tests.emr.emr_world import EmrWorld
from torus_assets.clients.object_store import open_store
from torus_assets.engine.registry_settings import spark_conf_of
from torus_assets.engine.reports import Message, dataset_work, error_message
from torus_assets.steps import step
from torus_assets.xapi.ledger import RowsWouldVanish

MADE = {"dataset": {"run": "r1", "folder": "job/runs/r1/", "reused": False}}
DONE = {"done": {"work": "dataset", "rows": 3}}


@pytest.fixture
def place(emr: EmrWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmrWorld:
    """The graph's environment, with everything on S3 and short waits."""
    for name, value in emr.environment().items():
        monkeypatch.setenv(name, value)
    for name in ("XAPI", "LAKE", "DATASETS"):
        monkeypatch.setenv(f"TORUS_{name}_URL", f"{emr.bucket}/{name.lower()}")
    monkeypatch.setenv("TORUS_HOME", str(tmp_path))
    open_store(f"{emr.bucket}/code").put("job.py", b"")
    monkeypatch.setattr(emr_pipes, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(emr_pipes, "LATE_SECONDS", 1.5)
    return emr


def written(run: Any, *messages: Message, noise: str = "") -> list[str]:
    """Lines that job.py would write to the driver's standard output, by dagster-pipes itself."""
    parameters = run.job_driver["sparkSubmit"]["sparkSubmitParameters"]
    environment = dict(re.findall(r"spark\.emr-serverless\.driverEnv\.(\w+)=(\S+)", parameters))
    loader = PipesMappingParamsLoader(environment)
    with redirect_stdout(io.StringIO()) as out, PipesContext(loader, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes:
        sys.stdout.write(noise)
        for message in messages:
            pipes.report_custom_message(message)
    return out.getvalue().splitlines()


def in_a_thread(act: Callable[[Any], object]) -> Callable[[Any], None]:
    return lambda run: threading.Thread(target=act, args=(run,), daemon=True).start()


def run(registered: dict[str, str] | None = None, **changes: Any) -> tuple[dg.ExecuteInProcessResult, list[Reported]]:
    """One materialization of an asset that has a data set made on EMR."""
    told: list[Reported] = []

    @dg.asset
    def made(context: dg.AssetExecutionContext, spark: SparkResource) -> dg.MaterializeResult:
        with step(context):
            told.append(spark.run(context, "dataset", dataset_work("", "", "job"), registered=registered))
        return dg.MaterializeResult(metadata=told[0].metadata)

    return dg.materialize([made], resources={"spark": SparkResource(place="emr")}, raise_on_error=False, **changes), told


def failure(result: dg.ExecuteInProcessResult) -> Any:
    [event] = result.get_step_failure_events()
    return event.step_failure_data.user_failure_data


def is_permanent(result: dg.ExecuteInProcessResult) -> bool:
    return result.dagster_run.tags.get("torus/failure") == "permanent"


def test_a_job_that_tells_all_of_its_work_is_a_run_that_shows_where_when_and_what_it_cost(place):
    def work(job: Any) -> None:
        place.log(job.id, ["26/02/03 10:00:00 INFO Noise: before", *written(job, MADE, DONE, noise="no message\n")])
        place.log(job.id, ["26/02/03 10:00:00 WARN TaskSetManager: Lost task of ada@example.edu"], stream="stderr")
        place.bill(job.id, vcpu=2.5, memory=10.0, storage=1.0, seconds=300)
        place.walk(job.id, "PENDING", "RUNNING", "SUCCESS")

    place.on_start = work
    result, told = run()
    assert result.success
    assert told[0].messages == [MADE, DONE]
    [materialized] = result.asset_materializations_for_node("made")
    shown: dict[str, Any] = {name: value.value for name, value in materialized.metadata.items()}
    [job] = place.runs
    assert (shown["emr_job_run"], shown["emr_state"], shown["engine"], shown["spark_place"]) == (job.id, "SUCCESS", "spark", "emr")
    assert (shown["emr_vcpu_hours"], shown["emr_memory_gb_hours"], shown["emr_seconds"]) == (2.5, 10.0, 300)
    assert shown["emr_cost_usd"] > 0
    assert shown["emr_logs"] == f"{place.bucket}/logs/applications/{place.application_id}/jobs/{job.id}/"
    assert "TaskSetManager" in shown["emr_log_tail"]
    assert "ada@" not in json.dumps(shown)


def test_the_request_names_code_places_and_the_try_that_it_is_for(place, monkeypatch):
    monkeypatch.setenv("TORUS_PSEUDONYM_KEY", "secret-word")
    monkeypatch.setenv("EMR_SECRETS", "TORUS_PSEUDONYM_KEY=arn:aws:secretsmanager:us-east-1:123456789012:secret:p")
    place.on_start = lambda job: place.move(job.id, "SUCCESS")
    result, _ = run()
    [job] = place.runs
    spark = job.job_driver["sparkSubmit"]
    assert (spark["entryPoint"], spark.get("entryPointArguments")) == (f"{place.bucket}/code/job.py", None)
    assert f"driverEnv.TORUS_LAKE_URL={place.bucket}/lake" in spark["sparkSubmitParameters"]
    assert f"{place.bucket}/code/dataset.zip#dataset" in spark["sparkSubmitParameters"]
    assert "EMR.secret@arn:aws:secretsmanager" in spark["sparkSubmitParameters"]
    assert "secret-word" not in json.dumps([spark, job.configuration_overrides, job.tags])
    assert job.client_token == f"{result.run_id}-made-0"
    assert job.tags["dagster/run-id"] == result.run_id
    assert job.configuration_overrides["monitoringConfiguration"]["cloudWatchLoggingConfiguration"]["enabled"]


def test_what_the_registry_says_of_workers_reaches_emr_and_the_deployment_wins_over_it(place, monkeypatch):
    monkeypatch.setenv("TORUS_SPARK_CONF", "spark.executor.memory=10g")
    place.on_start = lambda job: place.move(job.id, "SUCCESS")
    run(spark_conf_of({"pipeline_id": "events", "pipeline_name": "events", "cpu_cores": 4, "memory_gb": 12}))
    [job] = place.runs
    parameters = job.job_driver["sparkSubmit"]["sparkSubmitParameters"]
    assert "spark.executor.cores=4" in parameters
    assert "spark.executor.memory=10g" in parameters
    assert "12288m" not in parameters


def test_a_worker_that_emr_does_not_have_is_named_before_anything_starts(place):
    result, _ = run({"spark.executor.cores": "3"})
    assert "spark.executor.cores=3" in failure(result).description
    assert is_permanent(result)
    assert place.runs == []


def test_success_without_messages_is_a_failure_that_says_what_to_look_at(place):
    place.on_start = lambda job: place.move(job.id, "SUCCESS")
    result, told = run()
    assert not told
    found = failure(result)
    assert found.description == "the Spark job ended without a word about the dataset, its end, so nothing is known of it"
    assert "/aws/emr-serverless has to be on" in found.metadata["what_to_do"].value
    assert "logs:PutLogEvents" in found.metadata["what_to_do"].value
    assert found.metadata["emr_state"].value == "SUCCESS"
    assert is_permanent(result)


def test_success_without_the_last_message_is_a_failure_too(place):
    def work(job: Any) -> None:
        place.log(job.id, written(job, MADE))
        place.move(job.id, "SUCCESS")

    place.on_start = work
    result, _ = run()
    assert "about its end" in failure(result).description
    assert not is_permanent(result)


def test_a_failed_job_fails_with_the_error_that_it_told_and_may_be_retried_if_that_may(place):
    def work(job: Any) -> None:
        place.log(job.id, written(job, error_message(RowsWouldVanish("2026-02-03: a rebuild would drop 3 rows"), None)))
        place.move(
            job.id,
            "FAILED",
            details="Job failed, please check complete logs. ExitCode: 1. Last few exceptions: ValueError: ada@example.edu",
        )

    place.on_start = work
    result, _ = run()
    found = failure(result)
    assert found.description == "2026-02-03: a rebuild would drop 3 rows"
    assert found.metadata["kind"].value == "RowsWouldVanish"
    assert found.metadata["emr_state_details"].value == "exit code 1"
    assert is_permanent(result)


def test_a_job_that_failed_without_a_word_shows_no_learner_and_keeps_the_log_in_a_private_file(place, tmp_path):
    def work(job: Any) -> None:
        place.log(job.id, ["Traceback (most recent call last):", "ValueError: ada@example.edu"], stream="stderr")
        place.move(job.id, "FAILED", details="ExitCode: 137. ValueError: ada@example.edu")

    place.on_start = work
    result, _ = run()
    found = failure(result)
    [job] = place.runs
    assert found.description == f"EMR Serverless job run {job.id} ended as FAILED with exit code 137"
    assert "ValueError" in found.metadata["emr_log_tail"].value
    assert not is_permanent(result)
    assert "ada@" not in repr(found)
    kept = Path(found.metadata["emr_log"].value)
    assert "ada@example.edu" in kept.read_text()
    assert (kept.parent, kept.stat().st_mode & 0o777) == (tmp_path / "errors", 0o600)


def test_an_unknown_state_is_told_and_polled_on(place):
    def work(job: Any) -> None:
        place.log(job.id, written(job, MADE, DONE))
        place.walk(job.id, "RUNNING", "HIBERNATING", "RUNNING", "SUCCESS")

    place.on_start = work
    with dg.DagsterInstance.ephemeral() as instance:
        result, _ = run(instance=instance)
        said = [record.event_log_entry.user_message for record in instance.get_records_for_run(result.run_id).records]
    assert result.success
    assert any("HIBERNATING" in text for text in said)


def test_a_job_that_vanishes_is_a_failure(place):
    place.on_start = in_a_thread(lambda job: (time.sleep(0.3), place.vanish(job.id)))
    result, _ = run()
    assert "is not there any more" in failure(result).description


def test_a_job_that_somebody_cancelled_is_not_started_again(place):
    place.on_start = lambda job: place.move(job.id, "CANCELLED")
    result, _ = run()
    assert "ended as CANCELLED" in failure(result).description
    assert is_permanent(result)


def test_messages_are_found_under_the_prefix_that_the_application_gives_its_logs(place, monkeypatch):
    cloudwatch = {"enabled": True, "logGroupName": "/aws/emr-serverless", "logStreamNamePrefix": "ours"}
    monkeypatch.setattr(place.application, "monitoring_configuration", {"cloudWatchLoggingConfiguration": cloudwatch}, raising=False)

    def work(job: Any) -> None:
        logs = boto3.session.Session().client("logs")
        stream = f"ours/applications/{place.application_id}/jobs/{job.id}/SPARK_DRIVER/stdout"
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName="/aws/emr-serverless")
        logs.create_log_stream(logGroupName="/aws/emr-serverless", logStreamName=stream)
        lines = [{"timestamp": int(time.time() * 1000), "message": line} for line in written(job, MADE, DONE)]
        logs.put_log_events(logGroupName="/aws/emr-serverless", logStreamName=stream, logEvents=lines)
        place.move(job.id, "SUCCESS")

    monkeypatch.setattr(emr_pipes, "LATE_SECONDS", 4)
    place.on_start = work
    result, told = run()
    assert result.success, failure(result).description
    assert told[0].messages == [MADE, DONE]


def test_ending_the_run_cancels_the_job(place):
    place.starts_as = "RUNNING"
    place.on_start = in_a_thread(lambda job: (time.sleep(0.5), os.kill(os.getpid(), signal.SIGINT)))
    result, _ = run()
    assert not result.success
    [job] = place.runs
    assert job.state in ("CANCELLING", "CANCELLED")


class Wire:
    """A connection to the server that can be cut, for all who come by it."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.is_cut = False
        self.dropped = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                ours, _ = self._listener.accept()
                if self.is_cut:
                    self.dropped += 1
                    ours.close()
                    continue
                theirs = socket.create_connection(self._target)
                for source, sink in ((ours, theirs), (theirs, ours)):
                    threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while block := source.recv(65536):
                if self.is_cut:
                    break
                sink.sendall(block)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def close(self) -> None:
        self._listener.close()


@contextmanager
def wire(place: EmrWorld) -> Iterator[Wire]:
    host, port = place.endpoint.removeprefix("http://").split(":")
    made = Wire((host, int(port)))
    yield made
    made.close()


def test_a_lost_connection_neither_fails_the_run_nor_starts_the_job_twice(place, monkeypatch):
    monkeypatch.setattr("torus_assets.clients.emr.TRIES", 1)
    with wire(place) as line:
        monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)

        def cut(job: Any) -> None:
            time.sleep(0.5)
            line.is_cut = True
            while line.dropped < 3:
                time.sleep(0.05)
            place.log(job.id, written(job, MADE, DONE))
            place.move(job.id, "SUCCESS")
            line.is_cut = False

        place.starts_as = "RUNNING"
        place.on_start = in_a_thread(cut)
        result, _ = run()
    assert result.success, failure(result).description
    assert line.dropped >= 3
    assert place.calls.count("start_job_run") == 1
    assert "cancel_job_run" not in place.calls


def test_more_lines_than_a_page_of_the_log_lose_no_message(place):
    def work(job: Any) -> None:
        lines = written(job, MADE, *({"progress": {"stage": "export", "done": n, "total": 30_000}} for n in range(30_000)), DONE)
        for start in range(0, len(lines), 5_000):
            place.log(job.id, lines[start : start + 5_000])
        place.move(job.id, "SUCCESS")

    place.on_start = work
    result, told = run()
    assert result.success, failure(result).description
    assert len(told[0].messages) == 30_002
