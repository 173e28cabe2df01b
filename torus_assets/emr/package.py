"""The archive of our code for EMR: a wheel set, unpacked, in one zip.

`--archives dataset.zip#dataset` unpacks it on driver and executors as `./dataset`. The packages are in `./dataset/lib` and not at the root:
Torus' own parameters name the same zip under `--py-files`, which puts the zip itself on the path of every Python worker, before
everything else. At its root the packages would be found there, and a compiled one cannot be imported out of a zip.
Same inputs, same bytes: sorted names, fixed times and modes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torus_assets.emr.contents import Contents, contents
from torus_assets.emr.pins import Pin, Target, pins
from torus_assets.emr.releases import OUR_PYTHON
from torus_assets.emr.spark_parameters import LIBRARY
from torus_assets.emr.wheels import Member, fetch, fitting_folder, of_environment, of_files, of_wheels

ARCHIVE = "dataset.zip"  # the name in Torus' default parameters (spec/datasets.md 3.2)
MANIFEST = "package.json"  # at the root of the archive, and beside it as `dataset.json`
JOB = "torus_assets/engine/job.py"
_PIECE = 1 << 20
_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say

Progress = Callable[[str, int, int], None]  # stage, done, total


@dataclass(frozen=True)
class Packaged:
    """An archive and what is in it."""

    archive: Path
    manifest: Path
    job: Path  # job.py, which is uploaded beside the archive
    content: str  # 64 hex characters: digest over names and digests of all files, the same for the same files whatever packed them
    bytes_: int
    unpacked_bytes: int
    files: int
    document: Mapping[str, Any]

    @property
    def version(self) -> str:
        """A short name of exactly this content, for the place of its copy."""
        return self.content[:16]


@dataclass(frozen=True)
class Built:
    """What is put into an archive."""

    ours: Contents
    pins: tuple[Pin, ...]
    target: Target


def plan(lock: Path, target: Target) -> Built:
    """What the job needs, at exact versions for the target. Contacts nobody.

    Raises:
        NotAJob: the job reaches what must stay out of it.
        NoPin: the lock file does not have what it needs.
    """
    found = contents()
    return Built(found, pins(lock, found.distributions(), target), target)


def package(built: Built, folder: Path, *, wheels: Path | None, compressed: bool = True, progress: Progress = lambda *_: None) -> Packaged:
    """Writes the archive and its manifest into `folder`.

    Args:
        wheels: a folder for fetched wheels, which may hold some already; None: the files that are installed here.
        compressed: False is quicker, and three times as large.

    Raises:
        NotFetched, NotFitting: the wheels are not to be had, or what is installed does not fit.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if wheels is None:
        others = of_environment(built.pins, built.target)
    else:
        fetch(built.pins, built.target, wheels)
        others = of_wheels(built.pins, wheels)
    members = fitting_folder([*of_files(built.ours.files()), *others])
    archive, unfinished = folder / ARCHIVE, folder / f"{ARCHIVE}.part"
    with zipfile.ZipFile(unfinished, "w") as opened:
        digests = _write(opened, members, kind := zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED, progress)
        document = _document(built, digests)
        opened.writestr(_entry(MANIFEST, kind), _text(document))
    unfinished.replace(archive)
    manifest = archive.with_suffix(".json")
    manifest.write_bytes(_text({**document, "archive_sha256": _file_digest(archive), "archive_bytes": archive.stat().st_size}))
    job = folder / "job.py"
    shutil.copyfile(built.ours.modules["torus_assets.engine.job"], job)
    unpacked = sum(size for _, size in digests.values())
    return Packaged(archive, manifest, job, document["content"], archive.stat().st_size, unpacked, len(digests), document)


def _write(opened: zipfile.ZipFile, members: Mapping[str, Member], kind: int, progress: Progress) -> dict[str, tuple[str, int]]:
    """Writes all members below `lib/`; digest and size of each."""
    found: dict[str, tuple[str, int]] = {}
    for number, (path, member) in enumerate(members.items(), start=1):
        digest, size = hashlib.sha256(), 0
        with member.open() as source, opened.open(_entry(f"{LIBRARY}/{path}", kind), "w", force_zip64=True) as sink:
            while piece := source.read(_PIECE):
                digest.update(piece)
                size += len(piece)
                sink.write(piece)
        found[path] = digest.hexdigest(), size
        progress("package", number, len(members))
    return found


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _TIME)
    entry.compress_type = kind
    entry.external_attr = (0o100755 if name.endswith(".so") else 0o100644) << 16
    entry.create_system = 3  # Unix, whatever packs it
    return entry


def _document(built: Built, digests: Mapping[str, tuple[str, int]]) -> dict[str, Any]:
    listed = "".join(f"{digest}  {path}\n" for path, (digest, _) in sorted(digests.items()))
    release = built.target.release
    return {
        "content": hashlib.sha256(listed.encode()).hexdigest(),
        "release": release.label,
        "spark": release.spark,
        "python": ".".join(map(str, OUR_PYTHON)),
        "platform": built.target.platform,
        "files": len(digests),
        "unpacked_bytes": sum(size for _, size in digests.values()),
        "job_sha256": digests[JOB][0],
        "modules": len(built.ours.modules),
        "distributions": [_pinned(pin) for pin in built.pins],
    }


def _pinned(pin: Pin) -> dict[str, str]:
    return {"name": pin.name, "version": pin.version, "wheel": pin.wheel, "wheel_sha256": pin.sha256}


def _text(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1, ensure_ascii=False).encode() + b"\n"


def _file_digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
