"""A look before the leap: what an ingest or a backfill would read, and in how many runs, without a run, a folder or a file anywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import polars as pl

from torus_assets import settings
from torus_assets.clients.object_store import open_store
from torus_assets.xapi import bundle_index, day, tables
from torus_assets.xapi.commit import quarantined_share
from torus_assets.xapi.lake import Lake, LakeMissing
from torus_assets.xapi.ledger import Plan, RowsWouldVanish, Wanted, plan_day
from torus_assets.xapi.settle import add_up

DAYS_PER_RUN = 31  # a killed run's unfinished days are done again: at most these
REFUSED = "refused"  # the mode of a day that the run would not do as asked
NOTHING = add_up(tables.LEDGER.schema.empty_table())


def ingest(
    first: date, last: date, *, sections: frozenset[int] | None, rebuild: bool, drop_vanished: bool, listing: bundle_index.Listing
) -> list[dict[str, Any]]:
    """The plan of each day, in the form of `torus ingest --json` and two members more: `bytes` to be read, and the `reason` of the mode.

    `this_run.bundles` is what would be read. A day that a rebuild would refuse has the mode `refused`, and says why. The lake and the store
    are read once for the whole range, so that a hundred days take seconds.
    """
    chosen = settings.from_environment()
    bundles = open_store(chosen.xapi_url)
    index = bundle_index.index_days(bundles, open_store(chosen.inventory_url), first, last, listing=listing)
    ledgers = _ledgers(Lake(chosen.lake_url), first, last)
    found: list[dict[str, Any]] = []
    for one, there in index.days.items():
        ledger = ledgers.get(one, _EMPTY)
        wanted = [day.wanted(bundles, bundle) for bundle in there]
        plan = _planned(one, wanted, ledger, sections=sections, rebuild=rebuild, drop_vanished=drop_vanished)
        found.append(_document(plan, ledger, chosen.max_quarantined_share))
    return found


def runs_of(first: date, last: date, most: int = DAYS_PER_RUN) -> list[tuple[date, date]]:
    """The range cut into runs of at most `most` days, oldest first; both ends of each are included.

    Raises:
        ValueError: `most` is less than one day.
    """
    if most < 1:
        raise ValueError(f"a run has at least one day, not {most}")
    starts = [first + timedelta(days=n) for n in range(0, (last - first).days + 1, most)]
    return [(start, min(start + timedelta(days=most - 1), last)) for start in starts]


def totals(days: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the days come to: how many, how many of them have something to read, bundles and bytes to read, and days that need a word."""
    days = list(days)
    return {
        "days": len(days),
        "days_to_read": sum(one["this_run"]["bundles"] > 0 for one in days),
        "bundles": sum(one["this_run"]["bundles"] for one in days),
        "bytes": sum(one["bytes"] for one in days),
        "rebuilt": {one["day"]: one["reason"] for one in days if one["mode"] == "rebuild"},
        "refused": {one["day"]: one["reason"] for one in days if one["mode"] == REFUSED},
        "held": [one["day"] for one in days if one["held"]],
    }


def _planned(one: date, wanted: list[Wanted], ledger: pl.DataFrame, **asked: Any) -> Plan | tuple[date, str]:
    """The plan, or the day and why it would be refused."""
    try:
        return plan_day(one, wanted, ledger, **asked)
    except RowsWouldVanish as error:
        return one, str(error)


def _document(plan: Plan | tuple[date, str], ledger: pl.DataFrame, limit: float) -> dict[str, Any]:
    one, mode, reason, read = (plan.day, plan.mode, plan.reason, plan.read) if isinstance(plan, Plan) else (plan[0], REFUSED, plan[1], [])
    total = ledger.to_arrow()
    return {
        "day": one.isoformat(),
        "mode": mode,
        "this_run": NOTHING | {"bundles": len(read)},
        "day_total": add_up(total),
        "held": quarantined_share(total) > limit,
        "seconds": 0.0,
        "bytes": sum(bundle.bytes for bundle in read),
        "reason": reason,
    }


def _ledgers(lake: Lake, first: date, last: date) -> dict[date, pl.DataFrame]:
    """Ledger rows of the days that have any."""
    try:
        rows = lake.snapshot().ledger(first, last)
    except LakeMissing:
        return {}
    return {one: of for (one,), of in rows.partition_by("upload_date", as_dict=True).items()}


_EMPTY = pl.DataFrame(tables.LEDGER.schema.empty_table())
