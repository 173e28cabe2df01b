"""Where a job keeps what nobody else may read: settled rows hold learners' ids, and the bucket of results may be open to all (D-18)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torus_assets.clients.object_store import open_store

# Settings of Spark that name what a job was started from. Its role may write beside the code, where the logs go, too.
CODE = ("spark.archives", "spark.submit.pyFiles", "spark.yarn.dist.archives", "spark.yarn.dist.pyFiles", "spark.files", "spark.jars")
S3 = ("s3://", "s3a://", "s3n://")


class NoScratch(ValueError):
    """There is no private place that driver and executors share."""


def scratch_url(said: str | None, conf: Mapping[str, str], results_url: str, folder: str) -> str | None:
    """The URL of a private folder; None when a temporary one of this machine will do, as all of Spark is here.

    Args:
        said: of argument or `TORUS_SCRATCH_URL`.
        conf: Spark's settings.
        folder: below the place that is found.

    Raises:
        NoScratch: nothing private is known, or what was said is the bucket of results.
    """
    public = open_store(results_url)
    if said:
        chosen = open_store(said)
        if public.bucket and chosen.bucket == public.bucket:
            raise NoScratch("scratch_url (TORUS_SCRATCH_URL) is in the bucket of results, which may be open to all; name a private bucket")
        return f"{said.rstrip('/')}/{folder}"
    if conf.get("spark.master", "").startswith("local"):
        return None
    buckets = [bucket for bucket in code_buckets(conf) if bucket != public.bucket]
    if not buckets:
        raise NoScratch(
            "no private place for settled rows: set TORUS_SCRATCH_URL (or --scratch_url) to s3://bucket/prefix, not the bucket of results"
        )
    return f"s3://{buckets[0]}/{folder}"


def code_buckets(conf: Mapping[str, str]) -> list[str]:
    """Buckets that the job's own code came from (`s3://bucket/dataset.zip#dataset`), each once."""
    places = (place.strip() for name in CODE for place in conf.get(name, "").split(","))
    return list(dict.fromkeys(place.partition("://")[2].partition("/")[0] for place in places if place.startswith(S3)))


@contextmanager
def scratch(url: str | None) -> Iterator[str]:
    """The folder at a URL, or a temporary one. Empty and gone afterwards, however the block ended."""
    if url is None:
        with tempfile.TemporaryDirectory(prefix="torus-scratch-", ignore_cleanup_errors=True) as folder:
            yield f"file://{Path(folder).resolve()}"
        return
    store = open_store(url)
    try:
        yield url
    finally:
        store.delete([entry.key for entry in store.list()])
