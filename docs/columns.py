"""Prints docs/columns.md from the declarations in torus_assets/xapi/tables.py.

.venv/bin/python docs/columns.py > docs/columns.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from torus_assets.datasets.csv_tables import ACTIONS, Action
from torus_assets.xapi import tables
from torus_assets.xapi.tables import Column, Table

GROUPS = (
    ("Place", "On every line's row.", tables.PLACE),
    ("Statement", "On every event.", tables.STATEMENT),
)
HEAD = """# Columns

Made from `torus_assets/xapi/tables.py` by `.venv/bin/python docs/columns.py > docs/columns.md`. Do not edit by hand.

The lake is one Delta table, partitioned by `upload_date` (UTC day of the upload, from the object's key) and `kind`. A column
is null in rows of kinds that do not have it. *ClickHouse* is the type in `raw_events`; a dash means that the column is not
there. *Private* columns name a learner or hold what one wrote: they appear in no preview, log or metadata.
"""

DATA_SETS = """# Columns of data sets

From `torus_assets/datasets/csv_tables.py`, in the order of the files.
"""


def main() -> None:
    shared = {column.name for _, _, columns in GROUPS for column in columns}
    parts = [HEAD, *(f"## {title}\n\n{where}\n\n{grid(columns)}" for title, where, columns in GROUPS)]
    parts += [section(table, shared) for table in tables.TABLES]
    parts += [DATA_SETS, *map(data_set, ACTIONS.values())]
    sys.stdout.write("\n".join(parts))


def data_set(action: Action) -> str:
    """The columns of one action's files."""
    rows = [f"| `{c.name}` | {c.cell} | {c.doc} |" for c in action.columns]
    return "\n".join([f"## {action.name}\n\n{action.doc}\n", "| column | cell | meaning |", "| --- | --- | --- |", *rows]) + "\n"


def section(table: Table, shared: set[str]) -> str:
    """One table: its own columns in full, the shared ones by name of their group."""
    names = {column.name for column in table.columns}
    groups = [title.lower() for title, _, columns in GROUPS if names >= {column.name for column in columns}]
    own = [column for column in table.columns if not groups or column.name not in shared]
    begin = f"## {table.name}\n\nKind `{table.kind}`. {table.doc}"
    also = f" It has the columns of {' and '.join(groups)}" if groups else ""
    if not own:
        return f"{begin}{also}, and no others.\n"
    return f"{begin}{f'{also}, and:' if also else ''}\n\n{grid(own, in_clickhouse=table in tables.EVENT_TABLES)}"


def grid(columns: Iterable[Column], *, in_clickhouse: bool = True) -> str:
    rows = [
        f"| `{c.name}` | {c.type} | {f'`{c.clickhouse}`' if c.clickhouse and in_clickhouse else '-'} | {'yes' if c.private else ''} | {c.doc.replace('|', chr(92) + '|')} |"
        for c in columns
    ]
    return "\n".join(["| column | type | ClickHouse | private | meaning |", "| --- | --- | --- | --- | --- |", *rows]) + "\n"


if __name__ == "__main__":
    main()
