"""The lag of a load: from the upload in the key to the row in ClickHouse, of what came in and of nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.warehouse.lakes import rows
from torus_assets.clients.clickhouse import connect
from torus_assets.warehouse.lag import Lag, lag, server_time
from torus_assets.warehouse.load import load_day

DAY = date(2026, 1, 5)


def uploaded(*ages: int) -> list[dict]:
    """Video events, uploaded so many seconds before now."""
    now = datetime.now(UTC)
    return [row | {"uploaded_at": now - timedelta(seconds=age)} for row, age in zip(rows("video", range(len(ages))), ages, strict=True)]


@pytest.mark.parametrize("engine", ["embedded", "remote"])
def test_it_is_the_time_from_upload_to_row(engine, request, days, tmp_path):
    settings = request.getfixturevalue(engine)
    snapshot = days.put(DAY, {"video": uploaded(*range(1000, 3000, 100))})
    with connect(settings) as client:
        since = server_time(client)
        load_day(client, snapshot, DAY, scratch=tmp_path)
        found = lag(client, DAY, since=since)
        assert found is not None
        assert found.rows == 20
        for seconds, expected in ((found.median, 2000), (found.p95, 2800), (found.largest, 2900)):
            assert expected - 100 <= seconds <= expected + 160  # the load itself takes some seconds
        assert lag(client, DAY + timedelta(days=1), since=since) is None


def test_rows_of_earlier_loads_and_a_load_of_nothing_new_do_not_count(days, embedded, tmp_path):
    old, new = uploaded(86_400, 50)
    snapshot = days.put(DAY, {"video": [old]})
    with connect(embedded) as client:
        load_day(client, snapshot, DAY, scratch=tmp_path)
        client.command("ALTER TABLE raw_events UPDATE inserted_at = inserted_at - 60 WHERE true", settings={"mutations_sync": 2})
        since = server_time(client)
        load_day(client, snapshot, DAY, scratch=tmp_path)
        assert lag(client, DAY, since=since) is None
        load_day(client, days.put(DAY, {"video": [old, new]}), DAY, scratch=tmp_path)
        found = lag(client, DAY, since=since)
    assert found is not None
    assert found.rows == 1
    assert 50 <= found.largest < 1000


def test_a_clock_that_is_behind_gives_nothing_negative(days, embedded, tmp_path):
    snapshot = days.put(DAY, {"video": uploaded(-3600)})
    with connect(embedded) as client:
        since = server_time(client)
        load_day(client, snapshot, DAY, scratch=tmp_path)
        assert lag(client, DAY, since=since) == Lag(1, 0, 0, 0)


def test_a_table_that_does_not_say_when_a_row_was_uploaded_has_no_lag(embedded):
    with connect(embedded) as client:
        client.command(
            "CREATE TABLE raw_events (event_hash String, inserted_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY event_hash"
        )
        assert lag(client, DAY, since=server_time(client)) is None
