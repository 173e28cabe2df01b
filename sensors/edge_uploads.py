"""Uploads of edge devices: a manifest, which a device puts last, says that its batch is complete, and asks for one run."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import dagster as dg

from sensors import day_folders
from sensors.day_folders import Watch
from torus_assets.clients.object_store import ObjectInfo, ObjectStore

MANIFEST = ".manifest.json"
WATCH = Watch()


def hive_day(day: date) -> str:
    """The folder of a day below a scenario and region, as in spec/edge.md 13: `year=2026/month=02/day=03/`."""
    return f"year={day:%Y}/month={day:%m}/day={day:%d}/"


def edge_upload_sensor(
    *,
    name: str,
    target: str,
    partition_of: Callable[[str], str | None],
    store: str = "edge",
    prefix: str = "",
    day_folder: Callable[[date], str] = hive_day,
    suffix: str = MANIFEST,
    watch: Watch = WATCH,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    minimum_interval_seconds: int = 60,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that asks once for each manifest below `prefix`.

    The run key is the manifest's key and etag: an overwritten manifest is asked for again, and a lost cursor asks for nothing twice.
    A tick lists `watch.open_days + watch.old_days` folders and asks for at most `watch.limit` runs.

    Args:
        name: of the sensor.
        target: name of the job that a manifest's run is of.
        partition_of: a manifest's key to the partition of its run, which has to exist; None for a key that is no manifest of ours: it is
            passed over and counted.
        store: name of the resource, an `ObjectStoreResource`.
        prefix: where day folders begin, with its last slash: `scenario=raw/region=eu-west-1/`.
        day_folder: a day to its folder below the prefix, with its last slash.
        suffix: what manifests' names end in.
        watch: which days are looked at.
        clock: the time, UTC.
    """

    @dg.sensor(
        name=name,
        job_name=target,
        required_resource_keys={store},
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        description=f"Asks for a run of {target} for each `*{suffix}` that a device has put below `{prefix}`.",
    )
    def edge_uploads(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        opened: ObjectStore = getattr(context.resources, store).open()

        def manifests(day: date) -> Iterator[ObjectInfo]:
            return (info for info in opened.list(prefix + day_folder(day)) if info.key.endswith(suffix))

        tick = day_folders.look(day_folders.parsed(context.cursor), manifests, clock(), watch)
        asked = [(info, partition_of(info.key)) for info in tick.fresh]
        strange = sum(partition is None for _, partition in asked)
        if strange:
            context.log.warning("%d of %d manifests have keys that say no partition; they are passed over", strange, len(asked))
        requests = [
            dg.RunRequest(run_key=f"{info.key}:{info.etag}", partition_key=partition, tags={"torus/manifest": info.key})
            for info, partition in asked
            if partition is not None
        ]
        if asked:
            context.log.info("%d new manifests, %d more wait for the next tick", len(asked), tick.waiting)
        reason = None if requests else f"no new manifest below {prefix or 'the store'}"
        return dg.SensorResult(run_requests=requests, skip_reason=reason, cursor=day_folders.written(tick.cursor))

    return edge_uploads
