"""One learner whose id, e-mail address and phone number stand in every text field of every kind of line; and others beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.factories import EXAMPLES, changed, line, numbered, statement

HOME = "torus.example.edu"
USER = "canary-4711-zx"
EMAIL = "canary.bird.4711@example.edu"
PHONE = "+1-412-555-0199"
WORDS = (USER, EMAIL, PHONE)
KEPT = {"type", "timestamp", "homePage", "objectType", "id"}  # members that decide what a line is
ID_OF_LINE = ("actor", "account", "name")


def planted(value: Any, *above: str) -> Any:
    """The statement with the canary in every text that does not decide its kind."""
    if above == ID_OF_LINE:
        return USER
    if isinstance(value, dict):
        return {name: planted(one, *above, name) for name, one in value.items()}
    if isinstance(value, list):
        return [planted(one, *above) for one in value]
    if isinstance(value, str) and (not above or above[-1] not in KEPT):
        return f"{value} {USER} {EMAIL} {PHONE}"
    return value


def events() -> Iterator[bytes]:
    """A line of every kind."""
    for name in EXAMPLES:
        yield line(planted(statement(name)))
    yield line(planted(statement("page_viewed", {"actor.account.homePage": f"https://{HOME.upper()}/", "ext(page_id)": 7})))
    yield line(
        planted(
            statement("page_viewed", {"verb.id": "http://example.edu/verbs/unheard-of", "object.definition.type": "http://example.edu/x"})
        )
    )


def refusals() -> Iterator[bytes]:
    """Lines of theirs that are refused, one for each reason that a small line can have."""
    whole = line(planted(statement("part_attempt_evaluated")))
    yield whole[: whole.index(b'"object"')]  # truncated
    yield b"\xff" + whole  # not UTF-8
    yield f'"a word of {USER}"'.encode()
    yield line(planted(changed(statement("page_viewed"), {"timestamp": 5})))
    yield line(planted(changed(statement("page_viewed"), {"verb": "none"})))
    yield line(planted(statement("part_attempt_evaluated"))).replace(b'part_id":"1', b'part_id":"\\ud800')
    yield json.dumps({"actor": {"account": {"homePage": HOME, "name": USER}}, "text": EMAIL}).encode()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in USER)
    yield f'{{"actor":{{"account":{{"homePage":"{HOME}","name":"{escaped}"}}}},"phone":"{PHONE}"}}'.encode()


def others(first: int = 0, count: int = 22) -> Iterator[bytes]:
    """Lines of others on the same host; the last is refused."""
    for number in range(first, first + count):
        yield numbered(number)
    yield b'{"actor":{"account":{"homePage":"torus.example.edu","name":90001}},"verb":' + str(first).encode()


def namesake(number: int = 0) -> bytes:
    """A line of somebody else with the same id, at another host."""
    return line(
        statement("page_viewed", {"actor.account": {"homePage": "another.example.edu", "name": USER}, "ext(page_id)": 900 + number})
    )
