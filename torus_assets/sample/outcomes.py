"""What the platform has to make of a line: one byte per line, so that a million cross processes cheaply."""

from __future__ import annotations

from typing import NamedTuple

KINDS = (
    "part_attempt",
    "activity_attempt",
    "page_attempt",
    "page_viewed",
    "video",
    "tutor_message",
    "experiment_assignment",
    "other",
)
REASONS = ("not_utf8", "not_json", "truncated", "not_object", "missing_field", "wrong_type", "lone_surrogate", "too_deep")
COERCED = (
    "page_attempt_number",
    "activity_attempt_number",
    "part_attempt_number",
    "project_id",
    "publication_id",
    "enrollment_id",
    "activity_revision_id",
    "scaled_score",
    "out_of",
    "session_id",
    "video_length",
    "video_progress",
    "video_time",
)


class Outcome(NamedTuple):
    """A row of a kind (with the column that became null, if any), a refusal, or a blank line."""

    kind: str = ""
    reason: str = ""
    coerced: str = ""


OUTCOMES = (
    Outcome(),
    *(Outcome(kind=kind) for kind in KINDS),
    *(Outcome(reason=reason) for reason in REASONS),
    *(Outcome(kind=kind, coerced=column) for kind in KINDS for column in COERCED),
)
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}  # fits a byte: 121 of 256
BLANK = CODES[Outcome()]
ROW = {kind: CODES[Outcome(kind=kind)] for kind in KINDS}
REFUSED = {reason: CODES[Outcome(reason=reason)] for reason in REASONS}


class Line(NamedTuple):
    """One physical line of a bundle."""

    body: bytes  # without its line end
    code: int  # index into OUTCOMES
    crlf: bool = False
