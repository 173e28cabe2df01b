"""A student's day: page visits, and the statements that each of her actions makes."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from torus_assets.sample import statements as st
from torus_assets.sample.course import Activity, Course, Page, Part, json_text
from torus_assets.sample.statements import Scene, Tried, guid
from torus_assets.sample.students import Skill, Student
from torus_assets.sample.tutor import STATEMENTS, Tutor

DAY_STARTS, DAY_ENDS = 6 * 3600, 23 * 3600 + 50 * 60  # seconds of the day (UTC); uploads stay within the day
SESSION_ACTIONS = 30
TUTORED = 0.14 / STATEMENTS  # per activity
SIGNED = ("ask {email} why", "{user_id}", "I am {email}, and the mass stays the same", "student {user_id}: the ions swap partners")


class Action(NamedTuple):
    """What is queued as one bundle: the statements of one user action."""

    second: int
    category: str
    bundle: str  # what the bundle id is made of
    made: list[tuple[str, bytes]]  # kind, line


@dataclass(frozen=True)
class Classroom:
    """What all students of a section share."""

    section_id: int
    course: Course
    skills: dict[int, Skill]

    @property
    def section(self) -> str:
        return st.section_text(self.section_id)

    @property
    def projects(self) -> list[str]:
        return [st.project_text(*pair) for pair in self.course.projects]


class Day:
    """One student's day in one section. Iterating yields actions in order of time, without end."""

    def __init__(self, room: Classroom, student: Student, day: str, rng: Random, expected: int, *, old: bool) -> None:
        self.room, self.student, self.rng, self.old = room, student, rng, old
        self.day = day
        self.actors = student.actors
        self.projects, self.section = room.projects, room.section
        steps = max(1, expected // 2)  # an action makes two statements on average
        self.second = float(rng.randrange(DAY_STARTS, DAY_ENDS - min(60_000, 40 * steps)))
        self.step = min(80.0, 1.9 * (DAY_ENDS - self.second) / (steps + 1))
        self.session, self.actions = guid(rng), 0

    def actions_of_day(self) -> Iterator[Action]:
        while True:
            page = self.room.course.pages[self.student.next_page % len(self.room.course.pages)]
            yield from self.page_visit(page)
            self.student.next_page += 1

    def tick(self) -> int:
        """Seconds of the day after a little while; the evening has no end for those who still have work."""
        self.second = min(self.second + self.rng.random() * self.step, DAY_ENDS)
        self.actions += 1
        if self.actions % SESSION_ACTIONS == 0:
            self.session = guid(self.rng)
        return int(self.second)

    def scene(self, page: Page) -> Scene:
        number = self.student.page_numbers.get(page.page_id, 0) + 1
        self.student.page_numbers[page.page_id] = number
        old = self.old and self.rng.random() < 0.5  # one of two servers still runs the older version
        which = 0 if self.rng.random() < 0.94 else self.rng.randrange(4)
        return Scene(
            actor=self.actors[which],
            enrollment="" if old else self.student.enrollment,
            session="" if old else f',"{st.E}session_id":"{self.session}"',
            page=page,
            page_guid=guid(self.rng),
            page_number=number,
            project=self.projects[page.project],
            section=self.section,
            day=self.day,
        )

    def page_visit(self, page: Page) -> Iterator[Action]:
        rng, scene = self.rng, self.scene(page)
        yield self.viewed(scene)
        if rng.random() < 0.07:
            yield self.assigned(scene)
        if page.video and rng.random() < 0.95:
            yield from self.watched(scene)
        scores = out_of = 0.0
        for index, activity in enumerate(page.activities):
            last = index == len(page.activities) - 1
            page_total = (scores, out_of) if last else None
            score = yield from self.solved(scene, activity, page_total)
            scores, out_of = scores + score, out_of + activity.out_of
            if rng.random() < 0.65:
                yield self.viewed(scene)
            if rng.random() < TUTORED:
                yield from self.tutored(scene, activity)
        if rng.random() < 0.04:
            second = self.tick()
            line = st.page_attempt(scene, scores, out_of, second)  # sent again to carry an experiment's reward
            yield Action(second, "attempt_evaluated", f"experiment-assessment-reward-{rng.randrange(10**6)}", [("page_attempt", line)])
        if rng.random() < 0.01:
            second, micros = self.tick(), rng.randrange(10**6)
            yield Action(second, "page_viewed", str(micros), [("other", st.forum_post(scene, second, micros))])

    def viewed(self, scene: Scene) -> Action:
        second, micros = self.tick(), self.rng.randrange(10**6)
        return Action(second, "page_viewed", f"{scene.page_guid}-{micros}", [("page_viewed", st.page_viewed(scene, second, micros))])

    def assigned(self, scene: Scene) -> Action:
        second, number = self.tick(), self.rng.randrange(10**6)
        line = st.experiment_assignment(self.actors[3], self.student.enrollment, scene.project + scene.section, number, scene.day, second)
        return Action(second, "experiment", str(number), [("experiment_assignment", line)])

    def watched(self, scene: Scene) -> Iterator[Action]:
        """Played, perhaps paused or sought, perhaps to the end."""
        rng, length = self.rng, 90 + scene.page.page_id % 400 + 0.44
        at = round(rng.random() * length / 3, 2)
        until = round(at + rng.random() * (length - at), 2)
        context = f',"{st.V}length":{length}'
        stop = f'"{st.V}played-segments":"{at}[.]{until}","{st.V}progress":{round((until - at) / length, 3)},"{st.V}time":{until}'
        yield self.video(scene, "played", f'"{st.V}time":{at}', context)
        yield self.video(scene, "paused", stop, context)
        if rng.random() < 0.6:
            yield self.video(scene, "seeked", f'"{st.V}time-from":{until},"{st.V}time-to":{at}', "")
            yield self.video(scene, "played", f'"{st.V}time":{at}', context)
        if rng.random() < 0.6:
            segments = f"{at}[.]{until}[,]{at}[.]{length}"
            progress = round((until + length - 2 * at) / length, 3)
            ended = f'"{st.V}played-segments":"{segments}","{st.V}progress":{progress},"{st.V}time":{length}'
            yield self.video(scene, "completed", ended, f',"{st.V}completion-threshold":"1.0"{context}')

    def video(self, scene: Scene, verb: str, result: str, context: str) -> Action:
        second, micros = self.tick(), self.rng.randrange(10**6)
        line = st.video(scene, verb, result, context, self.room.section_id, second, micros)
        return Action(second, "video", f"{scene.page_guid},{micros}", [("video", line)])

    def tutored(self, scene: Scene, activity: Activity) -> Iterator[Action]:
        """A problem in an embedded tutor, all of it within one attempt at the activity."""
        rng, activity_guid, course = self.rng, guid(self.rng), self.room.course
        tutor = Tutor(
            problem=f"balance-{activity.activity_id % 1_000}",
            view=scene.page_number,
            levels=(("Unit", course.title), ("Section", scene.page.title)),
            skills=(*(course.skills[key] for key in activity.parts[0].skills), "read a reaction")[: rng.choice((1, 2))],
            email=self.student.email,
            session=f"ctat_{guid(rng)}",
            day=scene.day,
            rng=rng,
        )
        for second, micros, xml in tutor.solved(self.tick):
            line = st.tutor_message(scene, activity, activity_guid, 1, xml, second, micros)
            yield Action(second, "tutor_message", str(micros), [("tutor_message", line)])

    def solved(self, scene: Scene, activity: Activity, page_total: tuple[float, float] | None) -> Generator[Action, None, float]:
        """Up to three attempts at an activity; the page is evaluated with its last one. Returns the last score."""
        rng, number = self.rng, 0
        while True:
            number += 1
            activity_guid, second = guid(rng), self.tick()
            tried = [self.tried(scene, part) for part in activity.parts]
            score = sum(one.score for one in tried)
            again = score < activity.out_of and number < 3 and not scene.page.graded and rng.random() < 0.8
            made = [("part_attempt", st.part_attempt(scene, activity, activity_guid, number, one, second)) for one in tried]
            made.append(("activity_attempt", st.activity_attempt(scene, activity, activity_guid, number, score, second)))
            if page_total and not again:
                total, out_of = page_total[0] + score, page_total[1] + activity.out_of
                made.insert(0, ("page_attempt", st.page_attempt(scene, total, out_of, second)))
            yield Action(second, "attempt_evaluated", ",".join(one.guid for one in tried), made)
            if not again:
                return score

    def tried(self, scene: Scene, part: Part) -> Tried:
        """One try at a part. Every try is an opportunity to learn its skills."""
        rng, student = self.rng, self.student
        draw, chance = rng.random(), student.chance(part, self.room.skills)
        right = draw < chance
        student.practised(part)
        hints = "[]"
        if not right and part.hints and not scene.page.graded and draw > 0.55:
            asked = part.hints[: 1 + int(draw * 1_000) % 3]
            if int(draw * 8_117) % 25 == 0:
                asked = (*asked, f"0{asked[0]}")  # of an older revision: no lookup knows it
            hints = '["' + '","'.join(asked) + '"]'
        answers, words = (part.right, part.praise) if right else (part.wrong, part.critique)
        response = answers[int(draw * 7919) % len(answers)]
        if part.free_text and int(draw * 3_571) % 40 == 0:
            response = self.signed(draw)
        partial = not right and part.out_of > 1 and draw > 0.8
        return Tried(
            part=part,
            guid=guid(rng),
            score=part.out_of if right else 0.5 * part.out_of if partial else 0.0,
            hints=hints,
            response=response,
            feedback=words[int(draw * 104_729) % len(words)],
            number=1 + (int(draw * 611) % 20 == 0),
        )

    def signed(self, draw: float) -> str:
        """An answer in words that says who wrote it, as JSON."""
        text = SIGNED[int(draw * 7919) % len(SIGNED)].format(email=self.student.email, user_id=self.student.user_id)
        return json_text({"files": [], "input": text})
