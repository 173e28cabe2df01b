"""Erasing a learner from raw_events: their rows under any spelling, nobody else's, and no byte of them left in the folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.warehouse.lakes import Days, every_kind, rows
from torus_assets.clients.clickhouse import connect
from torus_assets.warehouse import erase, schema
from torus_assets.warehouse.erase import Erased, EraseError, count_learner, erase_learner
from torus_assets.warehouse.load import load_day

DAY = date(2026, 1, 5)
HOME, CANARY = "torus.example.edu", "canary-4711"
THEIRS = {"user_id": CANARY, "home_page": HOME}


def put_and_load(client: Client, days: Days) -> Any:
    mine, others = every_kind(range(3), **THEIRS), every_kind(range(3, 9), home_page=HOME)
    snapshot = days.put(DAY, {kind: mine[kind] + others[kind] for kind in mine})
    load_day(client, snapshot, DAY, scratch=days.root.parent)
    return snapshot


def users(client: Client) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in client.query("SELECT event_hash, user_id, row_digest FROM raw_events").result_rows)


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def foreign(client: Client, home_page: str, number: int, user_id: str = CANARY) -> None:
    client.command(
        "INSERT INTO raw_events (event_hash, section_id, event_type, timestamp, user_id, home_page) VALUES "
        "({hash:String}, 7, 'video', '2025-11-02 10:00:00', {user:String}, {home:String})",
        parameters={"hash": f"foreign {number}", "user": user_id, "home": home_page},
    )


def test_the_learner_goes_under_every_spelling_and_nobody_else(days, embedded):
    with connect(embedded) as client:
        put_and_load(client, days)
        for number, spelt in enumerate(
            ("https://Torus.example.edu/", " http://torus.example.edu", "another.example.edu", "torus.example.edu.evil")
        ):
            foreign(client, spelt, number)
        before = users(client)
        assert count_learner(client, HOME, CANARY) == 3 * 8 + 2
        assert erase_learner(client, "HTTPS://torus.example.EDU/", CANARY) == Erased(3 * 8 + 2, 2, 3, 0)
        gone = {row[0] for row in before} - {row[0] for row in users(client)}
        assert len(gone) == 26
        assert {"foreign 0", "foreign 1"} < gone
        assert users(client) == [row for row in before if row[0] not in gone], "all others stay, byte for byte"
        assert {row[0] for row in users(client)} > {"foreign 2", "foreign 3"}, "the same id at another host is another person"
        assert erase_learner(client, HOME, CANARY) == Erased(0, 0, 0, 0)


def test_no_byte_of_theirs_is_left_in_the_folder(days, embedded):
    with connect(embedded) as client:
        client.command("CREATE DATABASE IF NOT EXISTS default")
        put_and_load(client, days)
        client.command("ALTER TABLE raw_events MODIFY COLUMN user_id CODEC(NONE)")
        client.command("OPTIMIZE TABLE raw_events FINAL")
        assert CANARY.encode() in bytes_below(embedded.folder), "the search finds what is there"
        assert erase_learner(client, HOME, CANARY).old_parts == 0
        assert client.query("SELECT count() FROM system.parts WHERE NOT active AND rows > 0").result_rows == [(0,)]
        assert client.query("SELECT name FROM system.tables WHERE name LIKE 'raw\\_events\\_\\_%'").result_rows == []
        assert "old_parts_lifetime" not in str(client.command("SHOW CREATE TABLE raw_events")), "the table is as it was"
    assert CANARY.encode() not in bytes_below(embedded.folder)


def test_a_load_of_the_day_afterwards_changes_nothing(days, embedded):
    with connect(embedded) as client:
        put_and_load(client, days)
        erase_learner(client, HOME, CANARY)
        snapshot = days.put(DAY, every_kind(range(3, 9), home_page=HOME))
        result = load_day(client, snapshot, DAY, scratch=days.root.parent)
    assert (result.inserted, result.replaced, result.deleted, result.present) == (0, 0, 0, 48)


def test_a_learner_known_by_mbox_has_no_home_page(days, embedded):
    with connect(embedded) as client:
        made = {"page_viewed": rows("page_viewed", range(4), user_id="mailto:canary@example.edu", home_page=None)}
        made["page_viewed"] += rows("page_viewed", range(4, 6), user_id="mailto:canary@example.edu", home_page=HOME)
        load_day(client, days.put(DAY, made), DAY, scratch=days.root.parent)
        assert erase_learner(client, None, "mailto:canary@example.edu").rows == 4
        assert client.query("SELECT count() FROM raw_events").result_rows == [(2,)]


def test_a_table_of_torus_own_migrations_is_erased_too(embedded):
    columns = ", ".join(f"{name} {kind}" for name, (kind, _) in schema.columns().items() if name not in schema.OURS)
    with connect(embedded) as client:
        client.command(
            f"CREATE TABLE raw_events ({columns}, event_version DateTime64(3) DEFAULT now64(3)) ENGINE = MergeTree ORDER BY (section_id, timestamp)"
        )
        for number, home in enumerate((HOME, f"http://{HOME}")):
            foreign(client, home, number)
        foreign(client, HOME, 2, "somebody else")
        assert erase_learner(client, HOME, CANARY) == Erased(2, 1, 2, 0)
        assert client.query("SELECT event_hash FROM raw_events").result_rows == [("foreign 2",)]
        kept = client.query("SELECT command FROM system.mutations").result_rows
    assert CANARY.encode() not in bytes_below(embedded.folder)
    assert CANARY not in str(kept)


def test_no_query_that_a_server_keeps_names_the_learner(days, remote, server):
    with connect(remote) as client:
        put_and_load(client, days)
        assert erase_learner(client, HOME, CANARY).rows == 24
    sent = [json.loads(line) for line in server[1].read_text().splitlines()]
    assert len(sent) > 20
    assert CANARY not in json.dumps(sent)


def test_nothing_is_made_where_there_is_no_table(embedded):
    with connect(embedded) as client:
        assert erase_learner(client, HOME, CANARY) == Erased(0, 0, 0, 0)
        assert count_learner(client, HOME, CANARY) == 0
        assert client.query("SHOW TABLES").result_rows == []


def test_a_month_that_changes_under_us_is_rebuilt_again_and_then_given_up(days, embedded, monkeypatch):
    with connect(embedded) as client:
        put_and_load(client, days)
        counted = iter(range(1000))
        monkeypatch.setattr(erase._Erasure, "_count", lambda *_: next(counted))
        with pytest.raises(EraseError, match="changed 5 times"):
            erase_learner(client, HOME, CANARY)
        monkeypatch.undo()
        assert erase_learner(client, HOME, CANARY).rows == 24


CHILD = """
import os, signal, sys
from pathlib import Path
from torus_assets.clients.clickhouse import connect
from torus_assets.settings import ClickHouseSettings
from torus_assets.warehouse import erase
whole = erase._Erasure._count
def count(self, month, seen=[]):
    seen.append(month)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, month)
erase._Erasure._count = count
with connect(ClickHouseSettings(folder=Path(sys.argv[1]))) as client:
    erase.erase_learner(client, sys.argv[2], sys.stdin.read())
"""


def test_an_erasure_that_was_killed_is_finished_by_the_next(days, embedded):
    with connect(embedded) as client:
        put_and_load(client, days)
    command = [sys.executable, "-c", CHILD, str(embedded.folder), HOME]
    killed = subprocess.run(command, input=CANARY, text=True, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    with connect(embedded) as client:
        assert erase_learner(client, HOME, CANARY) == Erased(24, 1, 1, 0)
        client.command("OPTIMIZE TABLE raw_events FINAL")
        assert client.query("SELECT count() FROM raw_events").result_rows == [(48,)]
