"""S3 and SQS in a process of their own (moto), a bucket that tells a queue of every new object, and what was put there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, cast

import boto3.session

from tests.command import PROJECT, clean_environment
from tests.factories import bundle_key, numbered
from tests.live.dagster_dev import free_port, until

BUCKET, QUEUE, REGION = "torus-xapi", "arrivals", "us-east-1"
LINES_PER_BUNDLE = 5
SECTIONS = (3021, 3034)


class SqsWorld:
    """One bucket with notifications. Every bundle put has lines of its own, so the events of all bundles are distinct."""

    def __init__(self, endpoint: str) -> None:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        session = boto3.session.Session(**keys)
        self._s3: Any = session.client("s3", endpoint_url=endpoint)
        self._sqs: Any = session.client("sqs", endpoint_url=endpoint)
        self.hashes: set[str] = set()  # of every line put
        self.bundles = 0
        self.last_put = 0.0  # seconds since 1970
        self._s3.create_bucket(Bucket=BUCKET)
        self.queue_url = cast("str", self._sqs.create_queue(QueueName=QUEUE)["QueueUrl"])
        told = {"QueueArn": f"arn:aws:sqs:{REGION}:123456789012:{QUEUE}", "Events": ["s3:ObjectCreated:*"]}
        self._s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": [told]})
        self.environment = {
            "TORUS_XAPI_URL": f"s3://{BUCKET}",
            "TORUS_ARRIVALS_QUEUE_URL": self.queue_url,
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": REGION,
        }

    def put(self, day: date, bundles: int = 1) -> None:
        """Adds bundles uploaded on the day, in turn to each section."""
        for _ in range(bundles):
            number, section = self.bundles, SECTIONS[self.bundles % len(SECTIONS)]
            lines = [numbered(number * LINES_PER_BUNDLE + n, section=section) for n in range(LINES_PER_BUNDLE)]
            key = bundle_key(f"bundle-{number:05d}", section=section, day=day, second=number % 60)
            self._s3.put_object(Bucket=BUCKET, Key=key, Body=b"\n".join(lines) + b"\n")
            self.hashes |= {hashlib.sha256(line).hexdigest() for line in lines}
            self.bundles += 1
        self.last_put = time.time()

    def messages(self) -> int:
        """Messages that the queue still has, those that somebody has received and not deleted included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@contextmanager
def sqs_world(scratch: Path) -> Iterator[SqsWorld]:
    """The servers of S3 and SQS and their world, as long as the test needs them."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    with (scratch / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            cwd=PROJECT, env=clean_environment(TMPDIR=str(scratch)), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            until("moto answers", 60, lambda: _answers(endpoint), instead=lambda: (scratch / "moto.log").read_text())
            yield SqsWorld(endpoint)
        finally:
            server.kill()
            server.wait()


def _answers(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/moto-api/", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
