"""Lake files on the machine that reads them: once, privately, and no more of them than is asked for."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engine.export.counted_s3 import Front, front_of
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi.lake import DayFile
from torus_assets.xapi.lake_files import FOLDER, forget_fetched, local_paths

DAY = date(2026, 1, 2)
SECTIONS, GROUP = 10, 2_000  # a row group per section


@pytest.fixture
def front(s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    with front_of(s3_endpoint) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url)
        yield front


@pytest.fixture
def store(s3: str, front: Front) -> ObjectStore:
    return open_store(f"{s3}/lake")


def table() -> pa.Table:
    """Sections 0, 10, 20, … in order, each of the size of a row group, of text that does not compress."""
    rows = SECTIONS * GROUP
    noise = np.random.default_rng(5).bytes(rows * 40).hex()
    return pa.table({
        "section_id": pa.array(np.repeat(np.arange(SECTIONS) * 10, GROUP), pa.int64()),
        "line": pa.array(range(rows), pa.int64()),
        "text": [noise[at * 80 : at * 80 + 80] for at in range(rows)],
    })  # fmt: skip


def put(store: ObjectStore, tmp_path: Path, name: str = "a.parquet") -> DayFile:
    pq.write_table(table(), tmp_path / name, row_group_size=GROUP, compression="zstd")
    store.put(f"kind=x/{name}", tmp_path / name)
    return DayFile(f"kind=x/{name}", DAY, "x", SECTIONS * GROUP, (tmp_path / name).stat().st_size)


def lines(path: Path) -> list[int]:
    return pq.read_table(path)["line"].to_pylist()


def test_of_a_remote_file_only_the_row_groups_of_the_sections_are_read(store, tmp_path, front):
    file = put(store, tmp_path)
    [path] = local_paths(store.url, [file], [70, 20, 999], tmp_path / "scratch")
    assert lines(path) == [*range(2 * GROUP, 3 * GROUP), *range(7 * GROUP, 8 * GROUP)]
    assert pq.read_schema(path) == table().schema
    assert front.read("a.parquet") < file.bytes * 0.35  # two row groups of ten, and the footer
    assert {method for method, *_ in front.asked} == {"PUT", "GET"}  # no HEAD: the snapshot knows the size


def test_a_file_without_the_sections_is_empty_and_its_rows_are_never_read(store, tmp_path, front):
    file = put(store, tmp_path)
    [path] = local_paths(store.url, [file], [25, 35], tmp_path / "scratch")
    assert lines(path) == []
    assert pq.read_schema(path) == table().schema
    assert front.read("a.parquet") <= 1 << 16  # what the footer is looked for in


def test_of_some_columns_only_those_are_read(store, tmp_path, front):
    file = put(store, tmp_path)
    [path] = local_paths(store.url, [file], None, tmp_path / "scratch", columns=["line", "of another kind"])
    assert pq.read_table(path) == table().select(["section_id", "line"])
    assert front.read("a.parquet") < file.bytes * 0.2


def test_rows_of_other_sections_in_a_row_group_stay_behind(store, tmp_path):
    pq.write_table(table(), tmp_path / "b.parquet", row_group_size=GROUP * 5, compression="zstd")
    store.put("b.parquet", tmp_path / "b.parquet")
    [path] = local_paths(
        store.url, [DayFile("b.parquet", DAY, "x", 0, (tmp_path / "b.parquet").stat().st_size)], [20], tmp_path / "scratch"
    )
    assert lines(path) == [*range(2 * GROUP, 3 * GROUP)]


def test_a_file_that_is_wanted_as_a_whole_is_the_same_file(store, tmp_path):
    file = put(store, tmp_path)
    for sections in (None, range(0, SECTIONS * 10, 10)):
        [path] = local_paths(store.url, [file], sections, tmp_path / "scratch")
        assert path.read_bytes() == (tmp_path / "a.parquet").read_bytes()


def test_paths_come_in_the_order_of_the_files_and_a_second_call_reads_nothing(store, tmp_path, front):
    files = [put(store, tmp_path, f"{name}.parquet") for name in "cabd"]
    first = local_paths(store.url, files, [0], tmp_path / "scratch")
    asked = len(front.asked)
    assert local_paths(store.url, files[::-1], [0], tmp_path / "scratch") == first[::-1]
    assert len(front.asked) == asked
    assert not set(local_paths(store.url, files, [10], tmp_path / "scratch")) & set(first)  # of other sections: other files


def test_what_is_fetched_is_private_and_goes_at_the_end(store, tmp_path):
    scratch = tmp_path / "scratch"
    [path] = local_paths(store.url, [put(store, tmp_path)], [0], scratch)
    assert stat.S_IMODE((scratch / FOLDER).stat().st_mode) == 0o700
    assert {stat.S_IMODE(entry.stat().st_mode) for entry in (scratch / FOLDER).iterdir()} == {0o600}
    forget_fetched(scratch)
    assert list(scratch.iterdir()) == []
    assert not path.exists()


def test_a_folder_lake_is_read_where_it_is(tmp_path):
    store = open_store(str(tmp_path / "lake"))
    file = put(store, tmp_path)
    assert local_paths(store.url, [file], [0], tmp_path / "scratch") == [tmp_path / "lake" / file.path]
    assert not (tmp_path / "scratch").exists()


def test_a_file_that_was_vacuumed_is_named(store, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"lake/gone\.parquet"):
        local_paths(store.url, [DayFile("gone.parquet", DAY, "x", 1, 4_000)], [0], tmp_path / "scratch")
    assert not list((tmp_path / "scratch" / FOLDER).glob("*.p*"))


FETCH = """
import sys
from pathlib import Path
from torus_assets.engine.export.lake_files import local_paths
from torus_assets.xapi.lake import DayFile
url, path, size, scratch = sys.argv[1:]
print(*local_paths(url, [DayFile(path, None, "x", 0, int(size))], [20], Path(scratch)))
"""


def fetching(store: ObjectStore, file: DayFile, scratch: Path) -> subprocess.Popen[str]:
    """Another process that asks for the file."""
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, store.url, file.path, str(file.bytes), str(scratch)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def await_lock(process: subprocess.Popen[str]) -> None:
    """Until the process has or wants the lock of a file."""
    for _ in range(600):
        if any(file.path.endswith(".lock") for file in psutil.Process(process.pid).open_files()):
            return
        time.sleep(0.05)
    raise AssertionError("it never came to the lock")


def test_processes_of_one_machine_fetch_a_file_once(store, tmp_path, front):
    file = put(store, tmp_path)
    front.open.clear()
    several = [fetching(store, file, tmp_path / "scratch") for _ in range(3)]
    assert front.begun.wait(30)
    for process in several:
        await_lock(process)
    front.open.set()
    paths = {process.communicate(timeout=60)[0].strip() for process in several}
    [path] = paths
    assert lines(Path(path)) == [*range(2 * GROUP, 3 * GROUP)]
    assert front.read("a.parquet") < file.bytes * 0.25  # of the three, one has read


def test_a_killed_fetch_leaves_nothing_half_and_keeps_nobody_waiting(store, tmp_path, front):
    file = put(store, tmp_path)
    front.open.clear()
    killed = fetching(store, file, tmp_path / "scratch")
    assert front.begun.wait(30)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=30)
    assert not list((tmp_path / "scratch" / FOLDER).glob("*.parquet"))
    front.open.set()
    [path] = local_paths(store.url, [file], [20], tmp_path / "scratch")
    assert lines(path) == [*range(2 * GROUP, 3 * GROUP)]
    assert not list((tmp_path / "scratch" / FOLDER).glob("*.part"))
