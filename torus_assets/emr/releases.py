"""What an EMR release brings, as far as an archive for it has to fit.

Sources (read 2026-11). Spark: AWS' pages of EMR Serverless 7.1.0 and 7.3.0 to 7.10.0; 7.13.0 from users' notes on its image; 7.0.0, 7.2.0,
7.11.0 and 7.12.0 are inferred from their neighbours. Python: AWS' "Application versions in Amazon EMR 7.x releases" (3.9 alone in 7.0.0, 3.9
and 3.11 from 7.1.0 to 7.12.0) and the page of 7.13.0; that the images of EMR Serverless have 3.11 as `/usr/bin/python3.11`, beside 3.9 as
plain `python3`, is from users' notes on 7.13.0. C library: Amazon Linux 2023 has glibc 2.34. None of it was run: there is no EMR here.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Platform = Literal["x86_64", "arm64"]
PLATFORMS: tuple[Platform, ...] = ("x86_64", "arm64")
OUR_PYTHON = (3, 11)


class Release(NamedTuple):
    """One release of EMR Serverless."""

    label: str
    spark: str
    pythons: tuple[tuple[int, int], ...]  # that the image has; the first is plain `python3`
    glibc: tuple[int, int]

    @property
    def python(self) -> str | None:
        """The interpreter of the image that runs our code; None when the image has none."""
        return f"/usr/bin/python{OUR_PYTHON[0]}.{OUR_PYTHON[1]}" if OUR_PYTHON in self.pythons else None


_OLD, _BOTH = ((3, 9),), ((3, 9), (3, 11))
RELEASES = {
    release.label: release
    for release in (
        Release("emr-7.0.0", "3.5.0", _OLD, (2, 34)),
        Release("emr-7.1.0", "3.5.0", _BOTH, (2, 34)),
        Release("emr-7.2.0", "3.5.1", _BOTH, (2, 34)),
        Release("emr-7.3.0", "3.5.1", _BOTH, (2, 34)),
        Release("emr-7.4.0", "3.5.2", _BOTH, (2, 34)),
        Release("emr-7.5.0", "3.5.2", _BOTH, (2, 34)),
        Release("emr-7.6.0", "3.5.3", _BOTH, (2, 34)),
        Release("emr-7.7.0", "3.5.3", _BOTH, (2, 34)),
        Release("emr-7.8.0", "3.5.4", _BOTH, (2, 34)),
        Release("emr-7.9.0", "3.5.5", _BOTH, (2, 34)),
        Release("emr-7.10.0", "3.5.5", _BOTH, (2, 34)),
        Release("emr-7.11.0", "3.5.6", _BOTH, (2, 34)),
        Release("emr-7.12.0", "3.5.6", _BOTH, (2, 34)),
        Release("emr-7.13.0", "3.5.6", _BOTH, (2, 34)),
    )
}


class UnknownRelease(ValueError):
    """No such release in the table, or none that our code runs on without an interpreter of its own."""


def release_of(label: str) -> Release:
    """The release of that label.

    Raises:
        UnknownRelease: it is not in the table; the message lists what is.
    """
    if label not in RELEASES:
        known = ", ".join(RELEASES)
        raise UnknownRelease(f"EMR release {label!r} is not known here; known are {known}. A new one is one line in emr/releases.py")
    return RELEASES[label]


def architecture(platform: Platform) -> str:
    """The platform as EMR Serverless spells it."""
    return {"x86_64": "X86_64", "arm64": "ARM64"}[platform]
