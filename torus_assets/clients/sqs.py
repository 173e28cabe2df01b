"""A queue of SQS, over a boto3 client that is handed in.

A batch call of SQS succeeds as a call while single messages of it fail: what failed is always in the answer here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

BATCH = 10  # messages per call, by SQS' own limit


class Message(NamedTuple):
    """One received message. The receipt, not the id, is what deletes it."""

    id: str
    receipt: str
    body: bytes


@dataclass
class Answered:
    """What became of each receipt of a batch."""

    done: int = 0
    void: list[str] = field(default_factory=list)  # refused for good: the receipt is too old; the message comes again under another
    failed: list[str] = field(default_factory=list)  # a fault of the service: try again


class Queue:
    """One queue by its URL."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self.url = url

    def receive(self, *, wait_seconds: int, hidden_seconds: int) -> list[Message]:
        """Up to ten messages, hidden from others for a while; none when nothing came within `wait_seconds`."""
        answer = self._client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=BATCH, WaitTimeSeconds=wait_seconds, VisibilityTimeout=hidden_seconds
        )
        return [_message(found) for found in answer.get("Messages", ())]

    def delete(self, receipts: Iterable[str]) -> Answered:
        """Deletes messages for good."""
        return self._batches(receipts, self._client.delete_message_batch, {})

    def waiting(self) -> int:
        """About how many messages can be received now."""
        answer = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def hide(self, receipts: Iterable[str], seconds: int) -> Answered:
        """Keeps received messages hidden for `seconds` from now on (SQS: at most 12 hours in all)."""
        return self._batches(receipts, self._client.change_message_visibility_batch, {"VisibilityTimeout": seconds})

    def _batches(self, receipts: Iterable[str], call: Any, more: dict[str, int]) -> Answered:
        answered = Answered()
        for batch in _tens(receipts):
            entries = [{"Id": str(number), "ReceiptHandle": receipt, **more} for number, receipt in enumerate(batch)]
            answer = call(QueueUrl=self.url, Entries=entries)
            answered.done += len(answer.get("Successful", ()))
            for failure in answer.get("Failed", ()):
                (answered.void if failure["SenderFault"] else answered.failed).append(batch[int(failure["Id"])])
        return answered


def _message(found: dict[str, Any]) -> Message:
    return Message(found["MessageId"], found["ReceiptHandle"], found["Body"].encode("utf-8", "surrogatepass"))


def _tens(receipts: Iterable[str]) -> Iterator[Sequence[str]]:
    rest = iter(dict.fromkeys(receipts))  # SQS refuses a batch that names one receipt twice
    while batch := list(islice(rest, BATCH)):
        yield batch
