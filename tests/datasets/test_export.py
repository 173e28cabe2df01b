"""From the lake to published files: order, accounting, receipts, repeated and killed runs."""

from __future__ import annotations

import hashlib
import json
import random
from datetime import date

import polars as pl
import pytest
from small_lake import activity, page, part, video, view

from torus_assets.clients.object_store import open_store
from torus_assets.datasets import batches
from torus_assets.datasets.export import HeldDays, UnknownSections


def some_attempts(n: int, seed: int = 1, sections: tuple[int, ...] = (3021, 3022)) -> list[dict]:
    chance = random.Random(seed)
    kinds = (part, part, activity, page)
    return [
        chance.choice(kinds)(user=chance.randrange(40), at=f"2026-01-0{chance.randrange(1, 4)}T{chance.randrange(24):02d}:00:00Z", section=chance.choice(sections), page_attempt_guid=f"g{seed}-{i}")
        for i in range(n)
    ]  # fmt: skip


def balanced(made) -> bool:
    return made.result.receipt["rows"]["read"] == made.result.rows + sum(made.result.excluded.values())


def test_rows_come_in_one_total_order_across_kinds_and_days(lake, make):
    lake.add("2026-01-03", some_attempts(60, 1)).add("2026-01-04", some_attempts(60, 2), "b.jsonl")
    made = make(sections=[3022, 3021])
    order = [(row["section_id"], row["timestamp"]) for row in made.rows()]
    assert order == sorted(order)
    assert len(order) == 120
    assert {row["event_type"] for row in made.rows()} == {"Part Attempt", "Activity Attempt", "Page Attempt"}
    assert balanced(made)


@pytest.mark.parametrize("batch_rows", [1, 7, 100_000])
@pytest.mark.parametrize("rereads", [0, 1000])
def test_the_bytes_do_not_depend_on_how_the_lake_is_laid_out_or_read(lake, make, tmp_path, monkeypatch, batch_rows, rereads):
    monkeypatch.setattr(batches, "REREADS", rereads)
    rows = some_attempts(50)
    lake.add("2026-01-03", rows, row_group_size=9)
    wanted = make(sections=[3021, 3022], chunk_rows=11, format=["csv", "parquet"])
    other = type(lake)(tmp_path / "other")
    for start in range(0, 50, 10):
        other.add("2026-01-03", rows[start : start + 10])
    made = make(
        sections=[3022, 3021],
        chunk_rows=11,
        of=other,
        to=open_store(f"file://{tmp_path / 'again'}"),
        batch_rows=batch_rows,
        format=["csv", "parquet"],
    )
    assert [made.body(n) for n in made.result.chunks if n.endswith("csv")] == [
        wanted.body(n) for n in wanted.result.chunks if n.endswith("csv")
    ]
    assert made.result.run == wanted.result.run  # the content says so, not the files


def test_an_event_of_several_days_is_exported_once_and_counted(lake, make, monkeypatch):
    monkeypatch.setattr(batches, "REREADS", 0)
    repeated = part(user=1, page_attempt_guid="same")
    lake.add("2026-01-02", [repeated]).add("2026-01-03", [repeated, part(user=2)], "b.jsonl").add("2026-01-04", [repeated], "c.jsonl")
    made = make()
    assert made.result.rows == 2
    assert made.result.excluded == {"duplicates_across_days": 2}
    assert made.result.receipt["superseded"] == {"duplicates_across_days": 2}
    assert balanced(made)


def test_the_copy_of_the_first_day_survives(lake, make):
    """The copies differ only in their place, so the place is looked at here, before it is left out."""
    repeated = part()
    lake.add("2026-01-05", [repeated], "late.jsonl").add("2026-01-03", [repeated], "first.jsonl")
    made = make()
    days = [entry["day"] for entry in made.result.receipt["read"]]
    assert days == ["2026-01-03", "2026-01-05"]
    assert made.result.rows == 1


def test_every_restriction_is_counted_under_its_first_reason(lake, make):
    lake.add("2026-01-03", [
        part(at="2026-01-02T00:00:00Z"), part(at="2026-01-02T23:59:59Z", page_attempt_guid="x"),  # stay: both ends of the day
        part(at="2026-01-01T23:59:59Z"), part(at="2026-01-03T00:00:00Z"),
        part(project_id=7), part(project_id=None), part(page=1), part(user=9), part(user="9", page_attempt_guid="y"),
        activity(), page(), part(section=1), view(),
    ])  # fmt: skip
    made = make(
        sub_types=["part_attempt_evaluated"],
        date_from="2026-01-02",
        date_to="2026-01-02",
        project_id=118,
        page_ids=[60480],
        ignored_student_ids=["9"],
    )
    assert made.result.rows == 2
    assert made.result.excluded == {"date": 2, "ignored_student": 2, "page": 1, "project": 2, "sub_type": 2}
    assert balanced(made)


def test_legacy_video_events_are_left_out_and_counted(lake, make):
    lake.add("2026-01-02", [video("played", time=1), video("experienced", time=1), video("seeked", time_from=3, time_to=9)])
    made = make("video", sub_types=["seeked", "played"])
    assert made.result.excluded == {"sub_type": 1}
    seek = next(row for row in made.rows() if row["event_type"] == "seeked")
    assert (seek["video_time_from"], seek["video_time_to"]) == ("3.0", "9.0")


def test_chunks_hold_the_asked_rows_and_each_its_header(lake, make):
    lake.add("2026-01-03", some_attempts(25, sections=(3021,)))
    made = make(chunk_rows=10, batch_rows=4)
    assert made.result.chunks == ("chunk_0.csv", "chunk_1.csv", "chunk_2.csv")
    assert [len(made.body(name).splitlines()) for name in made.result.chunks] == [11, 11, 6]
    for file in made.result.receipt["files"]:
        assert hashlib.sha256(made.body(file["name"])).hexdigest() == file["sha256"]
        assert len(made.body(file["name"])) == file["bytes"]


def test_no_rows_give_no_chunks_and_the_manifest_says_so(lake, make, store):
    lake.add("2026-01-02", [view()])
    made = make()
    manifest = json.loads(store.get("job-1/manifest.json").body)
    assert (made.result.chunks, manifest["chunks"], manifest["rows"]) == ((), [], 0)


def test_parquet_holds_the_same_rows_with_types(lake, make, store):
    lake.add("2026-01-03", some_attempts(30, sections=(3021,)))
    made = make(format=["parquet", "csv"], chunk_rows=20)
    assert made.result.chunks == ("chunk_0.csv", "chunk_1.csv", "chunk_0.parquet", "chunk_1.parquet")
    typed = pl.concat(pl.read_parquet(store.path(made.result.folder + name)) for name in made.result.chunks[2:])
    assert typed.schema["timestamp"] == pl.Datetime("us", "UTC")
    assert typed.schema["activity_id"] == pl.Int64
    assert typed["page_attempt_guid"].to_list() == [row["page_attempt_guid"] for row in made.rows()]


def test_sections_the_lake_does_not_hold_are_refused_by_name(lake, make, store):
    lake.add("2026-01-02", [part(), view(section=3022)])
    with pytest.raises(UnknownSections, match=r"section 7, 8$"):
        make(sections=[8, 3021, 3022, 7])
    assert not list(store.list())


def test_held_days_are_refused_unless_the_request_takes_them(lake, make):
    lake.add("2026-01-02", [part()])
    lake.held_days = [date(2026, 1, 2)]
    with pytest.raises(HeldDays, match="2026-01-02"):
        make()
    assert make(include_held=True).result.receipt["held_days_included"] == ["2026-01-02"]
    assert make(date_from="2026-01-04").result.rows == 0  # nothing of it can be in that day


def test_a_repeated_run_only_verifies(lake, make, store):
    lake.add("2026-01-02", [part(), activity()])
    first = make()
    before = {entry.key: entry.etag for entry in store.list()}
    again = make()
    assert again.result.reused
    assert not first.result.reused
    assert (again.result.run, again.result.receipt) == (first.result.run, first.result.receipt)
    assert {entry.key: entry.etag for entry in store.list()} == before


def test_new_data_gives_another_run_and_leaves_the_old_one(lake, make, store):
    lake.add("2026-01-02", [part()])
    first = make()
    lake.add("2026-01-03", [part(section=3022)], "b.jsonl")
    assert make().result.reused  # another section's data changes nothing here
    lake.add("2026-01-04", [part(user=5)], "c.jsonl")
    second = make()
    assert second.result.run != first.result.run
    assert store.head(first.result.folder + "chunk_0.csv")
    assert json.loads(store.get("job-1/manifest.json").body)["receipt"] == f"runs/{second.result.run}/receipt.json"


@pytest.mark.parametrize("killed_at", range(10))
def test_a_kill_at_any_put_leaves_the_old_manifest_and_running_again_finishes(lake, make, store, monkeypatch, killed_at):
    lake.add("2026-01-02", some_attempts(20, sections=(3021,)))
    old = make(chunk_rows=100)
    puts = iter(range(100))

    class Kill(BaseException):
        pass

    def put(key, body, mode="overwrite", real=store.put):
        if next(puts) == killed_at:
            raise Kill
        real(key, body, mode)

    with monkeypatch.context() as patch:
        patch.setattr(store, "put", put)
        patch.setattr("torus_assets.datasets.output._moved", lambda store, key, path: (store.put(key, path), path.unlink()))
        try:
            make(chunk_rows=6)
        except Kill:
            manifest = json.loads(store.get("job-1/manifest.json").body)
            assert manifest["receipt"] == f"runs/{old.result.run}/receipt.json"
        else:
            assert killed_at == 9  # four chunks, page, run.json, receipt.json, the job's page, manifest.json
    done = make(chunk_rows=6)
    assert done.result.reused == (killed_at >= 7)
    assert len(done.rows()) == 20
    assert json.loads(store.get("job-1/manifest.json").body)["receipt"] == f"runs/{done.result.run}/receipt.json"


def test_what_a_killed_run_left_behind_is_removed_and_damage_is_repaired(lake, make, store):
    lake.add("2026-01-02", [part()])
    first = make()
    store.put(first.result.folder + "chunk_7.csv", b"left behind")
    store.put(first.result.folder + "chunk_0.csv", b"damaged")
    again = make()
    assert not again.result.reused
    assert again.rows() == make().rows()
    assert store.head(first.result.folder + "chunk_7.csv") is None


def test_no_student_is_named_in_anything_but_the_rows(lake, make, store):
    lake.add("2026-01-02", [part(user="the-learner"), part(user="opted-out")])
    made = make(ignored_student_ids=["opted-out"])
    bodies = {entry.key: store.get(entry.key).body for entry in store.list()}
    assert not [key for key, body in bodies.items() if b"opted-out" in body or b"the-learner" in body]
    assert made.result.receipt["request"]["ignored_students"]["count"] == 1
    assert json.loads(bodies["job-1/manifest.json"])["context"]["lookup"] == {}


def test_a_permitted_request_names_learners_and_the_receipt_says_who_permitted_it(lake, make, store):
    lake.add("2026-01-02", [part(user=1), part(user=2)])
    store.put("contexts/job-1.json", json.dumps({"users": {"1": {"email": "one@example.edu"}}}).encode())
    made = make(anonymize=False, permitted_by="IRB 2026-17")
    assert sorted(row["user_id"] for row in made.rows()) == ["2", "one@example.edu"]
    assert made.result.receipt["request"]["permitted_by"] == "IRB 2026-17"
    assert made.result.receipt["lookup_sha256"]


def test_one_scope_gives_one_learner_the_same_pseudonym_in_two_data_sets(lake, make):
    lake.add("2026-01-02", [part(), view()])

    def names(**keys):
        return {row["user_id"] for row in make(**keys).rows()}

    assert names(scope="study", job_id="a") == names(scope="study", job_id="b", action="page_viewed")
    assert names(job_id="a") != names(job_id="b")


def test_columns_left_out_are_gone_from_header_and_rows(lake, make):
    lake.add("2026-01-02", [part()])
    [row] = make(exclude_fields=["user_id", "feedback", "timestamp"]).rows()
    assert len(row) == 19
    assert not {"user_id", "feedback", "timestamp"} & set(row)


def test_more_rows_in_one_instant_than_fit_a_batch_are_still_in_order(lake, make):
    lake.add("2026-01-02", [part(page_attempt_guid=f"g{n}") for n in range(30)])
    assert len({row["page_attempt_guid"] for row in make(batch_rows=4).rows()}) == 30
