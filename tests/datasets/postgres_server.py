"""A real PostgreSQL for the time of a `with`: a fresh cluster in a temporary folder, on a socket and a free port.

PostgreSQL refuses to run as root, so under root it runs as another user of the system.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

PASSWORD = "p@ss/w?rd#of:the tests%"  # every character that an address has to escape
PASSWORD_IN_URL = "p%40ss%2Fw%3Frd%23of%3Athe%20tests%25"
READER = "torus_reader"
START_SECONDS = 30


class Server(NamedTuple):
    """Where it listens. Everyone is trusted but `READER`, who needs the password."""

    folder: Path
    port: int

    def url(self, user: str = "postgres", password: str = "", database: str = "postgres") -> str:
        return f"postgresql://{user}{':' + password if password else ''}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str) -> str:
        return f"host={self.folder} port={self.port} user=postgres dbname={database}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database=database), autocommit=True, connect_timeout=10) as session:
            session.execute(statement.encode())


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; None when none is installed."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


@contextmanager
def postgres() -> Iterator[Server]:
    """A running server; stopped and removed at the end."""
    found = binaries()
    assert found is not None, "no PostgreSQL is installed"
    folder = Path(tempfile.mkdtemp(prefix="torus-postgres-"))
    try:
        account = _account(folder)
        data = folder / "data"
        made = [str(found / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C", "--auth=trust", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, timeout=120, cwd=folder, **account)
        (data / "pg_hba.conf").write_text(
            f"host all {READER} 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\nlocal all all trust\n"
        )
        with _running(found, folder, data, account) as port:
            server = Server(folder, port)
            server.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
            yield server
    finally:
        shutil.rmtree(folder)


def _account(folder: Path) -> dict[str, Any]:
    """How to start a program as somebody who is not root, who then owns the folder."""
    if os.geteuid() != 0:
        return {}
    names = {user.pw_name for user in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _running(found: Path, folder: Path, data: Path, account: dict[str, Any]) -> Iterator[int]:
    port = _free_port()
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off", "max_connections": 20}
    command = [str(found / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True, **account)
    try:
        _wait(process, port, folder / "log")
        yield port
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)  # fast shutdown: sessions are ended, files closed
        process.wait(timeout=START_SECONDS)


def _wait(process: subprocess.Popen[Any], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres", connect_timeout=5).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]
