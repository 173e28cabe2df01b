"""What `torus emr submit` starts, and following it to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

from torus_assets.clients.emr import EmrServerless
from torus_assets.clients.emr_errors import EmrError
from torus_assets.datasets.old_names import argument_list
from torus_assets.datasets.request import Request, parse_request
from torus_assets.emr.spark_parameters import NotForEmr
from torus_assets.emr.states import has_ended

POLL_SECONDS = 10.0  # at most; the first looks come sooner
FIRST_SECONDS = 1.0
PATIENCE = 30  # polls without an answer, one after another, before we give up looking; the job goes on
STUDENTS = "--ignored_student_ids"
_PLACES = ("lake_url", "results_bucket_name", "links")


def arguments_of(request: Request, *, lake_url: str, datasets_url: str) -> list[str]:
    """The argument list of job.py that asks for the same as the request, with rows from the lake.

    Raises:
        NotForEmr: a folder of this machine is named, or the request cannot be said in an argument list.
    """
    for variable, url in (("TORUS_LAKE_URL", lake_url), ("TORUS_DATASETS_URL", datasets_url)):
        if not url.startswith("s3"):
            raise NotForEmr(f"a job on EMR cannot reach folders of this machine: set {variable} to s3://…")
    said = {name: _text(value) for name, value in request.document().items() if value not in (None, (), [], "")}
    places = {"results_bucket_name": datasets_url, "lake_url": lake_url, "links": "relative"}
    words = [word for name, value in {**said, **places}.items() for word in (f"--{name}", value)]
    read = {name: value for name, value in argument_list(words).items() if name not in _PLACES}
    if parse_request(read) != request:
        raise NotForEmr(f"request {request.job_id} cannot be said in an argument list: a list in it has a value with a comma")
    return words


def shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """A StartJobRun document for people to look at: ids of students are counted, not named."""
    found = deepcopy(dict(document))
    spark_submit = found["jobDriver"]["sparkSubmit"]
    if "entryPointArguments" in spark_submit:
        spark_submit["entryPointArguments"] = _without_students(spark_submit["entryPointArguments"])
    return found


def follow(
    client: EmrServerless,
    application_id: str,
    job_run_id: str,
    *,
    on_state: Callable[[str], None],
    on_silence: Callable[[EmrError], None],
    sleep: Callable[[float], None],
) -> dict[str, Any]:
    """The run after its end. A lost connection is waited out, an unknown state is told and followed on.

    Raises:
        EmrError: the run is gone, access was taken away, or nothing was heard for `PATIENCE` polls.
    """
    last, silent, pause = "", 0, FIRST_SECONDS
    while True:
        try:
            run = client.get_job_run(application_id, job_run_id)
        except EmrError as error:
            silent += 1
            if not error.again or silent > PATIENCE:
                raise
            on_silence(error)
        else:
            silent = 0
            if run["state"] != last:
                last = run["state"]
                on_state(last)
            if has_ended(last):
                return run
        sleep(pause)
        pause = min(pause * 2, POLL_SECONDS)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _without_students(words: Sequence[str]) -> list[str]:
    found: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        if found and found[-1] == STUDENTS:
            found.append(f"({_count(word)} ids)")
        else:
            found.append(f"{name}=({_count(value)} ids)" if name == STUDENTS and equals else word)
    return found


def _count(listed: str) -> int:
    return len([part for part in listed.split(",") if part.strip()])
