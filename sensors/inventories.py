"""S3 inventories as they arrive: each complete one is compared with the ledger once."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import dagster as dg

from resources.s3 import ObjectStoreResource
from torus_assets.health.checks import ledger_has_every_object
from torus_assets.xapi.inventory import UnusableInventory, complete_inventory, manifest_keys

JOB = "reconcile"
MANIFESTS_PER_TICK = 7  # looked at of one configuration, newest first: 2 gets and a head per data file each
Cursor = Mapping[str, str]  # configuration (folder of its reports) to the newest manifest handled


class Chosen(NamedTuple):
    """What one tick found."""

    requests: list[str]  # manifests to compare, one per configuration at most
    passed_over: list[str]  # older than those, and never compared
    unusable: dict[str, str]  # newer than the cursor, with the reason; looked at again next tick
    cursor: dict[str, str]


@dg.sensor(
    job_name=JOB,
    minimum_interval_seconds=600,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for one comparison of store and ledger for each new complete S3 inventory. Its run key is the manifest's key.",
)
def inventories(context: dg.SensorEvaluationContext, bundles: ObjectStoreResource, inventory: ObjectStoreResource) -> dg.SensorResult:
    store, bucket = inventory.open(), bundles.open().bucket

    def why_not(manifest: str) -> str | None:
        try:
            complete_inventory(store, manifest, bucket)
        except UnusableInventory as error:
            return str(error)
        return None

    chosen = choose(read_cursor(context.cursor), manifest_keys(store), why_not)
    for manifest in chosen.passed_over:
        context.log.info("passed over for a newer one: %s", manifest)
    for manifest, reason in chosen.unusable.items():
        context.log.info("not usable (looked at again next time): %s: %s", manifest, reason)
    return dg.SensorResult(
        run_requests=[run_request(manifest) for manifest in chosen.requests],
        skip_reason=None if chosen.requests else _nothing_new(chosen),
        cursor=json.dumps(chosen.cursor, sort_keys=True),
    )


def run_request(manifest: str) -> dg.RunRequest:
    """The comparison with this report."""
    config = {"ops": {ledger_has_every_object.node_def.name: {"config": {"manifest": manifest}}}}
    return dg.RunRequest(run_key=manifest, run_config=config, tags={"torus/started_by": "inventory"})


def choose(cursor: Cursor, manifests: Sequence[str], why_not: Callable[[str], str | None]) -> Chosen:
    """Of each configuration the newest report that is usable and newer than the cursor.

    Args:
        manifests: every manifest key there is.
        why_not: why a report cannot be used, None when it can; asked for at most MANIFESTS_PER_TICK of a configuration.
    """
    chosen = Chosen([], [], {}, dict(cursor))
    by_home: dict[str, list[str]] = {}
    for manifest in sorted(manifests, reverse=True):
        by_home.setdefault(home_of(manifest), []).append(manifest)
    for home, reports in sorted(by_home.items()):
        fresh = [manifest for manifest in reports if manifest > cursor.get(home, "")]
        for number, manifest in enumerate(fresh[:MANIFESTS_PER_TICK]):
            if reason := why_not(manifest):
                chosen.unusable[manifest] = reason
                continue
            chosen.requests.append(manifest)
            chosen.passed_over.extend(fresh[number + 1 :] if home in cursor else [])
            chosen.cursor[home] = manifest
            break
    return chosen


def home_of(manifest: str) -> str:
    """The configuration of a report: the folder that holds its dated folders."""
    return manifest.rsplit("/", 2)[0]


def read_cursor(text: str | None) -> Cursor:
    """The cursor; empty when it is lost or was not written here: then the newest report of each configuration is asked for again, under the same run key."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        return {}
    right = isinstance(found, dict) and all(isinstance(value, str) for value in found.values())
    return found if right else {}


def _nothing_new(chosen: Chosen) -> dg.SkipReason:
    return dg.SkipReason(
        f"no new complete inventory: {len(chosen.cursor)} configurations known, {len(chosen.unusable)} reports are not usable (yet)"
    )
