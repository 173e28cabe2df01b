"""What Dagster recorded of a run, as failures and partitions of our own words."""

from datetime import UTC, datetime
from typing import Any

import dagster as dg

from torus_assets.failures.known import UNKNOWN
from torus_assets.failures.notices import Failure, Nature
from torus_assets.failures.spans import Span, spans_of
from torus_assets.instance_state import partitions_of
from torus_assets.steps import FAILURE

RUN_AGAIN = "Read the run's log, mend the cause, and run it again: every step is safe to repeat."


def failures_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[Failure]:
    """Each step that failed; where none did, the end of the run itself. A step whose blocking check did not pass is named by the check."""
    at = ended(instance, run)
    steps = _events(instance, run, dg.DagsterEventType.STEP_FAILURE)
    if not steps:
        return [_outside(instance, run, at)]
    return [_of_step(instance, run, event, at) for event in steps]


def spans_of_run(run: dg.DagsterRun) -> tuple[Span, ...]:
    """The partitions that a run is for; empty for one without."""
    return spans_of(partitions_of(run.tags))


def steps_done(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[str]:
    """Keys of the steps that succeeded."""
    return {event.step_key for event in _events(instance, run, dg.DagsterEventType.STEP_SUCCESS) if event.step_key}


def ended(instance: dg.DagsterInstance, run: dg.DagsterRun) -> datetime:
    """When the run ended, UTC; now for one that has not."""
    record = instance.get_run_record_by_id(run.run_id)
    return datetime.fromtimestamp(record.end_time, UTC) if record and record.end_time else datetime.now(UTC)


def last_sign(instance: dg.DagsterInstance, record: dg.RunRecord) -> datetime:
    """Time of the newest event of a run, UTC."""
    newest = instance.get_records_for_run(record.dagster_run.run_id, limit=1, ascending=False).records
    return datetime.fromtimestamp(newest[0].timestamp, UTC) if newest else record.create_timestamp.astimezone(UTC)


def _events(instance: dg.DagsterInstance, run: dg.DagsterRun, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
    records = instance.get_records_for_run(run.run_id, of_type=kind).records
    return [event for record in records if (event := record.event_log_entry.dagster_event)]


def _of_step(instance: dg.DagsterInstance, run: dg.DagsterRun, event: dg.DagsterEvent, at: datetime) -> Failure:
    data = event.step_failure_data
    error = data.error
    if error is not None and error.cls_name == "DagsterAssetCheckFailedError":
        return _of_checks(instance, run, event.step_key or "", at)
    told = data.user_failure_data
    if told is not None:
        kind, what_to_do = (_text(told.metadata.get(name)) for name in ("kind", "what_to_do"))
        permanent = run.tags.get(FAILURE) == "permanent"
        return _failure(
            run, event.step_key or "", "permanent" if permanent else "transient", kind, told.description or kind, what_to_do, at
        )
    while error is not None and error.cause is not None:
        error = error.cause
    kind = (error.cls_name if error else None) or "unknown"  # its message is a library's, and may quote a cell
    return _failure(run, event.step_key or "", "transient", kind, kind, UNKNOWN.what_to_do, at)


def _of_checks(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str, at: datetime) -> Failure:
    evaluations = [event.asset_check_evaluation_data for event in _events(instance, run, dg.DagsterEventType.ASSET_CHECK_EVALUATION)]
    failed = [one for one in evaluations if not one.passed and one.blocking]
    names = sorted({f"{one.asset_key.to_user_string()}:{one.check_name}" for one in failed})
    advice = [text for one in failed if (text := _text(one.metadata.get("what_to_do")))]
    what_to_do = (
        " ".join(dict.fromkeys(advice))
        or "Look at the check's evidence on the run's page. What was written stays, and the next steps were not run."
    )
    shown = f"{'checks' if len(names) > 1 else 'check'} {', '.join(names)} did not pass"
    return _failure(run, step, "check", ", ".join(names), shown, what_to_do, at)


def _outside(instance: dg.DagsterInstance, run: dg.DagsterRun, at: datetime) -> Failure:
    """A run that ended without a step's failure: interrupted, not launched, or its configuration or resources were refused."""
    [*_, event] = [None, *_events(instance, run, dg.DagsterEventType.RUN_FAILURE)]
    if run.tags.get(FAILURE) == "interrupted":
        words = (event.message if event else None) or "the run was interrupted"
        begun = {event.step_key for event in _events(instance, run, dg.DagsterEventType.STEP_START)} - steps_done(instance, run)
        step = min((key for key in begun if key), default="")  # the one it was at; several only if they ran side by side
        return _failure(run, step, "interrupted", "Interrupted", words, "Run it again: every step is safe to repeat.", at)
    data: Any = event.event_specific_data if event else None
    kind = getattr(getattr(data, "error", None), "cls_name", None) or "unknown"
    return _failure(run, "", "outside", kind, f"the run ended outside its steps ({kind})", RUN_AGAIN, at)


def _failure(run: dg.DagsterRun, step: str, nature: Nature, kind: str, text: str, what_to_do: str, at: datetime) -> Failure:
    return Failure(run.job_name, step, nature, kind or "Failure", text, what_to_do or RUN_AGAIN, at, run.run_id, spans_of_run(run))


def _text(value: Any) -> str:
    return str(getattr(value, "value", value) or "")
