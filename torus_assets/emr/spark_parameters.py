"""What our job needs to know on EMR Serverless: interpreter, code, places, secrets by reference, memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torus_assets.emr.releases import RELEASES
from torus_assets.settings import EmrSettings, Settings, SparkSettings

FOLDER = "dataset"  # where the archive is unpacked on driver and executors, as Torus' own parameters say
LIBRARY = "lib"  # the folder of the archive that holds the packages (`package.py` says why they are not at its root)
IMAGE_PYTHON = "/usr/bin/python3.11"  # of the custom image (deploy/emr/Dockerfile)
DRIVER = "spark.emr-serverless.driverEnv."
EXECUTOR = "spark.executorEnv."

# A worker of 4 vCPUs has 8 to 30 GB. Half of it stays outside of the JVM's heap: lines are decoded by Python beside it, files are read and
# written by Arrow, and the driver settles with delta-rs. EMR's own default leaves Python a tenth.
SIZES: Mapping[str, str] = {
    "spark.driver.cores": "4",
    "spark.driver.memory": "8g",
    "spark.driver.memoryOverhead": "8g",
    "spark.executor.cores": "4",
    "spark.executor.memory": "8g",
    "spark.executor.memoryOverhead": "8g",
}
# Spark shows its configuration in its UI and history: names that hold keys of ours are hidden there, beside what Spark hides by itself.
REDACTED = r"(?i)secret|password|token|access[.]?key|_key\b|database_url|webhook_url"

PLACES = ("TORUS_XAPI_URL", "TORUS_INVENTORY_URL", "TORUS_LAKE_URL", "TORUS_DATASETS_URL")  # of what is asked for through our own commands
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_UNSAFE = re.compile(r"[\s'\"\\]")


class NotForEmr(ValueError):
    """A setting that a job on EMR Serverless cannot use; the message names it and says what to do."""


def interpreter(emr: EmrSettings) -> str:
    """The Python that runs the job: of the custom image, or of the release.

    Raises:
        NotForEmr: the release has none that is new enough.
    """
    if emr.image_uri:
        return IMAGE_PYTHON
    release = RELEASES.get(emr.release)  # one that is not in the table is taken to be newer than the table
    if release is not None and release.python is None:
        raise NotForEmr(f"{emr.release} has no Python 3.11: choose emr-7.1.0 or newer, or a custom image (deploy/emr)")
    return release.python if release is not None and release.python else IMAGE_PYTHON


def job_variables(settings: Settings, needed: Iterable[str] = PLACES) -> dict[str, str]:
    """Our settings as variables for a job on EMR: places in object stores and rules. Never a secret.

    Raises:
        NotForEmr: one of the `needed` places is a folder of this machine.
    """
    places = {
        "TORUS_XAPI_URL": settings.xapi_url,
        "TORUS_INVENTORY_URL": settings.inventory_url,
        "TORUS_LAKE_URL": settings.lake_url,
        "TORUS_DATASETS_URL": settings.datasets_url,
        "TORUS_SCRATCH_URL": settings.scratch_url or "",
    }
    local = sorted(name for name in needed if not places[name].startswith("s3"))
    if local:
        raise NotForEmr(f"a job on EMR cannot reach folders of this machine: set {', '.join(local)} to s3://…")
    rules = {
        "TORUS_HOME": "/tmp/torus",  # noqa: S108  # a worker's own disk, which nobody shares
        "TORUS_FIRST_DAY": settings.first_day.isoformat(),
        "TORUS_MAX_LINE_BYTES": str(settings.max_line_bytes),
        "TORUS_MAX_QUARANTINED_SHARE": str(settings.max_quarantined_share),
        "TORUS_DATASET_DIALECT": settings.dataset_dialect or "",
    }
    return {name: value for name, value in {**places, **rules}.items() if value and not value.startswith("file:")}


def spark_properties(
    emr: EmrSettings, spark: SparkSettings, archive_url: str | None, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Spark's properties of a job. `spark.conf` is said last, so it wins; secrets are references that EMR resolves.

    Args:
        archive_url: of the archive of `torus emr package`; None with a custom image.
        variables: environment of the driver, without secrets (`job_variables`).
    """
    python = interpreter(emr)
    said = {f"{DRIVER}PYSPARK_DRIVER_PYTHON": python, f"{DRIVER}PYSPARK_PYTHON": python, f"{EXECUTOR}PYSPARK_PYTHON": python}
    if archive_url is not None:
        said["spark.archives"] = f"{archive_url}#{FOLDER}"
        said[f"{EXECUTOR}PYTHONPATH"] = f"./{FOLDER}/{LIBRARY}"
    said |= SIZES
    said |= {f"{DRIVER}{name}": value for name, value in (variables or {}).items()}
    said |= {f"{DRIVER}{name}": f"EMR.secret@{arn}" for name, arn in emr.secrets.items()}
    return said | dict(spark.conf)


def spark_submit_parameters(
    emr: EmrSettings, spark: SparkSettings, archive_url: str | None, variables: Mapping[str, str] | None = None
) -> str:
    """The same as the one text that `StartJobRun` and Torus' settings take.

    EMR splits it at white space and passes quotes on as part of the value, so neither may be in it.

    Raises:
        NotForEmr: a name or a value cannot be said in this text; names the property, never what it holds.
    """
    words = []
    for name, value in spark_properties(emr, spark, archive_url, variables).items():
        if not _NAME.fullmatch(name) or _UNSAFE.search(value) or not value:
            raise NotForEmr(
                f"{name}: white space, quotes and backslashes cannot be passed to EMR; say it in the application's own configuration"
            )
        words.append(f"--conf {name}={value}")
    return " ".join(words)
