"""The Java that Spark would take on this machine."""

import os
import re
import subprocess
from pathlib import Path

NEEDED = 17


def java_version() -> int | None:
    """Its major version; None when there is none."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin/java") if home else "java"
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except OSError:
        return None
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else None
