"""Where the code of jobs is: what `torus emr deploy` wrote at `EMR_CODE_URL`.

```
versions/{content}/job.py, dataset.zip, dataset.json    one folder per content, never written twice: running jobs read these
job.py, dataset.zip                                     the same under the names that Torus' settings have
deployed.json                                           written last: which version is in place
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.emr.spark_parameters import NotForEmr
from torus_assets.settings import EmrSettings

JOB, ARCHIVE, MANIFEST, DEPLOYED = "job.py", "dataset.zip", "dataset.json", "deployed.json"


@dataclass(frozen=True)
class Code:
    """URLs of what a job is started with. `archive_url` is None with a custom image, which holds the packages."""

    job_url: str
    archive_url: str | None
    version: str | None  # None: nothing says which


def code_store(emr: EmrSettings) -> ObjectStore:
    """The store at `EMR_CODE_URL`.

    Raises:
        NotForEmr: it is not set.
    """
    if not emr.code_url:
        raise NotForEmr("EMR_CODE_URL is not set: where job.py and its archive are, e.g. s3://bucket/emr")
    return open_store(emr.code_url)


def code(emr: EmrSettings) -> Code:
    """The version in place: its own folder, so that a deployment in the middle of a job changes nothing for that job.

    Raises:
        NotForEmr: nothing was deployed there.
    """
    store = code_store(emr)
    said = what_is_deployed(store)
    if said:
        return Code(store.uri(said["job"]), None if emr.image_uri else store.uri(said["archive"] or ARCHIVE), said["version"])
    if store.head(JOB) is None:
        raise NotForEmr(f"there is no {store.uri(JOB)}: run `torus emr deploy` first")
    return Code(store.uri(JOB), None if emr.image_uri else store.uri(ARCHIVE), None)


def what_is_deployed(store: ObjectStore) -> dict[str, Any]:
    """The document of the last deployment; empty when there was none.

    Raises:
        ValueError: it cannot be read.
    """
    if store.head(DEPLOYED) is None:
        return {}
    try:
        found = msgspec.json.decode(store.get(DEPLOYED).body, type=dict[str, Any])
        return {**found, "job": found["job"], "archive": found["archive"], "version": found["version"]}
    except (msgspec.MsgspecError, KeyError) as error:
        raise ValueError(f"{store.uri(DEPLOYED)} cannot be read ({error}); `torus emr deploy` writes it anew when it is deleted") from None
