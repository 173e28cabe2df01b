"""Learners under keyed pseudonyms."""

from __future__ import annotations

import logging
import stat

import polars as pl
import pytest

from torus_assets.datasets.pseudonyms import KeyMissing, PseudonymKey, RealNames, pseudonym_key
from torus_assets.datasets.pseudonyms import named as naming

KEY = PseudonymKey(b"0123456789abcdef")
LOCAL = ["file:///a", "file:///b"]


def test_a_pseudonym_depends_on_key_scope_host_and_learner_only():
    def name(key=KEY, scope="s", host="h", user="u"):
        return key.scoped(scope).learner(host, user)

    assert name() == name()
    others = {
        name(key=PseudonymKey(b"fedcba9876543210")),
        name(scope="t"),
        name(host="i"),
        name(user="v"),
        name(host="hu", user=""),
        name(host="", user="hu"),
    }
    assert len(others | {name()}) == 7
    assert len(name()) == 33
    assert name()[0] == "s"
    assert name().isalnum()


def test_rows_are_named_without_moving_and_each_learner_is_computed_once():
    rows = pl.DataFrame({"home_page": ["h", "i", None, "h"] * 50, "user_id": ["1", "1", "1", "2"] * 50, "n": range(200)})
    names = KEY.scoped("s")
    named = naming(rows, names, ())
    assert named.columns == ["user_id", "n"]
    assert named["n"].to_list() == list(range(200))
    assert named["user_id"].to_list()[:4] == [
        names.learner("h", "1"),
        names.learner("i", "1"),
        names.learner(None, "1"),
        names.learner("h", "2"),
    ]
    assert len(names.known) == 4


def test_a_permitted_data_set_names_the_learner_by_mail_or_id():
    rows = pl.DataFrame({"home_page": ["h", "h"], "user_id": ["1", "2"]})
    assert naming(rows, RealNames({"1": "a@example.edu"}), ())["user_id"].to_list() == ["a@example.edu", "2"]


def test_an_embedded_deployment_makes_its_key_once_and_keeps_it_to_itself(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        made = pseudonym_key(None, tmp_path, LOCAL)
    assert stat.S_IMODE((tmp_path / "pseudonym.key").stat().st_mode) == 0o600
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert made.secret.decode() not in caplog.text
    assert pseudonym_key(None, tmp_path, LOCAL).fingerprint == made.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["pseudonym.key"]


def test_a_real_deployment_refuses_to_make_one(tmp_path):
    with pytest.raises(KeyMissing, match="TORUS_PSEUDONYM_KEY is not set and s3://lake"):
        pseudonym_key(None, tmp_path, [*LOCAL, "s3://lake"])
    assert not list(tmp_path.iterdir())


def test_the_set_key_wins_and_a_short_one_is_refused(tmp_path):
    assert pseudonym_key("0123456789abcdef", tmp_path, ["s3://x"]).fingerprint == KEY.fingerprint
    with pytest.raises(ValueError, match="at least 16 bytes"):
        pseudonym_key("short", tmp_path, LOCAL)


def test_neither_fingerprint_nor_repr_shows_the_key():
    assert len(KEY.fingerprint) == 16
    assert "0123456789abcdef" not in repr(KEY) + KEY.fingerprint
