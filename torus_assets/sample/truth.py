"""The truth about a world: every line's fate, by the rule of DESIGN.md 4, from the hashes of what was really written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from torus_assets.sample.bundles import DIGEST_BYTES
from torus_assets.sample.outcomes import BLANK, OUTCOMES

HASH_BYTES = 8  # of 32: among 10 M events the chance of one false match is 3 in a million


class Facts(NamedTuple):
    """What the truth needs of one bundle."""

    key: str
    section_id: int
    digests: bytes
    codes: bytes

    @property
    def day(self) -> str:
        return self.key.rsplit("/", 1)[1][:10]


@dataclass
class Truth:
    """Counts over all days; a day is settled once all of its bundles are known."""

    days: dict[str, dict[str, object]] = field(default_factory=dict)
    sections: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    row_hashes: dict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    statements: int = 0
    bundles: int = 0

    def settle(self, day: str, bundles: Iterable[Facts]) -> None:
        """The first occurrence of a hash by (key, line) is a row or refused; later ones of the day are duplicates."""
        seen: set[bytes] = set()
        fates: Counter[int] = Counter()
        count = lines = duplicates = 0
        for bundle in sorted(bundles, key=lambda facts: facts.key):
            count += 1
            lines += len(bundle.codes)
            kinds: Counter[str] = self.sections[bundle.section_id]
            hashes = self.row_hashes[bundle.section_id]
            for at, code in enumerate(bundle.codes):
                digest = bundle.digests[at * DIGEST_BYTES : (at + 1) * DIGEST_BYTES]
                if code == BLANK:
                    fates[BLANK] += 1
                elif digest in seen:
                    duplicates += 1
                else:
                    seen.add(digest)
                    fates[code] += 1
                    if OUTCOMES[code].kind:
                        kinds[OUTCOMES[code].kind] += 1
                        hashes.append(digest[:HASH_BYTES])
        self.statements += lines - fates[BLANK]
        self.bundles += count
        self.days[day] = {
            "bundles": count,
            "lines": lines,
            "blank": fates[BLANK],
            "rows": _by("kind", fates),
            "duplicates": duplicates,
            "quarantined": _by("reason", fates),
            "forgotten": 0,
            "coerced": _by("coerced", fates),
        }

    def document(self, described: dict[str, object], junk_keys: int, damage: dict[str, int]) -> dict[str, object]:
        """What `truth.json` says; counts of zero are left out of the maps."""
        every = [row_hash for hashes in self.row_hashes.values() for row_hash in hashes]
        kinds: Counter[str] = sum(self.sections.values(), Counter())
        return {
            "options": described,
            "statements": self.statements,
            "bundles": self.bundles,
            "junk_keys": junk_keys,
            "days": dict(sorted(self.days.items())),
            "sections": {str(key): {"rows": dict(sorted(rows.items()))} for key, rows in sorted(self.sections.items())},
            "kinds": dict(sorted(kinds.items())),
            "damage": dict(sorted(damage.items())),
            "distinct_events": _distinct(every),
            "distinct_events_by_section": {str(key): _distinct(hashes) for key, hashes in sorted(self.row_hashes.items())},
        }


def _distinct(hashes: list[bytes]) -> int:
    numbers = pa.Array.from_buffers(pa.uint64(), len(hashes), [None, pa.py_buffer(b"".join(hashes))])
    return pc.call_function("count_distinct", [numbers]).as_py()


def _by(attribute: str, fates: Counter[int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for code, count in fates.items():
        counts[getattr(OUTCOMES[code], attribute)] += count
    counts.pop("", None)
    return dict(sorted(counts.items()))
