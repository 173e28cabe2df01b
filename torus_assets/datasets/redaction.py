"""Replaces ids and e-mail addresses of a data set's own users in text that learners, tutors and players wrote.

Whole tokens only: `41207` in `my id is 41207` is one, in `x41207y` or `412071` it is none. Ids of fewer than four characters stay: `42`
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

# A run that may be (`@` percent-encoded, as in URLs) an e-mail address; possessive, so that long texts take linear time.
_RUN = re.compile(r"[\w.+'-]++(?:(?:@|%40)[\w.-]*\w)?")
_WORD = re.compile(r"\w+")
_END = re.compile(r"[.-]\w+$")
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
        return _RUN.sub(self._run, text)

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
        suspects = values.str.contains_any(list(self.tokens), ascii_case_insensitive=True)
        suspects |= values.str.contains_any(["%40", "\\u00"], ascii_case_insensitive=True)
        known = values.filter(suspects.fill_null(False)).unique()
        if not known.len():
            return values
        write: Callable[[str], str] = self.json if is_json else self.text
        return values.replace(known, pl.Series([write(text) for text in known], dtype=pl.String))

    @cached_property
    def _maybe(self) -> re.Pattern[str]:
        return _USUAL if all(token.isdigit() or "@" in token for token in self.tokens) else _ANY

    def _run(self, found: re.Match[str]) -> str:
        run = found[0]
        token, rest = run.lower().replace("%40", "@"), ""
        while "@" in token:  # what follows an address without a blank may have been taken for a part of it
            if token in self.tokens:
                return self.tokens[token] + rest
            end = _END.search(token)
            if end is None:
                break
            token, rest = token[: end.start()], end[0] + rest
        return _WORD.sub(lambda word: self.tokens.get(word[0].lower(), word[0]), run)

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
        if isinstance(value, int) and not isinstance(value, bool) and str(value) in self.tokens:
            changed.append(True)
            return self.tokens[str(value)]
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
        for token in (user.removeprefix("mailto:"), emails.get(user)):
            if token and len(token.strip()) >= SHORTEST_ID:
                tokens.setdefault(token.strip().lower(), name)
    return Redaction(tokens)
