"""Objects in an S3 bucket, through obstore; credentials from boto3's default chain only.

obstore lists by path segment and gives up a whole listing at the first key that it cannot spell
(``a//b``, ``a/./b``; seen with 0.12.1). Such junk must not hide a day: from that key on the listing
goes on through boto3, which is slower per key but takes any.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore
from obstore.exceptions import AlreadyExistsError, InvalidPathError
from obstore.store import S3Store

from torus_assets.clients.object_store import (
    STREAM_BYTES,
    Fetched,
    Names,
    ObjectInfo,
    ObjectStore,
    PutMode,
    Streamed,
    checked_key,
    checked_prefix,
)

if TYPE_CHECKING:
    from obstore import Attributes
    from obstore.store import ClientConfig, S3Config

PAGE_KEYS = 1000  # what S3 gives per listing call
PART_BYTES = 16 << 20
CONTENT_TYPES = {
    "html": "text/html; charset=utf-8", "json": "application/json", "csv": "text/csv; charset=utf-8", "xml": "application/xml",
    "txt": "text/plain; charset=utf-8",
}  # fmt: skip
PARTS_AT_ONCE = 4  # an upload holds PART_BYTES times this
CREATE_WHOLE_BYTES = 32 << 20  # obstore reads the whole file for a create-only put; beyond this boto3 streams it
CONNECT_SECONDS = 10
READ_SECONDS = 60  # without a byte
REQUEST_MINUTES = 30  # a 500 MB body through a slow line
# boto3 renews temporary credentials 15 minutes before their end: what it hands out lives this long at least
CREDENTIALS_LIVE = timedelta(minutes=10)
# found by delta-rs itself, and renewed by it: botocore's names of the places
_DELTA_FINDS = frozenset({"env", "iam-role", "container-role", "assume-role-with-web-identity"})


class S3Objects(ObjectStore):
    """Objects of one bucket below one prefix."""

    is_local = False

    def __init__(self, bucket: str, prefix: str, options: dict[str, str]) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self.options = options
        self.url = f"s3://{bucket}/{prefix}".rstrip("/")
        self._base = prefix + "/" if prefix else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return S3Objects, (self.bucket, self.prefix, self.options)

    def __repr__(self) -> str:
        return f"S3Objects({self.url!r})"

    def uri(self, key: str) -> str:
        return f"{self.url}/{checked_key(key)}"

    def get(self, key: str) -> Fetched:
        found = self._get(key)
        meta = found.meta
        return Fetched(bytes(found.bytes()), _etag(meta), meta["last_modified"])

    def stream(self, key: str, chunk_bytes: int = STREAM_BYTES) -> Streamed:
        found = self._get(key)
        meta = found.meta
        chunks = map(bytes, found.stream(min_chunk_size=chunk_bytes))
        return Streamed(meta["size"], _etag(meta), meta["last_modified"], chunks)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        try:
            return bytes(obstore.get_range(self._store, checked_key(key), start=start, length=length)) if length else b""
        except FileNotFoundError:
            raise FileNotFoundError(self.uri(key)) from None

    def head(self, key: str) -> ObjectInfo | None:
        try:
            return _info(obstore.head(self._store, checked_key(key)))
        except FileNotFoundError:
            return None

    def put(self, key: str, body: bytes | Path, mode: PutMode = "overwrite") -> None:
        create = mode == "create"
        if create and isinstance(body, Path) and body.stat().st_size > CREATE_WHOLE_BYTES:
            return self._create_from(body, key)
        try:
            obstore.put(
                self._store,
                checked_key(key),
                body,
                attributes=_attributes(key),
                mode=mode,
                use_multipart=False if create else None,
                chunk_size=PART_BYTES,
                max_concurrency=PARTS_AT_ONCE,
            )
        except AlreadyExistsError:
            raise FileExistsError(self.uri(key)) from None

    def move(self, source: str, target: str) -> None:
        try:
            obstore.copy(self._store, checked_key(source), checked_key(target))  # one request, up to 5 GB
        except FileNotFoundError:
            raise FileNotFoundError(self.uri(source)) from None
        self.delete([source])

    def delete(self, keys: Iterable[str]) -> None:
        if checked := [checked_key(key) for key in keys]:
            obstore.delete(self._store, checked)  # by requests of 1,000 keys

    def list(self, prefix: str = "", after: str | None = None) -> Iterator[ObjectInfo]:
        last = after or ""
        try:
            for info in self._spelt(checked_prefix(prefix), last):
                yield info
                last = info.key
        except InvalidPathError:
            yield from self._any_spelling(prefix, last)

    def folders(self, prefix: str = "") -> Names:
        folder = checked_prefix(prefix).strip("/")
        try:
            found = obstore.list_with_delimiter(self._store, folder or None)["common_prefixes"]
        except InvalidPathError:
            found = self._any_folders(folder)
        return sorted(path.rpartition("/")[2] for path in found)

    def _get(self, key: str) -> obstore.GetResult:
        try:
            return obstore.get(self._store, checked_key(key))
        except FileNotFoundError:
            raise FileNotFoundError(self.uri(key)) from None

    def _spelt(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        folder, _, start = prefix.rpartition("/")
        offset = max(after, _just_before(prefix) if start else "")
        for page in obstore.list(self._store, folder or None, offset=offset or None, chunk_size=PAGE_KEYS):
            for meta in page:
                key = meta["path"]
                if key > after and key.startswith(prefix):
                    yield _info(meta)
                elif key > prefix and not key.startswith(prefix):
                    return

    def _any_spelling(self, prefix: str, after: str) -> Iterator[ObjectInfo]:
        pages = self._boto3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self._base + prefix, StartAfter=self._base + after if after else ""
        )
        for page in pages:
            for found in page.get("Contents", ()):
                key = found["Key"][len(self._base) :]
                if key:
                    yield ObjectInfo(key, found["Size"], found["ETag"].strip('"'), found["LastModified"].astimezone(UTC))

    def _any_folders(self, folder: str) -> Names:
        base = self._base + folder + "/" * bool(folder)
        pages = self._boto3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=base, Delimiter="/")
        found = (entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", ()))
        return [name for path in found if (name := path[len(base) : -1]) not in ("", ".", "..")]

    def _create_from(self, body: Path, key: str) -> None:
        from botocore.exceptions import ClientError

        try:
            with body.open("rb") as file:
                self._boto3.put_object(Bucket=self.bucket, Key=self._base + checked_key(key), Body=file, IfNoneMatch="*")
        except ClientError as error:
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 412:
                raise FileExistsError(self.uri(key)) from None
            raise

    @cached_property
    def _store(self) -> S3Store:
        config: S3Config = {"region": region_of(self.options)}
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS),
            "timeout": timedelta(minutes=REQUEST_MINUTES),
        }
        if endpoint := endpoint_of(self.options):
            config["endpoint"] = endpoint
            config["virtual_hosted_style_request"] = False
            client["allow_http"] = endpoint.startswith("http://")
        return S3Store(
            self.bucket,
            prefix=self.prefix or None,
            config=config,
            client_options=client,
            retry_config={"max_retries": 6, "retry_timeout": timedelta(minutes=2)},
            credential_provider=_credentials(),
        )

    @cached_property
    def _boto3(self) -> Any:
        import boto3.session
        from botocore.config import Config

        config = Config(connect_timeout=CONNECT_SECONDS, read_timeout=READ_SECONDS, retries={"mode": "standard", "max_attempts": 6})
        endpoint, region = endpoint_of(self.options), region_of(self.options)
        return boto3.session.Session().client("s3", region_name=region, endpoint_url=endpoint, config=config)


def delta_options(options: dict[str, str]) -> dict[str, str]:
    """The options of delta-rs for the same place. Commits are conditional puts: no lock table."""
    told = {"AWS_REGION": region_of(options), "AWS_CONDITIONAL_PUT": "etag"}
    if endpoint := endpoint_of(options):
        told |= {"AWS_ENDPOINT_URL": endpoint, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
        told |= {"AWS_ALLOW_HTTP": "true"} if endpoint.startswith("http://") else {}
    return told | _keys_for_delta()


def _keys_for_delta() -> dict[str, str]:
    """Keys that only boto3 finds: profiles, SSO, credential processes, assumed roles."""
    credentials = _credentials().credentials
    if credentials.method in _DELTA_FINDS:
        return {}
    frozen = credentials.get_frozen_credentials()
    keys = {"AWS_ACCESS_KEY_ID": frozen.access_key, "AWS_SECRET_ACCESS_KEY": frozen.secret_key}
    return keys | ({"AWS_SESSION_TOKEN": frozen.token} if frozen.token else {})


def _credentials() -> Any:
    import boto3.session
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.session.Session()
    if session.get_credentials() is None:
        raise PermissionError("no AWS credentials found (environment, profile, role): S3 needs the default chain")
    return Boto3CredentialProvider(session, ttl=CREDENTIALS_LIVE)


def _attributes(key: str) -> Attributes:
    """The content type, where a browser goes by it: a page is to open, not to be saved (D-30)."""
    kind = CONTENT_TYPES.get(key.rpartition(".")[2])
    return {} if kind is None else {"Content-Type": kind}


def endpoint_of(options: dict[str, str]) -> str | None:
    told = options.get("endpoint") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    return told or None


def region_of(options: dict[str, str]) -> str:
    told = options.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return told or "us-east-1"


def _just_before(prefix: str) -> str:
    """A text below every key that starts with ``prefix``, and above nearly all smaller keys; "" if unsure.

    S3 starts after a text, and the prefix may itself be a key.
    """
    last = prefix[-1]
    before = chr(ord(last) - (2 if last == "0" else 1))  # never a slash: that would make an empty segment
    return prefix[:-1] + before + "~" if "!" < last <= "~" else ""


def _info(meta: obstore.ObjectMeta) -> ObjectInfo:
    return ObjectInfo(meta["path"], meta["size"], _etag(meta), meta["last_modified"])


def _etag(meta: obstore.ObjectMeta) -> str:
    return (meta["e_tag"] or "").strip('"')
