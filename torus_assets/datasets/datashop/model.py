"""What rollup, counts, page and the forms agree on: a knowledge component, and the transactions of a data set as a table.

A transaction is one thing a student did at a step, and the answer of the tutor if it gave one; `frame.py` has all its columns.
"""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa


class Skill(NamedTuple):
    """A knowledge component (KC), within a model."""

    name: str
    model: str = "Default"
    category: str = ""


# The transactions as a table in order of the files: what rollup, counts, page and plots read. Nothing a learner wrote is in it.
FACTS = pa.schema(
    [
        ("number", pa.int64()),  # place in the data set, from 0
        ("transaction_id", pa.string()),
        ("section_id", pa.int64()),
        ("student", pa.string()),
        ("session", pa.string()),
        ("time", pa.timestamp("ms", tz="UTC")),
        ("problem_hierarchy", pa.string()),  # `Unit Cells, Page Osmosis`: type and name of each level, joined by `, `
        ("problem", pa.string()),
        ("view", pa.int64()),
        ("problem_start", pa.timestamp("ms", tz="UTC")),  # the context's time
        ("step", pa.string()),  # null: untutored action
        ("student_type", pa.string()),
        ("outcome", pa.string()),  # null: untutored action
        ("skills", pa.list_(pa.string())),  # KC names of the model Default; [] for none
        ("score", pa.float64()),  # null for hints and unscored attempts
        ("out_of", pa.float64()),
    ]
)
