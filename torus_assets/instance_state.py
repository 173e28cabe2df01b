"""What the Dagster instance knows of partitions, runs, sensors and its daemon, in a few queries: seconds for 1,500 partitions.

Dagster records one planned materialization for each partition of a range run, so a failed range counts for each of its days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import dagster as dg

from torus_assets.failures.processes import fate, parsed
from torus_assets.partitions import PARTITION, RANGE_END, RANGE_START, days_between
from torus_assets.steps import PROCESS

RECORDS_AT_ONCE = 500
UNFINISHED = [
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.CANCELING,
]
NAMING_DAYS = ("wrong", "held")  # metadata of our checks that lists the days that are not right
CHECK_FAILED = "DagsterAssetCheckFailedError"
DAEMON_SECONDS = 300  # without a sign of life, and it counts as not running; it gives one every 30 s

Records = Mapping[str, dg.EventLogRecord]  # latest materialization by partition


class Unfinished(NamedTuple):
    """A run that has not ended, as far as Dagster knows."""

    run_id: str
    job: str
    status: str
    partitions: tuple[str, ...]
    process: Literal["alive", "gone", "elsewhere", "unknown"]  # that works on it; unknown before its first step


class Watcher(NamedTuple):
    """A sensor or a schedule."""

    name: str
    kind: Literal["sensor", "schedule"]
    running: bool
    last_tick: Literal["ok", "failed", "none"]
    last_tick_at: float | None  # seconds since 1970

    @property
    def right(self) -> bool:
        return not self.running or self.last_tick != "failed"


# --- partitions


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, dg.EventLogRecord]:
    """The latest materialization of every partition that has one (1,461 partitions: 2 s on a busy machine)."""
    ids = [*instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION).values()]
    found: dict[str, dg.EventLogRecord] = {}
    for start in range(0, len(ids), RECORDS_AT_ONCE):
        wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids[start : start + RECORDS_AT_ONCE])
        for record in instance.fetch_materializations(wanted, limit=RECORDS_AT_ONCE).records:
            found[str(record.partition_key)] = record
    return found


def text_of(records: Records, name: str) -> dict[date, str]:
    """One metadata value of each day's record, as text; days without it are left out."""
    metadata = {day: (record.asset_materialization or _none()).metadata for day, record in records.items()}
    return {date.fromisoformat(day): str(shown[name].value) for day, shown in metadata.items() if name in shown}


def carry(instance: dg.DagsterInstance, key: dg.AssetKey, name: str, renamed: Mapping[date, tuple[str, str]], why: str) -> list[date]:
    """Says of partitions that what they were made from was only written anew: the new name stands for the old one.

    Partitions that were not made from the old one are left alone. Returns those that were carried.
    """
    carried: list[date] = []
    records = latest(instance, key) if renamed else {}
    for day, (old, new) in renamed.items():
        event = records[day.isoformat()].asset_materialization if day.isoformat() in records else None
        if event is not None and name in event.metadata and event.metadata[name].value == old:
            metadata = {**event.metadata, name: dg.MetadataValue.text(new), "written_anew": dg.MetadataValue.text(why)}
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=metadata))
            carried.append(day)
    return carried


def failed(instance: dg.DagsterInstance, key: dg.AssetKey, partitions: dg.PartitionsDefinition, records: Records) -> dict[str, str]:
    """Partitions whose latest attempt failed, with the run: it did not get as far as writing, or a blocking check stopped it after that.

    A later success of the partition takes it off, and so does an attempt that is under way or was cancelled.
    """
    states = instance.get_status_by_partition(key, partitions.get_partition_keys(dynamic_partitions_store=instance), partitions) or {}
    found = {partition: "" for partition, state in states.items() if state and state.value == "FAILED"}
    if found:
        attempts = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
        found = {partition: attempts[partition][0] if partition in attempts else "" for partition in found}
    busy = {partition for partition, state in states.items() if state and state.value == "IN_PROGRESS"}
    stopped = {partition: run for partition, run in _stopped_by_a_check(instance, records).items() if partition not in busy}
    return dict(sorted((stopped | found).items()))


def _stopped_by_a_check(instance: dg.DagsterInstance, records: Records) -> dict[str, str]:
    """Partitions that were written by a step that failed afterwards, with the run."""
    by_run: dict[str, list[str]] = {}
    for partition, record in records.items():
        by_run.setdefault(record.run_id, []).append(partition)
    failed_runs = _failed_among(instance, list(by_run))
    return {p: run for run in failed_runs for p in by_run[run] if p in _not_right(instance, run, by_run[run], records)}


def _failed_among(instance: dg.DagsterInstance, runs: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(runs), RECORDS_AT_ONCE):
        wanted = dg.RunsFilter(run_ids=runs[start : start + RECORDS_AT_ONCE], statuses=[dg.DagsterRunStatus.FAILURE])
        found += [record.dagster_run.run_id for record in instance.get_run_records(wanted)]
    return found


def _not_right(instance: dg.DagsterInstance, run: str, partitions: Iterable[str], records: Records) -> set[str]:
    """Of what a failed run wrote, what is not right: nothing if its step succeeded, what its checks name, all if they name nothing."""
    events = instance.get_records_for_run(
        run, of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.ASSET_CHECK_EVALUATION}
    ).records
    happened = [record.event_log_entry.get_dagster_event() for record in events]
    steps = {event.step_key for event in happened if event.is_step_failure and _by_a_check(event)}
    checks = [event.asset_check_evaluation_data for event in happened if event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION]
    named = [_named_days(check) for check in checks if not check.passed]
    mine = {partition for partition in partitions if records[partition].event_log_entry.step_key in steps}
    return mine if not named or None in named else mine & {day for days in named if days for day in days}


def _by_a_check(event: dg.DagsterEvent) -> bool:
    """A step that fails otherwise has not recorded its partitions, or recorded those that it is done with."""
    error = event.step_failure_data.error
    return error is not None and error.cls_name == CHECK_FAILED


def _named_days(check: Any) -> set[str] | None:
    shown = [check.metadata[name].value for name in NAMING_DAYS if name in check.metadata]
    return {str(day) for days in shown for day in days} if shown else None


def _none() -> dg.AssetMaterialization:
    return dg.AssetMaterialization("none")


# --- runs


def unfinished(instance: dg.DagsterInstance) -> list[Unfinished]:
    """Runs that wait, start or work, and those that were killed before they could say that they ended."""
    runs = [record.dagster_run for record in instance.get_run_records(dg.RunsFilter(statuses=UNFINISHED))]
    return [Unfinished(run.run_id, run.job_name, run.status.value, partitions_of(run.tags), _process(run)) for run in runs]


def partitions_of(tags: Mapping[str, str]) -> tuple[str, ...]:
    """The partitions of a run: one, the days of a range, or none. Of a range that is not of days, its ends."""
    if RANGE_START not in tags or RANGE_END not in tags:
        return (tags[PARTITION],) if PARTITION in tags else ()
    ends = tags[RANGE_START], tags[RANGE_END]
    try:
        return tuple(day.isoformat() for day in days_between(*map(date.fromisoformat, ends)))
    except ValueError:
        return ends


def _process(run: dg.DagsterRun) -> Literal["alive", "gone", "elsewhere", "unknown"]:
    process = parsed(run.tags.get(PROCESS, ""))
    if process is None or run.status not in (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING):
        return "unknown"
    return fate(process)


# --- sensors, schedules, the daemon


def watchers(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> list[Watcher]:
    """Every sensor and schedule of the code location: running or stopped, and how its last tick went."""
    defined = [(found, "sensor") for found in repository.sensor_defs] + [(found, "schedule") for found in repository.schedule_defs]
    states: dict[str, list[Any]] = {}
    for state in _states(instance):
        states.setdefault(state.instigator_name, []).append(state)
    return [_watcher(instance, found, kind, states.get(found.name, [])) for found, kind in sorted(defined, key=lambda pair: pair[0].name)]


def is_running(instance: dg.DagsterInstance, name: str) -> bool:
    """Whether somebody switched the sensor or schedule on, or it is on by default and the daemon has seen it."""
    return any(state.instigator_name == name and state.is_running for state in _states(instance))


def _states(instance: dg.DagsterInstance) -> Sequence[Any]:
    """An instance in memory keeps none."""
    return instance.all_instigator_state() if instance.schedule_storage else []


def _watcher(instance: dg.DagsterInstance, found: Any, kind: Any, states: list[Any]) -> Watcher:
    """States are many when the code location moved; the one that ticked last counts."""
    running = found.default_status.value == "RUNNING"
    ticks = [(tick, state) for state in states for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)]
    if not ticks:
        return Watcher(found.name, kind, any(state.is_running for state in states) if states else running, "none", None)
    tick, state = max(ticks, key=lambda pair: pair[0].timestamp)
    return Watcher(found.name, kind, state.is_running, "failed" if tick.status.value == "FAILURE" else "ok", tick.timestamp)


def daemon_runs(instance: dg.DagsterInstance, now: float) -> bool:
    """Whether the daemon that ticks sensors gave a sign of life in the last minutes."""
    beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    return bool(beats) and now - max(beats) < DAEMON_SECONDS
