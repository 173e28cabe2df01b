"""Learners under keyed pseudonyms, other ones in each data set.

A pseudonym is `s` and 32 base32 characters: HMAC-SHA-256 over (home page, user id) under a key of its own for each scope,
derived from `TORUS_PSEUDONYM_KEY`. Who lacks the key can neither find a learner nor join two data sets (D-04).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import polars as pl

log = logging.getLogger(__name__)

KEY_FILE = "pseudonym.key"
LEARNER = ("home_page", "user_id")


class KeyMissing(RuntimeError):
    """There is no pseudonym key, and this deployment is not one to make its own."""


def _mac(key: bytes, *parts: object) -> bytes:
    return hmac.digest(key, msgspec.json.encode(parts), hashlib.sha256)


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
    """Pseudonyms of one data set. Each learner is computed once; memory grows with learners, not with rows."""

    key: bytes
    known: dict[tuple[str | None, str], str] = field(default_factory=dict)

    def learner(self, home_page: str | None, user_id: str) -> str:
        who = (home_page, user_id)
        if who not in self.known:
            self.known[who] = "s" + base64.b32encode(_mac(self.key, "learner", home_page or "", user_id)[:20]).decode().lower()
        return self.known[who]

    def name(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with `user_id` replaced by the pseudonym and without `home_page`; order unchanged."""
        return _renamed(rows, self.learner)


@dataclass(frozen=True, repr=False)
class RealNames:
    """What a permitted request gets instead: e-mail where the lookup knows it, else the user id (spec/datasets.md 8.2)."""

    emails: Mapping[str, str] = field(default_factory=dict)

    def learner(self, home_page: str | None, user_id: str) -> str:  # noqa: ARG002 (same signature as Pseudonyms)
        return self.emails.get(user_id, user_id)

    def name(self, rows: pl.DataFrame) -> pl.DataFrame:
        return _renamed(rows, self.learner)


def _renamed(rows: pl.DataFrame, learner) -> pl.DataFrame:
    if "user_id" not in rows.columns:
        return rows
    people = rows.select(LEARNER).unique()
    shown = pl.Series("shown", [learner(*person) for person in people.iter_rows()], dtype=pl.String)
    named = rows.join(people.with_columns(shown), on=LEARNER, how="left", nulls_equal=True, maintain_order="left")
    return named.with_columns(user_id="shown").drop("shown", "home_page")


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
    return PseudonymKey(_kept(home / KEY_FILE))


def _kept(path: Path) -> bytes:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
        try:
            os.link(draft, path)  # fails when another process was first: then its key is the key
            log.warning("made a pseudonym key in %s: keep it, another one gives other pseudonyms", path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip().encode()
