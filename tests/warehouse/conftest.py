"""An empty lake, an embedded warehouse, and a server that speaks ClickHouse's HTTP protocol."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.warehouse import clickhouse_server
from tests.warehouse.lakes import Days
from torus_assets.settings import ClickHouseSettings


@pytest.fixture
def days(tmp_path: Path) -> Days:
    return Days(tmp_path / "lake")


@pytest.fixture
def embedded(tmp_path: Path) -> ClickHouseSettings:
    return ClickHouseSettings(folder=tmp_path / "clickhouse")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Port of the server, and the log of the queries it got."""
    folder = tmp_path_factory.mktemp("server") / "data"
    process = subprocess.Popen([sys.executable, clickhouse_server.__file__, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), folder.with_suffix(".log")
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def remote(server: tuple[int, Path], tmp_path: Path) -> ClickHouseSettings:
    """A database of its own on that server; it does not exist yet."""
    return ClickHouseSettings(
        folder=tmp_path / "unused", host="127.0.0.1", port=server[0], password=clickhouse_server.PASSWORD, database=f"torus-{tmp_path.name}"
    )
