"""How long what arrived has been waiting for ClickHouse. A quiet night is fresh: nothing waits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import NamedTuple

from torus_assets.health.days import not_loaded
from torus_assets.health.lake_days import LakeDay, Waiting


class Freshness(NamedTuple):
    """The newest days of each place, and what waits. Days are None where there are none."""

    newest_known: date | None  # of arrivals and lake
    newest_in_lake: date | None
    newest_in_clickhouse: date | None
    waiting_bundles: int
    waiting_days: tuple[date, ...]  # with bundles that are not in the lake
    not_loaded_days: tuple[date, ...]  # of the lake, that ClickHouse has not or no longer as they are
    oldest_wait_seconds: int

    def within(self, limit: timedelta) -> bool:
        """Whether nothing has waited longer."""
        return self.oldest_wait_seconds <= limit.total_seconds()


def freshness(now: datetime, waiting: Mapping[date, Waiting], lake: Mapping[date, LakeDay], loaded: Mapping[date, str]) -> Freshness:
    """Bundles wait from when they were written to the store, days of the lake from their last commit. Held days wait for a person."""
    behind = not_loaded(lake, loaded)
    since = [one.since for one in waiting.values()] + [found.committed for found in behind.values()]
    return Freshness(
        newest_known=max({*waiting, *lake}, default=None),
        newest_in_lake=max(lake, default=None),
        newest_in_clickhouse=max(loaded, default=None),
        waiting_bundles=sum(one.bundles for one in waiting.values()),
        waiting_days=tuple(sorted(waiting)),
        not_loaded_days=tuple(sorted(behind)),
        oldest_wait_seconds=max(0, round((now - min(since)).total_seconds())) if since else 0,
    )
