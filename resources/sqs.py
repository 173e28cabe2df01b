"""The queue of arrivals: an SQS queue that S3 (or SNS, or EventBridge) writes to, or none."""

import re

import boto3.session
from botocore.config import Config
from dagster_aws.utils import ResourceWithBoto3Configuration, construct_boto_client_retry_config
from pydantic import Field

from torus_assets.clients.sqs import Queue

CONNECT_SECONDS = 5
READ_SECONDS = 15  # a long poll waits one second
REGION = re.compile(r"//(?:sqs[.-](?P<new>[a-z]{2}(?:-[a-z]+)+-\d)|(?P<old>[a-z]{2}(?:-[a-z]+)+-\d)\.queue)\.")


class QueueResource(ResourceWithBoto3Configuration):
    """One queue. Credentials come from the default chain, and `AWS_ENDPOINT_URL` is honoured; connected per use."""

    url: str = Field(default="", description="URL of the queue with the bucket's notifications; empty: there is no queue.")

    def open(self) -> Queue | None:
        """The queue, or None without one. Nothing is contacted before the first use."""
        return Queue(self._client(), self.url) if self.url else None

    def _client(self) -> object:
        timeouts = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS)
        return boto3.session.Session(profile_name=self.profile_name).client(
            "sqs",
            region_name=self.region_name or region_of(self.url),
            endpoint_url=self.endpoint_url,
            use_ssl=self.use_ssl,
            verify=self.verify,
            aws_access_key_id=self.aws_access_key_id,
            aws_secret_access_key=self.aws_secret_access_key,
            aws_session_token=self.aws_session_token,
            config=construct_boto_client_retry_config(self.max_attempts).merge(timeouts),
        )


def region_of(url: str) -> str | None:
    """The region in the URL of an AWS queue; None for others, whose region is that of the default chain."""
    found = REGION.search(url)
    return (found["new"] or found["old"]) if found else None
