"""The verifier over tab-delimited tables: right tables pass, and each planted mistake is found by its rule, in its row."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torus_assets.datasets.datashop.findings import RULES
from torus_assets.datasets.datashop.verify import Report, iter_transactions, verify

GOLDEN = (Path(__file__).parent / "golden" / "datashop_upload.txt").read_text()
XML = (Path(__file__).parent / "golden" / "datashop_upload.xml").read_text()

HEAD = ["Anon Student Id", "Session Id", "Time", "Level (Page)", "Problem Name", "Problem View", "Selection", "Action", "Input"]
ROW = ["ann", "s1", "2026-02-02 09:00:00", "Osmosis", "P", "1", "part 1", "choice", "a"]


def verified(*tables: str | bytes) -> Report:
    bodies = [table.encode() if isinstance(table, str) else table for table in tables]
    return verify([(f"f{n}", lambda body=body: io.BytesIO(body)) for n, body in enumerate(bodies, start=1)], this_year=2026)


def table(*changes: dict[str, str], **more: str) -> str:
    """A table of the least columns, a row for each of `changes`; `more` are further columns with the value of every row."""
    head = [*HEAD, *(name.replace("_", " ") for name in more)]
    rows = [[*ROW, *more.values()] for _ in changes or [{}]]
    for row, change in zip(rows, changes, strict=False):
        for name, value in change.items():
            row[head.index(name)] = value
    return "".join("\t".join(line) + "\n" for line in (head, *rows))


def with_heading(*headings: str) -> str:
    """The least table with more headings, and empty cells under them."""
    return "\t".join([*HEAD, *headings]) + "\n" + "\t".join(ROW + [""] * len(headings)) + "\n"


def found(report: Report) -> list[tuple[str, int | None]]:
    return [(finding.rule, finding.place.line) for finding in report.findings]


def test_the_table_written_by_hand_is_right():
    report = verified(GOLDEN)
    assert found(report) == []
    assert [(file.form, file.bytes, file.messages) for file in report.files] == [("tab", len(GOLDEN.encode()), 3)]
    assert report.document()["sections"] == verify([("x", lambda: io.BytesIO(XML.encode()))]).document()["sections"]


def test_headings_match_without_regard_to_case_and_blanks():
    head = "ANONSTUDENTID\tsession  id\tTime\tlevel(Page)\tProblemName\tproblem view\tSELECTION\taction\tInput"
    assert found(verified(f"{head}\n" + "\t".join(ROW) + "\n")) == []


def test_the_last_line_needs_no_line_feed_and_a_byte_order_mark_is_no_heading():
    assert found(verified(b"\xef\xbb\xbf" + table().encode().rstrip(b"\n"))) == []


HEADINGS = [
    ("head.duplicate", with_heading("Time Zone", "TimeZone")),
    ("head.duplicate", with_heading("CF (a)", "CF (a)")),
    ("head.pair", with_heading("Condition Type")),
    ("head.pair", with_heading("Condition Name", "School", "Condition Type")),
    ("head.pair", with_heading("Feedback Classification", "Feedback Text")),
    ("head.pair", with_heading("KC (a)", "KC Category (b)")),
    ("head.pair", with_heading("KC Category (a)", "KC (a)")),
    ("head.name", with_heading("CF (a.b)")),
    ("head.name", with_heading("KC ()")),
    ("head.name", with_heading(f"KC ({'k' * 51})")),
    ("head.name", with_heading(f"Level ({'l' * 101})")),
    ("head.name", with_heading(f"CF ({'f' * 256})")),
    ("head.keyword", with_heading("CF (select)")),
    ("head.unknown", with_heading("Mood")),
    ("head.required", table().replace("Anon Student Id", "Sample Name")),
    ("head.required", table().replace("Level (Page)", "School")),
    ("head.required", table().replace("Selection", "Class")),
    ("row.no_view", table().replace("Problem View", "Row")),
    ("row.carriage_return", table().replace("Input\n", "Input\r\n")),
    ("row.encoding", table().encode().replace(b"Input", b"Inp\xfct")),
    ("file.empty", ""),
    ("file.empty", "\n"),
]


@pytest.mark.parametrize(("rule", "body"), HEADINGS)
def test_a_mistake_in_the_heading_is_found(rule, body):
    report = verified(body)
    assert [(name, line) for name, line in found(report) if name != "row.empty_level"] == [(rule, 1)]
    assert report.ok is (RULES[rule].severity == "warning")


def test_columns_that_may_repeat_do():
    repeated = [
        "Level (Unit)",
        "Level (Unit)",
        "Selection",
        "Action",
        "Input",
        "KC (a)",
        "KC (a)",
        *["Condition Name", "Condition Type"] * 2,
    ]
    assert set(verified(with_heading(*repeated)).counts) == {"row.empty_level"}


def test_a_step_name_stands_in_for_selection_action_and_input():
    head = ["Anon Student Id", "Session Id", "Time", "Level (Page)", "Problem Name", "Problem View", "Step Name"]
    body = "\t".join(head) + "\n" + "\t".join([*ROW[:6], "part 1 choice"]) + "\n"
    assert found(verified(body)) == []


def test_files_of_an_upload_agree_in_their_headings():
    second = table({"Session Id": "s2"}).replace("Problem View", "Problem Start Time").replace("\t1\t", "\t2026-02-02 09:00\t")
    assert found(verified(table(), second)) == [("head.differs", 1)]
    assert found(verified(table(), table())) == []


def test_an_upload_is_either_form():
    assert set(verified(XML, table({"Session Id": "s9"})).counts) == {"file.forms_mixed"}


ROWS = [
    ("row.fields", table().replace("choice", "choi\tce")),
    ("row.fields", table().replace("choice\ta", "choice")),
    ("row.carriage_return", table({"Input": "a\rb"})),
    ("row.carriage_return", table().replace("\ta\n", "\ta\r\n")),
    ("row.encoding", table().encode().replace(b"choice", b"ch\xffice")),
    ("row.backslash", table({"Input": "C:\\n"})),
    ("row.backslash", table({"Input": "a\\\\\\b"})),
    ("row.empty", table({"Anon Student Id": ""})),
    ("row.empty", table({"Session Id": " "})),
    ("row.empty", table({"Time": ""})),
    ("row.empty", table({"Problem Name": ""})),
    ("row.empty_level", table({"Level (Page)": ""})),
    ("row.digits", table({"Problem View": "1.0"})),
    ("row.digits", table(Help_Level="-1")),
    ("row.digits", table(Total_Num_Hints="²")),
    ("row.pair", table(Feedback_Text="", Feedback_Classification="x")),
    ("row.pair", table(Condition_Name="", Condition_Type="x")),
    ("row.pair", table(**{"KC (a)": "", "KC Category (a)": "x"})),
    ("row.no_step", table({"Selection": "", "Action": ""})),
    ("row.no_view", table({"Problem View": ""})),
    ("row.response", table(Student_Response_Type="GUESS")),
    ("row.response", table(Student_Response_Type="ATTEMPT", Tutor_Response_Type="HINT_MSG")),
    ("row.quote", table({"Anon Student Id": "o'hara"})),
    ("row.quote", table({"Level (Page)": "Fick's law"})),
    ("outcome.unknown", table(Outcome="MAYBE")),
    ("hint.number", table(Help_Level="3", Total_Num_Hints="2")),
    ("value.above_ffff", table({"Input": "\U0001f389"})),
    ("time.pattern", table({"Time": "2026-02-02T09:00:00Z"})),
    ("time.pattern", table(Problem_Start_Time="yesterday")),
    ("time.date", table({"Time": "2026-02-30 09:00:00"})),
    ("time.date", table({"Time": "13/01/2026 09:00"})),
    ("time.years", table({"Time": "2047-02-02 09:00:00"})),
    ("time.trailing", table({"Time": "2026-02-02 09:00:00.123 +0100"})),
    ("value.too_long", table({"Anon Student Id": "ü" * 28})),
    ("value.too_long", table({"Session Id": "s" * 256})),
    ("value.too_long", table({"Level (Page)": "l" * 101})),
    ("value.too_long", table({"Problem Name": "p" * 256})),
    ("value.too_long", table({"Selection": "s" * 256})),
    ("value.too_long", table({"Action": "a" * 256})),
    ("value.too_long", table({"Input": "i" * 256})),
    ("value.too_long", table(Time_Zone="z" * 51)),
    ("value.too_long", table(Step_Name="s" * 256)),
    ("value.too_long", table(School="s" * 101)),
    ("value.too_long", table(Class="c" * 76)),
    ("value.too_long", table(Feedback_Text="f" * 65_536)),
    ("value.too_long", table(Condition_Name="c" * 81)),
    ("value.too_long", table(**{"CF (a)": "c" * 65_001})),
    ("value.too_long", table(**{"KC (a)": "k" * 65_536})),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "body"), ROWS)
def test_a_mistake_in_a_row_is_found(rule, body):
    report = verified(body)
    assert found(report) == [(rule, 2)]
    assert report.ok is (RULES[rule].severity == "warning")


@pytest.mark.parametrize(
    "time",
    [
        "2026-02-02 09:00:00.5",
        "2026-02-02 09:00:00.123456",
        "2026-02-02 09:00:00:123",
        "2026-02-02 09:00",
        "02/28/2026 23:59",
        "02/28/2026 23:59:59",
    ],
)
def test_the_table_takes_more_times_than_the_xml(time):
    assert found(verified(table({"Time": time}))) == []


def test_ids_are_unique_over_rows_and_files():
    assert found(verified(table({}, {}, Transaction_Id="t1"))) == [("id.transaction_twice", 3)]
    assert found(verified(table(Transaction_Id="t1"), table(Transaction_Id="t1"))) == [("id.transaction_twice", 2)]
    assert found(verified(table({}, {"Anon Student Id": "bob"}))) == [("id.session_of_two_users", 3)]


def test_double_backslashes_are_right_and_read_as_one():
    body = table({"Input": "C:\\\\new \\\\\\\\x"}).encode()
    assert found(verified(body)) == []
    assert [one.input for one in iter_transactions([("f", lambda: io.BytesIO(body))])] == ["C:\\new \\\\x"]


def test_a_row_with_too_many_fields_is_no_transaction():
    report = verified(table({}, {"Input": "a\tb"}, {}))
    assert (report.sections[""].transactions, report.files[0].messages) == (2, 3)


def test_the_limits_themselves_are_right():
    wide = {"Anon Student Id": "s" * 55, "Session Id": "s" * 255, "Level (Page)": "l" * 100, "Selection": "s" * 255, "Input": "ü" * 127}
    assert found(verified(table(wide, Feedback_Text="f" * 65_535))) == []


def test_findings_show_nothing_that_a_learner_wrote_and_no_learner():
    secret = "ann.smith@example.edu"
    change = {name: f"{secret}'\U0001f389\\" * 60 for name in HEAD if "(" not in name}
    report = verified(table(change, Outcome=secret, Student_Response_Type=secret), with_heading(secret))
    assert len(report.counts) >= 8
    assert secret not in str(report.document())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_table_never_raises_and_keeps_its_size(data):
    body = bytearray(GOLDEN.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(body) - 1))
        body[at : at + data.draw(st.integers(0, 30))] = data.draw(
            st.sampled_from([b"\t", b"\n", b"\\", b"\r", b"'", b"\xff", b"(", b"", "²".encode()])
        )
    assert verified(bytes(body)).files[0].bytes == len(body)
