"""Names that Torus and the old job use for what a request says: parameters of the job, fields of Torus' record, its argument list.

Source: spec/datasets.md 2, 3.1, 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

RENAMED: Mapping[str, tuple[str, ...]] = {  # key -> its old names
    "action": ("event_type", "job_type"),
    "format": ("output_type",),
    "sub_types": ("event_sub_types",),
    "exclude_fields": ("excluded_fields",),
    "project_id": ("enforce_project_id",),
}
IGNORED: Mapping[str, str] = {  # old name -> why it says nothing here
    "bucket_name": "the events come from the lake, not from a bucket",
    "inventory_bucket_name": "the events come from the lake, not from a bucket",
    "results_bucket_name": "results go to TORUS_DATASETS_URL",
    "chunk_size": "it counts input files per chunk; here chunk_rows says how many rows a file has",
    "debug": "counts and reasons are always in the receipt",
    "lookup": "the lookup is read at contexts/{job_id}.json",
}
TEXTS = ("bucket_name", "inventory_bucket_name", "results_bucket_name")  # of the ignored ones, those that have to be text
CUSTOM = "custom"  # the `job_type` of everything but DataShop: says nothing about the action
OLD_NAMES = (*(name for names in RENAMED.values() for name in names), *IGNORED)


class NotAnArgument(ValueError):
    """Words of the argument list are neither `--name value` nor `--name=value`; `problems` lists each."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class Arguments(NamedTuple):
    """An argument list, read to its end."""

    document: dict[str, str]  # name, with `_` for `-`, to value
    problems: tuple[str, ...]  # what is no argument, and at which place


def argument_list(words: Sequence[str]) -> dict[str, Any]:
    """The argument list of Torus (`--section_ids 1,2 --action video …`) as a document for `parse_request`. All values are text.

    Raises:
        NotAnArgument: a value without a name, a name without a value or given twice; says at which places.
    """
    found = read_arguments(words)
    if found.problems:
        raise NotAnArgument(found.problems)
    return dict(found.document)


def read_arguments(words: Sequence[str]) -> Arguments:
    """Every `--name value` and `--name=value`, and every mistake. Values are never shown: they may be ids of students."""
    document: dict[str, str] = {}
    problems: list[str] = []
    at = 0
    while at < len(words):
        place, (name, equals, value) = at + 1, words[at].partition("=")
        at += 1
        if not name.startswith("--") or len(name) == len("--"):
            problems.append(f"argument {place}: expected --name value or --name=value")
            continue
        name = name.removeprefix("--").replace("-", "_")
        if not equals:
            if at == len(words) or words[at].startswith("--"):
                problems.append(f"argument {place}: --{name} has no value")
                continue
            value = words[at]
            at += 1
        if name in document:
            problems.append(f"argument {place}: --{name} is given twice")
        document.setdefault(name, value)
    return Arguments(document, tuple(problems))
