"""Two runs of data sets compared: which rows differ, and why (`torus dataset diff`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torus_assets.datasets.diff_inputs import OF_ROWS, Cause, Inputs, compare_inputs
from torus_assets.datasets.diff_rows import Group, RowDiff, compare_rows
from torus_assets.datasets.run_folder import Run

ERASED = "erased learners"
UNEXPLAINED = "nothing in the receipts explains it: `torus dataset verify` says whether both are true"


@dataclass(frozen=True)
class Diff:
    """What differs between run A and run B, and the causes that their receipts give."""

    a: str
    b: str
    causes: tuple[Cause, ...]
    inputs: Inputs
    rows: RowDiff | None  # None: not compared, because the files are the same or the data sets are of different kinds
    other_files: tuple[str, ...]  # names of files whose bytes differ or that only one has

    @property
    def same_bytes(self) -> bool:
        return not self.other_files

    def why(self, group: Group) -> dict[str, list[str]]:
        """The causes that could have made the differences of a group, by kind of difference."""
        counts = {"only_a": group.only_a, "only_b": group.only_b, "changed": group.changed}
        found = {change: list(self.inputs.why(change, group.section, group.event)) for change, rows in counts.items() if rows}
        if "only_a" in found and any(cause.name == ERASED for cause in self.causes):
            found["only_a"].insert(0, ERASED)
        return found

    def document(self) -> dict[str, Any]:
        rows = None
        if self.rows:
            rows = asdict(self.rows) | {"groups": [asdict(group) | {"causes": self.why(group)} for group in self.rows.groups]}
        return {
            "a": self.a, "b": self.b, "same_bytes": self.same_bytes, "same_rows": self.same_bytes or bool(self.rows and self.rows.is_same),
            "causes": [cause.document() for cause in self.causes], "rows": rows, "files_that_differ": list(self.other_files),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"A {self.a}"
        yield f"B {self.b}"
        if self.same_bytes:
            yield "the same bytes"
        for cause in self.causes:
            yield f"{cause.name}: {cause.text}{', without effect on the bytes' if self.same_bytes else ''}"
        if self.same_bytes:
            return
        if self.rows:
            yield from _row_lines(self, self.rows)
        elif all(name.startswith("chunk_") is False for name in self.other_files):
            yield "the data are the same, byte for byte"
        else:
            yield "the rows cannot be compared: these are different kinds of data sets"
        yield f"files that differ: {', '.join(self.other_files)}"


def diff(a: Run, b: Run, scratch: Path) -> Diff:
    """Compares two runs.

    Args:
        scratch: room for both data sets on disk; nothing stays there.

    Raises:
        FileNotFoundError: a file that a receipt names is gone.
    """
    inputs = compare_inputs(a, b)
    differing = _differing_files(a, b)
    rows = None
    if any(file["name"] in differing for run in (a, b) for file in run.files()):
        rows = compare_rows(a, b, scratch, learners=inputs.learners_comparable, guids=inputs.guids_comparable)
    return Diff(a.name, b.name, (*inputs.causes, *_erased(inputs, rows)), inputs, rows, tuple(differing))


def _differing_files(a: Run, b: Run) -> list[str]:
    sums = [{file["name"]: file["sha256"] for file in run.receipt["files"]} for run in (a, b)]
    return sorted(name for name in {*sums[0], *sums[1]} if sums[0].get(name) != sums[1].get(name))


def _erased(inputs: Inputs, rows: RowDiff | None) -> list[Cause]:
    """Learners that are gone although nobody asked to leave them out, and of whom rows went from what was read."""
    asked_otherwise = inputs.request.intersection(OF_ROWS)
    if rows is None or not rows.learners_gone or asked_otherwise or not inputs.gone_kinds:
        return []
    text = f"{rows.learners_gone} learner(s) of A have no row in B: {rows.rows_of_gone:,} rows"
    return [Cause(ERASED, text, {"learners": rows.learners_gone, "rows": rows.rows_of_gone})]


def _row_lines(found: Diff, rows: RowDiff) -> Iterator[str]:
    yield f"{rows.rows_a:,} rows in A, {rows.rows_b:,} in B, {rows.same:,} the same"
    if rows.not_compared:
        yield f"not compared, because pseudonyms or forms differ: {', '.join(rows.not_compared)}"
    for which, names in (("A", rows.columns_only_a), ("B", rows.columns_only_b)):
        if names:
            yield f"columns only in {which}: {', '.join(names)}"
    for group in rows.groups:
        place = ", ".join(
            part for part in (f"section {group.section.removeprefix('Section ')}" if group.section else "", group.event) if part
        )
        reasons = found.why(group)
        words = {"only_a": "only in A", "only_b": "only in B", "changed": "changed"}
        for change, causes in reasons.items():
            yield f"{place or 'rows'}: {getattr(group, change):,} {words[change]} ({' or '.join(causes) or UNEXPLAINED})"
    if rows.columns:
        yield "cells that differ: " + ", ".join(f"{name} in {number:,} rows" for name, number in rows.columns.items())
