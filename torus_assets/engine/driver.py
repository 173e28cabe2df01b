"""What the driver does around Spark's jobs: tell how far they are, stop them when it is stopped, take in what they report."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from torus_assets.engine.ingest.lines import Batches

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from torus_assets.xapi.ingest import Stage

LOOK_SECONDS = 1.0  # between two looks at how far Spark is


def collected(found: DataFrame) -> pa.Table:
    """Rows about bundles and files, for the driver: as compressed Arrow, a piece per task. Never of lines."""
    from pyspark.sql.pandas.types import to_arrow_schema

    pieces = [pa.ipc.open_stream(row[0]).read_all() for row in found.mapInArrow(_in_one, "piece binary").collect()]
    return pa.concat_tables(pieces) if pieces else to_arrow_schema(found.schema).empty_table()


def _in_one(batches: Batches) -> Batches:
    sink = pa.BufferOutputStream()
    writer: Any = None
    for batch in batches:
        if writer is None:
            writer = pa.ipc.new_stream(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))
        writer.write_batch(batch)
    if writer is not None:
        writer.close()
        yield pa.RecordBatch.from_pydict({"piece": pa.array([sink.getvalue().to_pybytes()], pa.binary())})


@contextmanager
def watched(spark: SparkSession, stage: str, total: int, progress: Stage) -> Iterator[None]:
    """Tells how far the jobs started inside are, in `total` units; cancels them when the block is left by an exception."""
    context = spark.sparkContext
    group = f"torus-{stage}-{uuid.uuid4().hex}"
    context.setJobGroup(group, f"torus {stage}")
    progress(stage, 0, total)
    done = threading.Event()
    watch = threading.Thread(target=_tell, args=(context, group, stage, total, progress, done), daemon=True)
    watch.start()
    try:
        yield
    except BaseException:
        context.cancelJobGroup(group)
        raise
    finally:
        done.set()
        watch.join()
    progress(stage, total, total)


def _tell(context: Any, group: str, stage: str, total: int, progress: Stage, done: threading.Event) -> None:
    tracker, last = context.statusTracker(), 0
    while not done.wait(LOOK_SECONDS):
        stages = [tracker.getStageInfo(number) for job in tracker.getJobIdsForGroup(group) for number in _stages(tracker, job)]
        known = [each for each in stages if each is not None]
        tasks = sum(each.numTasks for each in known)
        now = total * sum(each.numCompletedTasks for each in known) // tasks if tasks else 0
        if last < now < total:
            progress(stage, now, total)
            last = now


def _stages(tracker: Any, job: int) -> list[int]:
    info = tracker.getJobInfo(job)
    return [] if info is None else list(info.stageIds)
