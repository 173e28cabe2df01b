"""One shard: a group of students of one section over all days.

Shards know nothing of each other, so any number of processes may work on them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from random import Random

from torus_assets.sample.bundles import MOST_ACTIONS, Bundle, Bundler
from torus_assets.sample.course import course
from torus_assets.sample.damage import CLASSES
from torus_assets.sample.options import SampleOptions, shares
from torus_assets.sample.students import Student, roster, skills_of
from torus_assets.sample.study import Action, Classroom, Day

SHARD_STATEMENTS = 20_000  # enough shards to keep all cores busy, and a day of one in little memory
SHARD_STUDENTS = 8  # a bundle holds actions of several students
OLD_DAYS = 0.3  # share of days in which an older Torus may have written a statement

ALL_CLASSES_STATEMENTS = 1_900


@dataclass(frozen=True)
class Shard:
    """A group of students of one section, and what it has to make."""

    section: int  # index
    number: int
    of: int
    statements: int
    damaged: int
    first_damage: int  # position in the world's round of damage classes


def courses_of(options: SampleOptions) -> int:
    return min(3, (options.sections + 2) // 3)


def shards(options: SampleOptions, statements: int) -> list[Shard]:
    """The shards that make this many statements; the same for any number of processes."""
    sizes = [len(roster(options, section)) for section in range(options.sections)]
    parts = [max(1, min(students // SHARD_STUDENTS, round(statements / options.sections / SHARD_STATEMENTS))) for students in sizes]
    places = [(section, number) for section, count in enumerate(parts) for number in range(count)]
    counts = shares(statements, [sizes[section] / parts[section] for section, _ in places])
    damaged = shares(_damaged(options, statements), [count + 1e-9 for count in counts])
    made, first = [], 0
    for (section, number), count, wrong in zip(places, counts, damaged, strict=True):
        made.append(Shard(section, number, parts[section], count, wrong, first))
        first += wrong
    return made


def _damaged(options: SampleOptions, statements: int) -> int:
    """Lines to damage; every class occurs in a world that is not tiny."""
    least = len(CLASSES) if options.damage and statements >= ALL_CLASSES_STATEMENTS else 0
    return max(least, round(options.damage * statements))


def bundles_of(options: SampleOptions, shard: Shard, injected: dict[str, int]) -> Iterator[Bundle]:
    """All objects of the shard. `injected` gets the count per damage class."""
    rng = Random(f"shard {options.seed} {shard.section} {shard.number}")
    made = course(options.seed, shard.section % courses_of(options))
    room = Classroom(options.section_id(shard.section), made, skills_of(made, options.seed))
    students = roster(options, shard.section)[shard.number :: shard.of]
    per_day = shares(shard.statements, [rng.uniform(0.7, 1.3) for _ in range(options.days)])
    per_section_day = options.statements // options.sections // options.days
    bundler = Bundler(
        options=options,
        section_id=room.section_id,
        rng=rng,
        damage=dict(zip(sorted(rng.sample(range(shard.statements), shard.damaged)), _classes(shard), strict=False)),
        most_actions=max(4, min(MOST_ACTIONS, per_section_day // 60)),
        injected=injected,
    )
    for day_index, statements in enumerate(per_day):
        actions = _day(room, students, options.day(day_index), rng, statements, old=day_index < options.days * OLD_DAYS)
        yield from bundler.bundles(day_index, actions)


def _classes(shard: Shard) -> Iterator[str]:
    return islice(cycle(CLASSES), shard.first_damage % len(CLASSES), None)


def _day(room: Classroom, students: list[Student], day: str, rng: Random, statements: int, *, old: bool) -> list[Action]:
    """Exactly this many statements, in order of time."""
    actions: list[Action] = []
    quotas = shares(statements, [student.diligence * rng.uniform(0.5, 1.5) for student in students])
    for student, quota in zip(students, quotas, strict=True):
        left = quota
        if left:
            for action in Day(room, student, day, rng, quota, old=old).actions_of_day():
                kept = action.made[:left]
                actions.append(action._replace(made=kept))
                left -= len(kept)
                if not left:
                    break
    actions.sort(key=lambda action: action.second)
    return actions
