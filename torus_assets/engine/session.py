"""A Spark session with what our plans need: UTC, no UI here, small Arrow batches, this interpreter, no noise on the terminal.

Started in this process when nobody has one yet; under spark-submit the JVM is there already and its master is kept.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torus_assets.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BATCH_ROWS = 500  # of an Arrow batch to a Python worker: a line may have 16 MiB, most have 2 kB
BATCH_BYTES = "16m"  # of the same; Spark 3.5 knows only the rows
BROADCAST_BYTES = "64m"  # a table of losers up to this size goes to the wide rows instead of being shuffled with them
QUICK = "-XX:TieredStopAtLevel=1"  # 300,000 lines from a cold start: 30 instead of 42 CPU seconds in the JVM; warm it is as fast
LAST_WORDS = 2000  # characters of a JVM that did not start
DEFAULT_PYTHON = "python3"  # what Spark takes when nobody says an interpreter

NEEDED = {  # of every session that runs a plan of ours
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.adaptive.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    "spark.sql.execution.arrow.maxBytesPerBatch": BATCH_BYTES,
    "spark.sql.autoBroadcastJoinThreshold": BROADCAST_BYTES,
    "spark.sql.adaptive.autoBroadcastJoinThreshold": BROADCAST_BYTES,
}
HERE = {  # when Spark runs on this machine
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
    "spark.sql.shuffle.partitions": "4",
    "spark.sql.catalogImplementation": "in-memory",
}


class SparkDidNotStart(RuntimeError):
    """There is no JVM, or it ended before it answered; its last words are in the message."""


@contextmanager
def session(name: str, spark: SparkSettings) -> Iterator[SparkSession]:
    """A session for as long as the block runs. One that runs already in this process is used, and left running.

    Args:
        name: of the application, as Spark's pages show it.
        spark: master and memory count only where spark-submit has not started the JVM; `conf` wins over everything here.

    Raises:
        SparkDidNotStart: mostly there is no Java 17.
    """
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)  # its presence is asked for, not its work
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    if SparkContext._active_spark_context is not None:  # noqa: SLF001  there is no public way to ask
        yield _with_this_python(SparkSession.builder.getOrCreate())
        return
    with tempfile.TemporaryDirectory(prefix="torus-spark-", ignore_cleanup_errors=True) as folder:
        gateway, is_ours = _gateway(spark, Path(folder))
        made = _started(name, spark, gateway, Path(folder))
        try:
            yield made
        finally:
            made.stop()
            if is_ours:
                _end(gateway)


def own_session(spark: SparkSession) -> SparkSession:
    """A session over the same executors with views and settings of its own, whoever made the first one."""
    own = spark.newSession()
    for key, value in NEEDED.items():
        own.conf.set(key, value)
    return own


def _gateway(spark: SparkSettings, folder: Path) -> tuple[Any, bool]:
    """The JVM, and whether this started it. What it prints goes to a file below `folder`."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is not None:  # noqa: SLF001  a JVM that an earlier session left behind
        return SparkContext._gateway, False  # noqa: SLF001
    told = {
        "spark.master": spark.master,
        "spark.driver.memory": spark.memory,
        "spark.local.dir": str(folder),
        **({**HERE, "spark.driver.extraJavaOptions": QUICK} if spark.master.startswith("local") else {}),
        **spark.conf,
    }
    log = folder / "jvm.log"
    with log.open("wb") as out:
        try:
            conf = SparkConf(loadDefaults=False).setAll(list(told.items()))
            gateway = launch_gateway(conf, {"stdout": out, "stderr": out})
        except (PySparkRuntimeError, OSError) as error:
            words = log.read_text(errors="replace")[-LAST_WORDS:].strip() or str(error)
            raise SparkDidNotStart(
                f"Spark did not start here; it needs Java 17 or newer (JAVA_HOME or `java`). It said: {words}"
            ) from error
    return gateway, getattr(gateway, "proc", None) is not None


def _started(name: str, spark: SparkSettings, gateway: Any, folder: Path) -> SparkSession:
    from pyspark import SparkConf, SparkContext
    from pyspark.sql import SparkSession

    conf = SparkConf(_jvm=gateway.jvm).setAppName(name)  # what spark-submit was told
    conf.setIfMissing("spark.master", spark.master)
    conf.setIfMissing("spark.sql.warehouse.dir", str(folder / "warehouse"))
    for key, value in NEEDED.items():
        conf.set(key, value)
    if (conf.get("spark.master") or "").startswith("local"):
        for key, value in HERE.items():
            conf.setIfMissing(key, value)
    for key, value in spark.conf.items():
        conf.set(key, value)
    return _with_this_python(SparkSession(SparkContext(conf=conf, gateway=gateway)))


def _with_this_python(session: SparkSession) -> SparkSession:
    """Workers on this machine run this interpreter, unless another was said; on a cluster its image decides."""
    context = session.sparkContext
    if str(context.master).startswith("local") and context.pythonExec == DEFAULT_PYTHON:
        context.pythonExec = sys.executable
    return session


def _end(gateway: Any) -> None:
    """Ends the JVM, which waits for the end of its input; a later session of this process starts another."""
    from pyspark import SparkContext

    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
    SparkContext._gateway = None  # noqa: SLF001
    SparkContext._jvm = None  # noqa: SLF001
