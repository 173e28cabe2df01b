"""The work of a plan, cut into tasks: bundles to decode, files of the lake to read again, bundles whose lines the lake has."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from torus_assets.xapi.decode import cut

if TYPE_CHECKING:  # workers import this module, and have no use for Delta and polars
    from torus_assets.xapi.lake import DayFile
    from torus_assets.xapi.ledger import Plan

CUT_BYTES = 32 << 20  # of bundles in one task: bounds how unevenly the last ones end, and what a lost worker costs
CUT_OBJECTS = 2000
LAKE_CUT_BYTES = 32 << 20  # of Parquet in one task
KEPT_CUT = 50_000  # bundles
GROUP_OBJECTS = 500_000  # in one plan: the driver holds a kilobyte of each
GROUP_BYTES = 200 << 30  # in one plan: what a failure of the driver costs, and what executors keep on their disks

_T = TypeVar("_T")


class DayWork(NamedTuple):
    """One day of a plan."""

    plan: Plan
    numbers: Mapping[str, int]  # of its bundles after the plan, by key; days follow each other
    kept: Sequence[tuple[int, str, int | None]]  # bundles whose lines the lake has: number, source_file, section of the key
    files: Sequence[DayFile]  # of the lake, with lines of those


class Load:
    """How much a plan of several days has to read."""

    def __init__(self) -> None:
        self.objects = self.bytes = 0

    def add(self, plan: Plan) -> None:
        self.objects += len(plan.read)
        self.bytes += sum(bundle.bytes for bundle in plan.read)

    @property
    def is_full(self) -> bool:
        return self.objects >= GROUP_OBJECTS or self.bytes >= GROUP_BYTES


class Reading(NamedTuple):
    """One bundle to decode, with what its rows have to say of their place."""

    no: int
    key: str
    section: int | None
    bytes: int
    etag: str  # that it must have; "": any
    day: date
    uploaded_at: datetime


class Kept(NamedTuple):
    """A bundle whose lines the lake has."""

    day: date
    source_file: str
    no: int
    section: int | None


class LakeFile(NamedTuple):
    """Row groups of one file of the lake: those whose number leaves `part` when divided by `parts`."""

    path: str
    bytes: int
    day: date
    kind: str
    part: int
    parts: int
    whole: bool  # the lines are written again; else only their identity and place are wanted


def packed(items: Sequence[Any]) -> bytes:
    """Work for one task, as small as it gets: the whole plan goes to every worker."""
    return zlib.compress(msgspec.msgpack.encode(items), 1)


def unpacked(blob: bytes, type_: type[_T]) -> list[_T]:
    return msgspec.msgpack.decode(zlib.decompress(blob), type=list[type_])  # type: ignore[valid-type]


def readings(work: Iterable[DayWork]) -> list[bytes]:
    readings = (
        Reading(day.numbers[b.key], b.key, b.section, b.bytes, b.etag, day.plan.day, b.uploaded_at) for day in work for b in day.plan.read
    )
    return [packed(each) for each in cut(readings, CUT_BYTES, CUT_OBJECTS, lambda reading: reading.bytes)]


def lake_files(days: Iterable[DayWork], *, whole: bool) -> list[bytes]:
    files = [
        LakeFile(file.path, file.bytes, day.plan.day, file.kind, part, parts, whole)
        for day in days
        for file in day.files
        if whole or file.kind != "duplicate"
        for parts in [1 + file.bytes // LAKE_CUT_BYTES]
        for part in range(parts)
    ]
    return [packed(each) for each in cut(files, LAKE_CUT_BYTES, CUT_OBJECTS, lambda file: file.bytes // file.parts)]


def kept_bundles(days: Iterable[DayWork]) -> list[bytes]:
    kept = (Kept(day.plan.day, source_file, number, section) for day in days for number, source_file, section in day.kept)
    return [packed(each) for each in cut(kept, KEPT_CUT, KEPT_CUT, lambda _: 1)]
