"""The transactions of a data set as a table (`model.FACTS`): what rollup, counts and plots are made of."""

from __future__ import annotations

import polars as pl

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.frame import Place, Shelves
from torus_assets.datasets.datashop.model import FACTS, Skill


def facts(rows: pl.DataFrame, shelves: Shelves, first: int) -> pl.DataFrame:
    """The facts of transactions in order; `first` is the number of the first."""
    places, scored = shelves.places, pl.col("tutor_type") == rules.RESULT
    made = rows.select(
        number=pl.int_range(first, first + rows.height, dtype=pl.Int64), transaction_id="id",
        section_id=places.column(rows["place"], lambda place: place.section_id, pl.Int64), student=shelves.sessions.column(rows["session"], lambda one: one.student),
        session=shelves.sessions.column(rows["session"], lambda one: one.session), time=_time("time"), problem_hierarchy=places.column(rows["place"], _hierarchy),
        problem=places.column(rows["place"], lambda place: place.problem), view="view", problem_start=_time("context_time"),
        step=pl.when(pl.col("tutor_type").is_not_null()).then(shelves.steps.column(rows["step"], lambda step: step.name)), student_type="student_type",
        outcome="outcome", skills=shelves.skills.column(rows["skills"], _names, pl.List(pl.String)).fill_null([]),
        score=pl.when(scored).then(pl.col("score").cast(pl.Float64)), out_of=pl.when(scored).then(pl.col("out_of").cast(pl.Float64)),
    )  # fmt: skip
    return made.select(FACTS.names)


def _time(name: str) -> pl.Expr:
    return pl.col(name).str.to_datetime("%Y-%m-%d %H:%M:%S%.3f", time_unit="ms", time_zone="UTC")


def _hierarchy(place: Place) -> str:
    return ", ".join(f"{type_} {name}" for type_, name in place.levels)


def _names(skills: tuple[Skill, ...]) -> list[str]:
    return [skill.name for skill in skills if skill.model == rules.DEFAULT_MODEL]
