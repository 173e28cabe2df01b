"""Spark in a process of its own on this machine, through Dagster Pipes.

`PipesSubprocessClient` is not enough: its child writes to the run's own output, which Dagster stores, and lives on when it does not end within
the time it is given.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg

from resources.spark_told import Ended, Listener, private_file, tail
from torus_assets import settings
from torus_assets.xapi.scratch import scratch_folder

POLL_SECONDS = 0.2
GRACE_SECONDS = 20  # between the request to end and the end by force
TAIL_BYTES = 64 << 10
PROJECT = Path(__file__).resolve().parent.parent


def run_child(context: dg.AssetExecutionContext, extras: dict[str, Any], listener: Listener) -> Ended:
    """Runs `engine/job.py` in a child and waits for it. However this process ends, child and JVM end with it."""
    log = private_file(context, "spark")
    injector, reader = dg.PipesTempFileContextInjector(), dg.PipesTempFileMessageReader()
    opened = dg.open_pipes_session(context, injector, reader, {**extras, "parent": os.getpid()})
    with scratch_folder(settings.from_environment().spool, datetime.now(UTC).date()) as folder, opened as pipes:
        with log.open("wb") as noise:
            child = subprocess.Popen(  # a session of its own: Ctrl-C is for us, and we end the child's whole group
                [sys.executable, "-m", "torus_assets.engine.job"],
                env=_environment(folder) | dict(pipes.get_bootstrap_env_vars()),
                stdin=subprocess.DEVNULL,
                stdout=noise,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            while child.poll() is None:
                listener.hear(pipes.get_custom_messages())
                time.sleep(POLL_SECONDS)
        finally:
            _end(child)
            _keep_words(folder, log)
    messages = list(pipes.get_custom_messages())
    listener.hear(messages)
    return _ended(messages, child.returncode, log)


def _ended(messages: list[Any], code: int, log: Path) -> Ended:
    if code == 0 and not log.stat().st_size:
        log.unlink()
        return Ended(messages)
    ended = Ended(messages, {"spark_log": dg.MetadataValue.path(str(log))})
    if code == 0:
        return ended
    how = f"was ended by {_signal_name(-code)}" if code < 0 else f"ended with status {code}"
    ended.trouble = f"the Spark process {how} before its work was done; its log is in {log}"
    ended.metadata["log_tail"] = tail(_last_lines(log))
    if code == -signal.SIGKILL:
        ended.what_to_do = (
            "It is tried again by itself. If it stays, the machine ran out of memory: set TORUS_SPARK_MEMORY or TORUS_WORKERS lower."
        )
    return ended


def _end(child: subprocess.Popen[bytes]) -> None:
    """Asks the child to end, then ends by force what is left of it: Python, the JVM, and what they started."""
    try:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _keep_words(folder: Path, log: Path) -> None:
    """Adds what a JVM that was killed had printed (`engine.session` lays it beside its other files)."""
    with log.open("ab") as out:
        for words in folder.glob("*/jvm.log"):
            out.write(words.read_bytes()[-TAIL_BYTES:])


def _environment(folder: Path) -> dict[str, str]:
    """Ours, and where Python and this code are: a code server may have been started from another folder.

    All that Spark lays aside goes to `folder`: a JVM that is killed cleans up nothing, and what Spark sorts may not fit where `/tmp` is memory.
    """
    path = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH", ""))))
    java = f'{os.environ.get("JDK_JAVA_OPTIONS", "")} "-Djava.io.tmpdir={folder}"'.strip()
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable, "PYTHONPATH": path}
    return {**os.environ, **python, "TMPDIR": str(folder), "JDK_JAVA_OPTIONS": java}


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
