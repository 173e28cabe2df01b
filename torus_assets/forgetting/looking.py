"""Where learners are in a lake: lines by day and kind, and the objects they came from. Nothing is changed here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from torus_assets.forgetting.learner import Learner
from torus_assets.xapi import tables
from torus_assets.xapi.lake import DayFile, Snapshot
from torus_assets.xapi.tombstones import Tombstones, words_of

Lines = dict[date, dict[str, int]]  # day -> kind (events, `quarantined`, `duplicate`) -> lines


@dataclass
class Found:
    """Lines of a learner, and the objects of Torus' bucket that hold them."""

    lines: Lines = field(default_factory=dict)
    objects: set[str] = field(default_factory=set)  # `source_file` of the lines

    def __bool__(self) -> bool:
        return bool(self.lines)

    @property
    def total(self) -> int:
        return sum(sum(kinds.values()) for kinds in self.lines.values())

    def add(self, kind: str, rows: pl.DataFrame) -> None:
        for day, count in rows.group_by("upload_date").len().iter_rows():
            kinds = self.lines.setdefault(day, {})
            kinds[kind] = kinds.get(kind, 0) + count
        self.objects.update(rows["source_file"])


class OtherFiles(Snapshot):
    """Files of the table that the snapshot does not have: of older versions, or placed and never committed."""

    def __init__(self, snapshot: Snapshot, files: Sequence[DayFile]) -> None:
        super().__init__(snapshot.url, snapshot.delta)
        self._files = list(files)


def look(snapshot: Snapshot, learner: Learner) -> Found:
    """Every line of the learner: events by home page and id, refused lines by the tombstones' rule, duplicates by the hash of both."""
    found = Found()
    hashes: list[pl.DataFrame] = []
    for table in tables.EVENT_TABLES:
        rows = _events(snapshot, table.name, learner)
        found.add(table.kind, rows)
        hashes.append(rows.select("upload_date", "event_hash"))
    refused = _refused(snapshot, _may_be(learner), learner.alone)
    found.add("quarantined", refused)
    theirs = pl.concat([*hashes, refused.select("upload_date", "event_hash")]).unique()
    found.add("duplicate", _duplicates(snapshot, theirs))
    return found


def _events(snapshot: Snapshot, table: str, learner: Learner) -> pl.DataFrame:
    columns = ["upload_date", "event_hash", "source_file", "home_page"]
    them = pl.LazyFrame({"user_id": [learner.user_id]})  # joined, not compared: polars' errors quote what a filter compares with
    rows = snapshot.scan(table).join(them, on="user_id", how="semi").select(columns).collect(engine="streaming")
    homes = [home for home in rows["home_page"].unique() if learner.alone.forgets(home, learner.user_id)]
    return rows.filter(pl.col("home_page").is_in(homes, nulls_equal=True))


def _may_be(learner: Learner) -> Callable[[pl.Expr], pl.Expr]:
    """A quick look at refused bytes: without the first word of the id, an escape or a NUL (UTF-16) in them they are not theirs."""
    word = words_of(learner.user_id)[0]
    return lambda raw: raw.bin.contains(word) | raw.bin.contains(b"\\") | raw.bin.contains(b"\0")


def _refused(snapshot: Snapshot, may_be: Callable[[pl.Expr], pl.Expr], stones: Tombstones) -> pl.DataFrame:
    """Refused lines that the tombstones take for theirs, without their bytes; a day at a time, since lines can be long."""
    found = [_of_day(rows, stones) for rows in _per_day(snapshot, may_be)]
    return pl.concat([_NO_REFUSALS.to_frame(), *found])


_NO_REFUSALS = pl.Schema({"upload_date": pl.Date(), "event_hash": pl.String(), "source_file": pl.String()})


def _per_day(snapshot: Snapshot, may_be: Callable[[pl.Expr], pl.Expr]) -> Iterator[pl.DataFrame]:
    for day in sorted({file.day for file in snapshot.files(kinds=["quarantined"])}):
        yield snapshot.scan("quarantine", day, day).filter(may_be(pl.col("raw"))).select(*_NO_REFUSALS.names(), "raw").collect()


def _of_day(rows: pl.DataFrame, stones: Tombstones) -> pl.DataFrame:
    theirs = pl.Series([stones.forgets_refused(raw) for raw in rows["raw"]], dtype=pl.Boolean)
    return rows.filter(theirs).select(_NO_REFUSALS.names())


def _duplicates(snapshot: Snapshot, theirs: pl.DataFrame) -> pl.DataFrame:
    rows = snapshot.scan("duplicates").select("upload_date", "event_hash", "source_file")
    return rows.join(theirs.lazy(), on=["upload_date", "event_hash"], how="semi").collect()


def still_there(snapshot: Snapshot, tombstones: Tombstones, first: date | None = None, last: date | None = None) -> dict[date, int]:
    """Days of the lake that hold lines of anybody who was forgotten, with how many (duplicates not counted). Empty is right.

    Args:
        first: only days from this one on.
        last: only days up to this one.
    """
    if not tombstones:
        return {}
    found: Counter[date] = Counter()
    for table in tables.EVENT_TABLES:
        people = snapshot.scan(table.name, first, last).group_by("upload_date", "home_page", "user_id").len().collect()
        for day, home, user, count in people.iter_rows():
            found[day] += count if tombstones.forgets(home, user) else 0
    rows = snapshot.scan("quarantine", first, last).select("upload_date", "raw").collect(engine="streaming")
    found.update(day for day, raw in rows.iter_rows() if tombstones.forgets_refused(raw))
    return {day: count for day, count in sorted(found.items()) if count}
