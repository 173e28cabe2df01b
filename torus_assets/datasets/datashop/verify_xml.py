"""A tutor-message document: its messages in order, joined as the importer joins them (spec/datashop.md 3).

A tool message stays open until its replies are there: `WINDOW` of them at most, so memory does not grow with the file.
"""

from __future__ import annotations

from collections.abc import Iterator

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.findings import Place, shown
from torus_assets.datasets.datashop.parsed import ParsedTransaction
from torus_assets.datasets.datashop.verify_document import CONTEXT, MESSAGE, TOOL, Beginning, CountedBytes, Opener, look_up_lines, messages
from torus_assets.datasets.datashop.verify_messages import MessageReader, Said
from torus_assets.datasets.datashop.verify_upload import FileSeen, Orphan, Upload
from torus_assets.datasets.datashop.verify_values import sortable

WINDOW = 5_000  # transactions that wait for a reply
_MOST_LATE = 100_000  # context ids waiting to be declared; of more it is said at once that they never are
_SAFE_TIMES = (19, 23)  # characters
_PIECE = 1 << 20


def read_document(name: str, open_file: Opener, upload: Upload) -> Iterator[ParsedTransaction]:
    """The transactions of a document as DataShop makes them, in order of tool messages; findings go to the upload."""
    findings = upload.findings
    readable = Beginning(name, open_file, findings).readable
    broken = findings.counts["xml.malformed"]
    joins = _Joins(name, upload)
    with open_file() as source:
        counted = CountedBytes(source)
        if readable:
            reader = MessageReader(name, findings, upload.this_year)
            for child, element in messages(name, open_file, counted, findings):
                joins.add(reader.read(child, element))
                while len(joins.open) > WINDOW:
                    yield from joins.close()
        while counted.read(_PIECE):  # for the size of what was not read
            pass
    while joins.open:
        yield from joins.close()
    joins.end()
    if readable and not joins.messages and broken == findings.counts["xml.malformed"]:
        findings.add("xml.no_message", Place(name, ""), "there is no message in the document")
    if counted.count > rules.MOST_BYTES:
        findings.add("file.large", Place(name, ""), f"the file has {counted.count:,} bytes; stay below {rules.MOST_BYTES:,}")
    look_up_lines(open_file, upload.without_line(name))
    upload.files.append(FileSeen(name, "xml", counted.count, joins.messages))


class _Open:
    """A tool message, and what its replies said so far."""

    __slots__ = ("context", "reply", "tool")

    def __init__(self, tool: Said, context: Said | None) -> None:
        self.tool = tool
        self.context = context  # None: not processed by the importer, for a reason that was found
        self.reply: Said | None = None


class _Joins:
    """The joins of one file."""

    def __init__(self, file: str, upload: Upload) -> None:
        self.file, self.upload = file, upload
        self.messages = 0
        self.contexts: dict[str, Said] = {}
        self.moved: set[str] = set()  # contexts found to be later than one of their tool messages
        self.late: dict[str, Orphan] = {}  # context ids that were used before they were declared
        self.open: dict[str, _Open] = {}  # by transaction id, in order of the file
        self.early: dict[str, tuple[Said, Said | None]] = {}  # replies that stand before their tool message, with context

    def add(self, said: Said) -> None:
        """Takes the next message."""
        self.messages += 1
        if said.kind == MESSAGE:
            return
        if said.session and said.user and self.upload.shares_session(said.session, said.user):
            self._fault("id.session_of_two_users", said, "its session id was used by another user before")
        if said.kind == CONTEXT:
            self._context(said)
        elif said.kind == TOOL:
            self._tool(said, self._context_of(said))
        else:
            self._reply(said, self._context_of(said))

    def close(self) -> Iterator[ParsedTransaction]:
        """The oldest open transaction, unless the importer leaves it out."""
        one = self.open.pop(next(iter(self.open)))
        if one.context is not None:
            parsed = _parsed(one.tool, one.context, one.reply)
            self.upload.count(parsed)
            yield parsed

    def end(self) -> None:
        """What can be said only when the file is over."""
        for said, _ in self.early.values():
            self._without_tool(said)
        self.upload.orphans += self.late.values()

    def _place(self, said: Said) -> Place:
        return Place(self.file, said.where, None, said.child)

    def _fault(self, rule: str, said: Said, text: str) -> None:
        self.upload.findings.add(rule, self._place(said), text)

    def _context(self, said: Said) -> None:
        if said.dataset and self.upload.other_dataset(said.dataset):
            self._fault("dataset.names_differ", said, "the name of the data set is not that of the first context of the upload")
        if not said.context_id:
            return
        if self.upload.declared(said.context_id):
            again = "in this file" if said.context_id in self.contexts else "in another file of the upload"
            self._fault("id.context_twice", said, f"the context is declared already {again}")
        late = self.late.pop(said.context_id, None)
        if late is not None:
            text = f"context {shown(said.context_id)} is declared only later in the file"
            self.upload.findings.add("join.context_later", late.place, text, late.times)
        self.contexts.setdefault(said.context_id, said)

    def _context_of(self, said: Said) -> Said | None:
        """The context a message joins with; None, with a finding, if there is none."""
        context = self.contexts.get(said.context_id)
        if context is None:
            self._undeclared(said)
            return None
        if not said.user or not said.session:
            return None  # an incomplete meta is a finding already
        name = shown(said.context_id)
        if context.user != said.user:
            self._fault("join.context_of_other_user", said, f"context {name} was declared by another user; expected one of the same user")
            return None
        if context.session != said.session:
            self._fault(
                "join.context_of_other_session", said, f"context {name} was declared in another session; expected one of this session"
            )
            return None
        if said.kind == TOOL and said.context_id not in self.moved and _is_later(context.time, said.time):
            self.moved.add(said.context_id)
            self._fault("join.context_after_tool", said, f"context {name} has a later time than this message")
        return context

    def _undeclared(self, said: Said) -> None:
        if said.context_id in self.late:
            self.late[said.context_id].times += 1
        elif said.context_id and len(self.late) < _MOST_LATE:
            self.late[said.context_id] = Orphan(said.context_id, self._place(said))
        elif said.context_id:
            self._fault("join.context_never", said, f"context {shown(said.context_id)} was not declared before")

    def _tool(self, said: Said, context: Said | None) -> None:
        key = said.transaction or f"\n{said.child}"  # no id can be this: ids are trimmed
        if key in self.open:
            self._fault("join.tool_twice", said, "there is a tool message of this transaction id already; give each its own")
            key = f"\n{said.child}"
        elif said.transaction and self.upload.transaction_seen(said.transaction):
            self._fault("id.transaction_twice", said, "the transaction id stands in another file, or far before; give each its own")
        one = self.open[key] = _Open(said, context)
        if key in self.early:
            self._join(one, *self.early.pop(key))

    def _reply(self, said: Said, context: Said | None) -> None:
        one = self.open.get(said.transaction)
        if one is not None:
            self._join(one, said, context)
        elif not said.transaction:
            return  # a finding already
        elif self.upload.is_transaction(said.transaction):
            self._fault("join.reply_far", said, f"its tool message stands in another file, or over {WINDOW:,} transactions before")
        else:
            self.early.setdefault(said.transaction, (said, context))
            if len(self.early) > WINDOW:
                self._without_tool(self.early.pop(next(iter(self.early)))[0])

    def _without_tool(self, said: Said) -> None:
        self._fault("join.tutor_without_tool", said, "there is no tool message of this transaction id in the file")

    def _join(self, one: _Open, said: Said, context: Said | None) -> None:
        """A reply with its tool message."""
        tool = one.tool
        if said.context_id != tool.context_id:
            self._fault("join.reply_of_other_context", said, f"the tool message names context {shown(tool.context_id)}")
        elif context is None or one.context is None:
            return  # neither is processed, or one of both; a finding already
        elif rules.REPLIES.get(tool.event) != said.event:
            expected = rules.REPLIES.get(tool.event)
            wanted = f"expected {expected}" if expected else "which takes no reply"
            self._fault("join.reply_of_other_kind", said, f"{shown(said.event)} answers {shown(tool.event)}; {wanted}")
        elif one.reply is None:
            one.reply = said
            if not (said.step or tool.step):
                self._fault("step.none", said, "neither message has a selection or an action")
            elif said.step and tool.step and said.step != tool.step:
                self._fault("join.step_differs", said, "selection and action are not those of the tool message")
        else:
            self._fault("join.replies_merge", said, "the transaction has a reply already; what this one adds is merged into it")
            _merge(one.reply, said)


def _is_later(context: str, tool: str) -> bool:
    return len(context) in _SAFE_TIMES and len(tool) in _SAFE_TIMES and sortable(context) > sortable(tool)


def _merge(first: Said, later: Said) -> None:
    """What the first reply leaves open is taken from the later one."""
    for name in ("selection", "action", "outcome", "classification", "advice"):
        if not getattr(first, name):
            setattr(first, name, getattr(later, name))
    first.help_level = later.help_level if first.help_level is None else first.help_level
    first.total_hints = later.total_hints if first.total_hints is None else first.total_hints
    first.skills += [skill for skill in later.skills if skill not in first.skills]
    first.fields += later.fields


def _parsed(tool: Said, context: Said, reply: Said | None) -> ParsedTransaction:
    """What DataShop makes of both (spec/datashop.md 4)."""
    fields: dict[str, str] = {}
    for name, value in (*(reply.fields if reply else ()), *tool.fields, *context.fields):
        fields.setdefault(name, value)
    place = (tool.user, tool.session, tool.time, tool.time_zone, context.levels, context.problem, None, context.time, tool.event)
    touched = (tool.selection, tool.action, tool.input)
    if reply is None:
        return ParsedTransaction(tool.transaction, context.class_name, *place, "", *touched, "", "", "", None, None, (), fields, "")
    said = (reply.outcome, reply.advice, reply.classification, reply.help_level, reply.total_hints, tuple(reply.skills), fields)
    return ParsedTransaction(tool.transaction, context.class_name, *place, reply.event, *touched, *said, reply.step or tool.step)
