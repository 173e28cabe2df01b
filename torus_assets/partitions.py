"""Every partitions definition, and how those of one asset map to those of another.

Mappings are always written out: Dagster silently infers an identity mapping where it can, even between days and jobs.
"""

from __future__ import annotations

from datetime import date, timedelta

import dagster as dg

from torus_assets import settings

# The day is the upload day (UTC) in the object's key: it never changes, so a late event never reopens a closed day.
EVENT_DAYS = dg.DailyPartitionsDefinition(
    start_date=settings.from_environment().first_day.isoformat(), timezone="UTC", end_offset=1
)  # end_offset: today's bundles are there today
DATASET_JOBS = dg.DynamicPartitionsDefinition(name="dataset_jobs")  # one per request, by its job_id

# Tags that say which partitions a run covers: one, or a range of days.
PARTITION, RANGE_START, RANGE_END = "dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"

SAME_DAY = dg.TimeWindowPartitionMapping(start_offset=0, end_offset=0)
SAME_JOB = dg.IdentityPartitionMapping()
EVERY_DAY = dg.AllPartitionMapping()  # a data set may read any day


def days_between(first: date, last: date) -> list[date]:
    """Days from first to last, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def days_of(context: dg.AssetExecutionContext) -> list[date]:
    """The days this run covers: one, or a range in a single-run backfill."""
    keys = context.partition_key_range
    return days_between(date.fromisoformat(keys.start), date.fromisoformat(keys.end))
