"""EMR Serverless over boto3: applications and their job runs, as AWS describes them.

Documents go in and come out as AWS spells them (`applicationId`, `jobRunId`, `state`). Listings read all pages. Credentials come from the
default chain, `AWS_ENDPOINT_URL` is honoured, every call has a timeout. Source of names and limits: botocore's model of
`emr-serverless`, version 2021-07-13.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from torus_assets.clients.emr_errors import EmrError, NotThere, told

PAGE = 50  # what AWS gives at most per page, of applications and of job runs
CONNECT_SECONDS = 10
READ_SECONDS = 30
TRIES = 4
TERMINATED = "TERMINATED"  # an application that was deleted, which AWS goes on listing for a while


def connect() -> EmrServerless:
    """A client of the region that the environment names. Nothing is contacted before the first use."""
    import boto3.session
    from botocore.config import Config

    config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard", "total_max_attempts": TRIES})
    with told("connect", "EMR Serverless"):
        # boto3 knows AWS_DEFAULT_REGION only
        client = boto3.session.Session().client("emr-serverless", region_name=os.environ.get("AWS_REGION"), config=config)
    return EmrServerless(client)


class EmrServerless:
    """Calls of EMR Serverless that we need. Raises `EmrError`, with what to do; `NotThere` for what does not exist."""

    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def region(self) -> str:
        return str(self._client.meta.region_name)

    def applications(self) -> Iterator[dict[str, Any]]:
        """Summaries of all applications that were not deleted, page by page."""
        for found in self._pages("ListApplications", "the applications", self._client.list_applications, "applications", {}):
            if found.get("state") != TERMINATED:
                yield found

    def application(self, application_id: str) -> dict[str, Any]:
        """One application, whole."""
        with told("GetApplication", f"application {application_id}"):
            return self._client.get_application(applicationId=application_id)["application"]

    def application_named(self, name: str) -> dict[str, Any] | None:
        """The summary of the one application of that name; None when there is none.

        Raises:
            EmrError: several have the name; all their ids are told.
        """
        found = [application for application in self.applications() if application.get("name") == name]
        if len(found) > 1:
            ids = ", ".join(sorted(application["id"] for application in found))
            raise EmrError(f"{len(found)} applications are called {name!r} ({ids}): delete all but one, or set EMR_APPLICATION_ID")
        return found[0] if found else None

    def create_application(self, document: Mapping[str, Any]) -> str:
        """Creates an application; its id. `document` holds `name`, `clientToken` and the rest of CreateApplication."""
        with told("CreateApplication", f"application {document.get('name')}"):
            return self._client.create_application(**document)["applicationId"]

    def update_application(self, application_id: str, document: Mapping[str, Any]) -> None:
        """Changes what `document` names and nothing else. AWS allows it only while the application is CREATED or STOPPED."""
        with told("UpdateApplication", f"application {application_id}"):
            self._client.update_application(applicationId=application_id, **document)

    def start_application(self, application_id: str) -> None:
        with told("StartApplication", f"application {application_id}"):
            self._client.start_application(applicationId=application_id)

    def stop_application(self, application_id: str) -> None:
        """Asks for a stop; AWS refuses it while job runs are active."""
        with told("StopApplication", f"application {application_id}"):
            self._client.stop_application(applicationId=application_id)

    def start_job_run(self, document: Mapping[str, Any]) -> str:
        """Starts a job run, or finds the one that the same `clientToken` started before; its id.

        Raises:
            TokenUsed: the token was used for another request.
        """
        private = document.get("jobDriver", {}).get("sparkSubmit", {}).get("entryPointArguments", ())
        with told("StartJobRun", f"a job run of application {document['applicationId']}", [word for word in private if len(word) > 1]):
            return self._client.start_job_run(**document)["jobRunId"]

    def get_job_run(self, application_id: str, job_run_id: str) -> dict[str, Any]:
        """One job run, whole: `state`, `stateDetails`, `jobDriver`, `billedResourceUtilization`, …"""
        with told("GetJobRun", f"job run {job_run_id} of application {application_id}"):
            return self._client.get_job_run(applicationId=application_id, jobRunId=job_run_id)["jobRun"]

    def list_job_runs(
        self, application_id: str, created_after: datetime | None = None, states: Sequence[str] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Summaries of the application's job runs, all pages, in the order AWS gives them.

        Args:
            created_after: only runs created after this moment (with a zone).
            states: only runs in one of these states, at most eight.
        """
        asked: dict[str, Any] = {"applicationId": application_id}
        if created_after is not None:
            asked["createdAtAfter"] = created_after
        if states:
            asked["states"] = list(states)
        try:
            yield from self._pages("ListJobRuns", f"job runs of application {application_id}", self._client.list_job_runs, "jobRuns", asked)
        except NotThere:
            self.application(application_id)  # it is there: it has no run yet, which some servers call not found

    def cancel_job_run(self, application_id: str, job_run_id: str) -> None:
        """Asks for a cancellation. The run goes through CANCELLING; what ended already stays as it is."""
        with told("CancelJobRun", f"job run {job_run_id} of application {application_id}"):
            self._client.cancel_job_run(applicationId=application_id, jobRunId=job_run_id)

    def dashboard(self, application_id: str, job_run_id: str) -> str | None:
        """A link to the Spark UI or history server of a run, good for an hour: a secret. None when there is none (yet)."""
        with told("GetDashboardForJobRun", f"job run {job_run_id} of application {application_id}"):
            return self._client.get_dashboard_for_job_run(applicationId=application_id, jobRunId=job_run_id).get("url")

    def _pages(self, operation: str, what: str, call: Callable[..., Any], key: str, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        token: str | None = None
        while True:
            with told(operation, what):
                page = call(maxResults=PAGE, **asked, **({"nextToken": token} if token else {}))
            yield from page[key]
            last, token = token, page.get("nextToken")
            if not token:
                return
            if token == last:
                raise EmrError(f"{operation}: the server gave the same page twice; the listing cannot be trusted")
