"""The queue: batches of ten, and what failed of a batch is told."""

from __future__ import annotations

from typing import Any

from tests.arrivals.queues import Notified
from torus_assets.clients.sqs import Queue


def received(queue: Queue) -> list[str]:
    found: list[str] = []
    while batch := queue.receive(wait_seconds=0, hidden_seconds=60):
        found += [message.receipt for message in batch]
    return found


def test_more_than_ten_messages_are_received_and_deleted_in_batches(s3):
    notified = Notified(s3.removeprefix("s3://"))
    for number in range(22):
        notified.send(f"{number}")
    receipts = received(notified.queue)
    assert len(receipts) == 23  # and S3's test event
    answered = notified.queue.delete([*receipts, receipts[0]])  # one of them twice
    assert (answered.done, answered.void, answered.failed) == (23, [], [])
    assert notified.left() == 0


def test_a_void_receipt_does_not_keep_the_others_from_going(s3):
    notified = Notified(s3.removeprefix("s3://"))
    notified.send("a")
    receipts = received(notified.queue)
    answered = notified.queue.delete(["void", *receipts])
    assert (answered.done, answered.void, answered.failed) == (2, ["void"], [])


def test_hidden_messages_come_back_when_their_time_is_over(s3):
    notified = Notified(s3.removeprefix("s3://"))
    receipts = received(notified.queue)
    assert received(notified.queue) == []
    assert notified.queue.hide(receipts, 0).done == 1
    assert len(received(notified.queue)) == 1


class Faulty:
    """A service that fails for every second message."""

    def delete_message_batch(self, **call: Any) -> dict[str, Any]:
        failed = [{"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"} for entry in call["Entries"] if int(entry["Id"]) % 2]
        return {"Successful": [{"Id": entry["Id"]} for entry in call["Entries"] if not int(entry["Id"]) % 2], "Failed": failed}


def test_a_fault_of_the_service_is_told_by_receipt():
    answered = Queue(Faulty(), "url").delete([f"r{number}" for number in range(12)])
    assert answered.done == 6
    assert answered.failed == ["r1", "r3", "r5", "r7", "r9", "r11"]
