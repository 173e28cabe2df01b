"""`kill -9` during an export with worker processes: nothing is published, nobody survives, and running again gives the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.factories import EXAMPLES, Place, bundle_key, changed, line
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.datashop import pieces
from torus_assets.datasets.export import ExportResult, export
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import parse_request
from torus_assets.xapi.lake import Lake

KEY = PseudonymKey(b"a key of the tests, not of anybody")
REQUEST = {"job_id": "job", "action": "datashop", "section_ids": [3021], "format": ["datashop-xml", "datashop-tab"]}
STUDENTS, ATTEMPTS = 24, 20

CHILD = """
import sys
from pathlib import Path
from tests.faults import test_kill_export as mine
if __name__ == "__main__":
    mine.made(Path(sys.argv[1]), mine.open_store(sys.argv[2]), Path(sys.argv[3]), workers=2)
"""


def made(root: Path, store: ObjectStore, scratch: Path, workers: int) -> ExportResult:
    pieces.PIECE_ROWS = 2 * ATTEMPTS  # a dozen pieces, so that there is something to be in the middle of
    snapshot = Lake(f"file://{root / 'lake'}").snapshot()
    return export(parse_request(REQUEST), snapshot, store, pseudonyms=KEY, scratch=scratch, workers=workers)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Place(tmp_path_factory.mktemp("lake"))
    lines = []
    for student in range(STUDENTS):
        for attempt in range(ATTEMPTS):
            guid = f"{student:08x}-{attempt:04x}-4000-8000-000000000000"
            changes = {"actor.account.name": 50_000 + student, "ext(part_attempt_guid)": guid, "ext(session_id)": f"session-{student}"}
            lines.append(line(changed(EXAMPLES["part_attempt_evaluated"], {**changes, "timestamp": f"2026-02-03T15:{attempt:02d}:00Z"})))
    place.put(bundle_key("A"), lines)
    place.ingest()
    return place.root


def files(store: ObjectStore, run: str) -> dict[str, bytes]:
    folder = f"job/runs/{run}/"
    return {entry.key.removeprefix(folder): store.get(entry.key).body for entry in store.list(folder) if not entry.key.endswith("run.json")}


@pytest.mark.parametrize("when", ["workers start", "first file", "sixth file"])
def test_a_killed_export_publishes_nothing_leaves_nobody_and_is_finished_by_the_next(lake, tmp_path, when):
    store = open_store(f"file://{tmp_path / 'killed'}")
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    child = subprocess.Popen(
        [sys.executable, str(script), str(lake), f"file://{tmp_path / 'killed'}", str(tmp_path / "scratch")],
        env=environment,
        start_new_session=True,
    )
    wanted = {"workers start": 0, "first file": 1, "sixth file": 6}[when]
    workers: list[psutil.Process] = []
    try:
        until = time.monotonic() + 60
        while child.poll() is None and time.monotonic() < until:
            workers = psutil.Process(child.pid).children(recursive=True)
            if len(workers) >= 2 and len(list(store.list("job/"))) >= wanted:
                break
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        assert child.wait(10) == -signal.SIGKILL, "it was not killed in the middle"
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    assert store.head("job/manifest.json") is None
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert alive == []

    again = made(lake, store, tmp_path / "scratch", workers=1)
    undisturbed = made(lake, open_store(f"file://{tmp_path / 'other'}"), tmp_path / "scratch", workers=1)
    assert not again.reused
    assert again.ok
    assert len(again.chunks) == 2 * STUDENTS // 2
    assert files(store, again.run) == files(open_store(f"file://{tmp_path / 'other'}"), undisturbed.run)
