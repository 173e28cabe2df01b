"""What a job run used and about what it cost, and where its logs are.

Source of the fields: botocore's model of `emr-serverless` (`JobRun`); of the paths of logs: the service's user guide, "Storing logs".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote

LOG_GROUP = "/aws/emr-serverless"  # where CloudWatch keeps the logs of a run that names no group
PRICES_OF = "2026-08"
ARM_SHARE = 0.8  # AWS says that arm64 costs up to 20 % less than x86_64: an estimate, unlike the table
_USED = {"vcpu_hours": "vCPUHour", "memory_gb_hours": "memoryGBHour", "storage_gb_hours": "storageGBHour"}


class Prices(NamedTuple):
    """US dollars an hour. The first 20 GB of a worker's storage are free, and what AWS bills leaves them out already."""

    vcpu: float
    memory_gb: float
    storage_gb: float


# List prices on Linux x86_64 (aws.amazon.com/emr/pricing, as public price tables repeat them). Regions that are missing have no estimate.
PRICES: Mapping[str, Prices] = {
    "us-east-1": Prices(0.052624, 0.0057785, 0.000111),
    "us-east-2": Prices(0.052624, 0.0057785, 0.000111),
    "us-west-1": Prices(0.060528, 0.006643, 0.000133),
    "us-west-2": Prices(0.052624, 0.0057785, 0.000111),
    "ca-central-1": Prices(0.057928, 0.0063245, 0.000122),
    "eu-central-1": Prices(0.060528, 0.006643, 0.000132),
    "eu-west-1": Prices(0.052624, 0.0057785, 0.000122),
    "eu-west-2": Prices(0.060528, 0.006643, 0.000129),
}


def prices_of(region: str, architecture: str = "X86_64") -> Prices | None:
    """Prices of a region; None where no list price is known here. `architecture` is `X86_64` or `ARM64`, as AWS spells them."""
    listed = PRICES.get(region)
    if listed is None or architecture != "ARM64":
        return listed
    return Prices(listed.vcpu * ARM_SHARE, listed.memory_gb * ARM_SHARE, listed.storage_gb)


def figures(
    job_run: Mapping[str, Any], application: Mapping[str, Any] | None = None, prices: Prices | None = None
) -> dict[str, float | str]:
    """Numbers and places of one run, as far as AWS tells them; what is not known is left out.

    Keys: `vcpu_hours`, `memory_gb_hours`, `storage_gb_hours` (billed, with the minimum of a minute per worker; used, while no bill is
    there), `seconds` (start to end), `queued_seconds`, `cost_usd` with `cost_basis` (an estimate, and only of what was billed), `logs`
    (S3), `log_group`, `log_stream` (CloudWatch, the driver's standard output).

    Args:
        job_run: the answer of GetJobRun. A summary from a listing has no figures in it.
        application: the answer of GetApplication: its architecture, and where it logs when the run does not say.
        prices: instead of the list prices of the run's region.
    """
    return {**_used(job_run), **_seconds(job_run), **_cost(job_run, application or {}, prices), **logs(job_run, application)}


def cost_usd(billed: Mapping[str, Any], prices: Prices) -> float:
    """US dollars for what `billedResourceUtilization` says. Without tax, discounts, S3 requests and CloudWatch."""
    hours = [float(billed.get(field) or 0) for field in _USED.values()]
    return sum(hour * price for hour, price in zip(hours, prices, strict=True))


def logs(job_run: Mapping[str, Any], application: Mapping[str, Any] | None = None) -> dict[str, float | str]:
    """Where the logs of a run are; nothing where neither the run nor its application says so."""
    own = job_run.get("configurationOverrides", {}).get("monitoringConfiguration", {})
    monitoring = {**(application or {}).get("monitoringConfiguration", {}), **own}
    path = f"applications/{job_run['applicationId']}/jobs/{job_run['jobRunId']}/"
    attempt = int(job_run.get("attempt") or 1)
    if attempt > 1:
        path += f"attempts/{attempt}/"
    found: dict[str, float | str] = {}
    if folder := monitoring.get("s3MonitoringConfiguration", {}).get("logUri"):
        found["logs"] = f"{folder.rstrip('/')}/{path}"
    watch = monitoring.get("cloudWatchLoggingConfiguration", {})
    if watch.get("enabled"):
        found["log_group"] = watch.get("logGroupName") or LOG_GROUP
        found["log_stream"] = f"{watch.get('logStreamNamePrefix') or ''}/{path}SPARK_DRIVER/stdout"
    return found


def console_link(region: str, group: str, stream: str) -> str:
    """The page of CloudWatch's console that shows a log stream."""
    group, stream = (quote(quote(name, safe=""), safe="").replace("%", "$") for name in (group, stream))
    return (
        f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logsV2:log-groups/log-group/{group}/log-events/{stream}"
    )


def region_of(job_run: Mapping[str, Any]) -> str:
    """The region in the run's ARN; empty without one."""
    parts = str(job_run.get("arn") or "").split(":")
    return parts[3] if len(parts) > 3 else ""


def _used(job_run: Mapping[str, Any]) -> dict[str, float | str]:
    """Billed hours; those used, while AWS has no bill."""
    counted = job_run.get("billedResourceUtilization") or job_run.get("totalResourceUtilization") or {}
    return {name: float(counted[field]) for name, field in _USED.items() if counted.get(field) is not None}


def _seconds(job_run: Mapping[str, Any]) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    started, ended = job_run.get("startedAt"), job_run.get("endedAt")
    if seconds := job_run.get("totalExecutionDurationSeconds"):
        found["seconds"] = float(seconds)
    elif isinstance(started, datetime) and isinstance(ended, datetime):
        found["seconds"] = (ended - started).total_seconds()
    if job_run.get("queuedDurationMilliseconds"):
        found["queued_seconds"] = job_run["queuedDurationMilliseconds"] / 1000
    return found


def _cost(job_run: Mapping[str, Any], application: Mapping[str, Any], prices: Prices | None) -> dict[str, float | str]:
    billed = job_run.get("billedResourceUtilization")
    region, architecture = region_of(job_run), str(application.get("architecture") or "X86_64")
    chosen = prices or prices_of(region, architecture)
    if not billed or chosen is None:
        return {}
    basis = "given prices" if prices else f"estimate: list prices of {region}, {architecture}, {PRICES_OF}"
    return {"cost_usd": round(cost_usd(billed, chosen), 6), "cost_basis": basis}
