"""What a call of Torus finds: a bucket of bundles, one of inventories, one of results with lookups; as folders, and as buckets of an S3."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests import inventories
from tests.factories import bundle_key, line, statement
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.export import ExportResult, export
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.engine.drop_in.call import CATEGORIES
from torus_assets.engine.drop_in.keys import Asked, sought
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.world import make_world
from torus_assets.xapi.ingest import IngestOptions, ingest_day
from torus_assets.xapi.lake import Lake

KEY = "a key of the tests, not of anybody"
NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
TAKEN = "2026-02-04T01-00Z"  # the inventory; what came later is listed
SECTION, OTHER = 3021, 3034  # of the sample world
GOLDEN = 9001  # the few events of which every byte is known

SCOPE = {"ext(section_id)": GOLDEN}
LATER, SOONER = bundle_key("A", section=GOLDEN, second=1), bundle_key("B", section=GOLDEN, second=2)
REPLAYED = bundle_key("C", section=GOLDEN, second=3)
PART = statement(
    "part_attempt_evaluated",
    {
        **SCOPE,
        "timestamp": "2026-02-03T15:06:41Z",
        "result.response": {"input": 'a "q"\nb é', "files": []},
        "ext(attached_objectives)": [10, 11],
    },
)
BARE = statement(
    "part_attempt_evaluated",
    {**SCOPE, "timestamp": "2026-02-03T14:00:00Z", "rext(feedback)": None, "ext(attached_objectives)": [], "ext(hints_requested)": []},
)  # fmt: skip
ACTIVITY = statement("activity_attempt_evaluated", {**SCOPE, "timestamp": "2026-02-03T15:06:42Z"})
PAGE = statement("page_attempt_evaluated", {**SCOPE, "timestamp": "2026-02-03T13:00:00Z"})
OBJECTS = {  # by key, as the old job read them: neither by time nor by kind
    LATER: [line(PART), line(ACTIVITY)],
    SOONER: [line(PAGE), line(BARE)],
    REPLAYED: [line(PART), line(BARE)],
}


@dataclass(frozen=True)
class World:
    """The three places below one folder; their names are what a call says."""

    root: Path
    bucket: str
    results: str

    @property
    def bundles(self) -> ObjectStore:
        return open_store(self.bucket)

    @property
    def store(self) -> ObjectStore:
        return open_store(self.results)

    def arguments(self, job_id: str, action: str, sections: str, sub_types: str, *more: str, size: int = 10_000) -> list[str]:
        """An argument list in Torus' order; the bucket of results, which Torus never names, comes behind it."""
        return [
            "--bucket_name", self.bucket.removeprefix("s3://"), "--chunk_size", str(size), "--sub_types", sub_types, "--job_id", job_id,
            "--section_ids", sections, "--page_ids", "all", "--action", action, "--enforce_project_id", "", *more,
            "--results_bucket_name", self.results.removeprefix("s3://"),
        ]  # fmt: skip

    def look_up(self, job_id: str) -> None:
        """Lays down the lookup of a job, as Torus does before it starts one."""
        self.store.put(f"contexts/{job_id}.json", (self.root / "lookup.json").read_bytes())

    def manifest(self, job_id: str) -> dict[str, Any]:
        return json.loads(self.store.get(f"{job_id}/manifest.json").body)

    def keys(self, prefix: str = "") -> list[str]:
        return [info.key for info in self.store.list(prefix)]


def make_folders(root: Path) -> World:
    """A damaged sample world, and the golden section, as folders."""
    make_world(SampleOptions(out=str(root / "sample"), statements=700, sections=2, students=20, days=4, damage=0.05))
    shutil.move(root / "sample/xapi", root / "events")
    shutil.move(root / "sample/datasets/contexts/sample-csv.json", root / "lookup.json")
    for key, lines in OBJECTS.items():
        open_store(f"file://{root / 'events'}").put(key, b"\n".join(lines))
    take_inventory(f"file://{root / 'events'}", "events")
    return World(root, f"file://{root / 'events'}", f"file://{root / 'results'}")


def make_buckets(folders: World, s3: Any) -> World:
    """The same world in buckets; everybody may read the one of results, as Torus' set-up asks for."""
    world = World(folders.root, "s3://torus-xapi-test", "s3://torus-datasets-test")
    for name in (world.bucket, f"{world.bucket}-inventory", world.results):
        s3.create_bucket(Bucket=name.removeprefix("s3://"))
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::torus-datasets-test/*"}
    s3.put_bucket_policy(Bucket="torus-datasets-test", Policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}))
    for info in folders.bundles.list():
        world.bundles.put(info.key, folders.bundles.get(info.key).body)
    take_inventory(world.bucket, "torus-xapi-test")
    return world


def take_inventory(url: str, source: str) -> None:
    """An inventory of the bundles that were uploaded before `TAKEN`, where S3 puts one for the old job."""
    rows = [
        inventories.row(info.key, info.etag, info.size, info.last_modified)
        for info in open_store(url).list()
        if info.key.endswith(".jsonl") and info.key.rpartition("/")[2] < TAKEN
    ]
    inventories.write(open_store(f"{url}-inventory"), TAKEN, [rows], home=f"{source}/{source}-inventory", source=source)


def made_locally(world: World, request: Any, folder: Path) -> tuple[ExportResult, ObjectStore]:
    """The same data set by the local engine, of a lake of the same objects."""
    lake, store = Lake(f"file://{folder / 'lake'}"), open_store(f"file://{folder / 'made'}")
    asked = Asked(request.section_ids, CATEGORIES[request.action])
    for day, objects in sought(world.bundles, open_store(f"{world.bucket}-inventory"), asked, NOW).days.items():
        ingest_day(lake, world.bundles.url, day, objects, folder / "spool", IngestOptions(max_quarantined_share=1.0, workers=1))
    store.put(f"contexts/{request.job_id}.json", (world.root / "lookup.json").read_bytes())
    return export(request, lake.snapshot(), store, pseudonyms=PseudonymKey(KEY.encode()), scratch=folder / "spool"), store
