"""Which objects a call reads: the inventory's word, what was uploaded since, and what has gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from obstore.exceptions import GenericError

from tests import inventories
from tests.factories import bundle_key
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.engine.drop_in.keys import Asked, Sought, listed_again, sought

NOW = datetime(2026, 2, 10, 12, tzinfo=UTC)
OLD, NEW = date(2026, 2, 3), date(2026, 2, 9)  # before and after the newest inventory
ASKED = Asked((3021, 3034), frozenset({"attempt_evaluated", "page_viewed"}))
MINE = [
    bundle_key("A", day=OLD),
    bundle_key("B", day=OLD, section=3034, category="page_viewed"),
    bundle_key("C", day=date(2026, 2, 4)),
]
OTHERS = [
    bundle_key("D", day=OLD, section=30210),
    bundle_key("E", day=OLD, category="video"),
    bundle_key("F", day=OLD, section="eden"),
    "other/section/3021/attempt_evaluated/2026-02-03T15-06-00.120773Z_G.jsonl",
    "section/3021/attempt_evaluated/README.txt",
]
LATE = [bundle_key("H", day=NEW), bundle_key("I", day=NEW, section=3034)]


@pytest.fixture
def bundles(tmp_path) -> ObjectStore:
    store = open_store(f"file://{tmp_path / 'xapi'}")
    for key in (*MINE, *OTHERS, *LATE):
        store.put(key, key.encode())
    return store


@pytest.fixture
def inventory(tmp_path, bundles) -> ObjectStore:
    """A report of 8 February at an hour and in a configuration of its own, and a newer one that is not complete."""
    store = open_store(f"file://{tmp_path / 'inventory'}")
    entries = [inventories.row(info.key, info.etag, info.size, info.last_modified) for info in bundles.list() if info.key not in LATE]
    inventories.write(store, "2026-02-08T17-30Z", [entries[:4], entries[4:]], home="deep/down/events/weekly")
    inventories.write(store, "2026-02-10T01-00Z", [entries], home="deep/down/events/weekly")
    store.delete(["deep/down/events/weekly/2026-02-10T01-00Z/manifest.checksum"])
    return store


def keys_of(found: Sought) -> list[str]:
    return sorted(one.key for day in found.days.values() for one in day)


def test_the_inventory_is_topped_up_by_listing_and_the_cut_off_is_told(bundles, inventory):
    found = sought(bundles, inventory, ASKED, NOW)
    assert keys_of(found) == sorted(MINE + LATE)
    assert {day: len(objects) for day, objects in found.days.items()} == {OLD: 2, date(2026, 2, 4): 1, NEW: 2}
    assert found.inventory == inventory.uri("deep/down/events/weekly/2026-02-08T17-30Z/manifest.json")
    assert [reason for reason in found.skipped.values() if "checksum" in reason]
    assert (found.listed_from, found.cut_off) == (date(2026, 2, 7), NOW)
    assert found.document()["inventory_created_at"] == "2026-02-08T17:30:00+00:00"
    assert not found.gone


def test_what_the_inventory_knows_of_settled_days_is_not_listed(bundles, inventory):
    """So an object that vanished is noticed when it is read, and named then."""
    bundles.delete([MINE[0]])
    found = sought(bundles, inventory, ASKED, NOW)
    assert MINE[0] in keys_of(found)
    again = listed_again(bundles, ASKED, found, NOW)
    assert keys_of(again) == sorted(MINE[1:] + LATE)
    assert again.gone == {MINE[0]}
    assert again.inventory == found.inventory


def test_an_object_that_vanished_from_a_listed_day_is_known_at_once(tmp_path, bundles, inventory):
    young = bundle_key("J", day=date(2026, 2, 8))
    inventories.write(inventory, "2026-02-09T01-00Z", [[inventories.row(young), inventories.row(MINE[0])]], home="deep/down/events/weekly")
    found = sought(bundles, inventory, ASKED, NOW)
    assert found.gone == {young}
    assert young not in keys_of(found)


@pytest.mark.parametrize("made", [True, False])
def test_without_an_inventory_everything_of_the_sections_is_listed(tmp_path, bundles, made):
    empty = open_store(f"file://{tmp_path / 'none'}")
    if made:
        empty.put("readme.txt", b"no report")
    found = sought(bundles, empty, ASKED, NOW)
    assert keys_of(found) == sorted(MINE + LATE)
    assert (found.inventory, found.document()["listed_from"]) == (None, None)


def test_uploads_before_the_first_day_asked_for_are_not_read(bundles, inventory):
    asked = Asked(ASKED.sections, ASKED.categories, date(2026, 2, 4))
    assert keys_of(sought(bundles, inventory, asked, NOW)) == sorted([MINE[2], *LATE])
    assert keys_of(sought(bundles, open_store("file:///nowhere"), asked, NOW)) == sorted([MINE[2], *LATE])


def test_a_report_about_another_bucket_is_passed_over(s3):
    bundles, inventory = open_store(f"{s3}/xapi"), open_store(f"{s3}/inventory")
    bundles.put(MINE[0], b"{}")
    inventories.write(inventory, "2026-02-08T01-00Z", [[]], source="another")
    found = sought(bundles, inventory, ASKED, NOW)
    assert keys_of(found) == [MINE[0]]
    assert "about bucket 'another'" in str(found.skipped)


def test_sections_of_which_there_is_nothing_are_known(bundles, inventory):
    asked = Asked((77, 3021), ASKED.categories)
    assert sought(bundles, inventory, asked, NOW).without(asked) == [77]


def test_no_bucket_of_inventories_is_no_error_and_no_bucket_of_bundles_is_one(s3):
    open_store(s3).put(MINE[0], b"{}")
    assert keys_of(sought(open_store(s3), open_store(f"{s3}-inventory"), ASKED, NOW)) == [MINE[0]]
    with pytest.raises(Exception, match="NoSuchBucket"):
        sought(open_store(f"{s3}-not-there"), open_store(f"{s3}-inventory"), ASKED, NOW)


@pytest.fixture
def forbidding() -> Iterator[str]:
    """An S3 that lets nobody in."""

    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name it has there
            """Says nothing."""

    server = HTTPServer(("127.0.0.1", 0), Refuses)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_access_denied_is_an_error_and_not_an_empty_inventory(s3, forbidding):
    denied = open_store("s3://closed-inventory", {"endpoint": forbidding})
    with pytest.raises(GenericError, match="AccessDenied"):
        sought(open_store(s3), denied, ASKED, NOW)
