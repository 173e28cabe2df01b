"""What a data set proves about itself: receipt, manifest and the id of a run.

Layout below `TORUS_DATASETS_URL` (DESIGN.md 8)::

    {job_id}/runs/{run}/chunk_0.csv …   the files; beside them rollups, the lookup without users, and the page index.html
    {job_id}/runs/{run}/run.json        clock times and versions of libraries
    {job_id}/runs/{run}/receipt.json    last in its folder: there, and the folder is complete
    {job_id}/index.html                 leads to the page of the newest run
    {job_id}/manifest.json              what Torus reads; replaced last of all

The receipt has no clock time, no student and no secret: the same request over the same data gives the same receipt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol

import msgspec

from torus_assets.datasets.csv_tables import CSV_VERSION
from torus_assets.datasets.datashop.rules import DATASHOP_VERSION
from torus_assets.datasets.links import RELATIVE, Links
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.reading import DUPLICATE, SUPERSEDED, Part, Tally
from torus_assets.datasets.request import Request
from torus_assets.xapi.tables import PARSER_VERSION

RECEIPT_VERSION = 2


class Store(Protocol):
    """What is used of `clients.object_store.ObjectStore`."""

    url: str

    def uri(self, key: str) -> str: ...
    def get(self, key: str) -> Any: ...
    def stream(self, key: str, chunk_bytes: int = ...) -> Any: ...
    def put(self, key: str, body: Any) -> None: ...
    def list(self, prefix: str = "") -> Iterator[Any]: ...
    def delete(self, keys: Any) -> None: ...


def encoded(document: Mapping[str, Any]) -> bytes:
    """One spelling of a document: sorted keys, two blanks, final line end."""
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"


def code_version() -> str:
    """Everything of ours that decides the bytes."""
    try:
        package = version("torus-assets")
    except PackageNotFoundError:
        package = "unpackaged"
    return f"torus-assets {package}, csv {CSV_VERSION}, datashop {DATASHOP_VERSION}, parser {PARSER_VERSION}"


def shown_request(request: Request, key: PseudonymKey) -> dict[str, Any]:
    """The request with its list of students as count and keyed digest (D-18)."""
    document = request.document()
    students = document.pop("ignored_student_ids")
    return document | {"ignored_students": {"count": len(students), "keyed_digest": key.digest("ignored students", students)}}


def inputs(request: Request, key: PseudonymKey, parts: list[Part], held: list[str], lookup: str | None) -> dict[str, Any]:
    """All that decides the bytes of the files."""
    return {
        "request": shown_request(request, key),
        "code_version": code_version(),
        "key_fingerprint": key.fingerprint,
        "lookup_sha256": lookup,
        "held_days_included": held,
        "read": [part.document() for part in parts],
    }


def run_id(decided_by: Mapping[str, Any]) -> str:
    """The content id of a run: 32 hex characters."""
    return hashlib.sha256(msgspec.json.encode(decided_by, order="sorted")).hexdigest()[:32]


def receipt(
    run: str, decided_by: Mapping[str, Any], delta_version: int, tally: Tally, files: Sequence[Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The receipt. `rows.read = rows.exported + all excluded + superseded`, or this raises: a loss must not look like success.

    Args:
        files: `output.OutFile`s.
        more: `checks`, `sections` and `notes` of the data set.
    """
    exported = sum(tally.exported.values())
    missing = tally.read - exported - sum(tally.excluded.values()) - tally.duplicates - tally.superseded
    if missing:
        raise RuntimeError(f"{missing} of {tally.read} rows unaccounted for: the data set is not published")
    counts = [{"section_id": section, "kind": kind, "rows": rows} for (section, kind), rows in sorted(tally.exported.items())]
    document = {
        "receipt_version": RECEIPT_VERSION,
        "run": run,
        **decided_by,
        "delta_version": delta_version,
        "rows": {"read": tally.read, "exported": exported},
        "excluded": dict(sorted(tally.excluded.items())),
        "superseded": {DUPLICATE: tally.duplicates} | ({SUPERSEDED: tally.superseded} if tally.superseded else {}),
        "counts": counts,
        "files": [file._asdict() for file in files],
        **more,
    }
    return msgspec.json.decode(encoded(document))  # as it will be read again: lists, not tuples


def manifest(request: Request, run: str, receipt: Mapping[str, Any], store: Store) -> dict[str, Any]:
    """What Torus reads (spec/datasets.md 7), with links relative to the manifest and nobody's id in it.

    No rows gives no chunks, as in the job this replaces, and `rows` says so.
    """
    address = store.uri(f"{request.job_id}/manifest.json")
    context = {
        "bucket_name": None,  # read from the lake, not from the bucket of bundles
        "inventory_bucket_name": None,
        "results_bucket_name": address.split("/")[2] if address.startswith("s3://") else None,
        "job_id": request.job_id,
        "ignored_student_ids": [],
        "ignored_students": len(request.ignored_student_ids),
        "chunk_size": request.chunk_rows,
        "section_ids": list(request.section_ids),
        "page_ids": list(request.page_ids) if request.page_ids is not None else None,
        "action": request.action,
        "sub_types": list(request.sub_types),
        "exclude_fields": list(request.exclude_fields),
        "project_id": request.project_id,
        "anonymize": request.anonymize,
        "debug": False,
        "lookup": {},
    }
    return {
        "context": context,
        "chunks": [f"runs/{run}/{file['name']}" for file in receipt["files"] if file["what"] == "chunk"],
        "receipt": f"runs/{run}/receipt.json",
        "page": f"runs/{run}/index.html",
        "rows": receipt["rows"]["exported"],
    }


def complete(store: Store, folder: str) -> dict[str, Any] | None:
    """The receipt of a finished run whose files are all there with the right checksums; else None."""
    try:
        found = msgspec.json.decode(store.get(f"{folder}receipt.json").body)
        whole = all(is_whole(store, folder, file) for file in found["files"])
    except (FileNotFoundError, msgspec.DecodeError, KeyError):
        return None
    return found if whole else None


LEADS_ON = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Data set</title><meta http-equiv="refresh" content="0; url={page}"></head>
<body><p>The newest run of this data set: <a href="{page}">its page</a>.</p></body></html>
"""


def publish(store: Store, request: Request, run: str, found: Mapping[str, Any], links: Links = RELATIVE) -> None:
    """Points the job's page, then its manifest, at the run, unless they do already."""
    _replace(store, f"{request.job_id}/index.html", LEADS_ON.format(page=f"runs/{run}/index.html").encode())
    _replace(store, f"{request.job_id}/manifest.json", encoded(links.spoken(manifest(request, run, found, store))))


def _replace(store: Store, key: str, body: bytes) -> None:
    try:
        if store.get(key).body == body:
            return
    except FileNotFoundError:
        pass
    store.put(key, body)


def is_whole(store: Store, folder: str, file: Mapping[str, Any]) -> bool:
    """Whether a file of the receipt is there, with the checksum it had."""
    try:
        return _sha256(store, folder + file["name"]) == file["sha256"]
    except FileNotFoundError:
        return False


def _sha256(store: Store, key: str) -> str:
    digest = hashlib.sha256()
    for piece in store.stream(key).chunks:
        digest.update(piece)
    return digest.hexdigest()


Progress = Callable[[int, int], None]
