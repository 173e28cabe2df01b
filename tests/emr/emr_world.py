"""EMR Serverless for tests: moto's server, made to behave as the service does where moto does not, with states that the test drives.

Tests beside this file take the fixture `emr`; elsewhere import it at the top of the module: it adds an address to moto, which counts only
before the server's first EMR call.

moto 5.2 alone is SUCCESS at once, runs nothing, ignores `clientToken`, truncates creation to midnight, does not know an application
without runs, lists the oldest first and has no dashboard address. Its paging (`maxResults`, `nextToken`) and its filters (`states`,
`createdAtAfter`) are right. It keeps neither an application's release after an update nor its image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import boto3.session
import pytest
from moto.core.responses import ActionResult
from moto.emrserverless import urls
from moto.emrserverless.exceptions import AccessDeniedException, ResourceNotFoundException, ValidationException
from moto.emrserverless.models import Application, EMRServerlessBackend, JobRun, emrserverless_backends
from moto.emrserverless.responses import EMRServerlessResponse

from torus_assets.settings import EmrSettings

ACCOUNT, REGION = "123456789012", "us-east-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/torus-emr"
RELEASE = "emr-7.13.0"
LOG_GROUP = "/aws/emr-serverless"
ENDED = ("SUCCESS", "FAILED", "CANCELLED")


def _dashboard(self: EMRServerlessResponse) -> ActionResult:
    run = self.emrserverless_backend.get_job_run(self._get_param("applicationId"), self._get_param("jobRunId"))
    return ActionResult({"url": f"https://p-{run.id}.emrappui-prod.{REGION}.amazonaws.com/shs"})


urls.url_paths.setdefault(
    "{0}/applications/(?P<applicationId>[^/]+)/jobruns/(?P<jobRunId>[^/]+)/dashboard$", EMRServerlessResponse.dispatch
)
EMRServerlessResponse.get_dashboard_for_job_run = _dashboard  # pyright: ignore


class EmrWorld:
    """One application of this test alone, and its job runs.

    Attributes:
        endpoint: of moto's server; the environment points every client at it already.
        bucket: `s3://…`, empty, of this test alone.
        starts_as: state of a run that a client starts.
        on_start: called with each run that a client starts; it may move the run, log, or start a thread that does.
        refuses: a message: until it is None again, every call of a run is answered with AccessDeniedException.
        calls: names of the calls that reached the backend, in order: a page of a listing is one.
    """

    def __init__(self, endpoint: str, bucket: str) -> None:
        self.endpoint, self.bucket = endpoint, bucket
        self.role_arn = ROLE
        self.region = REGION
        self.starts_as = "SUBMITTED"
        self.on_start: Callable[[JobRun], None] = lambda run: None
        self.refuses: str | None = None
        self.calls: list[str] = []
        self.application_name = f"torus-{uuid4().hex[:8]}"
        self.application_id = self._client_of("emr-serverless").create_application(
            name=self.application_name, releaseLabel=RELEASE, type="SPARK"
        )["applicationId"]
        self._walks: dict[str, list[str]] = {}

    @property
    def backend(self) -> EMRServerlessBackend:
        return emrserverless_backends[ACCOUNT][REGION]

    @property
    def application(self) -> Application:
        """moto's own; its `state` may be set (`CREATED`, `STOPPED`: only then can it be updated)."""
        return self.backend.applications[self.application_id]

    @property
    def runs(self) -> list[JobRun]:
        """moto's own, oldest first."""
        return self.backend.job_runs.setdefault(self.application_id, [])

    def run(self, run_id: str) -> JobRun:
        return next(run for run in self.runs if run.id == run_id)

    def client(self) -> Any:
        """A plain boto3 client of EMR Serverless."""
        return self._client_of("emr-serverless")

    def settings(self, **changes: Any) -> EmrSettings:
        """Settings that name this application."""
        chosen = {
            "application_id": self.application_id,
            "execution_role_arn": ROLE,
            "code_url": f"{self.bucket}/code",
            "log_url": f"{self.bucket}/logs/",
            "log_group": LOG_GROUP,
            "release": RELEASE,
        }
        return EmrSettings(**{**chosen, **changes})

    def environment(self) -> dict[str, str]:
        """The same as variables: `for name, value in emr.environment().items(): monkeypatch.setenv(name, value)`."""
        return {
            "EMR_APPLICATION_ID": self.application_id,
            "EMR_EXECUTION_ROLE_ARN": ROLE,
            "EMR_CODE_URL": f"{self.bucket}/code",
            "EMR_LOG_URL": f"{self.bucket}/logs/",
        }

    def add(
        self,
        state: str = "RUNNING",
        *,
        at: datetime | None = None,
        name: str | None = None,
        token: str | None = None,
        arguments: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        log_url: str | None = None,
        details: str = "",
    ) -> str:
        """A run that somebody else started, in any state (also one that does not exist); its id."""
        stamp = at or datetime.now(UTC)
        monitoring = {"s3MonitoringConfiguration": {"logUri": log_url}} if log_url else {}
        run: Any = JobRun(
            application_id=self.application_id,
            client_token=token or uuid4().hex,
            execution_role_arn=ROLE,
            account_id=ACCOUNT,
            region_name=REGION,
            release_label=RELEASE,
            application_type="Spark",
            job_driver={"sparkSubmit": {"entryPoint": "s3://analyticsjobs/job.py", "entryPointArguments": list(arguments)}},
            configuration_overrides={"monitoringConfiguration": monitoring} if monitoring else None,
            tags=dict(tags or {}),
            network_configuration=None,
            execution_timeout_minutes=None,
            name=name,
        )
        run.created_by = f"arn:aws:iam::{ACCOUNT}:user/torus"
        run.created_at = _naive(stamp)
        self.runs.append(run)
        self.move(run.id, state, details=details, at=stamp)
        return run.id

    def move(self, run_id: str, state: str, *, details: str = "", at: datetime | None = None) -> None:
        """The run is in this state from now on."""
        run = self.run(run_id)
        run.state, run.state_details, run.updated_at = state, details, _naive(at or datetime.now(UTC))

    def walk(self, run_id: str, *states: str) -> None:
        """Each further time that a client gets the run, it is in the next of these states; at the end it stays in the last."""
        self._walks[run_id] = list(states)

    def bill(self, run_id: str, *, vcpu: float = 0.0, memory: float = 0.0, storage: float = 0.0, seconds: int = 0) -> None:
        """What AWS charges for: vCPU hours, GB hours of memory and of storage above 20 GB a worker; seconds from start to end."""
        run = self.run(run_id)
        run.billed_resource_utilization = {"vCPUHour": vcpu, "memoryGBHour": memory, "storageGBHour": storage}
        run.total_resource_utilization = dict(run.billed_resource_utilization)  # pyright: ignore
        run.total_execution_duration_seconds = seconds

    def vanish(self, run_id: str) -> None:
        """The run is no longer listed, and getting it finds nothing."""
        self.backend.job_runs[self.application_id] = [run for run in self.runs if run.id != run_id]

    def log(self, run_id: str, lines: Sequence[str], *, stream: str = "stdout", group: str = LOG_GROUP, at: datetime | None = None) -> None:
        """Lines of the run's driver, as CloudWatch has them. moto refuses events more than 14 days old."""
        logs = self._client_of("logs")
        name = f"/applications/{self.application_id}/jobs/{run_id}/SPARK_DRIVER/{stream}"
        for make, wanted in ((logs.create_log_group, {}), (logs.create_log_stream, {"logStreamName": name})):
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                make(logGroupName=group, **wanted)
        stamp = int((at or datetime.now(UTC)).timestamp() * 1000)
        logs.put_log_events(logGroupName=group, logStreamName=name, logEvents=[{"timestamp": stamp, "message": line} for line in lines])

    def _client_of(self, service: str) -> Any:
        return boto3.session.Session().client(service, endpoint_url=self.endpoint, region_name=REGION)  # pyright: ignore

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.refuses is not None:
            raise AccessDeniedException(self.refuses)

    def _step(self, run: JobRun) -> None:
        """The next state of a run that walks."""
        states = self._walks.get(run.id)
        if states:
            self.move(run.id, states.pop(0))


def _naive(stamp: datetime) -> datetime:
    """moto keeps UTC without saying so."""
    return stamp.astimezone(UTC).replace(tzinfo=None)


def _faithful(world: EmrWorld, patch: pytest.MonkeyPatch) -> None:
    """Where moto differs from the service, for as long as the test lasts."""
    start, cancel = EMRServerlessBackend.start_job_run, EMRServerlessBackend.cancel_job_run
    get, listed = EMRServerlessBackend.get_job_run, EMRServerlessBackend.list_job_runs

    def start_job_run(backend: EMRServerlessBackend, application_id: str, client_token: str, *args: Any, **kwargs: Any) -> JobRun:
        world._called("start_job_run")
        known = [run for run in backend.job_runs.get(application_id, []) if run.client_token == client_token]
        if known:
            return known[0]  # idempotent by its token
        run = start(backend, application_id, client_token, *args, **kwargs)
        now = _naive(datetime.now(UTC))
        run.state, run.created_at, run.updated_at = world.starts_as, now, now
        run.created_by, run.state_details = f"arn:aws:iam::{ACCOUNT}:user/dagster", ""
        world.on_start(run)
        return run

    def get_job_run(backend: EMRServerlessBackend, application_id: str, job_run_id: str) -> JobRun:
        world._called("get_job_run")
        run = get(backend, application_id, job_run_id)
        world._step(run)
        return run

    def cancel_job_run(backend: EMRServerlessBackend, application_id: str, job_run_id: str) -> tuple[str, str]:
        world._called("cancel_job_run")
        run = get(backend, application_id, job_run_id)
        if run.state in ENDED:
            raise ValidationException(f"Job run {job_run_id} is in state {run.state} and cannot be cancelled.")
        cancel(backend, application_id, job_run_id)
        world.move(job_run_id, "CANCELLING")
        world.walk(job_run_id, "CANCELLING", "CANCELLED")
        return application_id, job_run_id

    def list_job_runs(backend: EMRServerlessBackend, application_id: str, *args: Any, **kwargs: Any) -> list[JobRun]:
        world._called("list_job_runs")
        if application_id not in backend.applications:
            raise ResourceNotFoundException(application_id)
        backend.job_runs.setdefault(application_id, [])
        return sorted(listed(backend, application_id, *args, **kwargs), key=lambda run: (run.created_at, run.id), reverse=True)

    for made in (start_job_run, get_job_run, cancel_job_run, list_job_runs):
        patch.setattr(EMRServerlessBackend, made.__name__, made)


@pytest.fixture
def emr(s3_endpoint: str, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrWorld]:
    """EMR Serverless with one started Spark application and no run; clients of the environment find it."""
    world = EmrWorld(s3_endpoint, s3)
    _faithful(world, monkeypatch)
    yield world
    world.backend.job_runs.pop(world.application_id, None)


def many(world: EmrWorld, count: int, state: str = "SUCCESS", *, first: datetime, apart: timedelta = timedelta(minutes=1)) -> list[str]:
    """Runs created one after another; their ids, oldest first."""
    return [world.add(state, at=first + number * apart, name=f"run {number}") for number in range(count)]
