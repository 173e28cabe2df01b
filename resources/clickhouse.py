"""ClickHouse: chDB in a folder when no server is named, HTTP(S) otherwise."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from clickhouse_connect.driver.client import Client
from pydantic import Field

from torus_assets.clients import clickhouse
from torus_assets.settings import ClickHouseSettings


class ClickHouseResource(dg.ConfigurableResource):
    """Connections to one ClickHouse. Opened late and closed early: a chDB folder serves one process at a time."""

    folder: str = Field(description="chDB's folder, used when `host` is empty.")
    host: str = Field(default="", description="Name of a server; empty means chDB in process.")
    port: int = Field(default=8123, description="HTTP(S) port of the server.")
    user: str = Field(default="default", description="User at the server.")
    password: str = Field(default="", description="Password at the server; give it as an environment variable.")
    database: str = Field(default="default", description="Database that holds raw_events.")
    secure: bool = Field(default=False, description="HTTPS instead of HTTP.")

    @contextmanager
    def client(self, run_id: str | None = None) -> Iterator[Client]:
        """One client; its queries carry the run's id."""
        settings = ClickHouseSettings(Path(self.folder), self.host or None, self.port, self.user, self.password, self.database, self.secure)
        with clickhouse.connect(settings, run_id=run_id) as client:
            yield client
