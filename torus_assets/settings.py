"""The one place that reads the environment: a typed settings object.

Everything has an embedded default under ``TORUS_HOME``; each outside system becomes real by its own variables (`docs/settings.md`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, cast

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


SparkPlace = Literal["child", "session", "emr"]
Engine = Literal["auto", "local", "spark"]
EMR_RELEASE = "emr-7.13.0"


@dataclass(frozen=True)
class SparkSettings:
    """Which engine does the work, and how Spark is started."""

    engine: Engine = "auto"
    above_bytes: int | None = None  # work on more bytes than this goes to Spark; None: never by itself
    place: SparkPlace = "child"  # a process of its own here, a session in the run's own process, or EMR Serverless
    master: str = "local[2,4]"  # of a Spark here: threads, and how often a task may fail
    memory: str = "2g"  # of a Spark here: the JVM's heap
    conf: Mapping[str, str] = field(default_factory=dict)  # said last, so it wins


@dataclass(frozen=True)
class EmrSettings:
    """EMR Serverless, as far as it is named. Nothing here is secret: `secrets` holds names of AWS secrets, not what they hold."""

    application_id: str | None = None
    application_name: str | None = None
    execution_role_arn: str | None = None
    code_url: str | None = None  # where job.py and the archive are uploaded
    log_url: str | None = None
    log_group: str = "/aws/emr-serverless"  # of CloudWatch, through which a job reports
    release: str = EMR_RELEASE
    image_uri: str | None = None  # of a custom image, else the release's own
    secrets: Mapping[str, str] = field(default_factory=dict)  # variable -> ARN of the AWS secret that holds its value

    @property
    def is_named(self) -> bool:
        return bool(self.application_id or self.application_name)


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
    spark: SparkSettings
    emr: EmrSettings
    scratch_url: str | None  # private store that executors share; None: decided by the job
    dataset_dialect: str | None  # of Torus' own calls, which cannot say one

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
        pseudonym_key=_secret(env, "TORUS_PSEUDONYM_KEY"),
        tombstone_key=_secret(env, "TORUS_TOMBSTONE_KEY"),
        database_url=env.get("TORUS_DATABASE_URL"),
        arrivals_queue_url=env.get("TORUS_ARRIVALS_QUEUE_URL"),
        open_days=_integer(env, "TORUS_OPEN_DAYS", 3, at_least=1),
        listing_seconds=_seconds(env, "TORUS_LISTING_SECONDS", 1.0, at_most=40),
        fresh_minutes=_integer(env, "TORUS_FRESH_MINUTES", 60, at_least=1),
        webhook_url=env.get("TORUS_NOTIFY_WEBHOOK_URL"),
        spark=_spark(env),
        emr=_emr(env),
        scratch_url=env.get("TORUS_SCRATCH_URL"),
        dataset_dialect=_dialect(env),
    )


def _spark(env: Mapping[str, str]) -> SparkSettings:
    place = _one_of(env, "TORUS_SPARK", "emr" if _emr(env).is_named else "child", ("child", "session", "emr"))
    threads = env.get("TORUS_WORKERS", str(os.cpu_count() or 1))
    memory = env.get("TORUS_SPARK_MEMORY", "2g")
    if not re.fullmatch(r"[1-9]\d*[mg]", memory):
        raise SettingsError(f"TORUS_SPARK_MEMORY: expected a size such as 2g or 1536m, got {memory!r}")
    return SparkSettings(
        engine=cast("Engine", _one_of(env, "TORUS_ENGINE", "auto", ("auto", "local", "spark"))),
        above_bytes=_integer(env, "TORUS_SPARK_ABOVE_BYTES", 0, at_least=1) if "TORUS_SPARK_ABOVE_BYTES" in env else None,
        place=cast("SparkPlace", place),
        master=env.get("TORUS_SPARK_MASTER", f"local[{threads},4]"),  # plain local[n] gives a task one try only
        memory=memory,
        conf=_pairs(env, "TORUS_SPARK_CONF", "spark.name=value,spark.other=value"),
    )


def _emr(env: Mapping[str, str]) -> EmrSettings:
    return EmrSettings(
        application_id=env.get("EMR_APPLICATION_ID"),
        application_name=env.get("EMR_APPLICATION_NAME"),
        execution_role_arn=env.get("EMR_EXECUTION_ROLE_ARN"),
        code_url=env["EMR_CODE_URL"].rstrip("/") if "EMR_CODE_URL" in env else None,
        log_url=env["EMR_LOG_URL"].rstrip("/") + "/" if "EMR_LOG_URL" in env else None,
        log_group=env.get("EMR_LOG_GROUP", EmrSettings.log_group),
        release=env.get("EMR_RELEASE_LABEL", EMR_RELEASE),
        image_uri=env.get("EMR_IMAGE_URI"),
        secrets=_pairs(env, "EMR_SECRETS", "TORUS_PSEUDONYM_KEY=arn:aws:secretsmanager:…"),
    )


def _secret(env: Mapping[str, str], variable: str) -> str | None:
    """A key, but never the reference that EMR should have put the key in the place of."""
    if env.get(variable, "").startswith("EMR.secret@"):
        raise SettingsError(
            f"{variable}: EMR did not resolve its reference; check the ARN in EMR_SECRETS and the job role's right to read it"
        )
    return env.get(variable)


def _dialect(env: Mapping[str, str]) -> str | None:
    return _one_of(env, "TORUS_DATASET_DIALECT", "", ("", "rfc4180", "compat")) or None


def _one_of(env: Mapping[str, str], variable: str, default: str, known: tuple[str, ...]) -> str:
    text = env.get(variable, default)
    if text not in known:
        raise SettingsError(f"{variable}: expected {' or '.join(filter(None, known))}, got {text!r}")
    return text


def _pairs(env: Mapping[str, str], variable: str, example: str) -> dict[str, str]:
    """`name=value` joined by commas. The text is not shown: it could hold a secret put there by mistake."""
    pairs: dict[str, str] = {}
    for number, pair in enumerate(filter(None, (part.strip() for part in env.get(variable, "").split(","))), start=1):
        name, equals, value = pair.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise SettingsError(f"{variable}: expected {example}; entry {number} is no name=value")
        pairs[name.strip()] = value.strip()
    return pairs


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
