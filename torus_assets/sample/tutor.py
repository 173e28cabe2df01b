"""What an embedded tutor (CTAT) logs while a student solves a problem: DataShop's own XML, as Torus relays it (spec/xapi.md 4.6).

Faithful in what makes it hard to read: ids that every student has, a user, a session and a local time of the tutor's own, replies in
one statement with what they answer or in the next one, a second reply, an action without reply, and XML that is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from html import escape
from random import Random
from typing import NamedTuple

STATEMENTS = 5.4  # per problem, on average
DATASET = "CTAT Stoichiometry & Units 2014"  # not the one that an export makes
ZONE, ZONE_HOURS = "US/Eastern", -5
STEPS = (("coef1", "UpdateTextField"), ("coef2", "UpdateTextField"), ("unitMenu", "UpdateComboBox"), ("done", "ButtonPressed"))
HINTS = ("Count the atoms on both sides.", "Left of the arrow are 4 atoms of H; is 4 < 2?", "Enter 2 & go on — 2 H₂ + O₂ → 2 H₂O.")
PRAISE, CRITIQUE = "Well done: both sides agree.", "Not yet: 3 > 2 on the left. Look at the oxygen again 🙂"
BROKEN = 0.04  # share of statements that are not XML


class Said(NamedTuple):
    """One statement: when it was received, and the XML."""

    second: int
    micros: int
    xml: str


@dataclass
class Tutor:
    """One student at one problem. Contexts and transactions are numbered as for everybody else."""

    problem: str
    view: int
    levels: tuple[tuple[str, str], ...]  # (type, name), outermost first
    skills: tuple[str, ...]
    email: str
    session: str
    day: str
    rng: Random
    transactions: int = 0

    @property
    def context(self) -> str:
        return f"{self.problem}-{self.view}"

    def solved(self, tick: Callable[[], int]) -> Iterator[Said]:
        """The problem from its start; `tick` gives the second of the day of each statement."""
        yield self._said(tick(), self._started)
        for selection, action in self.rng.sample(STEPS, self.rng.choice((1, 1, 2))):
            for number in range(1, 1 + self.rng.choice((0, 0, 0, 1, 2))):
                yield from self._answered(tick, Step(selection, action, "", "HINT", number))
            if self.rng.random() < 0.5:
                yield from self._answered(tick, Step(selection, action, str(self.rng.randrange(3, 9)), "INCORRECT"))
            yield from self._answered(tick, Step(selection, action, "2", "CORRECT"))
        if self.rng.random() < 0.2:
            self.transactions += 1
            yield self._said(tick(), lambda second: self._tool(Step("animation", "PlayClip", "clip 1"), second))

    def _answered(self, tick: Callable[[], int], step: Step) -> Iterator[Said]:
        """The student's message and the reply, together or one after the other; now and then a second reply."""
        self.transactions += 1
        second = tick()
        if self.rng.random() < 0.6:
            yield self._said(second, lambda second: self._tool(step, second) + self._reply(step, second))
        else:
            yield self._said(second, lambda second: self._tool(step, second))
            yield self._said(tick(), lambda second: self._reply(step, second))
        if self.rng.random() < 0.06:
            yield self._said(tick(), lambda second: self._reply(step, second, classification="same as before"))

    def _said(self, second: int, made: Callable[[int], str]) -> Said:
        xml = f"<message>{made(second)}</message>"
        if self.rng.random() < BROKEN:
            xml = self.rng.choice((xml.removesuffix("</message>"), xml[: len(xml) * 3 // 4], xml.replace("<meta>", "<meta a=1 & 2>")))
        return Said(second, self.rng.randrange(10**6), xml)

    def _started(self, second: int) -> str:
        opened = "".join(f'<level type="{type_}"><name>{escape(name, quote=False)}</name>' for type_, name in self.levels)
        condition = "<condition><name>worked examples</name><type>experimental</type></condition>" if self.rng.random() < 0.3 else ""
        return (
            f'<context_message context_message_id="{self.context}" name="START_PROBLEM">{self._meta(second)}'
            f"<class><name>Period 2</name><school>Example High</school></class>"
            f"<dataset><name>{escape(DATASET)}</name>{opened}"
            f'<problem tutorFlag="tutor"><name>{self.problem}</name></problem>{"</level>" * len(self.levels)}</dataset>'
            f"{condition}<custom_field><name>tutor_version</name><value>4.1.0</value></custom_field></context_message>"
        )

    def _tool(self, step: Step, second: int) -> str:
        name = "HINT_REQUEST" if step.hint else "ATTEMPT"
        return (
            f'<tool_message context_message_id="{self.context}">{self._meta(second)}<problem_name>{self.problem}</problem_name>'
            f"{self._event(name)}{step.descriptor}</tool_message>"
        )

    def _reply(self, step: Step, second: int, classification: str = "") -> str:
        name, numbers = "RESULT", f' classification="{classification}"' if classification else ""
        advice = PRAISE if step.outcome == "CORRECT" else CRITIQUE
        if step.hint:
            name, advice = "HINT_MSG", HINTS[step.hint - 1]
            numbers += f' current_hint_number="{step.hint}" total_hints_available="{len(HINTS)}"'
        return (
            f'<tutor_message context_message_id="{self.context}">{self._meta(second)}<problem_name>{self.problem}</problem_name>'
            f"{self._event(name)}{step.descriptor}<action_evaluation{numbers}>{step.outcome}</action_evaluation>"
            f"<tutor_advice>{escape(advice, quote=False)}</tutor_advice>{self._skills()}</tutor_message>"
        )

    def _skills(self) -> str:
        """The first in the tutor's own model, the others in none."""
        return "".join(
            f'<skill probability="0.{self.rng.randrange(10, 100)}"><name>{escape(skill, quote=False)}</name><category>stoichiometry</category>'
            f"{'<model_name>CTAT balance</model_name>' if index == 0 else ''}</skill>"
            for index, skill in enumerate(self.skills)
        )

    def _event(self, name: str) -> str:
        return f'<semantic_event transaction_id="T{self.transactions}" name="{name}"/>'

    def _meta(self, second: int) -> str:
        local = datetime.fromisoformat(self.day) + timedelta(hours=ZONE_HOURS, seconds=second)
        fraction = self.rng.choice(("", ".0", f".{self.rng.randrange(1_000):03d}"))
        return (
            f"<meta><user_id>{self.email}</user_id><session_id>{self.session}</session_id>"
            f"<time>{local:%Y-%m-%d %H:%M:%S}{fraction}</time><time_zone>{ZONE}</time_zone></meta>"
        )


class Step(NamedTuple):
    """What a student does at one place of the problem, and what the tutor makes of it."""

    selection: str
    action: str
    input: str
    outcome: str = ""
    hint: int = 0  # number of the hint asked for; 0 for an attempt

    @property
    def descriptor(self) -> str:
        entered = f"<input>{self.input}</input>" if self.input else ""
        return f"<event_descriptor><selection>{self.selection}</selection><action>{self.action}</action>{entered}</event_descriptor>"
