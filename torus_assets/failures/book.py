"""Where notices are kept: `failures/{fingerprint}.json` in the store of the lake while they are open, then below `failures/closed/`.

Each is read, changed and written without a lock. Two sensors that change one notice in the same second may lose a count or a partition;
the run itself stays in Dagster either way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from torus_assets.clients.object_store import ObjectStore
from torus_assets.failures import notices
from torus_assets.failures.notices import Failure, Notice
from torus_assets.failures.notify import Notifier
from torus_assets.failures.spans import Span

OPEN, CLOSED = "failures/", "failures/closed/"
TOLD_AT_ONCE = 10  # messages per call: a notifier may take 10 s for each


class Book:
    """The notices of one deployment."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, fingerprint: str) -> Notice | None:
        """The open notice of that fingerprint."""
        return self._read(f"{OPEN}{fingerprint}.json")

    def open(self) -> list[Notice]:
        """Everything that is still wrong, the oldest first."""
        keys = [info.key for info in self._store.list(OPEN) if info.key.endswith(".json") and not info.key.startswith(CLOSED)]
        return sorted((notice for key in keys if (notice := self._read(key))), key=lambda notice: (notice.first_seen, notice.fingerprint))

    def write(self, notice: Notice) -> Notice:
        """Keeps a notice; a closed one leaves the open ones last, so that a kill in between leaves it open."""
        name = f"{notice.fingerprint}.json"
        body = msgspec.json.format(msgspec.json.encode(notice), indent=1)
        if notice.closed_at is None:
            self._store.put(f"{OPEN}{name}", body)
        else:
            self._store.put(f"{CLOSED}{name}", body)
            self._store.delete([f"{OPEN}{name}"])
        return notice

    def note(self, failure: Failure) -> Notice:
        """Enters one failure."""
        known = self.read(notices.fingerprint(failure))
        changed = notices.noted(known, failure)
        return changed if changed == known else self.write(changed)

    def succeeded(self, job: str, steps: Collection[str], spans: Iterable[Span], at: datetime) -> list[Notice]:
        """Takes back what a successful run mended; the notices that are closed by it."""
        spans = tuple(spans)
        changed = [(notice, notices.after_success(notice, job, steps, spans, at)) for notice in self.open()]
        return [after for before, after in changed if after != before and self.write(after).closed_at is not None]

    def close(self, job: str, step: str, at: datetime) -> None:
        """Closes what is open of a job's step, whatever the message was."""
        for notice in self.open():
            if (notice.failure.job, notice.failure.step) == (job, step):
                self.write(notices.closed(notice, at))

    def tell(self, notifier: Notifier, now: datetime) -> list[Notice]:
        """Tells what nobody was told yet. Stops at the first that is not delivered: it and the rest wait for the next call.

        Raises:
            NotDelivered: after what was delivered before it is marked as told.
        """
        due = [notice for notice in self.open() if notice.is_due][:TOLD_AT_ONCE]
        return [self._told(notice, notifier, now) for notice in due]

    def _told(self, notice: Notice, notifier: Notifier, now: datetime) -> Notice:
        notifier.tell(notice)
        return self.write(notices.told(notice, now))

    def _read(self, key: str) -> Notice | None:
        try:
            return msgspec.json.decode(self._store.get(key).body, type=Notice)
        except FileNotFoundError:
            return None
