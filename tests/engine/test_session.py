"""How a session starts and ends: in this process, under spark-submit, and where there is no Java."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pyspark

from torus_assets.engine.session import own_session, session
from torus_assets.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOOK = """
import sys
from torus_assets.engine.session import session
from torus_assets.settings import SparkSettings

def interpreter(batches):
    import pyarrow, sys
    for batch in batches:
        yield pyarrow.RecordBatch.from_pydict({"it": [sys.executable] * batch.num_rows})

with session("look", SparkSettings(master="local[1,2]", memory="512m", conf={"spark.app.owner": "tests"})) as spark:
    conf = spark.sparkContext.getConf()
    [row] = spark.range(1).mapInArrow(interpreter, "it string").collect()
    print(spark.sparkContext.master, conf.get("spark.driver.memory"), conf.get("spark.app.owner"), row.it == sys.executable)
"""


def ran(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """In a temporary folder of its own."""
    (folder / "tmp").mkdir()
    env = {**os.environ, "TMPDIR": str(folder / "tmp"), **environment}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_a_session_says_nothing_on_the_terminal_and_leaves_nothing_behind(spark: SparkSession, tmp_path: Path):
    done = ran([sys.executable, "-c", LOOK], tmp_path)
    assert (done.stdout.split(), done.stderr) == (["local[1,2]", "512m", "tests", "True"], "")
    assert [path.name for path in (tmp_path / "tmp").iterdir() if "hsperf" not in path.name] == []
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


def test_under_spark_submit_its_master_and_memory_are_kept(spark: SparkSession, tmp_path: Path):
    (tmp_path / "look.py").write_text(LOOK)
    submit = str(Path(pyspark.__file__).parent / "bin/spark-submit")
    options = ["--master", "local[2,3]", "--driver-memory", "600m", "--conf", "spark.ui.enabled=false"]
    done = ran([submit, *options, "look.py"], tmp_path, PYSPARK_PYTHON=sys.executable)
    assert done.stdout.split() == ["local[2,3]", "600m", "tests", "True"]


def test_where_there_is_no_java_the_error_says_what_is_needed(tmp_path: Path):
    done = ran([sys.executable, "-c", LOOK], tmp_path, JAVA_HOME=str(tmp_path))
    assert done.returncode == 1
    assert "SparkDidNotStart: Spark did not start here; it needs Java 17 or newer" in done.stderr


def test_a_session_that_runs_already_is_used_and_left_running(spark: SparkSession):
    with session("inner", SparkSettings(master="local[7]")) as inner:
        assert inner.sparkContext is spark.sparkContext
    assert spark.range(3).count() == 3


def test_a_session_of_its_own_leaves_the_settings_of_the_first_one_alone(spark: SparkSession):
    before = spark.conf.get("spark.sql.shuffle.partitions")
    own = own_session(spark)
    own.conf.set("spark.sql.shuffle.partitions", "17")
    assert (spark.conf.get("spark.sql.shuffle.partitions"), own.conf.get("spark.sql.session.timeZone")) == (before, "UTC")
