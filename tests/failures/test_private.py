"""Texts that may quote learners: readable by their user alone, few, and gone when asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from torus_assets.failures import private

NOW = datetime(2026, 2, 3, 12, tzinfo=UTC)


def failed(text: str) -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def test_a_text_is_kept_with_its_frames_for_this_user_only(tmp_path):
    path = private.keep(tmp_path, "run/step 1", failed("canary"), NOW)
    assert path.name == "run-step-1.txt"
    assert "canary" in path.read_text()
    assert "in failed" in path.read_text()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_file_left_readable_is_replaced_and_not_written_into(tmp_path):
    path = private.keep(tmp_path, "step", failed("first"), NOW)
    path.chmod(0o644)
    assert private.keep(tmp_path, "step", failed("second"), NOW) == path
    assert path.stat().st_mode & 0o777 == 0o600
    assert "first" not in path.read_text()


def test_old_and_many_texts_go(tmp_path):
    for number in range(private.KEPT_FILES + 5):
        private.keep(tmp_path, f"step-{number}", failed("x"), NOW + timedelta(seconds=number))
    names = {path.name for path in (tmp_path / "errors").iterdir()}
    assert len(names) == private.KEPT_FILES
    assert {"step-4.txt", "step-5.txt", "step-104.txt"} & names == {"step-5.txt", "step-104.txt"}
    private.keep(tmp_path, "last", failed("x"), NOW + timedelta(days=private.KEPT_DAYS, seconds=100))
    assert {path.name for path in (tmp_path / "errors").iterdir()} == {"last.txt", *(f"step-{n}.txt" for n in range(100, 105))}


def test_all_texts_go_when_a_learner_is_forgotten(tmp_path):
    assert private.clear(tmp_path) == 0
    private.keep(tmp_path, "one", failed("x"), NOW)
    private.keep(tmp_path, "two", failed("x"), NOW)
    assert private.clear(tmp_path) == 2
    assert list((tmp_path / "errors").iterdir()) == []
