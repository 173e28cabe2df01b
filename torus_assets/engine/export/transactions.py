"""DataShop data sets on Spark: the work of `datashop.out` on executors, the same bytes.

The driver gets who is in the sections (`Plan`), counts, and names and checksums of files; no row and no file passes through it. A task makes
consecutive pieces with the `Maker` of the local engine. How many chunks stand before a piece is known when all are made: a task puts its files
below `UNNUMBERED` in the run's folder, and the store renames them at the end. A task that runs again puts the same bytes at the same keys.

A student's rows in a section stay one piece on Spark, too: her sessions are told from all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import msgspec

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets import release
from torus_assets.datasets.datashop import out, pieces
from torus_assets.datasets.datashop.pieces import Piece, Plan
from torus_assets.datasets.datashop.produce import MadeFile, Maker, PieceDone, Work
from torus_assets.datasets.datashop.scope import Scope, scope, together
from torus_assets.datasets.datashop.verify import Report
from torus_assets.datasets.datashop.verify_parts import Marks
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.output import OutFile, Output
from torus_assets.datasets.page_of import Figures
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.request import Request
from torus_assets.engine.export.lake_files import LakeFiles
from torus_assets.engine.hands import SparkHands, task_folder

UNNUMBERED = "unnumbered/"  # in the folder of the run; empty when it is finished
PIECES = 20  # of a task at most (300,000 rows, about a minute): its lake files are fetched once
TASKS_PER_CORE = 4  # so that one slow task does not hold up the rest
SCOPE_ROWS = 300_000  # of a task, unless one section has more
RENAMES = 50  # of a task
PLANNED_BY = ("home_page", "user_id", "session_id", "part_attempt_guid")  # the columns that `pieces.plan` reads beside the section

Item = TypeVar("Item")


class There(NamedTuple):
    """Where a task reads and writes."""

    lake: LakeFiles
    scratch_url: str
    store_url: str
    target: str  # key of the run's folder in the store, with a final slash

    def facts(self, number: int) -> str:
        """The key of a piece's facts in scratch."""
        return f"{self.lake.room}/datashop/facts-{number:06d}.parquet"

    def marks(self, part: str) -> str:
        """The key of the marks of a part that was read back, in scratch."""
        return f"{self.lake.room}/datashop/marks-{part}"


@dataclass
class OnSpark:
    """`datashop.out.Site` on the executors of a session. A context manager: at its end nothing of its own is left in scratch, nor, if it
    ends with an error, below `UNNUMBERED`."""

    hands: SparkHands
    request: Request
    there: There
    piece_rows: int = pieces.PIECE_ROWS
    _facts: list[int] = field(default_factory=list)  # numbers of the pieces that have some
    _renames: list[tuple[str, str]] = field(default_factory=list)  # key now, key wanted

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        _cleared(open_store(self.there.scratch_url), f"{self.there.lake.room}/datashop/")
        if failed:
            _cleared(open_store(self.there.store_url), self.there.target + UNNUMBERED)

    def plan(self, names: Names) -> Plan:
        """Who is in the sections: one task, which reads a few columns."""
        [plan] = self.hands.over(partial(_planned, self.there.lake, names, self.piece_rows), [self.request], "DataShop: who is in it")
        return plan

    def scope(self, plan: Plan, lookup: Lookup) -> Scope:
        """A task for each few sections."""
        asked = [replace(self.request, section_ids=sections) for sections in section_groups(plan)]
        return together(self.hands.over(partial(_scoped, self.there.lake, lookup), asked, "DataShop: what the lake has"), lookup)

    def pieces(self, work: Work, plan: Plan, output: Output) -> Iterator[PieceDone]:  # noqa: ARG002  the same place, as `there`
        """All pieces, then their counts one after the other."""
        shares = cut(plan.pieces, per_task(len(plan.pieces), self.hands.spark.sparkContext.defaultParallelism))
        for share in self.hands.over(partial(_made, self.there, work), shares, "DataShop: files"):
            self._facts += [done.number for done in share]
            yield from share

    def put(self, file: MadeFile, name: str, output: Output) -> None:
        """Remembers the name. The file was looked at and put where it was made."""
        release.refuse(replace(found, file=name) for found in file.findings)
        output.files.append(OutFile(name, file.transactions, file.bytes, file.sha256))
        self._renames.append((str(file.path), output.target + name))

    def summary(self, request: Request, output: Output) -> Figures:
        """Renames the files; rollups and figures are one task over the facts of all pieces."""
        self.hands.over(partial(_renamed, self.there.store_url), cut(self._renames, RENAMES), "DataShop: names")
        [(figures, files)] = self.hands.over(partial(_summed, self.there, request, output.users), [self._facts], "DataShop: summary")
        output.files += files
        return figures

    def read_back(self, output: Output) -> dict[str, Report]:
        """A task for each part of each form; what they have to agree on goes by scratch, to one task for each form."""
        parts = out.parts_of(output.in_order())
        items = [(f"{suffix}-{number}", names) for suffix, groups in parts.items() for number, names in enumerate(groups)]
        reports = iter(self.hands.over(partial(_part_read, self.there), items, "DataShop: read back"))
        forms = [(suffix, groups, list(islice(reports, len(groups)))) for suffix, groups in parts.items()]
        return dict(zip(parts, self.hands.over(partial(_told, self.there), forms, "DataShop: what was read"), strict=True))


def per_task(pieces: int, cores: int) -> int:
    """How many pieces a task makes."""
    return max(1, min(PIECES, pieces // (TASKS_PER_CORE * cores)))


def cut(items: Sequence[Item], most: int) -> list[Sequence[Item]]:
    """The items in their order, in runs of `most`."""
    return [items[first : first + most] for first in range(0, len(items), most)]


def section_groups(plan: Plan) -> list[tuple[int, ...]]:
    """The sections of the plan in ascending order, in runs of about `SCOPE_ROWS` rows."""
    rows: Counter[int] = Counter()
    for piece in plan.pieces:
        for person in piece.people:
            rows[person.section_id] += person.rows
    groups: list[list[int]] = []
    for section, total in sorted(rows.items()):
        if not groups or total + sum(rows[one] for one in groups[-1]) > SCOPE_ROWS:
            groups.append([])
        groups[-1].append(section)
    return [tuple(group) for group in groups]


# On executors ----------------------------------------------------------------------------------------------------------


def _planned(lake: LakeFiles, names: Names, piece_rows: int, request: Request) -> Plan:
    with task_folder(lake.room) as folder, pieces.connect(folder) as connection:
        return pieces.plan(connection, request, _paths(lake, request.section_ids, folder, PLANNED_BY), names, piece_rows)


def _scoped(lake: LakeFiles, lookup: Lookup, request: Request) -> Scope:
    with task_folder(lake.room) as folder, pieces.connect(folder) as connection:
        return scope(connection, request, _paths(lake, request.section_ids, folder), lookup)


def _made(there: There, work: Work, share: Sequence[Piece]) -> list[PieceDone]:
    """Some pieces, their files and facts put."""
    sections = {person.section_id for piece in share for person in piece.people}
    with task_folder(there.lake.room) as folder:
        work = replace(work, paths=_paths(there.lake, sections, folder), folder=folder)
        with closing(Maker(work)) as maker:
            return [_put(there, work.redaction, maker.make(piece)) for piece in share]


def _put(there: There, users: Redaction, done: PieceDone) -> PieceDone:
    """Puts what a piece gave, but for files in which something of a user was found."""
    key = there.facts(done.number)
    open_store(there.scratch_url).put(key, done.facts)
    done.facts.unlink()
    store = open_store(there.store_url)
    files = [_looked_at(store, there.target + UNNUMBERED, users, file) for file in done.files]
    return replace(done, files=files, facts=Path(key))


def _looked_at(store: ObjectStore, folder: str, users: Redaction, file: MadeFile) -> MadeFile:
    found = tuple(release.scan(file.path, file.path.name, users))
    key = folder + file.path.name
    if not found:
        store.put(key, file.path)
    file.path.unlink()
    return replace(file, path=Path(key), findings=found)


def _renamed(store_url: str, renames: Sequence[tuple[str, str]]) -> None:
    store = open_store(store_url)
    for source, target in renames:
        try:
            store.move(source, target)
        except FileNotFoundError:
            if store.head(target) is None:  # there: this task runs again
                raise


def _summed(there: There, request: Request, users: Redaction, numbers: Sequence[int]) -> tuple[Figures, list[OutFile]]:
    scratch, output = open_store(there.scratch_url), Output(open_store(there.store_url), there.target, users)
    with task_folder(there.lake.room) as folder, pieces.connect(folder) as connection:
        facts = [_here(scratch, there.facts(number), folder) for number in numbers]
        return out.summed(connection, facts, request, output, folder), output.files


def _part_read(there: There, part: tuple[str, Sequence[str]]) -> Report:
    """What the verifier says of a part; its marks are put into scratch."""
    name, names = part
    report, marks = out.part_read(there.store_url, there.target, names)
    open_store(there.scratch_url).put(there.marks(name), msgspec.msgpack.encode(marks))
    return report


def _told(there: There, form: tuple[str, Sequence[Sequence[str]], Sequence[Report]]) -> Report:
    suffix, parts, reports = form
    scratch = open_store(there.scratch_url)
    marks = [msgspec.msgpack.decode(scratch.get(there.marks(f"{suffix}-{number}")).body, type=Marks) for number in range(len(parts))]
    return out.told(there.store_url, there.target, parts, reports, marks)


def _here(store: ObjectStore, key: str, folder: Path) -> Path:
    """An object as a file of this machine."""
    if store.is_local:
        return store.path(key)
    path = folder / key.rpartition("/")[2]
    with path.open("wb") as file:
        file.writelines(store.stream(key).chunks)
    return path


def _paths(lake: LakeFiles, sections: Collection[int], folder: Path, columns: Sequence[str] | None = None) -> pieces.Paths:
    read = lake.of(pieces.KINDS.values())
    return pieces.by_kind(read.files, read.paths(sections, columns=columns), folder)


def _cleared(store: ObjectStore, prefix: str) -> None:
    store.delete([entry.key for entry in store.list(prefix)])
