"""Bundles as they arrive: from the queue of S3's notifications, and from listing the open days."""

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from resources.lake import LakeResource
from resources.s3 import ObjectStoreResource
from resources.sqs import QueueResource
from torus_assets import settings
from torus_assets.arrivals.due import Outcome, Request, State
from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.tick import Limits, Runs, Sources, Ticked, tick
from torus_assets.clients.object_store import open_store
from torus_assets.instance_state import partitions_of
from torus_assets.partitions import RANGE_END, RANGE_START
from torus_assets.steps import FAILURE
from torus_assets.xapi.lake import Lake, LakeMissing, Snapshot

JOB = "refresh"
INDEXING = frozenset({JOB, "ingest"})  # jobs that index a day and ingest it
INDEX = dg.AssetKey(["xapi", "bundle_index"])
CONFIG = {"ops": {"xapi__bundle_index": {"config": {"listing": "arrivals"}}}}
RUN_KEY = "dagster/run_key"
AT_WORK = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
SUCCESSES = 500  # runs looked at for a person's success after a failure

LEDGERS = Ledgers()  # of this process: a tick reads the ledger of a day again only after a commit to it


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Brings the days of new bundles from the store to ClickHouse: found by S3's notifications, and by listing the open days.",
)
def s3_arrivals(
    context: dg.SensorEvaluationContext, bundles: ObjectStoreResource, lake: LakeResource, queue: QueueResource
) -> dg.SensorResult:
    """Asks for the days that have something new: one run per span of days, none for a day that a run is at work on.

    The ledger decides what is new, so a lost or reset cursor only starts the listing anew.
    """
    limits = settings.from_environment()
    ticked = tick(
        Sources(bundles.open(), open_store(lake.url), _snapshot(lake.open()), queue.open(), LEDGERS),
        runs_of(context.instance),
        Limits(limits.first_day, limits.open_days, limits.listing_seconds),
        context.cursor,
        now=datetime.now(UTC),
        clock=time.monotonic,
    )
    _log(context.log, ticked)
    requests = [run_request(one) for one in ticked.due.requests]
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else ticked.reason, cursor=ticked.cursor)


def run_request(request: Request) -> dg.RunRequest:
    """One run over the days, which reads the index from the arrivals table."""
    tags = {
        RANGE_START: request.first.isoformat(),
        RANGE_END: request.last.isoformat(),
        "torus/started_by": "arrivals",
        "torus/attempt": str(request.attempt),
    }
    return dg.RunRequest(run_key=request.run_key, run_config=CONFIG, tags=tags)


def runs_of(instance: dg.DagsterInstance) -> Runs:
    """What the instance knows of runs, as the decision asks for it."""
    return Runs(
        outcomes=lambda run_keys: _outcomes(instance, run_keys),
        in_flight=lambda: _in_flight(instance),
        succeeded=lambda ours, since: _succeeded(instance, ours, since),
    )


def _outcomes(instance: dg.DagsterInstance, run_keys: Sequence[str]) -> Mapping[str, Outcome]:
    found: dict[str, Outcome] = {}
    for run_key in run_keys:
        for record in instance.get_run_records(dg.RunsFilter(tags={RUN_KEY: run_key}), limit=1):  # the newest: a retry counts, too
            found[run_key] = Outcome(_state(record.dagster_run), _ended_at(record), record.dagster_run.run_id)
    return found


def _state(run: dg.DagsterRun) -> State:
    if run.status in AT_WORK:
        return "in flight"
    if run.status == dg.DagsterRunStatus.SUCCESS:
        return "success"
    nature = run.tags.get(FAILURE)
    return nature if nature in ("permanent", "interrupted") else "failure"


def _in_flight(instance: dg.DagsterInstance) -> Collection[date]:
    runs = instance.get_runs(dg.RunsFilter(statuses=AT_WORK))
    return {day for run in runs if run.job_name in INDEXING or INDEX in (run.asset_selection or ()) for day in days_of_run(run)}


def _succeeded(instance: dg.DagsterInstance, ours: Collection[str], since: datetime) -> Mapping[date, datetime]:
    wanted = dg.RunsFilter(job_name=JOB, statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=since - timedelta(seconds=1))
    found: dict[date, datetime] = {}
    for record in instance.get_run_records(wanted, limit=SUCCESSES):
        if record.dagster_run.tags.get(RUN_KEY) not in ours:
            for day in days_of_run(record.dagster_run):
                found[day] = max(_ended_at(record), found.get(day, _ended_at(record)))
    return found


def days_of_run(run: dg.DagsterRun) -> list[date]:
    """The days of a run by its tags: a range, one partition, or none. A partition that is no day counts as none."""
    try:
        return [date.fromisoformat(partition) for partition in partitions_of(run.tags)]
    except ValueError:
        return []


def _ended_at(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else record.update_timestamp.replace(tzinfo=UTC)


def _snapshot(lake: Lake) -> Snapshot | None:
    try:
        return lake.snapshot()
    except LakeMissing:
        return None


def _log(log: logging.Logger, ticked: Ticked) -> None:
    taken, swept = ticked.taken, ticked.swept
    log.info(
        "queue: %d messages, %d bundles named, %d arrived, %d gone, %d messages refused, ignored %s, unreachable %s",
        taken.messages, taken.bundles, taken.arrived, taken.gone, taken.refused, dict(taken.ignored), dict(taken.unreachable),
    )  # fmt: skip
    acknowledged = ticked.acknowledged
    deleted, waiting = taken.deleted + acknowledged.deleted, taken.waiting + acknowledged.waiting
    log.info("messages deleted: %d, waiting for a run: %d, coming again: %d", deleted, waiting, acknowledged.returning)
    log.info("listing: %d sections, %d keys, %d arrived; complete: %s", swept.homes, swept.keys, ticked.listed, swept.complete)
    log.info("pending: %d bundles, %d of them gone; asked for: %d runs", ticked.pending, ticked.gone, len(ticked.due.requests))
    for day, reason in ticked.due.waiting.items():
        log.info("%s waits: %s", day, reason)
