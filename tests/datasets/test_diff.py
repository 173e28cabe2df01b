"""What `torus dataset diff` says of two runs: which rows differ, and the cause of each difference."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.diff import ERASED, Diff, diff
from torus_assets.datasets.receipt import encoded
from torus_assets.datasets.request import parse_request
from torus_assets.datasets.run_folder import NoSuchRun, Run, find_run

PARTS = [
    {"day": "2026-01-02", "kind": "part_attempt", "rows": 4, "digest": "aa"},
    {"day": "2026-01-02", "kind": "page_attempt", "rows": 2, "digest": "bb"},
]
LEARNERS = ("s-ada", "s-bob")


def part(number: int, learner: str = LEARNERS[0], section: str = "3021", **cells: str | None) -> dict[str, str | None]:
    return {
        "event_type": "Part Attempt", "timestamp": f"2026-01-02T12:00:{number:02d}Z", "user_id": learner, "section_id": section, "page_id": "60480",
        "activity_id": "60511", "part_attempt_guid": f"guid-{learner}-{number}", "score": "1.0", "out_of": "1.0", "response": '{"input":"4"}', **cells,
    }  # fmt: skip


def page(number: int, learner: str = LEARNERS[0], **cells: str | None) -> dict[str, str | None]:
    return {
        **part(number, learner),
        "event_type": "Page Attempt",
        "part_attempt_guid": None,
        "activity_id": None,
        "page_attempt_guid": f"p{number}",
        **cells,
    }


ROWS = [*(part(n, who) for who in LEARNERS for n in (1, 2)), page(1), page(2, LEARNERS[1])]


class Worlds:
    """Runs of one job, written as an export leaves them."""

    def __init__(self, store: ObjectStore, scratch: Any) -> None:
        self.store, self.scratch, self.number = store, scratch, 0

    def run(
        self,
        rows: list[dict[str, str | None]] = ROWS,
        *,
        read: Any = None,
        chunk_rows: int = 4,
        action: str = "attempt_evaluated",
        **keys: Any,
    ) -> Run:
        self.number += 1
        receipt = {
            name: keys.pop(name) for name in ("code_version", "key_fingerprint", "lookup_sha256", "held_days_included") if name in keys
        }
        request = parse_request({"job_id": "biology", "action": action, "section_ids": [3021], "chunk_rows": chunk_rows, **keys})
        shown = request.document()
        students = shown.pop("ignored_student_ids")
        shown["ignored_students"] = {"count": len(students), "keyed_digest": str(students)}
        folder = f"biology/runs/{self.number:032x}/"
        names = [column.name for column in request.table.without(request.exclude_fields)]
        files = []
        for form in request.format:
            for at in range(0, len(rows), chunk_rows):
                body = {"csv": as_csv, "parquet": as_parquet, "datashop-xml": as_xml}[form](rows[at : at + chunk_rows], names)
                name = f"chunk_{at // chunk_rows}.{form.removeprefix('datashop-')}"
                files.append({"name": name, "rows": 0, "bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()})
                self.store.put(folder + files[-1]["name"], body)
        document = {
            "run": f"{self.number:032x}", "request": shown, "code_version": "1", "key_fingerprint": "k", "lookup_sha256": None, "held_days_included": [],
            "read": PARTS if read is None else read, "rows": {"read": len(rows), "exported": len(rows)}, "files": files, **receipt,
        }  # fmt: skip
        self.store.put(f"{folder}receipt.json", encoded(document))
        return find_run(self.store, f"biology/{self.number:032x}")

    def diff(self, a: Run, b: Run) -> Diff:
        found = diff(a, b, self.scratch)
        assert not list(self.scratch.glob("*")), "nothing stays in the scratch space"
        said = json.dumps(found.document()) + "\n".join(found.lines())
        assert not any(learner in said for learner in LEARNERS)
        assert "guid-" not in said
        return found


def as_csv(rows: list[dict[str, str | None]], names: list[str]) -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        out.write(",".join("" if row.get(name) is None else '"' + str(row[name]).replace('"', '""') + '"' for name in names) + "\n")
    return out.getvalue().encode()


def as_parquet(rows: list[dict[str, str | None]], names: list[str]) -> bytes:
    numbers = {"score": pa.float64(), "out_of": pa.float64(), "section_id": pa.int64(), "page_id": pa.int64(), "activity_id": pa.int64()}
    columns = {}
    for name in names:
        cells = [row.get(name) for row in rows]
        to = numbers.get(name, pa.string())
        columns[name] = pa.array(
            [None if cell is None else float(cell) if to == pa.float64() else int(cell) if to == pa.int64() else cell for cell in cells], to
        )
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def as_xml(rows: list[dict[str, Any]], names: list[str]) -> bytes:
    return XML.format("".join(MESSAGES.format(**row) for row in rows)).encode()


@pytest.fixture
def worlds(tmp_path) -> Worlds:
    return Worlds(open_store(f"file://{tmp_path / 'data sets [1]'}"), tmp_path / "scratch")


def groups(found: Diff) -> list[tuple[Any, ...]]:
    assert found.rows is not None
    return [(one.section, one.event, one.only_a, one.only_b, one.changed, found.why(one)) for one in found.rows.groups]


def names(found: Diff) -> list[str]:
    return [cause.name for cause in found.causes]


# No difference ---------------------------------------------------------------------------------------------------------------


def test_equal_runs_are_the_same_bytes(worlds):
    found = worlds.diff(worlds.run(), worlds.run())
    assert found.same_bytes
    assert found.document()["same_rows"]
    assert list(found.lines())[2:] == ["the same bytes"]


def test_causes_without_effect_are_said_to_have_none(worlds):
    found = worlds.diff(worlds.run(), worlds.run(code_version="2"))
    assert found.same_bytes
    assert "changed code: the code: 1 -> 2, without effect on the bytes" in list(found.lines())


@pytest.mark.parametrize("others", [{"chunk_rows": 2}, {"format": "parquet"}, {"format": ["csv", "parquet"], "chunk_rows": 3}])
def test_the_same_rows_in_other_files_are_the_same_rows(worlds, others):
    found = worlds.diff(worlds.run(), worlds.run(**others))
    assert not found.same_bytes
    assert found.document()["same_rows"]
    assert names(found) == ["changed request"]
    assert (found.rows.rows_a, found.rows.rows_b, found.rows.same, groups(found)) == (6, 6, 6, [])


def test_rows_in_another_order_are_the_same_rows(worlds):
    assert worlds.diff(worlds.run(), worlds.run(ROWS[::-1])).rows.is_same


def test_null_and_empty_text_are_not_the_same(worlds):
    found = worlds.diff(worlds.run([part(1, response=None)]), worlds.run([part(1, response="")]))
    assert found.rows.columns == {"response": 1}


# Each cause ------------------------------------------------------------------------------------------------------------------


def test_new_data(worlds):
    later = {"day": "2026-01-03", "kind": "part_attempt", "rows": 1, "digest": "cc"}
    found = worlds.diff(worlds.run(), worlds.run([*ROWS, part(9)], read=[*PARTS, later]))
    assert names(found) == ["new data"]
    assert found.causes[0].text == "2026-01-03: +1 rows of part_attempt"
    assert groups(found) == [("3021", "Part Attempt", 0, 1, 0, {"only_b": ["new data"]})]
    assert "section 3021, Part Attempt: 1 only in B (new data)" in list(found.lines())


def test_more_rows_on_a_day_that_was_read_before_are_new_data_and_duplicates_count(worlds):
    more = [{**PARTS[0], "rows": 6, "digest": "dd"}, PARTS[1]]
    found = worlds.diff(worlds.run(), worlds.run([*ROWS, part(1), part(1)], read=more))
    assert (names(found), found.rows.same) == (["new data"], 6)
    assert groups(found) == [("3021", "Part Attempt", 0, 2, 0, {"only_b": ["new data"]})]


def test_data_that_is_gone_although_its_learners_are_there(worlds):
    found = worlds.diff(worlds.run(), worlds.run(ROWS[1:], read=[{**PARTS[0], "rows": 3, "digest": "x"}, PARTS[1]]))
    assert names(found) == ["data gone"]
    assert groups(found) == [("3021", "Part Attempt", 1, 0, 0, {"only_a": ["data gone"]})]


def test_an_erased_learner_is_counted_and_not_named(worlds):
    left = [row for row in ROWS if row["user_id"] != LEARNERS[1]]
    found = worlds.diff(
        worlds.run(), worlds.run(left, read=[{**PARTS[0], "rows": 2, "digest": "x"}, {**PARTS[1], "rows": 1, "digest": "y"}])
    )
    assert names(found) == ["data gone", ERASED]
    assert found.causes[1].document() == {"cause": ERASED, "text": "1 learner(s) of A have no row in B: 3 rows", "learners": 1, "rows": 3}
    assert [(*one[:5], one[5]["only_a"][0]) for one in groups(found)] == [
        ("3021", "Page Attempt", 1, 0, 0, ERASED), ("3021", "Part Attempt", 2, 0, 0, ERASED),
    ]  # fmt: skip


def test_a_learner_that_the_request_leaves_out_is_not_called_erased(worlds):
    left = [row for row in ROWS if row["user_id"] != LEARNERS[1]]
    found = worlds.diff(worlds.run(), worlds.run(left, ignored_student_ids=[41207]))
    assert names(found) == ["changed request"]
    assert found.causes[0].text == "ignored_students 0 student(s) -> 1 student(s)"
    assert "41207" not in json.dumps(found.causes[0].details["changes"][0]["from"])
    assert {tuple(why["only_a"]) for *_, why in groups(found)} == {("changed request",)}


def test_a_changed_request_names_the_keys_and_from_what_to_what(worlds):
    found = worlds.diff(worlds.run(), worlds.run(ROWS[:4], sub_types=["part_attempt_evaluated"], date_to="2026-01-31"))
    assert [change["key"] for change in found.causes[0].details["changes"]] == ["date_to", "sub_types"]
    assert found.causes[0].text.startswith("date_to none -> 2026-01-31; sub_types part_attempt_evaluated, ")
    assert groups(found) == [("3021", "Page Attempt", 2, 0, 0, {"only_a": ["changed request"]})]


def test_other_sections_explain_only_the_rows_of_those_sections(worlds):
    new = {"day": "2026-01-02", "kind": "part_attempt", "rows": 5, "digest": "zz"}
    found = worlds.diff(worlds.run(), worlds.run([*ROWS, part(1, section="7"), part(8)], section_ids=[3021, 7], read=[new, PARTS[1]]))
    assert groups(found) == [
        ("7", "Part Attempt", 0, 1, 0, {"only_b": ["changed request", "new data"]}),
        ("3021", "Part Attempt", 0, 1, 0, {"only_b": ["new data"]}),
    ]


def test_columns_that_are_left_out_are_named(worlds):
    found = worlds.diff(worlds.run(), worlds.run(exclude_fields=["response", "score"]))
    assert found.rows.columns_only_a == ("score", "response")
    assert (found.rows.same, groups(found)) == (6, [])
    assert not found.rows.is_same
    assert "columns only in A: score, response" in list(found.lines())


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"code_version": "2"}, "changed code"), ({"lookup_sha256": "f" * 64}, "changed lookup"), ({"dialect": "compat"}, "changed request"),
        ({"read": [{**PARTS[0], "digest": "other"}, PARTS[1]]}, "changed data"),
    ],
)  # fmt: skip
def test_cells_that_changed_pair_up_and_get_their_cause(worlds, change, cause):
    other = [part(1, response="5", score="0.0"), *ROWS[1:]]
    found = worlds.diff(worlds.run(), worlds.run(other, **change))
    assert names(found) == [cause]
    assert groups(found) == [("3021", "Part Attempt", 0, 0, 1, {"changed": [cause]})]
    assert found.rows.columns == {"score": 1, "response": 1}


@pytest.mark.parametrize("change", [{"key_fingerprint": "other"}, {"scope": "shared"}])
def test_other_pseudonyms_are_not_compared_and_everything_else_is(worlds, change):
    renamed = [
        {**row, "user_id": f"t{row['user_id']}", "part_attempt_guid": row["part_attempt_guid"] and "t" + row["part_attempt_guid"]}
        for row in ROWS
    ]
    renamed[5] = {**renamed[5], "score": "0.5"}
    found = worlds.diff(worlds.run(), worlds.run(renamed, **change))
    assert {"user_id", "part_attempt_guid"} < set(found.rows.not_compared)
    assert found.rows.learners_gone is None
    assert groups(found) == [("3021", "Page Attempt", 0, 0, 1, {"changed": [names(found)[0]]})]


def test_held_days_that_were_taken_too(worlds):
    held = {"day": "2026-01-04", "kind": "part_attempt", "rows": 1, "digest": "hh"}
    found = worlds.diff(
        worlds.run(), worlds.run([*ROWS, part(9)], held_days_included=["2026-01-04"], include_held=True, read=[*PARTS, held])
    )
    assert names(found) == ["changed request", "held days", "new data"]
    assert groups(found)[0][5] == {"only_b": ["held days", "new data"]}


def test_a_difference_that_no_receipt_explains_is_said_to_be_one(worlds):
    found = worlds.diff(worlds.run(), worlds.run(ROWS[1:]))
    assert groups(found) == [("3021", "Part Attempt", 1, 0, 0, {"only_a": []})]
    assert any("nothing in the receipts explains it" in line for line in found.lines())


def test_data_sets_of_different_kinds_are_not_compared_by_rows(worlds):
    found = worlds.diff(worlds.run(), worlds.run([], action="video"))
    assert found.rows is None
    assert "different kinds of data sets" in " ".join(found.lines())


def test_a_data_set_without_rows_is_compared_like_any_other(worlds):
    found = worlds.diff(worlds.run([]), worlds.run(ROWS[:1]))
    assert (found.rows.rows_a, found.rows.rows_b) == (0, 1)


def test_cells_with_line_ends_quotes_and_many_bytes_are_read_as_they_are(worlds):
    odd = [part(1, response='a "quoted", cell\nof two\r\nlines'), part(2, response="x" * 3_000_000), part(3, response="naïve 😀 \u2028")]
    a, b = worlds.run(odd), worlds.run([*odd[:2], part(3, response="naïve 😀 ")], format="parquet")
    found = worlds.diff(a, b)
    assert (found.rows.same, found.rows.columns) == (2, {"response": 1})


# DataShop --------------------------------------------------------------------------------------------------------------------

XML = """<?xml version="1.0" encoding="UTF-8"?>
<tutor_related_message_sequence version_number="4">{}</tutor_related_message_sequence>
"""
META = (
    "<meta><user_id>{who}</user_id><session_id>x{who}</session_id><time>2026-01-02 12:00:0{n}.000</time><time_zone>UTC</time_zone></meta>"
)
MESSAGES = (
    '<context_message context_message_id="c{n}" name="START_PROBLEM">' + META + "<class><name>Section 3021</name></class>"
    '<dataset><name>Biology</name><level type="Unit"><name>Cells</name><problem><name>Activity 7</name></problem></level></dataset></context_message>'
    '<tool_message context_message_id="c{n}">' + META + '<semantic_event transaction_id="t{n}" name="ATTEMPT"/>'
    "<event_descriptor><selection>s</selection><action>a</action><input>4</input></event_descriptor></tool_message>"
    '<tutor_message context_message_id="c{n}">' + META + '<semantic_event transaction_id="t{n}" name="RESULT"/>'
    "<event_descriptor><selection>s</selection><action>a</action><input>4</input></event_descriptor>"
    "<action_evaluation>{outcome}</action_evaluation><skill><name>{skill}</name></skill></tutor_message>"
)


def transaction(n: int, who: str = LEARNERS[0], outcome: str = "CORRECT", skill: str = "Osmosis") -> dict[str, Any]:
    return {"n": n, "who": who, "outcome": outcome, "skill": skill}


TRANSACTIONS = [transaction(1), transaction(2), transaction(3, LEARNERS[1])]


def test_transactions_are_compared_whatever_files_they_are_in(worlds):
    found = worlds.diff(worlds.run(TRANSACTIONS, action="datashop"), worlds.run(TRANSACTIONS, action="datashop", chunk_rows=2))
    assert (found.rows.rows_a, found.rows.same, found.rows.is_same) == (3, 3, True)


def test_a_transaction_whose_skill_the_lookup_calls_otherwise_now_is_changed_by_the_lookup(worlds):
    other = [transaction(1, skill="Diffusion"), *TRANSACTIONS[1:], transaction(4)]
    found = worlds.diff(worlds.run(TRANSACTIONS, action="datashop"), worlds.run(other, action="datashop", lookup_sha256="f" * 64))
    assert groups(found) == [("Section 3021", "ATTEMPT", 0, 1, 1, {"only_b": [], "changed": ["changed lookup"]})]
    assert found.rows.columns == {"skills": 1}
    assert any(line.startswith("section 3021, ATTEMPT: 1 changed (changed lookup)") for line in found.lines())


def test_transactions_of_an_erased_learner_are_counted(worlds):
    fewer = [{**PARTS[0], "rows": 2, "digest": "x"}, PARTS[1]]
    found = worlds.diff(worlds.run(TRANSACTIONS, action="datashop"), worlds.run(TRANSACTIONS[:2], action="datashop", read=fewer))
    assert names(found) == ["data gone", ERASED]
    assert groups(found) == [("Section 3021", "ATTEMPT", 1, 0, 0, {"only_a": [ERASED, "data gone"]})]


def test_transactions_under_other_pseudonyms_pair_up_by_what_was_done_when(worlds):
    renamed = [{**one, "who": "t" + one["who"]} for one in TRANSACTIONS[1:]] + [transaction(1, outcome="INCORRECT")]
    found = worlds.diff(worlds.run(TRANSACTIONS, action="datashop"), worlds.run(renamed, action="datashop", scope="shared"))
    assert found.rows.not_compared == ("id", "student", "session")
    assert groups(found) == [("Section 3021", "ATTEMPT", 0, 0, 1, {"changed": ["changed request"]})]
    assert found.rows.columns == {"outcome": 1}


# Where runs are --------------------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_job_by_run_and_by_url(worlds):
    first, second = worlds.run(), worlds.run(ROWS[1:])
    worlds.store.put("biology/manifest.json", encoded({"receipt": f"runs/{second.id}/receipt.json"}))
    url = worlds.store.uri(second.folder.rstrip("/"))
    for place in ("biology", f"biology/{second.id}", f"biology/runs/{second.id}/", url, url.rpartition("/runs/")[0]):
        assert find_run(worlds.store, place).id == second.id
    assert worlds.diff(first, find_run(worlds.store, url)).rows.rows_b == 5


@pytest.mark.parametrize(("place", "message"), [
    ("chemistry", "chemistry has no published run"), ("biology/ff", "no finished run"), ("../up", "is no run"), ("biology/../x", "is no run"),
    ("file:///nowhere/at/all", "no finished run"),
])  # fmt: skip
def test_a_run_that_is_not_there_is_named(worlds, place, message):
    worlds.run()
    with pytest.raises(NoSuchRun, match=message):
        find_run(worlds.store, place)


def test_a_file_that_is_gone_is_named(worlds):
    a, b = worlds.run(), worlds.run(ROWS[1:])
    worlds.store.delete([f"{b.folder}chunk_0.csv"])
    with pytest.raises(FileNotFoundError, match=r"chunk_0\.csv: named in the receipt, and gone"):
        diff(a, b, worlds.scratch)


def test_runs_of_two_stores_one_of_them_s3_are_compared(worlds, s3):
    far = Worlds(open_store(f"{s3}/sets"), worlds.scratch)
    found = worlds.diff(worlds.run(), far.run([part(1, score="0.0"), *ROWS[1:]], code_version="2"))
    assert groups(found) == [("3021", "Part Attempt", 0, 0, 1, {"changed": ["changed code"]})]
