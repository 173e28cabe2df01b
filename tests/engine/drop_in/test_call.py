"""Torus' argument lists, as it builds them, and what they come to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from torus_assets import settings
from torus_assets.datasets.links import Links, links
from torus_assets.engine.drop_in.call import Call, WrongCall, call_of
from torus_assets.engine.scratch import NoScratch, code_buckets, scratch, scratch_url

CALLS: dict[str, Any] = json.loads((Path(__file__).parent / "torus_calls.json").read_text())["calls"]
SIMPLE: list[str] = CALLS["attempts_simple"]["arguments"]
EVERY = [
    (preset, spelt)
    for preset, call in CALLS.items()
    for spelt in (call["arguments"][call["arguments"].index("--sub_types") + 1], *call["sub_types_elsewhere"])
]


def called(arguments: list[str], **environment: str) -> Call:
    return call_of(arguments, settings.from_environment({"TORUS_HOME": "/nowhere", **environment}))


def problems(*arguments: str, **environment: str) -> tuple[str, ...]:
    with pytest.raises(WrongCall) as caught:
        called(list(arguments), **environment)
    return caught.value.problems


def without(name: str) -> list[str]:
    at = SIMPLE.index(name)
    return SIMPLE[:at] + SIMPLE[at + 2 :]


@pytest.mark.parametrize(("preset", "spelt"), EVERY)
def test_each_list_that_torus_sends_is_understood_however_it_spells_sub_types(preset, spelt):
    arguments = list(CALLS[preset]["arguments"])
    arguments[arguments.index("--sub_types") + 1] = spelt
    call, means = called(arguments), CALLS[preset]["means"]
    request = call.request
    assert {
        "action": request.action,
        "sub_types": list(request.sub_types),
        "exclude_fields": list(request.exclude_fields),
        "chunk_rows": request.chunk_rows,
        "page_ids": None if request.page_ids is None else list(request.page_ids),
        "project_id": request.project_id,
        "ignored": len(request.ignored_student_ids),
        "categories": sorted(call.categories),
    } == means
    assert request.anonymize
    assert call.results_url == "s3://torus-datasets-prod"
    assert (call.bundles_url, call.inventory_url) == ("s3://torus-xapi-prod", "s3://torus-xapi-prod-inventory")


def test_a_call_of_torus_has_the_old_cells_unless_somebody_says_otherwise():
    assert called(SIMPLE).request.dialect == "compat"
    assert called([*SIMPLE, "--dialect", "rfc4180"]).request.dialect == "rfc4180"
    assert called(SIMPLE, TORUS_DATASET_DIALECT="rfc4180").request.dialect == "rfc4180"
    datashop = called(CALLS["datashop"]["arguments"])
    assert not [note for note in datashop.notes if note.startswith("dialect")]


@pytest.mark.parametrize("project", ["", " ", "nil", "null"])
def test_a_project_that_is_not_enforced_may_be_spelt_in_any_way(project):
    assert called([*without("--enforce_project_id"), "--enforce_project_id", project]).request.project_id is None


def test_every_key_of_a_request_is_an_argument_and_places_can_be_said():
    call = called([
        *SIMPLE, "--format", "csv,parquet", "--date_from", "2026-02-02", "--chunk_rows", "7", "--results_bucket_name", "our-results",
        "--lake_url", "s3://our-lake/xapi", "--scratch_url", "s3://our-code/tmp", "--links", "relative", "--debug", "true",
    ])  # fmt: skip
    assert (call.request.format, call.request.chunk_rows) == (("csv", "parquet"), 7)
    assert (call.lake_url, call.scratch_url, call.links) == ("s3://our-lake/xapi", "s3://our-code/tmp", "relative")
    assert call.context == {
        "bucket_name": "torus-xapi-prod",
        "inventory_bucket_name": "torus-xapi-prod-inventory",
        "results_bucket_name": "our-results",
        "section_ids": [3021],
        "debug": True,
    }


def test_a_lake_is_read_only_when_somebody_names_one():
    assert called(SIMPLE).lake_url is None
    assert called(SIMPLE, TORUS_LAKE_URL="s3://our-lake").lake_url == "s3://our-lake"
    assert called(without("--bucket_name"), TORUS_LAKE_URL="s3://our-lake").bundles_url == ""


def test_every_mistake_is_named_at_once_and_no_student():
    found = problems(
        "stray", "--section_ids", "3021,x", "--action", "vidoe", "--ignored_student_ids", "41,,secret", "--chunk_size", "many",
        "--results_bucket_name", "Not A Bucket", "--links", "deep", "--sectionids", "7", "--debug",
    )  # fmt: skip
    assert [problem.split(":")[0] for problem in found] == [
        "argument 1", "argument 16", "sectionids", "action", "job_id", "section_ids", "chunk_size", "results_bucket_name", "bucket_name", "links",
    ]  # fmt: skip
    assert "sectionids: unknown key (did you mean 'section_ids'?)" in found
    assert "secret" not in "".join(found)


def test_real_names_need_somebody_who_permitted_them():
    assert problems(*SIMPLE, "--anonymize", "false") == ("permitted_by: has to say who permitted it when anonymize is false",)
    assert not called([*SIMPLE, "--anonymize", "false", "--permitted_by", "IRB 2026-17"]).request.anonymize
    assert called([*SIMPLE, "--anonymize", "no"]).request.anonymize


def test_a_key_that_is_too_short_is_wrong_usage_and_is_not_shown():
    [problem] = problems(*SIMPLE, TORUS_PSEUDONYM_KEY="short")
    assert problem == "TORUS_PSEUDONYM_KEY: expected at least 16 bytes"


# Scratch -------------------------------------------------------------------------------------------------------------------

RESULTS = "s3://torus-datasets-prod"
EMR = {"spark.master": "custom:emr-serverless", "spark.archives": "s3://analyticsjobs/dataset.zip#dataset", "spark.submit.pyFiles": "s3://analyticsjobs/dataset.zip"}  # fmt: skip


def test_settled_rows_go_where_the_code_came_from_unless_a_place_is_said():
    assert scratch_url(None, EMR, RESULTS, "scratch/job/1") == "s3://analyticsjobs/scratch/job/1"
    assert scratch_url("s3://private/tmp/", EMR, RESULTS, "scratch/job/1") == "s3://private/tmp/scratch/job/1"
    assert scratch_url(None, {"spark.master": "local[2]"}, RESULTS, "scratch/job/1") is None
    assert code_buckets({"spark.archives": "s3a://a/x.zip#dataset,local:///y.zip", "spark.files": "s3://b/job.py"}) == ["a", "b"]


@pytest.mark.parametrize(
    ("said", "conf"),
    [
        ("s3://torus-datasets-prod/tmp", EMR),
        (None, {"spark.master": "yarn"}),
        (None, {"spark.master": "yarn", "spark.archives": "s3://torus-datasets-prod/dataset.zip"}),
    ],
)
def test_settled_rows_never_go_to_the_bucket_of_results(said, conf):
    with pytest.raises(NoScratch, match="TORUS_SCRATCH_URL"):
        scratch_url(said, conf, RESULTS, "scratch/job/1")


def test_scratch_is_empty_after_a_failure_too(tmp_path):
    from torus_assets.clients.object_store import open_store

    url = f"file://{tmp_path}/scratch/job/1"

    def fails() -> None:
        with scratch(url) as place:
            open_store(place).put("day/rows.parquet", b"rows")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert not list(open_store(f"file://{tmp_path}").list())
    with scratch(None) as place:
        folder = Path(place.removeprefix("file://"))
        assert folder.stat().st_mode & 0o077 == 0
    assert not folder.exists()


# Links ---------------------------------------------------------------------------------------------------------------------

MANIFEST = {"context": {"job_id": "job 1", "bucket_name": None}, "chunks": ["runs/r/chunk_0.csv"], "receipt": "runs/r/receipt.json"}


def test_links_are_as_torus_shows_them(monkeypatch):
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    spoken = links("absolute", "s3://results", {"bucket_name": "torus-xapi-prod"}).spoken(MANIFEST)
    assert spoken["chunks"] == ["https://results.s3.eu-central-1.amazonaws.com/job%201/runs/r/chunk_0.csv"]
    assert spoken["context"]["bucket_name"] == "torus-xapi-prod"
    assert spoken["receipt"] == "runs/r/receipt.json"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://minio:9000/")
    assert links("absolute", "s3://results/below", {}).spoken(MANIFEST)["chunks"] == [
        "http://minio:9000/results/below/job%201/runs/r/chunk_0.csv"
    ]
    assert links("relative", "s3://results", {}).spoken(MANIFEST) == Links().spoken(MANIFEST) == MANIFEST


def test_a_signed_link_opens_without_credentials(s3):
    import urllib.request

    from torus_assets.clients.object_store import open_store

    open_store(s3).put("job 1/runs/r/chunk_0.csv", b"a,b\n")
    [link] = links("signed", s3, {}).spoken(MANIFEST)["chunks"]
    assert "X-Amz-Expires=604800" in link
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"a,b\n"
