"""An ingest on Spark in a process of its own that kills itself when all files are written and none is committed."""

from __future__ import annotations

import os
import signal
import sys
from datetime import date
from pathlib import Path

from tests.engine.ingest.twins import Twins
from torus_assets.engine.ingest.days import ingest_days
from torus_assets.engine.session import session
from torus_assets.settings import SparkSettings
from torus_assets.xapi.ingest import IngestOptions


def die_when_written(stage: str, done: int, total: int) -> None:
    if stage == "write" and done == total:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    twins = Twins(sys.argv[1], Path())
    with session("killed", SparkSettings(master="local[1,4]", memory="512m")) as spark:
        ingest_days(
            spark, twins.lakes[1], twins.bundles, [date(2026, 2, 3)], IngestOptions(max_quarantined_share=1.0), progress=die_when_written
        )
