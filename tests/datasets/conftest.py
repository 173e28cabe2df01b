"""What the tests of data sets share."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_lake import SmallLake

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.export import ExportResult, export
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import parse_request

KEY = PseudonymKey(b"a key of the tests, not of anybody")


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path / "lake")


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store(f"file://{tmp_path / 'datasets'}")


class Made:
    """A data set that was made, and its files."""

    def __init__(self, result: ExportResult, store: ObjectStore) -> None:
        self.result, self.store = result, store

    def body(self, name: str = "chunk_0.csv") -> bytes:
        return self.store.get(self.result.folder + name).body

    def rows(self) -> list[dict[str, str]]:
        texts = [self.body(name).decode() for name in self.result.chunks if name.endswith(".csv")]
        return [row for text in texts for row in csv.DictReader(io.StringIO(text, newline=""))]


@pytest.fixture
def make(lake: SmallLake, store: ObjectStore, tmp_path: Path) -> Callable[..., Made]:
    def made(
        action: str = "attempt_evaluated",
        sections: Any = (3021,),
        *,
        of: Any = None,
        to: ObjectStore | None = None,
        batch_rows: int = 100_000,
        **keys: Any,
    ) -> Made:
        request = parse_request({"job_id": "job-1", "action": action, "section_ids": list(sections), **keys})
        result = export(request, of or lake, to or store, pseudonyms=KEY, scratch=tmp_path / "scratch", batch_rows=batch_rows)
        return Made(result, to or store)

    return made
