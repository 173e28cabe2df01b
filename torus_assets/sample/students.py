"""Students who learn: the chance of an error falls with every opportunity to use a skill, so that learning curves fall.

The model is the additive factors model of the learning-curve literature: the log odds of being right are the
student's ability plus, averaged over the part's skills, ease and rate times earlier opportunities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from torus_assets.sample.course import Course, Part
from torus_assets.sample.options import SampleOptions
from torus_assets.sample.statements import E, actor


@dataclass(frozen=True)
class Skill:
    ease: float  # log odds at the first opportunity, for an average student
    rate: float  # log odds gained per opportunity


def skills_of(course: Course, seed: int) -> dict[int, Skill]:
    rng = Random(f"skills {seed}")
    return {key: Skill(ease=rng.gauss(-0.6, 0.5), rate=rng.uniform(0.12, 0.35)) for key in course.skills}


@dataclass
class Student:
    """One person in one section, and how far she has come."""

    user_id: int
    email: str
    enrollment_id: int
    ability: float  # log odds
    diligence: float  # weight of her share of the statements
    next_page: int
    seen: dict[int, int] = field(default_factory=dict)  # opportunities by skill
    page_numbers: dict[int, int] = field(default_factory=dict)  # page attempts by page id

    @property
    def actors(self) -> tuple[str, str, str, str]:
        """The usual form first, then the variants of older and newer emitters."""
        return (
            actor(self.user_id, as_text=False),
            actor(self.user_id, as_text=True),
            actor(self.user_id, as_text=False, scheme="https://"),
            actor(self.user_id, as_text=True, scheme="https://"),
        )

    @property
    def enrollment(self) -> str:
        return f'"{E}enrollment_id":{self.enrollment_id},'

    def chance(self, part: Part, skills: dict[int, Skill]) -> float:
        """Probability of being right now."""
        gained = [skills[key].ease + skills[key].rate * self.seen.get(key, 0) for key in part.skills]
        return 1 / (1 + math.exp(-self.ability - sum(gained) / len(gained)))

    def practised(self, part: Part) -> None:
        for key in part.skills:
            self.seen[key] = self.seen.get(key, 0) + 1


def roster(options: SampleOptions, section: int) -> list[Student]:
    """The students of a section, by its index; every tenth student is in the next section as well."""
    count = options.sections
    own = range(section, options.students, count)
    guests = range((section - 1) % count, options.students, count)[::10] if count > 1 else ()
    return [_student(options.seed, section, number) for number in (*own, *guests)]


def _student(seed: int, section: int, number: int) -> Student:
    person = Random(f"person {seed} {number}")
    return Student(
        user_id=41_000 + 7 * number,
        email=f"student{number}@example.edu",
        enrollment_id=77_000 + 100_000 * section + number,
        ability=person.gauss(0.0, 0.7),
        diligence=person.uniform(0.4, 1.6),
        next_page=0,
    )
