"""PostgreSQL of Torus: where the lookup of a data set comes from when no document is laid beside its request."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from pydantic import Field

from torus_assets.datasets.lookup_database import fetch_lookup


class PostgresResource(dg.ConfigurableResource):
    """Torus' database, read-only. Connected per use: an outage fails the data set that asked, not the code location."""

    url: str = Field(
        default="",
        description="`postgresql://user:password@host:port/database`, given as an environment variable; empty: there is no database.",
    )

    def lookup(self, section_ids: Sequence[int]) -> dict[str, Any] | None:
        """The lookup document of sections, or None without a database."""
        return fetch_lookup(self.url, section_ids) if self.url else None
