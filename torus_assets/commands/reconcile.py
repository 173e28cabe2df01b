"""`torus reconcile`: what is where, compared."""

from __future__ import annotations

import json
from typing import Any

import typer

from torus_assets import console, settings
from torus_assets.commands.options import From, Json, To, days_between
from torus_assets.console import NOT_RIGHT


def reconcile(first: From, last: To, as_json: Json = False) -> None:
    """Compare store, ledger, lake and ClickHouse; name what is missing where."""
    from torus_assets import reconcile as compare
    from torus_assets.clients import clickhouse
    from torus_assets.clients.object_store import open_store
    from torus_assets.xapi.lake import Lake

    chosen, days = settings.from_environment(), days_between(first, last)
    lake = Lake(chosen.lake_url)
    found = compare.reconcile_store(open_store(chosen.xapi_url), open_store(chosen.inventory_url), lake, *days)
    with clickhouse.connect(chosen.clickhouse) as client:
        warehouse = compare.reconcile_warehouse(client, lake, *days, chosen.spool)
    result = compare.document(found, warehouse)
    if as_json:
        console.document(result)
    else:
        _show_reconciled(result)
    if not result["ok"]:
        raise typer.Exit(NOT_RIGHT)


def _show_reconciled(result: dict[str, Any]) -> None:
    console.table(
        "reconcile: store, ledger and lake",
        ["day", "objects", "in ledger", "missing", "changed", "vanished", "counts", "held"],
        [
            [d["day"], d["store_bundles"], d["ledger_bundles"], len(d["missing"]), len(d["changed"]), len(d["vanished"]), json.dumps(d["counts"]) if d["counts"] else "add up", "HELD" if d["held"] else ""]
            for d in result["days"]
        ],
    )  # fmt: skip
    for day in result["days"]:
        for what in ("missing", "changed", "vanished"):
            for key in day[what]:
                console.out.print(f"{day['day']} {what}: {key}", soft_wrap=True)
    house = result["warehouse"]
    if house is None:
        console.out.print("ClickHouse: there is no lake yet to compare it with")
    elif house["ok"]:
        console.out.print(f"ClickHouse equals the lake: {house['lake_events']:,} events")
    else:
        console.out.print(
            f"ClickHouse differs: {house['missing']:,} events missing, {house['extra']:,} too many; days {house['missing_by_day']} {house['extra_by_day']}"
        )
        for bundle in house["bundles"]:
            console.out.print(f"not in ClickHouse: {bundle}", soft_wrap=True)
    held = [day["day"] for day in result["days"] if day["held"]]
    if held:
        console.out.print(f"held, and so in no load or export: {', '.join(held)}")
    if house is None and result["ok"]:
        console.out.print("there is nothing to compare: no bundle in the store, no lake")
    elif result["ok"]:
        console.out.print("everything adds up")
    else:
        console.out.print("[bold red]not everything is right[/]: see the lines above")
