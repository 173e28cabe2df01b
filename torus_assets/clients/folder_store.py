"""Objects as files of a folder, with the visible behaviour of S3.

Reads are plain ``open`` and ``read`` (20 to 50 µs for a bundle of a few kB); a listing sorts one
folder at a time and never enters those that prefix or position rule out.
"""
# Plain `os` calls: making a Path per object doubles the time of a small read.
# ruff: noqa: PTH103, PTH105, PTH106, PTH108, PTH116, PTH120, PTH123

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import FileIO
from pathlib import Path
from uuid import uuid4

from torus_assets.clients.object_store import (
    STREAM_BYTES,
    TEMPORARY_FOLDER,
    Fetched,
    Names,
    ObjectInfo,
    ObjectStore,
    PutMode,
    Streamed,
    checked_key,
    checked_prefix,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACING_ATTEMPTS = 100  # deletes may remove the emptied folder between mkdir and rename (seen with 4 threads)


class FolderStore(ObjectStore):
    """Objects under ``root``. Atomic against kills; not flushed to disk, so not against power loss."""

    is_local = True
    bucket = None
    prefix = ""

    def __init__(self, root: str) -> None:
        self.root = root
        self.url = Path(root).as_uri()
        self._base = root.rstrip("/") + "/"

    def __reduce__(self) -> tuple[type[FolderStore], tuple[str]]:
        return FolderStore, (self.root,)

    def __repr__(self) -> str:
        return f"FolderStore({self.root!r})"

    def uri(self, key: str) -> str:
        return self.path(key).as_uri()

    def path(self, key: str) -> Path:
        return Path(self._base + checked_key(key))

    def get(self, key: str) -> Fetched:
        descriptor, status = self._open(key)
        try:
            body = _read_all(descriptor, status.st_size)
        finally:
            os.close(descriptor)
        return Fetched(body, _etag(status), _modified(status))

    def stream(self, key: str, chunk_bytes: int = STREAM_BYTES) -> Streamed:
        descriptor, status = self._open(key)
        file = FileIO(descriptor)
        return Streamed(status.st_size, _etag(status), _modified(status), _chunks(file, chunk_bytes))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        descriptor, _ = self._open(key)
        try:
            return os.pread(descriptor, length, start)
        finally:
            os.close(descriptor)

    def head(self, key: str) -> ObjectInfo | None:
        try:
            status = os.stat(self._base + checked_key(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return _info(key, status) if stat.S_ISREG(status.st_mode) else None

    def put(self, key: str, body: bytes | Path, mode: PutMode = "overwrite") -> None:
        # A copy also of a path: a hard link would share later writes, and carry an old time.
        target = self._base + checked_key(key)
        temporary = f"{self._base}{TEMPORARY_FOLDER}/{uuid4().hex}"
        os.makedirs(os.path.dirname(temporary), exist_ok=True)
        try:
            if isinstance(body, Path):
                shutil.copyfile(body, temporary)
            else:
                with open(temporary, "wb", buffering=0) as file:
                    _write_all(file.fileno(), body)
            _move(temporary, target, create=mode == "create")
        except FileExistsError:
            raise FileExistsError(self.uri(key)) from None
        finally:
            _unlink(temporary)

    def move(self, source: str, target: str) -> None:
        if self.head(source) is None:
            raise FileNotFoundError(self.uri(source))
        _move(self._base + checked_key(source), self._base + checked_key(target), create=False)
        self._drop_empty_folders(source)

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            _unlink(self._base + checked_key(key))
            self._drop_empty_folders(key)

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[ObjectInfo]:
        folder, slash, start = checked_prefix(prefix).rpartition("/")
        return self._walk(folder + slash, start, after or "")

    def folders(self, prefix: str = "") -> Names:
        folder = checked_prefix(prefix).strip("/")
        return sorted(name[:-1] for name in self._names(folder + "/" * bool(folder)) if name.endswith("/"))

    def _open(self, key: str) -> tuple[int, os.stat_result]:
        try:
            descriptor = os.open(self._base + checked_key(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise FileNotFoundError(self.uri(key)) from None
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            os.close(descriptor)
            raise FileNotFoundError(self.uri(key))
        return descriptor, status

    def _walk(self, folder: str, start: str, after: str) -> Iterator[ObjectInfo]:
        """Objects of one folder (``""`` or ending in a slash) whose remaining name starts with ``start``."""
        wanted = [name for name in self._names(folder) if name.startswith(start) and _reaches(folder + name, after)]
        for name in sorted(wanted):  # folders carry their slash here, which gives the order of whole keys
            key = folder + name
            if name.endswith("/"):
                yield from self._walk(key, "", after)
            elif info := self.head(key):
                yield info

    def _names(self, folder: str) -> Iterator[str]:
        try:
            with os.scandir(self._base + folder) as entries:
                for entry in entries:
                    if entry.name != TEMPORARY_FOLDER:
                        yield entry.name + "/" if entry.is_dir() else entry.name
        except (FileNotFoundError, NotADirectoryError):
            return

    def clear_unfinished(self, older_than_seconds: float) -> int:
        """Removes what killed writes left behind; how many files that were. Younger ones may still be under way."""
        cleared = 0
        for file in Path(self._base + TEMPORARY_FOLDER).glob("*"):
            if time.time() - file.stat().st_mtime > older_than_seconds:
                file.unlink(missing_ok=True)
                cleared += 1
        return cleared

    def _drop_empty_folders(self, key: str) -> None:
        while "/" in key:
            key = key.rpartition("/")[0]
            try:
                os.rmdir(self._base + key)
            except OSError:  # not empty, or gone already
                return


def _reaches(name: str, after: str) -> bool:
    return name > after or (name.endswith("/") and after.startswith(name))


def _move(temporary: str, target: str, *, create: bool) -> None:
    for attempt in range(1, _PLACING_ATTEMPTS + 1):
        try:
            if create:
                os.link(temporary, target)
            else:
                os.replace(temporary, target)
            return
        except FileNotFoundError:
            if attempt == _PLACING_ATTEMPTS:
                raise
            with suppress(FileNotFoundError, FileExistsError):  # deleters at work in the middle of it
                os.makedirs(os.path.dirname(target), exist_ok=True)


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return


def _read_all(descriptor: int, size: int) -> bytes:
    body = os.read(descriptor, size + 1)
    if len(body) == size:
        return body
    pieces = [body]  # larger than one read gives (2 GiB), or grew meanwhile
    while piece := os.read(descriptor, STREAM_BYTES):
        pieces.append(piece)
    return b"".join(pieces)


def _write_all(descriptor: int, body: bytes) -> None:
    rest = memoryview(body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _chunks(file: FileIO, chunk_bytes: int) -> Iterator[bytes]:
    with file:
        while chunk := file.read(chunk_bytes):
            yield chunk


def _info(key: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(key, status.st_size, _etag(status), _modified(status))


def _etag(status: os.stat_result) -> str:
    """Changes with every put: each makes a new file."""
    return f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}"


def _modified(status: os.stat_result) -> datetime:
    return _EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
