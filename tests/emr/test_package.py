"""The archive for EMR: complete, alone, reproducible, and refused where it could not work."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest

from tests.engine.conftest import java_version
from tests.engine.drop_in.torus_world import SECTION, make_folders
from tests.factories import numbered
from torus_assets.emr.contents import NotAJob, contents
from torus_assets.emr.package import Built, Packaged, package, plan
from torus_assets.emr.pins import NoPin, Pin, Target, pins
from torus_assets.emr.releases import UnknownRelease, release_of
from torus_assets.emr.wheels import NotFitting, of_environment, of_wheels, requirements_text

LOCK = Path(__file__).parents[2] / "uv.lock"
HERE = Target(release_of("emr-7.13.0"), "x86_64")
# What EMR gives a job: the release's own pyspark, and the zip itself on the path, as Torus' parameters name it under --py-files.
DECODES = """
import sys
sys.path.insert(0, "dataset/lib")
from torus_assets.xapi.parse import parse
import torus_assets.engine.drop_in.call_work, torus_assets.engine.work, pandas, deltalake, duckdb, polars, obstore, boto3, lxml.etree
parsed = parse(open("bundle", "rb").read(), 1)
assert "dagster" not in sys.modules
print(len(parsed.events), len(parsed.refusals), pandas.__file__, sys.modules["torus_assets"].__file__)
"""


@pytest.fixture(scope="module")
def built() -> Built:
    return plan(LOCK, HERE)


@pytest.fixture(scope="module")
def whole(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packaged]:
    """The whole archive, of what is installed, beside its unpacked form in `dataset`. 690 MB each: gone after the module."""
    folder = tmp_path_factory.mktemp("whole")
    made = package(built, folder, wheels=None, compressed=False)
    with zipfile.ZipFile(made.archive) as opened:
        opened.extractall(folder / "dataset")
    yield made
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def names(whole: Packaged) -> list[str]:
    with zipfile.ZipFile(whole.archive) as opened:
        return opened.namelist()


def _alone(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A Python without any site-packages, in the folder that has the unpacked archive."""
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run([sys.executable, "-S", *words], cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_python_without_packages_decodes_with_the_archive_alone(whole):
    folder = whole.archive.parent
    (folder / "bundle").write_bytes(numbered(1) + b"\nnot json\n")
    done = _alone(folder, "-c", DECODES)
    assert done.returncode == 0, done.stderr
    rows, refused, pandas, ours = done.stdout.split()
    assert (rows, refused) == ("1", "1")
    assert pandas.startswith(f"{folder}/dataset/lib/")
    assert ours.startswith(f"{folder}/dataset/lib/")


def test_job_py_alone_finds_its_packages_though_the_zip_is_on_the_path_too(whole):
    folder = whole.archive.parent
    spark = folder / "of_the_release"
    spark.mkdir(exist_ok=True)
    for name in ("pyspark", "py4j"):
        (spark / name).symlink_to(Path(str(distribution(name).locate_file(name))))
    done = _alone(folder, "job.py", "--action", "video", PYTHONPATH=f"{spark}:{whole.archive}")
    assert done.returncode == 2, done.stderr
    problems = json.loads(done.stdout.splitlines()[-1])["problems"]
    assert any(problem.startswith("job_id") for problem in problems)


def test_the_root_of_the_zip_hides_nothing_from_python(names):
    assert {name.partition("/")[0] for name in names} == {"lib", "package.json"}


def test_nothing_is_in_it_that_no_job_needs(names):
    tops = {name.split("/")[1] for name in names if name.startswith("lib/")}
    assert {"torus_assets", "pyarrow", "polars", "deltalake", "duckdb", "obstore", "msgspec", "pandas", "dagster_pipes"} <= tops
    assert tops.isdisjoint(
        {"dagster", "dagster_aws", "dagster_pyspark", "pyspark", "py4j", "resources", "sensors", "tests", "moto", "pytest"}
    )
    assert not [name for name in names if name.endswith(".pyc") or "/tests/" in name or "__pycache__" in name]
    ours = {name for name in names if name.startswith("lib/torus_assets/")}
    assert {"lib/torus_assets/datasets/datashop/tutor_message.xsd", "lib/torus_assets/datasets/sql/repeated.sql"} <= ours
    assert {Path(name).suffix for name in ours} == {".py", ".xsd", ".sql", ".css"}
    assert not [name for name in ours if name.endswith(("definitions.py", "/assets.py", "/cli.py")) or "/commands/" in name]


def test_the_manifest_says_what_is_inside_and_how_large_it_gets(whole):
    beside = json.loads(whole.manifest.read_text())
    assert (beside["release"], beside["spark"], beside["python"], beside["platform"]) == ("emr-7.13.0", "3.5.6", "3.11", "x86_64")
    assert {one["name"]: one["version"] for one in beside["distributions"]}["pyarrow"] == distribution("pyarrow").version
    assert beside["archive_bytes"] == whole.archive.stat().st_size
    with zipfile.ZipFile(whole.archive) as opened:
        sizes = sum(entry.file_size for entry in opened.infolist() if entry.filename.startswith("lib/"))
        inside = json.loads(opened.read("package.json"))
    assert beside["unpacked_bytes"] == sizes == whole.unpacked_bytes
    assert inside.items() <= beside.items()


def test_same_inputs_give_the_same_bytes(built, tmp_path):
    ours = replace(built, pins=())
    first = package(ours, tmp_path / "a", wheels=None)
    os.utime(first.job, (0, 0))
    second = package(ours, tmp_path / "b", wheels=None)
    assert first.archive.read_bytes() == second.archive.read_bytes()
    assert first.content == second.content


def test_wheels_and_installed_files_give_the_same_members(built, tmp_path):
    [six] = [pin for pin in built.pins if pin.name == "six"]
    with zipfile.ZipFile(tmp_path / six.wheel, "w") as wheel:
        for file in distribution("six").files or ():
            if not str(file).endswith((".pyc", "INSTALLER", "REQUESTED")):
                wheel.writestr(str(file), file.read_binary())
        wheel.writestr("six-1.17.0.data/scripts/six", "#!python")
    installed = {member.path: member.open().read() for member in of_environment([six], HERE)}
    assert installed == {member.path: member.open().read() for member in of_wheels([six], tmp_path)}
    assert "six.py" in installed


def test_each_platform_gets_its_own_wheels_of_the_locked_versions():
    x86, arm = (pins(LOCK, ["pyarrow", "polars", "boto3"], Target(release_of("emr-7.13.0"), platform)) for platform in ("x86_64", "arm64"))
    assert [pin.name for pin in x86] == [pin.name for pin in arm]
    assert {"polars-runtime-32", "botocore", "urllib3"} <= {pin.name for pin in arm}
    compiled = {pin.name: pin.wheel for pin in arm if not pin.wheel.endswith("none-any.whl")}
    assert {"pyarrow", "polars-runtime-32"} <= compiled.keys()
    assert all("aarch64" in wheel for wheel in compiled.values())
    assert all(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" in requirements_text(arm) for pin in arm)


def test_a_wheel_that_needs_a_newer_c_library_is_not_taken(tmp_path):
    lock = tmp_path / "uv.lock"
    urls = [f"https://files.example/fast-1.0-cp311-cp311-manylinux_2_{minor}_x86_64.whl" for minor in (39, 28)]
    wheels = "".join(f'{{ url = "{url}", hash = "sha256:{number}" }}, ' for number, url in enumerate(urls))
    lock.write_text(f'[[package]]\nname = "fast"\nversion = "1.0"\nwheels = [{wheels}]\n')
    [pin] = pins(lock, ["fast"], HERE)
    assert (pin.wheel, pin.sha256) == ("fast-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", "1")
    with pytest.raises(NoPin, match=r"fast 1\.0 has no wheel for emr-7\.13\.0 on arm64"):
        pins(lock, ["fast"], Target(release_of("emr-7.13.0"), "arm64"))


def test_other_versions_and_machines_than_the_installed_ones_are_refused(built):
    with pytest.raises(NotFitting, match=r"six 1\.17\.0 is installed, and uv\.lock says 9: `uv sync`"):
        list(of_environment([Pin("six", "9", "six-9.whl", "0")], HERE))
    pyarrow = [pin for pin in built.pins if pin.name == "pyarrow"]
    with pytest.raises(NotFitting, match=r"pyarrow is built for .* not for arm64: let pip fetch"):
        list(of_environment(pyarrow, Target(release_of("emr-7.13.0"), "arm64")))


def test_an_unknown_release_is_refused_with_the_known_ones():
    with pytest.raises(UnknownRelease, match=r"'emr-9\.9\.9' is not known here; known are emr-7\.0\.0, .*emr-7\.13\.0"):
        release_of("emr-9.9.9")


def test_a_job_that_reaches_dagster_is_not_packed(tmp_path):
    (tmp_path / "torus_assets" / "engine").mkdir(parents=True)
    for folder in ("torus_assets", "torus_assets/engine"):
        (tmp_path / folder / "__init__.py").touch()
    (tmp_path / "torus_assets" / "engine" / "job.py").write_text("def run():\n    from torus_assets.engine import far\n")
    far = tmp_path / "torus_assets" / "engine" / "far.py"
    far.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import dagster\nimport dagster_pipes\n")
    assert contents(top=tmp_path).others == {"dagster_pipes": "torus_assets.engine.far"}
    far.write_text("import dagster as dg\n")
    with pytest.raises(NotAJob, match=r"torus_assets\.engine\.far imports dagster"):
        contents(top=tmp_path)


def test_a_module_that_is_not_there_is_noticed_before_a_cluster_notices_it(tmp_path):
    (tmp_path / "torus_assets" / "engine").mkdir(parents=True)
    for folder in ("torus_assets", "torus_assets/engine"):
        (tmp_path / folder / "__init__.py").touch()
    job = tmp_path / "torus_assets" / "engine" / "job.py"
    for words in ("from torus_assets.engine.gone import x", "from torus_assets.engine import gone"):
        job.write_text(words)
        with pytest.raises(NotAJob, match=r"job imports torus_assets\.engine\.gone, which is not there"):
            contents(top=tmp_path)


def test_a_spark_job_runs_on_nothing_but_the_archive(whole, tmp_path):
    """Driver and Python workers without site-packages; the zip under --py-files, too, as in Torus' own parameters."""
    if (java_version() or 0) < 17:
        pytest.skip("Spark needs Java 17 or newer")
    world = make_folders(tmp_path)
    world.look_up("alone")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path), "PYSPARK_PYTHON": str(python), "PYSPARK_DRIVER_PYTHON": str(python)}
    env |= {name: value for name, value in os.environ.items() if name == "JAVA_HOME"} | {"TORUS_MAX_QUARANTINED_SHARE": "0.5"}
    arguments = world.arguments("alone", "video", str(SECTION), "playedpausedseekedcompleted")
    conf = ["--master", "local[2,4]", "--py-files", str(whole.archive), "--conf", f"spark.local.dir={tmp_path}"]
    program = Path(str(distribution("pyspark").locate_file("pyspark/bin/spark-submit")))
    words = [program, *conf, "job.py", *arguments]
    done = subprocess.run(words, cwd=whole.archive.parent, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1])["rows"] > 0
    assert world.manifest("alone")["chunks"]
