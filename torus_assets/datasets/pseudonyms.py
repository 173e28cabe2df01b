"""Learners, attempt guids and sessions under keyed pseudonyms, other ones in each data set.

A pseudonym is an HMAC-SHA-256 under a key of its own for each scope, derived from `TORUS_PSEUDONYM_KEY`. Who lacks the key can neither
find a learner nor join two data sets (D-04), be it by learner, by attempt or by session.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec
import polars as pl

from torus_assets import secret_file
from torus_assets.datasets.csv_tables import CsvColumn
from torus_assets.datasets.redaction import Redaction, redaction

log = logging.getLogger(__name__)

KEY_FILE = "pseudonym.key"
LEARNER = ("home_page", "user_id")


class KeyMissing(RuntimeError):
    """There is no pseudonym key, and this deployment is not one to make its own."""


def _mac(key: bytes, *parts: object) -> bytes:
    return hmac.digest(key, msgspec.json.encode(parts), hashlib.sha256)


class Mac:
    """HMAC-SHA-256 of many short texts under one key: the key's two blocks are hashed once (1.1 µs a text instead of 2.4)."""

    def __init__(self, key: bytes) -> None:
        block = key.ljust(64, b"\0")
        self.inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block))
        self.outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block))

    def hex(self, text: str) -> str:
        """The first 128 bits, as 32 hex characters."""
        inner, outer = self.inner.copy(), self.outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        return outer.digest()[:16].hex()


@dataclass(frozen=True, repr=False)
class PseudonymKey:
    """The secret. It never reaches a log, a receipt or a repr; its fingerprint does."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < 16:
            raise ValueError("TORUS_PSEUDONYM_KEY: expected at least 16 bytes")

    @property
    def fingerprint(self) -> str:
        """Tells two keys apart and nothing about either: 16 hex characters."""
        return hashlib.sha256(_mac(self.secret, "torus pseudonym key fingerprint")).hexdigest()[:16]

    def digest(self, label: str, texts: Iterable[str]) -> str:
        """Keyed digest of a set of texts, whatever their order: comparable under one key, open to no guess without it."""
        return _mac(self.secret, label, sorted(texts)).hex()

    def scoped(self, scope: str) -> Pseudonyms:
        return Pseudonyms(_mac(self.secret, "torus data set", scope))


@dataclass(frozen=True, repr=False)
class Pseudonyms:
    """Pseudonyms of one data set: of learners, of attempt guids and of sessions.

    Learners and sessions are computed once each; memory grows with learners, not with rows.
    """

    key: bytes
    known: dict[tuple[str | None, str], str] = field(default_factory=dict)
    anonymous = True

    def learner(self, home_page: str | None, user_id: str) -> str:
        """`s` and 32 base32 characters: 33, within DataShop's 55."""
        who = (home_page, user_id)
        if who not in self.known:
            self.known[who] = "s" + base64.b32encode(_mac(self.key, "learner", home_page or "", user_id)[:20]).decode().lower()
        return self.known[who]

    @cached_property
    def guid(self) -> Callable[[str], str]:
        """Of a page, activity or part attempt's guid: 32 hex characters."""
        return Mac(_mac(self.key, "attempt guid")).hex

    def session(self, student: str, session_id: str | None, sitting: str) -> str:
        """Of one student's session: 32 hex characters. `sitting` identifies a sitting that no emitter named a session for."""
        return _mac(self.key, "session", student, session_id, None if session_id else sitting)[:16].hex()

    def redaction(self, users: Iterable[tuple[str | None, str]], emails: Mapping[str, str]) -> Redaction:
        return redaction(users, emails, self.learner)

    def __getstate__(self) -> dict[str, object]:
        return {"key": self.key, "known": self.known}  # what is computed from the key stays behind: hash states cannot travel


@dataclass(frozen=True, repr=False)
class RealNames:
    """What a permitted request gets instead: e-mail where the lookup knows it, else the user id (spec/datasets.md 8.2)."""

    emails: Mapping[str, str] = field(default_factory=dict)
    anonymous = False

    def learner(self, home_page: str | None, user_id: str) -> str:  # noqa: ARG002 (same signature as Pseudonyms)
        return self.emails.get(user_id, user_id)

    def guid(self, guid: str) -> str:
        return guid

    def session(self, student: str, session_id: str | None, sitting: str) -> str:  # noqa: ARG002
        return session_id or f"sitting-{sitting[:16]}"

    def redaction(self, users: Iterable[tuple[str | None, str]], emails: Mapping[str, str]) -> Redaction:  # noqa: ARG002
        return Redaction()


Names = Pseudonyms | RealNames
NO_REDACTION = Redaction()


def named(rows: pl.DataFrame, names: Names, columns: Iterable[CsvColumn], users: Redaction = NO_REDACTION) -> pl.DataFrame:
    """`rows` as they may be given out: learners and guids under their names, users' tokens in free text replaced.

    `home_page` is left out; the order is unchanged.
    """
    columns = [column for column in columns if column.name in rows.columns]
    if names.anonymous:
        changed = [_guids(rows[column.name], names) for column in columns if column.holds == "guid"]
        changed += [users.column(rows[column.name], is_json=column.cell == "json") for column in columns if column.holds == "free text"]
        rows = rows.with_columns(changed)
    return _renamed(rows, names)


def _guids(values: pl.Series, names: Names) -> pl.Series:
    """Each different guid once: a page attempt's stands in many rows."""
    known = values.unique().drop_nulls()
    shown = pl.Series(map(names.guid, known.to_list()), dtype=pl.String)
    return values.replace_strict(known, shown, default=None, return_dtype=pl.String)


def _renamed(rows: pl.DataFrame, names: Names) -> pl.DataFrame:
    if "user_id" not in rows.columns:
        return rows
    people = rows.select(LEARNER).unique()
    shown = pl.Series("shown", [names.learner(*person) for person in people.iter_rows()], dtype=pl.String)
    joined = rows.join(people.with_columns(shown), on=LEARNER, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(user_id="shown").drop("shown", "home_page")


def pseudonym_key(text: str | None, home: Path, urls: Iterable[str]) -> PseudonymKey:
    """The key of this deployment: `text`, else one kept in `home`, made on first use where everything is embedded.

    Args:
        text: value of `TORUS_PSEUDONYM_KEY`.
        home: `TORUS_HOME`.
        urls: of the stores in use; all must be `file://` for a key to be made.

    Raises:
        KeyMissing: no key, and a store is real: a key on one machine's disk would be lost with it.
    """
    if text:
        return PseudonymKey(text.encode())
    real = sorted(url for url in urls if not url.startswith("file://"))
    if real:
        raise KeyMissing(
            f"TORUS_PSEUDONYM_KEY is not set and {real[0]} is a real store. Make a key once "
            '(python -c "import secrets; print(secrets.token_hex(32))"), keep it in your secret store and set the variable. '
            "Another key gives other pseudonyms."
        )
    path = home / KEY_FILE
    if secret_file.made(path):
        log.warning("made a pseudonym key in %s: keep it, another one gives other pseudonyms", path)
    return PseudonymKey(secret_file.read(path))
