"""What the values of a data set mean: problems, answers, feedback, hints, skills, people and sessions, each different one looked at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import polars as pl

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.answers import Answers
from torus_assets.datasets.datashop.frame import Fields, Levels, Place, Session, Shelf, Shelves, Step
from torus_assets.datasets.datashop.ids import digest, identifier
from torus_assets.datasets.datashop.model import Skill
from torus_assets.datasets.datashop.text import Clean, clean, level_name
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.pseudonyms import Names
from torus_assets.datasets.redaction import Redaction

HINT = {"hint_id": pl.String, "help_level": pl.Int64, "total_hints": pl.Int64, "advice": pl.String, "changed": pl.Int64}
_PLAIN = r"^[!-~]{1,72}$"  # a guid, or `event-` and a hash: nothing to change in it, and within the limits of ids and fields


class Problem(NamedTuple):
    """A part of an activity, as the lookup knows it."""

    activity: Any  # lookup.ActivityInfo, or None
    part: Any  # lookup.PartInfo, or None


@dataclass
class Mapper:
    """The values of one piece; counts what was replaced, cut, not found or left out."""

    lookup: Lookup
    names: Names
    redaction: Redaction
    dataset: str
    shared_sessions: frozenset[str] = frozenset()  # session ids that several students have: then each gets one of her own
    shared_attempts: frozenset[str] = frozenset()  # the same for guids of part attempts, which become ids of transactions
    notes: Counter[str] = field(default_factory=Counter)  # what was replaced, cut, not found
    unreadable: Counter[tuple[str, int]] = field(default_factory=Counter)  # statements that gave nothing, by reason and section
    shelves: Shelves = field(default_factory=Shelves)

    def __post_init__(self) -> None:
        self.answers = Answers(self.redaction)
        self.problems: list[Problem] = []
        self.asked: Shelf[tuple[str, Any, int]] = Shelf()  # id, lookup.Hint or None, number of the part's hints
        self.place_notes: dict[int, Counter[str]] = {}  # what each context of a place adds to the notes
        self.changes: list[dict[str, int]] = []  # what was changed in a text, by number
        name = clean(self.dataset, rules.DATASET)
        self.dataset = name.text or "data set"
        self.notes.update(name.changed or {})

    # Counting ----------------------------------------------------------------------------------------------------------

    def count(self, what: str, n: int) -> None:
        if n:
            self.notes[what] += n

    def count_place(self, place: int, contexts: int) -> None:
        """So many contexts of this place are made."""
        for what, n in self.place_notes.get(place, {}).items():
            self.notes[what] += n * contexts

    def count_changed(self, changed: pl.Series) -> None:
        """Texts that were changed, by the numbers that `_changed` gave."""
        for number, n in changed.drop_nulls().value_counts().iter_rows():
            for what, times in self.changes[number].items():
                self.notes[what] += times * n

    def noted(self, text: Clean) -> str:
        """The text, its changes counted."""
        self.notes.update(text.changed or {})
        return text.text

    def _changed(self, text: Clean) -> int | None:
        if not text.changed:
            return None
        self.changes.append(dict(text.changed))
        return len(self.changes) - 1

    # People ------------------------------------------------------------------------------------------------------------

    def session(self, home_page: str | None, user_id: str, session_id: str | None, sitting: str | None) -> int:
        """Number of a session; its student and id as the data set shows them."""
        student = self.names.learner(home_page, user_id)
        session = self.names.session(student, session_id, sitting or "")
        if not self.names.anonymous:  # real names and ids may be anything
            if len(student.encode()) > rules.USER:
                student = user_id
            if session in self.shared_sessions:
                session = f"{session[:100]}-{digest(student, session)[:16]}"
            student, session = self.noted(clean(student, rules.USER)), self.noted(clean(session, rules.SESSION))
        if session_id is None:
            self.notes["sessions_without_id"] += 1
        return self.shelves.sessions.number(Session(student, session))

    def guids(self, guids: pl.Series) -> pl.Series:
        """Guids as the data set shows them; none is null."""
        if self.names.anonymous:
            return pl.Series(guids.name, list(map(self.names.guid, guids.to_list())), pl.String)
        if _are_plain(guids):
            return guids
        return pl.Series(guids.name, [self.noted(clean(self.names.guid(one), rules.FIELD_VALUE)) for one in guids], pl.String)

    def guid(self, guid: str) -> str:
        """One guid as the data set shows it."""
        shown = self.names.guid(guid)
        return shown if self.names.anonymous else self.noted(clean(shown, rules.FIELD_VALUE))

    def message_ids(self, shown: pl.Series) -> pl.Series:
        """Ids of messages from guids as they are shown."""
        if self.names.anonymous or _are_plain(shown):
            return shown
        return pl.Series(map(identifier, shown), dtype=pl.String)

    # Content -----------------------------------------------------------------------------------------------------------

    def problem(self, section_id: int, page_id: int | None, activity_id: int | None, part_id: str | None) -> tuple[int, int, int]:
        """Numbers of place, step and problem."""
        notes: Counter[str] = Counter()
        levels, graded = self.levels(page_id, notes)
        activity = self.lookup.activity(activity_id)
        if activity is None:
            notes["contexts_of_activities_not_in_lookup"] += 1
        name = _problem_name(activity_id, part_id)
        notes.update(name.changed or {})
        slug = activity.slug if activity is not None else None
        item = activity.item_text(part_id) if activity is not None and part_id is not None else None
        shown = {
            "section_id": section_id, "page_id": page_id, "activity_id": activity_id, "part_id": part_id, "activity_type": slug, "item": item,
        }  # fmt: skip
        fields: list[tuple[str, str]] = []
        for field_name, value in shown.items():
            text = clean(str(value) if value is not None else "", rules.FIELD_VALUE)
            notes.update(text.changed or {})
            if text.text:
                fields.append((field_name, text.text))
        place = self.shelves.places.number(
            Place(rules.START_PROBLEM, section_id, self.dataset, levels, name.text, "test" if graded else "tutor", tuple(fields))
        )
        self.place_notes[place] = notes
        step = self.shelves.steps.number(Step(name.text, clean(_action(slug), rules.ACTION).text))
        part = activity.part(part_id) if activity is not None and part_id is not None else None
        self.problems.append(Problem(activity, part))
        return place, step, len(self.problems) - 1

    def levels(self, page_id: int | None, notes: Counter[str]) -> tuple[Levels, bool]:
        """Levels of a page, and whether it is graded."""
        place = self.lookup.place(page_id)
        if not place.known:
            notes["contexts_of_pages_not_in_lookup"] += 1
        found: list[tuple[str, str]] = []
        for type_, title in place.levels:
            name = level_name(title)
            notes.update(name.changed or {})
            found.append((type_, name.text or type_))
        return tuple(found), bool(place.graded)

    def answer(self, problem: int, response_json: str | None) -> tuple[str | None, int | None, int | None]:
        """Input, number of files, and number of the changes."""
        known = self.problems[problem]
        answer = self.answers.response(known.activity, response_json)
        return answer.input.text or None, answer.files or None, self._changed(answer.input)

    def feedback(self, feedback_json: str | None) -> tuple[str | None, int | None]:
        text = self.answers.feedback(feedback_json)
        return text.text or None, self._changed(text)

    def hints(self, problem: int, hint_ids: str) -> tuple[list[int], int]:
        """Numbers of the hints asked for, in order (see `asked_hints`), and how many the lookup does not know."""
        part = self.problems[problem].part
        known, total = (part.hints, part.total_hints) if part is not None else ({}, 0)
        ids = list(map(str, msgspec.json.decode(hint_ids)))
        found = [self.asked.number((one, known.get(one), total)) for one in ids]
        return found, sum(one not in known for one in ids)

    def asked_hints(self) -> pl.DataFrame:
        """The hints that were asked for, by number."""
        return pl.DataFrame([self._hint(*one) for one in self.asked.values], schema=HINT, orient="row")

    def _hint(self, hint_id: str, hint: Any, total: int) -> tuple[str | None, int | None, int | None, str | None, int | None]:
        shown = clean(hint_id, rules.HINT_ID).text or None
        if hint is None:
            return shown, None, None, None, None
        advice = self.answers.advice(hint.text)
        return shown, hint.number, total, advice.text or None, self._changed(advice)

    def skill_numbers(self, attached: str | None) -> tuple[int | None, int]:
        """Number of the skills, and how many of them the lookup does not know."""
        ids = list(dict.fromkeys(msgspec.json.decode(attached))) if attached else []
        if not ids:
            return None, 0
        titles = [self.lookup.skills.get(one) for one in ids]
        made = tuple(Skill(skill_name(title, one)) for one, title in zip(ids, titles, strict=True))
        return self.shelves.skills.number(made), titles.count(None)

    def text(self, value: str, limit: int) -> str:
        """A text of an embedded tutor: users replaced, clean, changes counted."""
        return self.noted(clean(self.redaction.text(value), limit)) if value else ""

    def fields(self, values: dict[str, Any]) -> Fields:
        return tuple((name, str(value)) for name, value in values.items() if value is not None and value != "")


def _are_plain(guids: pl.Series) -> bool:
    return bool(guids.str.contains(_PLAIN).all())


def _problem_name(activity_id: int | None, part_id: str | None) -> Clean:
    """A name that had to be changed ends in a digest of the whole: two problems must not become one."""
    whole = f"Activity {activity_id}, Part {part_id}"
    name = clean(whole, rules.PROBLEM)
    if name.text == whole:
        return name
    return name._replace(text=f"{clean(whole, rules.PROBLEM - 9).text}-{digest(whole)[:8]}")


def skill_name(title: str | None, objective: Any) -> str:
    """A KC's name: the objective's title, else its id; unknown objectives do not fold into one."""
    return clean(title or "", rules.SKILL).text or f"Objective {objective}"


def _action(slug: str | None) -> str:
    """`oli_multiple_choice` -> `Multiple choice submission`: the words of the job this replaces, for every type there is."""
    if not slug:
        return "Activity submission"
    return f"{slug.removeprefix('oli_').replace('_', ' ').strip().capitalize() or 'Activity'} submission"
