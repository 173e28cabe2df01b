"""Which process works on a run, and whether it still lives.

A process number alone says little: numbers are used again, other machines and containers have the same ones. So a process is its host,
the start of that machine, its space of process numbers, its number and its own start.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

Fate = Literal["alive", "gone", "elsewhere"]


class Process(NamedTuple):
    """One process of one machine. Texts are empty where the system has no `/proc`; then a number used again is not told apart."""

    host: str
    boot: str  # another one each time that the machine starts
    space: str  # containers of one machine have different ones
    pid: int
    started: str  # ticks since the machine started

    def __str__(self) -> str:
        return "/".join((self.host, self.boot, self.space, str(self.pid), self.started))


def this_process() -> Process:
    """The process that asks."""
    return Process(*_machine(), os.getpid(), started(os.getpid()) or "")


def parsed(text: str) -> Process | None:
    """A process as it was written by `str`; None for anything else."""
    parts = text.split("/")
    if len(parts) != 5 or not parts[3].isdigit():
        return None
    host, boot, space, pid, start = parts
    return Process(host, boot, space, int(pid), start)


def fate(process: Process) -> Fate:
    """What became of a process, as far as it can be known from here.

    `elsewhere`: another host, or another container of this one. After a restart of this host all processes of before are gone.
    """
    host, boot, space = _machine()
    if process.host != host:
        return "elsewhere"
    if process.boot != boot:
        return "gone"
    if process.space != space:
        return "elsewhere"
    return "alive" if _lives(process.pid) and started(process.pid) in (process.started, None) else "gone"


def started_by(pid: int, when: float) -> bool:
    """A process of this number lives here and began no later than `when` (seconds since 1970), so that it may be the one meant."""
    if not _lives(pid):
        return False
    ticks, boot = started(pid), _boot_time()
    return not ticks or boot is None or boot + int(ticks) / os.sysconf("SC_CLK_TCK") <= when + 2  # the boot time is in whole seconds


def started(pid: int) -> str | None:
    """Start of a process in ticks since the machine started; None where that cannot be known."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _lives(pid: int) -> bool:
    """It exists and is no zombie, which only waits to be noticed by its parent."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it exists, and is another user's
    fields = _stat(pid)
    return not fields or fields[0] not in ("Z", "X")


def _stat(pid: int) -> list[str] | None:
    """Fields of `/proc/PID/stat` from the state on: the name before them may hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


@cache
def _machine() -> tuple[str, str, str]:
    return socket.gethostname().replace("/", "-"), _read("/proc/sys/kernel/random/boot_id"), _space()


def _boot_time() -> float | None:
    lines = _read("/proc/stat").splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith("btime ")), None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid").strip("pid:[]")  # noqa: PTH115 (a link to no file)
    except OSError:
        return ""
