"""What is known of failures: every name in the table is a class, and the words for it hold nothing of a learner."""

from __future__ import annotations

import errno
import importlib

import duckdb
import polars as pl
import pytest
from botocore.exceptions import ClientError

from torus_assets.clients.clickhouse import WarehouseBusy
from torus_assets.datasets.export import HeldDays, UnknownSections
from torus_assets.datasets.lookup import LookupInvalid
from torus_assets.datasets.pseudonyms import KeyMissing
from torus_assets.datasets.release import PersonalData
from torus_assets.datasets.request import RequestError, parse_request
from torus_assets.failures.known import KNOWN, known, what_to_do
from torus_assets.failures.words import said
from torus_assets.warehouse.load import HeldDay, LoadError, MissingDay
from torus_assets.warehouse.schema import UnfitTable
from torus_assets.xapi.decode import BundleGone
from torus_assets.xapi.lake import DayChanged, LakeMissing
from torus_assets.xapi.ledger import RowsWouldVanish
from torus_assets.xapi.workers import WorkerFailed

PERMANENT = [
    RowsWouldVanish("x"), HeldDay("x"), MissingDay("x"), UnfitTable("x"), LakeMissing("x"), RequestError(["x"]), UnknownSections([1]), HeldDays([]),
    KeyMissing("x"), LookupInvalid("x"), PersonalData("x"), FileNotFoundError("x"), PermissionError("x"),
]  # fmt: skip
TRANSIENT = [
    OSError("x"), ConnectionResetError("x"), TimeoutError("x"), WarehouseBusy("x"), LoadError("x"), DayChanged("x"), WorkerFailed("x"), BundleGone("x"),
    ClientError({"Error": {"Code": "SlowDown", "Message": "x"}}, "PutObject"), RuntimeError("nobody thought of it"), KeyError("x"),
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_name_of_the_table_is_an_exception(name):
    module, _, kind = name.rpartition(".")
    if module == "_internal":
        module = "deltalake._internal"
    found = getattr(importlib.import_module(module), kind)
    assert issubclass(found, BaseException)
    assert KNOWN[name].what_to_do.endswith(".")


@pytest.mark.parametrize("error", PERMANENT, ids=lambda error: type(error).__name__)
def test_what_running_again_cannot_cure_is_permanent(error):
    assert known(error).permanent


@pytest.mark.parametrize("error", TRANSIENT, ids=lambda error: type(error).__name__)
def test_what_may_pass_is_tried_again(error):
    assert not known(error).permanent


def test_a_class_without_an_entry_takes_the_one_it_derives_from():
    from clickhouse_connect.driver.exceptions import OperationalError
    from obstore.exceptions import GenericError

    assert "ClickHouse" in what_to_do(OperationalError("x"))
    assert "store answers" in what_to_do(GenericError("x"))
    assert "store answers" in what_to_do(ConnectionRefusedError(111, "Connection refused"))


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), WorkerFailed("OSError: [Errno 28] No space left on device")]
)
def test_a_full_disk_says_where_to_free_space(error):
    assert "Free space below TORUS_HOME/spool" in what_to_do(error)
    assert "No space left on device" in said(error).text


def test_our_own_errors_are_shown_as_they_are():
    words = said(MissingDay("the lake (version 3) has no day 2026-02-02: ingest it first"))
    assert words.text == "the lake (version 3) has no day 2026-02-02: ingest it first"
    assert (words.kind, words.permanent, words.hidden) == ("MissingDay", True, False)


def library_errors():
    with pytest.raises(duckdb.Error) as of_duckdb:
        duckdb.sql("SELECT CAST('canary@example.edu' AS INTEGER)").fetchall()
    with pytest.raises(pl.exceptions.PolarsError) as of_polars:
        pl.Series(["canary@example.edu"]).cast(pl.Int64)
    return [
        of_duckdb.value,
        of_polars.value,
        ValueError("canary@example.edu"),
        KeyError("canary@example.edu"),
        OSError("canary@example.edu"),
    ]


def test_what_a_library_says_of_a_cell_is_left_out():
    for error in library_errors():
        assert "canary" in str(error)
        words = said(error)
        assert (words.text, words.hidden) == (type(error).__name__, True)
        assert "canary" not in words.what_to_do


def test_a_decoding_process_hands_on_the_class_of_what_failed_in_it_and_not_its_words():
    words = said(WorkerFailed("ArrowInvalid: Could not convert 'canary@example.edu' with type str"))
    assert (words.text, words.hidden) == ("a decoding process failed: ArrowInvalid", True)
    ended = said(WorkerFailed("a decoding process ended with status -9 (memory or disk exhausted?); nothing was changed"))
    assert ended.text.startswith("a decoding process ended with status -9")


def test_a_refused_request_gives_the_number_of_its_mistakes_and_none_of_its_words():
    with pytest.raises(RequestError) as refused:
        parse_request({"job_id": "j", "action": "canary", "ignored_student_ids": "canary-41207", "section_ids": []})
    words = said(refused.value)
    assert words.text == f"request refused: {len(refused.value.problems)} mistakes"
    assert "torus dataset status" in words.what_to_do


def test_a_system_error_names_reason_and_place(tmp_path):
    with pytest.raises(OSError) as missing:
        (tmp_path / "no" / "such").read_text()
    assert said(missing.value).text == f"FileNotFoundError: No such file or directory: {tmp_path}/no/such"
    assert said(FileNotFoundError("s3://bucket/key")).text == "FileNotFoundError: s3://bucket/key"


def test_a_stores_error_comes_without_the_innards_of_its_client():
    from obstore.exceptions import GenericError

    words = said(GenericError("Generic S3 error: server error 503\n\nDebug source:\nGeneric { secret }"))
    assert words.text == "GenericError: Generic S3 error: server error 503"
