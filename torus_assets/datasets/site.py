"""Where the rows of a data set are read and written: in this process, or wherever else something does the steps of `Site`.

`export.py` says what has to be done and in which order; all sites give the same bytes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from torus_assets.clients.object_store import open_store
from torus_assets.datasets import page_of, tables_out
from torus_assets.datasets.batches import batches, is_read
from torus_assets.datasets.copies import write_losers
from torus_assets.datasets.datashop import out as datashop
from torus_assets.datasets.datashop import pieces
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.output import Output
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.reading import DayFile, Survey, Tally, sections_in, survey, users
from torus_assets.datasets.receipt import Progress
from torus_assets.datasets.request import Request
from torus_assets.xapi.lake_files import local_paths


class Snapshot(Protocol):
    """What is used of `lake.Snapshot`."""

    @property
    def version(self) -> int: ...

    def files(self, *, kinds: Any = None, first: Any = None, last: Any = None) -> list[Any]: ...
    def local(self, files: Any, scratch: Path) -> AbstractContextManager[list[Path]]: ...
    def held(self, first: Any = None, last: Any = None) -> list[date]: ...


@dataclass
class Making:
    """What is known of a data set before a byte of it is written."""

    request: Request
    seen: Survey
    names: Names
    lookup: Lookup
    output: Output
    folder: Path  # for files of this process
    progress: Progress | None
    batch_rows: int

    def writing(self) -> tables_out.Writing:
        return tables_out.Writing(self.request, self.names, self.lookup, self.output, self.folder)


class Site(Protocol):
    """The steps that touch rows."""

    def survey(self, request: Request, files: Sequence[Any], batch_rows: int) -> Survey:
        """Counts and digests of the request's sections."""
        ...

    def users(self, request: Request, files: Sequence[Any]) -> list[tuple[str | None, str]]:
        """(home page, user id) of everyone in the request's sections, in order."""
        ...

    def sections(self, files: Sequence[Any], wanted: Collection[int]) -> set[int]:
        """Which of the sections have a row in the files."""
        ...

    def tables(self, making: Making, tally: Tally) -> page_of.Figures:
        """Every chunk of a CSV or Parquet data set, put; `tally` gets what became of each row.

        Raises:
            PersonalData: a finished file held something of a user.
        """
        ...

    def transactions(self, making: Making) -> AbstractContextManager[datashop.Site]:
        """Where a DataShop data set is made."""
        ...


@dataclass
class Here:
    """This process. A remote lake's files are fetched for as long as `here` lasts."""

    snapshot: Snapshot
    scratch: Path
    paths: dict[str, Path]  # of the lake's files, by their own path
    engine: datashop.Engine | None
    workers: int

    def survey(self, request: Request, files: Sequence[Any], batch_rows: int) -> Survey:
        return survey(request, files, self._local(files), batch_rows=batch_rows)

    def users(self, request: Request, files: Sequence[Any]) -> list[tuple[str | None, str]]:
        return users(request, self._local(files))

    def sections(self, files: Sequence[Any], wanted: Collection[int]) -> set[int]:
        with _read_here(self.snapshot, files, wanted, self.scratch, columns=()) as paths:
            return sections_in(paths, wanted)

    def tables(self, making: Making, tally: Tally) -> page_of.Figures:
        request, seen = making.request, making.seen
        paths, losers = self._local(seen.files), self._losers(making)
        rows = batches(request, seen, paths, losers, tally, making.folder, batch_rows=making.batch_rows)
        total = int(seen.counts["rows"].sum())
        return page_of.of_rows(tables_out.write(making.writing(), rows, total, making.progress), making.folder)

    @contextmanager
    def transactions(self, making: Making) -> Iterator[datashop.Site]:
        files = making.seen.files
        with (self.engine or pieces.connect)(making.folder) as connection:
            paths = pieces.by_kind(files, self._local(files), making.folder)
            yield datashop.Here(making.request, paths, making.folder, connection, self.workers)

    def _local(self, files: Sequence[DayFile]) -> list[Path]:
        return [self.paths[file.path] for file in files]

    def _losers(self, making: Making) -> list[Path]:
        if making.request.order == "time":
            return []
        files = [(file, self.paths[file.path]) for file in is_read(making.request, making.seen)]
        target = making.folder / "losers.parquet"
        with (self.engine or pieces.connect)(making.folder) as connection:
            return [target] if write_losers(connection, files, making.request.section_ids, target) else []


@contextmanager
def here(
    snapshot: Snapshot, files: Sequence[Any], sections: Collection[int], scratch: Path, engine: datashop.Engine | None = None, workers: int = 1
) -> Iterator[Site]:  # fmt: skip
    """This process, with the files where it can read them.

    Args:
        sections: that are read; of a remote lake only what may be theirs is fetched.
        engine: opens DuckDB; by default one of our own.
        workers: processes that make DataShop files; their number changes no byte.
    """
    with _read_here(snapshot, files, sections, scratch) as paths:
        yield Here(snapshot, scratch, {file.path: path for file, path in zip(files, paths, strict=True)}, engine, workers)


@contextmanager
def _read_here(
    snapshot: Snapshot, files: Sequence[Any], sections: Collection[int], scratch: Path, columns: Sequence[str] | None = None
) -> Iterator[list[Path]]:  # fmt: skip
    """The files as paths. A remote lake's hold the sections' rows only, and are gone afterwards."""
    url: str | None = getattr(snapshot, "url", None)
    if url is None or open_store(url).is_local:
        with snapshot.local(files, scratch) as paths:
            yield paths
        return
    with tempfile.TemporaryDirectory(dir=scratch, prefix="lake-") as folder:
        yield local_paths(url, files, sections, Path(folder), columns=columns)
