"""Where a Parquet file of the lake stands, and what the table says of it: the same for a file placed here or by a cluster."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

STATISTICS = ("section_id", "timestamp")  # the columns readers skip files by


def folder_of(day: date, kind: str) -> str:
    """Below the table's root."""
    return f"upload_date={day.isoformat()}/kind={kind}/"


def path_of(day: date, kind: str, name: str) -> str:
    """Of a file below the table's root; `name` is unique."""
    return f"{folder_of(day, kind)}{name}.parquet"


def statistics(metadata: Any) -> dict[str, Any]:
    """Delta's per-file statistics, from the Parquet footer."""
    names = {metadata.schema.column(i).path: i for i in range(metadata.num_columns)}
    lows: dict[str, Any] = {}
    highs: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for name in STATISTICS:
        if name not in names:
            continue
        groups = [metadata.row_group(g).column(names[name]).statistics for g in range(metadata.num_row_groups)]
        if groups and all(g is not None and g.has_min_max and g.has_null_count for g in groups):
            lows[name] = _plain(min(g.min for g in groups))
            highs[name] = _plain(max(g.max for g in groups), up=True)
            nulls[name] = sum(g.null_count for g in groups)
    return {"numRecords": metadata.num_rows, "minValues": lows, "maxValues": highs, "nullCount": nulls}


def _plain(value: Any, *, up: bool = False) -> Any:
    """A statistic as Delta writes it: times in milliseconds, the upper bound rounded up."""
    if not isinstance(value, datetime):
        return value
    millisecond = value.microsecond // 1000 * 1000
    cut = value.replace(microsecond=millisecond)
    if up and cut != value:
        cut += timedelta(milliseconds=1)
    return cut.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{cut.microsecond // 1000:03d}Z"
