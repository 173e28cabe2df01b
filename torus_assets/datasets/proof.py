"""Proves a published data set again: its files against the receipt, the receipt against itself, and what it read against the lake of today."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.catalog import is_withdrawn
from torus_assets.datasets.datashop import out as datashop
from torus_assets.datasets.datashop.scope import SectionCounts
from torus_assets.datasets.output import OutFile
from torus_assets.datasets.reading import survey
from torus_assets.datasets.request import parse_request
from torus_assets.datasets.run_folder import Run, find_run

INPUTS = ("request", "code_version", "key_fingerprint", "lookup_sha256", "held_days_included", "read")


class LakeLike(Protocol):
    """What is used of `lake.Lake`."""

    def snapshot(self) -> Any: ...


@dataclass
class Proof:
    """What was looked at and found. Changes of the lake since are reported, and are no fault of the data set."""

    run: str
    ok: bool = True
    lines: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, *, passed: bool, says: str, **evidence: Any) -> None:
        self.ok &= passed
        self.lines.append(f"{'right' if passed else 'WRONG'}: {says}")
        self.document[name] = {"passed": passed, **evidence}


def prove(store: Any, lake: LakeLike, job_id: str, scratch: Path) -> Proof:
    """Everything that can be proved of the job's published run.

    Raises:
        NoSuchRun: the job has no published run.
    """
    run = find_run(store, job_id)
    proof = Proof(run.id)
    _files(run, proof)
    _receipt(run, proof)
    _manifest(run, proof, job_id)
    if run.receipt["request"]["action"] == "datashop":
        _datashop(run, proof)
    _lake(run, lake, proof, scratch)
    return proof


def _files(run: Run, proof: Proof) -> None:
    wrong = [file["name"] for file in run.receipt["files"] if not receipts.is_whole(run.store, run.folder, file)]
    there = {entry.key.removeprefix(run.folder) for entry in run.store.list(run.folder)}
    stray = sorted(there - {file["name"] for file in run.receipt["files"]} - {"receipt.json", "run.json"})
    n = len(run.receipt["files"])
    proof.add(
        "files", passed=not wrong, says=f"{n - len(wrong)} of {n} files have the SHA-256 that the receipt says{_named(wrong)}", wrong=wrong
    )
    proof.add("nothing_else", passed=not stray, says=f"{len(stray)} files are not in the receipt{_named(stray)}", stray=stray)


def _receipt(run: Run, proof: Proof) -> None:
    found = run.receipt
    same = receipts.run_id({name: found[name] for name in INPUTS}) == found["run"]
    proof.add(
        "run_id",
        passed=same,
        says="the run's id is the digest of what decided its bytes" if same else "the run's id is not that of its inputs",
    )
    left_out = sum(found["excluded"].values()) + sum(found["superseded"].values())
    read, exported = found["rows"]["read"], found["rows"]["exported"]
    proof.add(
        "counts", passed=read == exported + left_out, says=f"{read:,} rows read = {exported:,} exported + {left_out:,} left out by reason"
    )


def _manifest(run: Run, proof: Proof, job_id: str) -> None:
    withdrawn = is_withdrawn(run.store, job_id)
    proof.add("published", passed=not withdrawn, says="it is withdrawn" if withdrawn else "the job's manifest names this run")


def _datashop(run: Run, proof: Proof) -> None:
    files = [OutFile(**file) for file in run.receipt["files"]]
    sections = {one["section_id"]: SectionCounts(*(one[name] for name in SectionCounts._fields)) for one in run.receipt["sections"]}
    for form, report in datashop.read_back(run.store, run.folder, files).items():
        proof.add(
            f"{form}_is_valid", passed=report.ok, says=f"the verifier finds {report.errors} errors in {form}", warnings=report.warnings
        )
        wrong = datashop.differences(sections, report)
        proof.add(
            f"{form}_counts",
            passed=not wrong,
            says=f"counts read back from {form} are those of the receipt{_named(wrong)}",
            differences=wrong,
        )


def _lake(run: Run, lake: LakeLike, proof: Proof, scratch: Path) -> None:
    """What the data set read, compared with what the lake holds now: new days are news, and changed ones have a reason."""
    try:
        snapshot = lake.snapshot()
    except FileNotFoundError:
        proof.lines.append("not compared: there is no lake here")
        return
    shown = run.receipt["request"]
    request = parse_request({name: value for name, value in shown.items() if name != "ignored_students"})
    files = sorted(snapshot.files(kinds=request.table.kinds), key=lambda file: (file.day, file.kind, file.path))
    with snapshot.local(files, scratch) as paths:
        now = {(part.day, part.kind): part for part in survey(request, files, paths).parts}
    then = {(part["day"], part["kind"]): part for part in run.receipt["read"]}
    changes = list(_changes(then, now, _forgotten(snapshot)))
    proof.document["lake"] = {"same": not changes, "changes": changes}
    proof.lines += changes or ["right: the lake still holds what was read, and nothing else for these sections"]


def _forgotten(snapshot: Any) -> dict[str, int]:
    """Lines of learners who were forgotten, by day, as the lake's ledger counts them today."""
    counts = snapshot.ledger().group_by("upload_date").agg(pl.col("forgotten").sum())
    return {day.isoformat(): lines for day, lines in counts.iter_rows() if lines}


def _changes(then: dict[Any, Any], now: dict[Any, Any], forgotten: Mapping[str, int]) -> Iterator[str]:
    """What the lake holds otherwise than the data set read it, with the reason: an erased learner is none of the data set's faults."""
    for day, kind in sorted(then.keys() | now.keys()):
        before, after = then.get((day, kind)), now.get((day, kind))
        erased = f"learners were erased ({forgotten[day]:,} lines of the day count as forgotten)" if day in forgotten else ""
        if before is None:
            yield f"since then: {day} {kind} has come, {now[day, kind].rows:,} rows"
        elif after is None:
            yield f"since then: {day} {kind} has gone, {before['rows']:,} rows: {erased or 'a rebuild that dropped vanished objects'}"
        elif before["digest"] != after.digest:
            fewer = after.rows < before["rows"]
            word = (erased or "a rebuild") if fewer else "late or corrected events"
            yield f"since then: {day} {kind} has {after.rows:,} rows instead of {before['rows']:,}: {word}"


def _named(names: list[str]) -> str:
    return f": {', '.join(names[:5])}{' …' if len(names) > 5 else ''}" if names else ""
