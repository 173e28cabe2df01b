"""A standing truth about the whole lake: who was forgotten is nowhere in it."""

import dagster as dg

from resources.lake import LakeResource
from torus_assets import settings
from torus_assets.clients.object_store import open_store
from torus_assets.forgetting.looking import still_there
from torus_assets.xapi.checks import LEDGER_KEY
from torus_assets.xapi.lake import LakeMissing
from torus_assets.xapi.tombstones import read_tombstones, tombstone_secret


@dg.asset_check(
    asset=LEDGER_KEY,
    name="forgotten_stay_forgotten",
    description="No day of the lake has a line of a learner who was forgotten. If one has: run `torus forget` for them again, and give every "
    "process that ingests the same TORUS_TOMBSTONE_KEY and release.",
)
def forgotten_stay_forgotten(lake: LakeResource) -> dg.AssetCheckResult:
    """Reads two columns of all events and the bytes of all refused lines; nothing at all while nobody was forgotten."""
    stones = read_tombstones(open_store(lake.url), tombstone_secret(settings.from_environment()))
    try:
        found = still_there(lake.open().snapshot(), stones)
    except LakeMissing:
        found = {}
    days = {day.isoformat(): lines for day, lines in found.items()}
    return dg.AssetCheckResult(
        passed=not days,
        metadata={"tombstones": len(stones.marks), "lines": sum(days.values()), "days": dg.MetadataValue.json(days)},
    )
