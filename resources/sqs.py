"""The queue of arrivals: an SQS queue that S3 (or SNS, or EventBridge) writes to, or none."""

import re

import dagster as dg
from pydantic import Field

from torus_assets.clients.sqs import Queue

CONNECT_SECONDS = 5
READ_SECONDS = 15  # a long poll waits one second
REGION = re.compile(r"//(?:sqs[.-](?P<new>[a-z]{2}(?:-[a-z]+)+-\d)|(?P<old>[a-z]{2}(?:-[a-z]+)+-\d)\.queue)\.")


class QueueResource(dg.ConfigurableResource):
    """One queue. Credentials come from the default chain, and `AWS_ENDPOINT_URL` is honoured; connected per use."""

    url: str = Field(default="", description="URL of the queue with the bucket's notifications; empty: there is no queue.")
    max_attempts: int = Field(default=5, description="Tries of one call, the first included.")

    def open(self) -> Queue | None:
        """The queue, or None without one. Nothing is contacted before the first use."""
        return Queue(self._client(), self.url) if self.url else None

    def _client(self) -> object:
        import boto3.session  # with dagster-aws a second of every command's start, and most commands ask no queue
        from botocore.config import Config
        from dagster_aws.utils import construct_boto_client_retry_config

        timeouts = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        config = construct_boto_client_retry_config(self.max_attempts).merge(timeouts)
        return boto3.session.Session().client("sqs", region_name=region_of(self.url), config=config)


def region_of(url: str) -> str | None:
    """The region in the URL of an AWS queue; None for others, whose region is that of the default chain."""
    found = REGION.search(url)
    return (found["new"] or found["old"]) if found else None
