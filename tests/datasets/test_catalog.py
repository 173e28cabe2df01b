"""What a store says of its data sets, and how they are taken back and expire; on a folder and on S3."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from torus_assets.clients.object_store import ObjectStore, open_store
from torus_assets.datasets.catalog import NoSuchJob, jobs, newest_run, state, submit
from torus_assets.datasets.expiry import Rule, expire
from torus_assets.datasets.receipt import encoded
from torus_assets.datasets.request import RequestError, parse_request
from torus_assets.datasets.withdrawal import withdraw

NOW = datetime.now(UTC)
SIZE = len(b"a,b\n1,2\n")


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path) -> ObjectStore:
    url = f"file://{tmp_path / 'datasets'}" if request.param == "folder" else request.getfixturevalue("s3")
    return open_store(f"{url}/sub" if request.param == "s3" else url)


def asked(job: str = "biology", **keys: Any) -> bytes:
    return json.dumps({"job_id": job, "action": "video", "section_ids": [3021], **keys}).encode()


def ran(store: ObjectStore, run: str, job: str = "biology", *, days_ago: float = 0, publish: bool = True, **keys: Any) -> str:
    """A finished run as an export leaves it; its folder."""
    folder = f"{job}/runs/{run}/"
    shown = parse_request(asked(job, **keys)).document()
    students = shown.pop("ignored_student_ids")
    receipt = {
        "run": run, "request": shown | {"ignored_students": {"count": len(students)}}, "rows": {"read": 2, "exported": 1},
        "files": [{"name": "chunk_0.csv", "rows": 1, "bytes": SIZE, "sha256": "0"}],
    }  # fmt: skip
    store.put(f"{folder}chunk_0.csv", b"a,b\n1,2\n")
    store.put(f"{folder}run.json", encoded({"finished": (NOW - timedelta(days=days_ago)).isoformat()}))
    store.put(f"{folder}receipt.json", encoded(receipt))
    if publish:
        store.put(f"{job}/index.html", b"<title>biology</title>")
        store.put(f"{job}/manifest.json", encoded({"receipt": f"runs/{run}/receipt.json"}))
    return folder


def keys(store: ObjectStore) -> list[str]:
    return [info.key for info in store.list()]


def in_days(days: float) -> datetime:
    return NOW + timedelta(days=days)


# Submitting and looking ------------------------------------------------------------------------------------------------------


def test_a_request_is_written_once_and_again_only_when_it_says_something_else(store):
    assert submit(store, asked()).job_id == "biology"
    first = store.head("requests/biology.json")
    submit(store, asked())
    assert store.head("requests/biology.json") == first
    submit(store, asked(chunk_rows=10))
    assert store.get("requests/biology.json").body == asked(chunk_rows=10)


def test_a_request_with_mistakes_is_not_written(store):
    with pytest.raises(RequestError):
        submit(store, asked(colour="red"))
    assert keys(store) == []


def test_a_job_is_submitted_until_there_is_a_run_of_its_request(store):
    submit(store, asked(chunk_size=500))
    one = state(store, "biology")
    assert (one.state, one.action, one.run, one.rows) == ("submitted", "video", None, None)
    assert one.notes[0].startswith("chunk_size: ignored")
    assert one.submitted_at == store.head("requests/biology.json").last_modified
    ran(store, "r1")
    done = state(store, "biology")
    assert (done.state, done.run, done.rows, done.files, done.bytes) == ("complete", "r1", 1, 1, SIZE)
    submit(store, asked(ignored_student_ids=[7]))
    assert (state(store, "biology").state, state(store, "biology").run) == ("submitted", "r1")


def test_a_run_that_is_not_finished_or_not_published_does_not_count(store):
    submit(store, asked())
    folder = ran(store, "r1")
    store.delete([f"{folder}receipt.json"])
    assert (state(store, "biology").state, state(store, "biology").run) == ("submitted", None)
    ran(store, "r2", publish=False, days_ago=2)
    ran(store, "r3", publish=False, days_ago=1)
    assert (state(store, "biology").state, state(store, "biology").run) == ("submitted", "r3")


def test_the_list_names_every_job_and_what_is_wrong_with_it(store):
    submit(store, asked("a-done"))
    ran(store, "r1", "a-done")
    submit(store, asked("b-new"))
    store.put("requests/c-wrong.json", b'{"job_id": "c-wrong", "action": "stare", "section_ids": [1]}')
    store.put("requests/d-other.json", asked("biology"))
    store.put("requests/e..no.json", asked("biology"))
    store.put("requests/notes.txt", b"not a request")
    store.put("withdrawn/..x.json", b"{}")
    ran(store, "r1", "f-results-only")
    store.delete([ran(store, "r1", "g-rest", publish=False) + "receipt.json"])
    found = {one.job_id: one for one in jobs(store)}
    assert {name: one.state for name, one in found.items()} == {
        "a-done": "complete", "b-new": "submitted", "c-wrong": "invalid", "d-other": "invalid", "e..no": "invalid",
        "f-results-only": "complete", "g-rest": "invalid",
    }  # fmt: skip
    assert found["c-wrong"].problems[0].startswith("action: unknown action 'stare'")
    assert found["d-other"].problems == ("job_id: says 'biology', and the object is requests/d-other.json",)


@pytest.mark.parametrize("job", ["never", "../up", "requests", ""])
def test_a_job_that_nobody_asked_for_is_said_to_be_unknown(store, job):
    with pytest.raises(NoSuchJob, match="no data set"):
        state(store, job)
    with pytest.raises(NoSuchJob):
        withdraw(store, job, "Ada", NOW)
    assert keys(store) == []


# Withdrawing -----------------------------------------------------------------------------------------------------------------


def test_a_withdrawn_job_cannot_be_found_but_its_run_stays_for_a_while(store):
    submit(store, asked())
    folder = ran(store, "r1")
    assert withdraw(store, "biology", "Ada", NOW)
    assert keys(store) == [f"{folder}{name}" for name in ("chunk_0.csv", "receipt.json", "run.json")] + ["withdrawn/biology.json"]
    one = state(store, "biology")
    assert (one.state, one.withdrawn_by, one.withdrawn_at, one.run) == ("withdrawn", "Ada", NOW.isoformat(), "r1")
    assert not withdraw(store, "biology", "Bob", in_days(1))
    assert state(store, "biology").withdrawn_by == "Ada"


def test_a_withdrawn_job_that_is_asked_for_again_is_no_longer_withdrawn(store):
    submit(store, asked())
    ran(store, "r1")
    withdraw(store, "biology", "Ada", NOW)
    submit(store, asked())
    assert state(store, "biology").state == "submitted"
    assert "withdrawn/biology.json" not in keys(store)
    assert expire(store, in_days(8)) == []


@pytest.mark.parametrize("left", [["requests/biology.json"], ["requests/biology.json", "biology/manifest.json", "biology/index.html"]])
def test_a_withdrawal_that_was_killed_counts_and_is_finished_by_the_next_one_or_by_expiry(store, left):
    submit(store, asked())
    ran(store, "r1")
    saved = {key: store.get(key).body for key in left}
    times = {key: store.head(key).last_modified for key in left}
    withdraw(store, "biology", "Ada", NOW)
    for finish in (lambda: withdraw(store, "biology", "Ada", NOW), lambda: expire(store, NOW)):
        for key, body in saved.items():
            store.put(key, body)
            if store.is_local:  # as old as it was; a second's resolution hides the difference on S3
                os.utime(store.path(key), ns=(int(times[key].timestamp() * 1e9),) * 2)
        if store.is_local:
            assert state(store, "biology").state == "withdrawn"
            finish()
            assert not set(left) & set(keys(store))


def test_a_submission_that_was_killed_after_its_first_write_counts(tmp_path):
    store = open_store(f"file://{tmp_path}")
    submit(store, asked())
    withdraw(store, "biology", "Ada", NOW)
    store.put("requests/biology.json", asked())  # the marker is still there, and older
    assert state(store, "biology").state == "submitted"
    assert expire(store, in_days(100)) == []


@pytest.mark.parametrize("by", ["", "  ", "x" * 201])
def test_a_withdrawal_says_by_whom(store, by):
    submit(store, asked())
    with pytest.raises(ValueError, match="expected"):
        withdraw(store, "biology", by, NOW)
    assert state(store, "biology").state == "submitted"


# Expiry ----------------------------------------------------------------------------------------------------------------------


def gone(store: ObjectStore, days: float, **changes: int) -> list[tuple[str, str]]:
    """(key, reason) of what expires so many days from now; the dry run before it says the same and changes nothing."""
    before = keys(store)
    would = expire(store, in_days(days), Rule(**changes), dry_run=True)
    assert keys(store) == before
    done = expire(store, in_days(days), Rule(**changes))
    assert done == would
    assert [key for key in keys(store) if any(key.startswith(one.key) for one in done)] == []
    assert expire(store, in_days(days), Rule(**changes)) == []
    return [(one.key, one.reason) for one in done]


def test_runs_of_a_withdrawn_job_go_after_seven_days(store):
    submit(store, asked())
    folders = [ran(store, "r1", days_ago=30), ran(store, "r2")]
    withdraw(store, "biology", "Ada", NOW)
    assert gone(store, 6.9) == []
    assert gone(store, 7) == [(folder, "withdrawn") for folder in folders]
    assert (state(store, "biology").state, state(store, "biology").run) == ("withdrawn", None)


def test_the_published_run_stays_for_ever_and_older_ones_a_year(store):
    submit(store, asked())
    old, newer, published = ran(store, "r1", days_ago=40), ran(store, "r2", days_ago=20), ran(store, "r0", days_ago=50)
    assert gone(store, 324) == []
    assert gone(store, 325) == [(old, "superseded")]
    assert gone(store, 10_000) == [(newer, "superseded")]
    assert newest_run(store, "biology").folder == published
    [size] = [one.bytes for one in expire(store, in_days(10_000), Rule(keep_days=0), dry_run=True)] or [0]
    assert size == 0


def test_the_newest_run_stays_although_it_was_never_published(store):
    submit(store, asked())
    old, newest = ran(store, "r2", days_ago=2, publish=False), ran(store, "r1", days_ago=1, publish=False)
    assert gone(store, 10_000) == [(old, "superseded")]
    assert newest_run(store, "biology").folder == newest


def test_what_a_killed_export_left_goes_a_week_after_its_last_file(store):
    submit(store, asked())
    published, killed = ran(store, "r1"), ran(store, "r2", publish=False)
    store.delete([f"{killed}receipt.json", f"{killed}run.json"])
    assert gone(store, 6) == []
    assert gone(store, 7.1) == [(killed, "unfinished")]
    assert newest_run(store, "biology").folder == published


@pytest.mark.parametrize("survivors", [["run.json"], ["run.json", "chunk_0.csv"], ["chunk_0.csv"]])
def test_a_killed_expiry_leaves_no_finished_run_and_goes_on_next_time(store, survivors):
    submit(store, asked())
    ran(store, "r1")
    old = ran(store, "r0", days_ago=400, publish=False)
    store.delete([old + name for name in ("receipt.json", "run.json", "chunk_0.csv") if name not in survivors])
    assert state(store, "biology").run == "r1"
    assert gone(store, 7.1) == [(old, "unfinished")]


def test_lookups_go_thirty_days_after_they_were_needed(store):
    for job in ("made", "waiting", "taken-back", "nobodys"):
        store.put(f"contexts/{job}.json", b'{"users": {"41207": {"email": "ada@example.edu"}}}')
        if job != "nobodys":
            submit(store, asked(job))
    ran(store, "r1", "made", days_ago=90)
    withdraw(store, "taken-back", "Ada", in_days(5))
    store.put("contexts/not a job.json", b"{}")
    assert gone(store, 29) == []
    assert gone(store, 30.1) == [("contexts/made.json", "lookup"), ("contexts/nobodys.json", "lookup")]
    assert gone(store, 35.1) == [("contexts/taken-back.json", "lookup")]
    assert "contexts/waiting.json" in keys(store)


def test_what_is_not_ours_is_left_alone(store):
    store.put("notes/readme.txt", b"x")
    store.put("strange name/runs/r1/chunk_0.csv", b"x")
    store.put("biology/notes.txt", b"x")
    before = keys(store)
    assert jobs(store) == []
    assert gone(store, 10_000) == []
    assert keys(store) == before
