"""The entry point that spark-submit runs: whom it answers, and how it finds its package as a lone file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.command import PROJECT, clean_environment
from tests.engine.conftest import JAVA_NEEDED, java_version
from torus_assets.engine import reports
from torus_assets.engine.noise import harmless
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.ledger import RowsWouldVanish

JOB = PROJECT / "torus_assets/engine/job.py"


def ran(*words: str, cwd: Path, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *python, *words], cwd=cwd, env=clean_environment(), capture_output=True, text=True, timeout=60)


def test_without_arguments_and_without_dagster_it_says_how_it_is_started(tmp_path):
    done = ran(str(JOB), cwd=tmp_path)
    assert done.returncode == 2
    assert "spark-submit job.py --job_id JOB" in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_go_to_the_call_of_torus(tmp_path):
    done = ran(str(JOB), "--job_id", "j", "--action", "no_such_action", cwd=tmp_path)
    assert done.returncode == 2
    assert "no_such_action" in done.stderr + done.stdout


def test_without_its_package_it_says_what_is_missing(tmp_path):
    done = ran(str(JOB), cwd=tmp_path, python=("-S", "-E"))
    assert done.returncode == 1
    assert "--archives dataset.zip#dataset" in done.stderr
    assert "Traceback" not in done.stderr


def archive(folder: Path) -> None:
    """What spark-submit unpacks: our package and the installed ones, in a folder of the working directory."""
    folder.mkdir(parents=True)
    (folder / "torus_assets").symlink_to(PROJECT / "torus_assets")
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if entry.suffix != ".pth" and "torus" not in entry.name:
            (folder / entry.name).symlink_to(entry)


LOOK = """
import sys
sys.path.insert(0, ".")
import job
from pathlib import Path
job._find_package(Path.cwd())
import torus_assets
from pyspark import SparkContext
print(Path(torus_assets.__file__).parents[1].relative_to(Path.cwd()))
print(SparkContext._jvm.java.lang.System.getProperty("spark.executorEnv.PYTHONPATH"))
"""


@pytest.mark.skipif((java_version() or 0) < JAVA_NEEDED, reason=f"Spark needs Java {JAVA_NEEDED} or newer")
def test_as_a_lone_file_it_finds_the_unpacked_archive_for_driver_and_executors(tmp_path):
    archive(tmp_path / "dataset/lib")
    shutil.copy(JOB, tmp_path)
    done = ran("-c", LOOK, cwd=tmp_path, python=("-S", "-E"))
    assert done.stdout.split() == ["dataset/lib", "./dataset/lib"], done.stderr
    assert ran("job.py", cwd=tmp_path, python=("-S", "-E")).returncode == 2


def test_the_job_loads_neither_dagster_nor_a_client_of_aws(tmp_path):
    look = "import sys, torus_assets.engine.job, torus_assets.engine.work as w; print([n for n in ('dagster', 'boto3', 'pyspark') if n in sys.modules])"
    assert ran("-c", look, cwd=tmp_path).stdout.strip() == "[]"


def test_options_travel_to_the_job_and_back():
    options = IngestOptions(
        sections=frozenset({7, 3}), rebuild=True, drop_vanished=True, max_quarantined_share=0.5, max_line_bytes=2048, workers=3
    )
    assert reports.options_of(reports.ingest_work("l", "x", [], options)) == options
    assert reports.options_of(reports.ingest_work("l", "x", [], IngestOptions())) == IngestOptions()


def test_an_error_travels_without_what_it_quotes():
    told = reports.error_message(ValueError("could not convert 'ada@example.edu'"), "/private/file.txt")["error"]
    assert told["text"] == "ValueError: its text may quote learners and is not shown; it is in /private/file.txt"
    assert not told["permanent"]
    vanish = reports.error_message(RowsWouldVanish("2026-02-03: 3 rows"), None)["error"]
    assert (vanish["text"], vanish["permanent"], vanish["kind"]) == ("2026-02-03: 3 rows", True, "RowsWouldVanish")


@pytest.mark.parametrize(
    ("work", "messages", "lacking"),
    [
        ("ingest", [{"day": {"day": "2026-02-03"}}, {"refused": {"day": "2026-02-04"}}, {"done": {}}], []),
        ("ingest", [{"day": {"day": "2026-02-03"}}, {"done": {}}], ["2026-02-04"]),
        ("ingest", [{"day": {"day": "2026-02-03"}}, {"refused": {"day": "2026-02-04"}}], ["its end"]),
        ("dataset", [{"done": {}}], ["the dataset"]),
        ("dataset", [{"dataset": {}}, {"done": {}}], []),
        ("dataset", [], ["the dataset", "its end"]),
    ],
)
def test_what_a_job_did_not_say_is_named(work, messages, lacking):
    assert reports.unreported(work, {"days": ["2026-02-03", "2026-02-04"]}, messages) == lacking


def test_a_log_is_shown_without_its_words():
    lines = [
        "26/02/03 10:00:00 WARN TaskSetManager: Lost task 0.0: ValueError ada@example.edu",
        "\tat org.apache.spark.SparkContext.runJob(SparkContext.scala:1)",
        "Traceback (most recent call last):",
        '  File "/x/torus_assets/xapi/parse.py", line 3, in parse',
        "    raise ValueError(text)",
        "ValueError: ada@example.edu wrote MyPrivateError",
        "Caused by: java.lang.OutOfMemoryError: Java heap space",
        "a learner wrote java.lang.SecretException here",
    ]
    assert harmless(lines) == [
        "10:00:00 WARN TaskSetManager ValueError",
        'File "/x/torus_assets/xapi/parse.py", line 3, in parse',
        "ValueError",
        "java.lang.OutOfMemoryError Java heap space",
    ]
    assert len(harmless(lines * 50)) == 40
    assert os.linesep not in "".join(harmless(lines))
