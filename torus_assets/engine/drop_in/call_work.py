"""The work of one call: finds its objects, settles their rows on Spark, makes the data set of them, and publishes it as Torus reads it."""

from __future__ import annotations

import secrets
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.export import ExportResult, UnknownSections, export, lookup_key
from torus_assets.datasets.links import links
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import Request
from torus_assets.datasets.site import Snapshot
from torus_assets.engine.drop_in import keys
from torus_assets.engine.drop_in.call import Call
from torus_assets.engine.drop_in.last_words import LastWords
from torus_assets.engine.drop_in.nothing import Nothing
from torus_assets.engine.scratch import scratch, scratch_url
from torus_assets.engine.session import session
from torus_assets.settings import Settings
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.ingest import IngestOptions

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from torus_assets.engine.export.datasets import Snapshot as SharedSnapshot
    from torus_assets.engine.ingest.loose import LooseSnapshot

Rows = TypeVar("Rows", bound=Snapshot)

RELISTINGS = 3  # of sections whose objects are being deleted while they are read
OWN_KEY = (
    "TORUS_PSEUDONYM_KEY is not set: the pseudonyms are of this run alone and cannot be made again. "
    "Set it (16 bytes or more), and the same call gives the same files"
)


@dataclass
class CallWork:
    """One call being done. `token` names its scratch folder."""

    call: Call
    settings: Settings
    words: LastWords
    now: Callable[[], datetime]
    token: str

    def __post_init__(self) -> None:
        self.results = open_store(self.call.results_url)
        spoken = links(self.call.links, self.call.results_url, self.call.context)
        self.keywords: dict[str, Any] = {"pseudonyms": self._key(), "progress": self._progress, "links": spoken}

    def carry_out(self) -> None:
        """Publishes the data set, and leaves in the last words what it came to.

        Raises:
            NoScratch, HeldDays, LookupInvalid, PersonalData: nothing was published.
        """
        self._lookup()
        with tempfile.TemporaryDirectory(prefix="torus-call-") as folder:
            self.keywords["scratch"] = Path(folder)
            if self.call.lake_url:
                self._of_lake(self.call.lake_url)
            else:
                self._of_bundles()

    # Where rows come from ------------------------------------------------------------------------------------------------

    def _of_lake(self, url: str) -> None:
        from torus_assets.xapi.lake import Lake

        snapshot = Lake(url).snapshot()
        self.words.notes.append(f"rows come from the lake {url}, not from a bucket of bundles")
        with self._spark() as (spark, private):
            result = self._made(snapshot, partial(self._on_spark, spark, private))
        self._told(result, {"lake": url, "delta_version": snapshot.version})

    def _of_bundles(self) -> None:
        bundles, inventory = open_store(self.call.bundles_url), open_store(self.call.inventory_url)
        request = self.call.request
        first = request.date_from - timedelta(days=1) if request.date_from else keys.FIRST  # nothing is uploaded a day before it happens
        asked = keys.Asked(request.section_ids, self.call.categories, first)
        found = keys.sought(bundles, inventory, asked, self.now())
        if not found.objects:
            self._objects(found, asked, {})
            self._told(self._made(Nothing(request.section_ids, request.table.kinds), self._here), found.document())
            return
        with self._spark() as (spark, private):
            snapshot, found = self._settled(spark, private, bundles, asked, found)
            self._objects(found, asked, snapshot.counts["refused_by_reason"])
            result = self._made(snapshot, partial(self._on_spark, spark, private))
            self._told(result, {**found.document(), "lines": snapshot.counts})

    def _settled(
        self, spark: SparkSession, private: str, bundles: ObjectStore, asked: keys.Asked, found: keys.Sought
    ) -> tuple[LooseSnapshot, keys.Sought]:
        """Rows of the objects; objects that the inventory knew and that are gone are found by listing."""
        from torus_assets.engine.ingest.loose import loose_snapshot

        options = IngestOptions(max_quarantined_share=self.settings.max_quarantined_share, max_line_bytes=self.settings.max_line_bytes)
        for _ in range(RELISTINGS):
            try:
                return loose_snapshot(spark, private, bundles, found.days, options), found
            except BundleGone:
                found = keys.listed_again(bundles, asked, found, self.now())
        return loose_snapshot(spark, private, bundles, found.days, options), found

    @contextmanager
    def _spark(self) -> Iterator[tuple[SparkSession, str]]:
        """A session, and a private folder that its executors share."""
        with session(f"torus data set {self.call.request.job_id}", self.settings.spark) as spark:
            conf = dict(spark.sparkContext.getConf().getAll())
            place = f"scratch/{self.call.request.job_id}/{self.token}"
            with scratch(scratch_url(self.call.scratch_url, conf, self.call.results_url, place)) as private:
                yield spark, private

    # What is made of them ------------------------------------------------------------------------------------------------

    def _here(self, request: Request, snapshot: Snapshot) -> ExportResult:
        return export(request, snapshot, self.results, **self.keywords)

    def _on_spark(self, spark: SparkSession, private: str, request: Request, snapshot: SharedSnapshot) -> ExportResult:
        from torus_assets.engine.export.datasets import export_on_spark

        return export_on_spark(spark, request, snapshot, self.results, scratch_url=private, **self.keywords)

    def _made(self, snapshot: Rows, exported: Callable[[Request, Rows], ExportResult]) -> ExportResult:
        """The data set of the sections that have rows; the others are named. None has: an empty one."""
        request = self.call.request
        try:
            return exported(request, snapshot)
        except UnknownSections as error:
            self.words.notes.append(f"no event of section {', '.join(map(str, error.sections))}")
            left = tuple(section for section in request.section_ids if section not in error.sections)
        if left:
            return exported(replace(request, section_ids=left), snapshot)
        return self._here(request, Nothing(request.section_ids, request.table.kinds))

    def _told(self, result: ExportResult, source: dict[str, Any]) -> None:
        """The last words, and in `run.json` where the rows came from."""
        failed = sorted(name for name, check in result.checks.items() if not check["passed"])
        if failed:
            self.words.problems.append(f"not published, as it does not pass its own checks: {', '.join(failed)}; see receipt.json")
        if not result.reused:
            self._noted_in_run(result, source)
        refused = source.get("lines", {}).get("refused", 0)
        if refused:
            self.words.notes.append(f"{refused} lines cannot be read and are left out; by reason in run.json")
        if not result.rows:
            self.words.notes.append("the data set is empty: rows 0")
        self.words.document = {
            "published": result.ok,
            "run": result.run,
            "reused": result.reused,
            "rows": result.rows,
            "chunks": len(result.chunks),
            "excluded": result.excluded,
            "place": self.results.uri(result.folder.rstrip("/")),
            "manifest": self.results.uri(f"{self.call.request.job_id}/manifest.json"),
            "source": source,
        }

    def _noted_in_run(self, result: ExportResult, source: dict[str, Any]) -> None:
        key = f"{result.folder}run.json"
        known = msgspec.json.decode(self.results.get(key).body)
        self.results.put(key, receipts.encoded({**known, "source": source, "notes": self.words.notes}))

    # What is noticed on the way ------------------------------------------------------------------------------------------

    def _lookup(self) -> None:
        """Reads the lookup before anything is done: a wrong one ends the call here, and not after an hour."""
        key = lookup_key(self.call.request.job_id)
        try:
            parse_lookup(self.results.get(key).body)
        except FileNotFoundError:
            missing = f"no lookup at {self.results.uri(key)}: is --results_bucket_name the bucket that Torus writes to?"
            if self.call.request.action == "datashop":  # its titles, choices and hints come from there
                self.words.problems.append(f"{missing} Content appears under its ids")
            else:
                self.words.notes.append(missing)

    def _objects(self, found: keys.Sought, asked: keys.Asked, refused: Mapping[str, int]) -> None:
        """What is to be said of the objects, and in the manifest of what did not get into the data set (D-06)."""
        self.keywords["links"] = replace(self.keywords["links"], more={"objects_gone": len(found.gone), "lines_refused": dict(refused)})
        if found.gone:
            self.words.problems.append(
                f"{len(found.gone)} objects that the inventory {found.inventory} names are gone from the store; the data set is made without them"
            )
        if found.inventory is None:
            self.words.notes.append(f"no usable inventory at {self.call.inventory_url}: all objects of the sections were listed")
        for manifest, reason in found.skipped.items():
            self.words.notes.append(f"inventory {manifest} was passed over: {reason}")
        if empty := found.without(asked):
            self.words.notes.append(f"the store has no object of section {', '.join(map(str, empty))}")

    def _key(self) -> PseudonymKey:
        if self.settings.pseudonym_key:
            return PseudonymKey(self.settings.pseudonym_key.encode())
        if self.call.request.anonymize:
            self.words.notes.append(OWN_KEY)
        return PseudonymKey(secrets.token_bytes(32))

    def _progress(self, done: int, total: int) -> None:
        if self.call.debug:
            sys.stderr.write(f"rows: {done} of {total}\n")
