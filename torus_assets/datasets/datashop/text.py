"""Text as XML and DataShop can take it, and how much of it had to change.

Source: spec/datashop.md 2, Characters. What cannot be stored is replaced, never dropped, and counted: deleting a character
changes an answer without a trace.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import NamedTuple

from torus_assets.datasets.datashop import rules

FORBIDDEN, ASTRAL, CUT = "control_characters_replaced", "astral_characters_replaced", "texts_cut"
DATABASE_WORDS = frozenset(["select", "insert", "update", "delete", "drop", "alter", "create", "table", "where", "from", "union"])
_ODD = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff\U00010000-\U0010ffff]")


class Clean(NamedTuple):
    """A text that can be written, and what was changed in it by kind; None: nothing."""

    text: str
    changed: Mapping[str, int] | None = None


def clean(text: str, limit: int) -> Clean:
    """`text` without what XML or DataShop cannot take, runs of tabs and line breaks as one blank, at most `limit` bytes of UTF-8.

    A character above U+FFFF becomes its plain form where Unicode has one (a mathematical letter its letter), else U+FFFD, as does a
    control character or a lone surrogate. The cut falls between characters.
    """
    changed: dict[str, int] = {}
    if _ODD.search(text):
        text, control = rules.FORBIDDEN.subn(rules.STAND_IN, text)
        text, astral = rules.ASTRAL.subn(_plain, text)
        text = rules.BLANKS.sub(" ", text)
        changed = {name: n for name, n in ((FORBIDDEN, control), (ASTRAL, astral)) if n}
    text = text.strip()
    if len(text) * 3 > limit and len(text.encode()) > limit:  # no character left takes more than three bytes
        text = text.encode()[:limit].decode(errors="ignore").rstrip()
        changed[CUT] = 1
    return Clean(text, changed or None)


def _plain(found: re.Match[str]) -> str:
    plain = unicodedata.normalize("NFKC", found[0])
    return plain if plain.isascii() or not rules.ASTRAL.search(plain) else rules.STAND_IN


def level_name(title: str) -> Clean:
    """Name of a level. The tab loader removes single quotes there, so both forms get a typographic one."""
    return clean(title.replace("'", "\u2019"), rules.LEVEL)


def heading_name(name: str, limit: int) -> str:
    """A name as it may stand in a column heading (of a KC model or a custom field): letters, digits, blank, dash, underscore, and no
    word of the database, which DataShop refuses."""
    shown = re.sub(r"[^A-Za-z0-9 _-]+", "_", name).strip()[:limit].strip() or "unnamed"
    return f"{shown}_" if shown.lower() in DATABASE_WORDS else shown
