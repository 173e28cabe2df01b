"""A real browser without a screen: Chromium, offline, with a profile of its own that goes with the test's folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Literal

Scheme = Literal["light", "dark"]
SCHEMES = {"dark": 0, "light": 1}  # of Blink's own setting
SECONDS = 60


def browser() -> str | None:
    """Where Chromium is; None: not here."""
    return next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)


def picture(page: Path, to: Path, profile: Path, *, scheme: Scheme, width: int, height: int) -> Path:
    """A PNG of the top of the page."""
    to.parent.mkdir(parents=True, exist_ok=True)
    _run(page, profile, scheme, f"--screenshot={to}", f"--window-size={width},{height}", "--hide-scrollbars")
    return to


def dom(page: Path, profile: Path, *, scheme: Scheme, width: int = 1280, more: tuple[str, ...] = ()) -> tuple[str, str]:
    """The document after its scripts ran, and what the browser said about it (console, refused loads)."""
    done = _run(page, profile, scheme, "--dump-dom", f"--window-size={width},900", *more)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def _run(page: Path, profile: Path, scheme: Scheme, *more: str) -> subprocess.CompletedProcess[str]:
    found = browser()
    if found is None:
        raise FileNotFoundError("no Chromium on the PATH")
    flags = (
        "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--force-device-scale-factor=1",
        f"--user-data-dir={profile}", f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
    )  # fmt: skip
    return subprocess.run([found, *flags, *more, page.as_uri()], capture_output=True, text=True, check=True, timeout=SECONDS)
