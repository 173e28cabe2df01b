"""Which data sets contain a learner: runs by pseudonym or name, lookups and requests by id. Nothing is changed here.

A run of the key in use is searched for the learner's pseudonym in its scope; every file of its folder, text as it stands, Parquet by
column. A run that names learners is searched for their id and the e-mail address of its lookup. What cannot be told is said to be so.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pyarrow.parquet as pq

from torus_assets.clients.object_store import ObjectInfo, ObjectStore
from torus_assets.datasets import run_rows
from torus_assets.datasets.catalog import is_withdrawn, request_key
from torus_assets.datasets.export import lookup_key
from torus_assets.datasets.lookup import LookupInvalid, parse_lookup
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.request import RequestError, parse_request
from torus_assets.datasets.request_values import is_job_id
from torus_assets.datasets.run_folder import Run, folders, receipt_of

PARQUET_ROWS = 20_000
AROUND = rb"A-Za-z0-9._@+-"  # next to one of these, an id is part of a longer word


@dataclass(frozen=True)
class Holding:
    """A place that contains the learner, or may."""

    job_id: str
    what: Literal["run", "lookup", "request"]
    place: str  # key of the run's folder, with a final slash, or of the document
    certain: bool  # they are in it; else `why` says why that cannot be told
    command: str  # takes it back
    files: tuple[str, ...] = ()  # of a run, those that contain them
    why: str = ""

    def document(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, repr=False)
class Sought:
    """The learner who is looked for."""

    home_page: str | None  # as rows of the lake have it
    user_id: str
    key: PseudonymKey | None  # None: there is none, so no pseudonym can be made

    def pseudonyms(self, scope: str) -> list[bytes]:
        """In a scope: of their rows, and of their id in the texts of others where the host was not known."""
        if self.key is None:
            return []
        names = self.key.scoped(scope)
        return [names.learner(home, self.user_id).encode() for home in {self.home_page, None}]


@dataclass(frozen=True, repr=False)
class _Names:
    """Words that stand for the learner in a run. `ids` may be something else where they stand; `sure` may not."""

    sure: list[bytes] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)


def holdings(store: ObjectStore, sought: Sought, scratch: Path) -> list[Holding]:
    """Every run, lookup and request of the store that contains the learner or may, by job.

    Args:
        scratch: room for one file of a store that is no folder.
    """
    scratch.mkdir(parents=True, exist_ok=True)
    found: list[Holding] = []
    with tempfile.TemporaryDirectory(dir=scratch, prefix="holding-") as room:
        for job_id in _jobs(store):
            emails, lookup = _lookup(store, sought, job_id)
            found += [*_request(store, sought, job_id), *lookup]
            for folder, objects in folders(store, job_id):
                found += _run(store, sought, job_id, folder, objects, emails, Path(room))
    return found


def _jobs(store: ObjectStore) -> list[str]:
    """Ids of all jobs of which anything stands in the store."""
    named = {
        info.key.removeprefix(place).removesuffix(".json")
        for place in ("requests/", "contexts/")
        for info in store.list(place)
        if info.key.endswith(".json")
    }
    return sorted(name for name in named | {name for name in store.folders() if store.folders(f"{name}/runs")} if is_job_id(name))


def _command(store: ObjectStore, job_id: str) -> str:
    if is_withdrawn(store, job_id):
        return "torus dataset expire --withdrawn-days 0 --lookup-days 0"
    return f"torus dataset withdraw {job_id} --by NAME"


def _body(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key).body
    except FileNotFoundError:
        return None


# Documents beside the runs


def _request(store: ObjectStore, sought: Sought, job_id: str) -> Iterator[Holding]:
    """A request names the students whom a data set has to leave out."""
    body = _body(store, request_key(job_id))
    if body is None:
        return
    try:
        is_named, why = sought.user_id in parse_request(body).ignored_student_ids, ""
    except RequestError:
        is_named, why = _stands_in(body, [sought.user_id.encode()]), "the request cannot be read, and the id stands in it"
    if is_named:
        yield Holding(job_id, "request", request_key(job_id), not why, _command(store, job_id), why=why)


def _lookup(store: ObjectStore, sought: Sought, job_id: str) -> tuple[list[bytes], list[Holding]]:
    """E-mail addresses that the job's lookup gives the learner, and the lookup if it names them."""
    body = _body(store, lookup_key(job_id))
    if body is None:
        return [], []
    certain, why = True, ""
    try:
        lookup = parse_lookup(body)
        is_named = sought.user_id in lookup.user_ids
        emails = [lookup.users[sought.user_id].encode()] if sought.user_id in lookup.users else []
    except LookupInvalid:
        is_named, emails = _stands_in(body, [sought.user_id.encode()]), []
        certain, why = False, "the lookup cannot be read, and the id stands in it"
    return emails, [Holding(job_id, "lookup", lookup_key(job_id), certain, _command(store, job_id), why=why)] if is_named else []


# Runs


def _run(
    store: ObjectStore, sought: Sought, job_id: str, folder: str, objects: Iterable[ObjectInfo], emails: list[bytes], scratch: Path
) -> Iterator[Holding]:
    receipt = receipt_of(store, folder)
    run = Run(store, folder, receipt) if receipt else None
    request = receipt["request"] if receipt else _asked(store, job_id)
    anonymous = bool(request.get("anonymize", True))
    user = [sought.user_id.encode()]
    names = _Names(sure=sought.pseudonyms(str(request.get("scope") or job_id))) if anonymous else _Names(sure=emails, ids=user)
    files = [info.key.removeprefix(folder) for info in objects if _contains(store, info.key, names.sure, scratch)]
    if run and not anonymous and _has_rows(run, names, scratch):
        hits = [info.key.removeprefix(folder) for info in objects if _contains(store, info.key, names.ids, scratch)]
        files += hits or [file["name"] for file in run.files()]  # an id that XML or CSV spells another way
    why = "" if files else _unsure(sought, run, request, emails)
    if files or why:
        yield Holding(job_id, "run", folder, bool(files), _command(store, job_id), tuple(sorted(set(files))), why)


def _asked(store: ObjectStore, job_id: str) -> dict[str, Any]:
    """The request of a run without a receipt, as far as it can be read."""
    try:
        return parse_request(_body(store, request_key(job_id)) or b"").document()
    except RequestError:
        return {}


def _unsure(sought: Sought, run: Run | None, request: dict[str, Any], emails: list[bytes]) -> str:
    """Why a run without a trace of the learner may contain them all the same; empty when it does not."""
    if run is None:
        return "the run was never finished: no receipt says how it was made"
    fingerprint = run.receipt.get("key_fingerprint")
    if request.get("anonymize", True):
        if sought.key is None:
            return "no pseudonym key is set (TORUS_PSEUDONYM_KEY)"
        if fingerprint != sought.key.fingerprint:
            return f"made under the key with fingerprint {fingerprint}"
    elif run.receipt.get("lookup_sha256") and not emails:
        return "learners stand in it by e-mail address, and its lookup, which would tell theirs, is gone or does not have it"
    if "user_id" in (request.get("exclude_fields") or ()):
        return "its rows have no column that tells learners apart"
    return ""


def _has_rows(run: Run, names: _Names, scratch: Path) -> bool:
    """Whether rows are theirs, by the column of learners: an id of digits alone may be any number elsewhere."""
    form = run.receipt["request"].get("format", ["csv"])[0]
    column = "student" if form.startswith("datashop") else "user_id"
    if column not in run_rows.columns_of(run, form):
        return False
    wanted = {name.decode() for name in (*names.ids, *names.sure)}
    try:
        return any(not wanted.isdisjoint(batch.column(column).to_pylist()) for batch in run_rows.batches(run, form, scratch))
    except FileNotFoundError:  # a file of the receipt is gone: what is left of the text has to do
        return True


# Files


def _contains(store: ObjectStore, key: str, words: list[bytes], scratch: Path) -> bool:
    if not words:
        return False
    try:
        return _parquet_contains(store, key, words, scratch) if key.endswith(".parquet") else _text_contains(store, key, words)
    except FileNotFoundError:  # gone meanwhile
        return False


def _text_contains(store: ObjectStore, key: str, words: list[bytes]) -> bool:
    rest = b""
    longest = max(map(len, words)) + 2  # and one byte on each side
    for piece in store.stream(key).chunks:
        if _stands_in(rest + piece, words):
            return True
        rest = (rest + piece)[-longest:]
    return False


def _stands_in(text: bytes, words: list[bytes]) -> bool:
    """Whether one of the words stands in the text as a whole word."""
    return any(re.search(rb"(?<![%b])%b(?![%b])" % (AROUND, re.escape(word), AROUND), text) for word in words if word in text)


def _parquet_contains(store: ObjectStore, key: str, words: list[bytes], scratch: Path) -> bool:
    if store.is_local:
        return _columns_contain(store.path(key), words)
    path = scratch / "fetched.parquet"
    with path.open("wb") as file:
        for piece in store.stream(key).chunks:
            file.write(piece)
    return _columns_contain(path, words)


def _columns_contain(path: Path, words: list[bytes]) -> bool:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(PARQUET_ROWS):
            texts = pl.DataFrame(batch).select(pl.selectors.string())
            for column in texts:
                suspects = column.filter(column.str.contains_any([word.decode() for word in words]))
                if any(_stands_in(text.encode(), words) for text in suspects):
                    return True
    return False
