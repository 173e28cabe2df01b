"""What a message says: the bytes of a notification, in any of its wrappings, as the bundles it names.

Source: spec/clickhouse.md 5.1. Only S3's own records carry keys as form text (``+`` is a blank, ``%2F`` a slash); EventBridge and
direct messages carry them as they are. A notification says where to look; what is there, the store says.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import msgspec

from torus_assets.clients.object_store import checked_key
from torus_assets.xapi.bundles import parse_key

WRAPPINGS = 4  # SQS in SQS in SNS, and one more; deeper is no notification
REMOVED = ("ObjectRemoved:", "LifecycleExpiration:")  # event names; what is gone is no arrival


class Named(NamedTuple):
    """A bundle that a message names: its key below the store, and its etag where the message says it."""

    key: str
    etag: str | None


@dataclass
class Reading:
    """What one message came to: all its records, each as one of the three."""

    named: list[Named] = field(default_factory=list)  # in order, each once
    ignored: Counter[str] = field(default_factory=Counter)  # test_event removed other_bucket outside_prefix not_a_bundle empty
    refused: list[str] = field(default_factory=list)  # what was expected where; never what stood there


class _Unreadable(Exception):
    """Where a message stops making sense."""


def read_message(body: bytes, bucket: str | None, prefix: str) -> Reading:
    """The bundles that a message names. Never raises: what cannot be read is a reason in `refused`, and the rest goes on.

    Args:
        body: of an SQS message, or of a lambda's event.
        bucket: of the bundle store; None (a folder) takes any bucket's word.
        prefix: where the store begins inside the bucket, without slashes at its ends.
    """
    reader = _Reader(bucket, prefix + "/" if prefix else "")
    reader.text(body, "$", WRAPPINGS)
    reader.reading.named = list(dict.fromkeys(reader.reading.named))
    return reader.reading


class _Reader:
    def __init__(self, bucket: str | None, base: str) -> None:
        self.bucket = bucket
        self.base = base
        self.reading = Reading()

    def text(self, text: bytes | str, at: str, depth: int) -> None:
        """JSON text at a place of the message."""
        try:
            self.document(_decoded(text, at), at, depth)
        except _Unreadable as reason:
            self.reading.refused.append(str(reason))

    def document(self, document: Any, at: str, depth: int) -> None:
        if depth == 0:
            raise _Unreadable(f"{at}: wrapped more than {WRAPPINGS} times")
        match document:
            case {"Event": "s3:TestEvent"}:
                self.reading.ignored["test_event"] += 1
            case {"Records": list(records)}:
                self._records(records, at, depth)
            case {"Type": "SubscriptionConfirmation" | "UnsubscribeConfirmation"}:
                raise _Unreadable(f"{at}: SNS asks to confirm a subscription, which a person has to do")
            case {"Message": str(text)}:
                self.text(text, f"{at}.Message", depth - 1)
            case {"source": "aws.s3", "detail": dict(detail)}:
                self._event(document, detail, f"{at}.detail")
            case {"bucket": str(bucket), "key": str(key)}:
                self._object(bucket, key, None)
            case _:
                raise _Unreadable(f"{at}: expected a notification of S3, SNS or EventBridge, or an object with bucket and key")

    def _records(self, records: list[Any], at: str, depth: int) -> None:
        if not records:
            self.reading.ignored["empty"] += 1
        for number, record in enumerate(records):
            place = f"{at}.Records[{number}]"
            match record:
                case {"s3": dict(s3)}:
                    self._record(record, s3, place)
                case {"Sns": {"Message": str(text)}}:
                    self.text(text, f"{place}.Sns.Message", depth - 1)
                case {"body": str(text)}:
                    self.text(text, f"{place}.body", depth - 1)
                case _:
                    self.reading.refused.append(f"{place}: expected s3, Sns.Message or body")

    def _record(self, record: dict[str, Any], s3: dict[str, Any], place: str) -> None:
        match s3:
            case {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}}:
                name = record.get("eventName")
                if isinstance(name, str) and name.removeprefix("s3:").startswith(REMOVED):
                    self.reading.ignored["removed"] += 1
                    return
                try:
                    plain = unquote_plus(key, errors="strict")
                except UnicodeDecodeError:
                    self.reading.refused.append(f"{place}.s3.object.key: expected form text of UTF-8")
                    return
                self._object(bucket, plain, rest.get("eTag"))
            case _:
                self.reading.refused.append(f"{place}.s3: expected bucket.name and object.key")

    def _event(self, document: dict[str, Any], detail: dict[str, Any], place: str) -> None:
        match detail:
            case {"bucket": {"name": str(bucket)}, "object": {"key": str(key), **rest}}:
                if document.get("detail-type") == "Object Deleted":
                    self.reading.ignored["removed"] += 1
                else:
                    self._object(bucket, key, rest.get("etag"))
            case _:
                raise _Unreadable(f"{place}: expected bucket.name and object.key")

    def _object(self, bucket: str, key: str, etag: object) -> None:
        if self.bucket is not None and bucket != self.bucket:
            self.reading.ignored["other_bucket"] += 1
        elif not key.startswith(self.base):
            self.reading.ignored["outside_prefix"] += 1
        elif not _is_bundle(own := key[len(self.base) :]):
            self.reading.ignored["not_a_bundle"] += 1
        else:
            self.reading.named.append(Named(own, etag.strip('"') or None if isinstance(etag, str) else None))


def _decoded(text: bytes | str, at: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _Unreadable(f"{at}: expected JSON in UTF-8") from None


def _is_bundle(key: str) -> bool:
    if parse_key(key) is None:
        return False
    try:
        checked_key(key)
    except ValueError:
        return False
    return True
