"""Telling people: a line in the log, or a POST to a webhook.

A message goes out before it is marked as told, so a kill in between tells it twice, and never not at all.
"""

from __future__ import annotations

import logging
from http.client import HTTPException, HTTPMessage
from typing import IO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import msgspec

from torus_assets.failures.notices import Notice, message

TIMEOUT_SECONDS = 10
log = logging.getLogger(__name__)


class NotDelivered(RuntimeError):
    """Nobody was told; the notice waits. The reason never holds the address, which may be a secret."""


class Notifier(Protocol):
    """Somebody, or a place that people look at."""

    def tell(self, notice: Notice) -> None:
        """Delivers the notice.

        Raises:
            NotDelivered: it has to be told again.
        """
        ...


class LogNotifier:
    """Writes to the log of the process: what is told when no webhook is set."""

    def tell(self, notice: Notice) -> None:
        log.error("%s", message(notice))


class WebhookNotifier:
    """Posts `{"text": …, "fingerprint": …, "job": …, …}` to an address, as chat systems take it. Redirects are not followed."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        if urlsplit(url).scheme not in ("http", "https"):
            raise ValueError("TORUS_NOTIFY_WEBHOOK_URL: expected an address that begins with https:// or http://")
        self._url = url
        self._timeout = timeout_seconds
        self._opener = build_opener(_NoRedirect)

    def __repr__(self) -> str:  # the address may be a secret
        return "WebhookNotifier()"

    def tell(self, notice: Notice) -> None:
        try:
            request = Request(self._url, msgspec.json.encode(document(notice)), {"Content-Type": "application/json"}, method="POST")  # noqa: S310 (checked above)
            with self._opener.open(request, timeout=self._timeout) as answer:
                status = answer.status
        except HTTPError as error:
            error.close()
            raise NotDelivered(f"the webhook answered with status {error.code}; expected 2xx") from None
        except URLError as error:
            raise NotDelivered(f"the webhook does not answer: {type(error.reason).__name__}") from None
        except (OSError, HTTPException, ValueError) as error:  # timeouts while reading; an address that is none
            raise NotDelivered(f"the webhook does not answer: {type(error).__name__}") from None
        if not 200 <= status < 300:
            raise NotDelivered(f"the webhook answered with status {status}; expected 2xx")


def document(notice: Notice) -> dict[str, object]:
    """The body of a message: `text` for people, the rest for programs."""
    return {
        "text": message(notice),
        "fingerprint": notice.fingerprint,
        "job": notice.failure.job,
        "step": notice.failure.step,
        "nature": notice.failure.nature,
        "partitions": [str(span) for span in notice.spans],
        "count": notice.count,
        "run": f"/runs/{notice.runs[0]}" if notice.runs else None,
    }


class _NoRedirect(HTTPRedirectHandler):
    """A redirect counts as not delivered: the message is for the address that was set and for no other."""

    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str) -> None:  # noqa: ARG002
        return None
