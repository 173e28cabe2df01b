"""The plan of a day: which bundles have to be read, judged by the ledger and by nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal, NamedTuple

import polars as pl

Mode = Literal["none", "increment", "rebuild"]


class Wanted(NamedTuple):
    """A bundle object as the index has it."""

    key: str
    source_file: str
    section: int | None
    category: str
    uploaded_at: datetime
    bytes: int
    etag: str
    last_modified: datetime


class RowsWouldVanish(RuntimeError):
    """A rebuild would drop rows whose objects are gone from the store."""


@dataclass(frozen=True)
class Plan:
    """What one ingest of a day does.

    `read` are the bundles to decode; `kept` are the keys whose lines stay as the lake has them and are written again with the
    rest (a rebuild of some sections), or stay untouched (an increment).
    """

    day: date
    mode: Mode
    read: list[Wanted]
    kept: frozenset[str]
    reason: str
    vanished: frozenset[str] = field(default_factory=frozenset)


def plan_day(
    day: date,
    index: Iterable[Wanted],
    ledger: pl.DataFrame,
    *,
    sections: Collection[int] | None = None,
    rebuild: bool = False,
    drop_vanished: bool = False,
    reread: Collection[str] = (),
) -> Plan:
    """Compares the index of a day with its ledger.

    Args:
        index: every bundle object known for the day.
        ledger: the day's `bundle` rows.
        sections: only bundles under these sections' keys; all when None.
        rebuild: read all of them again, not only those that are new.
        drop_vanished: let a rebuild drop the rows of objects that are gone.
        reread: keys whose content is needed though nothing about them changed (a survivor elsewhere went away).

    Raises:
        RowsWouldVanish: a rebuild meets objects that are gone, and was not told to drop their rows.
    """
    wanted = {bundle.key: bundle for bundle in index if sections is None or bundle.section in sections}
    known = {
        row["key"]: row
        for row in ledger.select("key", "section_id", "source_etag", "last_modified", "rows", "quarantined").iter_rows(named=True)
    }
    mine = {key for key, row in known.items() if sections is None or row["section_id"] in sections}
    new = wanted.keys() - known.keys()
    changed = {
        key
        for key in wanted.keys() & known.keys()
        if wanted[key].etag != known[key]["source_etag"] and wanted[key].last_modified > known[key]["last_modified"]
    }
    if not (rebuild or changed or reread):
        reason = f"{len(new)} new of {len(wanted)}"
        return Plan(day, "increment" if new else "none", sorted(wanted[key] for key in new), frozenset(known), reason)
    everything = {bundle.key: bundle for bundle in index}
    unreadable = frozenset(reread) - everything.keys()  # they hold lines that now survive, and nobody has their content
    gone = frozenset(mine - wanted.keys()) | unreadable
    rows, refused = (sum(known[key][fate] for key in gone) for fate in ("rows", "quarantined"))
    if (rows or refused or unreadable) and not drop_vanished:
        raise RowsWouldVanish(
            f"{day}: a rebuild would drop {rows} rows and {refused} refused lines of {len(gone)} objects that are gone from the store (first: {min(gone)}). "
            "If a lifecycle rule deleted them and the rows may go too, say --drop-vanished; else leave the day as it is."
        )
    again = wanted.keys() | (frozenset(reread) & everything.keys())
    why = "asked for" if rebuild else f"{len(changed)} objects changed" if changed else f"{len(reread)} survivors displaced"
    return Plan(day, "rebuild", sorted(everything[key] for key in again), frozenset(known.keys() - again - gone), why, gone)
