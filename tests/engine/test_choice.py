"""Which engine does the work, and the sentence about it."""

from __future__ import annotations

import pytest

from torus_assets.engine.choice import choose, size

GB = 10**9


@pytest.mark.parametrize(
    ("asked", "bytes_", "above", "reason"),
    [
        ("auto", 12_345_678_901, 10 * GB, "spark: 12.3 GB to read is above TORUS_SPARK_ABOVE_BYTES (10 GB)"),
        ("auto", 10 * GB, 10 * GB, "local: 10 GB to read is not above TORUS_SPARK_ABOVE_BYTES (10 GB)"),
        ("auto", 10**15, None, "local: no size is set above which Spark does it (TORUS_SPARK_ABOVE_BYTES); 1000 TB to read"),
        ("auto", None, None, "local: no size is set above which Spark does it (TORUS_SPARK_ABOVE_BYTES)"),
        ("local", None, 10 * GB, "local: asked for"),
        ("local", 12 * GB, 10 * GB, "local: asked for; 12 GB to read"),
        ("spark", 0, None, "spark: asked for; 0 bytes to read"),
    ],
)
def test_the_engine_is_what_was_asked_for_or_follows_from_the_size(asked, bytes_, above, reason):
    choice = choose(asked, bytes_, above)
    assert choice.reason == reason
    assert reason.startswith(choice.engine)


def test_sizes_never_round_up_to_a_thousand_of_a_unit():
    assert [size(n) for n in (999, 1000, 999_960, 1_500_000)] == ["999 bytes", "1 kB", "1 MB", "1.5 MB"]
