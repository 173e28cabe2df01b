"""Spark settings that the control plane holds for a pipeline.

Source: spec/registry.md 1.1 (`spark_config`, `cpu_cores`, `memory_gb`) and 6. The registry is not read here: its
reader hands a `pipeline_config` row in as the `source`. `emr/worker_sizes.py` says whether EMR Serverless has workers of the size that comes
out.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from torus_assets.settings import SparkSettings

WAIT_SECONDS = 3.0  # for the registry; a run goes on without its settings after that
MIB_PER_GB = 1024
ADAPTIVE = {"spark.sql.adaptive.enabled": "true", "spark.sql.adaptive.coalescePartitions.enabled": "true"}

_SECRET = re.compile(r"^spark\.hadoop\.fs\.s3|secret|password|token|credential|access[._-]?key", re.IGNORECASE)

Source = Callable[[str], Mapping[str, Any] | None]
log = logging.getLogger(__name__)


class RegisteredSettingsError(ValueError):
    """A pipeline's row holds something that Spark cannot be started with; says the pipeline, the field and what was expected."""


def registered_settings(source: Source | None, pipeline: str, *, wait_seconds: float = WAIT_SECONDS) -> dict[str, str]:
    """The Spark settings registered for a pipeline; none without a registry, without an answer, or with one that cannot be used.

    No outage of the registry fails or delays a run (DESIGN 10): it is asked in a thread that is given up after `wait_seconds`. What
    happened is logged, without the values.

    Args:
        source: pipeline id to its `pipeline_config` row, None for one that is not there; None: there is no registry.
    """
    row = _answer(source, pipeline, wait_seconds) if source is not None else None
    if row is None:
        return {}
    if row.get("is_active", True) is False:
        log.info("pipeline %s is not active in the registry: its Spark settings are left out", pipeline)
        return {}
    try:
        found = spark_conf_of(row)
    except RegisteredSettingsError as error:
        log.warning("Spark settings of the registry are left out: %s", error)
        return {}
    log.info("%d Spark settings of pipeline %s from the registry: %s", len(found), pipeline, ", ".join(sorted(found)))
    return found


def under(registered: Mapping[str, str], spark: SparkSettings) -> SparkSettings:
    """The settings of a run: what the registry says, and what this deployment says (`TORUS_SPARK_CONF`) over it."""
    return replace(spark, conf={**registered, **spark.conf})


def spark_conf_of(pipeline: Mapping[str, Any], extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A `pipeline_config` row as settings of Spark, all text.

    In order, so that the later wins: the application's name and adaptive execution, the row's `spark_config`, `cpu_cores` and `memory_gb`
    (as whole MiB) for executors, `extra`. Keys that may hold credentials are left out wherever they come from: Spark shows its settings.

    Raises:
        RegisteredSettingsError: a value is no number, text or truth; cores or memory are not positive.
    """
    of = str(pipeline.get("pipeline_id") or "?")
    stored = pipeline.get("spark_config") or {}
    if not isinstance(stored, Mapping):
        raise RegisteredSettingsError(f"pipeline {of}: spark_config: expected a map, found {type(stored).__name__}")
    named = {str(name): _plain(of, f"spark_config.{name}", value) for name, value in stored.items() if value is not None}
    found = {"spark.app.name": f"Pipeline-{pipeline.get('pipeline_name') or of}", **ADAPTIVE, **named}
    if pipeline.get("cpu_cores") is not None:
        found["spark.executor.cores"] = str(_cores(of, pipeline["cpu_cores"]))
    if pipeline.get("memory_gb") is not None:
        found["spark.executor.memory"] = f"{_mib(of, pipeline['memory_gb'])}m"
    return _allowed(of, {**found, **(extra or {})})


def _answer(source: Source, pipeline: str, wait_seconds: float) -> Mapping[str, Any] | None:
    """What the registry says in time; None otherwise."""
    found: list[Mapping[str, Any] | None] = []
    failed: list[str] = []

    def ask() -> None:
        try:
            found.append(source(pipeline))
        except Exception as error:  # noqa: BLE001 (the boundary: no registry may fail a run; what it was is logged)
            failed.append(type(error).__name__)

    asking = threading.Thread(target=ask, name="registry", daemon=True)
    asking.start()
    asking.join(wait_seconds)
    if failed:
        log.warning("the registry did not answer for pipeline %s (%s): the run goes on without its Spark settings", pipeline, failed[0])
    elif not found:
        log.warning(
            "the registry did not answer for pipeline %s within %g s: the run goes on without its Spark settings", pipeline, wait_seconds
        )
    elif found[0] is None:
        log.info("the registry has no pipeline %s", pipeline)
    return found[0] if found else None


def _allowed(of: str, conf: Mapping[str, str]) -> dict[str, str]:
    """What Spark takes, without what may be a secret."""
    refused = sorted(name for name in conf if not name.startswith("spark.") or _SECRET.search(name))
    if refused:
        log.warning("pipeline %s: left out, as no Spark setting or one that may hold a credential: %s", of, ", ".join(refused))
    return {name: value for name, value in conf.items() if name not in refused}


def _plain(of: str, field: str, value: Any) -> str:
    """A value of DynamoDB as Spark spells it: no exponent, no trailing zeros, truths in lower case."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | float | int):
        number = Decimal(str(value))
        if not number.is_finite():
            raise RegisteredSettingsError(f"pipeline {of}: {field}: expected a finite number")
        return f"{number.normalize():f}"
    if isinstance(value, str):
        return value
    raise RegisteredSettingsError(f"pipeline {of}: {field}: expected text, a number or a truth, found {type(value).__name__}")


def _cores(of: str, value: Any) -> int:
    number = _number(of, "cpu_cores", value)
    if number != int(number):
        raise RegisteredSettingsError(f"pipeline {of}: cpu_cores: expected a whole number, found {number}")
    return int(number)


def _mib(of: str, value: Any) -> int:
    mib = int(_number(of, "memory_gb", value) * MIB_PER_GB)
    if mib < 1:
        raise RegisteredSettingsError(f"pipeline {of}: memory_gb: expected at least a MiB")
    return mib


def _number(of: str, field: str, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Decimal | float | int) or not Decimal(str(value)).is_finite() or value <= 0:
        raise RegisteredSettingsError(f"pipeline {of}: {field}: expected a number above 0, found {value!r}")
    return Decimal(str(value))
