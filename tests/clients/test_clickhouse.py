"""Connections: one folder for one process, one load at a time."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from torus_assets.clients.clickhouse import WarehouseBusy, connect, serial
from torus_assets.settings import ClickHouseSettings

HOLDER = """
import sys, time
from pathlib import Path
from torus_assets.clients.clickhouse import connect
from torus_assets.settings import ClickHouseSettings
with connect(ClickHouseSettings(folder=Path(sys.argv[1]))):
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(folder: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def test_a_folder_open_elsewhere_is_waited_for(tmp_path):
    process = holder(tmp_path / "db", 1.5)
    with connect(ClickHouseSettings(folder=tmp_path / "db")) as client:
        assert client.command("SELECT 1") == 1
    assert process.wait() == 0


def test_a_folder_that_stays_open_elsewhere_is_named(tmp_path):
    process = holder(tmp_path / "db", 60)
    try:
        with (
            pytest.raises(WarehouseBusy, match="is open in another process"),
            connect(ClickHouseSettings(folder=tmp_path / "db"), wait_seconds=0.3),
        ):
            pass
    finally:
        process.kill()
        process.wait()


def test_every_query_carries_the_run(tmp_path):
    with connect(ClickHouseSettings(folder=tmp_path / "db", database="torus"), run_id="abc") as client:
        assert client.query("SELECT getSetting('log_comment'), currentDatabase()").result_rows == [("torus:abc", "torus")]


def test_a_second_load_waits_and_then_says_what_it_waited_for(tmp_path):
    with connect(ClickHouseSettings(folder=tmp_path / "db")) as client:
        with serial(client), pytest.raises(WarehouseBusy, match="another load into"), serial(client, wait_seconds=0.1):
            pass
        started = time.monotonic()
        with serial(client):
            assert time.monotonic() - started < 1
