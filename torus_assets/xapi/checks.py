"""Checks of a day: each states a truth about what the run wrote, and shows its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

import dagster as dg
import polars as pl
import pyarrow.parquet as pq

from torus_assets.clients.object_store import open_store
from torus_assets.xapi import tables
from torus_assets.xapi.ingest import IngestResult
from torus_assets.xapi.lake import Snapshot

LEDGER_KEY = dg.AssetKey(["xapi", "bundles"])
QUARANTINE_KEY = dg.AssetKey(["xapi", "quarantine"])

DAY_CHECKS = [
    dg.AssetCheckSpec(
        "counts_add_up",
        asset=LEDGER_KEY,
        blocking=True,
        description="For every bundle: lines = rows + duplicates + quarantined + forgotten + blank; and the tables hold exactly as many rows per kind.",
    ),
    dg.AssetCheckSpec(
        "schema_as_declared",
        asset=LEDGER_KEY,
        blocking=True,
        description="Every file of the day has exactly the declared columns and types.",
    ),
    dg.AssetCheckSpec(
        "few_quarantined",
        asset=QUARANTINE_KEY,
        blocking=False,  # loads and exports refuse a held day themselves: in a range of days it must not stop the others
        description="The share of refused lines stays below the limit; a day above it is held: loads and exports refuse it.",
    ),
]


def day_results(results: Sequence[IngestResult], snapshot: Snapshot, limit: float) -> Iterator[dg.AssetCheckResult]:
    """One evaluation per check over the days of the run; the metadata names the days that fail."""
    days = [result.day for result in results]
    off = {day.isoformat(): trouble for day in days if (trouble := uncounted(snapshot, day))}
    yield dg.AssetCheckResult(
        check_name="counts_add_up", asset_key=LEDGER_KEY, passed=not off, metadata={"days": len(days), "wrong": dg.MetadataValue.json(off)}
    )
    odd = {day.isoformat(): trouble for day in days if (trouble := undeclared(snapshot, day))}
    yield dg.AssetCheckResult(
        check_name="schema_as_declared",
        asset_key=LEDGER_KEY,
        passed=not odd,
        metadata={"days": len(days), "wrong": dg.MetadataValue.json(odd)},
    )
    shares = {result.day.isoformat(): _share(result) for result in results}
    held = [result.day.isoformat() for result in results if result.held]
    yield dg.AssetCheckResult(
        check_name="few_quarantined",
        asset_key=QUARANTINE_KEY,
        passed=not held,
        metadata={
            "limit": limit,
            "largest_share": max(shares.values(), default=0.0),
            "shares": dg.MetadataValue.json(shares),
            "held": dg.MetadataValue.json(held),
            "what_to_do": "look at `torus quarantine list`; then mend the cause and ingest again, or raise the limit for this day",
        },
    )


def _share(result: IngestResult) -> float:
    lines = result.day_total["lines"] - result.day_total["blank"]
    return round(sum(result.day_total["quarantined"].values()) / lines, 6) if lines else 0.0


def uncounted(snapshot: Snapshot, day: date) -> dict[str, object]:
    """What does not add up on the day; empty when all does. Counted from the files, not from what the run says of itself."""
    ledger = snapshot.ledger(day, day)
    fates = pl.sum_horizontal("rows", "duplicates", "quarantined", "forgotten", "blank")
    trouble: dict[str, object] = {}
    wrong = ledger.filter(pl.col("lines") != fates).height
    if wrong:
        trouble["bundles_that_do_not_add_up"] = wrong
    expected = {
        "duplicate": int(ledger["duplicates"].sum()),
        "quarantined": int(ledger["quarantined"].sum()),
        "event": int(ledger["rows"].sum()),
    }
    found = dict.fromkeys(expected, 0)
    for file in snapshot.files(first=day, last=day):
        if file.kind != "bundle":
            found[file.kind if file.kind in found else "event"] += file.rows
    for fate, count in expected.items():
        if found[fate] != count:
            trouble[fate] = {"ledger": count, "tables": found[fate]}
    if ledger["key"].n_unique() != ledger.height:
        trouble["bundles_counted_twice"] = ledger.height - ledger["key"].n_unique()
    return trouble


def undeclared(snapshot: Snapshot, day: date) -> list[str]:
    """Files of the day whose columns differ from the declaration, with the first difference."""
    store = open_store(snapshot.url)
    trouble: list[str] = []
    for file in snapshot.files(first=day, last=day):
        declared = tables.BY_KIND[file.kind].schema
        schema = pq.read_schema(store.path(file.path)) if store.is_local else pl_schema(snapshot, file.kind, day)
        difference = next(
            (f"{a} instead of {b}" for a, b in zip(schema, declared, strict=False) if (a.name, a.type) != (b.name, b.type)), None
        )
        if difference or len(schema) != len(declared):
            trouble.append(f"{file.path}: {difference or f'{len(schema)} columns instead of {len(declared)}'}")
    return trouble


def pl_schema(snapshot: Snapshot, kind: str, day: date):
    """Columns of a remote day, as its files declare them."""
    frame = snapshot.scan(tables.BY_KIND[kind].name, day, day).head(0).collect().drop("upload_date", "kind").to_arrow()
    declared = tables.BY_KIND[kind].schema
    return frame.schema if frame.schema.names != declared.names else frame.cast(declared).schema
