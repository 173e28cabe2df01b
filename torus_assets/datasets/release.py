"""The last look before anything is given out: no file may hold an id or e-mail address of the data set's own users, as a whole token.

The finished files are read, not what they were made from. E-mail addresses are looked for everywhere; ids everywhere but where the data set
says ids of content and numbers of its own (`section_id`, `score`, `Activity 60511`): a user may have the number of a page. A finding names
file and line, never what was found.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from torus_assets.datasets.redaction import Redaction

LINES = 20_000  # looked at together
SHOWN = 5  # places named in the refusal

# Custom fields and columns that hold ids of content or numbers, by declaration.
CONTENT = frozenset({
    "section_id", "page_id", "activity_id", "part_id", "activity_type", "item", "score", "out_of", "part_attempt_number", "activity_attempt_number",
    "page_attempt_number", "activity_revision_id", "project_id", "publication_id", "files", "time_is_of",
})  # fmt: skip
_XML_CONTENT = re.compile(
    rf"<custom_field><name>(?:{'|'.join(sorted(CONTENT))})</name><value>[^<]*</value></custom_field>"
    r"|<time>[^<]*</time>|<class>.*?</class>|<dataset>.*?</dataset>"
    r"|<selection>Activity [^<]*</selection>| hint_id=\"[^\"]*\""
)
_TAB_CONTENT = ("Time", "Level (", "Problem", "Step Name", "Selection", "Help Level", "Total Num Hints", "Class", "KC (", "Row")


class PersonalData(RuntimeError):
    """A file that was to be given out holds something of a user; nothing is published."""


@dataclass(frozen=True)
class Finding:
    file: str
    line: int


def refuse(found: Iterable[Finding]) -> None:
    """Raises for the first findings.

    Raises:
        PersonalData: names files and lines, and nothing else.
    """
    places = [f"{one.file}:{one.line}" for one in found]
    if places:
        raise PersonalData(
            f"{len(places)} place(s) hold an id or e-mail address of a user of this data set: {', '.join(places[:SHOWN])}"
            f"{' …' if len(places) > SHOWN else ''}; nothing is published. Please report it: replacing them is the export's task"
        )


def scan(path: Path, name: str, users: Redaction, columns: Iterable[str] | None = None) -> Iterator[Finding]:
    """Findings in one file: `.xml` and `.txt` of DataShop, `.csv` and `.parquet` tables, any other text for e-mail addresses.

    Args:
        name: how the file is called in findings.
        columns: of a table, those to look at; all by default.
    """
    if not users.tokens:
        return
    if path.suffix == ".xml":
        yield from _lines(path, name, users, lambda line: _XML_CONTENT.sub("", line))
    elif path.suffix == ".txt":
        yield from _table(pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False, truncate_ragged_lines=True), name, users)
    elif path.suffix == ".csv":
        header = pl.read_csv(path, n_rows=0, infer_schema=False).columns
        wanted = [column for column in (columns or header) if column in header]
        if wanted:
            yield from _table(pl.read_csv(path, columns=wanted, infer_schema=False), name, users)
    elif path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        wanted = [column for column in (columns or file.schema_arrow.names) if column in file.schema_arrow.names]
        row = 0
        for batch in file.iter_batches(LINES, columns=wanted):
            yield from _table(pl.DataFrame(batch), name, users, row)
            row += batch.num_rows
    else:
        yield from _lines(path, name, users, lambda _: "")


def _lines(path: Path, name: str, users: Redaction, own: Callable[[str], str]) -> Iterator[Finding]:
    """Findings in lines of markup: addresses anywhere, ids in what `own` leaves of a line."""
    number = 0
    with path.open(encoding="utf-8") as file:
        while lines := file.readlines(LINES * 1000):
            for at in users.suspects(pl.Series(lines)).arg_true():
                whole, text = html.unescape(lines[at]), html.unescape(own(lines[at]))
                if users.mails.text(whole) != whole or users.text(text) != text:
                    yield Finding(name, number + at + 1)
            number += len(lines)


def _table(rows: pl.DataFrame, name: str, users: Redaction, first: int = 0) -> Iterator[Finding]:
    for column in rows.columns:
        values, sought = rows[column], users.mails if _is_content(column) else users
        if values.dtype != pl.String or not sought.tokens:
            continue
        for at in sought.suspects(values).arg_true():
            text = values[at]
            if sought.text(text) != text or (text[:1] in '{["' and sought.json_or_text(text) != text):
                yield Finding(name, first + at + 2)


def _is_content(column: str) -> bool:
    bare = column.removeprefix("CF (").removesuffix(")")
    return bare in CONTENT or column.startswith(_TAB_CONTENT)
