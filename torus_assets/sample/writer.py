"""Writes many small objects fast: plain files in a folder, parallel puts elsewhere."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from types import TracebackType
from typing import Self

from torus_assets.clients.object_store import ObjectStore, open_store

PUTS_AT_ONCE = 16
PUTS_WAITING = 256  # bounds memory while the store is slower than we are


class Writer:
    """Objects below one URL. Leaving the context waits for all of them and raises the first error."""

    def __init__(self, url: str) -> None:
        self.store: ObjectStore = open_store(url)
        self._pool = None if self.store.is_local else ThreadPoolExecutor(PUTS_AT_ONCE)
        self._waiting: list[Future[None]] = []
        self._folders: set[str] = set()

    def put(self, key: str, body: bytes, modified: datetime | None = None) -> None:
        """Writes an object. A file gets the time of its upload; an object store keeps its own clock."""
        if self._pool is None:
            self._write(key, body, modified)
            return
        if len(self._waiting) >= PUTS_WAITING:
            self._drain()
        self._waiting.append(self._pool.submit(self.store.put, key, body))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._drain()
        finally:
            if self._pool:
                self._pool.shutdown()

    def _drain(self) -> None:
        for put in self._waiting:
            put.result()
        self._waiting.clear()

    def _write(self, key: str, body: bytes, modified: datetime | None) -> None:
        path = str(self.store.path(key))  # a plain write: 4 times as fast as an atomic put, and nobody reads yet
        folder = os.path.dirname(path)
        if folder not in self._folders:
            os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)
        with open(path, "wb", buffering=0) as file:
            file.write(body)
        if modified:
            os.utime(path, (modified.timestamp(), modified.timestamp()))
