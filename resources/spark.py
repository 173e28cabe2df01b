"""Spark: one method, three places to run in. All run the same `engine/work.py`."""

import signal
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import dagster as dg
from pydantic import Field

from resources.spark_told import Ended, Listener, Say, judge
from torus_assets import settings
from torus_assets.engine.registry_settings import under
from torus_assets.engine.reports import Message
from torus_assets.engine.work import carry_out


class Reported(NamedTuple):
    """What a job told, in its order, and what the run page shows of it."""

    messages: list[Message]
    metadata: dict[str, Any]


class SparkResource(dg.ConfigurableResource):
    """Starts Spark when it is used, and never before."""

    place: str = Field(
        default="child",
        description="`child`: a process of its own on this machine; `session`: in the run's process; `emr`: EMR Serverless (docs/spark.md).",
    )

    def run(
        self,
        context: dg.AssetExecutionContext,
        work: str,
        document: Mapping[str, Any],
        say: Say | None = None,
        registered: Mapping[str, str] | None = None,
    ) -> Reported:
        """Has a piece of work done, and waits for it.

        Args:
            work: `ingest` or `dataset`, with the document that `engine.reports` makes for it. It may be stored: no secret, no learner.
            say: hears of progress.
            registered: Spark settings that the registry has for the pipeline (`engine.registry_settings`); TORUS_SPARK_CONF wins over them.

        Raises:
            dg.Failure: the job failed, was ended, or did not report all of its work.
        """
        started, listener = time.monotonic(), Listener(context, say)
        context.log.info("spark: %s starts in place %s", work, self.place)
        ended = self._carried_out(context, {"work": work, "document": dict(document), "registered": dict(registered or {})}, listener)
        ended.metadata |= {
            "engine": dg.MetadataValue.text("spark"),
            "spark_place": dg.MetadataValue.text(self.place),
            "spark_seconds": dg.MetadataValue.float(round(time.monotonic() - started, 3)),
        }
        judge(work, document, ended)
        return Reported(ended.messages, ended.metadata)

    def _carried_out(self, context: dg.AssetExecutionContext, extras: dict[str, Any], listener: Listener) -> Ended:
        match self.place:
            case "child":
                from resources.spark_child import run_child

                return run_child(context, extras, listener)
            case "session":
                return _in_session(extras, listener)
            case "emr":
                from resources.emr_pipes import run_on_emr  # boto3 and dagster-aws: a second of every command's start

                return run_on_emr(context, extras, listener)
        raise settings.SettingsError(f"TORUS_SPARK: expected child, session or emr, got {self.place!r}")


def _in_session(extras: Mapping[str, Any], listener: Listener) -> Ended:
    """In this process. An error of the work goes through as it is: the step's frame knows what to make of it."""
    ended = Ended()

    def tell(message: Message) -> None:
        ended.messages.append(message)
        listener.hear(ended.messages)

    chosen = settings.from_environment()
    spark = under(extras["registered"], chosen.spark)
    carry_out(extras["work"], extras["document"], tell, chosen, lambda name: _opened(name, spark))
    return ended


@contextmanager
def _opened(name: str, spark: settings.SparkSettings) -> Iterator[Any]:
    """A Spark of this process: the one that a code location has opened already, else one of dagster-pyspark that ends with the work.

    What our plans need is said to a session of our own, so that the other's stays as it was. Dagster keeps the handler of SIGINT, which
    starting Spark takes away: a run could not be ended any more.
    """
    from torus_assets.engine.session import NEEDED, session

    handler = signal.getsignal(signal.SIGINT)
    with _of_dagster(name, spark), session(name, spark) as found:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
        ours = found.newSession()
        for key, value in NEEDED.items():
            if ours.conf.isModifiable(key):
                ours.conf.set(key, value)
        yield ours


@contextmanager
def _of_dagster(name: str, spark: settings.SparkSettings) -> Iterator[None]:
    """Starts Spark by dagster-pyspark's resource, unless somebody has."""
    from dagster_pyspark import PySparkResource  # 0.5 s, and pyspark with it
    from pyspark import SparkContext

    from torus_assets.engine.session import HERE, NEEDED

    if SparkContext._active_spark_context is not None:  # noqa: SLF001  there is no public way to ask
        yield
        return
    with tempfile.TemporaryDirectory(prefix="torus-spark-", ignore_cleanup_errors=True) as folder:
        own = {"spark.app.name": name, "spark.master": spark.master, "spark.driver.memory": spark.memory, "spark.local.dir": folder}
        config = {**own, "spark.sql.warehouse.dir": f"{folder}/warehouse", **HERE, **NEEDED, **spark.conf}
        with dg.build_resources({"pyspark": PySparkResource(spark_config=config)}) as made:
            try:
                yield
            finally:
                made.pyspark.spark_session.stop()
