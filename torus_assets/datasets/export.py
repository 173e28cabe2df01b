"""One data set, from a request and a pinned version of the lake to published files.

A kill at any instant leaves the manifest as it was; running again finishes the work. A run that was finished is verified
against its checksums and left alone. A data set that does not pass its own checks is kept with its receipt and not published.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import polars as pl

from torus_assets.datasets import page_of
from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.datashop import out as datashop
from torus_assets.datasets.links import RELATIVE, Links
from torus_assets.datasets.lookup import EMPTY, Lookup, parse_lookup, without_addresses
from torus_assets.datasets.output import CHUNK, Output
from torus_assets.datasets.pseudonyms import Names, PseudonymKey, RealNames
from torus_assets.datasets.reading import BATCH_ROWS, Survey, Tally
from torus_assets.datasets.receipt import Progress, Store
from torus_assets.datasets.release import PersonalData
from torus_assets.datasets.request import Request
from torus_assets.datasets.site import Making, Site, Snapshot, here
from torus_assets.xapi.tables import EVENT_KINDS


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
    rows: int  # of the lake that are in it
    counts: dict[tuple[int, str], int]
    excluded: dict[str, int]
    receipt: dict[str, Any]
    reused: bool

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        """The data set's own checks: `passed`, and the evidence."""
        return self.receipt["checks"]

    @property
    def ok(self) -> bool:
        return all(check["passed"] for check in self.checks.values())


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
    workers: int = 1,
    engine: datashop.Engine | None = None,
    links: Links = RELATIVE,
    site: Site | None = None,
) -> ExportResult:
    """Writes the data set of `request` below `{job_id}/` in `store`.

    Args:
        include_held: overrides the request's own word on held days when given.
        progress: called with (rows read so far, rows to read).
        workers: processes that make DataShop files; their number changes no byte.
        engine: opens DuckDB for rollups; by default one of our own.
        links: how the manifest speaks of the files.
        site: where rows are read and written; by default this process. `workers` and `engine` are of this process.

    Raises:
        UnknownSections: sections the lake does not hold at all, by name.
        HeldDays: held days, and neither request nor argument includes them.
        PersonalData: a finished file still held something of a user; nothing is published.
        LookupInvalid: the lookup of the job is no JSON object.
    """
    started = datetime.now(UTC)
    if include_held is not None:
        request = replace(request, include_held=include_held)
    held = _held(request, snapshot)
    lookup = read_lookup(request, store)
    names: Names = pseudonyms.scoped(request.scope) if request.anonymize else RealNames(lookup.users)
    scratch.mkdir(parents=True, exist_ok=True)
    files = sorted(snapshot.files(kinds=request.table.kinds), key=lambda file: (file.day, file.kind, file.path))
    place = nullcontext(site) if site else here(snapshot, files, request.section_ids, scratch, engine, workers)
    with place as at, tempfile.TemporaryDirectory(dir=scratch, prefix="dataset-") as folder:
        seen = at.survey(request, files, batch_rows)
        _known(request, snapshot, seen, at)
        days = [day.isoformat() for day in held]
        decided_by = receipts.inputs(request, pseudonyms, seen.parts, days, None if lookup is EMPTY else lookup.sha256)
        run = receipts.run_id(decided_by)
        target = f"{request.job_id}/runs/{run}/"
        if found := receipts.complete(store, target):
            return _published(store, request, run, target, found, links, reused=True)
        output = Output(store, target, names.redaction(at.users(request, files), lookup.users))
        making = Making(request, seen, names, without_addresses(lookup, output.users), output, Path(folder), progress, batch_rows)
        try:
            made = _made(at, making, run, decided_by, snapshot.version)
        except PersonalData:
            store.delete([entry.key for entry in store.list(target)])
            raise
    _finish(store, target, made, started)
    return _published(store, request, run, target, made, links, reused=False)


def result_of(store: Store, folder: str, *, reused: bool) -> ExportResult:
    """The result of a run that was made elsewhere, from its receipt.

    Args:
        folder: key of the run's folder, with its final slash.

    Raises:
        FileNotFoundError: the run is not finished, or not there.
    """
    found = msgspec.json.decode(store.get(f"{folder}receipt.json").body)
    return _result(found["run"], folder, found, reused=reused)


def lookup_key(job_id: str) -> str:
    """Where a job's lookup stands in the data set store. Private: it may hold e-mail addresses."""
    return f"contexts/{job_id}.json"


def read_lookup(request: Request, store: Store) -> Lookup:
    """The lookup beside the request; `EMPTY` when there is none."""
    try:
        return parse_lookup(store.get(lookup_key(request.job_id)).body)
    except FileNotFoundError:
        return EMPTY


def _made(at: Site, making: Making, run: str, decided_by: Mapping[str, Any], version: int) -> dict[str, Any]:
    """All files of the run, and its receipt."""
    is_datashop, tally = making.request.action == "datashop", Tally()
    figures, more = (_datashop if is_datashop else _tables)(at, making, tally)
    more["lookup_problems"] = list(making.lookup.problems)
    _put_lookup(making)
    draft = receipts.receipt(run, decided_by, version, tally, making.output.in_order(), more)
    first = next((file for file in making.output.in_order() if file.what == CHUNK and file.name.endswith((".csv", ".txt"))), None)
    head = making.output.head(first.name, page_of.PREVIEW_BYTES) if first else b""
    name = (making.request.dataset_name or making.lookup.dataset_name or "") if is_datashop else ""
    page_of.put(making.output, making.request, name or making.request.job_id, draft, figures, head, making.folder)
    return receipts.receipt(run, decided_by, version, tally, making.output.in_order(), more)


def _tables(at: Site, making: Making, tally: Tally) -> tuple[page_of.Figures, dict[str, Any]]:
    return at.tables(making, tally), {"sections": [], "checks": {}, "notes": {}}


def _datashop(at: Site, making: Making, tally: Tally) -> tuple[page_of.Figures, dict[str, Any]]:
    with at.transactions(making) as site:
        made = datashop.make(site, making.request, making.lookup, making.names, tally, making.output, making.progress)
        reports = site.read_back(making.output)
    checks: dict[str, Any] = {}
    for form, report in reports.items():
        found = datashop.differences(made.expected, report)
        checks[f"datashop_{form}_is_valid"] = {"passed": report.ok, "errors": report.errors, "warnings": report.warnings}
        checks[f"datashop_{form}_equals_lake"] = {"passed": not found, "differences": found[:20]}
    sections = [{"section_id": section, **counts._asdict()} for section, counts in made.expected.items()]
    return made.figures, {"sections": sections, "checks": checks, "notes": dict(sorted(made.notes.items()))}


def _put_lookup(making: Making) -> None:
    """The lookup as it was used, without users: what titles and choices the data set was made with."""
    if making.lookup is EMPTY:
        return
    path = making.folder / "lookup.json"
    path.write_bytes(receipts.encoded(making.lookup.public_document()))
    making.output.put(path, path.name, 0, "lookup")


def _finish(store: Store, target: str, made: Mapping[str, Any], started: datetime) -> None:
    """Removes what a killed run left and no file of this one replaced, then run.json, then the receipt: last in the folder."""
    mine = {target + file["name"] for file in made["files"]}
    store.delete([entry.key for entry in store.list(target) if entry.key not in mine])
    times = {
        "started": started.isoformat(), "finished": datetime.now(UTC).isoformat(), "polars": pl.__version__, "duckdb": duckdb.__version__,
    }  # fmt: skip
    store.put(f"{target}run.json", receipts.encoded(times))
    store.put(f"{target}receipt.json", receipts.encoded(made))


def _published(
    store: Store, request: Request, run: str, target: str, made: dict[str, Any], links: Links, *, reused: bool
) -> ExportResult:  # fmt: skip
    """Points manifest and page of the job at the run, if it passed its own checks."""
    result = _result(run, target, made, reused=reused)
    if result.ok:
        receipts.publish(store, request, run, made, links)
    return result


def _held(request: Request, snapshot: Snapshot) -> list[date]:
    """Held days that this data set would read. Nothing is uploaded a day or more before it happens."""
    first = request.date_from - timedelta(days=1) if request.date_from else None
    held = list(snapshot.held(first))
    if held and not request.include_held:
        raise HeldDays(held)
    return sorted(held)


def _known(request: Request, snapshot: Snapshot, seen: Survey, at: Site) -> None:
    """Refuses sections of which no kind of any day has a row."""
    missing = set(request.section_ids) - seen.sections
    if missing:
        others = snapshot.files(kinds=[kind for kind in EVENT_KINDS if kind not in request.table.kinds])
        missing -= at.sections(others, missing)
    if missing:
        raise UnknownSections(missing)


def _result(run: str, target: str, found: dict[str, Any], *, reused: bool) -> ExportResult:
    counts = {(count["section_id"], count["kind"]): count["rows"] for count in found["counts"]}
    excluded = {**found["excluded"], **{reason: n for reason, n in found["superseded"].items() if n}}
    chunks = tuple(file["name"] for file in found["files"] if file["what"] == "chunk")
    return ExportResult(run, target, chunks, found["rows"]["exported"], counts, excluded, found, reused)
