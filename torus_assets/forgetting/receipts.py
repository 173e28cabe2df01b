"""Receipts of forgetting: counts of what was removed and of what is named for others to remove. No id, no host, no key of an object.

Each is kept in the lake store as `forgotten/receipts/{mark}/{at}.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from torus_assets.clients.object_store import ObjectStore
from torus_assets.xapi.tombstones import PREFIX, list_marks, read_tombstone

RECEIPTS = f"{PREFIX}receipts/"
RECEIPT_VERSION = 1


@dataclass
class Receipt:
    """What one `torus forget` came to. `lines` and `old_lines` are by day and kind."""

    mark: str
    at: str  # UTC, ISO 8601
    by: str
    versions: dict[str, Any] = field(default_factory=dict)  # of the code, and of the lake before and after
    lines: dict[str, dict[str, int]] = field(default_factory=dict)  # that left the lake
    old_lines: int = 0  # that went with files of older versions and killed ingests
    files_removed: int = 0  # of the lake's table
    bytes_removed: int = 0
    old_lines_left: int = 0  # of those, in files that a running ingest may still commit; running again a day later removes them
    writes_left: int = 0  # unfinished ones of the last day, in the lake's folder
    log_columns: list[str] = field(default_factory=list)  # of which the table's log keeps values; should be empty
    folders_cleared: int = 0  # of killed runs, in the spool
    folders_left: int = 0  # in the spool, that a running job may still use
    error_texts: int = 0  # kept texts of errors that might quote learners: all of them were removed
    clickhouse_rows: int = 0
    clickhouse_months: int = 0  # written anew
    clickhouse_old_parts: int = 0  # that the server has not removed yet; should be 0
    pending_bundles: int = 0  # not read yet: their lines of the learner will count as `forgotten`
    data_sets: dict[str, int] = field(default_factory=dict)  # runs, lookups, requests that contain the learner; cannot_be_told
    source_objects: int = 0  # of Torus' bucket, that held lines of theirs: Torus' to remove
    receipt_version: int = RECEIPT_VERSION

    @property
    def total(self) -> int:
        return sum(sum(kinds.values()) for kinds in self.lines.values())

    @property
    def is_clean(self) -> bool:
        """Nothing of theirs is left where it is ours to remove."""
        return not (self.old_lines_left or self.writes_left or self.folders_left or self.clickhouse_old_parts or self.log_columns)

    def document(self) -> dict[str, Any]:
        return {**asdict(self), "total_lines": self.total}


def keep(lake_store: ObjectStore, receipt: Receipt) -> str:
    """Writes the receipt; its key."""
    at = datetime.fromisoformat(receipt.at).astimezone(UTC)
    key = f"{RECEIPTS}{receipt.mark}/{at:%Y-%m-%dT%H-%M-%S.%fZ}.json"
    lake_store.put(key, json.dumps(receipt.document(), indent=2, sort_keys=True).encode() + b"\n")
    return key


def listed(lake_store: ObjectStore) -> Iterator[dict[str, Any]]:
    """Every tombstone, oldest first: mark, at, by, and the sums of its receipts. Needs no key and names nobody."""
    found = [{"mark": mark, **read_tombstone(lake_store, mark)} for mark in list_marks(lake_store)]
    for stone in sorted(found, key=lambda one: (one["at"], one["mark"])):
        kept = [json.loads(lake_store.get(info.key).body) for info in lake_store.list(f"{RECEIPTS}{stone['mark']}/")]
        sums = {name: sum(one.get(name, 0) for one in kept) for name in ("total_lines", "clickhouse_rows", "files_removed")}
        yield {"mark": stone["mark"], "at": stone["at"], "by": stone["by"], "receipts": len(kept), **sums}
