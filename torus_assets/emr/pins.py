"""Exact versions and wheels for another machine than this one, out of `uv.lock`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from torus_assets.emr.releases import OUR_PYTHON, Platform, Release

OURS = "torus-assets"
_MACHINE: Mapping[Platform, str] = {"x86_64": "x86_64", "arm64": "aarch64"}


class NoPin(ValueError):
    """The lock file has no such package, or no wheel of it for the target; the message names both."""


class Target(NamedTuple):
    """The machine that runs the job."""

    release: Release
    platform: Platform

    @property
    def machine(self) -> str:
        return _MACHINE[self.platform]

    @property
    def platforms(self) -> list[str]:
        """Platform tags of wheels that its C library can load, newest first."""
        major, minor = self.release.glibc
        newer = [f"manylinux_{major}_{number}_{self.machine}" for number in range(minor, 16, -1)]
        old = [f"manylinux2014_{self.machine}"]
        if self.machine == "x86_64":
            old += ["manylinux_2_12_x86_64", "manylinux2010_x86_64", "manylinux_2_5_x86_64", "manylinux1_x86_64"]
        return [*newer, *old, f"linux_{self.machine}"]

    def tags(self) -> dict[Any, int]:
        """Wheel tags that fit, with their rank: the smallest is the best."""
        from packaging.tags import compatible_tags, cpython_tags

        fitting = [*cpython_tags(OUR_PYTHON, platforms=self.platforms), *compatible_tags(OUR_PYTHON, "cp311", self.platforms)]
        return {tag: rank for rank, tag in reversed(list(enumerate(fitting)))}

    def markers(self) -> dict[str, str]:
        """The environment that dependency markers ask about."""
        version = ".".join(map(str, OUR_PYTHON))
        return {
            "python_version": version,
            "python_full_version": f"{version}.0",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "sys_platform": "linux",
            "os_name": "posix",
            "platform_system": "Linux",
            "platform_machine": self.machine,
            "extra": "",
        }


class Pin(NamedTuple):
    """One distribution, exactly."""

    name: str
    version: str
    wheel: str  # file name
    sha256: str

    @property
    def requirement(self) -> str:
        """A line for pip that lets exactly this wheel in."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


def pins(lock: Path, names: Iterable[str], target: Target) -> tuple[Pin, ...]:
    """Distributions and all that they need on the target, sorted by name.

    Extras are those that our own dependencies name.

    Raises:
        NoPin: the lock file does not know one of them, or has no wheel for the target.
        FileNotFoundError: there is no lock file.
    """
    packages = _packages(lock)
    tags, environment = target.tags(), target.markers()
    waiting = [(name, extra) for name in names for extra in ("", *_extras(packages, name))]
    seen: set[tuple[str, str]] = set()
    found: dict[str, Pin] = {}
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        package = _chosen(packages, name, environment)
        found[name] = _pin(package, tags, target)
        for needed in package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ()):
            if _holds(needed.get("marker"), environment):
                waiting += [(needed["name"], more) for more in ("", *needed.get("extra", ()))]
    return tuple(found[name] for name in sorted(found))


def _packages(lock: Path) -> dict[str, list[dict[str, Any]]]:
    if not lock.is_file():
        raise FileNotFoundError(f"{lock}: there is no lock file; give --lock, or package from the environment (--from-environment)")
    found: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads(lock.read_text())["package"]:
        found.setdefault(package["name"], []).append(package)
    return found


def _extras(packages: Mapping[str, list[dict[str, Any]]], name: str) -> Iterator[str]:
    for ours in packages.get(OURS, ()):
        for needed in ours.get("dependencies", ()):
            if needed["name"] == name:
                yield from needed.get("extra", ())


def _chosen(packages: Mapping[str, list[dict[str, Any]]], name: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """The version of the package that the target gets; a lock file has several where Pythons differ."""
    for package in packages.get(name, ()):
        markers = package.get("resolution-markers") or [None]
        if any(_holds(marker, environment) for marker in markers):
            return package
    raise NoPin(f"uv.lock has no {name} for Python {environment['python_version']} on Linux: `uv lock`, then package again")


def _pin(package: Mapping[str, Any], tags: Mapping[Any, int], target: Target) -> Pin:
    from packaging.utils import parse_wheel_filename

    fitting: list[tuple[int, str, str]] = []
    for wheel in package.get("wheels", ()):
        name = unquote(urlsplit(wheel["url"]).path).rpartition("/")[2]
        ranks = [tags[tag] for tag in parse_wheel_filename(name)[3] if tag in tags]
        if ranks:
            fitting.append((min(ranks), name, wheel["hash"].removeprefix("sha256:")))
    if not fitting:
        raise NoPin(
            f"{package['name']} {package['version']} has no wheel for {target.release.label} on {target.platform} (glibc, Python 3.11)"
        )
    _, name, digest = min(fitting)
    return Pin(package["name"], package["version"], name, digest)


def _holds(marker: str | None, environment: Mapping[str, str]) -> bool:
    from packaging.markers import Marker

    return marker is None or Marker(marker).evaluate(dict(environment))
