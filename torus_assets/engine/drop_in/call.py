"""What Torus asks for when it starts a job: its argument list, read whole or refused with every mistake named.

Source: spec/datasets.md 2, 3.2 and 4. Torus' arguments mean here what they meant to the old job. Every key of a request (docs/datasets.md) is
an argument, too, and a few say where things are (`PLACES`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from torus_assets.clients.object_store import open_store
from torus_assets.datasets.links import LinkKind
from torus_assets.datasets.old_names import read_arguments
from torus_assets.datasets.request import Request, RequestError, parse_request
from torus_assets.datasets.request_reader import DATASHOP
from torus_assets.settings import Settings

RESULTS_BUCKET = "torus-datasets-prod"  # Torus never names another one (D-17)
OLD_DIALECT = "compat"  # who reads Torus' data sets today parses these cells
KEY_BYTES = 16  # of a pseudonym key
PLACES = ("bucket_name", "inventory_bucket_name", "results_bucket_name", "lake_url", "scratch_url")
OTHERS = ("links", "debug")
NOTHING = ("", "nil", "null", "none")  # how a project that is not enforced may be spelt
CATEGORIES: Mapping[str, frozenset[str]] = {  # action -> what its rows are uploaded under
    "attempt_evaluated": frozenset({"attempt_evaluated"}),
    "page_viewed": frozenset({"page_viewed"}),
    "video": frozenset({"video"}),
    "datashop": frozenset({"attempt_evaluated", "tutor_message", "page_viewed"}),
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


class WrongCall(ValueError):
    """The argument list cannot be used; `problems` lists every mistake, `name: what is wrong`."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("call refused: " + "; ".join(self.problems))


@dataclass(frozen=True)
class Call:
    """A checked call. Places are URLs; the names are as they were given, for the manifest's context."""

    request: Request
    bundles_url: str
    inventory_url: str
    results_url: str
    names: Mapping[str, str | None]
    lake_url: str | None  # rows come from this lake; None: from the bundles
    scratch_url: str | None
    links: LinkKind
    debug: bool
    notes: tuple[str, ...]  # what of the arguments was ignored or read in another way

    @property
    def categories(self) -> frozenset[str]:
        return CATEGORIES[self.request.action]

    @property
    def context(self) -> dict[str, Any]:
        """The part of the manifest's context that only the call knows. Its sections: all of them, also those without an event."""
        return {**self.names, "section_ids": list(self.request.section_ids), "debug": self.debug}


def call_of(argv: Sequence[str], settings: Settings) -> Call:
    """The call in an argument list. An empty value counts as left out.

    Raises:
        WrongCall: with all mistakes at once; ids of students appear in none.
    """
    found = read_arguments(argv)
    problems = list(found.problems)
    given = {name: value.strip() for name, value in found.document.items() if value.strip()}
    for name in ("enforce_project_id", "project_id"):
        if given.get(name, "").lower() in NOTHING:
            given.pop(name, None)
    said = {name: given.pop(name) for name in (*PLACES, *OTHERS) if name in given}
    request = _request(given, settings, problems)
    urls = {name: _url(name, said[name], problems) for name in PLACES if name in said}
    lake = urls.get("lake_url") or _named_lake(settings)
    if "bucket_name" not in said and lake is None:
        problems.append("bucket_name: missing")
    source = said.get("bucket_name")
    inventory = said.get("inventory_bucket_name") or (f"{source.rstrip('/')}-inventory" if source else None)
    results = said.get("results_bucket_name", RESULTS_BUCKET)
    if settings.pseudonym_key and len(settings.pseudonym_key.encode()) < KEY_BYTES:
        problems.append(f"TORUS_PSEUDONYM_KEY: expected at least {KEY_BYTES} bytes")
    kind = said.get("links", "absolute")
    if kind not in get_args(LinkKind):
        problems.append(f"links: expected {', '.join(get_args(LinkKind))}")
    if problems or request is None:
        raise WrongCall(problems)
    return Call(
        request=request,
        bundles_url=urls.get("bucket_name", ""),
        inventory_url=urls.get("inventory_bucket_name") or (url_of(inventory) if inventory else ""),
        results_url=url_of(results),
        names={"bucket_name": source, "inventory_bucket_name": inventory, "results_bucket_name": results},
        lake_url=lake,
        scratch_url=urls.get("scratch_url") or settings.scratch_url,
        links=cast("LinkKind", kind),
        debug=said.get("debug") == "true",  # as the old job read it
        notes=request.notes,
    )


def url_of(place: str) -> str:
    """A bucket's name, or a URL, as the URL that a store is opened with."""
    return place.rstrip("/") if "://" in place or place.startswith("/") else f"s3://{place}"


def _url(name: str, place: str, problems: list[str]) -> str:
    url = url_of(place)
    if url == f"s3://{place}" and not _BUCKET.fullmatch(place):
        problems.append(f"{name}: expected the name of a bucket, or s3://bucket/prefix")
        return ""
    try:
        open_store(url)
    except ValueError as error:
        problems.append(f"{name}: {error}")
    return url


def _request(given: dict[str, str], settings: Settings, problems: list[str]) -> Request | None:
    """The request in the arguments that are left when the places are known."""
    size = given.pop("chunk_size", None)
    rows_named = "chunk_rows" in given or size is None
    document: dict[str, Any] = dict(given) if rows_named else {**given, "chunk_rows": size}
    if given.get("action") != DATASHOP.name and given.get("preset") != DATASHOP.name:
        document.setdefault("dialect", settings.dataset_dialect or OLD_DIALECT)
    try:
        return parse_request(document)
    except RequestError as error:
        problems.extend(one if rows_named else re.sub(r"^chunk_rows:", "chunk_size:", one) for one in error.problems)
        return None


def _named_lake(settings: Settings) -> str | None:
    """The lake's URL where the environment names one; the embedded default names none."""
    return None if settings.lake_url == f"file://{settings.home / 'lake'}" else settings.lake_url
