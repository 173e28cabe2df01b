"""The ledger's rows, made from what became of each bundle's lines: every line has exactly one fate. Both engines end here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

_TIME = pa.timestamp("us", tz="UTC")


class DayBundle(NamedTuple):
    """A bundle of the day, read now or kept as it is."""

    no: int
    key: str
    source_file: str
    etag: str
    uploaded_at: Any
    last_modified: Any
    section: int | None
    category: str
    bytes: int
    lines: int
    blank: int
    forgotten: int  # lines dropped before they got here
    parser_version: int
    read: bool  # now; else the lake has its lines


_BUNDLE_TYPES = [pa.int32(), *[pa.string()] * 3, _TIME, _TIME, pa.int64(), pa.string(), *[pa.int64()] * 5, pa.bool_()]
TALLIES = pa.schema(
    [
        pa.field("bundle_no", pa.int32()),
        pa.field("fate", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("coerced", pa.string()),
        pa.field("moved", pa.bool_()),
        pa.field("n", pa.int64()),
    ]
)  # what `survivors.TALLIES` gives


def create_bundles(con: duckdb.DuckDBPyConnection, bundles: Sequence[DayBundle]) -> None:
    """The table `bundles`, which `ledger_rows` reads."""
    columns = list(zip(*bundles, strict=True)) or [()] * len(DayBundle._fields)  # a day whose every object is gone
    named = zip(columns, _BUNDLE_TYPES, strict=True)
    frame = pa.table([pa.array(values, type=kind) for values, kind in named], names=list(DayBundle._fields))
    con.register("frame", frame)
    con.execute("CREATE TABLE bundles AS SELECT * FROM frame")
    con.unregister("frame")


def ledger_of(bundles: Sequence[DayBundle], tallies: pa.Table, *, append: bool) -> pa.Table:
    """As `ledger_rows`, of lines that were settled elsewhere and none of which were forgotten since the lake has them."""
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        create_bundles(con, bundles)
        con.register("tallies", tallies)
        con.execute("CREATE TABLE forgotten (bundle_no INTEGER)")
        return ledger_rows(con, append=append)


def ledger_rows(con: duckdb.DuckDBPyConnection, *, append: bool) -> pa.Table:
    """Rows as the lake's `bundle` columns without `held`, in key order: of the bundles read now (increment) or of all (rebuild).

    Reads the tables `bundles`, `tallies` and `forgotten` (`bundle_no` of each line of the lake that went).
    """
    which = "WHERE b.read" if append else ""
    event = "fate NOT IN ('duplicate', 'quarantined')"
    return con.sql(
        f"""
        WITH counted AS (
            SELECT bundle_no AS no, sum(n) FILTER ({event}) AS rows, sum(n) FILTER (fate = 'duplicate') AS duplicates,
                   sum(n) FILTER (fate = 'quarantined') AS quarantined, sum(n) FILTER (moved AND {event}) AS section_mismatches
            FROM tallies GROUP BY no),
        kinds AS (SELECT no, {_counts("fate")} AS text FROM (SELECT bundle_no AS no, fate, sum(n) AS n FROM tallies WHERE {event} GROUP BY ALL)
                  GROUP BY no),
        reasons AS (SELECT no, {_counts("reason")} AS text FROM (SELECT bundle_no AS no, reason, sum(n) AS n FROM tallies
                    WHERE fate = 'quarantined' GROUP BY ALL) GROUP BY no),
        nulled AS (SELECT no, {_counts("field")} AS text FROM (SELECT no, field, sum(n) AS n FROM (SELECT bundle_no AS no, n,
                   unnest(string_split(coerced, ',')) AS field FROM tallies WHERE coerced IS NOT NULL AND {event}) GROUP BY ALL) GROUP BY no),
        gone AS (SELECT bundle_no AS no, count(*) AS forgotten FROM forgotten GROUP BY ALL)
        SELECT b.key, b.source_file, b.etag AS source_etag, b.uploaded_at, b.last_modified, b.section AS section_id, b.category, b.bytes, b.lines,
               b.blank, coalesce(c.rows, 0)::BIGINT AS rows, coalesce(c.duplicates, 0)::BIGINT AS duplicates,
               coalesce(c.quarantined, 0)::BIGINT AS quarantined, b.forgotten + coalesce(g.forgotten, 0) AS forgotten,
               coalesce(k.text, '{{}}') AS rows_by_kind, coalesce(r.text, '{{}}') AS quarantined_by_reason, coalesce(n.text, '{{}}') AS coerced,
               coalesce(c.section_mismatches, 0)::BIGINT AS section_mismatches, b.parser_version
        FROM bundles b LEFT JOIN counted c USING (no) LEFT JOIN kinds k USING (no) LEFT JOIN reasons r USING (no) LEFT JOIN nulled n USING (no)
             LEFT JOIN gone g USING (no)
        {which} ORDER BY b.no
        """
    ).to_arrow_table()


def _counts(name: str) -> str:
    """SQL for a JSON object of counts, keys in order: the same counts give the same text."""
    return f"'{{' || string_agg('\"' || {name} || '\":' || n, ',' ORDER BY {name}) || '}}'"


def add_up(ledger: pa.Table) -> dict[str, Any]:
    """Counts of the day over its ledger rows, in the form `torus ingest --json` gives them (zero counts left out of the maps)."""
    total = {name: sum(ledger.column(name).to_pylist()) for name in ("lines", "blank", "duplicates", "forgotten")}

    def merged(column: str) -> dict[str, int]:
        sums: dict[str, int] = {}
        for text in ledger.column(column).to_pylist():
            for name, count in json.loads(text).items():
                sums[name] = sums.get(name, 0) + count
        return dict(sorted(sums.items()))

    return {
        "bundles": ledger.num_rows,
        "lines": total["lines"],
        "blank": total["blank"],
        "rows": merged("rows_by_kind"),
        "duplicates": total["duplicates"],
        "quarantined": merged("quarantined_by_reason"),
        "forgotten": total["forgotten"],
        "coerced": merged("coerced"),
    }
