"""What a job run that somebody else started was asked for, as far as it may be recorded.

The arguments of Torus hold ids of learners (`--ignored_student_ids`), and another caller's may hold anything. So three things are read
by name, each in the only form it may have, and nothing else leaves this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

ACTIONS = ("attempt_evaluated", "page_viewed", "video", "datashop")  # spec/datasets.md 2
OWN_RUN = "dagster/run-id"  # tag that Dagster Pipes puts on a job run

_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TORUS_JOB_ID = re.compile(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}\.\d{6}Z-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")  # spec/datasets.md 1
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SECTIONS = re.compile(r"\s*\d+\s*(,\s*\d+\s*)*")


class Asked(NamedTuple):
    """What is known of a request; None where the run does not say it in the form of Torus."""

    job_id: str | None = None
    action: str | None = None
    sections: int | None = None  # how many, not which
    own_run: str | None = None  # of our Dagster, when that started it


def asked(job_run: Mapping[str, Any]) -> Asked:
    """What the answer of GetJobRun tells of the request."""
    words = job_run.get("jobDriver", {}).get("sparkSubmit", {}).get("entryPointArguments") or ()
    job_id, action, sections = (_value(words, name) for name in ("job_id", "action", "section_ids"))
    name, own_run = str(job_run.get("name") or ""), str((job_run.get("tags") or {}).get(OWN_RUN) or "")
    return Asked(
        job_id=job_id if _is_job_id(job_id) else name if _TORUS_JOB_ID.fullmatch(name) else None,
        action=action if action in ACTIONS else None,
        sections=len(sections.split(",")) if _SECTIONS.fullmatch(sections) else None,
        own_run=own_run if _RUN_ID.fullmatch(own_run) else None,
    )


def exit_code(job_run: Mapping[str, Any]) -> int | None:
    """The exit code that a failed run's details name. The rest of them may quote an exception, and so a learner."""
    found = re.search(r"\bexit ?code:? ?(\d{1,3})\b", str(job_run.get("stateDetails") or ""), re.IGNORECASE)
    return int(found[1]) if found else None


def _is_job_id(text: str) -> bool:
    return bool(_JOB_ID.fullmatch(text)) and ".." not in text


def _value(words: Sequence[str], name: str) -> str:
    """The value after `--name`, or in `--name=value`; empty without one."""
    for number, word in enumerate(words):
        if word == f"--{name}" and number + 1 < len(words):
            return str(words[number + 1])
        if word.startswith(f"--{name}="):
            return word.partition("=")[2]
    return ""
