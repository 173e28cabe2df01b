"""A secret that an embedded installation makes for itself: a file below TORUS_HOME that only its user can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def made(path: Path) -> bool:
    """Makes the file with a fresh secret, whole or not at all; False when it was there, or another process was first."""
    if path.exists():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def read(path: Path) -> bytes:
    return path.read_text().strip().encode()
