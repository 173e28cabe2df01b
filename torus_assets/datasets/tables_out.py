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
from torus_assets.datasets.receipt import Progress
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

    def add(self, other: Seen) -> None:
        """What other rows of the same data set show. Facts are files of somewhere else, and left to the caller."""
        self.per_day.update(other.per_day)
        self.scores.update(other.scores)
        self.unscored += other.unscored
        self.first = min(filter(None, (self.first, other.first)), default=None)
        self.last = max(filter(None, (self.last, other.last)), default=None)
        if other.learners is not None:
            self.learners = (self.learners or set()) | other.learners


class Writing:
    """Rows become named rows, then chunks: each put as soon as it is full, so that scratch holds one chunk per format."""

    def __init__(self, request: Request, names: Names, lookup: Lookup, output: Output, folder: Path, first: int = 0) -> None:
        """
        Args:
            first: number of the first chunk.
        """
        self.names, self.lookup, self.output, self.folder = names, lookup, output, folder
        self.columns = request.table.without(request.exclude_fields)
        self.risky = [column.name for column in self.columns if column.holds or column.name == "user_id"]
        self.writers = writers(request, folder, first)
        self.seen = Seen()

    def add(self, rows: pl.DataFrame, number: int) -> None:
        """The next rows of the order.

        Args:
            number: of the first of them: grows from one call to the next by at least their number.

        Raises:
            PersonalData: a chunk that became full holds something of a user.
        """
        given = named(rows, self.names, self.columns, self.output.users)
        _look(given, self.seen, self.lookup, self.folder, number)
        for writer in self.writers:
            self._put(writer.add(given))

    def end(self) -> Seen:
        for writer in self.writers:
            self._put(writer.end())
        return self.seen

    def _put(self, chunks: Iterable[tuple[Path, int]]) -> None:
        for path, rows in chunks:
            self.output.put(path, path.name, rows, columns=self.risky)


def write(writing: Writing, rows: Iterable[pl.DataFrame], total: int, progress: Progress | None) -> Seen:
    """All rows, a batch at a time.

    Args:
        total: rows to read, for `progress`.
    """
    done = 0
    for number, batch in enumerate(rows):
        writing.add(batch, number << 32)
        done += batch.height
        if progress:
            progress(done, total)
    return writing.end()


def _look(rows: pl.DataFrame, seen: Seen, lookup: Lookup, folder: Path, number: int) -> None:
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
        _facts(parts, lookup, first=number).write_parquet(path, compression="lz4")
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
