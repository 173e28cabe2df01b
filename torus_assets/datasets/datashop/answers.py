"""What a learner entered and was told, as text: choice ids become the choices' texts, rich content its words.

Source: spec/datashop.md 6, spec/datasets.md 9, D-25 (free text is not looked up as choices) and D-28 (content in its several shapes).
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import msgspec

from torus_assets.datasets.content import content_text
from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.text import Clean, clean
from torus_assets.datasets.redaction import Redaction


class Activity(Protocol):
    """What is used of `lookup.ActivityInfo`."""

    @property
    def choices(self) -> Any: ...


class Answer(NamedTuple):
    """An answer as text, and how many files came with it."""

    input: Clean
    files: int = 0


class Answers:
    """Reads responses and feedback."""

    def __init__(self, redaction: Redaction) -> None:
        self.redaction = redaction

    def response(self, activity: Activity | None, response_json: str | None) -> Answer:
        """The answer in `response_json` (`result.response` as received); empty when there is none."""
        if response_json is None:
            return NOTHING
        response = msgspec.json.decode(response_json)
        files = response.get("files") if isinstance(response, dict) else None
        value = response["input"] if isinstance(response, dict) and "input" in response else response
        text = _chosen(activity, value) if isinstance(value, str) else "" if value is None or value in ({}, []) else _written(value)
        return Answer(clean(self.redaction.text(text), rules.INPUT), len(files) if isinstance(files, list) else 0)

    def feedback(self, feedback_json: str | None) -> Clean:
        """Text of the feedback (rich content, plain text or null)."""
        return self.advice(content_text(msgspec.json.decode(feedback_json))) if feedback_json is not None else NO_TEXT

    def advice(self, text: str) -> Clean:
        return clean(self.redaction.text(text), rules.ADVICE)


def _chosen(activity: Activity | None, text: str) -> str:
    """Texts of the chosen choices; the text itself when no word of it is a choice's id (D-25)."""
    choices = activity.choices if activity is not None else None
    if not choices:
        return text
    words = text.split()
    if not any(word in choices for word in words):
        return text
    return "; ".join(choices.get(word) or word for word in words)


def _written(value: Any) -> str:
    return (
        msgspec.json.encode(value).decode()
        if isinstance(value, (dict, list))
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
    )


NO_TEXT = Clean("")
NOTHING = Answer(NO_TEXT)
