"""An upload verified in parts has the report that it has in one go, or none."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from torus_assets.datasets.datashop.findings import RULES
from torus_assets.datasets.datashop.verify import Report, verify
from torus_assets.datasets.datashop.verify_parts import ACROSS, Marks, read_part, together

HEAD = [
    "Transaction Id",
    "Anon Student Id",
    "Session Id",
    "Time",
    "Level (Page)",
    "Problem Name",
    "Problem View",
    "Selection",
    "Action",
    "Input",
]
META = "<meta><user_id>{user}</user_id><session_id>{session}</session_id><time>2026-02-02 09:00:00</time><time_zone>UTC</time_zone></meta>"


def table(*rows: tuple[str, str, str], level: str = "Osmosis", more: str = "") -> str:
    """Rows of (transaction, student, session)."""
    head = [*HEAD, more] if more else HEAD
    cells = [[*row, "2026-02-02 09:00:00", level, "P", "1", "part 1", "choice", "a", *[""] * bool(more)] for row in rows]
    return "".join("\t".join(line) + "\n" for line in (head, *cells))


def document(
    transaction: str, context: str, *, user: str = "ann", dataset: str = "biology", declared: bool = True, replied: bool = True
) -> str:
    meta = META.format(user=user, session=f"s {user}")
    event = f'<semantic_event transaction_id="{transaction}" name="{{}}"/><event_descriptor><selection>a</selection><action>b</action>'
    messages = [
        f'<context_message context_message_id="{context}" name="START_PROBLEM">{meta}<class><name>c</name></class><dataset><name>{dataset}</name>'
        '<level type="Page"><name>l</name><problem><name>p</name></problem></level></dataset></context_message>' * declared,
        f'<tool_message context_message_id="{context}">{meta}{event.format("ATTEMPT")}<input>1</input></event_descriptor></tool_message>',
        f'<tutor_message context_message_id="{context}">{meta}{event.format("RESULT")}</event_descriptor>'
        "<action_evaluation>CORRECT</action_evaluation></tutor_message>" * replied,
    ]
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<tutor_related_message_sequence version_number="4">\n'
        + "\n".join(filter(None, messages))
        + "\n</tutor_related_message_sequence>\n"
    )


def whole(*bodies: str) -> Report:
    return verify([(f"f{number}", partial(io.BytesIO, body.encode())) for number, body in enumerate(bodies)])


def in_parts(*bodies: str) -> Report | None:
    read = [read_part([(f"f{number}", partial(io.BytesIO, body.encode()))]) for number, body in enumerate(bodies)]
    carried = [msgspec.msgpack.decode(msgspec.msgpack.encode(marks), type=Marks) for _, marks in read]
    return together([report for report, _ in read], carried)


@pytest.mark.parametrize(
    "bodies",
    [
        [table(("t1", "ann", "s1"), ("t2", "bob", "s2")), table(("t3", "bob", "s3"), ("t4", "ann", "s1")), table(("t5", "cy", "s5"))],
        [document("t1", "c1"), document("t2", "c2", user="bob"), document("t3", "c3")],
        [table(*[(f"{n}-{row}", "ann", "s1") for row in range(15)], level="") for n in range(3)],  # 45 warnings, of which 20 are kept
        [document("t1", "c1").replace("CORRECT", "WELL"), document("t2", "c2").replace("UTC", "")],
    ],
    ids=["tables", "documents", "warnings", "mistakes of single files"],
)
def test_what_parts_say_together_is_what_the_whole_says(bodies):
    report = in_parts(*bodies)
    assert report is not None
    assert report == whole(*bodies)
    assert report.document() == whole(*bodies).document()


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        ("id.transaction_twice", lambda: [table(("t1", "ann", "s1")), table(("t1", "ann", "s1"))]),
        ("id.session_of_two_users", lambda: [table(("t1", "ann", "s1")), table(("t2", "bob", "s1"))]),
        ("head.differs", lambda: [table(("t1", "ann", "s1")), table(("t2", "ann", "s1"), more="CF (x)")]),
        ("id.transaction_twice", lambda: [document("t1", "c1"), document("t1", "c2")]),
        ("id.context_twice", lambda: [document("t1", "c1"), document("t2", "c1")]),
        ("dataset.names_differ", lambda: [document("t1", "c1"), document("t2", "c2", dataset="chemistry")]),
        ("join.context_in_other_file", lambda: [document("t1", "c1"), document("t2", "c1", declared=False)]),
        ("join.context_never", lambda: [document("t1", "c1"), document("t2", "c2", declared=False)]),
        ("join.reply_far", lambda: [document("t1", "c1", replied=False), document("t1", "c2").replace("tool_message", "message")]),
    ],
)
def test_what_other_parts_have_a_word_in_is_not_told_by_parts(rule: str, make: Callable[[], list[Any]]):
    assert rule in whole(*make()).counts
    assert rule in ACROSS
    assert in_parts(*make()) is None


def test_one_part_is_the_whole():
    bodies = table(("t1", "ann", "s1"), ("t1", "bob", "s1"))
    assert in_parts(bodies) == whole(bodies)
    assert whole(bodies).errors == 2


def test_every_rule_across_files_exists():
    assert RULES.keys() >= ACROSS
