"""Who was forgotten cannot be read from a tombstone, only asked; and an ingest asks for every line, on every path."""

from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.factories import DAY, Place, bundle_key, line, numbered, statement
from tests.xapi.forgetful import ADA, AT, HOME, KEY, Forgetful, of_ada
from torus_assets.clients.object_store import open_store
from torus_assets.settings import from_environment
from torus_assets.xapi import bundle_index, commit, day, decode, tombstones, workers
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.tombstones import (
    NONE,
    DamagedTombstone,
    OtherKey,
    Register,
    Tombstones,
    leave,
    mark,
    read_tombstone,
    read_tombstones,
    tombstone_secret,
    tombstones_of,
)

ADAS = tombstones_of(KEY, HOME, ADA)
REFUSED = of_ada(timestamp="noon")
CUT = of_ada()[:-40]


@pytest.fixture
def place(tmp_path: Path) -> Forgetful:
    return Forgetful(tmp_path)


@pytest.mark.parametrize("home", [HOME, f"https://{HOME}", f" HTTP://{HOME.upper()}/ ", f"http://https://{HOME}//"])
def test_a_learner_is_known_under_every_spelling_of_the_host(home):
    assert ADAS.forgets(home, ADA)
    assert mark(KEY, home, ADA) == mark(KEY, HOME, ADA)


@pytest.mark.parametrize(("home", "user"), [("other.example.edu", ADA), (HOME, "ada-70"), (HOME, "Ada-7"), (None, ADA), (HOME, None)])
def test_others_are_not_taken_for_them(home, user):
    assert not ADAS.forgets(home, user)


def test_two_pairs_never_share_a_mark_by_where_they_are_cut():
    assert mark(KEY, "a", "b,c") != mark(KEY, "a,b", "c")
    assert mark(KEY, None, "x") != mark(KEY, "x", "")


def test_nobody_is_forgotten_by_none():
    assert not NONE
    assert not NONE.forgets(HOME, ADA)
    assert not NONE.forgets_refused(REFUSED)


@pytest.mark.parametrize(
    "raw",
    [
        REFUSED,  # the actor can be read
        line({"actor": {"account": {"homePage": HOME, "name": ADA}}}),
        CUT,  # not JSON any more
        of_ada()[:400] + b"\xff" + of_ada()[400:],
        b'{"actor":{"account":{"name":["ada-7"],"homePage":"torus.example.edu"}}}',  # a type that no id has
        b'{"actor":{"account":{"name":"ada-7"}}}',  # no host
        b'["ada-7"]',
        b"user ada-7. logged out",
        b'"{\\"name\\":\\"\\nada-7\\"}',  # JSON in JSON, cut off
        b'"\\\\nada-7',
        b"\\u0061da-7 x",
        b'{"x":' * 2000 + b'"ada-7"',  # too deep for any reader
    ],
)
def test_a_refused_line_that_is_or_may_be_theirs_is_theirs(raw):
    assert ADAS.forgets_refused(raw)


@pytest.mark.parametrize(
    "raw",
    [
        line({"actor": {"account": {"homePage": HOME, "name": "bo"}}, "note": ADA}),  # the actor decides, whatever else it says
        line({"actor": {"account": {"homePage": "other.example.edu", "name": ADA}}}),
        line({"actor": {"mbox": "mailto:bo@example.edu"}, "note": ADA}),
        b"ada-70 ada-7x xada-7 ada_7",
        b"{}",
        b"",
    ],
)
def test_a_refused_line_of_somebody_else_is_not_theirs(raw):
    assert not ADAS.forgets_refused(raw)


def test_ids_that_are_numbers_addresses_or_not_ascii_are_found_in_broken_lines():
    number = tombstones_of(KEY, HOME, "41207")
    assert number.forgets_refused(b'{"account":{"name":41207,')
    assert number.forgets_refused(b'{"account":{"name":"41207","hom')
    assert number.forgets_refused(b'{"actor":{"account":{"homePage":"h","name":41207.0}}}')
    assert not number.forgets_refused(b'{"account":{"name":412070,')
    address = tombstones_of(KEY, None, "mailto:ada@example.edu")
    assert address.forgets_refused(b'{"actor":{"mbox":"mailto:ada@example.edu","na')
    assert address.forgets_refused(line({"actor": {"account": None, "mbox": "mailto:ada@example.edu"}}))
    assert not address.forgets_refused(b"mailto: bo@example.edu")
    name = tombstones_of(KEY, HOME, "zoë")
    assert name.forgets_refused("user zoë left".encode())
    assert name.forgets_refused(b'{"name":"zo\\u00eb"')
    assert not name.forgets_refused(b"user zo left")


def test_a_tombstone_holds_no_id_and_is_left_once(place):
    first = leave(place.lake_store, KEY, HOME, ADA, AT, "grace")
    again = leave(place.lake_store, KEY, f"https://{HOME}/", ADA, datetime(2027, 1, 1, tzinfo=UTC), "somebody else")
    assert first == again == mark(KEY, HOME, ADA)
    [stored] = [info.key for info in place.lake_store.list("forgotten/")]
    body = place.lake_store.get(stored).body
    assert stored == f"forgotten/{first}.json"
    assert read_tombstone(place.lake_store, first)["by"] == "grace"
    for known in (ADA, HOME, KEY.decode()):
        plain = hashlib.sha256(known.encode()).hexdigest()
        assert not any(text.encode() in body + stored.encode() for text in (known, known.encode().hex(), plain))
    assert read_tombstones(place.lake_store, KEY) == ADAS


def test_no_key_or_another_key_stops_everything_and_says_which_variable(place):
    assert read_tombstones(place.lake_store, None) == NONE
    place.forget()
    for wrong in (None, b"another key of 32 bytes and more"):
        with pytest.raises(OtherKey, match="TORUS_TOMBSTONE_KEY"):
            read_tombstones(place.lake_store, wrong)
    with pytest.raises(OtherKey):
        leave(place.lake_store, b"another key of 32 bytes and more", HOME, "bo", AT, "grace")
    assert len(list(place.lake_store.list("forgotten/"))) == 1


def test_receipts_are_no_tombstones_and_a_damaged_one_stops_everything(place):
    place.forget()
    place.lake_store.put(f"forgotten/receipts/{ADA}/2026.json", b"{}")
    assert len(place.tombstones.marks) == 1
    place.lake_store.put("forgotten/00.json", b'{"key": 1}')
    with pytest.raises(DamagedTombstone, match=r"forgotten/00\.json: expected"):
        read_tombstones(place.lake_store, KEY)


def test_tombstones_live_in_a_bucket_too(s3):
    store = open_store(f"{s3}/lake")
    for user in ("a", "b", "mailto:c@example.edu"):
        leave(store, KEY, HOME, user, AT, "tests")
    found = read_tombstones(store, KEY)
    assert (len(found.marks), found.longest, found.forgets(HOME, "b"), found.forgets(HOME, "d")) == (3, 2, True, False)
    with pytest.raises(OtherKey):
        read_tombstones(store, None)


def test_a_register_reads_again_only_when_somebody_was_added(place, monkeypatch):
    register = Register(place.lake_store, KEY)
    assert register.now() is NONE
    place.forget()
    once = register.now()
    assert once == ADAS
    monkeypatch.setattr(tombstones, "read_tombstone", None)  # would be called for every object
    assert register.now() is once


def test_tombstones_travel_and_show_no_secret():
    assert pickle.loads(pickle.dumps(ADAS)) == Tombstones.unpacked(ADAS.packed()) == ADAS
    assert KEY.decode() not in repr(ADAS)
    assert KEY.hex() not in repr(ADAS)
    assert Tombstones.unpacked(NONE.packed()) == NONE


def test_the_key_is_the_variable_else_the_file_of_a_home_whose_lake_is_a_folder_and_never_the_pseudonyms(tmp_path):
    def secret(*, make: bool = False, **variables: str) -> bytes | None:
        return tombstone_secret(from_environment({"TORUS_HOME": str(tmp_path), **variables}), make=make)

    assert secret(TORUS_PSEUDONYM_KEY="p") is None
    assert secret(make=True, TORUS_LAKE_URL="s3://lake") is None
    made = secret(make=True, TORUS_PSEUDONYM_KEY="p")
    assert made
    assert len(made) == 64
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [("tombstone.key", 0o600)]
    assert secret() == secret(make=True) == made
    assert secret(TORUS_LAKE_URL="s3://lake") is None
    assert secret(TORUS_TOMBSTONE_KEY="t") == b"t"


# The ingest


def bundles_of_both(place: Place) -> None:
    place.put(bundle_key("A", second=1), [of_ada(), numbered(0), REFUSED, b"", of_ada(), CUT])
    place.put(bundle_key("B", second=2), [numbered(0), of_ada("video_played"), of_ada("tutor_message"), b"{}"])


@pytest.mark.parametrize("path", ["inline", "workers", "streamed", "streamed by workers"])
def test_lines_of_a_forgotten_learner_are_counted_and_dropped_on_every_path(place, monkeypatch, path):
    bundles_of_both(place)
    place.forget()
    if "workers" in path:
        monkeypatch.setattr(workers, "INLINE_BYTES", 0)
        monkeypatch.setattr(workers, "BATCH_BYTES", 1)
    if path == "streamed":
        monkeypatch.setattr(decode, "WHOLE_BYTES", 1000)
    if path == "streamed by workers":  # a worker has its own limit: one object beyond it
        place.put(
            bundle_key("B", second=2), b"\n".join([numbered(0), of_ada("video_played"), of_ada("tutor_message"), b"{}"]) + b" " * (17 << 20)
        )
    result = place.ingest(workers=2)
    assert result.this_run["forgotten"] == result.day_total["forgotten"] == 6
    assert place.fates() == {"lines": 10, "rows": 1, "duplicates": 1, "quarantined": 1, "forgotten": 6, "blank": 1}
    assert place.resettle().version is None
    assert is_nowhere(place)


def is_nowhere(place: Place) -> bool:
    """Neither her id nor a hash of her lines is in any row of the day."""
    theirs = [of_ada(), of_ada("video_played"), of_ada("tutor_message"), REFUSED, CUT]
    rows = str(place.contents())
    return ADA not in rows and not any(hashlib.sha256(one).hexdigest() in rows for one in theirs)


def test_a_rebuild_after_the_forgetting_gives_what_a_resettled_day_gives(place):
    bundles_of_both(place)
    place.ingest()
    assert not is_nowhere(place)
    place.forget()
    place.resettle()
    resettled = place.contents()
    assert is_nowhere(place)
    assert place.ingest().mode == "none"
    place.ingest(rebuild=True)
    assert place.contents() == resettled


def test_the_workers_command_line_names_no_key(place, monkeypatch):
    bundles_of_both(place)
    place.forget()
    monkeypatch.setattr(workers, "INLINE_BYTES", 0)
    monkeypatch.setattr(workers, "BATCH_BYTES", 1)
    started: list[list[str]] = []

    class Watched(subprocess.Popen):
        def __init__(self, command: list[str], **options) -> None:
            started.append(command)
            super().__init__(command, **options)

    monkeypatch.setattr(workers.subprocess, "Popen", Watched)
    assert place.ingest(workers=2).day_total["forgotten"] == 6
    assert len(started) == 2
    assert not any(secret in word for command in started for word in command for secret in (KEY.decode(), KEY.hex(), mark(KEY, HOME, ADA)))


def test_a_learner_who_is_forgotten_while_a_day_is_decoded_is_not_committed(place, monkeypatch):
    bundles_of_both(place)
    settle = commit.settle

    def settled_then_forgotten(*args, **kwargs):
        done = settle(*args, **kwargs)
        place.forget()
        return done

    monkeypatch.setattr(commit, "settle", settled_then_forgotten)
    result = place.ingest()
    assert result.day_total["forgotten"] == 6
    assert place.lake.snapshot().version == 1  # made, then one commit
    assert is_nowhere(place)
    placed = {str(path.relative_to(place.root / "lake/xapi/statements")) for path in (place.root / "lake").rglob("*.parquet")}
    assert placed == {file.path for file in place.lake.snapshot().files()}


def test_a_learner_who_is_forgotten_in_the_moment_of_the_commit_goes_with_the_next_one(place, monkeypatch):
    """`torus forget` may have looked at the lake just before: the ingest looks again after its commit."""
    bundles_of_both(place)
    index_the_day(place)
    commit_day = place.lake.__class__.commit

    def forgotten_then_committed(*args, **kwargs):
        place.forget()
        return commit_day(*args, **kwargs)

    monkeypatch.setattr(place.lake.__class__, "commit", forgotten_then_committed)
    result = day.ingest(
        place.lake, open_store(place.url), DAY, place.spool, IngestOptions(max_quarantined_share=1, workers=1), tombstone_key=KEY
    )
    assert (result.day_total["forgotten"], result.version) == (6, place.lake.snapshot().version)
    assert is_nowhere(place)


def test_an_ingest_without_the_key_fails_before_it_reads(place):
    bundles_of_both(place)
    index_the_day(place)
    place.forget()
    with pytest.raises(OtherKey):
        day.ingest(place.lake, open_store(place.url), DAY, place.spool, IngestOptions())
    assert not place.spool.exists()


def index_the_day(place: Place) -> None:
    found = bundle_index.index_days(open_store(place.url), None, DAY, DAY, listing="always")
    bundle_index.write_index(open_store(place.lake.root), found)


def test_the_mbox_of_a_learner_without_an_account_is_an_id(place):
    ours = line(statement("page_viewed", {"actor": {"mbox": "mailto:ada@example.edu"}}))
    place.put(bundle_key("A"), [ours, ours[:-5], numbered(0)])
    place.forget(None, "mailto:ada@example.edu")
    assert place.ingest().day_total["forgotten"] == 2
    assert json.loads(place.contents()["bundles"][0]["rows_by_kind"]) == {"part_attempt": 1}
