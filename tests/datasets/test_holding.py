"""Which data sets contain a learner: found under pseudonym, id and e-mail in every format, and nobody else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from conftest import KEY
from small_lake import part

from torus_assets.datasets.holding import Holding, Sought, holdings
from torus_assets.datasets.pseudonyms import PseudonymKey
from torus_assets.datasets.withdrawal import withdraw

THEIRS = Sought("torus.example.edu", "41207", KEY)
OTHER = Sought("torus.example.edu", "90001", KEY)
NAMED = {"anonymize": False, "permitted_by": "IRB 2026-17"}
DATASHOP = {"action": "datashop", "format": ["datashop-xml", "datashop-tab"]}
EMAIL = "canary@example.edu"


@pytest.fixture
def filled(lake):
    """One learner's attempts, and another's whose answer is the first one's id, as a number and in words."""
    return lake.add("2026-01-02", [part(41207), part(90001, response={"files": [], "input": "page 60480"})])


@pytest.fixture
def look(store, tmp_path):
    return lambda sought=THEIRS: holdings(store, sought, tmp_path / "scratch")


@pytest.mark.parametrize(
    ("keys", "files"),
    [
        ({"format": "csv"}, {"chunk_0.csv"}),
        ({"format": "parquet"}, {"chunk_0.parquet"}),
        (DATASHOP, {"chunk_0.xml", "chunk_0.txt"}),
        ({"format": "csv", **NAMED}, {"chunk_0.csv"}),
        ({"format": "parquet", **NAMED}, {"chunk_0.parquet"}),
        ({**DATASHOP, **NAMED}, {"chunk_0.xml", "chunk_0.txt"}),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_run_that_contains_them_is_found_in_every_format(filled, make, look, keys, files):
    made = make(**keys)
    [found] = look()
    assert (found.job_id, found.what, found.place, found.certain, found.why) == ("job-1", "run", made.result.folder, True, "")
    assert found.command == "torus dataset withdraw job-1 --by NAME"
    assert files <= set(found.files)
    assert "receipt.json" not in found.files
    assert look(Sought("torus.example.edu", "60480", KEY)) == [], "a page's id and a word of an answer are no learner"
    assert look(Sought("torus.example.edu", "4120", KEY)) == []


def test_a_run_that_names_learners_by_e_mail_is_found_by_the_lookup(filled, make, look, store):
    store.put("contexts/job-1.json", json.dumps({"users": {"41207": {"email": EMAIL}, "90001": {"email": "else@example.edu"}}}).encode())
    made = make(**NAMED)
    assert EMAIL.encode() in made.body()
    lookup, run = look()
    assert (lookup.what, lookup.place, lookup.certain) == ("lookup", "contexts/job-1.json", True)
    assert (run.what, run.certain) == ("run", True)
    assert "chunk_0.csv" in run.files
    store.delete(["contexts/job-1.json"])
    [run] = look()
    assert not run.certain
    assert "by e-mail" in run.why


def test_a_run_under_another_key_cannot_be_told(filled, make, look):
    make()
    other = PseudonymKey(b"another key, of another deployment")
    [found] = look(Sought("torus.example.edu", "41207", other))
    assert (found.certain, found.files, found.why) == (False, (), f"made under the key with fingerprint {KEY.fingerprint}")
    [found] = look(Sought("torus.example.edu", "41207", None))
    assert found.why == "no pseudonym key is set (TORUS_PSEUDONYM_KEY)"


def test_a_run_without_a_column_of_learners_cannot_be_told(filled, make, look):
    make(exclude_fields=["user_id"])
    [found] = look()
    assert (found.certain, found.why) == (False, "its rows have no column that tells learners apart")


def test_the_id_of_a_learner_at_another_host_is_somebody_else(filled, make, look):
    make()
    assert look(Sought("another.example.edu", "41207", KEY)) == []


def test_runs_are_searched_in_the_scope_they_were_made_in(filled, make, look):
    make(job_id="first", scope="a study")
    make(job_id="second", scope="a study", sections=[3021], ignored_student_ids=["41207"])
    make(job_id="third")
    assert [(one.job_id, one.what, one.certain) for one in look()] == [("first", "run", True), ("third", "run", True)]


def test_a_request_that_leaves_them_out_names_them(look, store):
    asked = {"job_id": "job-1", "action": "video", "section_ids": [41207], "ignored_student_ids": [90001]}
    store.put("requests/job-1.json", json.dumps(asked).encode())
    assert look() == []
    assert look(OTHER) == [Holding("job-1", "request", "requests/job-1.json", True, "torus dataset withdraw job-1 --by NAME")]
    store.put("requests/job-1.json", b'{"job_id": "job-1", "ignored_student_ids": [90001]')
    [found] = look(OTHER)
    assert (found.what, found.certain) == ("request", False)


def test_a_run_that_was_never_finished_is_searched_too(filled, make, look, store):
    made = make()
    store.delete([f"{made.result.folder}receipt.json"])
    [found] = look()
    assert (found.certain, "chunk_0.csv" in found.files) == (True, True)
    store.delete([made.result.folder + name for name in found.files])
    [found] = look()
    assert (found.certain, found.why) == (False, "the run was never finished: no receipt says how it was made")


def test_a_withdrawn_run_only_has_to_expire(filled, make, look, store):
    made = make()
    store.put("requests/job-1.json", b'{"job_id": "job-1", "action": "attempt_evaluated", "section_ids": [3021]}')
    withdraw(store, "job-1", "Ada", datetime(2026, 3, 1, tzinfo=UTC))
    [found] = look()
    assert (found.place, found.command) == (made.result.folder, "torus dataset expire --withdrawn-days 0 --lookup-days 0")


def test_a_word_across_two_pieces_of_a_file_is_found(store, look, monkeypatch):
    from torus_assets.clients.folder_store import FolderStore

    whole = FolderStore.stream
    monkeypatch.setattr(FolderStore, "stream", lambda self, key, chunk_bytes=7: whole(self, key, 7))
    [name, *_] = THEIRS.pseudonyms("job-1")
    store.put("job-1/runs/r/chunk_0.csv", b"a,b\n" + b"x" * 40 + b"," + name + b",y\n")
    [found] = look()
    assert found.files == ("chunk_0.csv",)
    store.put("job-1/runs/r/chunk_0.csv", b"a,b\n" + b"x" * 40 + name + b"y\n")
    assert [one.certain for one in look()] == [False]
