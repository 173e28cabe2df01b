"""What is new in a listing: nothing missed, nothing twice, whatever the order in which objects come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sensors.new_objects import OVERLAP, Position, new_objects, parsed, written
from torus_assets.clients.object_store import ObjectInfo

NOON = datetime(2026, 2, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def put(key: str, minutes: float = 0, etag: str = "e1") -> ObjectInfo:
    return ObjectInfo(key, 1, etag, NOON + minutes * MINUTE)


def keys(found) -> list[str]:
    return [info.key for info in found.fresh]


def look(position: Position, *listed: ObjectInfo, limit: int = 10, now: datetime = NOON + 100 * MINUTE):
    return new_objects(parsed(written(position)), listed, limit=limit, now=now)


def test_an_object_is_found_once():
    first = look(Position(), put("a"), put("b"))
    assert keys(first) == ["a", "b"]
    assert keys(look(first.position, put("a"), put("b"))) == []


def test_keys_of_the_same_second_that_come_later_are_found_whatever_their_order():
    first = look(Position(), put("m"))
    assert keys(look(first.position, put("a"), put("m"), put("z"))) == ["a", "z"]


def test_an_overwritten_object_is_found_again_also_within_the_same_second():
    first = look(Position(), put("a"))
    assert keys(look(first.position, put("a", etag="e2"))) == ["a"]


def test_an_object_that_becomes_visible_late_is_found():
    first = look(Position(), put("new"), now=NOON)
    assert keys(look(first.position, put("late", -14), put("new"), now=NOON + MINUTE)) == ["late"]


def test_what_is_older_than_the_overlap_counts_as_handled_and_is_not_kept_in_mind():
    position = look(Position(), put("a"), put("b", 60)).position
    assert set(position.seen) == {"b"}
    assert keys(look(position, put("a"), put("b", 60))) == []


def test_once_nothing_can_come_late_only_the_newest_second_is_kept_in_mind():
    first = look(Position(), put("a", -10), put("b"), now=NOON)
    assert set(first.position.seen) == {"a", "b"}
    later = look(first.position, put("a", -10), put("b"), now=NOON + OVERLAP)
    assert (keys(later), set(later.position.seen)) == ([], {"b"})
    assert keys(look(later.position, put("a", -10), put("b"), put("c"))) == ["c"]


def test_a_tick_takes_the_oldest_and_leaves_none_behind():
    listed = [put(f"k{n:02d}", minutes=100 - n) for n in range(100)]
    position, found = Position(), []
    while fresh := (tick := look(position, *listed, limit=7)).fresh:
        assert tick.waiting == 100 - len(found) - len(fresh)
        found += [info.key for info in fresh]
        position = tick.position
    assert found == [info.key for info in reversed(listed)]


def test_many_objects_of_one_second_are_taken_in_several_ticks():
    listed = [put(f"k{n:02d}") for n in range(20)]
    position, found = Position(), []
    for _ in range(5):
        tick = look(position, *listed, limit=5)
        found += keys(tick)
        position = tick.position
    assert sorted(found) == [info.key for info in listed]


def test_an_object_from_the_future_hides_nothing_and_is_taken_once():
    tick = look(Position(), put("a"), put("future", 60 * 24 * 400), now=NOON)
    assert keys(tick) == ["a", "future"]
    again = look(tick.position, put("a"), put("future", 60 * 24 * 400), put("b", 1), now=NOON + MINUTE)
    assert keys(again) == ["b"]
    assert keys(look(again.position, put("future", 60 * 24 * 400), put("b", 1), now=NOON + 2 * MINUTE)) == []


def test_a_lost_or_damaged_cursor_starts_from_everything():
    assert parsed(None) == parsed("") == parsed("not a position") == parsed('{"newest": 3}') == Position()
    assert keys(look(Position(), put("old", -99999), put("new"))) == ["old", "new"]


def test_a_cursor_set_back_finds_again_what_came_after_it():
    first = look(Position(), put("a")).position
    second = look(first, put("a"), put("b", 30)).position
    assert keys(look(second, put("a"), put("b", 30))) == []
    assert keys(look(first, put("a"), put("b", 30))) == ["b"]


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 14), st.integers(0, 9)), max_size=40), st.integers(1, 5))
def test_every_object_is_found_exactly_once_if_none_is_later_than_the_overlap(puts, limit):
    """Objects put at a minute, visible some minutes later, under keys in no order; looked for every minute."""
    objects = [(put(f"k{(n * 7919) % 1000:03d}-{n}", minute), minute + delay) for n, (minute, delay, _) in enumerate(puts)]
    position, found = Position(), []
    for minute in range(330 + 40):
        listed = [info for info, visible in objects if visible <= minute]
        while fresh := (tick := new_objects(position, listed, limit=limit, now=NOON + minute * MINUTE)).fresh:
            found += [info.key for info in fresh]
            position = tick.position
        assert all(seen.last_modified >= position.floor for seen in position.seen.values())
    assert sorted(found) == sorted(info.key for info, _ in objects)
