"""An upload that is verified in parts at the same time; the report is the one that `verify` gives.

Each part is read as an upload of its own and leaves `Marks`: hashes of what has to be unique among all parts, 8 bytes each. If no finding of
any part could be another one for the other parts' sake, and the marks agree, the reports are put together. Else somebody has to read the
upload in one go: `together` says so, and nothing is guessed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
import polars as pl
import pyarrow as pa

from torus_assets.datasets.datashop.findings import Findings
from torus_assets.datasets.datashop.parsed import SectionCounts, SectionNumbers
from torus_assets.datasets.datashop.verify import Report, read_through, report_of
from torus_assets.datasets.datashop.verify_document import Opener

Part = TypeVar("Part")
ACROSS = frozenset((  # findings that depend on files which were read before, or on any other
    "file.forms_mixed", "dataset.names_differ", "id.context_twice", "id.transaction_twice", "id.session_of_two_users",
    "join.context_in_other_file", "join.context_never", "join.reply_far", "join.tutor_without_tool", "head.differs",
))  # fmt: skip


class SectionMarks(msgspec.Struct):
    """A section of a part. Hashes as bytes."""

    transactions: int
    hints: int
    attempts: int
    by_outcome: dict[str, int]
    students: bytes
    problems: bytes
    skills: bytes
    views: bytes


class Marks(msgspec.Struct):
    """What parts have to agree on. Hashes as bytes."""

    contexts: bytes
    transactions: bytes
    sessions: bytes
    users: bytes  # of the sessions, in their order
    dataset: str | None
    headings: tuple[str, ...] | None
    sections: dict[str, SectionMarks]


def read_part(files: Sequence[tuple[str, Opener]]) -> tuple[Report, Marks]:
    """What the verifier says of these files alone, and their marks."""
    upload = read_through(files)
    sections = {name: _section(counts) for name, counts in upload.sections.items()}
    sessions, users = upload.sessions.keys(), upload.sessions.values()
    return report_of(upload), Marks(
        _bytes(upload.contexts), _bytes(upload.transactions), _bytes(sessions), _bytes(users), upload.dataset, upload.headings, sections
    )


def together(reports: Sequence[Report], marks: Sequence[Marks]) -> Report | None:
    """The report of the whole upload, of its parts in order; None if it has to be read in one go to be told."""
    if len(reports) == 1:
        return reports[0]
    counts = sum((Counter(report.counts) for report in reports), Counter[str]())
    if ACROSS & counts.keys() or not _agree(marks):
        return None
    found = Findings()
    for finding in (finding for report in reports for finding in report.findings):
        found.add(*finding)
    names = dict.fromkeys(name for part in marks for name in part.sections)
    sections = {name: _numbers([part.sections[name] for part in marks if name in part.sections]) for name in names}
    return Report([file for report in reports for file in report.files], dict(sorted(counts.items())), found.kept, sections)


def _agree(marks: Sequence[Marks]) -> bool:
    """No id is in two parts, no session has two users, and there is one data set and one heading."""
    pairs = pl.DataFrame([_all(marks, lambda part: part.sessions).rename("session"), _all(marks, lambda part: part.users).rename("user")])
    return (
        _are_distinct(_all(marks, lambda part: part.contexts))
        and _are_distinct(_all(marks, lambda part: part.transactions))
        and _are_distinct(pairs.unique()["session"])
        and len({part.dataset for part in marks} - {None}) <= 1
        and len({part.headings for part in marks} - {None}) <= 1
    )


def _are_distinct(hashes: pl.Series) -> bool:
    return hashes.n_unique() == hashes.len()


def _numbers(parts: Sequence[SectionMarks]) -> SectionNumbers:
    """One section of all parts that have it."""
    kinds: tuple[Callable[[SectionMarks], bytes], ...] = (
        lambda part: part.students, lambda part: part.problems, lambda part: part.skills, lambda part: part.views,
    )  # fmt: skip
    students, problems, skills, views = (_all(parts, kind).n_unique() for kind in kinds)
    outcomes = sum((Counter(part.by_outcome) for part in parts), Counter[str]())
    return SectionNumbers(
        sum(part.transactions for part in parts), sum(part.hints for part in parts), sum(part.attempts for part in parts),
        students, problems, skills, views, dict(sorted(outcomes.items())),
    )  # fmt: skip


def _section(counts: SectionCounts) -> SectionMarks:
    hashes = (counts.student_hashes, counts.problem_hashes, counts.skill_hashes, counts.view_hashes)
    return SectionMarks(counts.transactions, counts.hints, counts.attempts, dict(counts.by_outcome), *map(_bytes, hashes))


def _bytes(hashes: Iterable[int]) -> bytes:
    return array("q", hashes).tobytes()


def _all(parts: Sequence[Part], of: Callable[[Part], bytes]) -> pl.Series:
    body = b"".join(map(of, parts))
    return pl.Series(pa.Array.from_buffers(pa.int64(), len(body) // 8, [None, pa.py_buffer(body)]))
