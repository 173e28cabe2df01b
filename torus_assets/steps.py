"""The frame around every step: which process works on it, and how its failure reads.

Whatever leaves a step is stored by Dagster with its text and its causes. So an error becomes a `dg.Failure` with one safe sentence, what to
do, and no cause; the full text goes to a file that only this machine's user can read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg

from torus_assets import settings
from torus_assets.failures import private
from torus_assets.failures.processes import this_process
from torus_assets.failures.words import Said, said

PROCESS, FAILURE = "torus/process", "torus/failure"  # tags of a run

# Tries after about 10, 30 and 70 s, each up to 10 s sooner or later: at most three, within 140 s in all.
RETRIES = dg.RetryPolicy(max_retries=3, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


def process_tag() -> dict[str, str]:
    """The tag that names this process; a run that is started here may carry it from the beginning."""
    return {PROCESS: str(this_process())}


@contextmanager
def step(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[None]:
    """What happens inside fails readably.

    An error that running again cannot cure ends the step at once and tags the run; any other is left to the asset's retry policy
    (`RETRIES`). What is a `dg.Failure` already, or Dagster's own, goes through as it is.

    Raises:
        dg.Failure: its description is the error's message, or its class alone if the message may quote learners; metadata
            `what_to_do` and `kind`.
    """
    context.instance.add_run_tags(context.run.run_id, process_tag())
    try:
        yield
    except dg.Failure as failure:
        if not failure.allow_retries:
            context.instance.add_run_tags(context.run.run_id, {FAILURE: "permanent"})
        raise
    except (dg.RetryRequested, dg.DagsterError):
        raise
    except Exception as error:  # noqa: BLE001  the boundary of the step: it is kept in full, and shown in part
        words = said(error)
        shown = words.text if not words.hidden else f"{words.text}: {_kept(context, error)}"
        if words.permanent:
            context.instance.add_run_tags(context.run.run_id, {FAILURE: "permanent"})
        failure = _failure(words, shown)
    else:
        return
    raise failure from None  # the error itself stays out of what Dagster stores


def _failure(words: Said, description: str) -> dg.Failure:
    return dg.Failure(
        description=description, metadata={"what_to_do": words.what_to_do, "kind": words.kind}, allow_retries=not words.permanent
    )


def _kept(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext, error: Exception) -> str:
    """Where the text of an error went that is not shown."""
    name = f"{context.run.run_id[:8]}-{context.op_execution_context.op.name}-{context.retry_number}"
    try:
        path = private.keep(settings.from_environment().home, name, error, datetime.now(UTC))
    except OSError as trouble:
        return f"its text may quote learners and is not shown; it could not be kept either ({trouble.strerror})"
    return f"its text may quote learners and is not shown; it is in {path}"
