"""The lookup document that Torus writes beside a data set request (spec/datasets.md 8.1), and requests to go with it."""

from __future__ import annotations

from collections.abc import Sequence

from torus_assets.sample.course import Activity, Course

JOB = "sample-csv"


def lookup(courses: Sequence[Course]) -> dict[str, object]:
    """Titles, hierarchy and activities of the courses; no users, since nothing here is identified."""
    return {
        "dataset_name": "sample-course-5a3c19e07b",
        "skill_titles": {str(key): title for course in courses for key, title in course.skills.items()},
        "hierarchy": {key: node for course in courses for key, node in _hierarchy(course).items()},
        "activities": {
            str(activity.activity_id): _activity(activity) for course in courses for page in course.pages for activity in page.activities
        },
    }


def requests(section_ids: Sequence[int]) -> dict[str, dict[str, object]]:
    """Request documents by name, for all sections or the first two."""
    return {
        "sample-attempts": _request("sample-attempts", "attempt_evaluated", section_ids),
        "sample-page-views": _request("sample-page-views", "page_viewed", section_ids[:2]),
        "sample-video": _request("sample-video", "video", section_ids[:2]),
    }


def _request(job_id: str, action: str, section_ids: Sequence[int]) -> dict[str, object]:
    return {"job_id": job_id, "action": action, "format": "csv", "section_ids": list(section_ids)}


def _hierarchy(course: Course) -> dict[str, dict[str, object]]:
    containers: dict[str, dict[str, object]] = {
        str(key): {"title": title, "graded": False, "children": children} for key, (title, children) in course.containers.items()
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
