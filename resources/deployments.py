"""Embedded or real, decided once: which resource stands for which system under the settings at hand."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_duckdb import DuckDBResource

from resources.clickhouse import ClickHouseResource
from resources.instance_file import follow
from resources.lake import LakeResource
from resources.notifier import NotifierResource
from resources.postgres import PostgresResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from resources.spark import SparkResource
from resources.sqs import QueueResource
from torus_assets.datasets.datashop.pieces import MEMORY
from torus_assets.settings import Settings

PROJECT = Path(__file__).resolve().parent.parent
INSTANCE_FILE = "dagster.yaml"
EMBEDDED_INSTANCE = "telemetry:\n  enabled: false\n"  # when installed without the project's own file


def resources_for(settings: Settings) -> dict[str, Any]:
    """Every resource of the graph, by the name that assets ask for."""
    house = settings.clickhouse
    return {
        "bundles": ObjectStoreResource(url=settings.xapi_url),
        "inventory": ObjectStoreResource(url=settings.inventory_url),
        "datasets": ObjectStoreResource(url=settings.datasets_url),
        "lake": LakeResource(url=settings.lake_url),
        "clickhouse": ClickHouseResource(
            folder=str(house.folder),
            host=house.host or "",
            port=house.port,
            user=house.user,
            password=dg.EnvVar("CLICKHOUSE_PASSWORD") if house.password else "",
            database=house.database,
            secure=house.secure,
        ),
        "duckdb": DuckDBResource(database=":memory:", connection_config={"memory_limit": MEMORY, "threads": 1}),
        "postgres": PostgresResource(url=dg.EnvVar("TORUS_DATABASE_URL") if settings.database_url else ""),
        "queue": QueueResource(url=settings.arrivals_queue_url or ""),
        "notifier": NotifierResource(url=dg.EnvVar("TORUS_NOTIFY_WEBHOOK_URL") if settings.webhook_url else ""),
        "progress": ProgressResource(),
        "spark": SparkResource(place=settings.spark.place),
    }


def instance_home(settings: Settings) -> Path:
    """Dagster's home: `DAGSTER_HOME` when set, else a folder under TORUS_HOME with the project's `dagster.yaml`."""
    if os.environ.get("DAGSTER_HOME"):
        return Path(os.environ["DAGSTER_HOME"])
    home = settings.home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    source = PROJECT / INSTANCE_FILE
    follow(source.read_text() if source.exists() else EMBEDDED_INSTANCE, home / INSTANCE_FILE)
    return home
