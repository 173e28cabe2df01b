"""A day written anew from the lake alone: without learners who were forgotten, with refused lines parsed again.

The rules of settling stay: same hash, same place, one commit. Nothing is read from the bundle store.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from torus_assets.xapi import parse, tables
from torus_assets.xapi.commit import Written, hold_anew, is_held, kept_bundles, ledger_table, write_anew
from torus_assets.xapi.decode import HOME, USER, Spool
from torus_assets.xapi.ingest import MAX_PLANS, IngestResult
from torus_assets.xapi.lake import DayChanged, Lake, Snapshot
from torus_assets.xapi.quarantine import known_reason
from torus_assets.xapi.scratch import scratch_folder
from torus_assets.xapi.settle import Amended, add_up
from torus_assets.xapi.tombstones import NONE, Tombstones

BATCH_REFUSED = 100  # lines of up to 16 MiB each, mostly 2 kB
THREADS = 2
_REFUSED = ("event_hash", "source_file", "source_line", "reason", "detail", "raw", "raw_bytes")


@dataclass(frozen=True)
class Resettled:
    """What writing one day anew came to. Counts are of lines."""

    day: date
    version: int | None  # of the lake; None when nothing changed
    forgotten: dict[str, int]  # lines that went, by kind, `quarantined` and `duplicate` among them
    replayed: int  # refused lines that passed now
    still_refused: dict[str, int]  # refused lines that were parsed again and did not pass, by today's reason
    incomplete: int  # refused lines of the reasons asked for of which only a prefix was kept
    held: bool
    day_total: dict[str, Any]
    seconds: float

    def document(self) -> dict[str, Any]:
        """In the form of `torus quarantine replay --json`."""
        return {
            "day": self.day.isoformat(),
            "replayed": self.replayed,
            "still_refused": self.still_refused,
            "incomplete": self.incomplete,
            "forgotten": sum(self.forgotten.values()),
            "held": self.held,
            "version": self.version,
        }

    def as_ingest(self) -> IngestResult:
        """The same as an ingest that read no bundle says it."""
        return IngestResult(
            day=self.day,
            mode="none" if self.version is None else "rebuild",
            this_run=add_up(ledger_table(None, self.day)),
            day_total=self.day_total,
            held=self.held,
            seconds=self.seconds,
            reason=f"{self.replayed} refused lines passed, {sum(self.still_refused.values())} did not",
            bytes_read=0,
            version=self.version,
            replay=self.document(),
        )


@dataclass
class _Findings:
    """What a look over the day's lines says has to change."""

    forgotten: set[bytes] = field(default_factory=set)  # hashes
    replayed: int = 0
    renamed: int = 0  # still refused, for another reason or in other words
    still_refused: Counter[str] = field(default_factory=Counter)
    incomplete: int = 0


def resettle_day(
    lake: Lake,
    day: date,
    spool: Path,
    *,
    max_quarantined_share: float,
    tombstones: Tombstones = NONE,
    replay: Collection[str] = (),
    max_line_bytes: int = 16 << 20,
    threads: int = THREADS,
) -> Resettled:
    """Writes the day anew in one commit, when something changes: lines of forgotten learners go, refused lines are parsed again.

    Args:
        spool: scratch space; a folder of this run's own is made in it and removed.
        max_quarantined_share: the day is held, or no longer, by its new share of refused lines.
        tombstones: learners whose rows, refused lines and duplicates go; the ledger counts them as `forgotten`.
        replay: reasons whose lines are parsed again from their kept bytes; what passes becomes a row under its old bundle and line.
            What still does not pass stays, with today's reason. Lines of which only a prefix was kept stay as they are.
        max_line_bytes: as the ingest has it.

    Raises:
        UnknownReason: `replay` holds none of ours.
        LakeMissing: there is no lake yet.
        DayChanged: others kept committing the day; nothing of this run counts.
    """
    started = time.monotonic()
    for reason in replay:
        known_reason(reason)
    for _ in range(MAX_PLANS):
        snapshot = lake.snapshot()
        with scratch_folder(spool, day) as folder:
            found = _look(snapshot, day, folder, tombstones, replay, max_line_bytes)
            try:
                written = _written(lake, snapshot, day, folder, found, max_quarantined_share, threads)
            except DayChanged:
                time.sleep(0.05)  # the other's commit is there already
                continue
        return Resettled(
            day, written.version, written.settled.forgotten, found.replayed, dict(sorted(found.still_refused.items())), found.incomplete,
            written.held, add_up(written.ledger), time.monotonic() - started,
        )  # fmt: skip
    raise DayChanged(f"{day}: the day changed {MAX_PLANS} times while it was being written anew; is another job writing it in a loop?")


def preview_day(
    lake: Lake, day: date, *, replay: Collection[str], tombstones: Tombstones = NONE, max_line_bytes: int = 16 << 20
) -> Resettled:
    """What a replay of the day would come to; nothing is changed, and `held` and `day_total` are those of now."""
    started = time.monotonic()
    snapshot = lake.snapshot()
    with TemporaryDirectory() as folder:
        found = _look(snapshot, day, Path(folder), tombstones, replay, max_line_bytes)
    total = add_up(ledger_table(snapshot, day))
    return Resettled(
        day, None, {}, found.replayed, dict(sorted(found.still_refused.items())), found.incomplete, is_held(snapshot, day), total,
        time.monotonic() - started,
    )  # fmt: skip


def _written(lake: Lake, snapshot: Snapshot, day: date, folder: Path, found: _Findings, limit: float, threads: int) -> Written:
    if not (found.forgotten or found.replayed or found.renamed):
        return hold_anew(lake, snapshot, day, folder, limit=limit)
    amended = Amended(frozenset(found.forgotten), replayed=bool(found.replayed or found.renamed))
    return write_anew(lake, snapshot, day, folder, limit=limit, threads=threads, amended=amended)


def _look(snapshot: Snapshot, day: date, folder: Path, tombstones: Tombstones, replay: Collection[str], max_line_bytes: int) -> _Findings:
    """Looks at every line that may have to change; lines that are parsed again with another outcome are spooled in `folder`."""
    found = _Findings()
    if tombstones:
        for table in tables.EVENT_TABLES:
            found.forgotten |= set(map(bytes.fromhex, _rows_of(snapshot.scan(table.name, day, day), tombstones)["event_hash"]))
    if tombstones or replay:
        again = _Again(snapshot, day, folder, max_line_bytes)
        for line in _refused(snapshot, day, folder):
            _look_at(line, again, found, tombstones, replay)
        again.spool.flush()
    return found


def _look_at(line: dict[str, Any], again: _Again, found: _Findings, tombstones: Tombstones, replay: Collection[str]) -> None:
    """One refused line: whose it is, and whether it passes now."""
    asked = line["reason"] in replay
    whole = len(line["raw"]) == line["raw_bytes"]
    parsed = again.parsed(line) if asked and whole else None
    event = parsed.events[0] if parsed is not None and parsed.events else None
    theirs = (
        tombstones.forgets(event.row[HOME[event.kind]], event.row[USER[event.kind]]) if event else tombstones.forgets_refused(line["raw"])
    )
    if theirs:
        found.forgotten.add(bytes.fromhex(line["event_hash"]))
    elif parsed is None:
        found.incomplete += asked
    elif event:
        found.replayed += 1
        again.keep(line, parsed)
    else:
        [refusal] = parsed.refusals
        found.still_refused[refusal.reason] += 1
        if (refusal.reason, refusal.detail) != (line["reason"], line["detail"]) and len(refusal.raw) == line["raw_bytes"]:
            found.renamed += 1  # a limit lowered since would keep only a prefix of it: then it stays as it is
            again.keep(line, parsed)


class _Again:
    """Refused lines parsed once more, under the section of their key, and spooled under their old bundle and line."""

    def __init__(self, snapshot: Snapshot, day: date, folder: Path, max_line_bytes: int) -> None:
        self.spool = Spool(folder, "replay")
        self._bundles = {bundle.source_file: bundle for bundle in kept_bundles(ledger_table(snapshot, day))}
        self._max_line_bytes = max_line_bytes

    def parsed(self, line: dict[str, Any]) -> parse.Parsed:
        return parse.parse_lines([line["raw"]], self._bundles[line["source_file"]].section, self._max_line_bytes)

    def keep(self, line: dict[str, Any], parsed: parse.Parsed) -> None:
        place = line["source_line"]
        events, refusals = [e._replace(line=place) for e in parsed.events], [r._replace(line=place) for r in parsed.refusals]
        self.spool.add(self._bundles[line["source_file"]].no, parsed._replace(events=events, refusals=refusals), line["raw_bytes"])


def _refused(snapshot: Snapshot, day: date, folder: Path) -> Iterator[dict[str, Any]]:
    """The day's refused lines, a batch of them in memory."""
    for file in snapshot.files(kinds=["quarantined"], first=day, last=day):
        with snapshot.local([file], folder) as [path]:
            for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH_REFUSED, columns=list(_REFUSED)):
                yield from batch.to_pylist()


def _rows_of(rows: pl.LazyFrame, tombstones: Tombstones) -> pl.DataFrame:
    """(upload_date, event_hash) of the rows whose learner was forgotten; each learner is asked about once."""
    people = rows.select("home_page", "user_id").unique().collect()
    theirs = people.filter(pl.Series([tombstones.forgets(*person) for person in people.iter_rows()], dtype=pl.Boolean))
    if theirs.is_empty():
        return pl.DataFrame(schema={"upload_date": pl.Date, "event_hash": pl.String})
    mine = rows.join(theirs.lazy(), on=["home_page", "user_id"], how="semi", nulls_equal=True)
    return mine.select("upload_date", "event_hash").collect()
