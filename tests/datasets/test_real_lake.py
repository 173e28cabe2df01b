"""The same export over the lake itself, whose files an ingest would have left so."""

from __future__ import annotations

from small_lake import activity, part

from torus_assets.datasets.csv_tables import ACTIONS
from torus_assets.xapi.lake import Lake


def test_a_data_set_of_the_real_lake_equals_that_of_the_small_one(lake, make, tmp_path):
    statements = [part(user=n, page_attempt_guid=f"g{n}") for n in range(5)] + [activity()]
    lake.add("2026-01-02", statements[:4]).add("2026-01-03", statements, "b.jsonl")
    real = Lake(f"file://{tmp_path / 'real'}")
    snapshot = real.ensure()
    for day in sorted({file.day for file in lake.files()}):
        files = list(lake.files(first=day, last=day))
        added = [real.place(lake.folder / file.path, day, file.kind) for file in files]
        real.commit(snapshot, day, added, [], rewrite=True)
        snapshot = real.snapshot()
    from_small = make(scope="s")
    from_real = make(scope="s", of=snapshot)
    assert from_real.result.reused
    assert from_real.result.run == from_small.result.run
    assert from_real.result.excluded == {"duplicates_across_days": 4}
    assert len(ACTIONS) == 3
