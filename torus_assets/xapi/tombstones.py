"""Learners who were forgotten: who they were cannot be read here, only asked.

One object per learner, `forgotten/{mark}.json` in the lake store. A mark is an HMAC-SHA-256 under the tombstone key, so that the
store names nobody; whoever has the key and an id can ask whether it is theirs.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import takewhile
from typing import Any

from torus_assets import secret_file
from torus_assets.clients.object_store import ObjectStore
from torus_assets.settings import Settings
from torus_assets.xapi.kinds import host

PREFIX = "forgotten/"
KEY_FILE = "tombstone.key"  # below TORUS_HOME; made for the first tombstone where the lake is a folder
READERS = 16  # tombstones asked for at once
LONGEST = 8  # words of an id that refused lines are searched for; of longer ones the first so many

_WORD = re.compile(rb"[A-Za-z0-9._@+-]+")
_WIDE_WORD = re.compile(rb"[A-Za-z0-9._@+\x80-\xff-]+")  # for ids that are not ASCII
_ESCAPE = re.compile(rb"\\+(?:u([0-9a-fA-F]{4})|[bfnrt])")
_EDGES = b"._@+-"
_WHOLE_NUMBER = re.compile(rb"(\d+)\.0+")


class OtherKey(RuntimeError):
    """There are tombstones that cannot be read with this key: nothing may be ingested until the right one is set."""


class DamagedTombstone(RuntimeError):
    """An object below `forgotten/` is no tombstone."""


@dataclass(frozen=True, repr=False)
class Tombstones:
    """Learners who were forgotten, for asking only. False when there are none. Holds the key: never log it."""

    secret: bytes  # b"" when there are none
    marks: frozenset[str]  # of home page and user id
    loose: frozenset[str]  # of the user id alone, for refused lines whose actor cannot be read
    longest: int = 1  # words of the longest such id: `mailto:ada@example.edu` has two

    def __bool__(self) -> bool:
        return bool(self.marks)

    def packed(self) -> str:
        """All of it as one line, for a worker's standard input; `unpacked` reads it."""
        return json.dumps([self.secret.hex(), sorted(self.marks), sorted(self.loose), self.longest])

    @staticmethod
    def unpacked(line: str) -> Tombstones:
        secret, marks, loose, longest = json.loads(line)
        return Tombstones(bytes.fromhex(secret), frozenset(marks), frozenset(loose), longest)

    def forgets(self, home_page: str | None, user_id: str | None) -> bool:
        """Whether the learner was forgotten. `home_page` in any spelling; null for a learner known by `mbox` alone."""
        return bool(self.marks) and user_id is not None and mark(self.secret, home_page, user_id) in self.marks

    def forgets_refused(self, raw: bytes) -> bool:
        """Whether a refused line is, or may be, of a learner who was forgotten.

        The line's actor decides when it can be read: account or mbox, as the parser reads them. When it cannot (no JSON, cut off,
        other types), the line counts as theirs if their user id stands anywhere in it as whole words (runs of letters, digits and
        `._@+-`), on whatever host, in any meaning. Privacy comes first: a short id like `7` takes lines of others with it, which
        were of no use anyway. Of an over-long line only the kept prefix is looked at, as nothing else is kept.
        """
        if not self.marks:
            return False
        actor = actor_of(raw)
        if actor is not None:
            return self.forgets(*actor)
        return any(loose_mark(self.secret, words) in self.loose for words in _runs(raw, self.longest))


NONE = Tombstones(b"", frozenset(), frozenset())


@lru_cache(maxsize=1 << 16)  # 0.4 µs a line instead of 5: the lines of one section are of few learners
def mark(secret: bytes, home_page: str | None, user_id: str) -> str:
    """Of one learner, 64 hex characters; the home page is normalised as the parser does."""
    return _mac(secret, "torus tombstone", "" if home_page is None else _home(home_page), user_id)


def loose_mark(secret: bytes, words: tuple[bytes, ...]) -> str:
    """Of a user id's words alone, 64 hex characters."""
    return _mac(secret, "torus tombstone, user alone", *(word.decode("latin-1") for word in words))


def words_of(user_id: str) -> tuple[bytes, ...]:
    """The words a user id consists of, mostly one."""
    text = user_id.encode("utf-8", "surrogatepass")
    return tuple((_WORD if text.isascii() else _WIDE_WORD).findall(text)[:LONGEST]) or (text,)


def tombstones_of(secret: bytes, home_page: str | None, user_id: str) -> Tombstones:
    """Of one learner, whether or not a tombstone was left: for looking where they are."""
    words = words_of(user_id)
    return Tombstones(secret, frozenset({mark(secret, home_page, user_id)}), frozenset({loose_mark(secret, words)}), len(words))


def fingerprint(secret: bytes) -> str:
    """Tells two keys apart and nothing about either: 16 hex characters."""
    return _mac(secret, "torus tombstone key fingerprint")[:16]


def _mac(secret: bytes, *parts: str) -> str:
    return hmac.digest(secret, json.dumps(parts).encode(), hashlib.sha256).hex()


def _home(home_page: str) -> str:
    """Normalised until it stays: rows hold it normalised once, people type it raw, and both have to meet."""
    while (once := host(home_page)) != home_page:
        home_page = once
    return home_page


def actor_of(raw: bytes) -> tuple[str | None, str] | None:
    """(home page as received, user id as text) of a line's actor, as the parser takes them; None when they cannot be read."""
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    actor = line.get("actor") if isinstance(line, dict) else None
    account = actor.get("account") if isinstance(actor, dict) else None
    if isinstance(account, dict):
        name, page = account.get("name"), account.get("homePage")
        return (page, str(name)) if type(name) in (str, int) and name != "" and isinstance(page, str) else None
    mbox = actor.get("mbox") if isinstance(actor, dict) and account is None else None
    return (None, mbox) if isinstance(mbox, str) and mbox else None


def _runs(raw: bytes, longest: int) -> Iterator[tuple[bytes, ...]]:
    """Every run of up to `longest` neighbouring words, once: of the line as it is, and with JSON's escapes undone (`\\n41207`)."""
    seen: set[tuple[bytes, ...]] = set()
    for text in {raw, _ESCAPE.sub(_unescaped, raw)}:
        for pattern in (_WORD,) if text.isascii() else (_WORD, _WIDE_WORD):
            words = pattern.findall(text)
            seen.update((form,) for word in words for form in _forms(word))
            for count in range(2, longest + 1):
                seen.update(zip(*(words[at:] for at in range(count)), strict=False))
    yield from seen


def _forms(word: bytes) -> Iterator[bytes]:
    """A word, without the sentence's marks around it, and a number without its empty fraction."""
    yield word
    bare = word.strip(_EDGES)
    yield bare
    if number := _WHOLE_NUMBER.fullmatch(bare):
        yield number[1]


def _unescaped(escape: re.Match[bytes]) -> bytes:
    return chr(int(escape[1], 16)).encode("utf-8", "surrogatepass") if escape[1] else b" "


def read_tombstones(lake_store: ObjectStore, secret: bytes | None) -> Tombstones:
    """All tombstones of the store.

    Raises:
        OtherKey: there are some, and no key is given or it is not the one they were made under.
        DamagedTombstone: an object cannot be read.
    """
    names = list_marks(lake_store)
    if not names:
        return NONE
    place = lake_store.uri(PREFIX.rstrip("/"))
    if secret is None:
        raise OtherKey(
            f"{place} holds {len(names)} tombstones of forgotten learners and no key to read them with is set. "
            "Set TORUS_TOMBSTONE_KEY to the key they were made under."
        )
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(lambda name: read_tombstone(lake_store, name), sorted(names)))
    ours = fingerprint(secret)
    if other := [one["key"] for one in found if one["key"] != ours]:
        raise OtherKey(
            f"{len(other)} of {len(names)} tombstones in {place} were made under the key with fingerprint {other[0]}, "
            f"and the key in use has {ours}. Set TORUS_TOMBSTONE_KEY to the key they were made under."
        )
    return Tombstones(secret, names, frozenset(one["loose"] for one in found), max(one["words"] for one in found))


def list_marks(lake_store: ObjectStore) -> frozenset[str]:
    """Marks in the store; needs no key. What lies in folders below `forgotten/` (receipts) is no tombstone."""
    names = takewhile(lambda name: "/" not in name, (info.key.removeprefix(PREFIX) for info in lake_store.list(PREFIX)))
    return frozenset(name.removesuffix(".json") for name in names if name.endswith(".json"))


def read_tombstone(lake_store: ObjectStore, mark: str) -> dict[str, Any]:
    """One tombstone: `key` (fingerprint), `loose`, `words` (of the id), `at` (ISO), `by`.

    Raises:
        DamagedTombstone: it is something else.
    """
    key = f"{PREFIX}{mark}.json"
    try:
        found = json.loads(lake_store.get(key).body)
        if all(isinstance(found[member], str) for member in ("key", "loose", "at", "by")) and isinstance(found["words"], int):
            return found
    except (ValueError, KeyError, TypeError):
        pass
    raise DamagedTombstone(
        f"{lake_store.uri(key)}: expected a JSON object with key, loose, words, at and by; run `torus forget` for this learner again after "
        "removing the object, or restore it"
    )


def leave(lake_store: ObjectStore, secret: bytes, home_page: str | None, user_id: str, at: datetime, by: str) -> str:
    """Leaves a learner's tombstone, whose mark is returned. Leaving it again changes nothing, whoever was first.

    Args:
        at: now, with a time zone.
        by: who asked; no learner.

    Raises:
        OtherKey: the store has tombstones of another key: nothing was left.
    """
    read_tombstones(lake_store, secret)
    name, words = mark(secret, home_page, user_id), words_of(user_id)
    body = {"key": fingerprint(secret), "loose": loose_mark(secret, words), "words": len(words), "at": at.isoformat(), "by": by}
    with suppress(FileExistsError):
        lake_store.put(f"{PREFIX}{name}.json", json.dumps(body).encode(), mode="create")
    return name


def tombstone_secret(settings: Settings, *, make: bool = False) -> bytes | None:
    """`TORUS_TOMBSTONE_KEY`, else the file below TORUS_HOME where the lake is a folder. Never the pseudonym key, which may be rotated.

    Args:
        make: there is to be a first tombstone: the file is made if need be.

    Returns:
        None when there is no key: then there can be no tombstones of ours either.
    """
    if settings.tombstone_key:
        return settings.tombstone_key.encode()
    if not settings.lake_url.startswith("file://"):
        return None
    path = settings.home / KEY_FILE
    if make:
        secret_file.made(path)
    return secret_file.read(path) if path.exists() else None


class Register:
    """The tombstones of one lake store as they are now; read anew only when some were added."""

    def __init__(self, lake_store: ObjectStore, secret: bytes | None) -> None:
        self._store = lake_store
        self._secret = secret
        self._last = NONE

    def now(self) -> Tombstones:
        """Raises: OtherKey, DamagedTombstone as `read_tombstones`."""
        if list_marks(self._store) != self._last.marks:
            self._last = read_tombstones(self._store, self._secret)
        return self._last
