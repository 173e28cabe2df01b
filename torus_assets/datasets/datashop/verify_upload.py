"""What the files of one upload have in common: ids, data set name, headings, and what was found in all of them.

Ids are remembered as hashes of 8 bytes: of a million ids, two are taken for one in one of 30 million uploads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import NamedTuple

from torus_assets.datasets.datashop.findings import SHOWN_PER_RULE, Findings, Place, shown
from torus_assets.datasets.datashop.parsed import ParsedTransaction, SectionCounts, hashed


class FileSeen(NamedTuple):
    name: str
    form: str  # xml or tab
    bytes: int
    messages: int  # rows, of the tab-delimited form


@dataclass(slots=True)
class Orphan:
    """A context id that its file uses and does not declare."""

    context_id: str
    place: Place  # of the first message that uses it
    times: int = 1


class Upload:
    """Everything that is known of an upload so far."""

    def __init__(self, this_year: int) -> None:
        self.this_year = this_year
        self.findings = Findings()
        self.files: list[FileSeen] = []
        self.sections: dict[str, SectionCounts] = {}
        self.orphans: list[Orphan] = []
        self.headings: tuple[str, ...] | None = None  # of the first table, normal form
        self.contexts: set[int] = set()
        self.transactions: set[int] = set()
        self.sessions: dict[int, int] = {}  # -> user, both hashed
        self.dataset: str | None = None

    def declared(self, context_id: str) -> bool:
        """Whether the context was declared before; it is now."""
        return _seen(self.contexts, context_id)

    def transaction_seen(self, transaction_id: str) -> bool:
        """Whether the id was used before; it is now."""
        return _seen(self.transactions, transaction_id)

    def is_transaction(self, transaction_id: str) -> bool:
        return hashed(transaction_id) in self.transactions

    def shares_session(self, session: str, user: str) -> bool:
        """Whether the session is another user's already."""
        owner = hashed(user)
        return self.sessions.setdefault(hashed(session), owner) != owner

    def other_dataset(self, name: str) -> bool:
        """Whether it is not the name that came first."""
        self.dataset = self.dataset or name
        return self.dataset != name

    def count(self, one: ParsedTransaction) -> None:
        counts = self.sections.get(one.section)
        if counts is None:
            counts = self.sections[one.section] = SectionCounts()
        counts.count(one)

    def without_line(self, file: str) -> Iterator[Place]:
        """Places in a file whose line is still to be looked up."""
        orphans = (orphan.place for orphan in self.orphans if orphan.place.file == file)
        return chain(self.findings.without_line(file), islice(orphans, 5 * SHOWN_PER_RULE))

    def end(self) -> None:
        """What can be said only when all files are read: where missing contexts are."""
        for orphan in self.orphans:
            elsewhere = hashed(orphan.context_id) in self.contexts
            rule = "join.context_in_other_file" if elsewhere else "join.context_never"
            text = "in another file of the upload; expected it before this message" if elsewhere else "nowhere in the upload"
            self.findings.add(rule, orphan.place, f"context {shown(orphan.context_id)} is declared {text}", orphan.times)
        self.orphans.clear()


def _seen(known: set[int], text: str) -> bool:
    size = len(known)
    known.add(hashed(text))
    return len(known) == size
