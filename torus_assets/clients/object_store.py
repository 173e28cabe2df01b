"""Objects under a URL, the same way on S3 and in a folder.

``open_store("s3://bucket/prefix")`` or ``open_store("file:///folder")`` (a bare absolute path too).
Keys are relative to that URL. The two kinds agree on everything that callers can see: order of
listings, string prefixes, create-only puts, missing objects. Stores pickle as their URL, so that
worker processes open connections of their own (start such workers with ``spawn``: the S3 client
has threads, which a fork does not copy).
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, cast
from urllib.parse import unquote, urlsplit

from torus_assets.clients.ranged import RangedFile

STREAM_BYTES = 8 << 20
TEMPORARY_FOLDER = ".torus-tmp"  # unfinished writes of folder stores; never listed
_NOT_A_SEGMENT = frozenset({"", ".", "..", TEMPORARY_FOLDER})
_OPTIONS = frozenset({"endpoint", "region"})

PutMode = Literal["overwrite", "create"]
Names = list[str]  # spelt here: in the classes below, `list` is a method


class ObjectInfo(NamedTuple):
    """What a listing says of one object. ``etag`` has no quotes; ``last_modified`` is UTC."""

    key: str
    size: int
    etag: str
    last_modified: datetime


class Fetched(NamedTuple):
    """One object, whole. ``etag`` and ``last_modified`` are of exactly these bytes."""

    body: bytes
    etag: str
    last_modified: datetime


class Streamed(NamedTuple):
    """One object as pieces of at least the size asked for (the last may be smaller)."""

    size: int
    etag: str
    last_modified: datetime
    chunks: Iterator[bytes]


class ObjectStore(ABC):
    """Objects under one URL. Safe to share between threads, picklable."""

    url: str
    bucket: str | None  # None for a folder
    prefix: str  # where the store begins inside the bucket, without slashes at its ends; "" for a folder
    is_local: bool

    @abstractmethod
    def uri(self, key: str) -> str:
        """The absolute address of a key: ``s3://bucket/prefix/key`` or ``file:///folder/key``."""

    def path(self, key: str) -> Path:
        """The file of a key; ValueError on a store that is not a folder."""
        raise ValueError(f"{self.uri(key)} is not a local file")

    @abstractmethod
    def get(self, key: str) -> Fetched:
        """The object, whole; FileNotFoundError when there is none."""

    @abstractmethod
    def stream(self, key: str, chunk_bytes: int = STREAM_BYTES) -> Streamed:
        """The object in pieces, for objects too large to hold; FileNotFoundError when there is none."""

    @abstractmethod
    def get_range(self, key: str, start: int, length: int) -> bytes:
        """`length` bytes from `start` on, which lies inside the object, and fewer where it ends; FileNotFoundError when there is none."""

    def reader(self, key: str, size: int | None = None) -> BinaryIO:
        """The object as a seekable file, for libraries that read parts of it (Parquet's footer and row groups).

        Args:
            size: bytes of the object where they are known, which saves a request.
        """
        if size is None:
            if (found := self.head(key)) is None:
                raise FileNotFoundError(self.uri(key))
            size = found.size
        return cast("BinaryIO", RangedFile(self, key, size))

    @abstractmethod
    def head(self, key: str) -> ObjectInfo | None:
        """What a listing would say of the object; None when there is none."""

    @abstractmethod
    def put(self, key: str, body: bytes | Path, mode: PutMode = "overwrite") -> None:
        """Writes an object in one atomic step; a path is read in pieces.

        Raises:
            FileExistsError: ``mode="create"`` and the object exists; it is left as it was.
        """

    @abstractmethod
    def move(self, source: str, target: str) -> None:
        """Gives an object another key, without its bytes passing through here; what stood there is replaced.

        Killed in between, a bucket may have both. FileNotFoundError when there is no object at `source`.
        """

    @abstractmethod
    def delete(self, keys: Iterable[str]) -> None:
        """Removes objects; one that does not exist is no error."""

    @abstractmethod
    def list(self, prefix: str = "", after: str | None = None) -> Iterator[ObjectInfo]:
        """Objects whose key starts with the text ``prefix`` and is greater than ``after``.

        In ascending order of the whole key, page by page: stopping early costs nothing more.
        """

    @abstractmethod
    def folders(self, prefix: str = "") -> Names:
        """Names of the folders directly inside the folder ``prefix`` (with or without its last slash)."""


def open_store(url: str, options: Mapping[str, str] | None = None) -> ObjectStore:
    """The store at a URL. Nothing is contacted before the first use.

    Args:
        url: ``s3://bucket[/prefix]``, ``file:///folder`` or an absolute path.
        options: ``endpoint`` and ``region`` of S3; default from ``AWS_ENDPOINT_URL`` (or
            ``AWS_ENDPOINT_URL_S3``) and ``AWS_REGION`` / ``AWS_DEFAULT_REGION``.

    Raises:
        ValueError: another scheme, a relative path, a bucket that is missing, an unknown option.
    """
    if unknown := set(options or ()) - _OPTIONS:
        raise ValueError(f"unknown store options {sorted(unknown)}; known are {sorted(_OPTIONS)}")
    kind, place = _place(url)
    if kind == "file":
        from torus_assets.clients.folder_store import (
            FolderStore,  # each loads only its own libraries
        )

        return FolderStore(place)
    from torus_assets.clients.s3_store import S3Objects

    bucket, _, prefix = place.partition("/")
    return S3Objects(bucket, prefix.strip("/"), dict(options or {}))


def storage_options(url: str, options: Mapping[str, str] | None = None) -> dict[str, str]:
    """What delta-rs has to be told about the same URL; nothing for a folder.

    May hold credentials (where delta-rs would not find them itself): never log it.
    """
    if _place(url)[0] == "file":
        return {}
    from torus_assets.clients.s3_store import delta_options

    return delta_options(dict(options or {}))


def checked_key(key: str) -> str:
    """The key itself; ValueError for one that could leave the store or that folders cannot hold."""
    if _NOT_A_SEGMENT.isdisjoint(key.split("/")) and "\0" not in key:
        return key
    raise ValueError(f"not a key: {key!r} (empty, '.', '..' and {TEMPORARY_FOLDER!r} are not allowed between slashes)")


def checked_prefix(prefix: str) -> str:
    """The prefix itself; ValueError when it could leave the store."""
    if prefix.startswith("/") or ".." in prefix.split("/") or "\0" in prefix:
        raise ValueError(f"not a prefix: {prefix!r} (no leading slash, no '..' between slashes)")
    return prefix


def _place(url: str) -> tuple[str, str]:
    if url.startswith("/"):
        return "file", os.path.normpath(url)
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return "file", os.path.normpath(unquote(parts.path))
    if parts.scheme in ("s3", "s3a") and parts.netloc:
        return "s3", url.partition("://")[2]
    raise ValueError(f"cannot open {url!r}: give s3://bucket/prefix, file:///folder or an absolute path")
