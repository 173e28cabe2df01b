"""Learning curves from parts of the students equal those of all of them."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from torus_assets.datasets import rollup
from torus_assets.datasets.datashop.model import FACTS
from torus_assets.datasets.datashop.pieces import connect
from torus_assets.datasets.page.model import Curve, Point
from torus_assets.engine.export.curves import counted, curves, parts_of, split

START = datetime(2026, 1, 2, tzinfo=UTC)


def some_facts(path: Path, first: int, chance: random.Random) -> Path:
    """Attempts of a few students at nine skills, some of them at the same time."""
    rows = []
    for number in range(first, first + 400):
        student, step = f"s{chance.randrange(30)}", chance.randrange(40)
        at = START + timedelta(seconds=chance.randrange(600))
        rows.append((
            number, f"t{number}", 3021, student, student, at, "", f"p{step}", 1, at, f"p{step}", "ATTEMPT", chance.choice(("CORRECT", "INCORRECT")),
            [f"skill {step % 9}"] if step % 5 else [], 1.0, 1.0,
        ))  # fmt: skip
    schema = pl.from_arrow(FACTS.empty_table()).schema  # pyright: ignore[reportAttributeAccessIssue]
    pl.DataFrame(rows, schema=schema, orient="row").write_parquet(path)
    return path


@pytest.mark.parametrize("parts", [1, 2, 7, 64])
def test_curves_of_parts_are_the_curves_of_all(tmp_path, parts):
    chance = random.Random(4)
    stretches = [[some_facts(tmp_path / f"{n}-{m}.parquet", n << 32 | m << 20, chance) for m in range(2)] for n in range(3)]
    by_part: dict[int, list[Path]] = {}
    for n, facts in enumerate(stretches):
        (tmp_path / str(n)).mkdir()
        for part, path in split(facts, parts, tmp_path / str(n)):
            by_part.setdefault(part, []).append(path)
    with connect(tmp_path) as connection:
        wanted = rollup.curves(connection, [path for facts in stretches for path in facts])
        found = curves(connection, [count for paths in by_part.values() for count in counted(connection, paths)])
        assert curves(connection, []) == ()
    assert found == tuple(Curve(skill, tuple(Point(*point) for point in points)) for skill, points in wanted)
    assert 1 < len(by_part) <= min(parts, 30) or parts == 1
    assert len(found) == 6


def test_students_are_dealt_into_parts_of_half_a_million_attempts():
    assert [parts_of(n) for n in (0, 1, 500_000, 500_001, 10**9)] == [1, 1, 1, 2, 64]
