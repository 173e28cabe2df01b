"""Which process it is: a number alone is not enough."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from torus_assets.failures.processes import Process, fate, parsed, started, started_by, this_process


@pytest.fixture
def child():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def of(child) -> Process:
    return this_process()._replace(pid=child.pid, started=started(child.pid))


def test_this_process_lives_and_reads_back_as_it_was_written():
    here = this_process()
    assert parsed(str(here)) == here
    assert here.pid == os.getpid()
    assert fate(here) == "alive"


def test_a_killed_process_is_gone_even_before_its_parent_has_noticed(child):
    process = of(child)
    assert fate(process) == "alive"
    child.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while fate(process) == "alive" and time.monotonic() < deadline:  # not waited for: it stays a zombie
        time.sleep(0.01)
    assert fate(process) == "gone"
    child.wait()
    assert fate(process) == "gone"


def test_a_number_that_another_process_has_now_is_not_the_process_that_was():
    assert fate(this_process()._replace(started="1")) == "gone"


def test_other_hosts_and_containers_are_not_judged_and_a_restarted_machine_has_none_left():
    here = this_process()
    assert fate(here._replace(host="another")) == "elsewhere"
    assert fate(here._replace(space="1")) == "elsewhere"
    assert fate(here._replace(boot="before")) == "gone"


@pytest.mark.parametrize("text", ["", "host/1/2", "host/boot/space/pid/7", "a/b/c/1/2/3"])
def test_what_is_no_process_is_not_read_as_one(text):
    assert parsed(text) is None


def test_a_number_counts_only_for_a_process_that_had_begun_by_then(child):
    assert started_by(child.pid, time.time())
    assert not started_by(child.pid, time.time() - 60)
    child.kill()
    child.wait()
    assert not started_by(child.pid, time.time())
