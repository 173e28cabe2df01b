"""The listing of open days: bounded, resumable, and in the end every key once."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import bundle_key
from torus_assets.arrivals.position import START, Position, homes_from, read_cursor, start_in, written
from torus_assets.arrivals.sweep import KEYS, Swept, sweep
from torus_assets.clients.object_store import ObjectStore, open_store

FIRST, LAST = date(2026, 2, 1), date(2026, 2, 3)


def still() -> float:
    """A clock that stands still: only the keys limit a tick."""
    return 0.0


def ticks(store: ObjectStore, cursor: str | None = None, **limits) -> list[Swept]:
    """Ticks until the sweep is complete."""
    done: list[Swept] = []
    while not done or not done[-1].complete:
        done.append(sweep(store, FIRST, LAST, cursor, **{"clock": still, "seconds": 1.0, **limits}))
        cursor = done[-1].cursor
        assert len(done) < 1000
    return done


def keys_of(done: list[Swept]) -> list[str]:
    return [bundle.key for swept in done for bundle in swept.found]


@pytest.fixture(params=["folder", "s3", "s3 with prefix"])
def store(request, tmp_path) -> ObjectStore:
    if request.param == "folder":
        return open_store(str(tmp_path / "xapi"))
    return open_store(request.getfixturevalue("s3") + ("/torus/xapi" if "prefix" in request.param else ""))


def filled(store: ObjectStore) -> list[str]:
    keys = [
        bundle_key(f"{n}", section=section, category=category, day=day)
        for section in (7, 12, "proj")
        for category in ("attempt_evaluated", "video")
        for day in (FIRST, LAST)
        for n in range(2)
    ]
    for key in keys:
        store.put(key, b"{}")
    return keys


@pytest.mark.parametrize("limit", [1, 5, KEYS])
def test_every_key_of_the_open_days_comes_once_whatever_the_budget(store, limit):
    keys = filled(store)
    for closed in (FIRST - timedelta(days=1), LAST + timedelta(days=1)):
        store.put(bundle_key("closed", section=7, day=closed), b"{}")
    store.put("section/slug/video/2026-02-02T10-00-00Z_x.jsonl", b"{}")
    store.put("section/7/Strange/2026-02-02T10-00-00Z_x.jsonl", b"{}")
    done = ticks(store, keys=limit)
    assert Counter(keys_of(done)) == Counter(keys)
    assert all(swept.keys <= limit for swept in done)
    assert {swept.homes for swept in done} == {3}
    assert [bundle.told_by for bundle in done[0].found][:1] == ["listing"]


def test_a_bundle_of_the_sweep_is_what_the_store_says(store):
    filled(store)
    [swept] = ticks(store)
    for bundle in swept.found:
        info = store.head(bundle.key)
        assert info
        assert (bundle.bytes, bundle.etag, bundle.last_modified) == (info.size, info.etag, info.last_modified)


def test_junk_among_bundles_is_passed_over_and_counts_as_listed(store):
    store.put("section/7/video/2026-02-02T10-00-00Z_x.txt", b"")
    store.put("section/7/video/2026-02-02T99-00-00Z_x.jsonl", b"")
    store.put(bundle_key("a", section=7), b"")
    [swept] = ticks(store)
    assert (swept.keys, len(swept.found)) == (3, 1)


def test_an_empty_store_is_swept_at_once(store):
    assert ticks(store) == [Swept(START, complete=True)]


def test_keys_of_the_same_second_are_not_lost_at_the_edge_of_a_tick(store):
    same = [bundle_key(name, section=7) for name in "abcdef"]
    for key in same:
        store.put(key, b"")
    for limit in (1, 2, 3):
        assert keys_of(ticks(store, keys=limit)) == same


def test_a_section_that_is_new_between_ticks_is_found_by_this_sweep_or_the_next(store):
    keys = filled(store)
    first = sweep(store, FIRST, LAST, None, clock=still, seconds=1.0, keys=10)
    behind, ahead = bundle_key("new", section="a"), bundle_key("new", section=9)
    for key in (behind, ahead):
        store.put(key, b"")
    assert Counter(keys_of([first, *ticks(store, first.cursor, keys=10)])) == Counter([*keys, ahead])
    assert Counter(keys_of(ticks(store))) == Counter([*keys, ahead, behind])


def test_a_late_key_behind_the_cursor_is_found_by_the_next_sweep(store):
    keys = filled(store)
    first = sweep(store, FIRST, LAST, None, clock=still, seconds=1.0, keys=20)
    late = bundle_key("late", section="proj", category="attempt_evaluated", day=FIRST)
    store.put(late, b"")
    assert late not in keys_of([first, *ticks(store, first.cursor)])
    assert Counter(keys_of(ticks(store))) == Counter([*keys, late])


def test_a_section_that_vanishes_under_the_cursor_ends_nothing(store):
    keys = filled(store)
    first = sweep(store, FIRST, LAST, None, clock=still, seconds=1.0, keys=10)
    here = "/".join(read_cursor(first.cursor).home)  # pyright: ignore[reportOptionalMemberAccess]
    gone = [key for key in keys if key.startswith(here)]
    assert gone
    store.delete(gone)
    assert set(keys_of([first, *ticks(store, first.cursor)])) >= set(keys) - set(gone)


@pytest.mark.parametrize(
    "cursor", [None, "", "{}", "garbled", "[]", "7", '{"partition": 1}', '{"x": "y"}', '{"partition":"section"}', "\ud800"]
)
def test_a_lost_or_garbled_cursor_begins_anew(tmp_path, cursor):
    assert read_cursor(cursor) is None
    store = open_store(str(tmp_path))
    store.put(bundle_key("a"), b"")
    assert len(keys_of(ticks(store, cursor))) == 1


def test_a_cursor_whose_parts_do_not_belong_together_begins_anew():
    assert read_cursor(json.dumps({"partition": "section", "name": "7", "category": "video", "key": "section/8/video/x"})) is None
    assert read_cursor(json.dumps({"partition": "section", "name": "7", "category": "", "key": "section/7/video/x"})) is None


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=5)


@given(st.sampled_from(["section", "project"]), NAMES, st.none() | st.tuples(st.sampled_from(["a", "b_c"]), NAMES))
def test_a_cursor_reads_as_it_was_written(partition, name, more):
    position = Position(partition, name, *((more[0], f"{partition}/{name}/{more[0]}/{more[1]}") if more else ()))
    assert read_cursor(written(position)) == position
    assert read_cursor(written(None)) is None


@given(st.lists(st.tuples(st.sampled_from(["section", "project"]), NAMES), unique=True), st.integers(0, 20))
def test_homes_go_on_where_the_position_is(homes, number):
    ordered = homes_from(homes, None)
    assert ordered == sorted(homes)
    if number < len(ordered):
        assert homes_from(homes, Position(*ordered[number])) == ordered[number:]


def test_a_category_starts_at_the_first_open_day_or_further_on():
    here = Position("section", "7", "video", "section/7/video/2026-02-02T10")
    assert start_in("section/7/a/", "a", "2026-02-01", here) is None
    assert start_in("section/7/video/", "video", "2026-02-01", here) == here.key
    assert start_in("section/7/video/", "video", "2026-02-03", here) == "section/7/video/2026-02-03"
    assert start_in("section/7/w/", "w", "2026-02-01", here) == "section/7/w/2026-02-01"
    assert start_in("section/7/w/", "w", "2026-02-01", None) == "section/7/w/2026-02-01"


def test_a_tick_stops_when_its_seconds_are_over_and_still_comes_further(tmp_path):
    store = open_store(str(tmp_path))
    keys = [bundle_key(f"{n}", section=section) for section in range(1, 40) for n in range(3)]
    for key in keys:
        store.put(key, b"")
    looks = count()
    done = ticks(store, clock=lambda: float(next(looks)), seconds=0.5)  # every look at the clock is a second later
    assert len(done) == 39
    assert Counter(keys_of(done)) == Counter(keys)


def test_what_a_listing_raises_is_raised(tmp_path):
    store = open_store(str(tmp_path))
    store.put(bundle_key("a"), b"")

    def refused(*_, **__):
        raise PermissionError("list")

    store.list = refused
    with pytest.raises(PermissionError):
        ticks(store)


def test_calls_of_a_sweep_are_as_the_module_says(tmp_path):
    store = open_store(str(tmp_path))
    for section in (1, 2, 3):
        for category in ("attempt_evaluated", "video"):
            store.put(bundle_key("a", section=section, category=category), b"")
    calls: list[str] = []
    for name in ("folders", "list"):
        original = getattr(store, name)
        setattr(store, name, lambda *args, original=original, name=name, **more: calls.append(name) or original(*args, **more))
    ticks(store)
    assert Counter(calls) == {"folders": 2 + 3, "list": 3 * 2}


def test_200_000_keys_come_once_each_in_ticks_of_a_bounded_size(tmp_path):
    """Sections are filled with links to one empty file each (ten times faster than files); one holds more than a tick may list."""
    per_folder = dict.fromkeys(range(1, 35), 1500) | {100: 50_000}
    for section, number in per_folder.items():
        for category in ("attempt_evaluated", "video"):
            folder = tmp_path / "section" / str(section) / category
            folder.mkdir(parents=True)
            empty = tmp_path / f"{section}-{category}"  # outside of both partitions; a file has at most some 65,000 links
            empty.touch()
            here = os.open(folder, os.O_RDONLY)
            for n in range(number):
                os.link(empty, f"{FIRST + timedelta(days=n % 3)}T{n % 24:02}-06-00Z_{n}.jsonl", dst_dir_fd=here)
            os.close(here)
    total = 2 * sum(per_folder.values())
    assert total >= 200_000
    cursors: list[str] = []
    found: set[str] = set()
    seen = 0
    while not cursors or cursors[-1] != START:
        swept = sweep(open_store(str(tmp_path)), FIRST, LAST, cursors[-1] if cursors else None, clock=still, seconds=1.0)
        assert 0 < swept.keys <= KEYS
        seen += swept.keys
        found.update(bundle.key for bundle in swept.found)
        cursors.append(swept.cursor)
    assert seen == len(found) == total
    assert len(cursors) == -(-total // KEYS)
    assert datetime.fromisoformat(min(found).split("/")[3][:10]).date() == FIRST
