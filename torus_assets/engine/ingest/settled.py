"""Settling days on a cluster: many days in one plan, survivors by the rule of `xapi/survivors.py`, files in their places.

Nothing of a line comes to the driver: what it collects is a row per bundle, per fate of a bundle's lines and per file.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa

from torus_assets.clients.object_store import ObjectStore
from torus_assets.engine.driver import collected, watched
from torus_assets.engine.ingest import cuts, lines
from torus_assets.engine.ingest.cuts import DayWork
from torus_assets.engine.ingest.lines import GONE, READ, ddl
from torus_assets.engine.ingest.placed import FILES, PlacedFile, files_of, leftovers
from torus_assets.engine.session import own_session
from torus_assets.xapi import survivors
from torus_assets.xapi.decode import BundleGone, BundleRead
from torus_assets.xapi.fates import TALLIES
from torus_assets.xapi.ingest import Stage
from torus_assets.xapi.settle import ContentNeeded, Displaced
from torus_assets.xapi.tombstones import NONE, Tombstones

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

OUT_BYTES = 128 << 20  # of lines in one task that writes
LEAST_OUT_BYTES = 8 << 20  # a smaller plan is written by one task
SHUFFLE_BYTES = 256 << 20  # of lines whose identities one task compares
IDENTITY = ("day", "event_hash")


class DayOut(NamedTuple):
    """What a day came to, for its commit."""

    files: list[PlacedFile]
    reads: list[BundleRead]
    tallies: pa.Table  # as `survivors.TALLIES` gives them


class ChangedMeanwhile(RuntimeError):
    """What was written is not what was counted: an object changed while the cluster read it, or a file of the lake went."""


Again = Displaced | ContentNeeded | BundleGone | ChangedMeanwhile  # why a day has to be planned anew


def settle_days(
    spark: SparkSession,
    work: Sequence[DayWork],
    bundles: ObjectStore,
    table: ObjectStore,
    run: str,
    *,
    max_line_bytes: int,
    tombstones: Tombstones = NONE,
    progress: Stage,
) -> dict[date, DayOut | Again]:
    """Decodes, settles and writes the days; what each came to, or why it has to be planned anew.

    Args:
        work: days in order; their bundles are numbered in that order.
        table: root of the table whose lines are read and below which files are placed.
        run: an id that nobody else uses; names of files begin with it.
    """
    with ExitStack() as cleared:
        settling = _Settling(spark, work, bundles, table, cleared)
        with watched(spark, "decode", settling.objects, progress):
            reads, again = settling.decode(max_line_bytes, tombstones)
        with watched(spark, "settle", len(work), progress):
            tallies = settling.settle(again)
        with watched(spark, "write", len(work), progress):
            files = settling.write(run, again)
        outs = _outs((day for day in work if day.plan.day not in again), files, reads, tallies)
        changed = [day for day, out in outs.items() if not _adds_up(out)]
        table.delete([file.path for day in changed for file in outs[day].files])
        again |= {day: ChangedMeanwhile(f"{day}: an object or a lake file changed while it was read") for day in changed}
        return {**outs, **again}


class _Settling:
    """The steps of one plan over one session of its own."""

    def __init__(self, spark: SparkSession, work: Sequence[DayWork], bundles: ObjectStore, table: ObjectStore, cleared: ExitStack) -> None:
        self.spark = own_session(spark)
        self.work = work
        self.bundles = bundles
        self.table = table
        self.cleared = cleared
        self.objects = sum(len(day.plan.read) for day in work)
        self.bytes = sum(bundle.bytes for day in work for bundle in day.plan.read)
        self.day_of = {number: day for day in work for number in day.numbers.values()}
        self.speculative = spark.sparkContext.getConf().get("spark.speculation", "false") == "true"
        self.parallelism = spark.sparkContext.defaultParallelism
        self.spark.conf.set("spark.sql.shuffle.partitions", str(max(self.parallelism, 1 + self.bytes // SHUFFLE_BYTES)))

    def decode(self, max_line_bytes: int, tombstones: Tombstones) -> tuple[dict[int, BundleRead], dict[date, Again]]:
        """Every line that is written, on the executors; what each bundle held, and the days whose objects are gone."""
        new = self._mapped(cuts.readings(self.work), lambda sent: self._bundle_lines(sent, max_line_bytes, tombstones))
        kept = self._kept_lines(whole=True)
        self.rows = self._persisted(self._placed(new if kept is None else new.unionByName(kept)))
        reads: dict[int, BundleRead] = {}
        again: dict[date, Again] = {}
        for kind, number, cells in _rows(collected(self.rows.where(f"kind IN ('{READ}', '{GONE}')").select("kind", "bundle_no", "cells"))):
            if kind == READ:
                reads[number] = lines.read_of(cells)
            else:
                again[self.day_of[number].plan.day] = BundleGone(msgspec.msgpack.decode(cells), number)
        return reads, again

    def _bundle_lines(self, sent: Any, max_line_bytes: int, tombstones: Tombstones) -> lines.Mapped:
        return lines.bundle_lines(sent, self.bundles, max_line_bytes, self._broadcast(tombstones))

    def settle(self, again: dict[date, Again]) -> pa.Table:
        """What became of the lines of each bundle; days that have to be planned anew are added to `again`."""
        columns = ("day", "event_hash", "position", "bundle_no", "kind", "reason", "coerced", "moved")
        own = self._of_days(again).selectExpr(*columns, "true AS written")
        met = self._met(own, columns)
        (own if met is None else own.unionByName(met)).createOrReplaceTempView("lines")
        self.spark.sql(survivors.repeated(*IDENTITY)).createOrReplaceTempView("repeated")
        self.losers = self._persisted(self.spark.sql(survivors.losers(*IDENTITY)))
        self.losers.createOrReplaceTempView("losers")
        if met is not None:
            again |= {self.day_of[number].plan.day: Displaced() for number in self._numbers(survivors.DISPLACED)}
        if any(file.kind == "duplicate" for day in self.work if day.plan.mode == "rebuild" for file in day.files):
            again |= self._orphaned()
        return collected(self.spark.sql(survivors.TALLIES)).cast(TALLIES).sort_by("bundle_no")

    def _orphaned(self) -> dict[date, Again]:
        found: dict[date, set[int]] = {}
        for number in self._numbers(survivors.ORPHANED):
            found.setdefault(self.day_of[number].plan.day, set()).add(number)
        return {
            day.plan.day: ContentNeeded(frozenset(key for key, number in day.numbers.items() if number in found[day.plan.day]))
            for day in self.work
            if day.plan.day in found
        }

    def _numbers(self, query: str) -> list[int]:
        return collected(self.spark.sql(query)).column(0).to_pylist()

    def write(self, run: str, again: Collection[date]) -> list[PlacedFile]:
        """Files of the days that stay, sorted as the local engine's; those of failed attempts are gone."""
        days = [day.plan.day for day in self.work if day.plan.day not in again]
        if not days:
            return []
        try:
            found = collected(self._sorted(again).mapInArrow(files_of(self.table, run), ddl(FILES)))
        except BaseException:
            self.table.delete(leftovers(self.table, run, [], days))
            raise
        files = [PlacedFile(*row) for row in _rows(found)]
        if self.speculative or any(file.attempt for file in files):  # else a listing per day and kind would find nothing
            self.table.delete(leftovers(self.table, run, files, days))
        return files

    def _sorted(self, again: Collection[date]) -> DataFrame:
        """Lines with their last kind, cut into ranges of day, kind, section and time, so that a large section is several files."""
        from pyspark.sql import functions as f

        lost = self.losers.select(f.col("position").alias("lost"))
        rows = self._of_days(again).join(lost, f.col("position") == f.col("lost"), "left")
        rows = rows.selectExpr(
            "day", "CASE WHEN lost IS NULL THEN kind ELSE 'duplicate' END AS kind", "event_hash", "source_line", "source_file", "source_etag",
            "uploaded_at", "CASE WHEN lost IS NULL AND kind <> 'quarantined' THEN section_id ELSE key_section END AS section_id",
            "CASE WHEN lost IS NULL THEN at END AS at", "CASE WHEN lost IS NULL THEN cells END AS cells",
            "CASE WHEN lost IS NULL AND kind <> 'quarantined' THEN event_hash END AS tie",
        )  # fmt: skip
        order = [f.col(name).asc_nulls_last() for name in ("day", "kind", "section_id", "at", "tie", "source_file", "source_line")]
        enough = max(1 + self.bytes // OUT_BYTES, min(self.parallelism, 1 + self.bytes // LEAST_OUT_BYTES))
        return rows.repartitionByRange(enough, *order).sortWithinPartitions(*order).drop("at", "tie")

    def _of_days(self, again: Collection[date]) -> DataFrame:
        """Lines that are written, but for those of some days."""
        from pyspark.sql import functions as f

        found = self.rows.where(f"kind NOT IN ('{READ}', '{GONE}')")
        return found.where(~f.col("day").isin(*again)) if again else found

    def _met(self, own: DataFrame, columns: Sequence[str]) -> DataFrame | None:
        """Lines the lake has that meet those of an increment."""
        held = self._kept_lines(whole=False)
        if held is None:
            return None
        new = own.select(*IDENTITY)
        return self._persisted(self._placed(held.join(new, list(IDENTITY), "left_semi")).selectExpr(*columns, "false AS written"))

    def _kept_lines(self, *, whole: bool) -> DataFrame | None:
        """Lines the lake has of kept bundles: whole for days that are written again, else identity and place. None when there are none."""
        days = [day for day in self.work if (day.plan.mode == "rebuild") == whole and day.files and day.kept]
        if not days:
            return None
        found = self._mapped(cuts.lake_files(days, whole=whole), lambda sent: lines.lake_lines(sent, self.table))
        kept = self._mapped(cuts.kept_bundles(days), lines.kept_bundles, lines.KEPT)
        return found.drop("bundle_no", "key_section").join(kept, ["day", "source_file"])

    def _placed(self, found: DataFrame) -> DataFrame:
        return found.selectExpr(
            "*", f"{survivors.position('CAST(bundle_no AS BIGINT)', 'source_line')} AS position",
            "section_id IS NOT NULL AND NOT section_id <=> key_section AS moved",
        )  # fmt: skip

    def _mapped(self, tasks: Sequence[bytes], mapped: Callable[[Any], lines.Mapped], schema: pa.Schema = lines.SCHEMA) -> DataFrame:
        """What `mapped` makes of each task, which it finds by its number in what is sent."""
        count = len(tasks)
        return self.spark.range(0, count, 1, max(1, count)).mapInArrow(mapped(self._broadcast(list(tasks))), ddl(schema))

    def _broadcast(self, value: Any) -> Any:
        sent = self.spark.sparkContext.broadcast(value)
        self.cleared.callback(sent.destroy)
        return sent

    def _persisted(self, found: DataFrame) -> DataFrame:
        kept = found.persist()  # memory and disk; a lost piece is made again from the same bytes
        self.cleared.callback(kept.unpersist)
        return kept


def _rows(table: pa.Table) -> Iterable[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _outs(work: Iterable[DayWork], files: Iterable[PlacedFile], reads: Mapping[int, BundleRead], tallies: pa.Table) -> dict[date, DayOut]:
    """What each day has of all that the plan wrote; `tallies` are in order of their bundles, and so are the days."""
    numbers = tallies.column("bundle_no").to_pylist()
    own: dict[date, list[PlacedFile]] = {}
    for file in files:
        own.setdefault(file.day, []).append(file)
    outs: dict[date, DayOut] = {}
    for day in work:
        first = min(day.numbers.values(), default=0)
        start, end = bisect_left(numbers, first), bisect_left(numbers, first + len(day.numbers))
        read = [reads[day.numbers[bundle.key]] for bundle in day.plan.read]
        outs[day.plan.day] = DayOut(own.get(day.plan.day, []), read, tallies.slice(start, end - start))
    return outs


def _adds_up(out: DayOut) -> bool:
    """Whether as many lines were written of each kind as were counted."""
    written, counted = Counter[str](), Counter[str]()
    for file in out.files:
        written[file.kind] += file.rows
    for fate, count in zip(out.tallies.column("fate").to_pylist(), out.tallies.column("n").to_pylist(), strict=True):
        counted[fate] += count
    return written == counted
