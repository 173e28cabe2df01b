"""A tutor-message document as a stream: its beginning, its messages one at a time, and exact lines of what was found.

Three readers share the work. expat reads the beginning, because a document type has to be refused before anything expands its
entities. libxml2 reads the messages, the tree of one at a time. Its line numbers are guesses beyond 65,535, so expat goes over the
file once more for the lines of findings, if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO
from xml.parsers import expat

from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  it has no types

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.findings import Findings, Place

Opener = Callable[[], BinaryIO]

CONTEXT, TOOL, TUTOR, MESSAGE = "context_message", "tool_message", "tutor_message", "message"
MESSAGES = (CONTEXT, TOOL, TUTOR, MESSAGE)

_PIECE = 1 << 18
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_SPACE = " "  # between namespace and name, in expat's names
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
# What libxml2 calls them, in words; its own messages quote the text around the mistake.
_MISTAKES: Mapping[str, str] = {
    "ERR_TAG_NAME_MISMATCH": "an end tag does not match its start tag",
    "ERR_TAG_NOT_FINISHED": "the file ends within an element",
    "ERR_GT_REQUIRED": "the file ends within a tag, or a tag has no end",
    "ERR_DOCUMENT_END": "there is more after the end of the root element, or the file ends too early",
    "ERR_DOCUMENT_EMPTY": "there is no element",
    "ERR_INVALID_CHAR": "a character that XML forbids",
    "ERR_INVALID_CHARREF": "a reference to a character that XML forbids",
    "ERR_INVALID_ENCODING": "bytes that are not UTF-8",
    "ERR_UNDECLARED_ENTITY": "an entity that XML does not know",
    "ERR_NAME_REQUIRED": "a bare `<` or `&` in a text, or an element without name",
    "ERR_ENTITYREF_SEMICOL_MISSING": "a bare `&` in a text",
    "ERR_LT_IN_ATTRIBUTE": "a bare `<` in an attribute",
    "ERR_ATTRIBUTE_REDEFINED": "an attribute stands twice",
    "ERR_RESOURCE_LIMIT": "elements are nested too deeply, or one text is too long",
}


class _Read(Exception):
    """Stops expat once it has read enough."""


class CountedBytes:
    """A file that knows how much of it was read."""

    def __init__(self, source: BinaryIO) -> None:
        self.source = source
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        piece = self.source.read(size)
        self.count += len(piece)
        return piece


class Beginning:
    """What stands before the first message: declaration, document type, root. Checks itself on reading."""

    def __init__(self, name: str, open_file: Opener, findings: Findings) -> None:
        self.name, self.findings = name, findings
        self.readable = True  # False: nothing more of this file is read for messages
        self.declared = False
        self.parser = parser = expat.ParserCreate(namespace_separator=_SPACE)
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._root
        with open_file() as source:
            try:
                piece = source.read(_PIECE)
                if piece.startswith(_OTHER_MARKS):
                    self._stop("xml.encoding", "the file begins with the mark of UTF-16; expected UTF-8")
                while piece:
                    parser.Parse(piece, False)
                    piece = source.read(_PIECE)
                parser.Parse(b"", True)
            except _Read:
                return
            except expat.ExpatError as error:
                self.readable = False
                findings.add("xml.malformed", Place(name, "", error.lineno), f"column {error.offset + 1}: {expat.ErrorString(error.code)}")

    def _fault(self, rule: str, text: str) -> None:
        self.findings.add(rule, Place(self.name, "", self.parser.CurrentLineNumber), text)

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.declared = True
        if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8"):
            self._stop("xml.encoding", f"the declaration says {encoding[:40]}; expected UTF-8")

    def _doctype(self, *_: object) -> None:
        self._stop("xml.doctype", "there is a DOCTYPE; nothing of this file was read. Take it out")

    def _stop(self, rule: str, text: str) -> None:
        self._fault(rule, text)
        self.readable = False
        raise _Read

    def _root(self, tag: str, attributes: Mapping[str, str]) -> None:
        if not self.declared:
            self._fault("xml.declaration", 'there is no XML declaration; expected <?xml version="1.0" encoding="UTF-8"?>')
        if tag != rules.ROOT:
            what = "a message stands without root" if tag in MESSAGES else f"the root is {tag[:60]}"
            self._stop("xml.root", f"{what}; expected all messages within one {rules.ROOT}")
        version = attributes.get("version_number")
        if version != rules.VERSION:
            self._fault(
                "xml.version", f'version_number is {"missing" if version is None else repr(version[:20])}; expected "{rules.VERSION}"'
            )
        for name in attributes:
            if name != "version_number" and not name.startswith(_INSTANCE + _SPACE):
                self._fault("schema.attribute", f"the root takes no attribute {name[:60]}")
        raise _Read


def messages(name: str, open_file: Opener, source: CountedBytes, findings: Findings) -> Iterator[tuple[int, Any]]:
    """The messages of a document with their place among the children of the root, from 1; each is gone after its turn.

    Reading ends where the document is not well-formed, with a finding.
    """
    child = 0
    root: Any = None
    reader = etree.iterparse(
        source, events=("end",), tag=MESSAGES, huge_tree=True, resolve_entities=False, no_network=True, load_dtd=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip
    try:
        for _, element in reader:
            root = element.getroottree().getroot() if root is None else root
            if element.getparent() is not root:  # within something else at the root, which is a finding of its own
                element.clear(keep_tail=True)
                continue
            if child == 0:
                _stray(name, root.text, 1, findings)
            while (first := root[0]) is not element:
                child += _leave(name, first, child, findings)
            child += 1
            yield child, element  # it leaves the tree with the next one, when the text after it is known
        for element in list(reader.root):
            child += _leave(name, element, child, findings)
    except etree.XMLSyntaxError as error:
        last: Any = error.error_log.last_error
        line, column = error.position if error.position[0] else _position(open_file)
        kind = last.type_name if last is not None else "ERR_DOCUMENT_EMPTY"
        words = _MISTAKES.get(kind, kind.removeprefix("ERR_").replace("_", " ").lower())
        findings.add("xml.malformed", Place(name, "", line or None), f"column {column}: {words}")


def _position(open_file: Opener) -> tuple[int, int]:
    """Line and column of the first mistake, where libxml2 does not say; zeros if expat sees none."""
    parser = expat.ParserCreate()
    with open_file() as source:
        try:
            parser.ParseFile(source)
        except expat.ExpatError as error:
            return error.lineno, error.offset + 1
    return 0, 0


def _stray(name: str, text: str | None, child: int, findings: Findings) -> None:
    if text and not text.isspace():
        findings.add("xml.stray_text", Place(name, "", None, child), f"{len(text.strip())} characters stand between messages, near here")


def _leave(name: str, element: Any, child: int, findings: Findings) -> int:
    """Takes a child of the root out of the tree. One more child, if it was none of the messages, which are counted already."""
    fresh = element.tag not in MESSAGES  # a message had its turn already
    if fresh:
        tag = element.tag if isinstance(element.tag, str) else "?"
        findings.add("xml.root_child", Place(name, tag[:60], None, child + 1), f"{tag[:60]} is no message; expected {', '.join(MESSAGES)}")
    _stray(name, element.tail, child + fresh, findings)
    element.getparent().remove(element)
    return int(fresh)


def look_up_lines(open_file: Opener, places: Iterable[Place]) -> None:
    """Fills in the lines of places in a file, by another pass over it that only counts."""
    wanted: dict[tuple[int, int], list[Place]] = {}
    for place in places:
        wanted.setdefault((place.child, place.element), []).append(place)
    if not wanted:
        return
    parser = expat.ParserCreate(namespace_separator=_SPACE)
    depth = child = element = 0

    def start(_tag: str, _attributes: Mapping[str, str]) -> None:
        nonlocal depth, child, element
        depth += 1
        element += 1
        if depth == 2:
            child, element = child + 1, 0
        for place in wanted.pop((child, element), ()) if depth > 1 else ():
            place.line = parser.CurrentLineNumber
        if not wanted:
            raise _Read

    def end(_tag: str) -> None:
        nonlocal depth
        depth -= 1

    parser.StartElementHandler, parser.EndElementHandler = start, end
    with open_file() as source:
        try:
            while piece := source.read(_PIECE):
                parser.Parse(piece, False)
        except (_Read, expat.ExpatError):
            return  # all are found, or the rest of the file cannot be read
