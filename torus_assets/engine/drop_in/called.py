"""The job that Torus starts: does what its argument list asks for, and says in one line how that went.

Nothing is taken from anywhere but the arguments, the environment (docs/settings.md) and AWS' default chain of credentials.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from torus_assets import settings
from torus_assets.datasets.export import HeldDays
from torus_assets.engine.drop_in.call import WrongCall, call_of
from torus_assets.engine.drop_in.call_work import CallWork
from torus_assets.engine.drop_in.last_words import LastWords
from torus_assets.engine.scratch import NoScratch
from torus_assets.failures.words import said

PUBLISHED, FAILED, WRONG, NOT_RIGHT = 0, 1, 2, 3


def utc_now() -> datetime:
    return datetime.now(UTC)


def main(argv: Sequence[str], *, now: Callable[[], datetime] = utc_now, token: str | None = None) -> int:
    """Exit status: 0 published and whole; 1 failed; 2 wrong usage, nothing was written; 3 something is lost, held or not as it should be.

    Args:
        token: names this attempt's scratch folder; by default one that nobody else has.
    """
    words = LastWords()
    try:
        chosen = settings.from_environment()
        call = call_of(argv, chosen)
    except (WrongCall, settings.SettingsError) as error:
        words.problems += getattr(error, "problems", [str(error)])
        return words.tell(WRONG)
    words.job_id, words.notes = call.request.job_id, list(call.notes)
    with _sigterm_is_an_interrupt():
        return words.tell(_status(CallWork(call, chosen, words, now, token or uuid.uuid4().hex)))


def _status(work: CallWork) -> int:
    """Does the work; what goes wrong becomes last words."""
    words = work.words
    try:
        work.carry_out()
    except NoScratch as error:
        words.problems.append(str(error))
        return WRONG
    except HeldDays as error:
        words.problems.append(str(error))
        return NOT_RIGHT
    except KeyboardInterrupt:
        words.problems.append("interrupted: nothing was published")
        return FAILED
    except Exception as error:  # noqa: BLE001  the boundary of the job: said in part, as its message may quote learners
        shown = said(error)
        words.problems += [shown.text, shown.what_to_do]
        sys.stderr.write(f"{shown.kind}\n{''.join(traceback.format_tb(error.__traceback__))}")
        return FAILED
    return NOT_RIGHT if words.problems else PUBLISHED


@contextmanager
def _sigterm_is_an_interrupt() -> Iterator[None]:
    """So that a job that is ended from outside removes its scratch."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
