"""Spark on EMR Serverless, through Dagster Pipes: the job's messages are lines of its driver's log in CloudWatch.

What dagster-aws 0.29 does by itself is not enough here, so its client and its reader are bases: it reads messages only of a run that
succeeded, and only the newest page of them; a dropped connection or a state that it does not know ends it, and leaves the job running.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, cast

import dagster as dg
from dagster_aws.pipes import PipesEMRServerlessClient

from resources.emr_log import DriverLog, cloudwatch
from resources.spark_told import Ended, Listener, private_file, tail
from torus_assets import settings
from torus_assets.clients import emr as emr_client
from torus_assets.clients.emr import EmrServerless
from torus_assets.clients.emr_errors import EmrError, NotThere
from torus_assets.emr import jobs
from torus_assets.emr.applications import application_id
from torus_assets.emr.asked import exit_code
from torus_assets.emr.deployed import code
from torus_assets.emr.figures import console_link, figures, logs, region_of
from torus_assets.emr.spark_parameters import SIZES
from torus_assets.emr.states import has_ended, phase, shown
from torus_assets.emr.worker_sizes import worker_of
from torus_assets.engine.registry_settings import under
from torus_assets.failures.words import one_line
from torus_assets.settings import EmrSettings, Settings, SparkSettings

POLL_SECONDS = 5.0
UNANSWERED_SECONDS = 1800.0  # AWS may be out of reach so long before the run gives up on its job
LATE_SECONDS = 60.0  # lines reach CloudWatch after the end of the job
NEEDS = {
    "ingest": ("TORUS_XAPI_URL", "TORUS_LAKE_URL"),
    "dataset": ("TORUS_LAKE_URL", "TORUS_DATASETS_URL"),
}  # places that executors have to reach


class EmrPipesClient(PipesEMRServerlessClient):
    """Starts a job run, follows it to its end whatever AWS answers in between, and cancels it when the run of Dagster ends first."""

    def __init__(
        self, emr: EmrServerless, log: DriverLog, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(client=cast("Any", emr), message_reader=log, poll_interval=POLL_SECONDS)
        self._emr, self._log, self._clock, self._sleep = emr, log, clock, sleep

    def follow(
        self, context: dg.AssetExecutionContext, start: dict[str, Any], extras: dict[str, Any], listener: Listener
    ) -> tuple[dict[str, Any] | None, list[Any]]:
        """Runs the job to its end.

        Args:
            start: StartJobRun's document.

        Returns:
            The job run as AWS describes it at its end, None when it vanished, and what the job told.
        """
        application = start["applicationId"]
        with dg.open_pipes_session(context, self.context_injector, self._log, extras) as pipes:
            run = self._emr.start_job_run(self._enrich_start_params(context, pipes, cast("Any", start)))
            context.log.info("EMR Serverless: job run %s of application %s", run, application)

            def hear() -> None:
                self._log.read()
                listener.hear(pipes.get_custom_messages())

            try:
                ended = self._ended(context, start, run, hear)
            except BaseException:
                self._cancel(context, application, run)
                raise
            if ended is not None:
                self._hear_late(ended, pipes.message_handler, hear)
        return ended, list(pipes.get_custom_messages())

    def _ended(
        self, context: dg.AssetExecutionContext, start: Mapping[str, Any], run: str, hear: Callable[[], None]
    ) -> dict[str, Any] | None:
        """The job run once it has ended. A state that nobody knows is told and polled on."""
        known, answered = "", self._clock()
        said = {"configurationOverrides": start["configurationOverrides"]}  # where it logs, as we asked
        while True:
            try:
                found = {**self._emr.get_job_run(start["applicationId"], run), **said}
            except NotThere:
                return None
            except EmrError as error:
                silent = self._clock() - answered
                if not error.again or silent > UNANSWERED_SECONDS:
                    raise
                context.log.info("EMR Serverless: no answer for %d s (%s); the job goes on", silent, error.code or "no connection")
            else:
                answered, state = self._clock(), found["state"]
                if state != known:
                    known = state
                    say = context.log.warning if phase(state) == "unknown" else context.log.info
                    say("EMR Serverless: job run %s is %s", run, shown(state))
                place = logs(found)
                self._log.look_at(str(place["log_group"]), str(place["log_stream"]))
                hear()
                if has_ended(state):
                    return found
            self._sleep(self.poll_interval)

    def _hear_late(self, ended: dict[str, Any], handler: Any, hear: Callable[[], None]) -> None:
        """Waits for lines that are on their way; also where the application would have put them, if it gives its logs a prefix."""
        until, places = self._clock() + LATE_SECONDS, [logs(ended)]
        while not handler.received_closed_message and self._clock() < until:
            self._sleep(1)
            if not handler.received_opened_message:
                if len(places) == 1:
                    places.append(self._place_of_application(ended) or places[0])
                places.reverse()
                self._log.look_at(str(places[0]["log_group"]), str(places[0]["log_stream"]))
            hear()

    def _place_of_application(self, ended: dict[str, Any]) -> dict[str, Any] | None:
        try:
            found = logs({**ended, "configurationOverrides": {}}, self._emr.application(ended["applicationId"]))
        except EmrError:
            return None  # it is only a second guess
        return found if "log_stream" in found else None

    def _cancel(self, context: dg.AssetExecutionContext, application: str, run: str) -> None:
        try:
            self._emr.cancel_job_run(application, run)
        except EmrError as error:
            context.log.warning("job run %s could not be cancelled and may go on: `torus emr cancel %s` (%s)", run, run, error)
        else:
            context.log.warning("EMR Serverless: job run %s is being cancelled", run)


def run_on_emr(
    context: dg.AssetExecutionContext, extras: dict[str, Any], listener: Listener, sleep: Callable[[float], None] = time.sleep
) -> Ended:
    """Has the work done on the application that the settings name."""
    chosen = settings.from_environment()
    emr, log = emr_client.connect(), DriverLog(cloudwatch())
    start = _start(context, emr, chosen, extras["work"], under(extras.get("registered", {}), chosen.spark))
    found, messages = EmrPipesClient(emr, log, sleep=sleep).follow(context, start, extras, listener)
    ended = _judged(found, messages, log, chosen.emr)
    if found is not None:
        _with_logs(context, ended, found, log)
    return ended


def _start(context: dg.AssetExecutionContext, emr: EmrServerless, chosen: Settings, work: str, spark: SparkSettings) -> dict[str, Any]:
    """StartJobRun's document. Its token is of this try of this step: submitting it twice starts one job.

    Raises:
        NoSuchWorker: EMR has no workers of the size that the settings come to.
    """
    said, placed = chosen.emr, code(chosen.emr)
    worker_of({**SIZES, **spark.conf})
    step = f"{context.op_execution_context.op.name}-{context.retry_number}"
    return jobs.start_job_run(
        said,
        application_id(emr, said),
        token=jobs.client_token(f"{context.run.run_id}-{step}"),
        name=f"torus {work} {context.run.run_id[:8]}",
        entry_point=placed.job_url,
        arguments=[],
        parameters=jobs.spark_submit_parameters(said, spark, placed.archive_url, jobs.job_variables(chosen, NEEDS[work])),
        tags={jobs.STARTED_BY: "dagster"},
    )


def _judged(found: dict[str, Any] | None, messages: list[Any], log: DriverLog, said: EmrSettings) -> Ended:
    ended = Ended(messages, silent=_silence(log, said.log_group))
    if found is None:
        ended.trouble = "the EMR Serverless job run is not there any more; nothing is known of its end"
        return ended
    state = found["state"]
    if state == "SUCCESS":
        ended.again = bool(messages)  # a job that was never heard would not be heard the next time either
        return ended
    code = exit_code(found)
    ended.trouble = f"EMR Serverless job run {found['jobRunId']} ended as {state}{f' with exit code {code}' if code is not None else ''}"
    ended.again = state != "CANCELLED"
    if state == "CANCELLED":
        ended.what_to_do = "Somebody cancelled the job. Run it again when that is over."
    return ended


def _silence(log: DriverLog, group: str) -> str:
    """What to look at when a job was not heard."""
    return (
        f"A job reports through CloudWatch: logging to {group} has to be on for the application, its role needs logs:CreateLogGroup, "
        "logs:CreateLogStream, logs:PutLogEvents, logs:DescribeLogGroups and logs:DescribeLogStreams, and this process logs:GetLogEvents "
        f"(docs/emr.md). {log.trouble + '. ' if log.trouble else ''}Then run it again: what is done already is only looked at."
    )


def _with_logs(context: dg.AssetExecutionContext, ended: Ended, found: dict[str, Any], log: DriverLog) -> None:
    """Adds what the run page shows of the job run: state, cost, places of logs, and the log's end without its words."""
    lines = log.last_lines(str(logs(found)["log_stream"]).removesuffix("stdout") + "stderr")
    ended.metadata |= _shown(found) | {"emr_log_tail": tail(lines)}
    if ended.trouble and lines:
        kept = private_file(context, "emr")
        kept.write_text("\n".join(lines), errors="backslashreplace")
        ended.metadata["emr_log"] = dg.MetadataValue.path(str(kept))


def _shown(found: Mapping[str, Any]) -> dict[str, Any]:
    """Names and numbers under the same keys each time, so that the catalog plots them."""
    place = logs(found)
    link = console_link(region_of(found), str(place["log_group"]), str(place["log_stream"]))
    return {
        "emr_application": found["applicationId"],
        "emr_job_run": found["jobRunId"],
        "emr_state": shown(found["state"]),
        "emr_state_details": _details(found),
        "emr_dashboard": f"`torus emr status {found['jobRunId']}` gives a link, which is good for an hour",
        "emr_console": dg.MetadataValue.url(link),
        **{f"emr_{name}": value for name, value in figures(found).items()},
    }


def _details(found: Mapping[str, Any]) -> str:
    """AWS' own sentence. Of a failed driver it quotes exceptions, and those may quote learners: then the exit code alone."""
    text, code = one_line(str(found.get("stateDetails") or "")), exit_code(found)
    if found["state"] == "FAILED" and code is not None:
        return f"exit code {code}"
    return "(not shown: it quotes an exception)" if "xception" in text or "rror" in text else text
