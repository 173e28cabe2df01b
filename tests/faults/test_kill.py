"""A kill at any instant, a full disk, a dead worker, a monstrous line: the lake is as it was, and running again finishes the work."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.factories import Place, bundle_key, line, numbered, statement
from tests.faults.ingest_child import Child
from torus_assets.xapi import workers
from torus_assets.xapi.ingest import clear_spool
from torus_assets.xapi.lake import LakeMissing
from torus_assets.xapi.tombstones import NONE
from torus_assets.xapi.workers import WorkerFailed

LINES = 3000
POINTS = [
    "snapshot:1", "snapshot:2", "decode", "flush", "flushed", "decoded", "settle", "settled", "place:1", "placed:1", "place:3", "placed:3",
    "place:last", "placed:last", "commit", "committed",
]  # fmt: skip


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> Path:
    """A day of 30 bundles with replays and refusals, written once."""
    place = Place(tmp_path_factory.mktemp("day"))
    for n in range(30):
        lines = [numbered(m) for m in range(n * 97, n * 97 + LINES // 30 - 2)]
        place.put(bundle_key(f"{n:02d}", second=n), [*lines, b"{}", b"[%d]" % n])
    return place.store


@pytest.fixture
def place(bundles, tmp_path) -> Place:
    """A place of one's own over the same bundles: as the lake names objects by address, all share the folder."""
    (tmp_path / "xapi").symlink_to(bundles)
    return Place(tmp_path)


def kept(contents: dict[str, Any], root: Path) -> dict[str, Any]:
    return {table: [{**row, "source_file": row["source_file"].replace(str(root), "")} for row in rows] for table, rows in contents.items()}


@pytest.fixture(scope="module")
def undisturbed(bundles, tmp_path_factory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("undisturbed")
    (root / "xapi").symlink_to(bundles)
    place = Place(root)
    assert place.ingest().day_total["lines"] == LINES
    return kept(place.contents(), root)


def is_killed_at(place: Place, point: str, **asked: Any) -> bool:
    return Child(place.root, kill_at=point, **asked).end().code == -signal.SIGKILL


def is_untouched(place: Place) -> bool:
    try:
        return not any(place.contents().values())
    except LakeMissing:
        return True


def cleared(place: Place) -> None:
    clear_spool(place.spool)
    assert not place.spool.exists() or list(place.spool.iterdir()) == []


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_leaves_nothing_or_all(place, undisturbed, point):
    assert is_killed_at(place, point)
    if point == "committed":
        assert kept(place.contents(), place.root) == undisturbed
    else:
        assert is_untouched(place)
    place.ingest()
    assert kept(place.contents(), place.root) == undisturbed
    cleared(place)


@pytest.mark.parametrize("point", ["flush", "settled", "place:3", "commit", "committed"])
def test_a_kill_while_rebuilding_leaves_the_day_as_it_was(place, undisturbed, point):
    place.ingest()
    version = place.lake.snapshot().version
    assert is_killed_at(place, point, rebuild=True)
    assert place.lake.snapshot().version == version + (point == "committed")
    assert kept(place.contents(), place.root) == undisturbed
    place.ingest(rebuild=True)
    assert kept(place.contents(), place.root) == undisturbed
    cleared(place)


def test_kills_at_random_moments_leave_nothing_or_all(place, undisturbed):
    """With workers, until one run gets through; what was committed meanwhile is kept."""
    moments = random.Random(952)
    for _ in range(6):
        child = Child(place.root, workers=2, INLINE_BYTES=0, BATCH_BYTES=1_000_000)
        time.sleep(moments.uniform(0, 1.5))
        child.kill()
        child.end()
        assert is_untouched(place) or kept(place.contents(), place.root) == undisturbed
    place.ingest()
    assert kept(place.contents(), place.root) == undisturbed
    until = time.monotonic() + 20
    while place.spool.exists() and list(place.spool.iterdir()) and time.monotonic() < until:
        clear_spool(place.spool)  # a worker that outlives its parent by a batch still has its folder
        time.sleep(0.05)
    cleared(place)


def test_a_running_workers_folder_is_not_cleared(place):
    """Its parent was killed, and it is in the middle of a batch."""
    folder = place.spool / "2026-02-03-run"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "torus_assets.xapi.worker", place.url, str(folder), "1048576"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin
        assert worker.stdout
        worker.stdin.write(f"{NONE.packed()}\n[0, []]\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == '["read", []]\n'
        assert clear_spool(place.spool) == []
    assert clear_spool(place.spool) == [folder]


@pytest.mark.parametrize(
    ("point", "size"), [("decode", 20_000), ("settle", 20_000), ("place", 20_000), ("place:last", 1000), ("commit", 1000)]
)
def test_a_disk_that_fills_up_leaves_the_lake_as_it_was(place, undisturbed, point, size):
    """From the point on no file may be larger."""
    ended = Child(place.root, full_at=(point, size)).end()
    assert (ended.code, ended.lines) == (1, None)
    assert "too large" in (ended.error or "").lower(), "it says why"
    assert is_untouched(place)
    place.ingest()
    assert kept(place.contents(), place.root) == undisturbed
    cleared(place)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="needs to mount a file system")
def test_a_full_file_system_leaves_the_lake_as_it_was(place, undisturbed):
    place.spool.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place.spool)], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount here")
    try:
        with pytest.raises(OSError, match="No space left"):
            place.ingest()
        assert is_untouched(place)
    finally:
        subprocess.run(["umount", str(place.spool)], check=True)
    place.ingest()
    assert kept(place.contents(), place.root) == undisturbed


def test_a_worker_that_dies_fails_the_ingest_and_leaves_the_lake_as_it_was(place, undisturbed, monkeypatch):
    """The first worker dies before its first answer, the others after theirs."""
    monkeypatch.setattr(workers, "INLINE_BYTES", 0)
    monkeypatch.setattr(workers, "BATCH_BYTES", 1_000_000)
    whole, killed = workers._ask, []

    def killing(worker: subprocess.Popen[str], message: str) -> str:
        if not killed:
            killed.append(worker.pid)
            worker.kill()
        return whole(worker, message)

    monkeypatch.setattr(workers, "_ask", killing)
    with pytest.raises(WorkerFailed, match="status -9"):
        place.ingest(workers=2)
    assert killed
    assert is_untouched(place)
    place.ingest(workers=2)
    assert kept(place.contents(), place.root) == undisturbed
    cleared(place)


def test_a_worker_that_is_dead_before_it_is_asked_fails_the_ingest(place, monkeypatch):
    monkeypatch.setattr(workers, "INLINE_BYTES", 0)
    whole = workers._ask

    def late(worker: subprocess.Popen[str], message: str) -> str:
        worker.kill()
        worker.wait()
        return whole(worker, message)

    monkeypatch.setattr(workers, "_ask", late)
    with pytest.raises(WorkerFailed):
        place.ingest(workers=2)
    assert is_untouched(place)


def test_a_worker_that_cannot_go_on_says_why(place, monkeypatch):
    monkeypatch.setattr(workers, "INLINE_BYTES", 0)
    whole = workers._ask

    def without_room(worker: subprocess.Popen[str], message: str) -> str:
        shutil.rmtree(next(iter(place.spool.iterdir())), ignore_errors=True)
        return whole(worker, message)

    monkeypatch.setattr(workers, "_ask", without_room)
    with pytest.raises(WorkerFailed):
        place.ingest(workers=2)
    assert is_untouched(place)


@pytest.fixture
def monstrous(tmp_path) -> Place:
    """A bundle whose second of three lines has 500 MB."""
    place = Place(tmp_path)
    path = place.store / place.put(bundle_key("A"), b"")
    view = line(statement("page_viewed"))
    with path.open("wb") as file:
        file.write(view + b"\n" + view[:-1])
        file.seek(500_000_000, os.SEEK_CUR)  # zeros that take no room
        file.write(b"\r\n" + numbered(0))
    return place


def test_a_line_of_500_mb_is_refused_in_little_memory_and_its_neighbours_go_on(monstrous):
    ended = Child(monstrous.root).end()
    assert (ended.code, ended.lines) == (0, 3)
    assert (ended.peak_mb or 999) < 700
    contents = monstrous.contents()
    assert [row["source_line"] for row in (*contents["page_views"], *contents["part_attempts"])] == [1, 3]
    [refused] = contents["quarantine"]
    view = line(statement("page_viewed"))[:-1]
    assert (refused["reason"], refused["source_line"], refused["raw_bytes"]) == ("too_long", 2, len(view) + 500_000_000)
    assert refused["raw"] == (view + bytes(4096))[:4096]
    digest = hashlib.sha256(view)
    for _ in range(500):
        digest.update(bytes(1_000_000))
    assert refused["event_hash"] == digest.hexdigest()


def test_long_and_deep_texts_are_read_in_little_memory(tmp_path):
    """Brackets in 15 MB of text took 1.9 GB to tell from real ones."""
    place = Place(tmp_path)
    deep = line(statement("part_attempt_evaluated", {"result.response": {"input": '{"' * 200 + "x" * (14 << 20)}}))
    place.put(bundle_key("A"), [deep, b'{"a":' * 1_000_000, b"[" * 5_000_000 + b"]" * 5_000_000, numbered(3)])
    ended = Child(place.root).end()
    assert ended.code == 0
    assert (ended.peak_mb or 999) < 700
    contents = place.contents()
    assert ([row["source_line"] for row in contents["part_attempts"]], [row["source_line"] for row in contents["page_views"]]) == ([1], [4])
    assert [row["reason"] for row in contents["quarantine"]] == ["too_deep", "too_deep"]
