"""What a materialization says of one day: numbers under the same names every day, also an empty one, and a picture of its shape.

`FIGURES` lists the numbers, so that a chart of the catalog never breaks off: a day without bundles says 0, not nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date
from itertools import islice
from typing import Any

import dagster as dg
import polars as pl

from torus_assets import present
from torus_assets.xapi import tables
from torus_assets.xapi.bundle_index import BundleIndex, Bundles
from torus_assets.xapi.ingest import IngestResult
from torus_assets.xapi.lake import Snapshot
from torus_assets.xapi.tables import Table

HOURS = tuple(f"{hour:02d}" for hour in range(24))
LARGEST = 10  # sections in the picture of an index
TOLD_BY = ("inventory", "listing", "notification")

OF_EVERY_DAY = frozenset(("dagster/partition_row_count", "files", "bytes", "lake_version"))
OF_AN_INDEX = frozenset(
    ("dagster/partition_row_count", "bundles", "bytes", "sections", "junk_keys", *(f"told_by_{who}" for who in TOLD_BY))
)
OF_THE_LEDGER = OF_EVERY_DAY | {
    "bundles", "lines", "rows", "duplicates", "quarantined", "forgotten", "blank", "coerced", "quarantined_share",
    "bundles_read", "lines_read", "bytes_read", "seconds",
}  # fmt: skip
OF_THE_QUARANTINE = OF_EVERY_DAY | {"quarantined_share", "reasons"}
OF_A_LOAD = frozenset(
    ("dagster/partition_row_count", "inserted", "present", "replaced", "deleted", "rehomed", "rows_of_the_table", "seconds")
)
FIGURES: dict[str, frozenset[str]] = {
    "xapi/bundle_index": OF_AN_INDEX,
    **{f"xapi/{table.name}": OF_EVERY_DAY for table in tables.EVENT_TABLES},
    "xapi/quarantine": OF_THE_QUARANTINE,
    "xapi/bundles": OF_THE_LEDGER,
    "warehouse/raw_events": OF_A_LOAD,
}  # asset -> names of the numbers that each of its materializations has


def index_figures(found: Bundles, index: BundleIndex, uri: str) -> dict[str, Any]:
    """What the index of one day says of itself.

    Args:
        found: the day's bundles.
        index: of the whole range; its junk keys and passed-over inventories are told with every day of it.
        uri: where the day's index is kept.
    """
    told = Counter(found.table["told_by"].to_pylist())
    owners = pl.DataFrame(found.table.select(["partition", "partition_id"]))
    return {
        **present.counts(
            {
                "dagster/partition_row_count": len(found),
                "bundles": len(found),
                "bytes": int(sum(found.table["bytes"].to_pylist())),
                "sections": owners.filter(pl.col("partition") == "section").n_unique(),
                "junk_keys": index.junk_keys,
                **{f"told_by_{who}": told[who] for who in TOLD_BY},
            }
        ),
        "bundles_per_hour": present.bars(
            by_hour(Counter(uploaded.hour for uploaded in found.table["uploaded_at"].to_pylist())),
            empty="no bundle was uploaded on this day",
        ),
        "largest_sections": present.bars(_largest(owners), empty="no bundle was uploaded on this day"),
        "preview": present.markdown(
            ["key", "bytes", "told_by"],
            [(bundle.key[-60:], bundle.bytes, bundle.told_by) for bundle in islice(found, present.PREVIEW_ROWS)],
        ),
        "inventory": index.inventory_name or f"none: {'by listing alone' if index.listed_from else 'from what has arrived'}",
        "dagster/uri": dg.MetadataValue.text(uri),
        "skipped_inventories": dg.MetadataValue.json(index.skipped),
        "unknown_categories": dg.MetadataValue.json(index.unknown_categories),
    }


def day_figures(table: Table, result: IngestResult, snapshot: Snapshot) -> dict[str, Any]:
    """What one table says of the day that was brought up to date; `snapshot` is of after the commit."""
    files = snapshot.files(kinds=[table.kind], first=result.day, last=result.day)
    shown: dict[str, Any] = {
        **present.counts(
            {
                "dagster/partition_row_count": sum(f.rows for f in files),
                "files": len(files),
                "bytes": sum(f.bytes for f in files),
                "lake_version": result.version or snapshot.version,
            }
        ),
        "mode": dg.MetadataValue.text(result.mode),
        "dagster/uri": dg.MetadataValue.text(snapshot.url),
    }
    preview = {"preview": present.preview(table, snapshot.scan(table.name, result.day, result.day))}
    if table is tables.LEDGER:
        return shown | _of_the_ledger(result) | preview
    return shown | _pictures(table, result, snapshot) | preview


def _pictures(table: Table, result: IngestResult, snapshot: Snapshot) -> dict[str, Any]:
    """What the shape of the table's day is: refusals by reason, or events by hour."""
    if table is tables.QUARANTINE:
        reasons = result.day_total["quarantined"]
        return {
            "quarantined_share": dg.MetadataValue.float(quarantined_share(result.day_total)),
            "reasons": dg.MetadataValue.int(len(reasons)),
            "by_reason": present.bars(_largest_first(reasons), empty="no line of this day was refused"),
        }
    return {"events_per_hour": present.bars(_events_per_hour(snapshot, table, result.day), empty="no such event on this day")}


def nothing_loaded(rows_of_the_table: int) -> dict[str, Any]:
    """What raw_events says of a day that the lake does not have: the names of a load, all 0 but the rows that the table has."""
    zeros = present.counts(dict.fromkeys(OF_A_LOAD - {"seconds"}, 0))
    return zeros | present.counts({"rows_of_the_table": rows_of_the_table}) | {"seconds": dg.MetadataValue.float(0.0)}


def quarantined_share(total: Mapping[str, Any]) -> float:
    """Refused lines of the non-blank ones, 0 to 1, six digits; 0 for a day without lines. `total` as `torus ingest --json` has it."""
    lines = total["lines"] - total["blank"]
    return round(sum(total["quarantined"].values()) / lines, 6) if lines else 0.0


def by_hour(counts: Mapping[int, int]) -> dict[str, int]:
    """All 24 hours (UTC) in order, so that the pictures of two days can be compared."""
    return {name: counts.get(hour, 0) for hour, name in enumerate(HOURS)}


def fates(total: Mapping[str, Any]) -> dict[str, int]:
    """What became of the day's lines; they add up to `lines`."""
    return {
        "rows": sum(total["rows"].values()),
        "duplicates": total["duplicates"],
        "quarantined": sum(total["quarantined"].values()),
        "forgotten": total["forgotten"],
        "blank": total["blank"],
    }


def _of_the_ledger(result: IngestResult) -> dict[str, Any]:
    total, read = result.day_total, result.this_run
    return {
        **present.counts(
            {
                "bundles": total["bundles"],
                "lines": total["lines"],
                **fates(total),
                "coerced": sum(total["coerced"].values()),
                "bundles_read": read["bundles"],
                "lines_read": read["lines"],
                "bytes_read": result.bytes_read,
            }
        ),
        "quarantined_share": dg.MetadataValue.float(quarantined_share(total)),
        "seconds": dg.MetadataValue.float(round(result.seconds, 3)),
        "held": dg.MetadataValue.bool(result.held),
        "lines_by_fate": present.bars(fates(total), empty="no line on this day"),
        "rows_by_kind": present.bars(_largest_first(total["rows"]), empty="no event on this day"),
        "result": dg.MetadataValue.json(result.document()),  # what `torus ingest --json` prints
    }


def _events_per_hour(snapshot: Snapshot, table: Table, one: date) -> dict[str, int]:
    hours = snapshot.scan(table.name, one, one).group_by(pl.col("timestamp").dt.hour().alias("hour")).len().collect()
    return by_hour(dict(hours.iter_rows()))


def _largest(owners: pl.DataFrame) -> dict[str, int]:
    """Bundles of the sections (and projects) with the most."""
    most = owners.group_by("partition", "partition_id").len().sort("len", "partition", "partition_id", descending=[True, False, False])
    return {f"{partition} {name}": count for partition, name, count in most.head(LARGEST).iter_rows()}


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda one: (-one[1], one[0])))
