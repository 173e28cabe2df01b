"""Store against ledger where both are in a bucket, below prefixes, and the report is of the whole bucket."""

from __future__ import annotations

from datetime import UTC, date, datetime

from tests.factories import DAY, bundle_key
from tests.inventories import row, write
from torus_assets.arrivals import table
from torus_assets.clients.object_store import open_store
from torus_assets.health.store import Places, by_inventory, by_listing
from torus_assets.xapi.lake import Lake


def test_what_the_report_has_below_the_prefix_is_missing_and_what_is_elsewhere_is_not_ours(s3, tmp_path):
    bundles = open_store(f"{s3}/events")
    key = bundle_key("a", section=7)
    bundles.put(key, b"{}")
    lake = Lake(f"{s3}/lake")
    places = Places(bundles, open_store(f"{s3}/reports"), lake, tmp_path)
    assert bundles.bucket
    rows = [row(f"events/{key}", '"e"'), row(f"other/{bundle_key('b', section=7)}")]
    write(places.inventory, "2026-02-12T01-00Z", [rows], key_prefix="reports/", source=bundles.bucket)
    write(places.inventory, "2026-02-13T01-00Z", [rows], key_prefix="reports/", source="another-bucket")
    now = datetime.now(UTC)
    looked = by_inventory(places, date(2023, 1, 1), now)
    assert looked is not None
    assert (looked.compared.objects, looked.compared.examples, looked.told) == (1, [key], 1)
    [reason] = looked.skipped.values()
    assert "another-bucket" in reason
    [rows_of_day] = table.pending(open_store(lake.root), None).values()
    assert rows_of_day["key"].to_list() == [key]
    listed = by_listing(places, DAY, DAY, now, now - now)
    assert listed.compared.examples == [key]
