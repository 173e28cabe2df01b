"""Requests for data sets: each new or overwritten document below `requests/` becomes a partition and one run."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

import dagster as dg

from resources.lake import LakeResource
from resources.notifier import NotifierResource
from resources.s3 import ObjectStoreResource
from sensors import new_objects
from torus_assets import settings
from torus_assets.clients.object_store import ObjectInfo, ObjectStore, open_store
from torus_assets.datasets.catalog import is_withdrawn, state
from torus_assets.datasets.pseudonyms import KeyMissing, PseudonymKey, pseudonym_key
from torus_assets.datasets.request import Request, RequestError, parse_request, run_key
from torus_assets.datasets.request_values import is_job_id
from torus_assets.failures.book import Book
from torus_assets.failures.notices import Failure
from torus_assets.failures.notify import NotDelivered
from torus_assets.jobs import DATASET, DATASHOP_DATASET
from torus_assets.partitions import DATASET_JOBS

FOLDER = "requests/"
REQUESTS_PER_TICK = 20  # each is read; one read takes some 50 ms on S3
SUBJECT = "data set requests"  # as the job of notices


class Asked(NamedTuple):
    """One document, read."""

    job_id: str
    at: datetime  # UTC; when it was put
    request: Request | None = None  # None where it is not run
    mistakes: int = 0  # 0 and no request: it is gone, withdrawn or answered


@dg.sensor(
    jobs=[DATASET, DATASHOP_DATASET],
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Runs each request for a data set that is new or was changed below `requests/`. Withdrawn and invalid ones are not run.",
)
def dataset_requests(
    context: dg.SensorEvaluationContext, datasets: ObjectStoreResource, lake: LakeResource, notifier: NotifierResource
) -> dg.SensorResult:
    """Asks for at most `REQUESTS_PER_TICK` runs.

    Run keys and the marks in the cursor are made with the pseudonym key: a request names students, whose ids can be guessed, so that a
    plain digest of it (an S3 etag is one) would give them away. What `torus dataset run` has answered since it was put is not run again.
    """
    chosen = settings.from_environment()
    try:
        secret = pseudonym_key(chosen.pseudonym_key, chosen.home, (chosen.xapi_url, chosen.lake_url, chosen.datasets_url))
    except KeyMissing as error:
        return dg.SensorResult(skip_reason=str(error))
    store = datasets.open()

    def mark(info: ObjectInfo) -> str:
        return secret.digest("request mark", [f"{info.key} {info.etag} {info.last_modified.isoformat()}"])[:16]

    found = new_objects.new_objects(
        new_objects.parsed(context.cursor), documents(store), limit=REQUESTS_PER_TICK, now=datetime.now(UTC), mark=mark
    )
    asked = [read(store, info) for info in found.fresh]
    told(context, asked, lake, notifier)
    good = [(one, one.request) for one in asked if one.request]
    if asked:
        context.log.info("%d new requests, %d can be run; %d wait for the next tick", len(asked), len(good), found.waiting)
    return dg.SensorResult(
        run_requests=[run_request(one, request, secret) for one, request in good],
        dynamic_partitions_requests=[DATASET_JOBS.build_add_request([request.job_id for _, request in good])] if good else [],
        skip_reason=None if good else "no new request that can be run",
        cursor=new_objects.written(found.position),
    )


def documents(store: ObjectStore) -> Iterable[ObjectInfo]:
    """The objects that are requests by their keys."""
    return (info for info in store.list(FOLDER) if info.key.endswith(".json") and "/" not in info.key.removeprefix(FOLDER))


def read(store: ObjectStore, info: ObjectInfo) -> Asked:
    """The document as it is now, which may be newer than the listing."""
    job_id = info.key.removeprefix(FOLDER).removesuffix(".json")
    try:
        fetched = store.get(info.key)
    except FileNotFoundError:
        return Asked(job_id, info.last_modified)
    if not is_job_id(job_id):
        return Asked(job_id, fetched.last_modified, mistakes=1)
    if is_withdrawn(store, job_id):
        return Asked(job_id, fetched.last_modified)
    try:
        request = parse_request(fetched.body)
    except RequestError as error:
        return Asked(job_id, fetched.last_modified, mistakes=len(error.problems))
    if request.job_id != job_id:
        return Asked(job_id, fetched.last_modified, mistakes=1)
    known = state(store, job_id)
    if known.state == "complete" and known.finished_at is not None and known.finished_at > fetched.last_modified:
        return Asked(job_id, fetched.last_modified)  # `torus dataset run` has answered it as it is now
    return Asked(job_id, fetched.last_modified, request)


def run_request(asked: Asked, request: Request, secret: PseudonymKey) -> dg.RunRequest:
    """One run of the request as it was put at that time: putting an older version back asks for it again."""
    return dg.RunRequest(
        run_key=secret.digest("request run", [f"{run_key(request)} {asked.at.isoformat()}"]),
        partition_key=request.job_id,
        job_name=(DATASHOP_DATASET if request.action == "datashop" else DATASET).name,
    )


def told(context: dg.SensorEvaluationContext, asked: list[Asked], lake: LakeResource, notifier: NotifierResource) -> None:
    """Says once of each invalid document how many mistakes it has; a later document of the job takes that back."""
    if not asked:
        return
    book = Book(open_store(lake.url))
    known = {notice.failure.step: notice.failure.at for notice in book.open() if notice.failure.job == SUBJECT}
    for one in asked:
        step = name_of(one.job_id)
        if one.mistakes and known.get(step) == one.at:
            continue  # a lost cursor finds it again
        book.close(SUBJECT, step, one.at)
        if one.mistakes:
            failure = refusal(one, step)
            context.log.warning("%s: %s. %s", step, failure.text, failure.what_to_do)
            book.note(failure)
    try:
        book.tell(notifier.open(), datetime.now(UTC))
    except NotDelivered as error:
        context.log.warning("%s; it is told later", error)


def refusal(asked: Asked, step: str) -> Failure:
    return Failure(
        job=SUBJECT,
        step=step,
        nature="request",
        kind="RequestError",
        text=f"the request has {asked.mistakes} mistake{'s' * (asked.mistakes != 1)}",
        what_to_do=f"`torus dataset status {asked.job_id}` lists them. Mend the named keys and submit the request again."
        if is_job_id(asked.job_id)
        else "Name the object below requests/ after its job_id: letters, digits, `-`, `_` and `.`.",
        at=asked.at,
    )


def name_of(job_id: str) -> str:
    """The request as logs may name it: a name that is no job id may be anything, and is left out."""
    return f"requests/{job_id}.json" if is_job_id(job_id) else "an object below requests/ that is not called after a job id"
