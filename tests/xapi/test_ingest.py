"""One day of bundles in the lake: what an ingest reads, what survives, what it refuses to do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest

from tests.factories import DAY, Place, bundle_key, hashes, line, numbered, statement
from torus_assets.clients.object_store import open_store
from torus_assets.xapi import day as day_of_index
from torus_assets.xapi import tables
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.ingest import IngestOptions, clear_spool, scratch_folder
from torus_assets.xapi.lake import Lake, LakeMissing
from torus_assets.xapi.ledger import RowsWouldVanish

VIEW = line(statement("page_viewed"))
OTHER_SECTION = 4000


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def survivors(place: Place, table: str = "page_views") -> list[tuple[str, int]]:
    """(name of the bundle, line) of the rows."""
    return [(Path(row["source_file"]).name.split("_")[1].removesuffix(".jsonl"), row["source_line"]) for row in place.contents()[table]]


def adds_up(place: Place) -> None:
    """The ledger against the rows themselves."""
    contents = place.contents()
    for bundle in contents["bundles"]:
        assert bundle["lines"] == bundle["rows"] + bundle["duplicates"] + bundle["quarantined"] + bundle["forgotten"] + bundle["blank"]
        mine = {table: [row for row in rows if row["source_file"] == bundle["source_file"]] for table, rows in contents.items()}
        assert len(mine["duplicates"]) == bundle["duplicates"]
        assert len(mine["quarantine"]) == bundle["quarantined"] == sum(json.loads(bundle["quarantined_by_reason"]).values())
        by_kind = {table.kind: len(mine[table.name]) for table in tables.EVENT_TABLES if mine[table.name]}
        assert json.loads(bundle["rows_by_kind"]) == by_kind
        assert bundle["rows"] == sum(by_kind.values())


def test_a_day_becomes_rows_refusals_duplicates_and_a_ledger(place):
    place.put(bundle_key("A"), [VIEW, b"", b"{}", VIEW, numbered(0)])
    result = place.ingest()
    assert (result.mode, result.held) == ("increment", False)
    assert result.this_run == result.day_total == {
        "bundles": 1, "lines": 5, "blank": 1, "rows": {"page_viewed": 1, "part_attempt": 1}, "duplicates": 1,
        "quarantined": {"missing_field": 1}, "forgotten": 0, "coerced": {},
    }  # fmt: skip
    assert survivors(place) == [("A", 1)]
    assert [row["source_line"] for row in place.contents()["duplicates"]] == [3]
    [refused] = place.contents()["quarantine"]
    assert (refused["raw"], refused["raw_bytes"], refused["reason"], refused["source_line"]) == (b"{}", 2, "missing_field", 2)
    adds_up(place)


def test_a_second_run_reads_nothing_and_commits_nothing(place):
    place.put(bundle_key("A"), [VIEW])
    place.ingest()
    version = place.lake.snapshot().version
    again = place.ingest()
    assert (again.mode, again.version, again.this_run["bundles"], again.day_total["bundles"]) == ("none", None, 0, 1)
    assert place.lake.snapshot().version == version


def test_a_day_without_bundles_is_no_error(place):
    assert place.ingest().mode == "none"
    assert place.ingest(rebuild=True).day_total["bundles"] == 0


def test_the_same_event_on_several_days_is_a_row_of_each(place):
    later = date(2026, 2, 4)
    place.put(bundle_key("A"), [VIEW])
    place.put(bundle_key("B", day=later), [VIEW])
    place.ingest()
    place.ingest(day=later)
    assert hashes(place.contents()["page_views"]) == hashes(place.contents(later)["page_views"])
    assert place.contents(later)["duplicates"] == []


def test_the_smallest_place_survives_whatever_came_first(place):
    place.put(bundle_key("B", second=2), [VIEW, VIEW])
    place.ingest()
    assert survivors(place) == [("B", 1)]
    place.put(bundle_key("A", second=1), [b"{}", VIEW])
    result = place.ingest()
    assert (result.mode, survivors(place)) == ("rebuild", [("A", 2)])
    place.put(bundle_key("C", second=3), [VIEW])
    assert place.ingest().mode == "increment"
    assert survivors(place) == [("A", 2)]
    adds_up(place)


def test_a_changed_object_is_read_again(place):
    key = place.put(bundle_key("A"), [VIEW, b"{}"])
    place.put(bundle_key("B"), [numbered(0)])
    place.ingest()
    place.put(key, [numbered(3)])
    result = place.ingest()
    assert (result.mode, result.reason) == ("rebuild", "1 objects changed")
    contents = place.contents()
    assert contents["quarantine"] == []
    assert [row["user_id"] for row in contents["page_views"]] == ["100003"]
    assert {row["source_etag"] for row in contents["page_views"]} == {info.etag for info in place.index() if info.key == key}


def test_an_index_older_than_the_ledger_changes_nothing(place):
    key = place.put(bundle_key("A"), [VIEW])
    old = place.index()
    place.put(key, [numbered(0)])
    place.ingest(old)  # reads what is there now
    assert place.ingest(old).mode == "none"
    assert survivors(place) == []


def test_a_rebuild_refuses_to_drop_rows_of_objects_that_are_gone(place):
    key = place.put(bundle_key("A"), [VIEW])
    place.put(bundle_key("B"), [numbered(0), b"{}"])
    place.ingest()
    before = place.contents()
    place.remove(key)
    assert place.ingest().mode == "none"
    with pytest.raises(RowsWouldVanish, match=r"1 rows .* of 1 objects"):
        place.ingest(rebuild=True)
    assert place.contents() == before
    assert place.ingest(rebuild=True, drop_vanished=True).day_total["bundles"] == 1
    assert survivors(place) == []


def test_a_rebuild_refuses_to_drop_refused_lines_of_objects_that_are_gone(place):
    """Their bytes are nowhere else."""
    key = place.put(bundle_key("A"), [b"{}"])
    place.ingest()
    place.remove(key)
    with pytest.raises(RowsWouldVanish, match="1 refused lines"):
        place.ingest(rebuild=True)


def test_a_day_whose_every_object_is_gone_can_be_emptied(place):
    key = place.put(bundle_key("A"), [VIEW, b"{}"])
    place.ingest()
    place.remove(key)
    assert place.ingest(rebuild=True, drop_vanished=True).day_total["lines"] == 0
    assert all(not rows for rows in place.contents().values())
    assert place.ingest().mode == "none"


def test_a_duplicate_outlives_the_survivor_that_is_gone(place):
    key = place.put(bundle_key("A"), [VIEW])
    place.put(bundle_key("B"), [VIEW])
    place.ingest()
    place.remove(key)
    place.ingest(rebuild=True, drop_vanished=True)
    assert survivors(place) == [("B", 1)]
    adds_up(place)


def test_a_duplicate_of_another_section_outlives_the_survivor_that_is_gone(place):
    """Only its hash and place are kept, so its bundle is read again though the section was not asked for."""
    key = place.put(bundle_key("A"), [VIEW, numbered(0)])
    place.put(bundle_key("B", section=OTHER_SECTION), [numbered(1), VIEW])
    place.ingest()
    place.remove(key)
    result = place.ingest(rebuild=True, drop_vanished=True, sections=frozenset({3021}))
    assert (result.mode, survivors(place)) == ("rebuild", [("B", 2)])
    adds_up(place)


def test_an_event_whose_every_object_is_gone_does_not_vanish_by_way_of_sections(place):
    keys = [place.put(bundle_key("A"), [VIEW]), place.put(bundle_key("B", section=OTHER_SECTION), [VIEW])]
    place.put(bundle_key("C", section=OTHER_SECTION), [numbered(0)])
    place.ingest()
    for key in keys:
        place.remove(key)
    before = place.contents()
    with pytest.raises(RowsWouldVanish):
        place.ingest(rebuild=True, sections=frozenset({3021}))
    assert place.contents() == before
    place.ingest(rebuild=True, drop_vanished=True, sections=frozenset({3021}))
    assert (survivors(place), len(place.contents()["bundles"])) == ([], 1)
    adds_up(place)


def test_a_sectional_rebuild_leaves_other_rows_as_they_are(place):
    mine = place.put(bundle_key("A"), [VIEW, numbered(0)])
    place.put(bundle_key("B", section=OTHER_SECTION), [numbered(1), b"{}", VIEW])
    place.ingest()
    before = place.contents()
    place.put(mine, [numbered(0), VIEW, numbered(3)])
    place.put(bundle_key("C", section=OTHER_SECTION), [numbered(4)])
    place.ingest(sections=frozenset({3021}))
    after = place.contents()
    other = [
        [row for rows in contents.values() for row in rows if f"/{OTHER_SECTION}/" in row["source_file"]] for contents in (before, after)
    ]
    assert other[0] == other[1]
    assert len(after["page_views"]) == 2
    adds_up(place)
    assert place.ingest().this_run["bundles"] == 1


def test_a_day_of_too_many_refusals_is_held_and_released(place):
    def held_rows() -> set[bool]:
        return {bundle["held"] for bundle in place.contents()["bundles"]}

    place.put(bundle_key("A"), [VIEW, b"{}"])
    assert place.ingest(max_quarantined_share=0.4).held
    assert (held_rows(), place.lake.snapshot().held()) == ({True}, [DAY])
    place.put(bundle_key("B"), [numbered(n) for n in range(8)])
    assert not place.ingest(max_quarantined_share=0.4).held
    assert (held_rows(), place.lake.snapshot().held()) == ({False}, [])
    assert len(place.contents()["bundles"]) == 2
    place.put(bundle_key("C"), [b"[%d]" % n for n in range(10)])
    assert place.ingest(max_quarantined_share=0.1).held
    assert held_rows() == {True}
    adds_up(place)


def test_another_limit_alone_flips_held(place):
    place.put(bundle_key("A"), [VIEW, b"{}"])
    place.ingest(max_quarantined_share=1.0)
    assert place.ingest(max_quarantined_share=0.4).held
    assert place.lake.snapshot().held() == [DAY]
    rows = place.contents()["page_views"]
    assert not place.ingest(max_quarantined_share=1.0).held
    assert (place.lake.snapshot().held(), place.contents()["page_views"]) == ([], rows)


def test_a_share_that_only_reaches_the_limit_does_not_hold(place):
    place.put(bundle_key("A"), [VIEW, b"", b"{}"])
    assert not place.ingest(max_quarantined_share=0.5).held


def test_a_section_that_differs_from_the_keys_is_counted_and_the_body_wins(place):
    place.put(bundle_key("A", section=OTHER_SECTION), [VIEW, VIEW, line(statement("page_viewed", {"ext(section_id)": None}))])
    place.ingest()
    contents = place.contents()
    assert [row["section_id"] for row in contents["page_views"]] == [3021, OTHER_SECTION]
    assert [(bundle["section_id"], bundle["section_mismatches"]) for bundle in contents["bundles"]] == [(OTHER_SECTION, 1)]


def test_project_keys_have_no_section_of_their_own(place):
    place.put(bundle_key("A", section="118"), [VIEW, line(statement("page_viewed", {"ext(section_id)": None}))])
    place.ingest()
    contents = place.contents()
    assert [bundle["section_id"] for bundle in contents["bundles"]] == [None]
    assert [row["section_id"] for row in contents["page_views"]] == [3021]
    assert [(row["section_id"], row["reason"]) for row in contents["quarantine"]] == [(None, "missing_field")]
    adds_up(place)
    place.ingest(rebuild=True)
    assert {name: len(rows) for name, rows in place.contents().items() if rows} == {"page_views": 1, "quarantine": 1, "bundles": 1}


def test_an_empty_object_is_in_the_ledger(place):
    place.put(bundle_key("A"), b"")
    place.put(bundle_key("B"), b"\n \n")
    place.ingest()
    assert [(bundle["bytes"], bundle["lines"], bundle["blank"]) for bundle in place.contents()["bundles"]] == [(0, 0, 0), (3, 2, 2)]
    assert place.ingest().mode == "none"


def test_coerced_fields_are_counted_per_column(place):
    place.put(
        bundle_key("A"), [line(statement("page_viewed", {"ext(project_id)": "x", "result.success": 1, "id": n})) for n in "ab"] + [VIEW]
    )
    assert place.ingest().day_total["coerced"] == {"project_id": 2, "success": 2}


def test_a_dry_run_changes_nothing(place):
    place.put(bundle_key("A"), [VIEW])
    before = place.tree()
    assert place.ingest(dry_run=True).mode == "increment"
    assert place.tree() == before
    with pytest.raises(LakeMissing):
        place.lake.snapshot()
    place.ingest()
    place.put(bundle_key("B"), [VIEW])
    before = place.tree()
    planned = place.ingest(dry_run=True, rebuild=True)
    assert (planned.mode, planned.day_total["bundles"], planned.version) == ("rebuild", 1, None)
    assert place.tree() == before


def test_a_bundle_that_arrives_meanwhile_is_read_by_the_next_run(place):
    place.put(bundle_key("A"), [numbered(0)])
    index = place.index()
    place.put(bundle_key("B"), [numbered(1)])
    place.ingest(index)
    assert place.ingest().this_run["bundles"] == 1
    assert len(place.contents()["bundles"]) == 2


def test_bundles_that_keep_arriving_are_all_read_in_the_end(place):
    def arrive() -> None:
        for n in range(60):
            place.put(bundle_key(f"{n:03d}", second=n % 60), [numbered(n)])

    place.put(bundle_key("first"), [VIEW])
    arriving = threading.Thread(target=arrive)
    arriving.start()
    while arriving.is_alive():
        place.ingest()
    place.ingest()
    contents = place.contents()
    assert (len(contents["bundles"]), sum(bundle["rows"] for bundle in contents["bundles"])) == (61, 61)


def test_an_object_that_is_gone_since_it_was_listed_leaves_the_lake_as_it_was(place):
    key = place.put(bundle_key("A"), [VIEW])
    index = place.index()
    place.remove(key)
    with pytest.raises(BundleGone):
        place.ingest(index)
    assert place.contents()["bundles"] == []
    assert not list(place.spool.iterdir())


@pytest.mark.parametrize("first_made", [False, True])
def test_two_ingests_of_a_day_at_once_do_not_double_it(place, first_made):
    """Threads: each has a snapshot of its own; the lake may not even exist yet."""
    for n in range(4):
        place.put(bundle_key(f"{n}"), [numbered(n), VIEW, b"{}"])
    if first_made:
        place.lake.ensure()
    with ThreadPoolExecutor(4) as threads:
        results = [running.result() for running in [threads.submit(place.ingest) for _ in range(4)]]
    assert {result.day_total["bundles"] for result in results} == {4}
    assert sorted(result.mode for result in results) == ["increment", "none", "none", "none"]
    contents = place.contents()
    assert (len(contents["bundles"]), len(contents["duplicates"]), len(contents["quarantine"])) == (4, 6, 1)
    adds_up(place)


def test_two_rebuilds_of_a_day_at_once_do_not_double_it(place):
    place.put(bundle_key("A"), [numbered(n) for n in range(20)])
    place.ingest()
    before = place.contents()
    with ThreadPoolExecutor(3) as threads:
        for running in [threads.submit(place.ingest, rebuild=True) for _ in range(3)]:
            running.result()
    assert place.contents() == before


def test_two_days_at_once_do_not_disturb_each_other(place):
    days = [date(2026, 2, n) for n in range(1, 5)]
    for day in days:
        place.put(bundle_key("A", day=day), [numbered(n) for n in range(11)])
    with ThreadPoolExecutor(4) as threads:
        for running in [threads.submit(place.ingest, day=day) for day in days]:
            running.result()
    assert [sum(len(rows) for rows in place.contents(day).values()) for day in days] == [12] * 4


def test_processes_that_ingest_a_day_at_once_do_not_double_it(place):
    for n in range(3):
        place.put(bundle_key(f"{n}"), [numbered(n), VIEW])
    program = "import pathlib, sys; from tests import factories; factories.Place(pathlib.Path(sys.argv[1])).ingest()"
    running = [subprocess.Popen([sys.executable, "-c", program, str(place.root)], cwd=Path(__file__).parents[2]) for _ in range(2)]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(place.contents()["bundles"]) == 3
    adds_up(place)


def test_a_large_object_is_streamed_to_the_same_rows(place, monkeypatch):
    from torus_assets.xapi import decode

    place.put(bundle_key("A"), b"\r\n".join([VIEW, b"", b"{}", *(numbered(n) for n in range(2500)), VIEW, b"x" * 5000]))
    place.ingest(max_line_bytes=4500)
    whole = place.contents()
    monkeypatch.setattr(decode, "WHOLE_BYTES", 1000)
    place.ingest(rebuild=True, max_line_bytes=4500)
    assert place.contents() == whole
    assert max(row["source_line"] for row in whole["quarantine"]) == 2504


def test_many_spool_files_and_workers_give_the_same_rows(place, monkeypatch):
    from torus_assets.xapi import decode, workers

    for n in range(6):
        place.put(bundle_key(f"{n}"), [numbered(m) for m in range(n * 40, n * 40 + 50)])
    place.ingest()
    inline = place.contents()
    monkeypatch.setattr(decode, "FLUSH_BYTES", 5000)
    place.ingest(rebuild=True)
    assert place.contents() == inline
    monkeypatch.setattr(workers, "INLINE_BYTES", 0)
    monkeypatch.setattr(workers, "BATCH_BYTES", 20_000)
    place.ingest(rebuild=True, workers=2)
    assert place.contents() == inline


def test_rows_are_sorted_by_section_time_and_hash(place):
    place.put(bundle_key("B"), [numbered(n, section=9) for n in range(40)])
    place.put(bundle_key("A", section=2), [numbered(n, section=2) for n in range(40)])
    place.ingest()
    for table in tables.EVENT_TABLES:
        rows = place.lake.snapshot().scan(table.name).collect().to_dicts()
        order = [(row["section_id"], row["timestamp"], row["event_hash"]) for row in rows]
        assert order == sorted(order)


def test_clearing_the_spool_leaves_a_running_ingest_alone(place):
    with scratch_folder(place.spool, DAY) as running, scratch_folder(place.spool, DAY) as other:
        assert clear_spool(place.spool) == []
        assert (running.is_dir(), other.is_dir()) == (True, True)
    assert list(place.spool.iterdir()) == []


def test_a_lake_that_was_never_made_says_what_to_do(tmp_path):
    with pytest.raises(LakeMissing, match="torus ingest"):
        Lake(f"file://{tmp_path}/none").snapshot()


def test_an_object_that_only_an_old_inventory_knows_is_left_out_when_it_is_gone(place: Place) -> None:
    first, second = bundle_key("A"), bundle_key("B")
    place.put(first, [numbered(1)])
    place.put(second, [numbered(2)])
    store = open_store(place.url)
    day_of_index.find_bundles(store, store, place.lake, DAY, DAY, listing="always")
    place.remove(second)
    result = day_of_index.ingest(place.lake, store, DAY, place.spool, IngestOptions())
    assert result.day_total["bundles"] == 1
    assert [row["key"] for row in place.contents()["bundles"]] == [first]
