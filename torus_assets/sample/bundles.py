"""Bundling: actions become objects under Torus' keys, some of them late, some of them twice (spec/xapi.md 1.4, 6.2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from torus_assets.sample.damage import BLANK_LINE, BLANKS, DAMAGES
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.outcomes import BLANK, ROW, Line
from torus_assets.sample.study import Action
from torus_assets.sample.variants import VARIANTS

DIGEST_BYTES = 16  # of SHA-256: enough to tell events apart, and half the traffic between processes
MOST_ACTIONS = 50  # XAPI_BATCH_SIZE
LATE = 0.01  # share of bundles that wait for a restart
VARIANT = 0.05  # share of sound lines in another legal form
MIDNIGHT_SECONDS = 86_399


class Bundle(NamedTuple):
    """One object, and what its lines have to become."""

    key: str
    body: bytes
    uploaded: datetime
    digests: bytes  # DIGEST_BYTES per line
    codes: bytes  # one outcome per line


@dataclass
class Bundler:
    """Makes the bundles of one shard of a section, day by day.

    `damage` gives the class of each line to be damaged, by its number in the shard.
    """

    options: SampleOptions
    section_id: int
    rng: Random
    damage: dict[int, str]
    most_actions: int  # grows with the traffic
    made: int = 0  # statements so far, those that replays repeat not counted
    injected: dict[str, int] = field(default_factory=dict)
    owed_lines: float = 1.0  # replays that are due; the first come at once, so that each class occurs
    owed_bundles: float = 1.0
    earlier: dict[str, list[Line]] = field(default_factory=dict)  # the last bundle, by category

    def bundles(self, day_index: int, actions: list[Action]) -> Iterator[Bundle]:
        """The objects that hold a day's actions, which are in order of time."""
        by_category: dict[str, list[Action]] = {}
        for action in actions:
            by_category.setdefault(action.category, []).append(action)
        for category, queue in by_category.items():
            start = 0
            while start < len(queue):
                batch = queue[start : start + self.rng.randint(1, self.most_actions)]
                start += len(batch)
                yield from self._flushed(day_index, category, batch)

    def _flushed(self, day_index: int, category: str, batch: list[Action]) -> Iterator[Bundle]:
        """One object, and perhaps a later copy of it."""
        rng = self.rng
        uploaded = self._moment(day_index, batch[-1].second + 1 + rng.random() * 9)
        if rng.random() < LATE:
            uploaded = self._later(uploaded, day_index)
        if rng.random() < 0.3:
            batch.reverse()  # the queue hands over newest first within a demand window
        lines = [line for action in batch for kind, body in action.made for line in self._line(kind, body)]
        self._replay_lines(category, lines)
        self.earlier[category] = lines
        name = bundle_id(batch[0])
        bundle = self._bundle(category, name, uploaded, lines)
        yield bundle
        self.owed_bundles += len(lines) * self.options.duplicates / 2
        if self.options.duplicates and self.owed_bundles >= 1 and rng.random() < min(1.0, self.owed_bundles / len(lines)):
            self.owed_bundles -= len(lines)
            self._count("replayed_bundle")
            again = uploaded + timedelta(seconds=rng.randrange(10, 9_000))
            if rng.random() < 0.4 or again.date() != uploaded.date():
                again = self._later(uploaded, day_index)
            yield self._bundle(category, name, again, lines)

    def _line(self, kind: str, body: bytes) -> Iterator[Line]:
        """The statement as it arrives: sound, in a variant, or damaged; a blank line may come before it."""
        number, rng = self.made, self.rng
        self.made += 1
        damage = self.damage.get(number)
        if damage == BLANK_LINE:
            yield Line(rng.choice(BLANKS), BLANK, crlf=rng.random() < 0.2)
        elif damage:
            self._count(damage)
            yield DAMAGES[damage](body, kind, rng)
            return
        elif rng.random() < VARIANT:
            body = rng.choice(VARIANTS[kind])(body, rng)
        if damage:
            self._count(damage)
        yield Line(body, ROW[kind])

    def _replay_lines(self, category: str, lines: list[Line]) -> None:
        """Repeats lines of this bundle or of the one before, within this bundle."""
        self.owed_lines += len(lines) * self.options.duplicates / 2
        while self.options.duplicates and self.owed_lines >= 1:
            self.owed_lines -= 1
            source = self.earlier.get(category, lines) if self.rng.random() < 0.5 else lines
            again = self.rng.choice([line for line in source if line.code != BLANK])
            lines.insert(self.rng.randrange(len(lines) + 1), again)
            self._count("replayed_line")

    def _bundle(self, category: str, name: str, uploaded: datetime, lines: list[Line]) -> Bundle:
        stamp = uploaded.strftime("%Y-%m-%dT%H-%M-%S.%fZ")
        return packed(f"section/{self.section_id}/{category}/{stamp}_{name}.jsonl", uploaded, lines)

    def _moment(self, day_index: int, second: float) -> datetime:
        start = datetime.combine(self.options.first_day, datetime.min.time(), UTC)
        return start + timedelta(days=day_index, seconds=min(second, MIDNIGHT_SECONDS), microseconds=self.rng.randrange(10**6))

    def _later(self, uploaded: datetime, day_index: int) -> datetime:
        """One or two days on, where the world has such days; else some time today."""
        day = min(day_index + self.rng.randint(1, 2), self.options.days - 1)
        if day > day_index:
            return self._moment(day, self.rng.randrange(MIDNIGHT_SECONDS))
        midnight = self._moment(day_index, MIDNIGHT_SECONDS)
        return uploaded + (midnight - uploaded) * self.rng.random()

    def _count(self, damage: str) -> None:
        self.injected[damage] = self.injected.get(damage, 0) + 1


def bundle_id(action: Action) -> str:
    if action.bundle.startswith("experiment-assessment-reward-"):
        return action.bundle
    return hashlib.md5(action.bundle.encode(), usedforsecurity=False).hexdigest().upper()


def packed(key: str, uploaded: datetime, lines: list[Line]) -> Bundle:
    """The object's bytes, without a trailing newline unless the last line ends in CRLF, and its outcomes."""
    digests = b"".join(hashlib.sha256(line.body).digest()[:DIGEST_BYTES] for line in lines)
    body = b"\n".join(line.body + b"\r" if line.crlf else line.body for line in lines)
    if lines[-1].crlf:
        body += b"\n"
    return Bundle(key, body, uploaded, digests, bytes(line.code for line in lines))
