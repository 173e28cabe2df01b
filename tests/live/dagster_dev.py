"""A real `torus dev`: web server, daemon, code server and runs, in a session of their own that ends with the test."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from tests.command import MAIN, PROJECT, clean_environment
from tests.live.graphql import Graphql

START_SECONDS = 150  # 15 alone on two cores
STOP_SECONDS = 20
LOG_LINES = 60
LOCK = Path(tempfile.gettempdir()) / f"torus-dagster-dev-{os.getuid()}.lock"

T = TypeVar("T")


class NotYet(AssertionError):
    """What was waited for did not come in time; the message says what there was instead."""


def until(what: str, seconds: float, found: Callable[[], T | None], *, every: float = 0.5, instead: Callable[[], object] = lambda: "") -> T:
    """The first answer of `found` that is not empty.

    Raises:
        NotYet: there was none within `seconds`.
    """
    end = time.monotonic() + seconds
    while not (answer := found()):
        if time.monotonic() > end:
            raise NotYet(f"{what}: not within {seconds:g} s; there is {instead()}")
        time.sleep(every)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class DagsterDev:
    """One server on one home. It can be killed and started again; `api` asks whichever runs now."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home = home
        self.log = home / "dagster-dev.log"
        self.port = free_port()
        self.api = Graphql(f"http://127.0.0.1:{self.port}")
        scratch = home / "tmp"  # what a killed server leaves of its temporary files goes with the home
        scratch.mkdir(parents=True, exist_ok=True)
        self.environment = clean_environment(**{"TORUS_HOME": str(home), "TORUS_WORKERS": "1", "TMPDIR": str(scratch), **environment})
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and waits for the code location and the daemon.

        Raises:
            NotYet: it did not come up; the message holds the end of its log.
        """
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", MAIN, "dev", "--port", str(self.port)],
                cwd=PROJECT, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until("torus dev is up", START_SECONDS, self._is_up, instead=self.last_words)

    def kill(self) -> None:
        """As a machine that loses power: every process of the session at once."""
        self._signal(signal.SIGKILL)
        left = self._wait_for_the_end(STOP_SECONDS)
        assert not left, f"still there: {left}"

    def stop(self) -> None:
        """As Ctrl-C in a terminal; what does not end is killed."""
        self._signal(signal.SIGINT)
        if self._wait_for_the_end(STOP_SECONDS):
            self.kill()

    def processes(self) -> list[psutil.Process]:
        """Those of the session that are alive, whoever their parent is by now."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def last_words(self) -> str:
        return "\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def _is_up(self) -> bool:
        assert self._process
        if self._process.poll() is not None:
            raise NotYet(f"torus dev ended with status {self._process.returncode}:{self.last_words()}")
        try:
            error = self.api.location_error()
            if error:
                raise NotYet(f"the code location does not load: {error}")
            return not self.api.unhealthy_daemons()
        except OSError:
            return False

    def _is_ours(self, process: psutil.Process) -> bool:
        if self._process is None:
            return False
        try:
            return os.getsid(process.pid) == self._process.pid and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False

    def _signal(self, number: signal.Signals) -> None:
        groups: set[int] = set()
        for process in self.processes():
            try:
                groups.add(os.getpgid(process.pid))
            except ProcessLookupError:
                continue
        for group in groups:
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                continue

    def _wait_for_the_end(self, seconds: float) -> list[psutil.Process]:
        assert self._process
        end = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < end:
            self._process.poll()
            time.sleep(0.1)
        if not left:
            self._process.wait()
        return left


@contextmanager
def dagster_dev(home: Path, environment: Mapping[str, str]) -> Iterator[DagsterDev]:
    """A started server, one at a time on this machine; gone afterwards, with every process it started. Its log is shown when the test fails."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel opens it when this process ends, however it ends
        server = DagsterDev(home, environment)
        try:
            server.start()
            yield server
        except BaseException:
            print(f"--- {server.log}{server.last_words()}")
            raise
        finally:
            server.stop()
