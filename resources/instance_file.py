"""The copy of dagster.yaml in TORUS_HOME/dagster: it follows the project's file until somebody edits it."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

MARK = "# Follows the project's dagster.yaml until it is edited; as copied: sha256 "
EARLIER = {
    "c24d12a5da8be4ebbdbf186d691947f5cad81d4dc7ccaabbe6b89d68e6e25912"
}  # copies made before there was a mark (sha256 of the whole file)


def follow(source: str, target: Path) -> bool:
    """Writes `source` to `target` unless somebody edited it; whether `target` is as the project has it now.

    The first line of a copy holds the digest of what was copied. A copy whose text still has it is replaced when the project's file changes;
    an edited one, and one that was written by hand, is left alone for good. Replaced at once, as several processes may start together.
    """
    wanted = f"{MARK}{_digest(source)}\n{source}"
    there = target.read_text() if target.exists() else None
    if there == wanted:
        return True
    if there is not None and not _is_unedited(there):
        return False
    draft = target.with_name(f"{target.name}.{uuid.uuid4().hex[:8]}")
    draft.write_text(wanted)
    draft.replace(target)
    return True


def _is_unedited(text: str) -> bool:
    first, _, rest = text.partition("\n")
    if first.startswith(MARK):
        return first.removeprefix(MARK) == _digest(rest)
    return _digest(text) in EARLIER


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
