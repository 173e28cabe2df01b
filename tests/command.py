"""The `torus` command in a process of its own, as people and cron start it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).parents[1]
MAIN = "from torus_assets.cli import main; main()"
OURS = ("TORUS_", "CLICKHOUSE_", "AWS_", "DAGSTER_", "EMR_", "XDG_", "COLUMNS")


def clean_environment(**added: str) -> dict[str, str]:
    """The environment without anything that sets us up, and with what is added."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | added


class Said(NamedTuple):
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output; anything beside it is an error."""
        return json.loads(self.out)

    def expect(self, code: int) -> Said:
        assert self.code == code, f"exit {self.code}, expected {code}\n{self.out}\n{self.err}"
        assert "Traceback" not in self.err
        return self


class Torus(NamedTuple):
    """One installation: its TORUS_HOME and the variables it runs with."""

    home: Path
    variables: Mapping[str, str] = {}

    def __call__(self, *words: str, **variables: str) -> Said:
        env = clean_environment(TORUS_HOME=str(self.home), TORUS_WORKERS="1", **{**self.variables, **variables})
        done = subprocess.run(
            [sys.executable, "-c", MAIN, *words], env=env, cwd=PROJECT, capture_output=True, text=True, timeout=240, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)
