"""Which occurrence of each event survives, as SQL that DuckDB and Spark (3.5 and later) read alike: one rule, two engines.

The texts ask a table `lines` with a row per non-blank line:

- the identity: `event_hash`, and before it the day where several days are settled at once;
- `position`: bundle number times 2^32 plus the line's number. Bundles are numbered in the order of their keys, day by day, so the
  smallest position of one identity is the survivor: a rule, not a matter of arrival;
- `bundle_no`, `kind`; `reason` of refused lines; `coerced` of events, null when nothing was; `moved`: the body names another section
  than the key;
- `written`: this run writes the line. Not written are lines that the lake has and that only meet those of an increment.
"""

from __future__ import annotations

LINES = 1 << 32  # more than a bundle may have: position = bundle number * LINES + line


def position(bundle_no: str, source_line: str) -> str:
    """The line's place among all lines; `bundle_no` and `source_line` are SQL of 64-bit integers."""
    return f"({bundle_no} * {LINES} + {source_line})"


def repeated(*identity: str) -> str:
    """Identities that occur more than once, with the survivor's position."""
    of = ", ".join(identity)
    return f"SELECT {of}, min(position) AS survivor FROM lines GROUP BY {of} HAVING count(*) > 1"


def losers(*identity: str) -> str:
    """Lines whose event survives at a smaller position; asks `repeated` too."""
    same = " AND ".join(f"l.{name} = r.{name}" for name in identity)
    columns = ", ".join(f"l.{name}" for name in identity)
    return (
        f"SELECT l.position, l.bundle_no, l.kind, l.written, {columns} "
        f"FROM lines l JOIN repeated r ON {same} WHERE l.position <> r.survivor"
    )


DISPLACED = "SELECT DISTINCT bundle_no FROM losers WHERE NOT written"  # a newcomer would take a survivor's place: the day is rebuilt

# bundles with lines that were kept as duplicates and survive now: their content has to be read again
ORPHANED = "SELECT DISTINCT l.bundle_no FROM lines l LEFT JOIN losers o ON l.position = o.position WHERE l.kind = 'duplicate' AND o.position IS NULL"

# what became of the lines that are written: n lines of one bundle with the same fate
TALLIES = """
SELECT bundle_no, fate, reason, coerced, moved, count(*) AS n FROM (
    SELECT l.bundle_no,
           CASE WHEN o.position IS NULL THEN l.kind ELSE 'duplicate' END AS fate,
           CASE WHEN o.position IS NULL AND l.kind = 'quarantined' THEN l.reason END AS reason,
           CASE WHEN o.position IS NULL AND l.kind <> 'quarantined' THEN l.coerced END AS coerced,
           o.position IS NULL AND l.kind <> 'quarantined' AND l.moved AS moved
    FROM lines l LEFT JOIN losers o ON l.position = o.position WHERE l.written) AS fates
GROUP BY bundle_no, fate, reason, coerced, moved
"""
