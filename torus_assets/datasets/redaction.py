"""Replaces ids and e-mail addresses of a data set's own users in text that learners, tutors and players wrote.

Whole words only: `41207` in `my id is 41207` is a token, in `x41207y` or `412071` it is none. Ids of fewer than four characters stay: `42`
is an answer before it is a person, and replacing it would change data all over a data set (`SHORTEST_ID`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import polars as pl

SHORTEST_ID = 4

_WORD = re.compile(r"\w+")
_EDGES = re.compile(r"^\W+|\W+$")
_USUAL = re.compile(r"@|%40|\d{4}")  # texts without it hold no token, as long as ids are digits
_ANY = re.compile(r"\w{4}")


@dataclass(frozen=True, repr=False)
class Redaction:
    """What to replace with what: tokens in lower case -> pseudonyms. Empty: nothing is replaced."""

    tokens: Mapping[str, str] = field(default_factory=dict)

    def text(self, text: str) -> str:
        """`text` with the tokens of users replaced."""
        if not self.tokens or not self._maybe.search(text):
            return text
        words = [found.span() for found in _WORD.finditer(text)]
        made: list[str] = []
        done = at = 0
        while at < len(words):
            found = self._token(text, words, at)
            if found is not None:
                start, at, name = found
                made += (text[done:start], name)
                done = words[at][1]
            at += 1
        return "".join((*made, text[done:]))

    def json(self, document: str) -> str:
        """A JSON text with the tokens replaced in its strings, keys and numbers; the same text when there are none."""
        if not self.tokens:
            return document
        changed: list[bool] = []
        value = self._walked(msgspec.json.decode(document), changed)
        return msgspec.json.encode(value).decode() if changed else document

    def json_or_text(self, text: str) -> str:
        """As `json` if the text is JSON, else as `text`."""
        try:
            return self.json(text)
        except msgspec.DecodeError:
            return self.text(text)

    def column(self, values: pl.Series, *, is_json: bool) -> pl.Series:
        """A column of a table with the tokens replaced; cells are looked at one by one only where one may be inside."""
        if not self.tokens or values.dtype != pl.String:
            return values
        known = values.filter(self.suspects(values)).unique()
        if not known.len():
            return values
        write: Callable[[str], str] = self.json if is_json else self.text
        return values.replace(known, pl.Series([write(text) for text in known], dtype=pl.String))

    def suspects(self, values: pl.Series) -> pl.Series:
        """Which texts may hold a token, without a look of Python at each: true for all that do, false for nulls."""
        plain = all(map(str.isascii, self.tokens))
        lower = values if plain else values.str.to_lowercase()
        escapes = [f"\\u00{digit}" for digit in "234567"] if plain else ["\\u"]
        written = ["%", "&#", *escapes]  # a token may be written in another way
        near = lower.str.contains_any([*self.tokens, "%40", *written[1:]], ascii_case_insensitive=True).fill_null(False)
        at = near.arg_true()
        lower = lower[at].str.to_lowercase()
        other = at.filter(lower.str.contains_any(written))
        words = pl.DataFrame({"at": at, "word": lower.str.extract_all(r"\w+")}).explode("word")  # `41207` within `2241207` is none
        own = words.filter(pl.col("word").is_in(list(self._longest)))["at"].unique()
        return pl.Series(range(values.len()), dtype=pl.UInt32).is_in(pl.concat([own, other]).implode())

    @cached_property
    def mails(self) -> Redaction:
        """The e-mail addresses alone: for texts in which numbers name content."""
        return Redaction({token: name for token, name in self.tokens.items() if "@" in token})

    @cached_property
    def _maybe(self) -> re.Pattern[str]:
        return _USUAL if all(token.isdigit() or "@" in token for token in self.tokens) else _ANY

    @cached_property
    def _longest(self) -> dict[str, int]:
        """By the first word of tokens: the most words that one of them has."""
        found: dict[str, int] = {}
        for token in self.tokens:
            words = _WORD.findall(token)
            found[words[0]] = max(found.get(words[0], 0), len(words))
        return found

    def _token(self, text: str, words: list[tuple[int, int]], at: int) -> tuple[int, int, str] | None:
        """The longest token that begins in the word `at`: its start, its last word and what stands for it. `@` may be percent-encoded,
        and so may be what stands right before it."""
        first, end = words[at]
        for start in (first, first + 2) if text[first - 1 : first] == "%" else (first,):
            most = self._longest.get(text[start:end].lower(), 0)
            for last in range(min(at + most, len(words)) - 1, at - 1, -1):
                name = self.tokens.get(text[start : words[last][1]].lower().replace("%40", "@"))
                if name is not None:
                    return start, last, name
        return None

    def _walked(self, value: Any, changed: list[bool]) -> Any:
        if isinstance(value, str):
            text = self.text(value)
            if text != value:
                changed.append(True)
            return text
        if isinstance(value, list):
            return [self._walked(one, changed) for one in value]
        if isinstance(value, dict):
            return {self._walked(name, changed): self._walked(one, changed) for name, one in value.items()}
        if isinstance(value, int | float) and not isinstance(value, bool) and (text := self.text(str(value))) != str(value):
            changed.append(True)
            return text
        return value


def redaction(users: Iterable[tuple[str | None, str]], emails: Mapping[str, str], learner: Callable[[str | None, str], str]) -> Redaction:
    """The tokens of a data set's own users.

    Args:
        users: (home page, user id) of everyone the lake has in the sections.
        emails: of the lookup, by user id; ids that the lake does not have count as users of its one home page.
        learner: gives the pseudonym.
    """
    known = sorted(users, key=lambda user: (user[0] or "", user[1]))
    homes = {home for home, _ in known}
    home_of = {user: home for home, user in reversed(known)}
    default = next(iter(homes)) if len(homes) == 1 else None
    tokens: dict[str, str] = {}
    for user in dict.fromkeys([*(user for _, user in known), *emails]):
        name = learner(home_of.get(user, default), user)
        for text in (user.removeprefix("mailto:"), emails.get(user, "")):
            token = _EDGES.sub("", text).lower()
            if len(token) >= SHORTEST_ID:
                tokens.setdefault(token, name)
    return Redaction(tokens)
