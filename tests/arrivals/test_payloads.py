"""Messages in every form: what they name, what is ignored, what is refused, and that nothing raises."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.factories import bundle_key
from torus_assets.arrivals.payloads import Named, Reading, read_message

KEY = bundle_key("a b+c")  # a blank and a plus: they tell the forms apart
FORM_KEY = KEY.replace("+", "%2B").replace(" ", "+").replace("/", "%2F")


def record(key: str = FORM_KEY, bucket: str = "events", name: str | None = "ObjectCreated:Put", **rest) -> dict:
    found = {"eventSource": "aws:s3", "s3": {"bucket": {"name": bucket}, "object": {"key": key, **rest}}}
    return found | ({"eventName": name} if name else {})


def notification(*records: dict) -> dict:
    return {"Records": list(records)}


def sns(document: object) -> dict:
    return {"Type": "Notification", "TopicArn": "arn:aws:sns:us-east-1:1:t", "Message": json.dumps(document)}


def event(key: str = KEY, kind: str = "Object Created", **rest) -> dict:
    return {"source": "aws.s3", "detail-type": kind, "detail": {"bucket": {"name": "events"}, "object": {"key": key, **rest}}}


def read(document: object, bucket: str | None = "events", prefix: str = "") -> Reading:
    return read_message(json.dumps(document).encode(), bucket, prefix)


FORMS = {
    "S3": notification(record()),
    "S3 without an event name": notification(record(name=None)),
    "SNS": sns(notification(record())),
    "SNS to a lambda": {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(notification(record()))}}]},
    "EventBridge": event(),
    "EventBridge through SNS": sns(event()),
    "direct": {"bucket": "events", "key": KEY},
    "SQS in SQS": {"Records": [{"messageId": "1", "body": json.dumps(notification(record()))}]},
    "SNS in SQS in SQS": {"Records": [{"body": json.dumps(sns(notification(record())))}]},
    "another S3": notification(record(name="s3:ObjectCreated:Put")),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_names_its_bundle_with_the_key_decoded_as_the_form_asks(form):
    reading = read(FORMS[form])
    assert reading.named == [Named(KEY, None)]
    assert (reading.ignored, reading.refused) == ({}, [])


def test_a_key_that_is_not_form_text_is_not_decoded():
    strange = bundle_key("100%2F+1")
    assert read(event(strange)).named == [Named(strange, None)]
    assert read({"bucket": "events", "key": strange}).named == [Named(strange, None)]


def test_every_record_of_a_notification_counts_and_a_bundle_named_twice_is_one():
    keys = [bundle_key(name) for name in "abc"]
    reading = read(notification(*(record(key) for key in [*keys, keys[0]])))
    assert [one.key for one in reading.named] == keys


def test_etags_come_along_without_quotes():
    assert read(notification(record(eTag="abc"))).named == [Named(KEY, "abc")]
    assert read(event(etag='"abc"')).named == [Named(KEY, "abc")]
    assert read(event(etag=7)).named == [Named(KEY, None)]


@pytest.mark.parametrize(
    ("document", "outcome"),
    [
        ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "events"}, "test_event"),
        (sns({"Service": "Amazon S3", "Event": "s3:TestEvent"}), "test_event"),
        (notification(record(name="ObjectRemoved:Delete")), "removed"),
        (notification(record(name="ObjectRemoved:DeleteMarkerCreated")), "removed"),
        (notification(record(name="LifecycleExpiration:Delete")), "removed"),
        (event(kind="Object Deleted"), "removed"),
        (notification(record(bucket="other")), "other_bucket"),
        (notification(record("section/3021/notes.txt")), "not_a_bundle"),
        (notification(record(bundle_key("x").replace(".jsonl", ".json"))), "not_a_bundle"),
        (notification(record("project/../video/2026-02-03T15-06-00Z_x.jsonl")), "not_a_bundle"),
        (notification(), "empty"),
    ],
)
def test_what_is_no_arrival_has_its_own_count(document, outcome):
    reading = read(document)
    assert (reading.named, dict(reading.ignored), reading.refused) == ([], {outcome: 1}, [])


def test_keys_are_named_below_the_prefix_of_the_store():
    inside, outside = record("torus/xapi/" + KEY.replace("+", "%2B")), record("torus/xapi2/" + KEY)
    reading = read(notification(inside, outside), prefix="torus/xapi")
    assert (reading.named, dict(reading.ignored)) == ([Named(KEY, None)], {"outside_prefix": 1})


def test_a_folder_has_no_bucket_and_takes_any():
    assert read(notification(record(bucket="whatever")), bucket=None).named == [Named(KEY, None)]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b'"text"', "expected a notification"),
        (b'{"Records": {}}', "expected a notification"),
        (json.dumps({"Type": "SubscriptionConfirmation", "Message": "confirm"}).encode(), "a person"),
        (json.dumps(sns("text")).encode(), "$.Message: expected a notification"),
        (json.dumps({"Type": "Notification", "Message": "plain"}).encode(), "$.Message: expected JSON"),
        (json.dumps(notification(record("%FF"))).encode(), "$.Records[0].s3.object.key: expected form text"),
        (json.dumps({"source": "aws.s3", "detail": {}}).encode(), "$.detail: expected bucket.name"),
        (json.dumps(sns(sns(sns(sns(notification(record())))))).encode(), "wrapped more than"),
    ],
)
def test_an_unreadable_message_is_a_reason_and_never_an_error(body, reason):
    reading = read_message(body, "events", "")
    assert reading.named == []
    assert len(reading.refused) == 1
    assert reason in reading.refused[0]


def test_a_bad_record_does_not_take_the_good_ones_with_it():
    reading = read({"Records": [{"s3": {}}, record(), "text", {"body": "no json"}]})
    assert reading.named == [Named(KEY, None)]
    assert [reason.partition(":")[0] for reason in reading.refused] == ["$.Records[0].s3", "$.Records[2]", "$.Records[3].body"]


def test_reasons_say_nothing_of_what_stood_in_the_message():
    reading = read({"Records": [{"s3": {"bucket": {"name": "secret"}, "object": {"key": 7, "user": "secret"}}}], "secret": "secret"})
    assert "secret" not in " ".join(reading.refused)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([KEY, FORM_KEY, "events", "aws.s3"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "s3", "bucket", "name", "object", "key", "eTag", "Sns", "Message", "body", "source", "detail", "Type", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(JSON | st.lists(st.dictionaries(st.sampled_from(["s3", "Sns", "body"]), JSON)).map(lambda records: {"Records": records}))
def test_any_json_gives_a_result_in_which_nothing_is_lost_silently(document):
    reading = read_message(json.dumps(document).encode(), "events", "")
    assert reading.named or reading.ignored or reading.refused


@given(st.binary())
def test_any_bytes_give_a_result(body):
    reading = read_message(body, "events", "")
    assert reading.named == []
    assert reading.refused
