"""The text of Torus' rich content: choices, hints, items and feedback.

Source: spec/datasets.md 8.1 and D-28. Content comes as a list of nodes, as `{"model": […]}`, `{"content": […]}` or
`{"children": […]}`, as a leaf with `text`, or as plain text.
"""

from __future__ import annotations

from typing import Any

# Nodes inside a line of text; what they hold runs on. Every other node with a `type` is a block of its own.
INLINE = frozenset({
    "a", "callout_inline", "cite", "command_button", "em", "foreign", "formula_inline", "image_inline", "img_inline", "input_ref", "link",
    "mark", "math_inline", "page_link", "popup", "span", "strong", "sub", "sup", "text",
})  # fmt: skip
FORMULAS = frozenset({"formula", "formula_inline", "math", "math_inline"})
PICTURES = frozenset({"img", "img_inline", "image", "image_inline", "figure", "audio", "video", "youtube", "iframe"})
FORMULA_TEXTS = ("src", "latex", "alt")  # the first that has text
INSIDE = ("children", "content", "model", "nodes")  # the first that there is; a popup's `content` shows on a click, its `children` always


def content_text(node: object) -> str:
    """The text in `node`; empty when there is none. Never raises, however odd or deep the content is.

    Leaves of one block run together, blocks are separated by one blank. A formula gives its source, a picture its `alt` and
    its caption, a block of code its lines.
    """
    if node is None:
        return ""
    blocks: list[str] = []
    line: list[str] = []
    waiting: list[Any] = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            line.append(one)
        elif isinstance(one, list | tuple):
            waiting.extend(reversed(one))
        elif isinstance(one, dict):
            _open(one, line, waiting)
        elif one is _BREAK:
            _close(line, blocks)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            line.append(_number(one))
    _close(line, blocks)
    return " ".join(blocks)


_BREAK = object()  # where a block begins and where it ends


def _open(node: dict[Any, Any], line: list[str], waiting: list[Any]) -> None:
    """Puts what stands in `node` on the line or on the stack, last piece first."""
    text = node.get("text")
    if isinstance(text, str):
        line.append(text)
        return
    kind = node.get("type")
    is_block = isinstance(kind, str) and kind not in INLINE
    if is_block:
        waiting.append(_BREAK)
    waiting.extend(piece for piece in reversed(_pieces(node, kind)) if piece is not None)
    if is_block:
        waiting.append(_BREAK)


def _pieces(node: dict[Any, Any], kind: object) -> list[Any]:
    """What of a node is text, in order of reading."""
    inside = next((node[name] for name in INSIDE if node.get(name) is not None), None)
    if not isinstance(kind, str):
        return [node.get("text"), inside]
    readable = FORMULA_TEXTS if kind in FORMULAS else ("alt",) if kind in PICTURES else ("code",) if kind == "code" else ()
    pieces = [_first_text(node, readable), inside]
    if node.get("caption") is not None:
        pieces += [_BREAK, node["caption"], _BREAK]
    return pieces


def _first_text(node: dict[Any, Any], names: tuple[str, ...]) -> str | None:
    return next((text for name in names if isinstance(text := node.get(name), str) and text.strip()), None)


def _close(line: list[str], blocks: list[str]) -> None:
    """Ends a block: its leaves are one text, and count only when there is something in it."""
    text = "".join(line).strip()
    line.clear()
    if text:
        blocks.append(text)


def _number(value: float) -> str:
    """A number where text was expected; one of thousands of digits is none that a person wrote (and Python refuses to write it)."""
    return str(value) if isinstance(value, float) or abs(value) < 1 << 64 else ""
