"""A bucket that tells a queue of its objects, on moto; and Dagster's part of a tick, played by a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import uuid4

import boto3.session

from torus_assets.arrivals.due import Outcome, Request
from torus_assets.arrivals.tick import Runs
from torus_assets.clients.sqs import Message, Queue


class Watched(Queue):
    """A queue that remembers the receipts it gave out."""

    def __init__(self, client: Any, url: str, receipts: list[str]) -> None:
        super().__init__(client, url)
        self._receipts = receipts

    def receive(self, *, wait_seconds: int, hidden_seconds: int) -> list[Message]:
        messages = super().receive(wait_seconds=wait_seconds, hidden_seconds=hidden_seconds)
        self._receipts.extend(message.receipt for message in messages)
        return messages


@dataclass
class Notified:
    """A bucket whose events arrive in a queue, as S3 sends them."""

    bucket: str
    sqs: Any = field(default_factory=lambda: boto3.session.Session().client("sqs"))
    url: str = ""
    receipts: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.sqs.create_queue(QueueName=f"q-{uuid4().hex}")["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        configuration = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}]}
        boto3.session.Session().client("s3").put_bucket_notification_configuration(
            Bucket=self.bucket, NotificationConfiguration=configuration
        )

    @property
    def queue(self) -> Queue:
        return Watched(self.sqs, self.url, self.receipts)

    def send(self, body: object) -> None:
        self.sqs.send_message(QueueUrl=self.url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def reveal(self) -> None:
        """Lets every hidden message come back, as time would."""
        for receipt in self.receipts:
            with suppress(self.sqs.exceptions.ClientError):  # deleted, or received again since
                self.sqs.change_message_visibility(QueueUrl=self.url, ReceiptHandle=receipt, VisibilityTimeout=0)
        self.receipts.clear()

    def left(self) -> int:
        """Messages in the queue, hidden or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)


@dataclass
class PlayedRuns:
    """Runs by run key, as a test lets them end."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    in_flight: set[date] = field(default_factory=set)
    by_hand: dict[date, datetime] = field(default_factory=dict)

    def launch(self, requests: Sequence[Request], state: Any, now: datetime) -> None:
        for request in requests:
            self.outcomes[request.run_key] = Outcome(state, now, f"run-of-{request.run_key}")

    def played(self) -> Runs:
        return Runs(self._of, lambda: self.in_flight, self._succeeded)

    def _of(self, run_keys: Sequence[str]) -> Mapping[str, Outcome]:
        return {key: self.outcomes[key] for key in run_keys if key in self.outcomes}

    def _succeeded(self, ours: Collection[str], since: datetime) -> Mapping[date, datetime]:
        return {day: at for day, at in self.by_hand.items() if at >= since}


class Killed(BaseException):
    """What a kill looks like from inside: nothing after it happens, nothing catches it."""


@dataclass
class Sabotage:
    """Kills at the n-th change of anything outside of the process."""

    at: int
    changes: int = 0

    def on(self, thing: Any, *names: str) -> None:
        for name in names:
            setattr(thing, name, self._killing(getattr(thing, name)))

    def _killing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def changing(*args: Any, **more: Any) -> Any:
            self.changes += 1
            if self.changes == self.at:
                raise Killed
            return method(*args, **more)

        return changing
