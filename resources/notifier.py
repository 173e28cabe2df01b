"""Whom failures are told: a webhook when one is set, else the log."""

import dagster as dg
from pydantic import Field

from torus_assets.failures.notify import LogNotifier, Notifier, WebhookNotifier


class NotifierResource(dg.ConfigurableResource):
    """Where people hear of failures."""

    url: str = Field(
        default="",
        repr=False,
        description="Address that takes a POST with a JSON body, given as an environment variable; empty: the log of the process.",
    )

    def open(self) -> Notifier:
        return WebhookNotifier(self.url) if self.url else LogNotifier()
