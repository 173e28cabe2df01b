"""What the control plane says of executors, as settings of Spark; and that no registry can stop or delay a run."""

from __future__ import annotations

import logging
import threading
from decimal import Decimal
from typing import Any

import pytest

from torus_assets.emr.worker_sizes import NoSuchWorker, Worker, worker_of
from torus_assets.engine.registry_settings import RegisteredSettingsError, registered_settings, spark_conf_of

ROW = {
    "pipeline_id": "torus",
    "pipeline_name": "Torus days",
    "spark_config": {"spark.executor.memory": "9g", "spark.sql.shuffle.partitions": Decimal(64), "spark.speculation": False},
    "cpu_cores": Decimal(4),
    "memory_gb": Decimal("1.5"),
}


def test_cores_and_memory_of_the_row_override_its_stored_settings_and_what_is_given_comes_last():
    found = spark_conf_of(ROW, {"spark.app.name": "mine"})
    assert found == {
        "spark.app.name": "mine",
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.adaptive.coalescePartitions.enabled": "true",
        "spark.executor.memory": "1536m",
        "spark.executor.cores": "4",
        "spark.sql.shuffle.partitions": "64",
        "spark.speculation": "false",
    }
    assert spark_conf_of(ROW)["spark.app.name"] == "Pipeline-Torus days"


def test_a_row_without_sizes_keeps_its_stored_settings_and_may_switch_adaptive_execution_off():
    row = {"pipeline_id": "p", "spark_config": {"spark.executor.memory": "9g", "spark.sql.adaptive.enabled": "false"}, "memory_gb": None}
    found = spark_conf_of(row)
    assert (found["spark.executor.memory"], found["spark.sql.adaptive.enabled"]) == ("9g", "false")
    assert (found["spark.app.name"], "spark.executor.cores" in found) == ("Pipeline-p", False)


@pytest.mark.parametrize(
    ("value", "text"),
    [(Decimal("1E+3"), "1000"), (Decimal("0.60"), "0.6"), (0.1, "0.1"), (7, "7"), (True, "true"), ("512m", "512m"), (Decimal(10), "10")],
)
def test_values_of_dynamodb_are_spelt_as_spark_reads_them(value, text):
    assert spark_conf_of({"spark_config": {"spark.x": value}})["spark.x"] == text


@pytest.mark.parametrize(
    "name",
    [
        "spark.hadoop.fs.s3a.access.key", "spark.hadoop.fs.s3a.endpoint.region", "spark.hadoop.fs.s3.secret", "spark.my.password",
        "spark.hadoop.fs.s3a.session.token", "spark.executorEnv.AWS_SECRET_ACCESS_KEY", "spark.emr-serverless.driverEnv.AWS_ACCESS_KEY_ID",
        "fs.s3a.secret.key", "javax.jdo.option.ConnectionURL",
    ],
)  # fmt: skip
def test_nothing_that_may_hold_a_credential_reaches_spark_and_only_its_name_is_logged(name, caplog):
    assert name not in spark_conf_of({"spark_config": {name: "hunter2"}}, {name: "hunter2"})
    assert name in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"cpu_cores": Decimal("1.5")}, "cpu_cores: expected a whole number"),
        ({"cpu_cores": 0}, "cpu_cores: expected a number above 0"),
        ({"cpu_cores": True}, "cpu_cores"),
        ({"memory_gb": "8"}, "memory_gb: expected a number above 0"),
        ({"memory_gb": Decimal("NaN")}, "memory_gb"),
        ({"spark_config": {"spark.x": {"a": 1}}}, "spark_config.spark.x: expected text, a number or a truth, found dict"),
        ({"spark_config": ["spark.x"]}, "spark_config: expected a map"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_pipeline_and_field(row, words):
    with pytest.raises(RegisteredSettingsError) as caught:
        spark_conf_of({"pipeline_id": "p7", **row})
    assert words in str(caught.value)
    assert "pipeline p7" in str(caught.value)


def test_settings_come_from_the_row_of_the_pipeline(caplog):
    caplog.set_level(logging.INFO)
    found = registered_settings({"torus": ROW}.get, "torus")
    assert found == spark_conf_of(ROW)
    assert "7 Spark settings of pipeline torus" in caplog.text


def test_without_a_registry_a_row_or_an_active_pipeline_there_are_no_settings():
    inactive: dict[str, Any] = {"torus": {**ROW, "is_active": False}}
    assert registered_settings(None, "torus") == {}
    assert registered_settings({}.get, "torus") == {}
    assert registered_settings(inactive.get, "torus") == {}


def test_a_registry_that_fails_or_holds_nonsense_fails_no_run(caplog):
    def broken(pipeline: str) -> Any:
        raise ConnectionError("secret address")

    assert registered_settings(broken, "torus") == {}
    assert registered_settings({"torus": {**ROW, "cpu_cores": "many"}}.get, "torus") == {}
    assert "ConnectionError" in caplog.text
    assert "cpu_cores" in caplog.text
    assert "secret address" not in caplog.text


def test_a_registry_that_hangs_is_given_up(caplog):
    let_go = threading.Event()

    def hanging(pipeline: str) -> Any:
        let_go.wait(60)
        return ROW

    assert registered_settings(hanging, "torus", wait_seconds=0.05) == {}
    let_go.set()
    assert "within 0.05 s" in caplog.text


@pytest.mark.parametrize(
    ("conf", "worker"),
    [
        ({}, (4, 16)),
        ({"spark.executor.cores": "2", "spark.executor.memory": "2g"}, (2, 4)),  # what Torus asks for
        ({"spark.executor.cores": "4", "spark.executor.memory": "27g"}, (4, 30)),
        ({"spark.executor.cores": "1", "spark.executor.memory": "1536m"}, (1, 2)),
        ({"spark.executor.cores": "8", "spark.executor.memory": "17g"}, (8, 20)),
        ({"spark.executor.cores": "4", "spark.executor.memory": "8g", "spark.executor.memoryOverhead": "8g"}, (4, 16)),
        ({"spark.executor.cores": "4", "spark.executor.memory": "10g", "spark.executor.memoryOverheadFactor": "0.5"}, (4, 15)),
        ({"spark.executor.cores": "32", "spark.executor.memory": "100g"}, (32, 120)),
    ],
)
def test_an_executor_gets_the_smallest_worker_that_holds_it(conf, worker):
    assert worker_of(conf) == Worker(*worker)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"spark.executor.cores": "3"}, "the nearest are 2 and 4"),
        ({"spark.executor.cores": "64"}, "the nearest are 16 and 32"),
        ({"spark.executor.cores": "two"}, "workers of 1, 2, 4, 8, 16, 32 vCPUs"),
        ({"spark.executor.cores": "4", "spark.executor.memory": "28g"}, "a worker of 4 vCPUs has 8 to 30 GB; the nearest that fits is 27927m, or 8 cores"),
        ({"spark.executor.cores": "32", "spark.executor.memory": "300g"}, "60 to 244 GB"),
        ({"spark.executor.memory": "lots"}, "expected a size such as 2g or 1536m"),
        ({"spark.executor.memory": "1g", "spark.executor.memoryOverheadFactor": "half"}, "expected a number such as 0.1"),
    ],
)  # fmt: skip
def test_a_size_that_emr_serverless_does_not_have_is_refused_with_the_nearest_that_it_has(conf, words):
    with pytest.raises(NoSuchWorker) as caught:
        worker_of(conf)
    assert words in str(caught.value)


def test_the_nearest_that_is_named_fits():
    assert worker_of({"spark.executor.cores": "4", "spark.executor.memory": "27927m"}) == Worker(4, 30)
