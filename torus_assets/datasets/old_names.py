"""Names that Torus and the old job use for what a request says: parameters of the job, fields of Torus' record, its argument list.

Source: spec/datasets.md 2, 3.1, 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
    """A word of the argument list is neither `--name value` nor `--name=value`."""


def argument_list(words: Sequence[str]) -> dict[str, Any]:
    """The argument list of Torus (`--section_ids 1,2 --action video …`) as a document for `parse_request`. All values are text.

    Raises:
        NotAnArgument: a value without a name, a name without a value or given twice; says at which place.
    """
    document: dict[str, Any] = {}
    at = 0
    while at < len(words):
        name, equals, value = words[at].partition("=")
        if not name.startswith("--") or len(name) == len("--"):
            raise NotAnArgument(f"argument {at + 1}: expected --name value or --name=value")
        name = name.removeprefix("--").replace("-", "_")
        if not equals:
            at += 1
            if at == len(words) or words[at].startswith("--"):
                raise NotAnArgument(f"argument {at}: --{name} has no value")
            value = words[at]
        if name in document:
            raise NotAnArgument(f"argument {at + 1}: --{name} is given twice")
        document[name] = value
        at += 1
    return document
