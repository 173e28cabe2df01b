"""Runs whose process is gone: killed, out of memory, or lost with its machine. Nobody else says so of them.

Dagster's run monitoring asks the launcher, and the default launcher cannot answer (1.13.27: `supports_check_run_worker_health` is False). So
such a run would stay "started" for ever, and keep its place in the queue and its slots in the pools.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import dagster as dg

from resources.lake import LakeResource
from resources.notifier import NotifierResource
from sensors.failures import note, tell, unnoted
from sensors.run_stories import last_sign
from torus_assets.clients.object_store import open_store
from torus_assets.failures.book import Book
from torus_assets.failures.processes import fate, parsed, started_by
from torus_assets.steps import FAILURE, PROCESS

QUIET = timedelta(hours=12)  # without one event: then a run of another host, or of a process that nobody knows, counts as gone
UNSTARTED = timedelta(minutes=15)  # between launching a run and the first word of its process
AT_WORK = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
RUNS_PER_TICK = 100
LAUNCHER = ".dagster/grpc_info"  # tag of a run that was launched through a code server: where that answers
LOCAL = ("localhost", "127.0.0.1", "::1")


class Gone(NamedTuple):
    """A run that nobody works on any more."""

    run: dg.DagsterRun
    why: str


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone, so that they are seen and can be run again. Also tells failures that nobody was told yet.",
)
def interrupted_runs(context: dg.SensorEvaluationContext, lake: LakeResource, notifier: NotifierResource) -> dg.SkipReason:
    now, instance = datetime.now(UTC), context.instance
    gone = list(without_process(instance, now))
    for one in gone:
        end(instance, one)
    book = Book(open_store(lake.url))
    for run in unnoted(instance, now):
        note(book, instance, run)
    tell(book, notifier, context)
    return dg.SkipReason(f"{len(gone)} interrupted runs were ended" if gone else "every run at work has its process")


def without_process(instance: dg.DagsterInstance, now: datetime) -> Iterator[Gone]:
    """Runs at work whose process does not live.

    A process of this host is looked for by number and start. Of others nothing can be known from here: they are left alone until no event
    came from them for `QUIET`; a run whose process never said a word, for `UNSTARTED`.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=AT_WORK), limit=RUNS_PER_TICK):
        why = _why_gone(instance, record, now)
        if why is not None:
            yield Gone(record.dagster_run, why)


def end(instance: dg.DagsterInstance, gone: Gone) -> None:
    """Records the end of such a run, and gives its slots in the pools back. A run that has ended meanwhile is left as it is."""
    run = instance.get_run_by_id(gone.run.run_id)
    if run is None or run.status not in AT_WORK:
        return
    instance.add_run_tags(run.run_id, {FAILURE: "interrupted"})
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, f"Canceled: {gone.why}.")
    else:
        instance.report_run_failed(run, f"Interrupted: {gone.why}. Nothing is half done and nothing is lost: it is safe to run it again.")
    if instance.event_log_storage.supports_global_concurrency_limits:
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _why_gone(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime) -> str | None:
    tags = record.dagster_run.tags
    process = parsed(tags.get(PROCESS, ""))
    if process is not None:
        found = fate(process)
        if found == "gone":
            return f"process {process.pid} of {process.host} ended without a word (killed, out of memory, or the machine was restarted)"
        return _quiet(instance, record, now, QUIET) if found == "elsewhere" else None
    pid, when = _announced(instance, record)
    if pid is None:
        return _quiet(instance, record, now, UNSTARTED if record.dagster_run.status == dg.DagsterRunStatus.STARTING else QUIET)
    if not _is_local(tags):
        return _quiet(instance, record, now, QUIET)
    return None if started_by(pid, when) else f"process {pid} ended without a word before its first step (killed, or out of memory)"


def _quiet(instance: dg.DagsterInstance, record: dg.RunRecord, now: datetime, limit: timedelta) -> str | None:
    silence = now - last_sign(instance, record)
    return f"no sign of its process for {silence.total_seconds() / 3600:.1f} hours" if silence > limit else None


def _announced(instance: dg.DagsterInstance, record: dg.RunRecord) -> tuple[int | None, float]:
    """The process that Dagster says it has started for the run, and when it said so."""
    events = instance.get_records_for_run(record.dagster_run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT, ascending=False).records
    for event in events:
        told = event.event_log_entry.dagster_event
        pid = told.engine_event_data.metadata.get("pid") if told else None
        if pid is not None and str(pid.value).isdigit():
            return int(str(pid.value)), event.timestamp
    return None, 0.0


def _is_local(tags: Mapping[str, str]) -> bool:
    """The code server that started the run's process is on this host: it listens on a socket, or on this host's own address."""
    try:
        place = json.loads(tags.get(LAUNCHER, "{}"))
    except ValueError:
        return False
    return isinstance(place, dict) and ("socket" in place or place.get("host") in LOCAL)
