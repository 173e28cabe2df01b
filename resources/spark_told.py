"""What a run hears of a Spark job while it works, and how it judges the end."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from torus_assets import settings
from torus_assets.engine.noise import harmless
from torus_assets.engine.reports import Message, error_of, unreported
from torus_assets.failures import private

Say = Callable[[str, int, int], None]  # stage, done, of how many


@dataclass
class Ended:
    """A job that is over: what it told, what the run page shows, and what went wrong when it did not say so itself."""

    messages: list[Message] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""  # one safe sentence; empty when the job came to its end
    what_to_do: str = "It is tried again by itself. If it stays, read the job's log (it may quote learners: share it with care)."
    silent: str = ""  # why messages may be lacking where the job ran
    again: bool = True  # a retry may help when the job did not say why it ended


class Listener:
    """Hands on what is new among a job's messages: days to the run's log, progress to whoever looks."""

    def __init__(self, context: dg.AssetExecutionContext, say: Say | None) -> None:
        self._context, self._say, self._heard = context, say, 0

    def hear(self, messages: Sequence[Message]) -> None:
        """Takes all messages so far; each is handed on once."""
        for message in messages[self._heard :]:
            self._heard += 1
            if "day" in message:
                day = message["day"]
                self._context.log.info("spark: %s is committed, %s, %s", day["day"], day["mode"], day["reason"])
            elif "refused" in message:
                self._context.log.warning("spark: %s is refused", message["refused"]["day"])
            elif "progress" in message and self._say is not None:
                told = message["progress"]
                self._say(told["stage"], told["done"], told["total"])


def judge(work: str, document: Message, ended: Ended) -> None:
    """Raises for a job that failed, or that did not tell all it had to: its state alone proves nothing.

    Raises:
        dg.Failure: of the kind that the same error would have been in this process: tried again, or not.
    """
    if (error := error_of(ended.messages)) is not None:
        raise dg.Failure(
            description=error["text"],
            metadata={"what_to_do": error["what_to_do"], "kind": error["kind"], **ended.metadata},
            allow_retries=not error["permanent"],
        )
    if ended.trouble:
        told = {"what_to_do": ended.what_to_do, "kind": "SparkJobFailed", **ended.metadata}
        raise dg.Failure(ended.trouble, told, allow_retries=ended.again)
    if lacking := unreported(work, document, ended.messages):
        shown = ", ".join(lacking[:5]) + (f" and {len(lacking) - 5} more" if len(lacking) > 5 else "")
        told = {"what_to_do": ended.silent or ended.what_to_do, "kind": "NothingReported", **ended.metadata}
        raise dg.Failure(f"the Spark job ended without a word about {shown}, so nothing is known of it", told, allow_retries=ended.again)


def private_file(context: dg.AssetExecutionContext, what: str) -> Path:
    """An empty file that only this user can read: Spark's logs may quote lines. `torus forget` removes it with the texts of errors."""
    folder = settings.from_environment().home / private.FOLDER
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{context.run.run_id[:8]}-{context.op_execution_context.op.name}-{context.retry_number}-{what}.txt"
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    return path


def tail(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    """The end of a driver's log as a run page may show it."""
    shown = harmless(lines)
    return dg.MetadataValue.md("```\n" + "\n".join(shown) + "\n```" if shown else "nothing that may be shown here")
