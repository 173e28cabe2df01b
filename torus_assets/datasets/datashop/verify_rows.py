"""One row of a tab-delimited table at a time: its cells against the limits, and the transaction it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import starmap
from operator import gt

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop import verify_heading as at
from torus_assets.datasets.datashop.findings import Place, shown
from torus_assets.datasets.datashop.parsed import ParsedTransaction, outcome_of
from torus_assets.datasets.datashop.verify_heading import Column
from torus_assets.datasets.datashop.verify_upload import Upload
from torus_assets.datasets.datashop.verify_values import TRIMMED, tab_time_fault

_STUDENT_TYPES = frozenset((*rules.REPLIES, ""))
_TUTOR_TYPES = frozenset((*rules.REPLIES.values(), ""))


class RowReader:
    """Reads the rows of one table. Columns that stand once are found by their kind, others are lists of places."""

    def __init__(self, file: str, columns: Sequence[Column], upload: Upload) -> None:
        self.file, self.columns, self.upload = file, columns, upload
        self.limits = [at.LIMITS.get(column.kind, at.ANY) for column in columns]
        places: defaultdict[str, list[int]] = defaultdict(list)
        for index, column in enumerate(columns):
            places[column.kind].append(index)
        self.places = places
        self.first = {kind: indexes[0] for kind, indexes in places.items()}
        self.named = {kind: [(index, columns[index].name) for index in places[kind]] for kind in (at.LEVEL, at.FIELD)}
        self.skills = [(index, self._category(index), columns[index].name) for index in places[at.KC]]
        self.pairs = [(index, index - 1) for kind in at.PAIRS for index in places[kind] if self._is_second(index)]
        self.never_empty = [index for kind in (at.STUDENT, at.SESSION, at.TIME, at.PROBLEM) for index in places[kind]]
        self.digits = [index for kind in (at.VIEW, at.HELP, at.TOTAL) for index in places[kind]]
        self.times = [index for kind in (at.TIME, at.START) for index in places[kind]]
        self.quoted = [index for kind in (at.STUDENT, at.LEVEL) for index in places[kind]]
        self.has_views = bool(places[at.VIEW] or places[at.START])
        self.line = 0
        self.id = ""

    def _is_second(self, index: int) -> bool:
        return index > 0 and self.columns[index - 1].kind == at.PAIRS[self.columns[index].kind]

    def _category(self, index: int) -> int | None:
        """Where the category of a KC stands."""
        return index + 1 if index + 1 < len(self.columns) and self.columns[index + 1].kind == at.CATEGORY else None

    def read(self, number: int, line: bytes) -> ParsedTransaction | None:
        """The transaction of a row; None if the row has not a field for each heading."""
        self.line, self.id = number, ""
        if line.endswith(b"\n"):
            line = line[:-1]
        if b"\r" in line:
            self.fault("row.carriage_return", "there is a carriage return in the row")
            line = line[:-1] if line.endswith(b"\r") else line
        raw = line.split(b"\t")
        if len(raw) != len(self.columns):
            self.fault("row.fields", f"the row has {len(raw):,} fields; expected {len(self.columns):,}")
            return None
        cells = self._decoded(line)
        if at.ID in self.first:
            self.id = cells[self.first[at.ID]].strip(TRIMMED)
        if any(starmap(gt, zip(map(len, raw), self.limits, strict=True))):
            for index, (cell, most) in enumerate(zip(raw, self.limits, strict=True)):
                if len(cell) > most:
                    self.fault("value.too_long", f"{self.title(index)} has {len(cell):,} bytes, of {most:,} at most")
        if not line.isascii():
            self._astral(cells)
        if b"\\" in line:
            cells = [self._unescaped(index, cell) for index, cell in enumerate(cells)]
        cells = [cell.strip(TRIMMED) for cell in cells]
        if b"'" in line:
            for index in self.quoted:
                if "'" in cells[index]:
                    self.fault("row.quote", f"{self.title(index)} has a single quote")
        self._check(cells)
        return self._parsed(cells)

    def fault(self, rule: str, text: str) -> None:
        where = f"row {shown(self.id)}".strip()
        self.upload.findings.add(rule, Place(self.file, where, self.line), text)

    def title(self, index: int) -> str:
        """A column as a finding names it."""
        column = self.columns[index]
        name = at.SHOWN.get(column.kind, "a column DataShop does not know")
        return f"{name} ({column.name})" if column.kind in at.NAMES else name

    def cell(self, cells: Sequence[str], kind: str) -> str:
        index = self.first.get(kind)
        return "" if index is None else cells[index]

    def joined(self, cells: Sequence[str], kind: str) -> str:
        """Columns that may repeat, as one text."""
        indexes = self.places[kind]
        return cells[indexes[0]] if len(indexes) == 1 else " ".join(cells[index] for index in indexes if cells[index])

    def _decoded(self, line: bytes) -> list[str]:
        try:
            return line.decode().split("\t")
        except UnicodeDecodeError as error:
            column = line[: error.start].count(b"\t")
            self.fault("row.encoding", f"{self.title(column)} has bytes that are not UTF-8")
            return line.decode(errors="replace").split("\t")

    def _astral(self, cells: Sequence[str]) -> None:
        for index, cell in enumerate(cells):
            if not cell.isascii() and (found := rules.ASTRAL.findall(cell)):
                self.fault("value.above_ffff", f"{self.title(index)} has {len(found)} characters above U+FFFF; replace them by U+FFFD")

    def _unescaped(self, index: int, cell: str) -> str:
        if "\\" not in cell:
            return cell
        if "\\" in cell.replace("\\\\", ""):
            self.fault("row.backslash", f"{self.title(index)} has a single backslash; write two")
        return cell.replace("\\\\", "\\")

    def _check(self, cells: Sequence[str]) -> None:
        """The rules of single cells and of what belongs together."""
        for index in self.never_empty:
            if not cells[index]:
                self.fault("row.empty", f"{self.title(index)} is empty")
        for index, _ in self.named[at.LEVEL]:
            if not cells[index]:
                self.fault("row.empty_level", f"{self.title(index)} is empty")
        for index in self.digits:
            if cells[index] and not (cells[index].isascii() and cells[index].isdigit()):
                self.fault("row.digits", f"{self.title(index)} is not a number; expected digits")
        for second, first in self.pairs:
            if cells[second] and not cells[first]:
                self.fault("row.pair", f"{self.title(second)} has a value and {self.title(first)} has none")
        for index in self.times:
            if cells[index] and (found := tab_time_fault(cells[index], self.upload.this_year)):
                self.fault(found[0], f"{self.title(index)}: {found[1]}")
        self._check_response(cells)
        self._check_ids(cells)

    def _check_response(self, cells: Sequence[str]) -> None:
        student, tutor, outcome = (self.cell(cells, kind) for kind in (at.STUDENT_TYPE, at.TUTOR_TYPE, at.OUTCOME))
        if student not in _STUDENT_TYPES or tutor not in _TUTOR_TYPES or (tutor and rules.REPLIES.get(student) != tutor):
            self.fault("row.response", "the response types are no pair that DataShop knows")
        if outcome_of(outcome) == "unknown":
            self.fault("outcome.unknown", f"the outcome is none DataShop knows ({len(outcome)} characters)")
        if not (self.cell(cells, at.STEP) or self.joined(cells, at.SELECTION) or self.joined(cells, at.ACTION)):
            self.fault("row.no_step", "step name, selection and action are empty")
        if self.has_views and not (self.cell(cells, at.VIEW) or self.cell(cells, at.START)):
            self.fault("row.no_view", "Problem View and Problem Start Time are empty")
        number, total = _number(self.cell(cells, at.HELP)), _number(self.cell(cells, at.TOTAL))
        if number is not None and not 1 <= number <= (number if total is None else total):
            self.fault("hint.number", f"this is hint {number} of {'?' if total is None else total}")

    def _check_ids(self, cells: Sequence[str]) -> None:
        if self.id and self.upload.transaction_seen(self.id):
            self.fault("id.transaction_twice", "the transaction id stands in an earlier row")
        session, student = self.cell(cells, at.SESSION), self.cell(cells, at.STUDENT)
        if session and student and self.upload.shares_session(session, student):
            self.fault("id.session_of_two_users", "its session id was used by another student before")

    def _parsed(self, cells: Sequence[str]) -> ParsedTransaction:
        cell, joined = self.cell, self.joined
        selection, action, tutor = joined(cells, at.SELECTION), joined(cells, at.ACTION), cell(cells, at.TUTOR_TYPE)
        step = cell(cells, at.STEP) or (f"{selection} {action}".strip() if tutor else "")
        return ParsedTransaction(
            self.id, cell(cells, at.CLASS), cell(cells, at.STUDENT), cell(cells, at.SESSION), cell(cells, at.TIME), cell(cells, at.ZONE),
            tuple([(name, cells[index]) for index, name in self.named[at.LEVEL] if cells[index]]), cell(cells, at.PROBLEM),
            _number(cell(cells, at.VIEW)), cell(cells, at.START), cell(cells, at.STUDENT_TYPE), tutor, selection, action, joined(cells, at.INPUT),
            outcome_of(cell(cells, at.OUTCOME)), cell(cells, at.FEEDBACK), cell(cells, at.CLASSIFICATION), _number(cell(cells, at.HELP)),
            _number(cell(cells, at.TOTAL)), tuple([(name, "" if c is None else cells[c], cells[index]) for index, c, name in self.skills if cells[index]]),
            {name: cells[index] for index, name in self.named[at.FIELD] if cells[index]}, step,
        )  # fmt: skip


def _number(text: str) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
