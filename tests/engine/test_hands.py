"""Functions carried out on executors: results in order, refusals once, nothing left behind."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from torus_assets.datasets.release import PersonalData
from torus_assets.engine.hands import SparkHands, host_folder, task_folder


def doubled(number: int) -> int:
    return 2 * number


def noted(work: tuple[str, Path], number: int) -> int:
    """Leaves a note of each try, and a file in the task's folder."""
    room, notes = work
    with task_folder(room) as folder:
        (folder / "private").touch()
        assert folder.stat().st_mode & 0o777 == folder.parent.stat().st_mode & 0o777 == 0o700
    (notes / str(len(list(notes.iterdir())))).touch()
    if number < 0:
        raise PersonalData(f"found in {number}")
    return number


def test_results_come_in_the_order_of_the_items_one_task_each(spark, tmp_path):
    with SparkHands(spark, str(tmp_path), str(tmp_path)) as hands:
        assert hands.over(doubled, range(23)) == [2 * number for number in range(23)]
        assert hands.over(doubled, []) == []
        assert hands.over(len, [(), (1, 2), "abc"]) == [0, 2, 3]


def test_a_refusal_is_raised_as_itself_and_not_tried_again(spark, tmp_path):
    with SparkHands(spark, str(tmp_path), str(tmp_path)) as hands:
        with pytest.raises(PersonalData, match="found in -2"):
            hands.over(partial(noted, (hands.room, tmp_path)), [1, -2, 3, -4])
        assert len(list(tmp_path.iterdir())) == 4


def test_folders_are_private_and_gone_at_the_end(spark, tmp_path):
    with SparkHands(spark, str(tmp_path), str(tmp_path)) as hands:
        hands.over(partial(noted, (hands.room, tmp_path)), [1, 2])
        folder = host_folder(hands.room)
        assert list(folder.iterdir()) == []
    assert not folder.exists()
