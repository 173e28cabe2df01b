"""States of an EMR Serverless job run, as AWS spells them.

Source: botocore's model of `emr-serverless`, version 2021-07-13 (`JobRunState`). A state that stands in neither list is kept as it is:
the run is followed like an active one, and people are told. The poller before this one stopped at it (spec/datasets.md 3.3).
"""

from __future__ import annotations

import re
from typing import Literal

ACTIVE = frozenset({"SUBMITTED", "PENDING", "SCHEDULED", "QUEUED", "RUNNING", "CANCELLING"})
ENDED = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
WAITING = ACTIVE - {"RUNNING"}  # no worker does anything for the run

Phase = Literal["active", "ended", "unknown"]

_SPELLING = re.compile(r"[A-Z][A-Z_]{0,39}")


def phase(state: str) -> Phase:
    """What a state means for somebody who follows the run."""
    if state in ACTIVE:
        return "active"
    return "ended" if state in ENDED else "unknown"


def has_ended(state: str) -> bool:
    """Nothing more will happen to the run."""
    return state in ENDED


def shown(state: str) -> str:
    """The state for logs and metadata: what is not spelt like one is not repeated."""
    return state if _SPELLING.fullmatch(state) else "(not a word)"
