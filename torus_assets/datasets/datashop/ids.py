"""Ids that come from the events' own: the same events give the same ids, in any run."""

from __future__ import annotations

import hashlib

import msgspec

from torus_assets.datasets.datashop import rules

_SUFFIX = 20  # characters kept free for the suffix of a hint


def digest(*parts: object) -> str:
    """Of what makes an id, as hex."""
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def identifier(text: str) -> str:
    """`text` as a message id; its digest when it is too long or not plain."""
    return text if len(text) <= rules.MESSAGE_ID - _SUFFIX and text.isascii() else digest(text)[:32]
