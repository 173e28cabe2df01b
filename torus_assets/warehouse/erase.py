"""Erases one learner from `raw_events`: rows of ours and of other writers, and the parts of the table that held them.

The learner stands in a work table while this runs, never in the text or the parameters of a query, which servers keep. Months that
hold rows of theirs are written anew without them and swapped in, one atomic step a month, as a load does. Safe to kill and to repeat.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from torus_assets.clients.clickhouse import is_embedded, serial
from torus_assets.warehouse import schema
from torus_assets.warehouse.load import BOUNDED
from torus_assets.warehouse.schema import listed, sql
from torus_assets.xapi.kinds import host

OLD_PARTS_SECONDS = 120  # ClickHouse looks for old parts each second or so; a query that still reads one keeps it
ATTEMPTS = 5  # at a month that another writer changes under us
WORK_TABLES = ("learner", "rebuilt")
LEARNER = pa.schema([pa.field("user_id", pa.string(), nullable=False), pa.field("home_page", pa.string(), nullable=False)])


class EraseError(RuntimeError):
    """Rows of the learner, or files that held them, are still there; running again is right."""


class Erased(NamedTuple):
    """What was erased from `raw_events`."""

    rows: int
    months: int  # written anew
    spellings: int  # of the home page, in rows of theirs
    old_parts: int  # that could not be removed yet; 0 once the bytes are gone from the server's folder


def count_learner(client: Client, home_page: str | None, user_id: str) -> int:
    """Rows of the learner; 0 without the table."""
    if not _is_there(client):
        return 0
    with serial(client):
        erasure = _Erasure(client, time.sleep)
        erasure.clear()
        try:
            erasure.name(home_page, user_id)
            return sum(rows for _, rows in erasure.months())
        finally:
            erasure.clear()


def erase_learner(client: Client, home_page: str | None, user_id: str, *, sleep: Callable[[float], None] = time.sleep) -> Erased:
    """Removes every row of the learner, whoever wrote it, and waits until the parts that held them are gone.

    Args:
        home_page: as given anywhere: rows whose home page is the same host in another spelling are theirs too. None for learners
            who are known by `mbox` alone.
        sleep: called with seconds between two looks.

    Raises:
        EraseError: another writer kept changing a month, or rows are still there.
        WarehouseBusy: another load did not end.
    """
    if not _is_there(client):
        return Erased(0, 0, 0, 0)
    with serial(client):
        erasure = _Erasure(client, sleep)
        erasure.clear()
        try:
            return erasure.run(home_page, user_id)
        finally:
            erasure.clear()


def _is_there(client: Client) -> bool:
    return bool(client.query(sql("describe_table"), parameters={"table": schema.RAW_EVENTS}).result_rows)


def _host(home_page: str) -> str:
    """Normalised as tombstones do it: until it stays."""
    while (once := host(home_page)) != home_page:
        home_page = once
    return home_page


class _Erasure:
    """The steps of one erasure over one client."""

    def __init__(self, client: Client, sleep: Callable[[float], None]) -> None:
        self.client = client
        self.sleep = sleep
        self.mine = sql("erase_mine")

    def clear(self) -> None:
        """Drops the work tables, those of a killed erasure too."""
        for name in WORK_TABLES:
            self.client.command(f"DROP TABLE IF EXISTS raw_events__{name} SYNC")

    def run(self, home_page: str | None, user_id: str) -> Erased:
        spellings = self.name(home_page, user_id)
        target = schema.inspect(self.client)
        months = self.months()
        if months and target.partition_key == schema.MONTH_KEY:
            for month, _ in months:
                self._without_learner(month, list(target.types))
        elif months:
            self._do(sql("erase_delete", mine=self.mine), {})
        if left := sum(rows for _, rows in self.months()):
            raise EraseError(f"raw_events: {left} rows of the learner are still there: another writer is at work; run again")
        return Erased(sum(rows for _, rows in months), len(months), spellings, self._old_parts_gone())

    def name(self, home_page: str | None, user_id: str) -> int:
        """Puts the learner into the work table, under every spelling of the home page that stands in rows. Returns how many there are."""
        self.client.command(sql("create_learner"))
        wanted = _host(home_page or "")
        self._put([(user_id, wanted)])
        found = [text for (text,) in self.client.query(sql("erase_homes")).result_rows]
        spelt = {text for text in found if _host(text) == wanted}
        self._put([(user_id, text) for text in sorted(spelt - {wanted})])
        return len(spelt)

    def _put(self, learners: list[tuple[str, str]]) -> None:
        if learners:
            columns = zip(*learners, strict=True)
            self.client.insert_arrow("raw_events__learner", pa.table([pa.array(c, pa.string()) for c in columns], schema=LEARNER))

    def months(self) -> list[tuple[int, int]]:
        """Months that hold rows of the learner, with how many."""
        return [(int(month), int(rows)) for month, rows in self._rows(sql("erase_months", mine=self.mine))]

    def _without_learner(self, month: int, columns: list[str]) -> None:
        for _ in range(ATTEMPTS):
            before = self._count(month)
            self.client.command("DROP TABLE IF EXISTS raw_events__rebuilt SYNC")
            self.client.command("CREATE TABLE raw_events__rebuilt AS raw_events")
            self._do(sql("erase_keep", columns=listed(columns), mine=self.mine), {"month": month})
            [(rebuilt,)] = self._rows("SELECT count() FROM raw_events__rebuilt")
            if self._count(month) == before:
                self._do(sql("replace_month" if rebuilt else "drop_month"), {"month": month})
                return
        raise EraseError(
            f"month {month} of raw_events changed {ATTEMPTS} times while it was being rebuilt: stop the other writer, then run again"
        )

    def _count(self, month: int) -> int:
        [(rows,)] = self._rows(sql("month_rows"), {"month": month})
        return int(rows)

    def _old_parts_gone(self) -> int:
        """Has ClickHouse remove the parts that were replaced now, not in eight minutes. Returns how many are left."""
        self.client.command("DROP TABLE IF EXISTS raw_events__rebuilt SYNC")
        self.client.command("ALTER TABLE raw_events MODIFY SETTING old_parts_lifetime = 0")
        left = 0
        try:
            for _ in range(OLD_PARTS_SECONDS):
                self.client.command(sql("clear_old_parts"))
                [(left,)] = self._rows(sql("old_parts"))
                if not left:
                    break
                self.sleep(1.0)
            return int(left)
        finally:
            self.client.command("ALTER TABLE raw_events RESET SETTING old_parts_lifetime")

    def _rows(self, statement: str, bound: Mapping[str, Any] | None = None) -> Any:
        return self.client.query(statement, parameters=dict(bound or {}), settings=BOUNDED).result_rows

    def _do(self, statement: str, bound: Mapping[str, Any]) -> None:
        self.client.command(statement, parameters=dict(bound), settings=BOUNDED)
        if is_embedded(self.client):
            self.client.command("SYSTEM JEMALLOC PURGE")
