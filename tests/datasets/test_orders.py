"""The order of rows: the old job's from its bundles, and both, however the lake is read."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import polars as pl
import pytest

from tests.datasets.small_lake import SmallLake, part
from tests.datasets.table_world import SECTIONS, make_world, old_order
from tests.factories import Place
from torus_assets.clients.object_store import open_store
from torus_assets.datasets import batches
from torus_assets.datasets.export import ExportResult, export
from torus_assets.datasets.orders import LAST, ORDERS, laid_out
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import parse_request

KEY = PseudonymKey(b"a key of the tests, not of anybody")
OPEN = {"anonymize": False, "permitted_by": "the tests"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_world(tmp_path_factory.mktemp("world"))


def made(place: Place, folder: Path, *, batch_rows: int = 100_000, **keys: object) -> ExportResult:
    request = parse_request({"job_id": "job-1", "action": "attempt_evaluated", "section_ids": list(SECTIONS), **keys})
    store = open_store(str(folder / "out"))
    return export(request, place.lake.snapshot(), store, pseudonyms=KEY, scratch=folder / "scratch", batch_rows=batch_rows)


def guids(result: ExportResult, folder: Path) -> list[str]:
    store = open_store(str(folder / "out"))
    texts = [store.get(result.folder + name).body.decode() for name in result.chunks if name.endswith(".csv")]
    return [row["page_attempt_guid"] for text in texts for row in csv.DictReader(io.StringIO(text, newline=""))]


def test_compat_has_the_order_of_the_old_job(place, tmp_path):
    result = made(place, tmp_path, dialect="compat", chunk_rows=17, **OPEN)
    wanted = old_order(place)
    assert guids(result, tmp_path) == wanted
    assert wanted != sorted(wanted)
    assert result.excluded["duplicates_across_days"] > 20


@pytest.mark.parametrize("dialect", ["rfc4180", "compat"])
def test_either_order_goes_with_either_dialect(place, tmp_path, dialect):
    by_source = made(place, tmp_path, dialect=dialect, order="source", **OPEN)
    by_time = made(place, tmp_path, dialect=dialect, order="time", **OPEN)
    assert by_source.run != by_time.run
    assert guids(by_source, tmp_path) == old_order(place)
    assert sorted(guids(by_time, tmp_path)) == sorted(old_order(place))
    assert guids(by_time, tmp_path) != guids(by_source, tmp_path)
    assert (by_time.counts, by_time.excluded) == (by_source.counts, by_source.excluded)


@pytest.mark.parametrize("batch_rows", [1, 7])
@pytest.mark.parametrize("rereads", [0, 1000])
def test_the_old_order_does_not_depend_on_how_the_lake_is_read(place, tmp_path, monkeypatch, batch_rows, rereads):
    keys = {
        "order": "source",
        "date_from": "2026-02-02",
        "date_to": "2026-02-03",
        "ignored_student_ids": ["41201"],
        "format": ["csv", "parquet"],
    }
    wanted = made(place, tmp_path / "whole", **keys)
    monkeypatch.setattr(batches, "REREADS", rereads)
    result = made(place, tmp_path / "pieces", batch_rows=batch_rows, **keys)
    assert guids(result, tmp_path / "pieces") == guids(wanted, tmp_path / "whole") != []
    assert (result.run, result.counts, result.excluded) == (wanted.run, wanted.counts, wanted.excluded)
    assert {"date", "ignored_student", "duplicates_across_days"} <= set(result.excluded)


def test_other_lines_for_the_same_events_are_another_run_of_the_old_order_only(tmp_path):
    statements = [part(page_attempt_guid=f"g{number}") for number in range(3)]
    lakes = [SmallLake(tmp_path / name).add("2026-01-02", rows) for name, rows in (("one", statements), ("other", statements[::-1]))]
    runs = {order: [_run(lake, tmp_path / f"{order}{n}", order) for n, lake in enumerate(lakes)] for order in ("time", "source")}
    assert runs["time"][0] == runs["time"][1]
    assert runs["source"][0] != runs["source"][1]


def _run(lake: SmallLake, folder: Path, order: str) -> str:
    request = parse_request({"job_id": "job-1", "action": "attempt_evaluated", "section_ids": [3021], "order": order})
    return export(request, lake, open_store(str(folder)), pseudonyms=KEY, scratch=folder / "scratch").run


def test_pieces_of_the_old_order_hold_every_address_between_their_ends():
    """Addresses of which one goes on with another, which bundles never do, stay in one piece."""
    chance = random.Random(3)
    ends = ["", "/", "a", "b", "a/a", "ab", "a/b/c", "b/", "ba"]
    names = sorted({f"{chance.choice('xyz')}{chance.randrange(4)}/{chance.choice('ab')}{chance.choice(ends)}" for _ in range(80)})
    order = ORDERS["source"]
    rows = pl.DataFrame({"source_file": names})
    [place] = order.place(1)
    counts = rows.select(place, file=pl.lit(0), section_id=pl.lit(1), rows=pl.lit(1))
    pieces = laid_out(order, counts, 1, 3).pieces
    assert len(pieces) > 3
    found = [rows.with_columns(section_id=1).filter(order.inside(piece))["source_file"].to_list() for piece in pieces]
    assert [name for piece in found for name in piece] == names
    assert all(piece.last.endswith(LAST) for piece in pieces)
