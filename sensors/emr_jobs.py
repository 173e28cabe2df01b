"""Job runs of the EMR application that others started, Torus above all: what became of each, as observations."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import dagster as dg

from resources.lake import LakeResource
from resources.notifier import NotifierResource
from resources.s3 import ObjectStoreResource
from torus_assets import settings
from torus_assets.clients.emr import EmrServerless, connect
from torus_assets.clients.emr_errors import EmrError, NotThere
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.emr import following, recorded
from torus_assets.emr.following import Event, Reported
from torus_assets.emr.states import shown
from torus_assets.failures.book import Book
from torus_assets.failures.notices import fingerprint
from torus_assets.failures.notify import NotDelivered
from torus_assets.settings import EmrSettings

EVENTS_PER_TICK = 40  # each asks EMR once, some 100 ms
REPORTS_READ = 500  # newest observations that are compared with, so that nothing is reported twice
FORGOTTEN_AFTER = timedelta(days=7)  # a failed run stays failed: its notice is closed by time

SHOWN = (
    ("job_run", "text", "Id of the job run on EMR."),
    ("state", "text", "State that EMR says, as it spells it."),
    ("about", "text", "What is reported: a new state, a vanished run, one that stays too long in a state."),
    ("since", "time", "Since when it is in that state, UTC."),
    ("job_id", "text", "Job of the data set, from the arguments."),
    ("action", "text", "What was asked for, from the arguments."),
    ("sections", "integer", "How many sections were asked for."),
    ("started_by", "text", "`this Dagster` or `others`, such as Torus itself."),
    ("vcpu_hours", "number", "vCPU-hours billed, else used so far."),
    ("memory_gb_hours", "number", "GB-hours of memory billed, else used so far."),
    ("cost_usd", "number", "Estimate by list prices, US dollars."),
    ("seconds", "number", "From start to end."),
    ("logs", "text", "Where the logs are in S3."),
    ("manifest", "text", "Of a run that succeeded: whether its manifest is there."),
)  # of an observation; what is not known is left out
TORUS_JOBS = dg.AssetSpec(
    key=["datasets", "torus_jobs"],
    group_name="datasets",
    description=(
        "Job runs of the EMR Serverless application, whoever started them: one observation per run and state. "
        "Ids of learners in the arguments of a job are never read."
    ),
    metadata={"dagster/column_schema": dg.TableSchema([dg.TableColumn(name, kind, description=said) for name, kind, said in SHOWN])},
    kinds={"emr"},
    owners=["team:data-platform"],
    tags={"pii": "none"},
)
LINKS = {"run": dg.MetadataValue.dagster_run, "driver_log": dg.MetadataValue.url, "logs": dg.MetadataValue.path}


class Found(NamedTuple):
    """One thing to report, and what is recorded of it."""

    event: Event
    values: Mapping[str, Any]


class Look(NamedTuple):
    """One look at the application."""

    found: tuple[Found, ...]
    cursor: str  # once they are reported
    words: str  # what was seen, as counts


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING if settings.from_environment().emr.is_named else dg.DefaultSensorStatus.STOPPED,
    description="Follows the job runs of the EMR application that others start (Torus does), and tells people of failed and vanished ones.",
)
def emr_jobs(
    context: dg.SensorEvaluationContext, datasets: ObjectStoreResource, lake: LakeResource, notifier: NotifierResource
) -> dg.SensorResult:
    """Reports each run once per state, by at most `EVENTS_PER_TICK` observations.

    A lost cursor is made again from the observations; what stands there already is not repeated. While EMR does not answer, ticks are
    skipped and the cursor stays.
    """
    chosen, now = settings.from_environment().emr, datetime.now(UTC)
    if not chosen.is_named:
        return dg.SensorResult(skip_reason="no EMR application is named (EMR_APPLICATION_ID or EMR_APPLICATION_NAME)")
    try:
        client = connect()
        seen = look(client, application_of(client, chosen), context, datasets.open(), now)
    except EmrError as error:
        return dg.SensorResult(skip_reason=str(error))
    note(context, Book(open_store(lake.url)), seen.found, notifier, now)
    context.log.info(seen.words)
    events = [observation(*one) for one in seen.found]
    return dg.SensorResult(asset_events=events, skip_reason=seen.words, cursor=seen.cursor)


def application_of(client: EmrServerless, chosen: EmrSettings) -> str:
    """The id of the application that the settings name.

    Raises:
        NotThere: no application has the name.
    """
    if chosen.application_id:
        return chosen.application_id
    found = client.application_named(chosen.application_name or "")
    if found is None:
        raise NotThere(f"no EMR application is called {chosen.application_name!r}: `torus emr deploy` makes it, or set EMR_APPLICATION_ID")
    return str(found["id"])


def look(client: EmrServerless, application: str, context: dg.SensorEvaluationContext, store: ObjectStore, now: datetime) -> Look:
    """What changed since the cursor; the details of each run that did are asked for."""
    position = following.parsed(context.cursor, application)
    if position is None:
        position = following.position_of(application, reports(context.instance, application))
    listed = [following.run_of(summary) for summary in client.list_job_runs(application, following.listing_from(position, now))]
    alone = {run_id: detail(client, application, run_id) for run_id in following.absent(position, listed, now, limit=EVENTS_PER_TICK)}
    got = [following.run_of(one) for one in alone.values() if one is not None]
    vanished = [run_id for run_id, one in alone.items() if one is None]
    followed = following.follow(position, [*listed, *got], vanished, now, limit=EVENTS_PER_TICK)
    news = without_repeats(followed.events, context.instance, application)
    found = []
    for event in news:
        known = alone[event.run.id] if event.run.id in alone else detail(client, application, event.run.id)
        values = recorded.recorded(application, event, known)
        if event.run.state == "SUCCESS" and "job_id" in values:
            values["manifest"] = recorded.manifest(store, values["job_id"])
        found.append(Found(event, values))
    words = f"{len(news)} changes of job runs, {followed.waiting} more wait; {len(followed.position.active)} runs at work"
    return Look(tuple(found), following.written(followed.position), words)


def detail(client: EmrServerless, application: str, run_id: str) -> Mapping[str, Any] | None:
    """The run as EMR knows it; None for one that it does not know."""
    try:
        return client.get_job_run(application, run_id)
    except NotThere:
        return None


def reports(instance: dg.DagsterInstance, application: str) -> list[Reported]:
    """The newest observations of this application's runs, the newest first."""
    found = (record.asset_observation for record in instance.fetch_observations(TORUS_JOBS.key, limit=REPORTS_READ).records)
    values = ({name: value.value for name, value in one.metadata.items()} for one in found if one is not None)
    return [recorded.reported(one) for one in values if one.get("application") == application]


def without_repeats(events: Iterable[Event], instance: dg.DagsterInstance, application: str) -> list[Event]:
    """The events that were not recorded yet: a tick may have been killed between its observations and its cursor."""
    events = list(events)
    known = {(one.run.id, one.run.state, one.about) for one in reports(instance, application)} if events else set()
    return [event for event in events if (event.run.id, shown(event.run.state), event.about) not in known]


def observation(event: Event, values: Mapping[str, Any]) -> dg.AssetObservation:
    words = {"state": values["state"], "vanished": "no longer known to EMR", "long": f"still {values['state']}"}
    linked = {name: LINKS[name](value) if name in LINKS else value for name, value in values.items()}
    return dg.AssetObservation(
        asset_key=TORUS_JOBS.key, description=f"{values.get('job_id', event.run.id)}: {words[event.about]}", metadata=linked
    )


def note(context: dg.SensorEvaluationContext, book: Book, found: Iterable[Found], notifier: NotifierResource, now: datetime) -> None:
    """Enters what went wrong, once each; closes what moved on or is a week old; tells what is due."""
    notices = {notice.failure.step: notice for notice in book.open() if notice.failure.job == recorded.SUBJECT}
    for step, notice in notices.items():
        if now - notice.last_seen > FORGOTTEN_AFTER:
            book.close(recorded.SUBJECT, step, now)
    for one in found:
        step, failure = recorded.step_of(one.event), recorded.wrong(one.event, one.values, now)
        known = notices[step].fingerprint if step in notices else None
        if failure is not None and fingerprint(failure) == known:
            continue  # noted by a tick that was killed before its observations were written
        if known is not None:
            book.close(recorded.SUBJECT, step, now)
        if failure is not None:
            context.log.warning("%s: %s", step, failure.text)
            book.note(failure)
    try:
        book.tell(notifier.open(), now)
    except NotDelivered as error:
        context.log.warning("%s; it is told later", error)
