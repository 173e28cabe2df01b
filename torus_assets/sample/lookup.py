"""The lookup document that Torus writes beside a data set request (spec/datasets.md 8.1), and requests to go with it.

It is not perfect, as real ones are not: `_spoil` lists what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torus_assets.sample.course import FIRST_ID, PAGES_PER_MODULE, SKILLS_PER_MODULE, Activity, Course
from torus_assets.sample.students import Student

JOB = "sample-csv"
NOWHERE = FIRST_ID - 1  # a resource that nothing describes
LONG_TITLE = "Équilibre chimique — quand les réactions s’arrêtent-elles, et pourquoi ? 化学平衡：反応はいつ、なぜ止まるのか？"  # 137 bytes


def lookup(courses: Sequence[Course], students: Iterable[Student]) -> dict[str, Any]:
    """Titles, hierarchy and activities of the courses, and all students with their e-mail addresses."""
    document = {
        "dataset_name": "sample-course-5a3c19e07b",
        "skill_titles": {str(key): title for course in courses for key, title in course.skills.items()},
        "hierarchy": {key: node for course in courses for key, node in _hierarchy(course).items()},
        "activities": {
            str(activity.activity_id): _activity(activity) for course in courses for page in course.pages for activity in page.activities
        },
        "users": {str(student.user_id): {"email": student.email} for student in students},
    }
    _spoil(document, courses[0])
    return document


def requests(section_ids: Sequence[int]) -> dict[str, dict[str, object]]:
    """Request documents by name, for all sections or the first two."""
    return {
        "sample-attempts": _request("sample-attempts", "attempt_evaluated", section_ids),
        "sample-page-views": _request("sample-page-views", "page_viewed", section_ids[:2]),
        "sample-video": _request("sample-video", "video", section_ids[:2]),
        "sample-datashop": _request("sample-datashop", "datashop", section_ids, ("datashop-xml", "datashop-tab")),
    }


def _request(job_id: str, action: str, section_ids: Sequence[int], formats: Sequence[str] = ()) -> dict[str, object]:
    return {"job_id": job_id, "action": action, "format": list(formats) or "csv", "section_ids": list(section_ids)}


def _hierarchy(course: Course) -> dict[str, dict[str, object]]:
    containers: dict[str, dict[str, object]] = {
        str(key): {"title": title, "graded": False, "children": list(children)} for key, (title, children) in course.containers.items()
    }
    pages = {str(page.page_id): {"title": page.title, "graded": page.graded, "children": None} for page in course.pages}
    return containers | pages


def _activity(activity: Activity) -> dict[str, object]:
    return {
        "type": activity.slug,
        "choices": [_text(choice, f"Choice {i + 1} of {activity.activity_id}") for i, choice in enumerate(activity.choices)] or None,
        "items": [_text(item, f"Statement {i + 1}") for i, item in enumerate(activity.items)] or None,
        "parts": [
            {
                "id": part.part_id,
                "hints": [_text(hint, f"Hint {i + 1}: look at step {i + 1}.") for i, hint in enumerate(part.hints)] or None,
            }
            for part in activity.parts
        ],
    }


def _text(key: str, text: str) -> dict[str, object]:
    return {"id": key, "content": [{"type": "p", "children": [{"text": text}]}]}


def _spoil(document: dict[str, Any], course: Course) -> None:
    """Takes things away from the course that students come across on their first pages, and makes others ambiguous."""
    pages, skills = course.pages, list(course.skills)
    hierarchy, activities, titles = document["hierarchy"], document["activities"], document["skill_titles"]
    module = next(key for key, (_, children) in course.containers.items() if pages[0].page_id in children)
    hierarchy[str(module)]["children"].append(NOWHERE)
    hierarchy[str(pages[2].page_id)]["title"] = LONG_TITLE
    del hierarchy[str(pages[PAGES_PER_MODULE].page_id)]  # its container still names it
    del activities[str(pages[1].activities[0].activity_id)]
    titles[str(skills[SKILLS_PER_MODULE])] = titles[str(skills[0])]
    del next(activity["choices"][1] for activity in activities.values() if activity["choices"])["id"]
    hint = next(part["hints"][1] for activity in activities.values() for part in activity["parts"] if part["hints"])
    hint["content"][0]["children"][0]["text"] = ""
