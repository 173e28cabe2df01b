"""How long events took from their upload until they could be queried, measured by ClickHouse over what one load put in."""

from __future__ import annotations

from datetime import date
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from torus_assets.warehouse import schema
from torus_assets.warehouse.schema import sql

NEEDED = {"upload_date", "uploaded_at", "inserted_at"}


class Lag(NamedTuple):
    """Seconds from upload (`uploaded_at`, of the object's key) to row (`inserted_at`, of the server) of the rows that a load put in."""

    rows: int
    median: int
    p95: int
    largest: int


def server_time(client: Client) -> int:
    """The server's clock in whole seconds since 1970 (UTC). Ask before the load."""
    [(seconds,)] = client.query("SELECT toUnixTimestamp(now())").result_rows
    return int(seconds)


def lag(client: Client, day: date, *, since: int) -> Lag | None:
    """The lag of the day's rows that came in since the instant, which `server_time` gave.

    Rows that the load wrote anew since their columns changed count too: before, they could not be queried as they are.

    Returns:
        None when nothing came in, and for a table of Torus' own migrations, which does not say when a row was uploaded.
    """
    if not schema.inspect(client).types.keys() >= NEEDED:
        return None
    [(rows, median, p95, largest)] = client.query(sql("lag"), parameters={"day": day, "since": since}).result_rows
    return Lag(rows, int(median), int(p95), int(largest)) if rows else None
