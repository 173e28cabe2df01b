"""Failures that people hear of once, in words, and that are taken back when the work is right again."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from resources.lake import LakeResource
from resources.notifier import NotifierResource
from sensors.run_stories import ended, failures_of, spans_of_run, steps_done
from torus_assets.clients.object_store import open_store
from torus_assets.failures.book import Book
from torus_assets.failures.notify import NotDelivered
from torus_assets.steps import FAILURE

NOTED = "torus/notice"  # tag of a failed run that stands in the book
LOOK_BACK = timedelta(days=1)
RUNS_PER_SWEEP = 100


@dg.run_failure_sensor(
    monitor_all_code_locations=True,  # runs of the command line name no code location
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Tells people once of each distinct failure: what failed, for which partitions, why, and what to do.",
)
def failed_runs(context: dg.RunFailureSensorContext, lake: LakeResource, notifier: NotifierResource) -> None:
    book = Book(open_store(lake.url))
    note(book, context.instance, context.dagster_run)
    tell(book, notifier, context)


@dg.run_status_sensor(
    run_status=dg.DagsterRunStatus.SUCCESS,
    monitor_all_code_locations=True,
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Takes a failure back once its step has succeeded for the same partitions, in whatever job.",
)
def right_again(context: dg.RunStatusSensorContext, lake: LakeResource) -> None:
    run = context.dagster_run
    steps, spans = steps_done(context.instance, run), spans_of_run(run)
    closed = Book(open_store(lake.url)).succeeded(run.job_name, steps, spans, ended(context.instance, run))
    if closed:
        context.log.info("%d failures are right again", len(closed))


def note(book: Book, instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Enters what failed in a run, and tags the run with it: with the nature of the failure, and the fingerprints of its notices."""
    failures = failures_of(instance, run)
    notices = [book.note(failure) for failure in failures]
    tags = {NOTED: ",".join(dict.fromkeys(notice.fingerprint for notice in notices))}
    if FAILURE not in run.tags:
        tags[FAILURE] = failures[0].nature
    instance.add_run_tags(run.run_id, tags)


def unnoted(instance: dg.DagsterInstance, now: datetime) -> Iterable[dg.DagsterRun]:
    """Failed runs of the last day that are not in the book: the sensor was off, or the store did not answer when it looked."""
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=now - LOOK_BACK)
    return [run for run in instance.get_runs(failed, limit=RUNS_PER_SWEEP) if NOTED not in run.tags]


def tell(book: Book, notifier: NotifierResource, context: dg.RunStatusSensorContext | dg.SensorEvaluationContext) -> None:
    """Tells what is due. What is not delivered waits for the next failure, or for the next tick of `interrupted_runs`."""
    try:
        told = book.tell(notifier.open(), datetime.now(UTC))
    except NotDelivered as error:
        context.log.warning("%s; it is told later", error)
        return
    if told:
        context.log.info("told of %d failures", len(told))
