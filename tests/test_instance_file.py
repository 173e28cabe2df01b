"""The copy of dagster.yaml follows the project's file until somebody edits it."""

from __future__ import annotations

import subprocess
import sys

from resources.instance_file import follow
from tests.command import PROJECT, clean_environment

OPEN = "from torus_assets import runs\nwith runs.instance() as opened: print(len(opened.get_runs()))"


def test_a_copy_is_made_and_follows_the_projects_file(tmp_path):
    copy = tmp_path / "dagster.yaml"
    assert follow("a: 1\n", copy)
    assert follow("a: 2\n", copy)
    assert copy.read_text().splitlines()[1:] == ["a: 2"]
    assert list(tmp_path.iterdir()) == [copy]


def test_an_edited_copy_and_one_written_by_hand_are_left_alone(tmp_path):
    edited, by_hand = tmp_path / "edited.yaml", tmp_path / "hand.yaml"
    follow("a: 1\n", edited)
    edited.write_text(edited.read_text() + "b: 3\n")
    by_hand.write_text("by: hand\n")
    assert not follow("a: 4\n", edited)
    assert not follow("a: 4\n", by_hand)
    assert edited.read_text().endswith("a: 1\nb: 3\n")
    assert by_hand.read_text() == "by: hand\n"


def test_processes_that_start_together_on_a_new_home_all_get_the_instance(tmp_path):
    env = clean_environment(TORUS_HOME=str(tmp_path))
    words = [sys.executable, "-W", "ignore", "-c", OPEN]
    started = [subprocess.Popen(words, env=env, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(one.communicate(timeout=120), one.returncode) for one in started]
    assert [(out.strip(), code) for (out, _), code in ended] == [("0", 0)] * 3, ended
