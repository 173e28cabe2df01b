"""A small place for sensors: a lake store with the book, a Dagster instance on disk, and a webhook that remembers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg

from resources.lake import LakeResource
from resources.notifier import NotifierResource
from tests.failures.webhook import Hook, listening
from torus_assets.clients.object_store import open_store
from torus_assets.failures.book import Book

QUIET = {"telemetry": {"enabled": False}}
POOLED = {**QUIET, "concurrency": {"pools": {"default_limit": 1, "granularity": "op"}}}


@contextmanager
def on_disk(folder: Path) -> Iterator[dg.DagsterInstance]:
    """An instance whose storage is files, as a deployment's is: to look into them, or to share it with another process."""
    folder.mkdir()
    with dg.DagsterInstance.local_temp(str(folder), overrides=POOLED) as opened:
        yield opened


def in_memory() -> AbstractContextManager[dg.DagsterInstance]:
    """An instance that forgets: it opens 2 s faster."""
    return dg.DagsterInstance.ephemeral(settings=QUIET)


class Place:
    """Book, instance and ear below one folder."""

    def __init__(self, root: Path, instance: dg.DagsterInstance, hook: Hook, url: str) -> None:
        self.root = root
        self.instance = instance
        self.hook = hook
        self.url = url
        self.book = Book(open_store((root / "lake").as_uri()))

    @property
    def resources(self) -> dict[str, Any]:
        return {"lake": LakeResource(url=(self.root / "lake").as_uri()), "notifier": NotifierResource(url=self.url)}

    @property
    def messages(self) -> list[str]:
        """What people were told so far."""
        return [body["text"] for body in self.hook.got]

    def run(self, jobs: dg.JobDefinition, partition: str | None = None, **tags: str) -> dg.DagsterRun:
        """Runs a job to its end."""
        result = jobs.execute_in_process(instance=self.instance, partition_key=partition, tags=tags, raise_on_error=False)
        found = self.instance.get_run_by_id(result.run_id)
        assert found is not None
        return found

    def tick(
        self, sensor: dg.SensorDefinition, cursor: str | None = None, definitions: dg.Definitions | None = None, **resources: Any
    ) -> Any:
        """One evaluation, as the code server does it; runs that are asked for are resolved against the jobs of `definitions`."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=cursor,
            resources={**self.resources, **resources},
            sensor_name=sensor.name,
            definitions=definitions,
        )
        if self.instance.is_persistent:
            context._instance_ref = self.instance.get_ref()  # as the daemon gives it: without it dynamic partitions are not looked up
        return sensor.evaluate_tick(context)


@contextmanager
def place_at(root: Path, instance: AbstractContextManager[dg.DagsterInstance]) -> Iterator[Place]:
    """A place below a folder, while the instance and the webhook are open."""
    hook = Hook()
    with instance as opened, listening(hook) as url:
        yield Place(root, opened, hook, url)
