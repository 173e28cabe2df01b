"""Settling a day: which occurrence of each event survives, and the sorted files and ledger rows that come of it.

DuckDB does it out of core over the spool and the day's existing lines. Bundles of the day carry numbers in the order of their keys,
so the smallest (bundle, line) of one hash is the survivor: a rule, not a matter of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa

from torus_assets.xapi import survivors
from torus_assets.xapi.fates import DayBundle, add_up, create_bundles, ledger_rows
from torus_assets.xapi.tables import BY_KIND, EVENT_KINDS, PLACE

ROW_GROUP_ROWS = 40_000  # 1.2 kB rows: 50 MB before compression, the unit in which readers skip
LINES = (*EVENT_KINDS, "quarantined")
POSITION = survivors.position("b.no::BIGINT", "l.source_line::BIGINT")


class Displaced(Exception):
    """An increment's newcomer would displace a survivor: the day has to be rebuilt."""


class ContentNeeded(Exception):
    """Lines kept as duplicates became survivors: their bundles have to be read again. `keys` names them."""

    def __init__(self, keys: frozenset[str]) -> None:
        super().__init__(f"{len(keys)} bundles hold lines that now survive")
        self.keys = keys


class Amended(NamedTuple):
    """What changes about lines that the lake has, beside what bundles say (a rebuild only)."""

    forgotten: frozenset[bytes] = frozenset()  # hashes: every line that has one of them goes
    replayed: bool = False  # lines in the spool take the place of the lake's at their bundle and line


AS_READ = Amended()


class Settled(NamedTuple):
    """Files of the day by kind, and its ledger rows (as the lake's `bundle` columns) without `held`."""

    files: dict[str, list[Path]]
    ledger: pa.Table
    forgotten: dict[str, int]  # lines of the lake that went as `Amended` said, by kind (`duplicate` and `quarantined` among them)


def settle(
    spool: Path,
    out: Path,
    bundles: Sequence[DayBundle],
    existing: dict[str, list[Path]],
    *,
    append: bool,
    memory_mb: int,
    threads: int,
    amended: Amended = AS_READ,
) -> Settled:
    """Writes the day's files under `out`.

    Args:
        spool: spool files of the bundles read now.
        out: an empty folder.
        bundles: every bundle of the day after this ingest, numbered in key order.
        existing: the day's files in the lake, by kind, as local paths.
        append: existing lines stay where they are (increment); else they are written again with the new ones.
        amended: what is to become of existing lines that are written again.

    Raises:
        Displaced, ContentNeeded: see there; nothing was written that counts.
    """
    with duckdb.connect() as con:
        con.execute("SET memory_limit = $m", {"m": f"{memory_mb}MB"})
        con.execute("SET threads = $n", {"n": threads})
        con.execute("SET temp_directory = $t", {"t": str(out / "duckdb")})
        con.execute("SET preserve_insertion_order = false")
        con.execute("SET TimeZone = 'UTC'")
        day = _Day(con, spool, out, existing, append)
        create_bundles(con, bundles)
        day.collect_lines(replayed=amended.replayed)
        forgotten = day.forget(amended.forgotten)
        day.find_losers()
        files = {kind: day.write(kind) for kind in LINES}
        files["duplicate"] = day.write_duplicates()
        return Settled({kind: paths for kind, paths in files.items() if paths}, day.ledger(), forgotten)


class _Day:
    """The steps of one settlement over one connection."""

    def __init__(self, con: duckdb.DuckDBPyConnection, spool: Path, out: Path, existing: dict[str, list[Path]], append: bool) -> None:
        self.con = con
        self.out = out
        self.append = append
        self.existing = {kind: [str(path) for path in paths] for kind, paths in existing.items()}
        self.spooled = {kind: sorted(str(path) for path in spool.glob(f"{kind}-*.parquet")) for kind in LINES}

    def collect_lines(self, *, replayed: bool) -> None:
        """Every non-blank line of the day in a narrow table, as `survivors` asks for it."""
        self.con.execute(
            "CREATE TABLE lines (event_hash BLOB, position BIGINT, bundle_no INTEGER, kind VARCHAR, reason VARCHAR, coerced VARCHAR, "
            "moved BOOLEAN, written BOOLEAN)"
        )
        for kind in LINES:
            self._collect(kind, self.spooled[kind], is_new=True)
        self.con.execute("CREATE TABLE replaced AS SELECT position FROM lines WHERE $replayed", {"replayed": replayed})
        for kind in (*LINES, *(() if self.append else ("duplicate",))):
            self._collect(kind, self.existing.get(kind, []), is_new=False)

    def _collect(self, kind: str, paths: list[str], *, is_new: bool) -> None:
        if not paths:
            return
        is_event = kind in EVENT_KINDS
        reason = "l.reason" if kind == "quarantined" else "NULL"
        coerced, moved = ("l.coerced", "l.section_id IS DISTINCT FROM b.section") if is_event else ("NULL", "false")
        if is_new:
            hash_, join = "l.event_hash", "b.no = l.bundle_no"
        else:
            hash_, join = "unhex(l.event_hash)", "b.source_file = l.source_file AND NOT b.read"
        only = ""
        if not is_new:
            met = "unhex(l.event_hash) IN (SELECT event_hash FROM lines WHERE written)"
            only = f"WHERE {met if self.append else f'{POSITION} NOT IN (SELECT position FROM replaced)'}"
        self.con.execute(
            f"INSERT INTO lines SELECT {hash_}, {POSITION}, b.no, $kind, {reason}, {coerced}, {moved}, $written "
            f"FROM read_parquet($paths) l JOIN bundles b ON {join} {only}",
            {"kind": kind, "paths": paths, "written": is_new or not self.append},
        )

    def forget(self, hashes: frozenset[bytes]) -> dict[str, int]:
        """Takes every line of these hashes out of the day; how many of each kind the lake had."""
        if not hashes:
            self.con.execute("CREATE TABLE forgotten (position BIGINT, bundle_no INTEGER, kind VARCHAR)")
            return {}
        frame = pa.table({"event_hash": pa.array(sorted(hashes), pa.binary())})
        self.con.register("frame", frame)
        self.con.execute("CREATE TABLE forgotten AS SELECT position, bundle_no, kind FROM lines SEMI JOIN frame USING (event_hash)")
        self.con.unregister("frame")
        self.con.execute("DELETE FROM lines WHERE position IN (SELECT position FROM forgotten)")
        return dict(self.con.execute("SELECT kind, count(*) FROM forgotten GROUP BY kind ORDER BY kind").fetchall())

    def find_losers(self) -> None:
        """Lines whose event survives at a smaller position."""
        self.con.execute(f"CREATE TABLE repeated AS {survivors.repeated('event_hash')}")
        self.con.execute(f"CREATE TABLE losers AS {survivors.losers('event_hash')}")
        if self._keys(survivors.DISPLACED):
            raise Displaced
        if orphaned := self._keys(survivors.ORPHANED):
            raise ContentNeeded(orphaned)

    def _keys(self, bundle_numbers: str) -> frozenset[str]:
        found = self.con.execute(f"SELECT b.key FROM ({bundle_numbers}) f JOIN bundles b ON b.no = f.bundle_no").fetchall()
        return frozenset(key for (key,) in found)

    def write(self, kind: str) -> list[Path]:
        """The surviving lines of one kind, sorted by section, time and hash, as Parquet."""
        parts = [part for part in (self._new_rows(kind), self._kept_rows(kind)) if part]
        if not parts:
            return []
        order = "section_id, timestamp, event_hash" if kind in EVENT_KINDS else "section_id, source_file, source_line"
        return self._copy(kind, f"{' UNION ALL '.join(parts)} ORDER BY {order}")

    def _new_rows(self, kind: str) -> str:
        if not self.spooled[kind]:
            return ""
        columns = ", ".join(
            "b.section AS section_id" if kind == "quarantined" and c.name == "section_id" else f"l.{c.name}"
            for c in BY_KIND[kind].columns[len(PLACE) :]
        )
        return (
            f"SELECT lower(hex(l.event_hash)) AS event_hash, b.source_file, b.etag AS source_etag, l.source_line::BIGINT AS source_line, b.uploaded_at, {columns} "
            f"FROM read_parquet({_list(self.spooled[kind])}) l JOIN bundles b ON b.no = l.bundle_no "
            f"WHERE {POSITION} NOT IN (SELECT position FROM losers UNION ALL SELECT position FROM forgotten)"
        )

    def _kept_rows(self, kind: str) -> str:
        paths = self.existing.get(kind, [])
        if self.append or not paths:
            return ""
        columns = ", ".join(f"l.{c.name}" for c in BY_KIND[kind].columns)
        return (
            f"SELECT {columns} FROM read_parquet({_list(paths)}) l JOIN bundles b ON b.source_file = l.source_file AND NOT b.read "
            f"WHERE {POSITION} NOT IN (SELECT position FROM losers UNION ALL SELECT position FROM forgotten UNION ALL SELECT position FROM replaced)"
        )

    def write_duplicates(self) -> list[Path]:
        return self._copy(
            "duplicate",
            f"SELECT lower(hex(d.event_hash)) AS event_hash, b.source_file, b.etag AS source_etag, d.position % {survivors.LINES} AS source_line, "
            "b.uploaded_at, b.section AS section_id FROM losers d JOIN bundles b ON b.no = d.bundle_no WHERE d.written "
            "ORDER BY section_id, source_file, source_line",
        )

    def _copy(self, kind: str, query: str) -> list[Path]:
        path = self.out / f"{kind}.parquet"
        rows = self.con.execute(
            f"COPY ({query}) TO {_quoted(str(path))} (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, ROW_GROUP_SIZE {ROW_GROUP_ROWS})"
        ).fetchone()
        return [path] if rows is not None and rows[0] else []

    def ledger(self) -> pa.Table:
        """Ledger rows of the bundles read now (increment) or of all (rebuild)."""
        self.con.execute(f"CREATE TABLE tallies AS {survivors.TALLIES}")
        return ledger_rows(self.con, append=self.append)


def _quoted(text: str) -> str:
    """A path of our own as an SQL string: COPY takes no parameter there."""
    return "'" + text.replace("'", "''") + "'"


def _list(paths: list[str]) -> str:
    return "[" + ", ".join(map(_quoted, paths)) + "]"


__all__ = ["Amended", "ContentNeeded", "DayBundle", "Displaced", "Settled", "add_up", "settle"]
