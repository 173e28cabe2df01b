"""The lake: one Delta table under a URL."""

import dagster as dg
from pydantic import Field

from torus_assets.xapi.lake import Lake


class LakeResource(dg.ConfigurableResource):
    """The Delta lake. Opening it reads nothing; each snapshot reads the log anew."""

    url: str = Field(description="`s3://bucket/prefix` or `file:///folder`; the table is at `xapi/statements` below it.")

    def open(self) -> Lake:
        return Lake(self.url)
