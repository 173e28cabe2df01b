"""An object as a file that is read by ranges: what reads Parquet's footers and row groups without the rest of the file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torus_assets.clients.object_store import ObjectStore


class RangedFile(io.RawIOBase):
    """One object, seekable; each read is one request. Nothing is kept between reads, so large reads are what it is for."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        rest = max(0, self._size - self._at)
        length = rest if size is None or size < 0 else min(size, rest)
        body = self._store.get_range(self._key, self._at, length) if length else b""
        self._at += len(body)
        return body

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        body = self.read(len(view))
        view[: len(body)] = body
        return len(body)
