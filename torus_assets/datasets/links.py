"""How a manifest speaks of the files of its run, and of the buckets around them.

Ours are relative to the manifest, so that a folder can be copied. Torus shows `chunks` to people as they stand (spec/datasets.md 7), so what
it starts gets absolute ones. Signed ones open without a public bucket, until they expire.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torus_assets.clients.addresses import signed_address, web_address

LinkKind = Literal["relative", "absolute", "signed"]
KINDS: tuple[LinkKind, ...] = ("absolute", "relative", "signed")
SIGNED_SECONDS = 7 * 86_400  # the longest that S3 signs for; under temporary credentials the link ends with them


@dataclass(frozen=True)
class Links:
    """What is put into a manifest before it is written."""

    address: Callable[[str], str] | None = None  # of a key of the store; None: relative to the manifest
    context: Mapping[str, Any] = field(default_factory=dict)  # what the caller knows better than the run: names of buckets
    more: Mapping[str, Any] = field(default_factory=dict)  # members beside those of the run: what was left out before it (D-06)

    def spoken(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest (`receipt.manifest`) with these links. `receipt` and `page` stay relative: our own commands follow them."""
        context = {**manifest["context"], **self.context}
        chunks = manifest["chunks"]
        if self.address is not None:
            chunks = [self.address(f"{context['job_id']}/{chunk}") for chunk in chunks]
        return {**manifest, **self.more, "context": context, "chunks": chunks}


RELATIVE = Links()


def links(kind: LinkKind, store_url: str, context: Mapping[str, Any]) -> Links:
    """Links of a kind to objects below `store_url`."""
    if kind == "relative":
        return Links(None, context)
    if kind == "signed":
        return Links(lambda key: signed_address(store_url, key, SIGNED_SECONDS), context)
    return Links(lambda key: web_address(store_url, key), context)
