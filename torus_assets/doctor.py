"""Which system is embedded, which is real, and does each answer?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torus_assets.clients import clickhouse
from torus_assets.clients.object_store import open_store
from torus_assets.clients.sqs import Queue
from torus_assets.datasets.lookup_database import database_place, server_version
from torus_assets.settings import Settings
from torus_assets.xapi.lake import Lake, LakeMissing
from torus_assets.xapi.tombstones import PREFIX, read_tombstones, tombstone_secret


@dataclass(frozen=True)
class Finding:
    """One system: where it is, and what it answered."""

    system: str
    kind: str  # embedded or real
    place: str
    ok: bool
    answer: str


def examine(settings: Settings) -> list[Finding]:
    """Asks every system one small question; a system that does not answer is a finding, not an error."""
    stores = [
        ("bundles", settings.xapi_url, "TORUS_XAPI_URL"),
        ("inventory", settings.inventory_url, "TORUS_INVENTORY_URL"),
        ("data sets", settings.datasets_url, "TORUS_DATASETS_URL"),
    ]
    found = [_asked(system, url, _folders(url, variable)) for system, url, variable in stores]
    found.append(_asked("lake", settings.lake_url, lambda: _lake(settings)))
    house = settings.clickhouse
    found.append(_tried("ClickHouse", "embedded" if house.is_embedded else "real", house.place, lambda: _clickhouse(settings)))
    found.append(_database(settings.database_url))
    found.append(_queue(settings.arrivals_queue_url))
    found.append(_spark(settings))
    found.append(
        _tried(
            "tombstones", "real" if settings.tombstone_key else "embedded", f"{settings.lake_url}/{PREFIX}", lambda: _tombstones(settings)
        )
    )
    found.append(
        Finding(
            "pseudonym key",
            "real" if settings.pseudonym_key else "embedded",
            "TORUS_PSEUDONYM_KEY" if settings.pseudonym_key else str(settings.home / "pseudonym.key"),
            bool(settings.pseudonym_key) or not _any_real(settings),
            "set"
            if settings.pseudonym_key
            else "made on first use"
            if not _any_real(settings)
            else "not set: data sets are refused until it is",
        )
    )
    return found


def _any_real(settings: Settings) -> bool:
    return any(url.startswith("s3") for url in (settings.xapi_url, settings.lake_url, settings.datasets_url))


def _asked(system: str, url: str, question: Callable[[], str]) -> Finding:
    return _tried(system, "real" if url.startswith("s3") else "embedded", url, question)


def _tried(system: str, kind: str, place: str, question: Callable[[], str]) -> Finding:
    try:
        return Finding(system, kind, place, True, question())
    except Exception as error:  # noqa: BLE001  the boundary: whatever a system answers is what the doctor reports
        return Finding(system, kind, place, False, f"{type(error).__name__}: {str(error).splitlines()[0][:200]}")


def _folders(url: str, variable: str) -> Callable[[], str]:
    def question() -> str:
        names = open_store(url).folders("")
        return f"answers; folders: {', '.join(names[:5])}" if names else f"answers, and is empty: put objects there, or set {variable}"

    return question


def _lake(settings: Settings) -> str:
    try:
        snapshot = Lake(settings.lake_url).snapshot()
    except LakeMissing:
        return "no lake yet: `torus ingest` makes it"
    days = snapshot.days()
    return f"version {snapshot.version}, {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")


def _database(url: str | None) -> Finding:
    if url is None:
        return Finding("Torus database", "embedded", "TORUS_DATABASE_URL", True, "not set: lookups are read at contexts/ of the data sets")
    return _tried("Torus database", "real", database_place(url), lambda: f"answers: PostgreSQL {server_version(url)}")


def _queue(url: str | None) -> Finding:
    if url is None:
        return Finding("arrivals queue", "embedded", "TORUS_ARRIVALS_QUEUE_URL", True, "not set: the sensor lists the open days")
    return _tried("arrivals queue", "real", url, lambda: f"answers: about {_opened(url).waiting():,} messages wait")


def _spark(settings: Settings) -> Finding:
    if settings.spark.place == "emr":
        named = settings.emr.application_name or settings.emr.application_id
        return _tried("Spark", "real", f"EMR Serverless {named or 'without an application'}", lambda: _application(settings))
    from resources.java import NEEDED, java_version

    version, wanted = java_version(), settings.spark.engine == "spark" or settings.spark.above_bytes is not None
    if version is not None and version >= NEEDED:
        return Finding(
            "Spark", "embedded", settings.spark.master, True, f"Java {version}; {'used' if wanted else 'used when a run asks for it'}"
        )
    there = "no Java" if version is None else f"Java {version}"
    return Finding(
        "Spark", "embedded", settings.spark.master, not wanted, f"{there}, and Spark needs {NEEDED} or newer: only the local engine works"
    )


def _application(settings: Settings) -> str:
    from torus_assets.clients import emr
    from torus_assets.emr.applications import application_id

    client = emr.connect()
    found = client.application(application_id(client, settings.emr))
    return f"{found['state']}, {found.get('releaseLabel', 'release unknown')}"


def _opened(url: str) -> Queue:
    from resources.sqs import QueueResource

    opened = QueueResource(url=url).open()
    assert opened is not None  # there is a URL
    return opened


def _tombstones(settings: Settings) -> str:
    """Fails when there are some and the key in use is not theirs: ingests would refuse to run, too."""
    count = len(read_tombstones(open_store(settings.lake_url), tombstone_secret(settings)).marks)
    return f"{count:,} learner{'s' * (count != 1)} forgotten"


def _clickhouse(settings: Settings) -> str:
    with clickhouse.connect(settings.clickhouse) as client:
        return f"ClickHouse {client.command('SELECT version()')}"
