"""Made-up courses: a hierarchy of containers and pages, activities with choices, parts, hints and skills.

What the statements repeat (ids, responses, feedback) is kept as ready JSON text: building it per
statement would take most of the time of a million statements.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

FIRST_ID = 60_000  # of resources; each course has its own thousands
IDS = 5_000
PAGES_PER_MODULE = 4
MODULES_PER_UNIT = 3
UNITS = 3
SKILLS_PER_MODULE = 3

SUBJECTS = (
    ("Chemistry for Everyone", ("Matter", "Reactions", "Équilibre"), ("balance equations", "convert units", "name ions")),
    ("Statistics by Doing", ("Data", "Chance", "Inference"), ("read a plot", "compute a mean", "state a hypothesis")),
    ("Cells & Systems", ("The cell", "Genes", "Évolution"), ("label organelles", "trace a pathway", "read a pedigree")),
)
TOPICS = ("first steps", "worked examples", "practice", "in the lab", "common errors", "review", "a closer look", "quiz")
FREE_TEXT = (
    "the mass stays the same",
    "because the ions swap partners",
    "2 H₂ + O₂ → 2 H₂O",
    'I think it is 42, but "roughly"',
    "erste Zeile\u2028zweite Zeile",
    "naïve guess 🙂",
    "𝛥H < 0",
    "a, b; c\nd",
    "C:\\temp\\answer.txt",
    "bell \u0007 rings",
    "não sei",
    "分からない",
)
PRAISE = "Correct! You named the quantity, kept its unit, and checked that both sides of the relation agree with each other."
CRITIQUE = (
    "Not quite: check the units on both sides first; then compare your answer with the worked example at the top of the page.",
    "Almost. Look again at the sign of the second term — which of the two quantities grows when the other one falls?",
    "Incorrect. This choice describes the reverse process; read the definition above once more and try to restate it.",
)


def json_text(value: object) -> str:
    """JSON as Torus writes it: no blanks, sorted keys, raw non-ASCII characters."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


@dataclass(frozen=True)
class Part:
    """One input of an activity, with everything a learner can answer, get told and ask for."""

    part_id: str
    out_of: float
    skills: tuple[int, ...]
    objectives: str  # JSON
    right: tuple[str, ...]  # JSON of result.response
    wrong: tuple[str, ...]
    praise: tuple[str, ...]  # JSON of the feedback extension
    critique: tuple[str, ...]
    hints: tuple[str, ...]  # ids, in authored order
    free_text: bool = False  # answered in words


@dataclass(frozen=True)
class Activity:
    activity_id: int
    revision_id: int
    slug: str
    parts: tuple[Part, ...]
    choices: tuple[str, ...]
    items: tuple[str, ...]

    @property
    def out_of(self) -> float:
        return sum(part.out_of for part in self.parts)


@dataclass(frozen=True)
class Page:
    page_id: int
    title: str
    graded: bool
    advanced: bool
    project: int  # index into Course.projects: a section can hold pages of several projects
    activities: tuple[Activity, ...]
    video: str  # URL, or "" for a page without one
    video_title: str
    element: str  # content element id of the video


@dataclass
class Course:
    title: str
    projects: tuple[tuple[int, int], ...]  # (project id, publication id)
    skills: dict[int, str] = field(default_factory=dict)
    pages: list[Page] = field(default_factory=list)
    containers: dict[int, tuple[str, list[int]]] = field(default_factory=dict)  # id: title, children; the root first


def course(seed: int, number: int) -> Course:
    """The course with this number: 36 pages, about 126 activities, 27 skills."""
    rng = Random(f"course {seed} {number}")
    title, units, skills = SUBJECTS[number % len(SUBJECTS)]
    base = FIRST_ID + IDS * number
    made = Course(title, ((118 + number, 904 + number), (131 + number, 951 + number)))
    ids = iter(range(base + 1, base + IDS))
    made.containers[base] = (title, [])
    for unit in units[:UNITS]:
        unit_id = next(ids)
        made.containers[base][1].append(unit_id)
        made.containers[unit_id] = (unit, [])
        for module in range(MODULES_PER_UNIT):
            module_id = next(ids)
            made.containers[unit_id][1].append(module_id)
            made.containers[module_id] = (f"{unit}, part {module + 1}", [])
            taught = []
            for skill in skills[:SKILLS_PER_MODULE]:
                taught.append(next(ids))
                made.skills[taught[-1]] = f"{skill.capitalize()} ({unit} {module + 1})"
            borrowed = unit == units[-1] and module == MODULES_PER_UNIT - 1
            for number_in_module in range(PAGES_PER_MODULE):
                page = _page(rng, ids, f"{unit} {module + 1}", number_in_module, taught, 1 if borrowed else 0)
                made.containers[module_id][1].append(page.page_id)
                made.pages.append(page)
    return made


def _page(rng: Random, ids: Iterator[int], topic: str, number: int, skills: list[int], project: int) -> Page:
    page_id = next(ids)
    graded = number == PAGES_PER_MODULE - 1
    has_video = number != PAGES_PER_MODULE - 1
    name = f"{topic}: {rng.choice(TOPICS)}"
    return Page(
        page_id=page_id,
        title=name,
        graded=graded,
        advanced=rng.random() < 0.15,
        project=project,
        activities=tuple(_activity(rng, ids, skills) for _ in range(rng.choice((3, 3, 4, 4)))),
        video=f"https://cdn.example.edu/v/{page_id}.mp4" if has_video else "",
        video_title=name,
        element=str(rng.randrange(10**9, 4 * 10**9)),
    )


def _activity(rng: Random, ids: Iterator[int], skills: list[int]) -> Activity:
    slug = rng.choices(
        ("oli_multiple_choice", "oli_multi_input", "oli_check_all_that_apply", "oli_short_answer", "oli_likert", "oli_adaptive"),
        (35, 40, 8, 9, 3, 5),
    )[0]
    count = {"oli_multi_input": rng.choice((2, 3, 4, 5)), "oli_likert": 2}.get(slug, 1)
    choices = tuple(str(rng.randrange(10**9, 4 * 10**9)) for _ in range(4))
    items = tuple(str(rng.randrange(10**9)) for _ in range(count)) if slug == "oli_likert" else ()
    activity_id = next(ids)
    return Activity(
        activity_id=activity_id,
        revision_id=150_000 + activity_id,
        slug=slug,
        parts=tuple(_part(rng, slug, index, choices, skills, items) for index in range(count)),
        choices=choices if slug not in ("oli_short_answer", "oli_adaptive") else (),
        items=items,
    )


def _part(rng: Random, slug: str, index: int, choices: tuple[str, ...], skills: list[int], items: tuple[str, ...]) -> Part:
    own = (rng.choice(skills),) if rng.random() < 0.85 else tuple(rng.sample(skills, 2))
    right, wrong = _responses(rng, slug, index, choices)
    return Part(
        part_id=items[index] if items else str(index + 1) if slug != "oli_adaptive" else "__default",
        out_of=rng.choice((1.0, 1.0, 1.0, 2.0)) if slug != "oli_likert" else 0.0,
        skills=own,
        objectives=json_text(list(own)),
        right=right,
        wrong=wrong,
        praise=tuple(_feedback(rng, PRAISE) for _ in range(2)),
        critique=(*(_feedback(rng, text) for text in CRITIQUE), "null", '"Try again."'),
        hints=tuple(str(rng.randrange(10**6, 10**7)) for _ in range(3)) if slug != "oli_likert" else (),
        free_text=_is_free_text(slug, index),
    )


def _responses(rng: Random, slug: str, index: int, choices: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Everything that can be answered rightly and wrongly, as JSON; all legal shapes occur."""
    if slug == "oli_adaptive":
        shapes = ({"stage.score": 1, "variables": {"x": [1, 2.5, None]}}, [{"path": "q:1", "value": True}], "done", 7)
        return tuple(map(json_text, shapes[:2])), tuple(map(json_text, shapes))
    if slug == "oli_check_all_that_apply":
        return (_input(" ".join(choices[:2])),), (_input(choices[0]), _input(" ".join(choices[1:])), "null")
    if _is_free_text(slug, index):
        texts = rng.sample(FREE_TEXT, 6)
        return tuple(map(_input, texts[:3])), (*map(_input, texts), _input(rng.randrange(100)), _input(None))
    return (_input(choices[index % 4]),), tuple(_input(choice) for i, choice in enumerate(choices) if i != index % 4)


def _is_free_text(slug: str, index: int) -> bool:
    return slug == "oli_short_answer" or (slug == "oli_multi_input" and index % 2 == 1)


def _input(value: object) -> str:
    return json_text({"files": [], "input": value})


def _feedback(rng: Random, text: str) -> str:
    words = [{"text": text[:40]}, {"em": True, "text": text[40:]}]
    node = {"children": words, "id": str(rng.randrange(10**5, 10**6)), "type": "p"}
    return json_text({"content": [node], "id": str(rng.randrange(10**6, 10**7))})
