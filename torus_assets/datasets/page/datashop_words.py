"""What the columns and elements of DataShop's two forms mean here. Source: spec/datashop.md 2 to 4, 6 and 7."""

from __future__ import annotations

import re

from torus_assets.datasets.page.model import Entry

TAB_ABOUT = (
    "A row per transaction, in order of section, student, session and time. UTF-8, a heading row, a tab between cells, no quotes; "
    "a backslash is written twice. No value is an empty cell. Every file has the same headings."
)
XML_ABOUT = (
    "Tutor messages, version 4. Each problem opening is a context message; each thing a student did is a tool message, followed by the tutor's "
    "reply, if there was one, with the same transaction id. Each file stands for itself."
)
UNTUTORED = "without a reply"

TAB = {
    entry.name: entry
    for entry in (
        Entry("Row", "integer", "", "Number of the row. DataShop ignores it."),
        Entry("Sample Name", "text", "", "Name of the sample. DataShop ignores it."),
        Entry(
            "Transaction Id",
            "text",
            "",
            "Unique in the data set; made from the attempt's pseudonym. A hint has its own, ending in -h and its place.",
        ),
        Entry("Anon Student Id", "text", "", "Student: a pseudonym, unless the request was permitted to name people."),
        Entry("Session Id", "text", "", "One student's sitting."),
        Entry("Time", "time", "", "When the student did it: yyyy-MM-dd HH:mm:ss.SSS, UTC. A Torus hint has the time of its attempt."),
        Entry("Time Zone", "text", "", "Always UTC."),
        Entry("Student Response Type", "text", "", "ATTEMPT or HINT_REQUEST; embedded tutors may say other words."),
        Entry("Student Response Subtype", "text", "unless an embedded tutor says one", "Finer kind of the response."),
        Entry("Tutor Response Type", "text", UNTUTORED, "RESULT (answers ATTEMPT) or HINT_MSG (answers HINT_REQUEST)."),
        Entry("Tutor Response Subtype", "text", "unless an embedded tutor says one", "Finer kind of the reply."),
        Entry("Problem Name", "text", "", "Part of an activity; with the levels it names the problem."),
        Entry("Problem View", "integer", "", "How many times the student had opened the problem, this time included."),
        Entry("Problem Start Time", "time", "", "When the problem was opened, UTC: the page view before it, else the first transaction."),
        Entry(
            "Step Name", "text", UNTUTORED, "Selection and action, joined by a blank. Hints and attempts at the same step have the same."
        ),
        Entry("Attempt At Step", "integer", "", "Number of the attempt at the step. DataShop counts it itself."),
        Entry("Outcome", "text", UNTUTORED, "CORRECT for all of the points possible, INCORRECT for less, HINT for a hint."),
        Entry("Selection", "text", "", "What was acted on."),
        Entry("Action", "text", "", "What was done, by type of activity."),
        Entry("Input", "text", "of hints", "What the student entered, choices as their text; cut at 255 bytes (the XML has all of it)."),
        Entry("Feedback Text", "text", UNTUTORED, "Feedback to an attempt, or the text of a hint."),
        Entry("Feedback Classification", "text", "unless an embedded tutor says one", "Kind of feedback."),
        Entry("Help Level", "integer", "of attempts, and of unknown hints", "Number of the hint in the order of its authors, from 1."),
        Entry("Total Num Hints", "integer", "of attempts, and of unknown hints", "Hints with text that the part has."),
        Entry("Condition Name", "text", "unless an embedded tutor says one", "Condition of an experiment."),
        Entry("Condition Type", "text", "unless an embedded tutor says one", "Its type."),
        Entry("School", "text", "", "School."),
        Entry("Class", "text", "", "Course section."),
    )
}

FIELDS = {
    "section_id": ("integer", "Course section in Torus."),
    "page_id": ("integer", "Resource id of the page."),
    "activity_id": ("integer", "Resource id of the activity."),
    "part_id": ("text", "Part (input) within the activity."),
    "activity_type": ("text", "Type of the activity, as Torus registers it."),
    "item": ("text", "Text of the item, where an activity asks several (Likert)."),
    "score": ("number", "Points."),
    "out_of": ("number", "Points possible; may be 0."),
    "part_attempt_guid": ("text", "Attempt at the part, as a pseudonym."),
    "activity_attempt_guid": ("text", "Attempt at the activity, as a pseudonym."),
    "page_attempt_guid": ("text", "Attempt at the page, as a pseudonym."),
    "part_attempt_number": ("integer", "Number of the attempt at the part within the activity attempt, from 1."),
    "activity_attempt_number": ("integer", "Number of the attempt at the activity, from 1."),
    "page_attempt_number": ("integer", "Number of the attempt at the page, from 1."),
    "activity_revision_id": ("integer", "Revision of the activity that the student saw."),
    "project_id": ("integer", "Authoring project."),
    "publication_id": ("integer", "Publication of the project."),
    "files": ("integer", "Files that came with the answer; they are not in the data set."),
    "feedback": ("text", "Feedback to an attempt without score, which has no reply to hold it."),
    "time_is_of": ("text", "“the attempt”, at hints: Torus does not log when a hint was asked for."),
}

XML_ENTRIES = (
    Entry("context_message", "element", "", "A student opens a problem; its id is unique, and its messages name it. Attribute name: START_PROBLEM."),
    Entry("tool_message", "element", "", "What the student did: an attempt or a request for a hint."),
    Entry("tutor_message", "element", UNTUTORED, "The reply. Actions without one are DataShop's untutored actions."),
    Entry("meta / user_id", "text", "", "Student: a pseudonym (anonFlag true), unless the request was permitted to name people."),
    Entry("meta / session_id", "text", "", "One student's sitting."),
    Entry("meta / time, time_zone", "time", "", "yyyy-MM-dd HH:mm:ss.SSS, UTC. Of a context: when the problem was opened."),
    Entry("class / name", "text", "", "Course section."),
    Entry("dataset / name", "text", "", "Data set in DataShop; the same in all files."),
    Entry("level [type]", "text", "", "Where the problem is in the course, outermost first: units, modules, sections, page."),
    Entry("problem [tutorFlag]", "text", "", "Part of an activity; test on graded pages, else tutor."),
    Entry("condition", "text", "unless an embedded tutor says one", "Condition of an experiment, and its type."),
    Entry("semantic_event [transaction_id]", "text", "", "Joins an action to its reply. name: ATTEMPT and RESULT, or HINT_REQUEST and HINT_MSG."),
    Entry("event_descriptor / selection, action", "text", "", "What was acted on and what was done: together the step's name."),
    Entry("event_descriptor / input", "text", "of hints", "What the student entered, choices as their text."),
    Entry("action_evaluation", "text", "", "CORRECT for all of the points possible, INCORRECT for less, HINT for a hint."),
    Entry("action_evaluation [current_hint_number]", "integer", "of attempts, and of unknown hints", "Number of the hint, of total_hints_available."),
    Entry("tutor_advice", "text", "without feedback", "Feedback to an attempt, or the text of a hint."),
    Entry("skill / name, category, model_name", "text", "without skills", "Knowledge component; no model name means the model Default."),
    *(Entry(f"custom_field {name}", type_, "where not known", meaning) for name, (type_, meaning) in FIELDS.items()),
)  # fmt: skip


def tab_entry(heading: str) -> Entry:
    """The meaning of a column of the tab-delimited form. Unknown ones are said to be so."""
    if heading in TAB:
        return TAB[heading]
    found = re.fullmatch(r"(Level|KC|KC Category|CF) \((.*)\)", heading)
    if found is None:
        return Entry(heading, "text", "", "Not described.")
    what, name = found.groups()
    if what == "Level":
        return Entry(heading, "text", "where the course has no such level", f"{name} that the problem is in.")
    if what == "KC":
        return Entry(
            heading, "text", "without skills", f"Knowledge component of the model {name}; a column for each one that a step can have."
        )
    if what == "KC Category":
        return Entry(heading, "text", "without one", "Category of the knowledge component in the column before.")
    type_, meaning = FIELDS.get(name, ("text", "Custom field of an embedded tutor."))
    return Entry(heading, type_, "where not known", meaning)
