"""The application that runs our jobs: found, created, and changed in what is ours.

Ours are: release, architecture, the custom image when one is named, where logs go, and the Spark properties that our job needs. Everything
else (network, scheduler, capacity, tags, other people's properties) is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torus_assets.clients.emr import EmrServerless
from torus_assets.emr.jobs import monitoring
from torus_assets.emr.releases import Platform, architecture
from torus_assets.emr.spark_parameters import DRIVER, EXECUTOR, REDACTED, NotForEmr, interpreter
from torus_assets.emr.states import ACTIVE
from torus_assets.settings import EmrSettings, Settings

DEFAULTS = "spark-defaults"
CHANGEABLE = frozenset({"CREATED", "STOPPED"})  # the states in which AWS lets an application be updated
IDLE_MINUTES = 15
MOST_VCPUS = 100  # of all jobs together, on creation: 25 workers, about 8 USD an hour at most
GB_PER_VCPU = 4  # of our workers (spark_parameters.SIZES)
STOP_SECONDS = 600
POLL_SECONDS = 5.0
# What Torus' own jobs take from the application, which they cannot say themselves. No places: a lake named here would replace the bundles.
OF_EVERY_JOB = ("TORUS_SCRATCH_URL", "TORUS_DATASET_DIALECT")


class Busy(RuntimeError):
    """The application cannot be changed while job runs are active."""


def application(client: EmrServerless, emr: EmrSettings) -> dict[str, Any] | None:
    """The application that the settings name, whole; None when the name is free.

    Raises:
        NotForEmr: neither id nor name is set.
        EmrError: several have the name, or there is none of that id.
    """
    if emr.application_id:
        return client.application(emr.application_id)
    if not emr.application_name:
        raise NotForEmr("neither EMR_APPLICATION_NAME nor EMR_APPLICATION_ID is set")
    found = client.application_named(emr.application_name)
    return None if found is None else client.application(found["id"])


def application_id(client: EmrServerless, emr: EmrSettings) -> str:
    """Its id, with as few calls as can be.

    Raises:
        NotForEmr: no application has the name, or nothing is set.
    """
    if emr.application_id:
        return emr.application_id
    found = client.application_named(emr.application_name) if emr.application_name else None
    if found is None:
        raise NotForEmr(f"no application is called {emr.application_name!r}: `torus emr deploy` creates it, or set EMR_APPLICATION_ID")
    return str(found["id"])


def properties(settings: Settings) -> dict[str, str]:
    """Spark properties of every job of the application, Torus' own too: the interpreter, secrets by reference, what is hidden."""
    emr, python = settings.emr, interpreter(settings.emr)
    said = {f"{DRIVER}PYSPARK_DRIVER_PYTHON": python, f"{DRIVER}PYSPARK_PYTHON": python, f"{EXECUTOR}PYSPARK_PYTHON": python}
    values = {"TORUS_SCRATCH_URL": settings.scratch_url, "TORUS_DATASET_DIALECT": settings.dataset_dialect}
    said |= {f"{DRIVER}{name}": value for name in OF_EVERY_JOB if (value := values[name])}
    said |= {f"{DRIVER}{name}": f"EMR.secret@{arn}" for name, arn in emr.secrets.items()}
    return {**said, "spark.redaction.regex": REDACTED}


def creation(settings: Settings, platform: Platform, token: str, *, most_vcpus: int | None, idle_minutes: int | None) -> dict[str, Any]:
    """The CreateApplication document."""
    if not settings.emr.application_name:
        raise NotForEmr("EMR_APPLICATION_NAME is not set: the name of the application to create")
    return {
        "name": settings.emr.application_name,
        "clientToken": token,
        "type": "SPARK",
        **_ours(settings, platform, {}),
        "autoStartConfiguration": {"enabled": True},
        **_limits(most_vcpus or MOST_VCPUS, idle_minutes or IDLE_MINUTES),
    }


def change(
    existing: Mapping[str, Any], settings: Settings, platform: Platform, *, most_vcpus: int | None, idle_minutes: int | None
) -> dict[str, Any]:
    """The UpdateApplication document without its id: what differs, and nothing else. Limits only where they are asked for."""
    wanted = {**_ours(settings, platform, existing), **_limits(most_vcpus, idle_minutes)}
    return {name: value for name, value in wanted.items() if existing.get(name) != value}


def update(
    client: EmrServerless,
    existing: Mapping[str, Any],
    document: Mapping[str, Any],
    *,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    """Stops the application when it has to be, and changes it. The next job starts it again.

    Raises:
        Busy: job runs are active; nothing was changed.
        TimeoutError: it did not stop in ten minutes.
    """
    found, waited = existing["applicationId"], 0.0
    state = existing["state"]
    if state not in CHANGEABLE:
        active = sum(1 for _ in client.list_job_runs(found, states=sorted(ACTIVE)))
        if active:
            raise Busy(f"application {found} has {active} active job runs: wait for their end, or deploy the code alone (--code-only)")
        say(f"stopping application {found}")
        client.stop_application(found)
    while state not in CHANGEABLE:
        if waited >= STOP_SECONDS:
            raise TimeoutError(f"application {found} is still {state} after {STOP_SECONDS // 60} minutes; deploy again when it has stopped")
        state = client.application(found)["state"]
        if state not in CHANGEABLE:
            sleep(POLL_SECONDS)
            waited += POLL_SECONDS
    client.update_application(found, document)


def _ours(settings: Settings, platform: Platform, existing: Mapping[str, Any]) -> dict[str, Any]:
    emr = settings.emr
    said: dict[str, Any] = {
        "releaseLabel": emr.release,
        "architecture": architecture(platform),
        "monitoringConfiguration": _merged(existing.get("monitoringConfiguration", {}), monitoring(emr)),
        "runtimeConfiguration": _with_properties(existing.get("runtimeConfiguration", ()), properties(settings)),
    }
    if emr.image_uri:
        said["imageConfiguration"] = {"imageUri": emr.image_uri}
    if emr.image_uri and existing.get("imageConfiguration", {}).get("imageUri") == emr.image_uri:
        said["imageConfiguration"] = existing["imageConfiguration"]  # AWS adds the digest that it resolved
    return said


def _merged(existing: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """What is there, with ours said over it: prefixes and keys of encryption that others set stay."""
    return {**existing, **{name: {**existing.get(name, {}), **value} for name, value in said.items()}}


def _with_properties(configurations: Any, said: Mapping[str, str]) -> list[dict[str, Any]]:
    """The configurations with our properties of Spark among those that are there."""
    found = [dict(configuration) for configuration in configurations]
    for configuration in found:
        if configuration["classification"] == DEFAULTS:
            configuration["properties"] = {**configuration.get("properties", {}), **said}
            return found
    return [*found, {"classification": DEFAULTS, "properties": dict(said)}]


def _limits(most_vcpus: int | None, idle_minutes: int | None) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if most_vcpus:
        said["maximumCapacity"] = {"cpu": f"{most_vcpus} vCPU", "memory": f"{most_vcpus * GB_PER_VCPU} GB"}
    if idle_minutes:
        said["autoStopConfiguration"] = {"enabled": True, "idleTimeoutMinutes": idle_minutes}
    return said
