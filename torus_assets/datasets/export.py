"""One data set, from a request and a pinned version of the lake to published files.

A kill at any instant leaves the manifest as it was; running again finishes the work. A run that was finished is verified
against its checksums and left alone.
"""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
import polars as pl

from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.chunks import writers
from torus_assets.datasets.pseudonyms import PseudonymKey, Pseudonyms, RealNames
from torus_assets.datasets.reading import BATCH_ROWS, Survey, Tally, batches, survey
from torus_assets.datasets.receipt import OutFile, Progress, Store
from torus_assets.datasets.request import Request
from torus_assets.xapi.tables import EVENT_KINDS


class Snapshot(Protocol):
    """What is used of `lake.Snapshot`."""

    version: int

    def files(self, *, kinds: Any = None, first: Any = None, last: Any = None) -> list[Any]: ...
    def local(self, files: Any, scratch: Path) -> AbstractContextManager[list[Path]]: ...
    def held(self, first: Any = None, last: Any = None) -> list[date]: ...


class UnknownSections(LookupError):
    """The lake holds nothing at all of these sections."""

    def __init__(self, sections: Iterable[int]) -> None:
        self.sections = tuple(sorted(sections))
        super().__init__(f"the lake holds nothing of section {', '.join(map(str, self.sections))}")


class HeldDays(RuntimeError):
    """Days whose quarantined share passed the limit stand in the way; the request can say `include_held`."""

    def __init__(self, days: Iterable[date]) -> None:
        self.days = tuple(sorted(days))
        shown = ", ".join(day.isoformat() for day in self.days[:10]) + (" …" if len(self.days) > 10 else "")
        super().__init__(f'{len(self.days)} held day(s) would be read: {shown}; repair them or ask with "include_held": true')


@dataclass(frozen=True)
class ExportResult:
    """What came of it. `counts`: rows by section and kind; `excluded`: rows left out by reason, superseded ones too."""

    run: str
    folder: str
    chunks: tuple[str, ...]
    rows: int
    counts: dict[tuple[int, str], int]
    excluded: dict[str, int]
    receipt: dict[str, Any]
    reused: bool


def export(
    request: Request,
    snapshot: Snapshot,
    store: Store,
    *,
    pseudonyms: PseudonymKey,
    scratch: Path,
    include_held: bool | None = None,
    progress: Progress | None = None,
    batch_rows: int = BATCH_ROWS,
) -> ExportResult:
    """Writes the data set of `request` below `{job_id}/` in `store`.

    Args:
        include_held: overrides the request's own word on held days when given.
        progress: called with (rows read so far, rows to read).

    Raises:
        UnknownSections: sections the lake does not hold at all, by name.
        HeldDays: held days, and neither request nor argument includes them.
    """
    started = datetime.now(UTC)
    if include_held is not None:
        request = replace(request, include_held=include_held)
    held = _held(request, snapshot)
    names, lookup = _names(request, store, pseudonyms)
    scratch.mkdir(parents=True, exist_ok=True)
    files = sorted(snapshot.files(kinds=request.table.kinds), key=lambda file: (file.day, file.kind, file.path))
    with snapshot.local(files, scratch) as paths, tempfile.TemporaryDirectory(dir=scratch, prefix="dataset-") as folder:
        seen = survey(request, files, paths, batch_rows=batch_rows)
        _known(request, snapshot, seen, scratch)
        decided_by = receipts.inputs(request, pseudonyms, seen.parts, [day.isoformat() for day in held], lookup)
        run = receipts.run_id(decided_by)
        target = f"{request.job_id}/runs/{run}/"
        if found := receipts.complete(store, target):
            receipts.publish(store, request, run, found)
            return _result(run, target, found, reused=True)
        tally = Tally()
        written = _write(request, seen, tally, names, store, target, Path(folder), progress, batch_rows)
        made = receipts.receipt(run, decided_by, snapshot.version, tally, written)
    _finish(store, target, made, started)
    receipts.publish(store, request, run, made)
    return _result(run, target, made, reused=False)


def _write(
    request: Request, seen: Survey, tally: Tally, names: Pseudonyms | RealNames, store: Store, target: str, folder: Path,
    progress: Progress | None, batch_rows: int,
) -> list[OutFile]:  # fmt: skip
    """Every file of the data set, each put as soon as it is full, so that scratch holds one chunk per format."""
    written: list[OutFile] = []
    making = writers(request, folder)
    done, total = 0, int(seen.counts["rows"].sum())

    def put(chunks: Iterable[tuple[Path, int]]) -> None:
        for path, rows in chunks:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            written.append(OutFile(path.name, rows, path.stat().st_size, digest))
            _put(store, target + path.name, path)

    for rows in batches(request, seen, tally, folder, batch_rows=batch_rows):
        named = names.name(rows)
        for writer in making:
            put(writer.add(named))
        done += rows.height
        if progress:
            progress(done, total)
    for writer in making:
        put(writer.end())
    order = {writer.suffix: place for place, writer in enumerate(making)}
    return sorted(written, key=lambda file: (order[Path(file.name).suffix], int(Path(file.name).stem.removeprefix("chunk_"))))


def _put(store: Store, key: str, path: Path) -> None:
    """Puts a file and removes it; within one file system by renaming, which saves a copy (a seventh of all CPU seconds)."""
    if getattr(store, "is_local", False):
        place: Path = store.path(key)  # pyright: ignore[reportAttributeAccessIssue]
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.replace(place)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
        else:
            return
    store.put(key, path)
    path.unlink()


def _finish(store: Store, target: str, made: Mapping[str, Any], started: datetime) -> None:
    """Removes what a killed run left and no file of this one replaced, then run.json, then the receipt: last in the folder."""
    mine = {target + file["name"] for file in made["files"]}
    store.delete([entry.key for entry in store.list(target) if entry.key not in mine and not entry.key.endswith(".json")])
    times = {"started": started.isoformat(), "finished": datetime.now(UTC).isoformat(), "polars": pl.__version__}
    store.put(f"{target}run.json", receipts.encoded(times))
    store.put(f"{target}receipt.json", receipts.encoded(made))


def _held(request: Request, snapshot: Snapshot) -> list[date]:
    """Held days that this data set would read. Nothing is uploaded a day or more before it happens."""
    first = request.date_from - timedelta(days=1) if request.date_from else None
    held = list(snapshot.held(first))
    if held and not request.include_held:
        raise HeldDays(held)
    return sorted(held)


def _known(request: Request, snapshot: Snapshot, seen: Survey, scratch: Path) -> None:
    """Refuses sections of which no kind of any day has a row."""
    missing = set(request.section_ids) - seen.sections
    others = snapshot.files(kinds=[kind for kind in EVENT_KINDS if kind not in request.table.kinds]) if missing else []
    with snapshot.local(others, scratch) as paths:
        if paths:
            sections = pl.scan_parquet(paths, schema={"section_id": pl.Int64()}, extra_columns="ignore")
            missing -= set(sections.filter(pl.col("section_id").is_in(sorted(missing))).unique().collect()["section_id"])
    if missing:
        raise UnknownSections(missing)


def _names(request: Request, store: Store, key: PseudonymKey) -> tuple[Pseudonyms | RealNames, str | None]:
    """How learners appear, and the SHA-256 of the lookup where one was read."""
    if request.anonymize:
        return key.scoped(request.scope), None
    try:
        body = store.get(f"contexts/{request.job_id}.json").body
    except FileNotFoundError:
        return RealNames(), None
    users = msgspec.json.decode(body).get("users") or {}
    return RealNames({str(user): entry["email"] for user, entry in users.items() if entry and entry.get("email")}), hashlib.sha256(
        body
    ).hexdigest()


def _result(run: str, target: str, found: dict[str, Any], *, reused: bool) -> ExportResult:
    counts = {(count["section_id"], count["kind"]): count["rows"] for count in found["counts"]}
    excluded = {**found["excluded"], **{reason: n for reason, n in found["superseded"].items() if n}}
    return ExportResult(
        run, target, tuple(file["name"] for file in found["files"]), found["rows"]["exported"], counts, excluded, found, reused
    )
