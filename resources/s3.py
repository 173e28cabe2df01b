"""Object stores: S3, or folders of this machine, by URL."""

import dagster as dg
from pydantic import Field

from torus_assets.clients.object_store import ObjectStore, open_store


class ObjectStoreResource(dg.ConfigurableResource):
    """One place that holds objects. Opened per use: an outage fails the step that needed it, not the code location."""

    url: str = Field(
        description="`s3://bucket/prefix` (any S3: `AWS_ENDPOINT_URL` is honoured, credentials come from the default chain) or `file:///folder`."
    )

    def open(self) -> ObjectStore:
        return open_store(self.url)
