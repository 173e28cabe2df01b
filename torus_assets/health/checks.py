"""Standing checks: truths about whole assets, looked at every hour (job `health`) or against the store (job `reconcile`).

Silence is not health: each looks at what should have happened and has not. None blocks anything, none changes data.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from resources.clickhouse import ClickHouseResource
from resources.lake import LakeResource
from resources.s3 import ObjectStoreResource
from torus_assets import instance_state, settings
from torus_assets.clients.object_store import open_store
from torus_assets.failures.spans import spans_of
from torus_assets.health import store
from torus_assets.health.days import BACKFILL, LOAD, LOOK, Failed, counted, for_days
from torus_assets.health.fresh import Freshness, freshness
from torus_assets.health.lake_days import lake_days, waiting_days
from torus_assets.partitions import DATASET_JOBS, EVENT_DAYS
from torus_assets.steps import step
from torus_assets.warehouse.reconcile import Comparison, compare
from torus_assets.xapi.day_content import CONTENT
from torus_assets.xapi.lake import Lake

BUNDLES, RAW_EVENTS = dg.AssetKey(["xapi", "bundles"]), dg.AssetKey(["warehouse", "raw_events"])
DATASETS = [dg.AssetKey(["datasets", name]) for name in ("csv", "datashop")]
ARRIVALS = "s3_arrivals"  # the sensor that asks for what is pending
DAYS_COMPARED = 31  # with ClickHouse, by default
NAMED = 20  # of anything in evidence


class StoreConfig(dg.Config):
    """What the ledger is compared with."""

    manifest: str = Field(
        default="", description="Key of the inventory's manifest in the inventory store; the newest usable one when empty."
    )
    listing: bool = Field(
        default=False, description="List the open days (TORUS_OPEN_DAYS) instead. Done in any case when there is no inventory."
    )


class EventsConfig(dg.Config):
    """Days of the lake that are compared with ClickHouse."""

    first: str = Field(default="", description=f"First upload day, YYYY-MM-DD; by default the last {DAYS_COMPARED} days that the lake has.")
    last: str = Field(default="", description="Last upload day, included; by default the lake's last.")


# --- against the store, against ClickHouse


@dg.asset_check(
    asset=BUNDLES,
    description="Every bundle object of the store is in the ledger as it is now: by one S3 inventory up to two days before it, else by listing the open days. "
    "What is missing or changed is put to arrivals, so that their sensor asks for exactly those days.",
)
def ledger_has_every_object(
    context: dg.AssetCheckExecutionContext,
    config: StoreConfig,
    bundles: ObjectStoreResource,
    inventory: ObjectStoreResource,
    lake: LakeResource,
) -> dg.AssetCheckResult:
    chosen, now = settings.from_environment(), datetime.now(UTC)
    with step(context):
        places = store.Places(bundles.open(), inventory.open(), lake.open(), chosen.spool)
        looked = None if config.listing else store.by_inventory(places, chosen.first_day, now, manifest=config.manifest)
        if looked is None:
            first = max(chosen.first_day, now.date() - timedelta(days=chosen.open_days - 1))
            looked = store.by_listing(places, first, now.date(), now, timedelta(minutes=chosen.fresh_minutes))
    return dg.AssetCheckResult(passed=not looked.compared.wrong_days, metadata=_store_evidence(looked))


def _store_evidence(looked: store.StoreLooked) -> dict[str, Any]:
    found = looked.compared
    return {
        "compared_with": found.told_by,
        "first_day": found.first.isoformat(),
        "last_day": found.last.isoformat(),
        "days_compared": found.days,
        "objects": found.objects,
        "days_that_differ": len(found.differences),
        **{what: found.total(what) for what in ("missing", "changed", "vanished", "waiting")},
        "days_gone_from_the_store": len(found.days_gone),
        "keys": dg.MetadataValue.json(found.examples),
        "put_to_arrivals": looked.told,
        "what_to_do": _what_to_do(BACKFILL, found.wrong_days, f"The sensor {ARRIVALS} asks for these days when it is on; else run: "),
        "too_many_for_arrivals": dg.MetadataValue.json([str(span) for span in spans_of(map(date.isoformat, looked.days_untold))]),
        "inventories_passed_over": dg.MetadataValue.json(looked.skipped),
    }


@dg.asset_check(
    asset=RAW_EVENTS,
    pool="clickhouse",
    description="Per section and month, ClickHouse holds exactly the distinct events of the lake's days, none twice. Held days are left out.",
)
def clickhouse_has_every_event(
    context: dg.AssetCheckExecutionContext, config: EventsConfig, lake: LakeResource, clickhouse: ClickHouseResource
) -> dg.AssetCheckResult:
    with step(context):
        snapshot = store.snapshot_of(lake.open())
        days = snapshot.days()[-DAYS_COMPARED:] if snapshot else []
        if snapshot is None or not days:
            return dg.AssetCheckResult(passed=True, metadata={"days_compared": 0, "what_to_do": "nothing: there is no lake yet"})
        first, last = _day(config.first, "first", days[0]), _day(config.last, "last", days[-1])
        with clickhouse.client(context.run.run_id) as client:
            compared = compare(client, snapshot, first, last, scratch=settings.from_environment().spool)
    wrong = {**compared.missing_by_day, **compared.extra_by_day}
    return dg.AssetCheckResult(passed=compared.reconciles, metadata=_events_evidence(compared, sorted(wrong), first, last))


def _day(text: str, field: str, default: date) -> date:
    try:
        return date.fromisoformat(text) if text else default
    except ValueError:
        raise dg.Failure(f"config `{field}`: expected a day as YYYY-MM-DD, got {text!r}", allow_retries=False) from None


def _events_evidence(compared: Comparison, wrong: list[date], first: date, last: date) -> dict[str, Any]:
    doubled = sum(difference.doubled for difference in compared.differences)
    days = wrong or ([] if compared.reconciles else [first, last])
    return {
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "events_of_the_lake": compared.lake_events,
        "rows_of_clickhouse": compared.warehouse_rows,
        "missing": compared.missing,
        "extra": compared.extra,
        "doubled": doubled,
        "missing_by_day": dg.MetadataValue.json({day.isoformat(): n for day, n in [*compared.missing_by_day.items()][:NAMED]}),
        "extra_by_day": dg.MetadataValue.json({day.isoformat(): n for day, n in [*compared.extra_by_day.items()][:NAMED]}),
        "bundles": dg.MetadataValue.json([*compared.bundles]),
        "held_days_left_out": dg.MetadataValue.json([day.isoformat() for day in compared.held][:NAMED]),
        "notes": "; ".join(compared.notes) or "none",
        "what_to_do": _what_to_do(LOAD, days),
    }


# --- every hour


@dg.asset_check(
    asset=RAW_EVENTS,
    description="Nothing that arrived has waited for ClickHouse longer than TORUS_FRESH_MINUTES: no bundle for the lake, no day of the lake for a load.",
)
def newest_day_is_fresh(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
    minutes = settings.from_environment().fresh_minutes
    with step(context):
        snapshot = store.snapshot_of(lake.open())
        waiting, there = waiting_days(open_store(lake.url), snapshot), lake_days(snapshot)
        loaded = instance_state.text_of(instance_state.latest(context.instance, RAW_EVENTS), CONTENT)
        found = freshness(datetime.now(UTC), waiting, there, loaded)
    evidence = _fresh_evidence(found, minutes) | {"arrivals_sensor": _arrivals_sensor(context.instance)}
    return dg.AssetCheckResult(passed=found.within(timedelta(minutes=minutes)), metadata=evidence)


def _fresh_evidence(found: Freshness, minutes: int) -> dict[str, Any]:
    todo = [_what_to_do(BACKFILL, [*found.waiting_days])] if found.waiting_days else []
    only_load = sorted({*found.not_loaded_days} - {*found.waiting_days})
    todo += [_what_to_do(LOAD, only_load)] if only_load else []
    newest = {name: getattr(found, name) for name in ("newest_known", "newest_in_lake", "newest_in_clickhouse")}
    return {
        **{name: day.isoformat() if day else "none" for name, day in newest.items()},
        "waiting_bundles": found.waiting_bundles,
        "days_with_waiting_bundles": len(found.waiting_days),
        "days_not_loaded": len(found.not_loaded_days),
        "oldest_wait_seconds": found.oldest_wait_seconds,
        "limit_seconds": 60 * minutes,
        "what_to_do": "; ".join(todo) or "nothing",
    }


def _arrivals_sensor(instance: dg.DagsterInstance) -> str:
    return (
        "running" if instance_state.is_running(instance, ARRIVALS) else "stopped: only what a listing or an inventory told before is known"
    )


def no_partition_failed(
    key: dg.AssetKey, partitions: dg.PartitionsDefinition, command: Callable[[list[str]], str]
) -> dg.AssetChecksDefinition:
    """The check of one asset; `command` says what to run for its partitions."""

    @dg.asset_check(
        asset=key,
        name="no_partition_failed",
        description="No partition's latest attempt failed, no day is held, and no run of this asset was left by a killed process. A later success clears it.",
    )
    def check(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> dg.AssetCheckResult:
        with step(context):
            failed = instance_state.failed(context.instance, key, partitions, instance_state.latest(context.instance, key))
            held: list[str] = []
            if partitions is EVENT_DAYS:
                failed, held = _of_lake(failed, key, lake.open())
            left = _left(context.instance, key)
        again = sorted({*failed, *(partition for partitions in left.values() for partition in partitions)})
        todo = [command(again)] if again else []
        todo += [_what_to_do(LOOK, [date.fromisoformat(day) for day in held])] if held else []
        evidence = {
            "failed": len(failed),
            "failed_partitions": dg.MetadataValue.json({partition: failed[partition] for partition in [*failed][-NAMED:]}),
            "held_days": dg.MetadataValue.json(held[-NAMED:]),
            "runs_left": dg.MetadataValue.json({run: list(left[run])[:NAMED] for run in [*left][:NAMED]}),
            "what_to_do": "; ".join(todo) or "nothing",
        }
        return dg.AssetCheckResult(passed=not (failed or held or left), metadata=evidence)

    return check


def _of_lake(failed: Mapping[str, str], key: dg.AssetKey, lake: Lake) -> tuple[dict[str, str], list[str]]:
    """The failures that count and, for the ledger, the held days."""
    days = lake_days(store.snapshot_of(lake))
    by_day = {date.fromisoformat(day): (Failed(key.to_user_string(), run),) for day, run in failed.items()}
    kept = {day.isoformat(): found.run_id for day, (found,) in counted(by_day, days).items()}
    return kept, [day.isoformat() for day, found in days.items() if found.held and key == BUNDLES]


def _left(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, tuple[str, ...]]:
    """Runs of the asset whose process is gone though Dagster takes them for running, with their partitions."""
    gone = [run for run in instance_state.unfinished(instance) if run.process == "gone"]
    return {run.run_id: run.partitions for run in gone if key in instance.get_asset_keys_for_run(run.run_id)}


def _what_to_do(command: str, days: list[date], before: str = "") -> str:
    """The command over each span of the days; `nothing` when there are none."""
    spans = spans_of(map(date.isoformat, days))
    lines = [for_days(command, date.fromisoformat(span.first), date.fromisoformat(span.last)) for span in spans]
    more = f" (and {len(lines) - NAMED} more spans)" if len(lines) > NAMED else ""
    return before + "; ".join(lines[-NAMED:]) + more if lines else "nothing"


def _of_days(command: str) -> Callable[[list[str]], str]:
    return lambda partitions: _what_to_do(command, [date.fromisoformat(day) for day in partitions])


def _of_jobs(partitions: list[str]) -> str:
    return "; ".join(f"torus dataset run {job}" for job in partitions[:NAMED])


RECONCILE_CHECKS = [ledger_has_every_object, clickhouse_has_every_event]
HEALTH_CHECKS = [
    newest_day_is_fresh,
    no_partition_failed(BUNDLES, EVENT_DAYS, _of_days(BACKFILL)),
    no_partition_failed(RAW_EVENTS, EVENT_DAYS, _of_days(LOAD)),
    *(no_partition_failed(key, DATASET_JOBS, _of_jobs) for key in DATASETS),
]
