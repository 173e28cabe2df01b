"""The one place that reads the environment: a typed settings object.

Everything has an embedded default under ``TORUS_HOME``; each outside system becomes real by its own variables (`docs/settings.md`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

DEFAULT_HOME = ".torus"
DEFAULT_FIRST_DAY = "2023-01-01"


class SettingsError(ValueError):
    """A variable holds something that cannot be used; the message names it and what was expected."""


@dataclass(frozen=True)
class ClickHouseSettings:
    """Where the warehouse is: a server when `host` is set, else chDB in `folder`."""

    folder: Path
    host: str | None = None
    port: int = 8123
    user: str = "default"
    password: str = ""
    database: str = "default"
    secure: bool = False

    @property
    def is_embedded(self) -> bool:
        return self.host is None

    def __repr__(self) -> str:  # the password must not reach a log by way of a repr
        return f"ClickHouseSettings({self.place})"

    @property
    def place(self) -> str:
        """Where it is, without secrets, for people to read."""
        if self.host is None:
            return f"chdb://{self.folder}"
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}/{self.database}"


@dataclass(frozen=True)
class Settings:
    """All that can be set from outside. Sizes are in bytes, shares between 0 and 1."""

    home: Path
    xapi_url: str
    inventory_url: str
    lake_url: str
    datasets_url: str
    clickhouse: ClickHouseSettings
    first_day: date
    max_line_bytes: int
    max_quarantined_share: float
    workers: int
    pseudonym_key: str | None
    tombstone_key: str | None  # of learners who were forgotten; never the pseudonym key, which may be rotated
    database_url: str | None  # of Torus' PostgreSQL; holds a password
    arrivals_queue_url: str | None  # SQS queue with the bucket's notifications
    open_days: int  # upload days, today included, that the listing of arrivals looks at
    listing_seconds: float  # that one tick may spend on listing
    fresh_minutes: int  # that an arrived bundle may wait before the newest day counts as stale
    webhook_url: str | None  # where failures are told; may hold a secret

    @property
    def spool(self) -> Path:
        """Scratch space of running ingests and loads; `torus lake maintain` clears what a killed one left."""
        return self.home / "spool"

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r}, xapi_url={self.xapi_url!r}, lake_url={self.lake_url!r})"


def from_environment(environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from `environ` (default: the process environment). An empty variable counts as not set.

    Raises:
        SettingsError: a variable cannot be read; the message names it.
    """
    env = {k: v for k, v in (os.environ if environ is None else environ).items() if v.strip()}
    home = Path(env.get("TORUS_HOME", DEFAULT_HOME)).expanduser().absolute()

    def url(variable: str, folder: str) -> str:
        return env.get(variable, f"file://{home / folder}").rstrip("/")

    return Settings(
        home=home,
        xapi_url=url("TORUS_XAPI_URL", "xapi"),
        inventory_url=url("TORUS_INVENTORY_URL", "inventory"),
        lake_url=url("TORUS_LAKE_URL", "lake"),
        datasets_url=url("TORUS_DATASETS_URL", "datasets"),
        clickhouse=_clickhouse(env, home),
        first_day=_day(env, "TORUS_FIRST_DAY", DEFAULT_FIRST_DAY),
        max_line_bytes=_integer(env, "TORUS_MAX_LINE_BYTES", 16 << 20, at_least=1024),
        max_quarantined_share=_share(env, "TORUS_MAX_QUARANTINED_SHARE", 0.05),
        workers=_integer(env, "TORUS_WORKERS", os.cpu_count() or 1, at_least=1),
        pseudonym_key=env.get("TORUS_PSEUDONYM_KEY"),
        tombstone_key=env.get("TORUS_TOMBSTONE_KEY"),
        database_url=env.get("TORUS_DATABASE_URL"),
        arrivals_queue_url=env.get("TORUS_ARRIVALS_QUEUE_URL"),
        open_days=_integer(env, "TORUS_OPEN_DAYS", 3, at_least=1),
        listing_seconds=_seconds(env, "TORUS_LISTING_SECONDS", 1.0, at_most=40),
        fresh_minutes=_integer(env, "TORUS_FRESH_MINUTES", 60, at_least=1),
        webhook_url=env.get("TORUS_NOTIFY_WEBHOOK_URL"),
    )


def _clickhouse(env: Mapping[str, str], home: Path) -> ClickHouseSettings:
    secure = _truth(env, "CLICKHOUSE_SECURE", default=False)
    return ClickHouseSettings(
        folder=home / "clickhouse",
        host=env.get("CLICKHOUSE_HOST"),
        port=_integer(env, "CLICKHOUSE_PORT", 8443 if secure else 8123, at_least=1),
        user=env.get("CLICKHOUSE_USER") or env.get("CLICKHOUSE_USERNAME") or "default",
        password=env.get("CLICKHOUSE_PASSWORD", ""),
        database=env.get("CLICKHOUSE_DATABASE", "default"),
        secure=secure,
    )


def _integer(env: Mapping[str, str], variable: str, default: int, *, at_least: int) -> int:
    text = env.get(variable, str(default))
    if not text.strip().isdigit() or int(text) < at_least:
        raise SettingsError(f"{variable}: expected a whole number of at least {at_least}, got {text!r}")
    return int(text)


def _share(env: Mapping[str, str], variable: str, default: float) -> float:
    text = env.get(variable, str(default))
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise SettingsError(f"{variable}: expected a share between 0 and 1, got {text!r}")
    return share


def _seconds(env: Mapping[str, str], variable: str, default: float, *, at_most: float) -> float:
    text = env.get(variable, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= at_most:
        raise SettingsError(f"{variable}: expected seconds, more than 0 and at most {at_most:g}, got {text!r}")
    return seconds


def _day(env: Mapping[str, str], variable: str, default: str) -> date:
    text = env.get(variable, default)
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise SettingsError(f"{variable}: expected a day as YYYY-MM-DD, got {text!r}") from None


def _truth(env: Mapping[str, str], variable: str, *, default: bool) -> bool:
    text = env.get(variable, "true" if default else "false").lower()
    if text not in {"1", "0", "true", "false", "yes", "no"}:
        raise SettingsError(f"{variable}: expected true or false, got {text!r}")
    return text in {"1", "true", "yes"}
