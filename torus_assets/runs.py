"""Starting the graph's jobs from a program: in this process, recorded in the same Dagster instance that the UI shows."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from resources.deployments import instance_home
from sensors import interrupted
from torus_assets import definitions, instance_state, partitions, settings
from torus_assets.datasets.request import Request
from torus_assets.steps import process_tag
from torus_assets.warehouse.assets import RAW_EVENTS
from torus_assets.xapi.day_content import CONTENT, renamed
from torus_assets.xapi.lake import Lake, Snapshot

MADE = ".made"  # in Dagster's home: its storage is there, whole
CALM = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class RunOutcome:
    """What one run came to: its materializations by asset and partition, the checks it evaluated, why it failed."""

    run_id: str
    success: bool
    metadata: dict[tuple[str, str | None], Mapping[str, Any]] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    @property
    def failed_checks(self) -> list[str]:
        return sorted(name for name, passed in self.checks.items() if not passed)

    def of(self, asset: str) -> dict[str | None, Mapping[str, Any]]:
        """Metadata of an asset's partitions, e.g. of `xapi/bundles`."""
        return {partition: found for (name, partition), found in self.metadata.items() if name == asset}


@contextmanager
def instance() -> Iterator[dg.DagsterInstance]:
    """The instance the UI shows: under `DAGSTER_HOME`, else under TORUS_HOME."""
    home = instance_home(settings.from_environment())
    os.environ["DAGSTER_HOME"] = str(home)
    if not (home / MADE).exists():
        with _alone(home), dg.DagsterInstance.get() as made:
            made.get_runs(limit=1)  # a new home: its tables are made by the first to look, and two at once fail
            (home / MADE).touch()
    with dg.DagsterInstance.get() as opened:
        yield opened


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """No other command opens the instance meanwhile."""
    with (home / ".opening.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_days(job: str, first: date, last: date, config: Mapping[str, Any] | None = None, **resources: Any) -> RunOutcome:
    """Runs a job over a range of days in one run."""
    return _run(job, {partitions.RANGE_START: first.isoformat(), partitions.RANGE_END: last.isoformat()}, None, config, resources)


def written_anew(before: Snapshot | None, removed: Mapping[date, int], why: str) -> None:
    """Days that were only written anew since the snapshot stay loaded: ClickHouse holds what they hold."""
    if before is None:
        return
    after = Lake(settings.from_environment().lake_url).snapshot()
    with instance() as opened:
        instance_state.carry(opened, RAW_EVENTS, CONTENT, renamed(before, after, removed), why)


def run_dataset(request: Request, engine: str | None = None, **resources: Any) -> RunOutcome:
    """Runs the data set job for a request, whose partition is added when it is new. `engine` as the asset's config has it."""
    with instance() as opened:
        opened.add_dynamic_partitions(str(partitions.DATASET_JOBS.name), [request.job_id])
    job, op = ("datashop", "dataset_datashop") if request.action == "datashop" else ("dataset", "dataset_csv")
    config = None if engine is None else {"ops": {op: {"config": {"engine": engine}}}}
    return _run(job, {}, request.job_id, config, resources)


def _run(
    job: str, tags: dict[str, str], partition: str | None, config: Mapping[str, Any] | None, resources: Mapping[str, Any]
) -> RunOutcome:
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    found = definitions.build(**resources).resolve_job_def(job)
    with instance() as opened:
        for gone in interrupted.without_process(opened, datetime.now(UTC)):
            interrupted.end(opened, gone)  # or its slots in the pools would keep this run waiting
        result = found.execute_in_process(
            run_config={**CALM, **(config or {})},
            instance=opened,
            partition_key=partition,
            tags={**tags, **process_tag(), "torus/started_by": "command line"},
            raise_on_error=False,
        )
        return _outcome(result)


def _outcome(result: dg.ExecuteInProcessResult) -> RunOutcome:
    outcome = RunOutcome(result.run_id, result.success)
    for event in result.all_events:
        if event.is_step_materialization:
            done = event.step_materialization_data.materialization
            outcome.metadata[done.asset_key.to_user_string(), done.partition] = {k: v.value for k, v in done.metadata.items()}
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            outcome.checks[f"{check.asset_key.to_user_string()}:{check.check_name}"] = check.passed
        elif event.event_type == dg.DagsterEventType.STEP_FAILURE and not _only_a_check(event.step_failure_data):
            outcome.errors.append(_first_words(event.step_failure_data))
    return outcome


def _only_a_check(failure: Any) -> bool:
    """A blocking check that did not pass: the step did its work, and the check says what is wrong with the result."""
    return failure.error is not None and failure.error.cls_name == "DagsterAssetCheckFailedError"


def _first_words(failure: Any) -> str:
    """The message of what went wrong, without the frames around it."""
    error = failure.error
    while error is not None and error.cause is not None:
        error = error.cause
    user = failure.user_failure_data
    if user is not None and user.description:
        return str(user.description)
    return error.message.strip().removeprefix(f"{error.cls_name}: ") if error is not None else "unknown"
