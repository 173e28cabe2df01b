"""What a reader has to know before using the data: in words, the grave ones first."""

from __future__ import annotations

from typing import NamedTuple

from torus_assets.datasets.page.markup import Content, plural, value
from torus_assets.datasets.page.model import ATTEMPTS, CSV, DATASHOP, Page

# Notes of the exporters: what happened to how many, and what it means. Counted things are `one|many`.
NOTES = {
    "control_characters_replaced": ("character|characters", "that XML cannot hold, now U+FFFD"),
    "astral_characters_replaced": ("character|characters", "that DataShop cannot store (emoji and the like), now a plain form or U+FFFD"),
    "texts_cut": ("text|texts", "cut to the length that DataShop takes"),
    "unscored_attempts": ("attempt|attempts", "without a score, or with nothing to score: untutored actions, neither correct nor incorrect"),
    "attempts_of_several_students": ("attempt|attempts", "whose GUID several students have: told apart by ids of their own"),
    "sessions_without_id": ("session|sessions", "without an id in the events: told apart by pauses"),
    "hints_not_in_lookup": ("hint|hints", "that the course's lookup does not know: without text and number"),
    "skills_not_in_lookup": ("skill|skills", "without a title in the course's lookup: named by their id"),
    "contexts_of_pages_not_in_lookup": ("problem opening|problem openings", "on pages that the course's lookup does not know: named by the page's id"),
    "contexts_of_activities_not_in_lookup": ("problem opening|problem openings", "of activities that the course's lookup does not know"),
    "tutor_contexts_made": ("problem opening|problem openings", "that an embedded tutor did not announce, and were added"),
    "tutor_hint_numbers_left_out": ("hint number|hint numbers", "of embedded tutors that were no usable number, and were left out"),
    "tutor_replies_merged": ("reply|replies", "of embedded tutors that came on top of another one, and were merged into it"),
    "tutor_replies_of_another_kind": ("reply|replies", "of embedded tutors that did not fit what was asked"),
    "tutor_replies_without_tool_message": ("reply|replies", "of embedded tutors to nothing that the student did"),
    "tutor_tool_messages_repeated": ("message|messages", "of embedded tutors under the id of an earlier one, now told apart"),
    "tutor_xml_unreadable": ("tutor message|tutor messages", "that cannot be read as XML, and are left out"),
    "tutor_xml_without_message": ("tutor message|tutor messages", "with nothing in them, and left out"),
}  # fmt: skip


class Notice(NamedTuple):
    grave: bool
    title: str
    body: Content
    items: tuple[Content, ...] = ()  # listed below


def notices(page: Page) -> list[Notice]:
    """All that apply, the grave ones first."""
    found = [
        _identified(page),
        _held(page),
        _empty(page),
        _pseudonyms(page),
        _old_cells(page),
        _late_hints(page),
        _notes(page),
        _lookup(page),
    ]
    return sorted((notice for notice in found if notice), key=lambda notice: not notice.grave)


def _identified(page: Page) -> Notice | None:
    if page.anonymize:
        return None
    permitted = [" Permitted by: ", value(page.permitted_by), "."] if page.permitted_by else ""
    body = [
        "Learners appear under their e-mail addresses or user ids. Keep it where such data may be kept, and do not pass it on.",
        permitted,
    ]
    return Notice(True, "This data set names people", body)


def _held(page: Page) -> Notice | None:
    if not page.held_days:
        return None
    shown = ", ".join(page.held_days[:14]) + (" …" if len(page.held_days) > 14 else "")
    body = [
        f"More lines than usual could not be read on {plural(len(page.held_days), 'day')}, which the request includes all the same: ",
        value(shown),
        ".",
    ]
    return Notice(True, "Some days are incomplete", body)


def _empty(page: Page) -> Notice | None:
    if page.rows_exported:
        return None
    return Notice(True, "This data set is empty", "No row matched the request. Below, the rows left out and why.")


def _pseudonyms(page: Page) -> Notice | None:
    if not page.anonymize:
        return None
    body = (
        "Learners, attempts and sessions have pseudonyms that only this data set has (and others of the same scope). Ids and e-mail addresses of "
        "users are replaced in texts, too. What learners wrote can still tell who they are: treat it as confidential."
    )
    return Notice(False, "De-identified", body)


def _old_cells(page: Page) -> Notice | None:
    if page.dialect == "rfc4180" or CSV not in page.formats:
        return None
    return Notice(
        False, "Cells as the former exports had them", "Lists and JSON stand within quotation marks of their own; see “How to load it”."
    )


def _late_hints(page: Page) -> Notice | None:
    if page.action != DATASHOP or not any(section.hints for section in page.sections):
        return None
    body = (
        "Torus does not log when a hint was asked for. Hints stand right before their attempt and at its time. Embedded tutors do log it."
    )
    return Notice(False, "Times of hints", body)


def _notes(page: Page) -> Notice | None:
    lines = tuple(_note(name, n) for name, n in sorted(page.notes.items()) if n)
    return Notice(False, "Changed or not found", "", lines) if lines else None


def _note(name: str, n: int) -> Content:
    if name not in NOTES:
        return [f"{n:,} × ", value(name.replace("_", " "))]
    counted, meaning = NOTES[name]
    return f"{plural(n, *counted.split('|'))} {meaning}"


def _lookup(page: Page) -> Notice | None:
    if not page.lookup_problems:
        return None
    used = {DATASHOP: " Titles, choices and hints come from it.", ATTEMPTS: " Learning curves take skill titles from it."}.get(
        page.action, ""
    )
    problems = tuple(value(problem) for problem in page.lookup_problems)
    return Notice(False, "The course's lookup", f"What was odd in it was read with defaults.{used}", problems)
