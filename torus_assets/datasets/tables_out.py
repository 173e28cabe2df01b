"""The CSV and Parquet files of a data set, and what its page shows of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec
import polars as pl

from torus_assets.datasets.chunks import writers
from torus_assets.datasets.datashop.model import FACTS
from torus_assets.datasets.lookup import Lookup
from torus_assets.datasets.output import Output
from torus_assets.datasets.pseudonyms import Names, named
from torus_assets.datasets.reading import Survey, Tally, batches
from torus_assets.datasets.receipt import Progress
from torus_assets.datasets.redaction import Redaction
from torus_assets.datasets.request import Request

BINS = 10
NEEDED = ("user_id", "activity_id", "part_id", "attached_objectives", "score", "out_of")  # for learning curves


@dataclass
class Seen:
    """What the page shows of the rows."""

    per_day: Counter[date] = field(default_factory=Counter)
    scores: Counter[int] = field(default_factory=Counter)  # part attempts by tenth of score / out_of
    unscored: int = 0
    first: str | None = None  # event, UTC
    last: str | None = None
    learners: set[str] | None = None  # as they are shown; None where the column was left out
    facts: list[Path] = field(default_factory=list)  # part attempts as transactions (`datashop.model.FACTS`), for learning curves


def write(
    request: Request, seen: Survey, tally: Tally, names: Names, users: Redaction, lookup: Lookup, output: Output, folder: Path,
    progress: Progress | None, batch_rows: int,
) -> Seen:  # fmt: skip
    """Every chunk, each put as soon as it is full, so that scratch holds one chunk per format."""
    making = writers(request, folder)
    shown = Seen()
    columns = request.table.without(request.exclude_fields)
    risky = [column.name for column in columns if column.holds or column.name == "user_id"]
    done, total = 0, int(seen.counts["rows"].sum())

    def put(chunks: Iterable[tuple[Path, int]]) -> None:
        for path, rows in chunks:
            output.put(path, path.name, rows, columns=risky)

    for rows in batches(request, seen, tally, folder, batch_rows=batch_rows):
        given = named(rows, names, columns, users)
        _look(given, shown, lookup, folder)
        for writer in making:
            put(writer.add(given))
        done += rows.height
        if progress:
            progress(done, total)
    for writer in making:
        put(writer.end())
    return shown


def _look(rows: pl.DataFrame, seen: Seen, lookup: Lookup, folder: Path) -> None:
    low, high = (f"{at:%Y-%m-%d %H:%M:%S}" for at in (rows["_time"].min(), rows["_time"].max()))
    seen.first, seen.last = min(seen.first or low, low), max(seen.last or high, high)
    if "user_id" in rows.columns:
        seen.learners = (seen.learners or set()) | set(rows["user_id"].unique())
    for day, n in rows.group_by(pl.col("_time").dt.date()).len().iter_rows():
        seen.per_day[day] += n
    parts = rows.filter(pl.col("_kind") == "part_attempt")
    if not parts.height or not {"score", "out_of"} <= set(rows.columns):
        return
    share = parts.filter(pl.col("out_of") > 0, pl.col("score").is_not_null()).select((pl.col("score") / pl.col("out_of")).clip(0, 1) * BINS)
    seen.unscored += parts.height - share.height
    for place, n in share.to_series().floor().clip(0, BINS - 1).cast(pl.Int64).value_counts().iter_rows():
        seen.scores[place] += n
    if set(NEEDED) <= set(rows.columns):
        path = folder / f"facts-{len(seen.facts):06d}.parquet"
        _facts(parts, lookup, first=len(seen.facts) << 32).write_parquet(path, compression="lz4")
        seen.facts.append(path)


def _facts(parts: pl.DataFrame, lookup: Lookup, first: int) -> pl.DataFrame:
    """Part attempts as transactions: student, time, step, outcome and skills; enough for learning curves."""
    attached = parts["attached_objectives"].unique().drop_nulls()
    skills = pl.DataFrame(
        {"attached_objectives": attached, "skills": [_skills(text, lookup) for text in attached]},
        schema={"attached_objectives": pl.String, "skills": pl.List(pl.String)},
    )
    scored = pl.col("score").is_not_null() & (pl.col("out_of") > 0)
    outcome = pl.when(pl.col("score") >= pl.col("out_of")).then(pl.lit("CORRECT")).otherwise(pl.lit("INCORRECT"))
    step = pl.format("Activity {}, Part {}", "activity_id", "part_id")
    made = parts.with_row_index("_at").join(skills, on="attached_objectives", how="left", maintain_order="left").select(
        number=pl.col("_at").cast(pl.Int64) + first, transaction_id=pl.col("_hash"), section_id=pl.col("_section"), student=pl.col("user_id"), session=pl.col("user_id"),
        time=pl.col("_time").dt.cast_time_unit("ms"), problem_hierarchy=pl.lit(""), problem=step, view=pl.lit(1, pl.Int64),
        problem_start=pl.col("_time").dt.cast_time_unit("ms"), step=pl.when(scored).then(step), student_type=pl.lit("ATTEMPT"), outcome=pl.when(scored).then(outcome),
        skills=pl.when(scored).then(pl.col("skills")).fill_null([]), score=pl.when(scored).then(pl.col("score")), out_of=pl.when(scored).then(pl.col("out_of")),
    )  # fmt: skip
    return made.select(FACTS.names)


def _skills(attached: str, lookup: Lookup) -> list[str]:
    return [lookup.skills.get(one) or f"Objective {one}" for one in dict.fromkeys(msgspec.json.decode(attached))]
