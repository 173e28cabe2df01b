"""What ledger and arrivals table know, as one tick sees it: which of the objects told of are news."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime

import polars as pl

from torus_assets.arrivals import table
from torus_assets.arrivals.ledgers import Ledgers
from torus_assets.arrivals.payloads import Named
from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi.bundle_index import Bundle
from torus_assets.xapi.bundles import day_of
from torus_assets.xapi.lake import Snapshot


class Known:
    """The table at the start of the tick and what the tick added, beside one snapshot of the lake."""

    def __init__(self, store: ObjectStore, snapshot: Snapshot | None, ledgers: Ledgers) -> None:
        self.store = store
        self._snapshot = snapshot
        self._ledgers = ledgers
        self._rows = table.read(store)
        self._added: list[pl.DataFrame] = []

    @property
    def _all(self) -> pl.DataFrame:
        return pl.concat([self._rows.select(table.ROWS.names()), *self._added])

    def ledger(self, days: Iterable[date]) -> pl.DataFrame:
        """What the ledger has of the days."""
        return self._ledgers.of(self._snapshot, days)

    def news(self, bundles: Sequence[Bundle]) -> list[Bundle]:
        """Those that neither has: in the table under no such etag, and in the ledger neither so nor newer."""
        if not bundles:
            return []
        told = pl.DataFrame(
            {"n": range(len(bundles)), **{name: [getattr(b, name) for b in bundles] for name in ("key", "etag", "last_modified")}}
        )
        told = told.cast({"last_modified": pl.Datetime("us", "UTC")})
        fresh = table.waiting(told, self.ledger({b.uploaded_at.date() for b in bundles})).join(self._all, on=["key", "etag"], how="anti")
        return [bundles[n] for n in fresh["n"].sort()]

    def unseen(self, named: Sequence[Named]) -> list[str]:
        """Keys of which it takes a look at the store to say anything: named without an etag, or under one that neither has."""
        days = {day for one in named if one.etag and (day := day_of(one.key))}
        told = pl.DataFrame(named, schema={"key": pl.String(), "etag": pl.String()}, orient="row")
        has = pl.concat([self._all.select("key", "etag"), self.ledger(days).select("key", pl.col("read_etag").alias("etag"))])
        return told.join(has, on=["key", "etag"], how="anti")["key"].unique(maintain_order=True).to_list()

    def add(self, bundles: Sequence[Bundle], seen_at: datetime) -> None:
        """Makes arrivals durable."""
        if bundles:
            frame = table.frame_of(bundles, seen_at)
            table.add_frame(self.store, frame)
            self._added.append(frame)

    def pending(self) -> table.Pending:
        """What the ledger does not have yet, by day."""
        rows = self._all
        return table.by_day(table.waiting(rows, self.ledger(table.days_of(rows))))

    def settle(self, gone: Collection[str]) -> int:
        """Removes files of the table that say nothing any more; `gone` are keys whose object no longer exists."""
        if self._rows.is_empty():
            return 0
        still = table.waiting(self._rows, self.ledger(table.days_of(self._rows)))
        return table.settle(self.store, self._rows, still, gone)
