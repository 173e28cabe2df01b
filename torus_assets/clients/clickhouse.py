"""Connections to ClickHouse: chDB in a folder of this machine, or a server over HTTP(S). One client for both.

A chDB folder belongs to one process at a time, so open late and close early; `connect` waits for another process to let go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, ProgrammingError

from torus_assets.settings import ClickHouseSettings

WAIT_SECONDS = 60.0  # for another process to close the chDB folder
LOAD_WAIT_SECONDS = 600.0  # for another load to end
CONNECT_TIMEOUT_SECONDS = 10
QUERY_TIMEOUT_SECONDS = 1800  # the longest statement rebuilds one month
TAG = "torus:"
FOLDER_IS_HELD = "Error initializing EmbeddedServer"  # all that chDB says; the reason goes to stderr
UNKNOWN_DATABASE = "UNKNOWN_DATABASE"


class WarehouseBusy(RuntimeError):
    """Another process kept the warehouse for longer than we wait; trying again later is right."""


@contextmanager
def connect(
    settings: ClickHouseSettings,
    *,
    run_id: str | None = None,
    wait_seconds: float = WAIT_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Client]:
    """A client whose every query carries the run's id as `log_comment`. A missing database is created.

    Raises:
        WarehouseBusy: another process kept the chDB folder for `wait_seconds`.
    """
    client = _embedded(settings, tag(run_id), wait_seconds, sleep) if settings.is_embedded else _server(settings, tag(run_id))
    try:
        yield client
    finally:
        client.close()


def tag(run_id: str | None) -> str:
    """What `log_comment` says of a query of this run."""
    return TAG + (run_id or f"process-{os.getpid()}")


def is_embedded(client: Client) -> bool:
    """Whether the engine runs in this process and reads this machine's files itself."""
    return str(client.uri).startswith("chdb:")


@contextmanager
def serial(client: Client, *, wait_seconds: float = LOAD_WAIT_SECONDS, sleep: Callable[[float], None] = time.sleep) -> Iterator[None]:
    """One load at a time: a lock of this machine, then no query of an earlier load still at work on the server.

    A loader that is killed leaves its INSERT running on a server; a second one beside it would double rows.

    Raises:
        WarehouseBusy: another load did not end within `wait_seconds`.
    """
    deadline = time.monotonic() + wait_seconds
    name = hashlib.sha256(f"{client.uri} {client.database}".encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"torus-load-{os.getuid()}-{name}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        _wait(lambda: _locked(descriptor), deadline, sleep, f"another load into {client.uri} is under way on this machine (lock {path})")
        if not is_embedded(client):
            _wait(lambda: _idle(client), deadline, sleep, f"the server at {client.uri} is still busy with the queries of an earlier load")
        yield
    finally:
        os.close(descriptor)  # lets go of the lock


def _wait(ready: Callable[[], bool], deadline: float, sleep: Callable[[float], None], busy: str) -> None:
    pause = 0.05
    while not ready():
        if time.monotonic() > deadline:
            raise WarehouseBusy(busy)
        sleep(pause)
        pause = min(pause * 2, 2.0)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _idle(client: Client) -> bool:
    found = client.query(
        "SELECT count() FROM system.processes WHERE query_id != queryID() AND startsWith(Settings['log_comment'], {tag:String})"
        " AND current_database = currentDatabase() AND query_kind IN ('Insert', 'Alter')",
        parameters={"tag": TAG},
    )
    return found.result_rows[0][0] == 0


def _embedded(settings: ClickHouseSettings, comment: str, wait_seconds: float, sleep: Callable[[float], None]) -> Client:
    settings.folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_seconds
    pause = 0.1
    while True:
        try:
            client = clickhouse_connect.get_client(interface="chdb", path=str(settings.folder), settings={"log_comment": comment})
            break
        except ProgrammingError as error:
            if FOLDER_IS_HELD not in str(error):
                raise
            if time.monotonic() > deadline:
                raise WarehouseBusy(
                    f"the chDB folder {settings.folder} is open in another process, and stayed so for {wait_seconds:.0f} s; "
                    "one process at a time can open it: end the other one, or set CLICKHOUSE_HOST to a server"
                ) from error
            sleep(pause)
            pause = min(pause * 2, 2.0)
    if settings.database != "default":
        _create_database(client, settings.database)
        client.database = settings.database
    return client


def _server(settings: ClickHouseSettings, comment: str) -> Client:
    def client(database: str | None) -> Client:
        return cast(
            "Client",
            clickhouse_connect.get_client(
                host=settings.host,
                port=settings.port,
                username=settings.user,
                password=settings.password,
                database=database,
                interface="https" if settings.secure else "http",
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                send_receive_timeout=QUERY_TIMEOUT_SECONDS,
                autogenerate_session_id=False,  # a session would forbid threads and outlive a killed process
                settings={"log_comment": comment},
            ),
        )

    try:
        return client(settings.database)
    except ClickHouseError as error:
        if UNKNOWN_DATABASE not in str(error):
            raise
    first = client("default")
    try:
        _create_database(first, settings.database)
    finally:
        first.close()
    return client(settings.database)


def _create_database(client: Client, name: str) -> None:
    client.command("CREATE DATABASE IF NOT EXISTS {name:Identifier}", parameters={"name": name})
