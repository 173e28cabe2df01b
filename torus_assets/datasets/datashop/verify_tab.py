"""A tab-delimited transaction table: its rows in order, held against its heading and the upload (spec/datashop.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from torus_assets.datasets.datashop.findings import Findings, Place
from torus_assets.datasets.datashop.parsed import ParsedTransaction
from torus_assets.datasets.datashop.verify_heading import START, VIEW, column_of, heading_faults
from torus_assets.datasets.datashop.verify_rows import RowReader
from torus_assets.datasets.datashop.verify_upload import FileSeen, Upload

_LONGEST = 1 << 24  # bytes of a line; a row within all limits is far shorter
_BOM = b"\xef\xbb\xbf"


def read_table(name: str, open_file: Callable[[], BinaryIO], upload: Upload) -> Iterator[ParsedTransaction]:
    """The transactions of a table, in order of its rows; findings go to the upload."""
    size = rows = 0
    with open_file() as source:
        head = source.readline(_LONGEST)
        size += len(head)
        reader = _heading(name, head, upload)
        while line := source.readline(_LONGEST):
            size += len(line)
            if reader is None:
                continue
            rows += 1
            parsed = reader.read(rows + 1, line)
            if parsed is not None:
                upload.count(parsed)
                yield parsed
    upload.files.append(FileSeen(name, "tab", size, rows))


def _heading(name: str, head: bytes, upload: Upload) -> RowReader | None:
    """The reader for the rows under a heading; None if there is no heading to read them by."""
    findings, place = upload.findings, Place(name, "heading", 1)
    if not head.strip():
        findings.add("file.empty", place, "there is no heading; expected names of columns, with tabs between them")
        return None
    text = _decoded(head, findings, place)
    if text is None:
        return None
    columns = [column_of(heading) for heading in text.split("\t")]
    for rule, words in heading_faults(columns):
        findings.add(rule, place, words)
    if not {VIEW, START} & {column.kind for column in columns}:
        findings.add("row.no_view", place, "there is no Problem View and no Problem Start Time")
    headings = tuple(column.normal for column in columns)
    if upload.headings is None:
        upload.headings = headings
    elif headings != upload.headings:
        findings.add("head.differs", place, f"the headings ({len(headings)}) are not those of the first table ({len(upload.headings)})")
    return RowReader(name, columns, upload)


def _decoded(head: bytes, findings: Findings, place: Place) -> str | None:
    line = head.removeprefix(_BOM).removesuffix(b"\n")
    if line.endswith(b"\r"):
        findings.add("row.carriage_return", place, "the line ends with a carriage return")
        line = line[:-1]
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        findings.add("row.encoding", place, f"byte {error.start + 1} of the line is not UTF-8; nothing of this file was read")
        return None
