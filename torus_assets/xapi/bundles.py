"""The key grammar of xAPI bundles: what a key says, and which keys are bundles at all.

Source: spec/xapi.md 1.1. A key is ``{partition}/{partition_id}/{category}/{upload time}_{bundle id}.jsonl``.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import NamedTuple

PARTITIONS = ("section", "project")
CATEGORIES = frozenset({"attempt_evaluated", "page_viewed", "video", "tutor_message"})

# Both Python's re and RE2 (Arrow, DuckDB) read this text the same way.
KEY_PATTERN = (
    r"^(?P<partition>section|project)/(?P<partition_id>[^/]+)/(?P<category>[a-z_]+)/"
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})T(?P<time>[0-9]{2}-[0-9]{2}-[0-9]{2})(?:\.(?P<fraction>[0-9]{1,6}))?Z"
    r"_(?P<bundle_id>[^/]+)\.jsonl$"
)
_KEY = re.compile(KEY_PATTERN.removeprefix("^").removesuffix("$"))
_SECTION_ID = re.compile("[0-9]+")
_CATEGORY = re.compile("[a-z_]+")


class BundleKey(NamedTuple):
    """What a bundle's key says. ``uploaded_at`` is the upload, never the time of an event."""

    key: str
    partition: str  # one of PARTITIONS
    partition_id: str  # of a section: decimal digits
    category: str  # often one of CATEGORIES; an unknown one is a bundle all the same
    uploaded_at: datetime  # UTC
    bundle_id: str  # names the object; the same content may come again under another


def parse_key(key: str) -> BundleKey | None:
    """The parts of a bundle's key; None for a key that is not one (also for times such as 25-00-00)."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    partition, partition_id, category, day, time, fraction, bundle_id = match.groups()
    uploaded_at = _instant(day, time, fraction or "")
    if uploaded_at is None or not holds_bundles(partition, partition_id):
        return None
    return BundleKey(key, partition, partition_id, category, uploaded_at, bundle_id)


def holds_bundles(partition: str, partition_id: str) -> bool:
    """Whether ``{partition}/{partition_id}/`` may hold bundles."""
    return partition != "section" or _SECTION_ID.fullmatch(partition_id) is not None


def is_category(name: str) -> bool:
    """Whether a folder name may be a category, known or not."""
    return _CATEGORY.fullmatch(name) is not None


def day_of(key: str) -> date | None:
    """The UTC day of the upload, which is the partition of everything made from the bundle; None if not a bundle."""
    parsed = parse_key(key)
    return parsed.uploaded_at.date() if parsed else None


def _instant(day: str, time: str, fraction: str) -> datetime | None:
    try:
        return datetime(
            int(day[:4]), int(day[5:7]), int(day[8:]),
            int(time[:2]), int(time[3:5]), int(time[6:]),
            int(fraction.ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        return None
