"""Folders and S3 behave the same; the same tests run on both."""

from __future__ import annotations

import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest

from torus_assets.clients import s3_store
from torus_assets.clients.object_store import ObjectStore, open_store, storage_options

KEYS = ["a/b.txt", "a/c+d e%.txt", "a-b/x", "a/2026-01/1", "a/2026-02/2", "a.b", "é/ü=1 #.x", "a/20", "a/2026-02/20", "ab"]


@pytest.fixture(params=["folder", "bucket", "bucket with prefix"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_store((tmp_path / "a folder").as_uri())
    url = request.getfixturevalue("s3")
    return open_store(url if request.param == "bucket" else f"{url}/pre/fix")


@pytest.fixture
def filled(store: ObjectStore) -> ObjectStore:
    for key in KEYS:
        store.put(key, key.encode())
    return store


def keys(store: ObjectStore, prefix: str = "", after: str | None = None) -> list[str]:
    return [info.key for info in store.list(prefix, after)]


def junk(bucket: str, *names: str) -> None:
    """Objects with keys that moto's HTTP front refuses and S3 takes."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.s3.models import s3_backends

    for name in names:
        s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(bucket, name, b"junk")


def test_listings_are_in_order_of_the_whole_key_and_take_text_prefixes(filled):
    for prefix in ("", "a", "a/", "a/2", "a/20", "a/2026-0", "a/b.txt", "a/2026-02/", "é", "zz", "a."):
        for after in (None, "a/2026-01", "a/2026-01/1", "a/b.txt", "a.", "a/2026-02/~", "zz"):
            expected = sorted(key for key in KEYS if key.startswith(prefix) and key > (after or ""))
            assert keys(filled, prefix, after) == expected, (prefix, after)


def test_list_head_get_and_stream_agree_on_an_object(filled):
    before = datetime.now(UTC) - timedelta(minutes=1)
    [listed] = filled.list("a/c")
    got, streamed, head = filled.get(listed.key), filled.stream(listed.key), filled.head(listed.key)
    assert head == listed
    assert listed.size == streamed.size == len(got.body)
    assert (got.etag, got.last_modified) == (streamed.etag, streamed.last_modified) == (listed.etag, listed.last_modified)
    assert got.body == b"".join(streamed.chunks) == listed.key.encode()
    assert listed.last_modified.utcoffset() == timedelta(0)
    assert listed.last_modified > before
    assert '"' not in listed.etag


def test_ranges_end_where_the_object_ends(store):
    store.put("k", bytes(range(100)))
    ranges = [(0, 10), (90, 10), (95, 50), (99, 1), (7, 0)]
    assert [store.get_range("k", start, length) for start, length in ranges] == [
        bytes(range(100))[start : start + length] for start, length in ranges
    ]
    with pytest.raises(FileNotFoundError) as raised:
        store.get_range("nope", 0, 1)
    assert str(raised.value) == store.uri("nope")


def test_an_object_reads_as_a_file(store):
    store.put("k", bytes(range(100)))
    for size in (None, 100):
        file = store.reader("k", size)
        assert (file.seek(-10, os.SEEK_END), file.read(4), file.tell()) == (90, bytes(range(90, 94)), 94)
        assert (file.seek(-4, os.SEEK_CUR), file.read(), file.read(5)) == (90, bytes(range(90, 100)), b"")
        assert file.seek(0) == 0
        assert bytes(file.read()) == bytes(range(100))
        view = bytearray(8)
        assert (file.seek(96), file.readinto(view), view[:4]) == (96, 4, bytearray(range(96, 100)))  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(FileNotFoundError) as raised:
        store.reader("nope")
    assert str(raised.value) == store.uri("nope")


def test_a_moved_object_has_its_other_key_only(filled):
    for key in KEYS:
        filled.move(key, f"moved/{key}")
    assert keys(filled) == sorted(f"moved/{key}" for key in KEYS)
    assert filled.get("moved/é/ü=1 #.x").body == "é/ü=1 #.x".encode()
    filled.move("moved/ab", "moved/a.b")  # what stood there goes
    assert filled.get("moved/a.b").body == b"ab"
    with pytest.raises(FileNotFoundError) as raised:
        filled.move("moved/ab", "x")
    assert str(raised.value) == filled.uri("moved/ab")


def test_another_body_is_another_etag(store):
    store.put("k", b"one")
    first = store.get("k").etag
    store.put("k", b"two")
    assert store.get("k").etag != first


def test_a_missing_object_is_named(filled):
    for missing in ("nope", "a", "a/b.txt/c", "a/2026-01"):
        with pytest.raises(FileNotFoundError) as raised:
            filled.get(missing)
        assert str(raised.value) == filled.uri(missing)
        with pytest.raises(FileNotFoundError):
            b"".join(filled.stream(missing).chunks)
        assert filled.head(missing) is None


def test_create_leaves_what_is_there(store, tmp_path):
    body = tmp_path / "body"
    body.write_bytes(b"second")
    store.put("a/new", b"first", mode="create")
    for again in (b"second", body):
        with pytest.raises(FileExistsError) as raised:
            store.put("a/new", again, mode="create")
        assert str(raised.value) == store.uri("a/new")
    assert store.get("a/new").body == b"first"
    assert keys(store) == ["a/new"]


def test_one_of_many_creators_wins(store):
    def create(number: int) -> bool:
        try:
            store.put("contended/lease", str(number).encode(), mode="create")
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = [number for number, ok in enumerate(pool.map(create, range(8))) if ok]
    assert [store.get("contended/lease").body] == [str(number).encode() for number in won]


def test_a_file_goes_up_and_comes_down_in_pieces(store, tmp_path, monkeypatch):
    monkeypatch.setattr(s3_store, "PART_BYTES", 5 << 20)
    monkeypatch.setattr(s3_store, "CREATE_WHOLE_BYTES", 1 << 20)
    big = tmp_path / "big"
    big.write_bytes(os.urandom((11 << 20) + 1))
    store.put("over", big)
    store.put("created", big, mode="create")
    with pytest.raises(FileExistsError):
        store.put("created", big, mode="create")
    for key in ("over", "created"):
        chunks = list(store.stream(key, 1 << 20).chunks)
        assert len(chunks) > 1
        assert max(map(len, chunks)) < 6 << 20
        assert b"".join(chunks) == big.read_bytes()
    big.write_bytes(b"the source may change afterwards")
    assert store.head("over").size == (11 << 20) + 1


def test_deleting_is_forgiving_and_leaves_no_empty_folder(filled):
    filled.delete(["a/2026-01/1", "never/was", "a/2026-01/1"])
    filled.delete([])
    assert keys(filled) == sorted(set(KEYS) - {"a/2026-01/1"})
    assert filled.folders("a") == ["2026-02"]


def test_folders_are_the_immediate_ones(filled):
    assert filled.folders() == ["a", "a-b", "é"]
    assert filled.folders("a") == filled.folders("a/") == ["2026-01", "2026-02"]
    assert filled.folders("nope") == []


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/", "../a", "a/../b", "a/..", ".", "a/./b", "a\0b"])
def test_keys_cannot_leave_the_store(store, key):
    for use in (store.get, store.head, store.uri, lambda key: store.put(key, b""), lambda key: store.delete([key])):
        with pytest.raises(ValueError, match="not a key"):
            use(key)


def test_prefixes_cannot_leave_the_store(store):
    for use in (lambda prefix: list(store.list(prefix)), store.folders):
        for prefix in ("/etc", "../", "a/../../"):
            with pytest.raises(ValueError, match="not a prefix"):
                use(prefix)


def test_a_pickled_store_opens_its_own_connections(filled):
    copy = pickle.loads(pickle.dumps(filled))
    assert copy.url == filled.url
    assert copy.get("ab").body == b"ab"


def test_several_pages_are_listed_lazily(s3):
    store = open_store(s3)
    expected = [f"p/{number:05}" for number in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store.put(key, b""), expected))
    store.put("p/1", b"")
    store.put("q", b"")
    assert keys(store, "p/") == [*expected, "p/1"]
    assert keys(store, "p/0", after="p/01049") == expected[1050:]
    assert next(store.list("p/", after="p/00998")).key == "p/00999"


def test_junk_that_obstore_cannot_spell_hides_nothing(s3):
    bucket = s3.removeprefix("s3://")
    store, nested = open_store(s3), open_store(f"{s3}/pre")
    for key in ("pre/a", "pre/m/1", "pre/m/2", "pre/z"):
        store.put(key, b"")
    junk(bucket, "pre/m//1", "pre/m/./x", "pre//")
    assert [key for key in keys(nested) if "//" not in key and "/./" not in key and key != "/"] == ["a", "m/1", "m/2", "z"]
    assert keys(nested, "m/", after="m/1") == ["m/2"]
    assert "m//1" in keys(nested, "m/")
    assert nested.folders() == ["m"]


def test_urls_of_every_kind(tmp_path):
    assert open_store(str(tmp_path)).url == open_store(tmp_path.as_uri()).url == tmp_path.as_uri()
    spaced = open_store((tmp_path / "a b").as_uri())
    assert spaced.path("c/d") == tmp_path / "a b" / "c" / "d"
    assert spaced.uri("c").endswith("/a%20b/c")
    deep = open_store("s3://bucket/pre/fix/")
    assert (deep.url, deep.uri("k"), deep.is_local) == ("s3://bucket/pre/fix", "s3://bucket/pre/fix/k", False)
    with pytest.raises(ValueError, match="not a local file"):
        deep.path("k")


@pytest.mark.parametrize("url", ["gs://bucket", "relative/folder", "", "s3:///no-bucket", "file://host/folder", "memory://"])
def test_another_url_is_refused_with_the_ones_that_are_taken(url):
    with pytest.raises(ValueError, match=r"s3://bucket/prefix, file:///folder or an absolute path"):
        open_store(url)


def test_a_misspelt_option_is_refused():
    with pytest.raises(ValueError, match="endpont"):
        open_store("s3://bucket", {"endpont": "x"})


def test_a_killed_write_leaves_nothing_that_is_listed(tmp_path):
    store = open_store(str(tmp_path))
    store.put("a", b"")
    (tmp_path / ".torus-tmp" / "half").write_bytes(b"unfinished")
    assert keys(store) == ["a"]
    assert store.folders() == []
    assert keys(open_store(str(tmp_path.parent)), f"{tmp_path.name}/") == [f"{tmp_path.name}/a"]


def test_writers_and_deleters_of_one_folder_do_not_collide(tmp_path):
    store = open_store(str(tmp_path))

    def turn(number: int) -> None:
        for _ in range(50):
            store.put(f"d/e/{number}", b"x")
            store.delete([f"d/e/{number}"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(turn, range(4)))
    assert keys(store) == []


def test_delta_tables_open_with_the_storage_options(s3):
    deltalake = pytest.importorskip("deltalake")
    import pyarrow as pa

    url = f"{s3}/table"
    deltalake.write_deltalake(url, pa.table({"a": [1]}), storage_options=storage_options(url))
    assert deltalake.DeltaTable(url, storage_options=storage_options(url)).version() == 0
    told = storage_options(url)
    assert told["AWS_CONDITIONAL_PUT"] == "etag"
    assert "AWS_SECRET_ACCESS_KEY" not in told


def test_folders_need_no_storage_options(tmp_path):
    assert storage_options(tmp_path.as_uri()) == {}


def test_keys_of_a_profile_reach_delta(tmp_path, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    credentials = tmp_path / "credentials"
    credentials.write_text("[work]\naws_access_key_id = k\naws_secret_access_key = s\naws_session_token = t\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    told = storage_options("s3://bucket/x", {"endpoint": "https://s3.example", "region": "eu-west-1"})
    assert (told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"], told["AWS_SESSION_TOKEN"]) == ("k", "s", "t")
    assert (told["AWS_REGION"], told["AWS_ENDPOINT_URL"], "AWS_ALLOW_HTTP" in told) == ("eu-west-1", "https://s3.example", False)


def test_a_temporary_token_is_not_dropped(s3, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert s3_store._credentials()()["token"] == "token"


def test_without_credentials_the_error_says_so(monkeypatch, tmp_path):
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(PermissionError, match="no AWS credentials"):
        open_store("s3://bucket").get("k")


def test_etags_of_s3_are_those_that_boto3_sees(s3):
    store = open_store(s3)
    store.put("k", b"body")
    head = boto3.client("s3").head_object(Bucket=s3.removeprefix("s3://"), Key="k")
    assert store.get("k").etag == head["ETag"].strip('"')
    assert store.get("k").last_modified == head["LastModified"]


def test_a_touched_file_has_another_etag(tmp_path):
    store = open_store(str(tmp_path))
    store.put("k", b"body")
    first = store.get("k").etag
    os.utime(store.path("k"), ns=(time.time_ns(), time.time_ns() + 1_000_000))
    assert store.get("k").etag != first


def test_a_browser_is_told_what_a_page_is(s3):
    import boto3.session

    store = open_store(f"{s3}/pages")
    for name in ("index.html", "manifest.json", "chunk_0.csv", "chunk_0.xml", "day.parquet"):
        store.put(name, b"x")
    head = boto3.session.Session().client("s3").head_object
    found = {
        name: head(Bucket=s3.removeprefix("s3://"), Key=f"pages/{name}")["ContentType"]
        for name in ("index.html", "manifest.json", "chunk_0.csv")
    }
    assert found == {
        "index.html": "text/html; charset=utf-8",
        "manifest.json": "application/json",
        "chunk_0.csv": "text/csv; charset=utf-8",
    }
    assert "parquet" not in head(Bucket=s3.removeprefix("s3://"), Key="pages/day.parquet")["ContentType"]
