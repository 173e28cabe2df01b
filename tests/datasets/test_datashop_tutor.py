"""Embedded tutors: their messages read one by one, and joined into transactions."""

from __future__ import annotations

import pytest
from datashop_lake import attempt, custom, declared, exported, notes, opened, read, reply, said, skill, tool

from torus_assets.datasets.datashop.ids import digest
from torus_assets.datasets.datashop.model import Skill
from torus_assets.datasets.datashop.tutor import CONTEXT, TOOL, TUTOR, UnreadableXml, messages


def test_a_statement_may_hold_several_messages_bare_or_wrapped():
    for xml in (
        declared() + tool() + reply(),
        f'<?xml version="1.0" encoding="UTF-8"?>\n<tutor_related_message_sequence>{declared()}{tool()}{reply()}</tutor_related_message_sequence>',
        f"<message>{declared()}</message><log_session/><message>{tool()}{reply()}</message>",
    ):
        assert [one.kind for one in messages(xml)] == [CONTEXT, TOOL, TUTOR]


def test_a_message_says_what_its_elements_say():
    more = skill("fractions") + skill("adding", "Other/Model", "arithmetic") + custom("hint_kind", "bottom out")
    numbers = ' current_hint_number="2" total_hints_available="3" hint_id="h2" classification="misread"'
    [one] = messages(reply(name="HINT_MSG", outcome="a Hint was given", advice="Look <b>again</b>", more=more, numbers=numbers))
    assert (one.context, one.transaction, one.name, one.outcome) == ("A17", "T9", "HINT_MSG", "HINT")
    assert (one.hint_number, one.total_hints, one.hint_id, one.classification) == (2, 3, "h2", "misread")
    assert one.advice == "Look <b>again</b>"
    assert one.skills == (Skill("fractions"), Skill("adding", "Other/Model", "arithmetic"))
    assert one.fields == (("hint_kind", "bottom out"),)


@pytest.mark.parametrize(
    ("said", "read"),
    [("ok", "CORRECT"), (" Correct ", "CORRECT"), ("BUG", "INCORRECT"), ("error", "INCORRECT"), ("asked for HELP", "HINT"), ("?", "?")],
)
def test_evaluations_are_read_with_their_aliases(said, read):
    assert messages(reply(outcome=said))[0].outcome == read


def test_a_message_that_datashop_could_not_join_is_left_out():
    assert messages(tool(transaction="")) == messages(tool(context="")) == messages("<meta/>") == messages("") == []


@pytest.mark.parametrize("xml", ["<tool_message", "<a></b>", "a & b", "<x:tool_message/>", "<a>&nbsp;</a>", '<a b="1" b="2"/>'])
def test_malformed_xml_is_unreadable_and_the_refusal_quotes_nothing(xml):
    with pytest.raises(UnreadableXml, match=r"not well-formed: .*line 1") as refusal:
        messages(f"{xml}<!-- secret -->")
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("head", ["<!DOCTYPE a>", '<!DOCTYPE a [<!ENTITY b "c">]>', '<!ENTITY b "c">'])
def test_a_document_type_is_refused(head):
    with pytest.raises(UnreadableXml, match="document type"):
        messages(head + tool())


@pytest.mark.parametrize("odd", ["\x00", "\x1b", "&#0;", "&#x1F;", "&#xD800;", "&#xFFFE;", "&#x110000;", f"&#{'9' * 5000};"])
def test_a_character_that_xml_has_not_is_replaced_and_the_message_kept(odd):
    [one] = messages(tool().replace("<input>2<", f"<input>2{odd}3<"))
    assert one.input == "2\ufffd3"


def test_legal_references_are_read():
    [one] = messages(tool().replace("<input>2<", "<input>&#60;b&#x3E; &amp;#0;<"))
    assert one.input == "<b> &#0;"


# Joined ---------------------------------------------------------------------------------------------------------------


def test_tool_and_reply_are_one_transaction_under_our_own_meta(lake, make):
    lake.add("2026-01-03", [
        opened(at="11:59:00"), said(declared(more=custom("grade", "7") + "<condition><name>worked</name><type>example</type></condition>")),
        said(tool(more=custom("try", "first")), at="12:00:01"), said(reply(advice="Well done", more=skill("fractions", "", "c")), at="12:00:02"),
    ])  # fmt: skip
    made = exported(make)
    [one] = read(made)
    assert (one.student, one.session[:8], one.time, one.problem_start) == (
        "41207",
        "sitting-",
        "2026-01-02 12:00:01.000",
        "2026-01-02 11:59:00.000",
    )
    assert (one.problem, one.levels) == ("balance-3", (("Page", "Page 60480"),))
    assert (one.selection, one.action, one.input, one.step) == ("coef1", "UpdateTextField", "2", "coef1 UpdateTextField")
    assert (one.student_type, one.tutor_type, one.outcome, one.advice) == ("ATTEMPT", "RESULT", "CORRECT", "Well done")
    assert one.skills == (("Default", "c", "fractions"),)
    assert (one.fields["try"], one.fields["grade"], one.fields["activity_id"]) == ("first", "7", "60512")
    bodies = made.body("chunk_0.xml") + made.body("chunk_0.txt")
    assert b"theirs" not in bodies
    assert b"1999" not in bodies
    assert bodies.count(b"worked") == 2


def test_a_tutors_ids_are_made_unique_for_student_and_activity(lake, make):
    """`A17` and `T9` are what every student's tutor says, and say again in the next activity."""
    lake.add("2026-01-03", [
        said(declared(problem=f"p {guid}"), tool(input=f"{user} {guid}"), reply(), user=user, activity_attempt_guid=guid)
        for user in (4001, 4002) for guid in ("one", "two")
    ])  # fmt: skip
    found = read(exported(make))
    assert len({one.id for one in found}) == 4
    assert all(one.id.startswith("T9-") for one in found)
    assert {(one.student, one.problem, one.input) for one in found} == {
        (f"{user}", f"p {guid}", f"{user} {guid}") for user in (4001, 4002) for guid in ("one", "two")
    }


def test_a_long_or_odd_own_id_is_still_an_id(lake, make):
    lake.add("2026-01-03", [said(declared("ä" * 90), tool("T&lt;" + "é" * 90, "ä" * 90), reply("T&lt;" + "é" * 90, "ä" * 90))])
    [one] = read(exported(make))
    assert one.id.startswith("T<é")
    assert len(one.id.encode()) <= 100
    assert one.outcome == "CORRECT"


def test_of_several_replies_the_first_counts_and_the_others_fill_its_gaps(lake, make):
    lake.add("2026-01-03", [
        said(tool()), said(reply(outcome="", more=skill("a")), at="12:00:01"),
        said(reply(outcome="INCORRECT", advice="No", more=skill("a", "", "c") + skill("b")), at="12:00:02"),
        said(reply(outcome="CORRECT", advice="Yes"), at="12:00:03"),
    ])  # fmt: skip
    made = exported(make)
    [one] = read(made)
    assert (one.outcome, one.advice) == ("INCORRECT", "No")
    assert [name for _, _, name in one.skills] == ["a", "b"]
    assert notes(made)["tutor_replies_merged"] == 2


def test_a_reply_may_come_before_what_it_answers(lake, make):
    lake.add("2026-01-03", [said(reply(advice="early"), at="12:00:00"), said(tool(), at="12:00:01")])
    made = exported(make)
    [one] = read(made)
    assert (one.advice, one.time) == ("early", "2026-01-02 12:00:01.000")
    assert "tutor_replies_without_tool_message" not in notes(made)


@pytest.mark.parametrize("order", [("tool", "reply"), ("reply", "tool")])
def test_a_reply_of_another_sitting_is_still_the_reply(lake, make, order):
    statements = {"tool": tool(), "reply": reply(more=skill("late"))}
    lake.add("2026-01-03", [said(statements[order[0]]), said(statements[order[1]], at="15:00:00")])
    [one] = read(exported(make))
    assert (one.outcome, one.skills) == ("CORRECT", (("Default", "", "late"),))


def test_a_context_may_be_declared_after_its_first_use(lake, make):
    lake.add("2026-01-03", [
        said(tool("T1").replace("<problem_name>balance-3</problem_name>", "")), said(declared(problem="the problem"), at="12:00:01"),
        said(tool("T2"), at="12:00:02"),
    ])  # fmt: skip
    assert {one.problem for one in read(exported(make))} == {"the problem"}


def test_a_reply_without_tool_message_is_counted_and_left_out(lake, make):
    lake.add("2026-01-03", [said(reply("T1")), said(tool("T2"), at="12:00:01"), said(reply("T1", more=skill("never")), at="12:00:02")])
    made = exported(make)
    [one] = read(made)
    assert (one.tutor_type, one.outcome, one.step) == ("", "", "")
    assert notes(made)["tutor_replies_without_tool_message"] == 2


def test_a_reply_of_another_kind_is_counted_and_left_out(lake, make):
    lake.add(
        "2026-01-03",
        [said(tool(name="HINT_REQUEST"), reply(name="RESULT", more=skill("never"))), said(tool("T2", name="VIDEO_ACTION"), reply("T2"))],
    )
    made = exported(make)
    assert [(one.student_type, one.tutor_type) for one in read(made)] == [("HINT_REQUEST", ""), ("VIDEO_ACTION", "")]
    assert notes(made)["tutor_replies_of_another_kind"] == 2


def test_one_id_for_two_actions_makes_two_transactions_and_a_repeated_message_one(lake, make):
    lake.add("2026-01-03", [said(tool(input="2")), said(tool(input="3"), at="12:00:01"), said(tool(input="2"), reply(), at="12:00:02")])
    made = exported(make)
    assert [(one.input, one.outcome) for one in read(made)] == [("2", "CORRECT"), ("3", "")]
    assert len({one.id for one in read(made)}) == 2
    assert notes(made)["tutor_tool_messages_repeated"] == 1


def test_hints_of_a_tutor_keep_their_numbers_if_these_can_be(lake, make):
    numbers = ' current_hint_number="{}" total_hints_available="{}"'
    shown = {"T1": (1, 2), "T2": (3, 2), "T3": (0, 0), "T4": (2, 2)}
    lake.add("2026-01-03", [
        said(tool(name, name="HINT_REQUEST"), reply(name, name="HINT_MSG", outcome="HINT", advice="Think", numbers=numbers.format(*pair)), at=f"12:00:0{at}")
        for at, (name, pair) in enumerate(shown.items())
    ])  # fmt: skip
    made = exported(make)
    assert [(one.help_level, one.total_hints) for one in read(made)] == [(1, 2), (None, None), (None, None), (2, 2)]
    assert notes(made)["tutor_hint_numbers_left_out"] == 2


def test_what_a_reply_says_without_an_evaluation_is_kept(lake, make):
    numbers = ' current_hint_number="1" total_hints_available="2" classification="seen"'
    lake.add("2026-01-03", [said(tool(name="HINT_REQUEST"), reply(name="HINT_MSG", outcome="", advice="Think", numbers=numbers))])
    [one] = read(exported(make))
    assert (one.outcome, one.help_level, one.total_hints, one.classification) == ("", 1, 2, "seen")


def test_what_cannot_be_read_is_counted_by_reason_and_takes_nothing_with_it(lake, make):
    lake.add("2026-01-03", [said("<tool_message"), said("<!DOCTYPE a>" + tool("T1")), said("<meta/>"), said(tool("T2"), reply("T2"))])
    made = exported(make)
    [one] = read(made)
    assert one.id.startswith("T2-")
    assert made.result.excluded == {"tutor_xml_unreadable": 2, "tutor_xml_without_message": 1}
    assert made.result.counts == {(3021, "tutor_message"): 1}
    assert made.result.receipt["rows"]["read"] == 4


@pytest.mark.parametrize("name", ["item", "section_id", "score", "select", "input", "time", "session", "x/y"])
def test_a_custom_field_of_a_tutor_says_the_same_in_both_forms_and_never_stands_for_one_of_ours(lake, make, name):
    lake.add("2026-01-03", [said(declared(), tool(more=custom(name, "theirs")), reply()), attempt("a", at="12:00:01", part_id="9")])
    found = read(exported(make))
    theirs, ours = ({field: value for field, value in one.fields.items() if value == "theirs"} for one in found)
    assert not ours
    assert theirs == {
        f"tutor_{name}" if name in {"item", "section_id", "score"} else {"select": "select_", "x/y": "x_y"}.get(name, name): "theirs"
    }
    assert found[0].fields["section_id"] == "3021"


def test_several_kc_models_have_columns_each_and_a_kc_in_two_categories_is_one(lake, make):
    lake.add("2026-01-03", [
        said(tool("T1"), reply("T1", more=skill("a", "Model 1", "c") + skill("b", "Model 1") + skill("a", "Model 1", "d") + skill("a", "Other:Model"))),
        said(tool("T2"), reply("T2", more=skill("c")), at="12:00:01"),
    ])  # fmt: skip
    first, second = read(exported(make))
    assert first.skills == (("Model 1", "c", "a"), ("Model 1", "", "b"), ("Other_Model", "", "a"))
    assert second.skills == (("Default", "", "c"),)


def test_users_are_replaced_in_everything_a_tutor_says(lake, make):
    """Also in its own ids, names of problems and skills, and its own meta."""
    who = "41207"
    lake.add("2026-01-03", [
        said(declared(f"A {who}", f"problem of {who}", custom("who", f"({who})")), tool(f"T-{who}", f"A {who}", input=f"I am {who}."),
             reply(f"T-{who}", f"A {who}", advice=f"Hello {who}", more=skill(f"kc {who}"))),
    ])  # fmt: skip
    made = exported(make, named=False)
    [one] = read(made)
    assert one.outcome == "CORRECT"
    bodies = made.body("chunk_0.xml") + made.body("chunk_0.txt")
    assert b"41207" not in bodies
    assert one.input == f"I am {one.student}."
    assert one.problem == f"problem of {one.student}"


def test_an_own_id_cannot_be_joined_with_the_real_guid_without_the_key(lake, make):
    """The digest in an id is of what the data set shows, so nobody can try guids on it."""
    lake.add("2026-01-03", [said(declared(), tool(), reply())])
    [one] = read(exported(make, named=False))
    tried, shown = (
        digest(3021, one.student, one.session, guid, "A17", "T9")[:16] for guid in ("tutored-guid", one.fields["activity_attempt_guid"])
    )
    assert one.id == f"T9-{shown}" != f"T9-{tried}"
