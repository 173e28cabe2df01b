"""A place whose ingests know who was forgotten, and lines of one learner to forget."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from tests.factories import DAY, Place, line, statement
from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.xapi.ingest import IngestOptions, IngestResult, ingest_day
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.ledger import Wanted
from torus_assets.xapi.resettle import Resettled, resettle_day
from torus_assets.xapi.tombstones import Register, Tombstones, leave, read_tombstones

KEY = b"a key of the tests, 32 bytes long"
HOME, ADA = "torus.example.edu", "ada-7"
AT = datetime(2026, 3, 1, tzinfo=UTC)


def of_ada(event_kind: str = "page_viewed", **changes: Any) -> bytes:
    """A statement of hers, changed as the factories' `changed` does it."""
    return line(statement(event_kind, {"actor.account": {"homePage": f"https://{HOME.upper()}/", "name": ADA}, **changes}))


@dataclass(frozen=True)
class Forgetful(Place):
    """A place with tombstones in its lake store."""

    lake_url: str | None = None  # a folder of the place when not set

    @property
    def lake(self) -> Lake:
        return Lake(self.lake_url or f"file://{self.root / 'lake'}")

    @property
    def lake_store(self) -> ObjectStore:
        return open_store(self.lake.root)

    @property
    def tombstones(self) -> Tombstones:
        return read_tombstones(self.lake_store, KEY)

    def forget(self, home_page: str | None = HOME, user_id: str = ADA) -> None:
        leave(self.lake_store, KEY, home_page, user_id, AT, "tests")

    def ingest(
        self, index: list[Wanted] | None = None, *, day: date = DAY, max_quarantined_share: float = 1.0, **options: Any
    ) -> IngestResult:
        wanted = self.index(day) if index is None else index
        made = IngestOptions(max_quarantined_share=max_quarantined_share, **{"workers": 1, **options})
        return ingest_day(self.lake, self.url, day, wanted, self.spool, made, forgotten=Register(self.lake_store, KEY).now)

    def resettle(self, *, day: date = DAY, max_quarantined_share: float = 1.0, **options: Any) -> Resettled:
        return resettle_day(
            self.lake, day, self.spool, max_quarantined_share=max_quarantined_share, **{"tombstones": self.tombstones, **options}
        )

    def fates(self) -> dict[str, int]:
        """Lines by fate over the day's ledger, whose every row adds up and agrees with the tables."""
        contents = self.contents()
        for bundle in contents["bundles"]:
            assert bundle["lines"] == sum(bundle[fate] for fate in ("rows", "duplicates", "quarantined", "forgotten", "blank"))
            mine = {name: [row for row in rows if row["source_file"] == bundle["source_file"]] for name, rows in contents.items()}
            assert (len(mine["duplicates"]), len(mine["quarantine"])) == (bundle["duplicates"], bundle["quarantined"])
            assert sum(json.loads(bundle["quarantined_by_reason"]).values()) == bundle["quarantined"]
            assert bundle["rows"] == sum(json.loads(bundle["rows_by_kind"]).values())
            kept = sum(len(rows) for name, rows in mine.items() if name not in ("duplicates", "quarantine", "bundles"))
            assert kept == bundle["rows"]
        return {
            fate: sum(bundle[fate] for bundle in contents["bundles"])
            for fate in ("lines", "rows", "duplicates", "quarantined", "forgotten", "blank")
        }
