"""The six data sets that Torus offers by name (spec/datasets.md 3.1), as the keys they stand for.

A preset fills what a document leaves out; what the document says itself stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ATTEMPTS = ("part_attempt_evaluated", "activity_attempt_evaluated", "page_attempt_evaluated")

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "datashop": {"action": "datashop"},
    "attempts_simple": {"action": "attempt_evaluated", "sub_types": ATTEMPTS, "exclude_fields": ("response", "feedback", "hints")},
    "attempts_extended": {"action": "attempt_evaluated", "sub_types": ATTEMPTS},
    "video": {"action": "video", "sub_types": ("played", "paused", "seeked", "completed")},
    "page_viewed": {"action": "page_viewed", "sub_types": ("page_viewed",)},
    "required_survey": {
        "action": "attempt_evaluated",
        "sub_types": ("part_attempt_evaluated",),
        "exclude_fields": ("feedback", "hints"),
    },
}
NEEDS_PAGES = ("required_survey",)  # the pages are the sections' `required_survey_resource_id`; nothing else says which they are
