"""Files of pinned distributions: out of wheels that pip fetches, or as they are installed here."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from torus_assets.emr.pins import Pin, Target
from torus_assets.emr.releases import OUR_PYTHON

PIP_SECONDS = 1800
# Of other packages: their own tests and headers, 60 MB that no job reads; and what says how they came here, which differs between machines.
_LEFT_OUT = frozenset({"tests", "include", "__pycache__"})
_OF_INSTALLING = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
_SCHEMES = ("purelib", "platlib")


class NotFetched(RuntimeError):
    """pip could not fetch the wheels; its own last words are in the message."""


class NotFitting(ValueError):
    """What is installed here is not what the target needs; the message says of what, and what to do."""


class Member(NamedTuple):
    """One file of an archive: its path there, and how to read it."""

    path: str
    open: Callable[[], IO[bytes]]


def fetch(pins: Sequence[Pin], target: Target, folder: Path, *, python: str = sys.executable) -> None:
    """Has pip put exactly the pinned wheels into `folder`; what is there already is not fetched again.

    Raises:
        NotFetched: no network, another index, a hash that differs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [pin for pin in pins if not (folder / pin.wheel).exists()]
    if not wanted:
        return
    requirements = folder / "requirements.txt"
    requirements.write_text(requirements_text(wanted))
    platforms = [word for platform in target.platforms for word in ("--platform", platform)]
    abis = [word for abi in (f"cp{OUR_PYTHON[0]}{OUR_PYTHON[1]}", "abi3", "none") for word in ("--abi", abi)]
    pip = [
        python,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--only-binary=:all:",
        "--require-hashes",
        *platforms,
        *abis,
    ]
    version = ".".join(map(str, OUR_PYTHON))
    words = [*pip, "--implementation", "cp", "--python-version", version, "--dest", str(folder), "--requirement", str(requirements)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PIP_SECONDS, check=False, stdin=subprocess.DEVNULL)
    requirements.unlink()
    if "No module named pip" in done.stderr:
        raise NotFetched("pip is not installed here: `python -m ensurepip`, then package again")
    if done.returncode:
        raise NotFetched(f"pip could not fetch the wheels: {done.stderr.strip()[-500:]}")


def requirements_text(pins: Iterable[Pin]) -> str:
    """A requirements file for `pip install --require-hashes --no-deps`."""
    return "".join(f"{pin.requirement}\n" for pin in pins)


def of_wheels(pins: Iterable[Pin], folder: Path) -> Iterator[Member]:
    """Files of the wheels, where an installation would put them; scripts and headers are left out."""
    for pin in pins:
        wheel = folder / pin.wheel
        with zipfile.ZipFile(wheel) as opened:
            names = opened.namelist()
        for name in names:
            path = _installed(name)
            if path is not None and _is_wanted(path):
                yield Member(path, _reader(wheel, name))


def of_environment(pins: Iterable[Pin], target: Target) -> Iterator[Member]:
    """Files of the distributions as they are installed in this interpreter.

    Raises:
        NotFitting: another Python, another version than the lock file says, or a build for another machine than the target.
    """
    if sys.version_info[:2] != OUR_PYTHON:
        raise NotFitting(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}, and the job runs on 3.11: let pip fetch the wheels")
    tags = {str(tag) for tag in target.tags()}
    for pin in pins:
        try:
            found = distribution(pin.name)
        except PackageNotFoundError:
            raise NotFitting(f"{pin.name} is not installed here: `uv sync`, or let pip fetch the wheels") from None
        if found.version != pin.version:
            raise NotFitting(f"{pin.name} {found.version} is installed, and uv.lock says {pin.version}: `uv sync`")
        built = {line.partition(":")[2].strip() for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag:")}
        if not built & tags:
            raise NotFitting(
                f"{pin.name} is built for {', '.join(sorted(built))[:80]}, not for {target.platform}: let pip fetch the wheels"
            )
        for file in found.files or ():
            if ".." not in file.parts and _is_wanted(str(file)):
                yield Member(PurePosixPath(file).as_posix(), _opener(Path(str(found.locate_file(file)))))


def of_files(files: Iterable[tuple[str, Path]]) -> Iterator[Member]:
    """Files as they lie on this machine."""
    for path, file in files:
        yield Member(path, _opener(file))


def _reader(wheel: Path, name: str) -> Callable[[], IO[bytes]]:
    def read() -> IO[bytes]:
        with zipfile.ZipFile(wheel) as opened:
            return opened.open(name)  # stays readable: the file is closed when its last reader is

    return read


def _opener(file: Path) -> Callable[[], IO[bytes]]:
    return lambda: file.open("rb")


def _installed(name: str) -> str | None:
    """Where a file of a wheel goes; None for scripts, headers and data of other schemes."""
    first, _, rest = name.partition("/")
    if not first.endswith(".data"):
        return name
    scheme, _, inner = rest.partition("/")
    return inner if scheme in _SCHEMES else None


def _is_wanted(path: str) -> bool:
    parts = PurePosixPath(path).parts
    if path.endswith(("/", ".pyc", ".pyi", ".pxd", ".pyx")):
        return False
    if parts[0].endswith(".dist-info"):
        return parts[-1] not in _OF_INSTALLING
    return _LEFT_OUT.isdisjoint(parts[1:-1])


def fitting_folder(members: Iterable[Member]) -> Mapping[str, Member]:
    """Members by path, sorted. The first one wins where two distributions have the same file (licences do)."""
    found: dict[str, Member] = {}
    for member in members:
        found.setdefault(member.path, member)
    return dict(sorted(found.items()))
