"""The comparison of two engines' lakes: a fair sample, and no difference that it does not see. Both lakes are the local engine's here."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tests.factories import DAY, Place, bundle_key, line, numbered, statement
from torus_assets.clients.object_store import open_store
from torus_assets.engine import parity
from torus_assets.engine.parity import Compared, NothingToCompare, Sample, SampleChanged, compare, lay_out, sample, scratch_root
from torus_assets.xapi import bundle_index
from torus_assets.xapi.day import ingest
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tombstones import mark

OPTIONS = IngestOptions(max_quarantined_share=1.0, workers=1)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A day of four bundles with rows of all kinds, refusals and duplicates, ingested and indexed."""
    made = Place(tmp_path_factory.mktemp("parity"))
    for number, name in enumerate("ABCD"):
        lines = [numbered(n) for n in range(number * 10, number * 10 + 15)]
        made.put(bundle_key(name, second=number), [*lines, b"{no json", line(statement("page_viewed", {"ext(page_id)": "x"}))])
    store = open_store(made.url)
    bundle_index.write_index(open_store(made.lake.root), bundle_index.index_days(store, None, DAY, DAY, listing="always"))
    ingest(made.lake, store, DAY, made.spool, OPTIONS)
    return made


@pytest.fixture(scope="module")
def lakes(place: Place) -> tuple[Sample, Lake]:
    """The whole day as a sample, and a scratch lake that holds it."""
    found = sample(place.lake, DAY, "seed", 1 << 30)
    made = lay_out(place.lake, found, f"file://{place.root}/one")
    ingest(made, open_store(place.url), DAY, place.spool, OPTIONS)
    return found, made


def copied(lakes: tuple[Sample, Lake], place: Place, folder: Path) -> Lake:
    shutil.copytree(place.root / "one", folder / "other")
    return Lake(f"file://{folder / 'other'}")


def rewritten(lake: Lake, kind: str, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Changes the rows of a kind in place, with the same columns."""
    snapshot = lake.snapshot()
    [file] = snapshot.files(kinds=[kind])
    path = open_store(lake.url).path(file.path)
    table = pq.read_table(path, partitioning=None)  # pyright: ignore[reportArgumentType]
    pq.write_table(change(pl.DataFrame(table)).to_arrow().cast(table.schema), path)


def differing(found: list[Compared]) -> dict[str, tuple[int, int]]:
    return {one.kind: (one.only_local, one.only_spark) for one in found if not one.agrees}


def test_the_same_bundles_agree_in_every_kind_whatever_the_files_order(lakes, place, tmp_path):
    found, one = lakes
    other = copied(lakes, place, tmp_path)
    rewritten(other, "page_viewed", pl.DataFrame.reverse)
    result = compare(found, one, other, tmp_path)
    assert differing(result) == {}
    counts = {each.kind: each.local for each in result}
    assert counts["quarantined"] == 2  # each four times, and once is enough
    assert counts["bundle"] == 4
    assert counts["duplicate"] > 0
    assert all(each.local == each.spark for each in result)


CHANGES: dict[str, tuple[str, Callable[[pl.DataFrame], pl.DataFrame], tuple[int, int]]] = {
    "a row less": ("page_viewed", lambda rows: rows.tail(-1), (1, 0)),
    "a row twice": ("page_viewed", lambda rows: pl.concat([rows, rows.head(1)]), (0, 1)),
    "another null": ("part_attempt", lambda rows: rows.with_columns(session_id=pl.lit(None, pl.String)), (-1, -1)),
    "a byte of a refused line": ("quarantined", lambda rows: rows.with_columns(raw=pl.lit(b"{no jsom")), (-1, -1)),
    "a count of the ledger": ("bundle", lambda rows: rows.with_columns(rows=pl.col("rows") + 1), (4, 4)),
    "the place of a duplicate": ("duplicate", lambda rows: rows.with_columns(source_line=pl.col("source_line") + 1), (-1, -1)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_no_difference_goes_unseen(lakes, place, tmp_path, what):
    found, one = lakes
    kind, change, expected = CHANGES[what]
    other = copied(lakes, place, tmp_path)
    rewritten(other, kind, change)
    [(where, counts)] = differing(compare(found, one, other, tmp_path)).items()
    assert where == kind
    assert counts == expected if expected != (-1, -1) else counts[0] == counts[1] > 0


def test_another_column_is_named(lakes, place, tmp_path):
    found, one = lakes
    other = copied(lakes, place, tmp_path)
    [file] = other.snapshot().files(kinds=["video"])
    path = open_store(other.url).path(file.path)
    table = pq.read_table(path, partitioning=None)  # pyright: ignore[reportArgumentType]
    pq.write_table(table.rename_columns([f"{name}_" if name == "page_id" else name for name in table.column_names]), path)
    [odd] = [each for each in compare(found, one, other, tmp_path) if not each.agrees]
    assert odd.kind == "video"
    assert "page_id_" in odd.columns


def test_the_sample_is_of_one_day_bounded_and_the_same_for_a_run(place):
    found = sample(place.lake, None, "run", 1)
    assert (found.day, len(found.bundles), found.of_bundles) == (DAY, 1, 4)
    assert found == sample(place.lake, None, "run", 1)
    two = sample(place.lake, None, "run", found.bytes * 2 + 10)
    assert len(two.bundles) == 2
    assert len({sample(place.lake, None, f"run {n}", 1).bundles[0].key for n in range(20)}) > 1
    with pytest.raises(NothingToCompare, match="2020-01-01"):
        sample(place.lake, date(2020, 1, 1), "run", 1)


def test_an_object_that_went_away_meanwhile_is_no_difference_but_an_error(lakes, place, tmp_path):
    found, one = lakes
    with pytest.raises(SampleChanged):
        compare(found._replace(bundles=found.bundles[1:]), one, one, tmp_path)


def test_forgotten_learners_are_forgotten_in_the_scratch_lake(place, tmp_path):
    name = f"forgotten/{mark(b'k', 'torus.example.edu', '1')}.json"
    open_store(place.lake.root).put(name, b"{}")
    try:
        made = lay_out(place.lake, sample(place.lake, DAY, "seed", 1), f"file://{tmp_path}")
    finally:
        open_store(place.lake.root).delete([name])
    assert open_store(made.root).get(name).body == b"{}"


def test_scratch_lakes_are_removed_and_what_a_killed_run_left_in_a_shared_store(tmp_path):
    with scratch_root(None, tmp_path / "spool", DAY, "run") as root:
        assert root.startswith(f"file://{tmp_path}/spool/")
        open_store(root).put("local/x", b"x")
    assert list((tmp_path / "spool").iterdir()) == []

    url = f"file://{tmp_path}/shared"
    store = open_store(url)
    store.put("parity/killed/local/x", b"x")
    store.put("beside", b"x")
    later = datetime.now(UTC) + parity.STALE + timedelta(minutes=1)
    with suppress(KeyError), scratch_root(url, tmp_path, DAY, "run", later) as root:
        assert [entry.key for entry in store.list()] == ["beside"]
        open_store(root).put("local/x", b"x")
        raise KeyError
    assert [entry.key for entry in store.list()] == ["beside"]
