"""What a job says at its end."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import Any


@dataclass
class LastWords:
    """One line of JSON on standard output: counts, places and sections, and nobody's id."""

    job_id: str | None = None
    document: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # what is not right with the data set, or why there is none

    def tell(self, status: int) -> int:
        """Says them, the problems on standard error, too. Gives the exit status back."""
        for problem in self.problems:
            sys.stderr.write(f"{problem}\n")
        told = {"job_id": self.job_id, "exit": status, **self.document, "problems": self.problems, "notes": self.notes}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return status
