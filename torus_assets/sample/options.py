"""What a sample world is made of: the knobs of `torus sample`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta

FIRST_SECTION = 3021


@dataclass(frozen=True)
class SampleOptions:
    """The size, the place and the seed of a world; the defaults suit the demo.

    Raises:
        ValueError: A number makes no world; the message names it.
    """

    out: str
    statements: int = 20_000  # non-blank lines before anything is replayed
    sections: int = 3
    students: int = 60  # over all sections; every tenth is in two of them
    days: int = 7
    first_day: date = date(2026, 2, 2)
    seed: int = 7
    damage: float = 0.02  # share of lines
    duplicates: float = 0.02  # share of lines

    def __post_init__(self) -> None:
        for name in ("statements", "sections", "students", "days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but a world needs at least 1")
        for name in ("damage", "duplicates"):
            if not 0 <= getattr(self, name) <= 0.5:
                raise ValueError(f"{name} is {getattr(self, name)}, but a share is from 0 to 0.5")
        if self.students < self.sections:
            raise ValueError(f"{self.students} students cannot fill {self.sections} sections")

    def day(self, index: int) -> str:
        """ISO date of the day with this index, counted from 0."""
        return (self.first_day + timedelta(days=index)).isoformat()

    def section_id(self, index: int) -> int:
        return FIRST_SECTION + 13 * index

    def described(self) -> dict[str, object]:
        """The options without the place: two worlds of one seed have equal truths."""
        named: dict[str, object] = {**asdict(self), "first_day": self.first_day.isoformat()}
        del named["out"]
        return named


def shares(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers that sum to `total`, in proportion to the weights (largest remainder)."""
    scale = total / sum(weights)
    exact = [weight * scale for weight in weights]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for i in by_remainder[: total - sum(counts)]:
        counts[i] += 1
    return counts
