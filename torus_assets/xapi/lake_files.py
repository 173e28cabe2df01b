"""Files of a lake on the disk of the machine that reads them, fetched once however many processes ask at the same time.

A folder's files are read where they are. A remote lake's come through the object store: whole when all of a file may be of the sections asked
for, else only the row groups whose statistics allow it (files are sorted by section), and of these only the sections' rows. So a data set of
one section does not carry a whole day to each machine.

What is fetched is private: files of mode 0600 in folders of mode 0700. It stays until `forget_fetched`, because the next task of the job on that
machine wants the same files. Whoever starts the job chooses a scratch folder that ends with it (`SparkFiles.getRootDirectory()` does: the
executor removes it when it ends), and calls `forget_fetched` at the end where the folder is its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectStore, open_store

FOLDER = "lake-files"  # below scratch
FETCHES = 4  # files at once, each with one compressed row group (about 10 MB) and one batch of rows in memory
BATCH_ROWS = 10_000  # 12 MB of usual rows; a row group of what is written
SECTION = "section_id"


class LakeFile(Protocol):
    """What is read of `lake.DayFile`."""

    @property
    def path(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def rows(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class Part(NamedTuple):
    """What is wanted of files."""

    sections: tuple[int, ...] | None  # ascending
    columns: tuple[str, ...] | None


def local_paths(
    url: str, files: Sequence[LakeFile], sections: Collection[int] | None, scratch: Path, *, columns: Sequence[str] | None = None
) -> list[Path]:
    """The files as paths of this machine, in the same order.

    Args:
        url: of the table: the paths of files are relative to it.
        sections: those that are wanted (None: all). A remote file may then hold their rows only, in the order they had; one without any row
            of theirs gives a Parquet file of the same columns and no rows. A folder's files are always whole.
        columns: a remote file may hold these only (None: all; a name that a file does not have is passed over). `section_id` always comes along.
        scratch: one folder per machine and job; the same for every process that should share what is fetched.

    Raises:
        FileNotFoundError: a file is gone, by its address: vacuumed since the snapshot.
    """
    store = open_store(url)
    if store.is_local:
        return [store.path(file.path) for file in files]
    folder = private_folder(scratch / FOLDER)
    part = Part(None if sections is None else tuple(sorted(set(sections))), None if columns is None else (SECTION, *columns))
    targets = [folder / _name(url, file.path, part) for file in files]
    missing = [(file, target) for file, target in zip(files, targets, strict=True) if not target.exists()]
    if missing:
        with ThreadPoolExecutor(min(FETCHES, len(missing))) as pool:
            # First what nobody else is fetching, so that several processes share the work, then what others had begun.
            for wait in (False, True):
                list(pool.map(partial(_fetched, store, part, wait=wait), missing))
    return targets


def forget_fetched(scratch: Path) -> None:
    """Removes what was fetched below `scratch`. Nobody may be reading it any more."""
    shutil.rmtree(scratch / FOLDER, ignore_errors=True)


def private_folder(folder: Path) -> Path:
    """The folder, made if need be, for its owner alone."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)  # also where the umask or somebody else was first
    return folder


def _name(url: str, path: str, part: Part) -> str:
    return f"{hashlib.sha256(repr((url.rstrip('/'), path, *part)).encode()).hexdigest()[:32]}.parquet"


def _fetched(store: ObjectStore, part: Part, asked: tuple[LakeFile, Path], *, wait: bool) -> None:
    """Fetches one file, unless it is there or (without `wait`) somebody else is at it.

    The lock goes with its process, so a killed fetch keeps nobody waiting; its draft is written anew by the next one.
    """
    file, target = asked
    if target.exists():
        return
    with _locked(target.with_suffix(".lock"), wait=wait) as mine:
        if not mine or target.exists():
            return
        draft = target.with_suffix(".part")
        try:
            with open(draft, "wb", opener=_private) as out:
                _fetch(store, file, part, out)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether the lock is ours inside; closing the file gives it back."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        yield _taken(descriptor, wait=wait)
    finally:
        os.close(descriptor)


def _taken(descriptor: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _fetch(store: ObjectStore, file: LakeFile, part: Part, out: BinaryIO) -> None:
    if part.sections is not None or part.columns is not None:
        with pq.ParquetFile(store.reader(file.path, file.bytes), pre_buffer=True) as source:
            groups = groups_of(source.metadata, part.sections)
            if part.columns is not None or not groups or len(groups) < source.metadata.num_row_groups:
                _copy_rows(source, groups, part, out)
                return
    out.writelines(store.stream(file.path).chunks)


def groups_of(metadata: pq.FileMetaData, wanted: Sequence[int] | None) -> list[int]:
    """Row groups that may hold a row of the sections (in ascending order; None: all); one without statistics may hold anything."""
    column = next((at for at in range(metadata.num_columns) if metadata.schema.column(at).path == SECTION), None)
    if column is None or wanted is None:
        return list(range(metadata.num_row_groups))
    return [g for g in range(metadata.num_row_groups) if _may_hold(metadata.row_group(g).column(column).statistics, wanted)]


def _may_hold(statistics: Any, wanted: Sequence[int]) -> bool:
    if statistics is None or not statistics.has_min_max:
        return True
    at = bisect_left(wanted, statistics.min)
    return at < len(wanted) and wanted[at] <= statistics.max


def _copy_rows(source: pq.ParquetFile, groups: Sequence[int], part: Part, out: BinaryIO) -> None:
    """Rows of some row groups; one group is read at a time, which is one request for each run of columns."""
    whole = source.schema_arrow
    schema = whole if part.columns is None else pa.schema([whole.field(at) for at in range(len(whole)) if whole.names[at] in part.columns])
    of_sections = pc.scalar(True) if part.sections is None else pc.field(SECTION).isin(part.sections)
    with pq.ParquetWriter(out, schema, compression="zstd", compression_level=1) as writer:
        for group in groups:
            for batch in source.iter_batches(BATCH_ROWS, row_groups=[group], columns=schema.names):
                if (rows := pa.Table.from_batches([batch], schema).filter(of_sections)).num_rows:
                    writer.write_table(rows)
