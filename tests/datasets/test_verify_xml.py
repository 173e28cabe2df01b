"""The verifier over tutor-message XML: right files pass, and each planted mistake is found by its rule, in its line."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree  # pyright: ignore[reportAttributeAccessIssue]  it has no types

from torus_assets.datasets.datashop.findings import RULES, SHOWN_PER_RULE
from torus_assets.datasets.datashop.verify import Report, form_of, iter_transactions, verify
from torus_assets.datasets.datashop.verify_xml import WINDOW

ROOT = Path(__file__).parents[2]
GOLDEN = (Path(__file__).parent / "golden" / "datashop_upload.xml").read_text()
TABLE = (Path(__file__).parent / "golden" / "datashop_upload.txt").read_text()
OPEN = '<?xml version="1.0" encoding="UTF-8"?>\n<tutor_related_message_sequence version_number="4">\n'
SHUT = "</tutor_related_message_sequence>\n"


def meta(user: str = "ann", session: str = "s1", time: str = "2026-02-02 09:00:00.000") -> str:
    return f"<meta><user_id>{user}</user_id><session_id>{session}</session_id><time>{time}</time><time_zone>UTC</time_zone></meta>"


def context(name: str = "c1", who: str = meta(), dataset: str = "biology") -> str:
    return (
        f'<context_message context_message_id="{name}" name="START_PROBLEM">{who}<dataset><name>{dataset}</name>'
        '<level type="Page"><name>Osmosis</name><problem><name>P</name></problem></level></dataset></context_message>\n'
    )


def tool(transaction: str = "t1", of: str = "c1", who: str = meta(), event: str = "ATTEMPT", step: str = "part 1") -> str:
    return (
        f'<tool_message context_message_id="{of}">{who}<semantic_event transaction_id="{transaction}" name="{event}"/>'
        f"<event_descriptor><selection>{step}</selection></event_descriptor></tool_message>\n"
    )


def tutor(transaction: str = "t1", of: str = "c1", who: str = meta(), event: str = "RESULT", step: str = "part 1", more: str = "") -> str:
    return (
        f'<tutor_message context_message_id="{of}">{who}<semantic_event transaction_id="{transaction}" name="{event}"/>'
        f"<event_descriptor><selection>{step}</selection></event_descriptor>"
        f"{more or '<action_evaluation>CORRECT</action_evaluation>'}</tutor_message>\n"
    )


def verified(*documents: str | bytes) -> Report:
    """The report on an upload; its files are f1, f2, ..."""
    bodies = [document.encode() if isinstance(document, str) else document for document in documents]
    return verify([(f"f{n}", lambda body=body: io.BytesIO(body)) for n, body in enumerate(bodies, start=1)], this_year=2026)


def document(*messages: str) -> str:
    return OPEN + "".join(messages) + SHUT


def found(report: Report) -> list[tuple[str, str, int | None]]:
    return [(finding.rule, finding.place.file, finding.place.line) for finding in report.findings]


def line_of(text: str, part: str) -> int:
    """The line in which a part of the text begins, from 1."""
    return text[: text.index(part)].count("\n") + 1


def test_every_rule_is_in_the_documentation_with_its_severity_and_reason():
    rows = [f"| `{name}` | {rule.severity} | {rule.why} | {rule.source} |" for name, rule in RULES.items()]
    said = (ROOT / "docs" / "datashop-verify.md").read_text().splitlines()
    assert sorted(line for line in said if line.startswith("| `")) == sorted(rows)


def test_the_definition_of_the_structure_holds_for_a_whole_document():
    schema = etree.XMLSchema(etree.parse(ROOT / "torus_assets" / "datasets" / "datashop" / "tutor_message.xsd"))
    assert schema.validate(etree.fromstring(GOLDEN.encode()))
    assert not schema.validate(etree.fromstring(GOLDEN.replace("<semantic_event", "<event").encode()))


def test_the_file_written_by_hand_is_right():
    report = verified(GOLDEN)
    assert found(report) == []
    assert report.ok
    assert (report.errors, report.warnings) == (0, 0)
    assert [(file.form, file.bytes, file.messages) for file in report.files] == [("xml", len(GOLDEN.encode()), 8)]


def test_counts_are_by_section_as_datashop_makes_them():
    sections = verified(GOLDEN).document()["sections"]
    assert sections == {
        "Section 3021": {
            "transactions": 2, "hints": 1, "attempts": 1, "students": 1, "problems": 1, "skills": 2, "problem_views": 1,
            "by_outcome": {"HINT": 1, "INCORRECT": 1},
        },
        "Section 3022": {
            "transactions": 1, "hints": 0, "attempts": 1, "students": 1, "problems": 1, "skills": 0, "problem_views": 1, "by_outcome": {"": 1},
        },
    }  # fmt: skip


def test_both_forms_tell_the_same_transactions():
    """But for the problem view, which XML does not number."""
    from_xml = list(iter_transactions([("x", lambda: io.BytesIO(GOLDEN.encode()))]))
    from_tab = list(iter_transactions([("t", lambda: io.BytesIO(TABLE.encode()))]))
    assert [one.view for one in from_tab] == [1, 1, 1]
    assert from_xml == [one._replace(view=None) for one in from_tab]
    attempt = from_xml[1]
    assert attempt.input == 'salz: "à la carte" \\ x < y'
    assert attempt.advice == "Not quite. Try again."
    assert attempt.skills == (("Default", "", "Diffusion"), ("Fine", "cells", "Membranes"))
    assert attempt.fields == {"section_id": "3021", "score": "0.0", "out_of": "1.0"}
    assert attempt.levels == (("Unit", "Cells & tissue"), ("Page", "Osmosis"))
    assert (attempt.step, from_xml[2].step) == ("part 1 choice", "")


ATTEMPT = '<semantic_event transaction_id="t1" name="ATTEMPT"/>'
RESULT = '<semantic_event transaction_id="t1" name="RESULT"/>'
DESCRIBED = "<event_descriptor><selection>part a</selection><action>likert</action><input>agree</input></event_descriptor>"
CONTEXT_TIME = "<time>2026-02-02 09:00:00.000</time>"

# rule, what of the golden file is replaced (its first occurrence), by what, and the text in whose line it has to be found
PLANTED = [
    ("xml.malformed", "Osmosis</name>", "Osmosis & co</name>", "Osmosis & co"),
    ("xml.malformed", "Osmosis</name>", "Osmosis\x01</name>", "Osmosis\x01"),
    ("xml.malformed", "Osmosis</name>", "Osmosis&#0;</name>", "Osmosis&#0;"),
    ("xml.malformed", "Osmosis</name>", "Osmosis</nom>", "Osmosis</nom>"),
    ("xml.malformed", "Osmosis</name>", "Osmosis&nbsp;</name>", "Osmosis&nbsp;"),
    ("xml.doctype", "<tutor_related", "<!DOCTYPE a>\n<tutor_related", "<!DOCTYPE"),
    ("xml.declaration", '<?xml version="1.0" encoding="UTF-8"?>\n', "", "<tutor_related"),
    ("xml.encoding", 'encoding="UTF-8"', 'encoding="ISO-8859-1"', "<?xml"),
    ("xml.version", ' version_number="4"', "", "<tutor_related"),
    ("xml.version", ' version_number="4"', ' version_number="2"', "<tutor_related"),
    ("xml.root_child", "<tool_message ", "<other><a/></other>\n<tool_message ", "<other>"),
    ("xml.root_child", "</tutor_related", "<other/></tutor_related", "<other"),
    ("xml.stray_text", "</message>\n", "</message>\nanswer\n", "<message"),
    ("schema.attribute", ' version_number="4"', ' version_number="4" extra="1"', "<tutor_related"),
    ("schema.element", "  <dataset>\n", "  <junk/>\n  <dataset>\n", "<junk/>"),
    ("schema.element", "<session_id>s1</session_id><time>2026-02-02 09:00:20.250</time>", "<time>2026-02-02 09:00:20.250</time><session_id>s1</session_id>", "<time>2026-02-02 09:00:20.250</time><session_id>"),
    ("schema.element", '  <semantic_event transaction_id="t2" name="ATTEMPT"/>\n', "", "<event_descriptor><selection>part a"),
    ("schema.element", "<input>agree</input>", "<input>agr<b>e</b>e</input>", "<input>agr<b>"),
    ("schema.attribute", ' name="START_PROBLEM"', "", "<context_message"),
    ("schema.attribute", "<input>agree", '<input lang="en">agree', '<input lang="en">'),
    ("schema.value", 'tutorFlag="tutor"', 'tutorFlag="exam"', 'tutorFlag="exam"'),
    ("schema.value", 'anonFlag="true"', 'anonFlag="yes"', 'anonFlag="yes"'),
    ("schema.empty", "<time_zone>UTC</time_zone>", "<time_zone> </time_zone>", "<time_zone> "),
    ("schema.empty", "<user_id anonFlag=\"true\">bob</user_id><session_id>s2</session_id><time>2026-02-02 10:00:05.000", "<user_id/><session_id>s2</session_id><time>2026-02-02 10:00:05.000", "<user_id/>"),
    ("schema.empty", "<name>Osmosis</name>", "<name/>", "<name/>"),
    ("schema.empty", "<name>Activity 31, Part 1</name>", "<name></name>", "<name></name>"),
    ("schema.empty", "<value>1.0</value>", "<value></value>", "<value></value>"),
    ("schema.empty", "<skill><name>Membranes</name>", "<skill><name/>", "<skill><name/>"),
    ("schema.text", "  <dataset>\n", "  <dataset>\n  stray\n", "<dataset>"),
    ("meta.missing", '  <meta><user_id anonFlag="true">bob</user_id><session_id>s2</session_id><time>2026-02-02 10:00:05.000</time><time_zone>UTC</time_zone></meta>\n', "", '<tool_message context_message_id="c2">'),
    ("value.too_long", "<user_id anonFlag=\"true\">bob</user_id><session_id>s2</session_id><time>2026-02-02 10:00:00", f"<user_id>{'b' * 56}</user_id><session_id>s3</session_id><time>2026-02-02 10:00:00", "bbbb"),
    ("value.too_long", "<name>Osmosis</name>", f"<name>{'ö' * 101}</name>", "öö"),
    ("value.too_long", "<name>Activity 31, Part 1</name>", f"<name>{'x' * 101}</name>", "xxxx"),
    ("value.too_long", "<name>biology</name>", f"<name>{'b' * 101}</name>", "bbbb"),
    ("value.too_long", "<input>agree</input>", f"<input>{'ä' * 32_768}</input>", "ää"),
    ("value.too_long", "<model_name>Fine</model_name>", f"<model_name>{'m' * 51}</model_name>", "mmmm"),
    ("value.too_long", "<name>score</name>", f"<name>{'n' * 256}</name>", "nnnn"),
    ("value.above_ffff", "<input>agree</input>", "<input>agree \U0001f389</input>", "agree \U0001f389"),
    ("time.pattern", CONTEXT_TIME, "<time>2026-02-02T09:00:00Z</time>", "09:00:00Z"),
    ("time.pattern", CONTEXT_TIME, "<time>2026-02-02 09:00:00.5</time>", "09:00:00.5"),
    ("time.pattern", CONTEXT_TIME, "<time>2026-02-02 09:00:00.123456</time>", "09:00:00.123456"),
    ("time.date", CONTEXT_TIME, "<time>2025-02-29 09:00:00.000</time>", "2025-02-29"),
    ("time.date", CONTEXT_TIME, "<time>2026-02-02 08:60:00.000</time>", "08:60"),
    ("time.years", CONTEXT_TIME, "<time>1975-02-02 09:00:00.000</time>", "1975"),
    ("level.type_repeated", '<level type="Page"><name>Osmosis', '<level type="Unit"><name>Osmosis', "Osmosis"),
    ("level.type_characters", '<level type="Page"><name>Osmosis', '<level type="Page (1)"><name>Osmosis', "Osmosis"),
    ("level.no_type", '<level type="Page"><name>Osmosis', "<level><name>Osmosis", "Osmosis"),
    ("class.part", "<name>Section 3022</name>", "<name>Section 3022</name><school/>", "<school/>"),
    ("class.part", "<name>Section 3022</name>", f"<name>{'s' * 76}</name>", "ssss"),
    ("context.skill", "  <custom_field><name>section_id", "  <skill><name>k</name></skill><custom_field><name>section_id", "<skill><name>k<"),
    ("problem_name.redundant", f"  {ATTEMPT}", f"  <problem_name>P</problem_name>\n  {ATTEMPT}", "<problem_name>"),
    ("event.empty_part", "<input>agree</input>", "<input/>", "<input/>"),
    ("event.no_parts", DESCRIBED, "<event_descriptor/>", "<event_descriptor/>"),
    ("outcome.unknown", ">INCORRECT<", ">RATHER NOT<", ">RATHER NOT<"),
    ("hint.number", 'current_hint_number="1"', 'current_hint_number="3"', 'current_hint_number="3"'),
    ("hint.number", 'current_hint_number="1"', 'current_hint_number="one"', 'current_hint_number="one"'),
    ("hint.number", 'current_hint_number="1"', 'current_hint_number="0"', 'current_hint_number="0"'),
    ("join.reply_of_other_kind", RESULT, '<semantic_event transaction_id="t1" name="HINT_MSG"/>', None),
    ("join.context_after_tool", CONTEXT_TIME, "<time>2026-02-02 09:00:21</time>", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "old", "new", "where"), PLANTED, ids=lambda value: value if isinstance(value, str) and value in RULES else ""
)
def test_a_planted_mistake_is_found_by_its_rule_and_in_its_line(rule, old, new, where):
    assert old in GOLDEN
    planted = GOLDEN.replace(old, new, 1)
    if rule == "value.too_long" and "biology" in old:
        planted = planted.replace("<name>biology</name>", new)  # another name would be a finding of its own
    report = verified(planted)
    assert rule in report.counts, report.counts
    assert set(report.counts) <= {rule, *FOLLOWING.get(rule, ())}, report.counts
    if where is not None:
        first = next(finding for finding in report.findings if finding.rule == rule)
        assert first.place.line == line_of(planted, where)
    assert report.ok is (RULES[rule].severity == "warning")


# What a mistake cannot but bring with it.
FOLLOWING = {
    "value.too_long": {"id.session_of_two_users", "join.context_of_other_user", "value.above_ffff"},
    "schema.element": {"schema.attribute"},
    "xml.malformed": {"join.context_never"},
}  # fmt: skip


JOINED = [
    ("join.context_later", [tool(), context()], 3),
    ("join.context_never", [tool()], 3),
    ("join.context_of_other_user", [context(), context("c2", meta("bob", "s2")), tool(who=meta("bob", "s2"))], 5),
    ("join.context_of_other_session", [context(), tool(who=meta(session="s9"))], 4),
    ("join.tool_twice", [context(), tool(), tool(), tutor()], 5),
    ("join.tutor_without_tool", [context(), tutor()], 4),
    ("join.reply_of_other_context", [context(), context("c2"), tool(), tutor(of="c2")], 6),
    ("join.reply_of_other_kind", [context(), tool(event="HINT_REQUEST"), tutor()], 5),
    ("join.reply_of_other_kind", [context(), tool(event="VIDEO_ACTION"), tutor()], 5),
    ("join.replies_merge", [context(), tool(), tutor(), tutor()], 6),
    ("step.none", [context(), *(of().replace("<selection>part 1</selection>", "<input>a</input>") for of in (tool, tutor))], 5),
    ("join.step_differs", [context(), tool(), tutor(step="part 2")], 5),
    ("join.context_after_tool", [context(), tool(who=meta(time="2026-02-02 08:59:59"))], 4),
    ("id.context_twice", [context(), context()], 4),
    ("id.session_of_two_users", [context(), context("c2", meta("bob"))], 4),
    ("dataset.names_differ", [context(), context("c2", dataset="physics")], 4),
]


@pytest.mark.parametrize(("rule", "messages", "line"), JOINED)
def test_a_message_that_cannot_join_is_found(rule, messages, line):
    assert found(verified(document(*messages))) == [(rule, "f1", line)]


def test_messages_that_do_join_are_right():
    hints = tool("h1", event="HINT_REQUEST") + tutor("h1", event="HINT_MSG", more="<action_evaluation>HINT</action_evaluation>")
    assert found(verified(document(context(), tool(), tutor(), hints, tool("alone"), tool("video", event="VIDEO_ACTION")))) == []


def test_a_reply_may_stand_before_its_tool_message():
    report = verified(document(context(), tutor(), tool()))
    assert found(report) == []
    assert report.sections[""].by_outcome == {"CORRECT": 1}


def test_a_reply_too_far_behind_its_tool_message_is_said_not_to_count():
    between = (tool(f"other{n}") for n in range(WINDOW))
    report = verified(document(context(), tool(), *between, tutor()))
    assert found(report) == [("join.reply_far", "f1", 5 + WINDOW)]
    assert report.ok


def test_a_context_of_another_file_is_its_own_mistake():
    """In either order of the files."""
    first, second = document(context(), tool(), tutor()), document(tool("t2"))
    assert found(verified(first, second)) == [("join.context_in_other_file", "f2", 3)]
    assert found(verified(second, first)) == [("join.context_in_other_file", "f1", 3)]


def test_ids_are_unique_over_all_files():
    one = document(context(), tool(), tutor())
    assert found(verified(one, one)) == [("id.context_twice", "f2", 3), ("id.transaction_twice", "f2", 4)]


def test_a_message_that_is_never_processed_is_not_counted():
    report = verified(document(context(), tool(), tutor(), tool("t2", who=meta(session="s9")), tutor("t2", who=meta(session="s9"))))
    assert report.sections[""].transactions == 1
    assert report.counts == {"join.context_of_other_session": 2}


def test_later_replies_fill_what_the_first_left_open():
    first = "<action_evaluation>INCORRECT</action_evaluation>"
    later = "<action_evaluation>CORRECT</action_evaluation><tutor_advice>ok</tutor_advice><skill><name>k</name></skill>"
    body = document(context(), tool(), tutor(more=first), tutor(more=later)).encode()
    [one] = iter_transactions([("f", lambda: io.BytesIO(body))])
    assert (one.outcome, one.advice, one.skills) == ("INCORRECT", "ok", (("Default", "", "k"),))


def test_a_fragment_without_root_is_not_a_document():
    """The lesson of the old job's `1299.xml`: no declaration, no root, several elements at the top."""
    report = verified(context() + tool() + tutor())
    assert found(report) == [("xml.declaration", "f1", 1), ("xml.root", "f1", 1)]


def test_an_empty_document_is_a_warning():
    report = verified(document())
    assert report.counts == {"xml.no_message": 1}
    assert report.ok


def test_latin_1_bytes_are_not_well_formed():
    body = GOLDEN.replace("agree", "agré").encode().replace("agré".encode(), b"agr\xe9")
    assert found(verified(body)) == [("xml.malformed", "f1", line_of(GOLDEN, "agree"))]


def test_utf_16_is_refused():
    assert set(verified(GOLDEN.replace("UTF-8", "UTF-16").encode("utf-16")).counts) == {"xml.encoding"}


def test_entities_are_never_expanded():
    """A billion laughs ends at the document type, before anything is read."""
    entities = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    body = (
        document(context())
        .replace("<tutor_related", f'<!DOCTYPE a [<!ENTITY l0 "ha">{entities}]>\n<tutor_related')
        .replace("Osmosis", "&l11;")
    )
    assert found(verified(body)) == [("xml.doctype", "f1", 2)]


def test_lines_are_right_beyond_65535():
    """Where libxml2's own numbers end: single-line messages, empty elements, and elements within a message."""
    filler = "<message context_message_id='c1'/>\n" * 70_000
    inner = context("c2").replace("<level ", "\n\n<level ").replace("Osmosis", "O" * 101)
    body = document(context(), filler, tool(), inner, tool("t2", of="never"))
    places = {finding.rule: finding.place.line for finding in verified(body).findings}
    assert places == {"value.too_long": line_of(body, "OOO"), "join.context_never": line_of(body, 'context_message_id="never"')}
    broken = document(context(), filler, tool(), "<oops>")
    assert [finding.place.line for finding in verified(broken).findings] == [line_of(broken, "<oops>")]


def test_two_messages_in_a_line_and_comments_do_not_move_lines():
    body = document(context().strip(), "<!-- a\nb -->\n", tool().strip(), tool("t2", of="never"))
    assert found(verified(body)) == [("join.context_never", "f1", line_of(body, 'context_message_id="never"'))]


def test_comments_within_a_text_do_not_cut_it():
    body = document(context(), tool(step="pa<!-- x -->rt 1"), tutor()).encode()
    assert [one.selection for one in iter_transactions([("f", lambda: io.BytesIO(body))])] == ["part 1"]
    assert found(verified(body)) == []


def test_only_the_first_of_a_rule_are_kept_and_all_are_counted():
    body = document(context(), *(tool(f"t{n}", of="never") + tutor(f"x{n}") for n in range(50)))
    report = verified(body)
    assert report.counts == {"join.context_never": 50, "join.tutor_without_tool": 50}
    assert sum(finding.rule == "join.tutor_without_tool" for finding in report.findings) == SHOWN_PER_RULE
    assert (report.errors, report.warnings, report.ok) == (100, 0, False)


def test_findings_show_nothing_that_a_learner_wrote_and_no_learner():
    secret = "ann.smith@example.edu"
    planted = (
        GOLDEN.replace(">ann<", f">{secret * 4}<").replace("Think of the membrane.", secret * 5_000).replace("agree", f"{secret}\U0001f389")
    )
    planted = planted.replace(">INCORRECT<", f">{secret}<").replace("</message>", f"</message>{secret}").replace("10:00:05.000", secret)
    planted = planted.replace('tutorFlag="test"', f'tutorFlag="{secret}"').replace(
        'current_hint_number="1"', f'current_hint_number="{secret}"'
    )
    report = verified(planted)
    assert len(report.counts) >= 7
    assert secret not in str(report.document())
    assert not re.search("smith|example", str(report.document()))


def test_the_schema_hint_of_a_file_is_not_followed(tmp_path):
    """`xsi:noNamespaceSchemaLocation` within a message would otherwise be a way to make us read other files."""
    hint = f'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="file://{tmp_path}/none.xsd"'
    body = document(context().replace("<context_message ", f"<context_message {hint} "))
    assert found(verified(body)) == []


def test_messages_of_a_namespace_or_in_a_wrapper_are_not_messages():
    assert set(verified(document('<tool_message xmlns="urn:x"/>')).counts) == {"xml.root_child", "xml.no_message"}
    assert set(verified(document("<all>", context(), tool(), "</all>")).counts) == {"xml.root_child", "xml.no_message"}


SCRAPS = st.sampled_from(
    [*re.findall(r"<[^>]*>|[^<]+", GOLDEN), OPEN, SHUT, context(), tool(), tutor(), "<", "&", "&#0;", "\x00", "\t", "\\", "<!DOCTYPE a [", "]]>", "\U0001f389", *TABLE.split("\t")]
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=400),
        st.lists(SCRAPS, max_size=40).map("".join).map(str.encode),
        st.binary(max_size=60).map(lambda more: OPEN.encode() + more),
    )
)
def test_any_bytes_give_findings_and_never_an_exception(body):
    report = verified(body, GOLDEN)
    assert report.document()["files"][0]["bytes"] == len(body)
    assert form_of(lambda: io.BytesIO(body)) in ("xml", "tab")


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_file_never_raises_and_keeps_its_size(data):
    body = bytearray(GOLDEN.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=6))
    assert verified(bytes(body)).files[0].bytes == len(body)


MEMORY = """
import resource, sys
from torus_assets.datasets.datashop.verify import verify
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
report = verify([(sys.argv[1], lambda: open(sys.argv[1], "rb"))], this_year=2026)
assert report.counts == {"file.large": 1}, report.counts
assert report.files[0].messages == 100_500
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_file_of_100_000_messages_stays_within_memory(tmp_path):
    """Coarse: 50 MB of XML are verified in 60 MB more than the process begins with; a tree of it takes ten times that."""
    advice = f"<action_evaluation>CORRECT</action_evaluation><tutor_advice>{'try again ' * 40}</tutor_advice>"
    path = tmp_path / "large.xml"
    with path.open("w") as file:
        file.write(OPEN)
        for n in range(50_000):
            if n % 100 == 0:
                file.write(context(f"c{n}", meta(session=f"s{n}")))
            who, of = meta(session=f"s{n - n % 100}"), f"c{n - n % 100}"
            file.write(tool(f"t{n}", of, who) + tutor(f"t{n}", of, who, more=advice))
        file.write(SHUT)
    assert path.stat().st_size > 40 << 20
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60
