"""The StartJobRun document of our job on EMR Serverless.

Source of the fields: spec/datasets.md 3.2 (what Torus sends), botocore's model of `emr-serverless` (limits).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from torus_assets.emr.spark_parameters import PLACES, REDACTED, NotForEmr, job_variables, spark_submit_parameters
from torus_assets.settings import EmrSettings

__all__ = [
    "PLACES",
    "NotForEmr",
    "client_token",
    "configuration_overrides",
    "job_variables",
    "monitoring",
    "spark_submit_parameters",
    "start_job_run",
]

STARTED_BY = "torus:started-by"  # tag of runs that are ours; its value says what started them
JOB_ID = "torus:job-id"
_TOKEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NAME_CHARACTERS = 256


def client_token(job_id: str) -> str:
    """The id itself where EMR takes it (a job id of Torus has exactly 64 characters), else its SHA-256 in hex: 64 characters as well."""
    return job_id if _TOKEN.fullmatch(job_id) else hashlib.sha256(job_id.encode()).hexdigest()


def monitoring(emr: EmrSettings) -> dict[str, Any]:
    """Where logs go: CloudWatch always, for a job reports through it; S3 when `EMR_LOG_URL` is set."""
    said: dict[str, Any] = {"cloudWatchLoggingConfiguration": {"enabled": True, "logGroupName": emr.log_group}}
    if emr.log_url:
        said["s3MonitoringConfiguration"] = {"logUri": emr.log_url}
    return said


def configuration_overrides(emr: EmrSettings) -> dict[str, Any]:
    """`configurationOverrides` of StartJobRun: logs, and what Spark's UI must not show."""
    hidden = {"classification": "spark-defaults", "properties": {"spark.redaction.regex": REDACTED}}
    return {"applicationConfiguration": [hidden], "monitoringConfiguration": monitoring(emr)}


def start_job_run(
    emr: EmrSettings,
    application_id: str,
    *,
    token: str,
    name: str,
    entry_point: str,
    arguments: Sequence[str],
    parameters: str,
    tags: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The whole document.

    Args:
        token: `client_token` of what must not run twice.
        name: what people see in the list of runs.
        entry_point: URL of job.py.
        arguments: of job.py; may name students who are ignored, so they are not for logs.
        parameters: `spark_submit_parameters`.

    Raises:
        NotForEmr: no execution role is set.
    """
    if not emr.execution_role_arn:
        raise NotForEmr("EMR_EXECUTION_ROLE_ARN is not set: the role that jobs run as (docs/emr.md)")
    spark_submit: dict[str, Any] = {"entryPoint": entry_point, "sparkSubmitParameters": parameters}
    if arguments:
        spark_submit["entryPointArguments"] = list(arguments)
    return {
        "applicationId": application_id,
        "clientToken": token,
        "executionRoleArn": emr.execution_role_arn,
        "name": name[:_NAME_CHARACTERS],
        "jobDriver": {"sparkSubmit": spark_submit},
        "configurationOverrides": configuration_overrides(emr),
        "tags": dict(tags or {}),
    }
