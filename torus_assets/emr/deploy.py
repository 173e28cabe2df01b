"""Putting code and application in place: a plan that can be shown, and the same plan carried out.

Code first, under its own name; then the application; then the names that Torus uses; `deployed.json` last. Killed anywhere, jobs find
either the old code or the new, whole, and deploying again finishes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from torus_assets.clients.emr import EmrServerless
from torus_assets.clients.object_store import ObjectStore
from torus_assets.emr import applications
from torus_assets.emr.deployed import ARCHIVE, DEPLOYED, JOB, MANIFEST, code_store, what_is_deployed
from torus_assets.emr.releases import Platform
from torus_assets.emr.spark_parameters import spark_submit_parameters
from torus_assets.settings import Settings

SETTINGS_OF_TORUS = "EMR_DATASET_"


class NotPackaged(ValueError):
    """The folder has no archive of `torus emr package`, or one that does not fit; the message says what to do."""


@dataclass(frozen=True)
class Package:
    """What `torus emr package` wrote; without an archive where a custom image holds the packages."""

    job: Path
    archive: Path | None
    manifest: Path | None
    version: str
    release: str
    platform: Platform


@dataclass(frozen=True)
class Upload:
    """One object to write. Under `versions/` it is created once; elsewhere it is replaced."""

    key: str
    file: Path

    @property
    def once(self) -> bool:
        return self.key.startswith("versions/")


@dataclass(frozen=True)
class Plan:
    """All that a deployment does."""

    store: ObjectStore
    package: Package
    uploads: tuple[Upload, ...]  # in order; empty: this version is in place
    existing: Mapping[str, Any] | None  # the application as it is
    creation: Mapping[str, Any] | None  # CreateApplication
    change: Mapping[str, Any]  # UpdateApplication; empty: it is as it should be
    torus: Mapping[str, str]  # what Torus needs in its settings

    def document(self) -> dict[str, Any]:
        """As JSON values. Holds no secret: secrets are references."""
        return {
            "version": self.package.version,
            "release": self.package.release,
            "platform": self.package.platform,
            "uploads": [{"to": self.store.uri(each.key), "bytes": each.file.stat().st_size} for each in self.uploads],
            "application": None if self.existing is None else self.existing["applicationId"],
            "create": self.creation,
            "update": dict(self.change),
            "torus": dict(self.torus),
        }


def packaged(folder: Path, settings: Settings, platform: Platform | None = None) -> Package:
    """The package in a folder, checked against its manifest and the settings.

    Raises:
        NotPackaged: it is missing, damaged, or made for another release.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise NotPackaged(f"{folder} has no package: run `torus emr package` first")
    said = msgspec.json.decode(manifest.read_bytes())
    archive = folder / ARCHIVE
    if not archive.is_file() or archive.stat().st_size != said["archive_bytes"] or _digest(archive) != said["archive_sha256"]:
        raise NotPackaged(f"{archive} is not what its manifest says: run `torus emr package` again")
    if said["release"] != settings.emr.release:
        raise NotPackaged(
            f"the package is for {said['release']}, and EMR_RELEASE_LABEL is {settings.emr.release}: package for that release"
        )
    if platform is not None and said["platform"] != platform:
        raise NotPackaged(f"the package is for {said['platform']}, not for {platform}: `torus emr package --platform {platform}`")
    job = folder / JOB
    if not job.is_file() or _digest(job) != said["job_sha256"]:
        raise NotPackaged(f"{job} is not the one in the archive: run `torus emr package` again")
    return Package(job, archive, manifest, f"{said['content'][:16]}-{said['platform']}", said["release"], said["platform"])


def job_only(settings: Settings, platform: Platform) -> Package:
    """Nothing but job.py: the custom image holds the packages."""
    job = Path(__file__).parents[1] / "engine" / "job.py"
    return Package(job, None, None, f"{_digest(job)[:16]}-image", settings.emr.release, platform)


def plan(
    settings: Settings,
    package: Package,
    client: EmrServerless | None,
    *,
    most_vcpus: int | None = None,
    idle_minutes: int | None = None,
) -> Plan:
    """What deploying would do. Reads, and changes nothing anywhere.

    Args:
        client: None: the application is left alone (`--code-only`).
    """
    store = code_store(settings.emr)
    existing, creation, change = None, None, {}
    if client is not None:
        existing = applications.application(client, settings.emr)
        if existing is None:
            token = hashlib.sha256(f"{settings.emr.application_name} {package.version}".encode()).hexdigest()
            creation = applications.creation(settings, package.platform, token, most_vcpus=most_vcpus, idle_minutes=idle_minutes)
        else:
            change = applications.change(existing, settings, package.platform, most_vcpus=most_vcpus, idle_minutes=idle_minutes)
    return Plan(store, package, _uploads(store, package), existing, creation, change, torus_settings(settings, store, package))


def carry_out(
    found: Plan,
    client: EmrServerless | None,
    *,
    at: str,
    say: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """Does what the plan says; the document of the deployment.

    Raises:
        Busy: the application has active job runs and would have to be changed. The code's own version is up, nothing else.
    """
    for upload in filter(lambda each: each.once, found.uploads):
        say(f"uploading {upload.key}")
        _put(found.store, upload)
    application = None if found.existing is None else found.existing["applicationId"]
    if client is not None and found.creation is not None:
        application = client.create_application(found.creation)
        say(f"created application {application}")
    if client is not None and found.existing is not None and found.change:
        applications.update(client, found.existing, found.change, say=say, sleep=sleep)
        say(f"changed application {application}: {', '.join(sorted(found.change))}")
    for upload in filter(lambda each: not each.once, found.uploads):
        say(f"uploading {upload.key}")
        _put(found.store, upload)
    document = _deployed(found.package, application, at)
    if found.uploads:
        found.store.put(DEPLOYED, msgspec.json.format(msgspec.json.encode(document)))
    return document


def torus_settings(settings: Settings, store: ObjectStore, package: Package) -> dict[str, str]:
    """Variables of Torus with the values that start our job (spec/datasets.md 3.2)."""
    emr = settings.emr
    archive = None if package.archive is None else store.uri(ARCHIVE)
    variables = {"TORUS_SCRATCH_URL": settings.scratch_url} if settings.scratch_url else {}
    said = {
        "ENABLED": "true",
        "APPLICATION_NAME": emr.application_name or "(the name of the application)",
        "EXECUTION_ROLE": emr.execution_role_arn or "(the role that jobs run as)",
        "ENTRY_POINT": store.uri(JOB),
        "LOG_URI": emr.log_url or "(a private s3:// address)",
        "SPARK_SUBMIT_PARAMETERS": spark_submit_parameters(emr, settings.spark, archive, variables),
    }
    return {SETTINGS_OF_TORUS + name: value for name, value in said.items()}


def _uploads(store: ObjectStore, package: Package) -> tuple[Upload, ...]:
    """Objects that are not there yet; none when exactly this version is in place."""
    files = {ARCHIVE: package.archive, MANIFEST: package.manifest, JOB: package.job}
    own = [Upload(_own(package, name), file) for name, file in files.items() if file is not None]
    missing = [each for each in own if store.head(each.key) is None]
    fixed = [Upload(name, file) for name, file in files.items() if file is not None and name != MANIFEST]
    in_place = what_is_deployed(store).get("version") == package.version and all(_same(store, each) for each in fixed)
    return tuple(missing) if in_place else (*missing, *fixed)


def _same(store: ObjectStore, upload: Upload) -> bool:
    found = store.head(upload.key)
    return found is not None and found.size == upload.file.stat().st_size


def _put(store: ObjectStore, upload: Upload) -> None:
    if not upload.once:
        store.put(upload.key, upload.file)
        return
    try:
        store.put(upload.key, upload.file, mode="create")
    except FileExistsError:
        return  # its name is the digest of its content


def _own(package: Package, name: str) -> str:
    return f"versions/{package.version}/{name}"


def _deployed(package: Package, application: str | None, at: str) -> dict[str, Any]:
    return {
        "version": package.version,
        "release": package.release,
        "platform": package.platform,
        "job": _own(package, JOB),
        "archive": None if package.archive is None else _own(package, ARCHIVE),
        "application_id": application,
        "deployed_at": at,
    }


def _digest(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
