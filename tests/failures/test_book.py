"""Where notices are kept, and how people are told: once, by a log or by a webhook that may not answer."""

from __future__ import annotations

import logging
import socket
from datetime import UTC, datetime, timedelta

import pytest

from resources.notifier import NotifierResource
from tests.failures.webhook import SECRET, Hook, listening
from torus_assets.clients.object_store import open_store
from torus_assets.failures.book import Book
from torus_assets.failures.notices import Failure
from torus_assets.failures.notify import LogNotifier, NotDelivered, WebhookNotifier
from torus_assets.failures.spans import spans_of

AT = datetime(2026, 2, 3, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def failure(**changes) -> Failure:
    values = {
        "job": "refresh",
        "step": "raw_events",
        "nature": "permanent",
        "kind": "HeldDay",
        "text": "the day is held",
        "what_to_do": "Look.",
    }
    return Failure(**{**values, "at": AT, "run_id": "r1", "spans": spans_of(["2026-02-02"]), **changes})


@pytest.fixture(params=["folder", "s3"])
def book(request, tmp_path) -> Book:
    return Book(open_store(tmp_path.as_uri() if request.param == "folder" else request.getfixturevalue("s3")))


def test_a_failure_is_kept_told_once_and_closed(book):
    hook = Hook()
    with listening(hook) as url:
        notifier = WebhookNotifier(url)
        book.note(failure())
        assert len(book.tell(notifier, AT)) == 1
        book.note(failure(run_id="r2", at=AT + HOUR))
        assert book.tell(notifier, AT + HOUR) == []
        [open_] = book.open()
        assert (open_.count, open_.told_at) == (2, AT)
        assert [notice.fingerprint for notice in book.succeeded("any", ["raw_events"], spans_of(["2026-02-02"]), AT + 2 * HOUR)] == [
            open_.fingerprint
        ]
        assert book.open() == []
        book.note(failure(run_id="r3", at=AT + 3 * HOUR))
        assert len(book.tell(notifier, AT + 3 * HOUR)) == 1
    assert len(hook.got) == 2
    assert hook.got[0] == {
        "text": "refresh / raw_events: failed, and running it again will not cure it\nPartitions: 2026-02-02\nWhy: the day is held\n"
        "What to do: Look.\nRun: /runs/r1",
        "fingerprint": open_.fingerprint, "job": "refresh", "step": "raw_events", "nature": "permanent", "partitions": ["2026-02-02"],
        "count": 1, "run": "/runs/r1",
    }  # fmt: skip


def test_what_is_not_delivered_is_told_with_the_next_call(tmp_path):
    book, hook = Book(open_store(tmp_path.as_uri())), Hook()
    book.note(failure())
    book.note(failure(step="xapi_day", at=AT + HOUR))
    with listening(hook) as url:
        hook.status = 503
        with pytest.raises(NotDelivered, match="status 503"):
            book.tell(WebhookNotifier(url), AT)
        assert [notice.told_at for notice in book.open()] == [None, None]
        hook.status = 200
        assert len(book.tell(WebhookNotifier(url), AT + 2 * HOUR)) == 2
    assert [body["step"] for body in hook.got] == ["raw_events", "xapi_day"]


def test_a_redirect_is_not_followed(tmp_path):
    elsewhere, hook = Hook(), Hook()
    with listening(elsewhere) as other, listening(hook) as url:
        for hook.status in (301, 302, 307):
            hook.location = other
            with pytest.raises(NotDelivered, match=str(hook.status)):
                WebhookNotifier(url).tell(Book(open_store(tmp_path.as_uri())).note(failure()))
    assert elsewhere.got == []


@pytest.mark.parametrize("url", [f"http://127.0.0.1:1/{SECRET}", f"http://127.0.0.1:1/{SECRET} with a blank", f"http://{SECRET}.invalid/"])
def test_the_address_is_in_no_message(tmp_path, url, caplog):
    notifier = NotifierResource(url=url)
    notice = Book(open_store(tmp_path.as_uri())).note(failure())
    with caplog.at_level(logging.DEBUG), pytest.raises(NotDelivered) as untold:
        notifier.open().tell(notice)
    shown = f"{untold.value!r} {untold.value.__cause__} {notifier!r} {notifier.open()!r} {caplog.text}"
    assert SECRET not in shown


def test_a_webhook_that_says_nothing_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        notifier = WebhookNotifier(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=0.2)
        with pytest.raises(NotDelivered, match="does not answer"):
            notifier.tell(Book(open_store(tmp_path.as_uri())).note(failure()))


def test_an_address_of_another_kind_is_refused_without_showing_it():
    with pytest.raises(ValueError, match="TORUS_NOTIFY_WEBHOOK_URL") as wrong:
        WebhookNotifier(f"file:///{SECRET}")
    assert SECRET not in str(wrong.value)


def test_without_a_webhook_the_log_is_told(tmp_path, caplog):
    notifier = NotifierResource().open()
    assert isinstance(notifier, LogNotifier)
    notifier.tell(Book(open_store(tmp_path.as_uri())).note(failure()))
    assert "the day is held" in caplog.text
