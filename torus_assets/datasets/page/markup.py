"""HTML from values: everything that is not `Markup` is escaped, so that no value can become a tag."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CELL_CHARACTERS = 80
VOID = frozenset({"meta", "br", "col"})

# What HTML forbids or a terminal acts on, and marks that turn the direction of the text around them.
_UNSHOWN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Markup(str):
    """HTML that is right as it stands. Only this module and `svg.py` make it."""

    __slots__ = ()


Content = str | int | float | None | Sequence["Content"]


class Column(NamedTuple):
    """Heading of a table's column."""

    name: Content
    numeric: bool = False


def text(value: object) -> Markup:
    """A value as text, escaped for elements and for attributes in double quotes."""
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(_UNSHOWN.sub("\ufffd", str(value))))


def joined(parts: Content) -> Markup:
    """Content as HTML, in order; None is nothing."""
    if parts is None:
        return Markup("")
    if isinstance(parts, (str, int, float)):
        return text(parts)
    return Markup("".join(map(joined, parts)))


def tag(name: str, /, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """An element. `class_` is `class`, other underscores are dashes; an attribute of None or False is left out."""
    shown = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{text(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Markup(f"<{name}{shown}>" + ("" if name in VOID else f"{joined(content)}</{name}>"))


def value(shown: object) -> Markup:
    """A value from outside within a sentence: its writing direction stays its own."""
    return tag("bdi", text(shown))


def code(shown: object) -> Markup:
    return tag("code", value(shown))


def number(shown: int | None) -> str:
    return "" if shown is None else f"{shown:,}"


def plural(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def cut(shown: str, characters: int = CELL_CHARACTERS) -> str:
    """At most so many characters, the last one `…` if there were more; line breaks as blanks."""
    shown = " ".join(shown[: 4 * characters].split())
    return shown if len(shown) <= characters else shown[: characters - 1] + "…"


def table(
    caption: Content,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Content]],
    *,
    foot: Sequence[Content] = (),
    class_: str | None = None,
) -> Markup:
    """A table that scrolls by itself when it is wider than the page. The first cell of a row is its heading."""
    head = [tag("th", column.name, scope="col", class_="n" if column.numeric else None) for column in columns]
    parts = [tag("caption", caption), tag("thead", tag("tr", head)), tag("tbody", [_row(columns, row) for row in rows])]
    if foot:
        parts.append(tag("tfoot", _row(columns, foot)))
    return tag("div", tag("table", parts, class_=class_), class_="scroll", tabindex=0, role="region", aria_label=plain(caption))


def _row(columns: Sequence[Column], row: Sequence[Content]) -> Markup:
    first, *rest = zip(columns, row, strict=True)
    cells = [tag("th", first[1], scope="row", class_="n" if first[0].numeric else None)]
    return tag("tr", cells, [tag("td", cell, class_="n" if column.numeric else None) for column, cell in rest])


def plain(content: Content) -> str:
    """The text of content, without its tags."""
    return html.unescape(re.sub("<[^>]*>", "", joined(content)))
