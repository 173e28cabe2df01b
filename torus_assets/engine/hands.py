"""The one way in which work on a data set reaches executors: a function, carried out over items, small results in order.

Rows never travel by it. A task reads the lake and writes to stores by itself and answers with counts and names. What many tasks need
(names, redaction, the lookup) goes along with the function as one broadcast, which also is how secrets travel; arguments, settings of
Spark and logs never hold them.
"""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from torus_assets.datasets.release import PersonalData

if TYPE_CHECKING:
    from pyspark import Broadcast
    from pyspark.sql import SparkSession

Item = TypeVar("Item")
Result = TypeVar("Result")

FINAL = (PersonalData,)  # what another try of the task cannot cure


class _Refused(NamedTuple):
    """What a task ended with, as a value: Spark would run a task that raises again, and log it each time."""

    error: Exception


class SparkHands:
    """Carries out functions on the executors of one session. A context manager: it ends with this host's folders removed."""

    def __init__(self, spark: SparkSession, scratch_url: str, store_url: str, *, room: str | None = None) -> None:
        """
        Args:
            scratch_url: private store that driver and executors share, for files that no user gets.
            store_url: where the data sets go.
            room: names the folder that tasks of one host share; by default one nobody else has.
        """
        self.spark = spark
        self.scratch_url = scratch_url
        self.store_url = store_url
        self.room = room or f"torus-{uuid.uuid4().hex}"
        spark.sparkContext.environment.setdefault("POLARS_MAX_THREADS", "1")  # of a worker: there is one per core

    @property
    def cores(self) -> int:
        """How many tasks run at the same time."""
        return self.spark.sparkContext.defaultParallelism

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Removes what tasks kept on this host; other hosts' folders go with Spark's own, when the application ends."""
        shutil.rmtree(_place(self.room), ignore_errors=True)

    def over(self, function: Callable[[Item], Result], items: Iterable[Item], what: str = "") -> list[Result]:
        """`function` of each item, one task each; results in the order of the items.

        A task may be run more than once (a lost executor, a killed worker): the function leaves the same behind each time.

        Args:
            function: what pickle can carry: a module's function, or `functools.partial` of one with its work.
            what: a description for Spark's own pages; no learner's data.

        Raises:
            PersonalData: the first that a task ended with; the other tasks have ended too.
        """
        tasks = list(items)
        if not tasks:
            return []
        context = self.spark.sparkContext
        told = context.broadcast(function)
        context.setJobDescription(what or None)  # pyright: ignore[reportArgumentType]  # None clears it
        try:
            ended = context.parallelize(tasks, len(tasks)).map(partial(_carried_out, told)).collect()
        finally:
            context.setJobDescription(None)  # pyright: ignore[reportArgumentType]
            told.destroy()
        for result in ended:
            if isinstance(result, _Refused):
                raise result.error
        return ended


def host_folder(room: str) -> Path:
    """On an executor: the private folder that the tasks of this host share. It lives as long as the hands, or Spark's application."""
    folder = _place(room)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def task_folder(room: str) -> Iterator[Path]:
    """On an executor: a private folder for one task. What a killed task leaves in it goes with `host_folder`."""
    with tempfile.TemporaryDirectory(dir=host_folder(room), prefix="task-") as folder:
        yield Path(folder)


def _place(room: str) -> Path:
    """Below Spark's own folder of the application, which Spark removes at its end."""
    from pyspark import SparkFiles

    return Path(SparkFiles.getRootDirectory()).absolute() / room


def _carried_out(told: Broadcast[Callable[[Any], Any]], item: Any) -> Any:
    try:
        return told.value(item)
    except FINAL as error:
        return _Refused(error)
