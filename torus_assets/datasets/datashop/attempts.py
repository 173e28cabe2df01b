"""Transactions of part attempts and the hints asked for them. The rules of spec/datashop.md 6 (last list), and what they leave open:

- A problem is a part of an activity on a page; its step is `selection action`, the same for hints and attempts.
- One context for each student, session and problem, at the time the page was last opened before the first attempt, if that was in the
  same sitting; else at the time of the first transaction. Its id is the first transaction's, with a `c` before it.
- Each hint is a transaction of its own, before its attempt and at its time: Torus does not log when a hint was asked for.
- `score >= out_of` is CORRECT, any less INCORRECT, with both as custom fields. Without score or points possible (surveys, 0 of 0)
  an attempt is a tool message without reply: DataShop's untutored action.
- A hint's number is its place among the part's hints in authored order; a hint the lookup does not know has an id and no number.
"""

from __future__ import annotations

import math

import polars as pl

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.frame import each, frame
from torus_assets.datasets.datashop.ids import digest
from torus_assets.datasets.datashop.mapping import Mapper

ATTEMPT_SUB = 1 << 20  # an attempt comes after its hints
GUIDS = ("activity_attempt_guid", "page_attempt_guid")
NUMBERS = ("part_attempt_number", "activity_attempt_number", "page_attempt_number", "activity_revision_id", "project_id", "publication_id")


def transactions(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    """The transactions of these part attempts (columns as `sql/datashop_rows.sql` gives them, with `line` and `session`)."""
    if not rows.height:
        return frame({}, pl.DataFrame())
    rows = each(rows, ["section_id", "page_id", "activity_id", "part_id"], mapper.problem, place=pl.Int64, step=pl.Int64, problem=pl.Int64)
    rows = rows.with_columns(_ids(rows, mapper))
    rows = _in_contexts(rows, mapper)
    rows = each(rows, ["attached_objectives"], mapper.skill_numbers, skills=pl.Int64, unknown_skills=pl.Int64)
    mapper.count("skills_not_in_lookup", int(rows["unknown_skills"].sum()))
    hints = _hints(rows, mapper)
    attempts = _attempts(rows, mapper)
    made = pl.concat([hints, attempts])
    first = made.sort("line", "sub").group_by("context", maintain_order=True).first().select("line", "sub", opens=True)
    return (
        made.drop("opens").join(first, on=["line", "sub"], how="left").with_columns(pl.col("opens").fill_null(False)).select(made.columns)
    )


def _ids(rows: pl.DataFrame, mapper: Mapper) -> list[pl.Series]:
    """`id` of each attempt, and the guids as they are shown."""
    own = mapper.guids(
        rows.select(pl.coalesce("part_attempt_guid", pl.format("event-{}", "event_hash")).alias("part_attempt_guid")).to_series()
    )
    ids = mapper.message_ids(own).alias("id")
    shared = rows["part_attempt_guid"].is_in(list(mapper.shared_attempts)) if mapper.shared_attempts else None
    if shared is not None and shared.any():
        students = (mapper.shelves.sessions.values[number].student for number in rows["session"])
        unique = [digest(*one)[:32] for one in zip(rows["section_id"], students, own, strict=True)]
        ids = ids.zip_with(~shared.fill_null(False), pl.Series(unique)).alias("id")
        mapper.count("attempts_of_several_students", int(shared.sum()))
    return [own, ids, *_shown(rows, mapper)]


def _shown(rows: pl.DataFrame, mapper: Mapper) -> list[pl.Series]:
    """Guids of activity and page attempts; each different one once."""
    found: list[pl.Series] = []
    for name in GUIDS:
        known = rows[name].unique(maintain_order=True).drop_nulls()
        found.append(rows[name].replace_strict(known, mapper.guids(known), default=None, return_dtype=pl.String).alias(name))
    return found


def _in_contexts(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    """With the context of each row: its id, time and view."""
    contexts = rows.unique(["session", "place"], keep="first", maintain_order=True).select(
        "session", "place", student="place_of_student", context=pl.format("c{}", "id"), context_time=pl.coalesce("opened", "time")
    )
    contexts = contexts.with_columns(view=pl.int_range(1, pl.len() + 1).over("student", "place", order_by=pl.int_range(pl.len())))
    for place, n in contexts["place"].value_counts().iter_rows():
        mapper.count_place(place, n)
    return rows.join(contexts.drop("student"), on=["session", "place"], how="left", maintain_order="left")


def _attempts(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    rows = each(rows, ["problem", "response_json"], mapper.answer, input=pl.String, files=pl.Int64, input_changed=pl.Int64)
    rows = each(rows, ["feedback_json"], mapper.feedback, advice=pl.String, advice_changed=pl.Int64)
    for column in ("input_changed", "advice_changed"):
        mapper.count_changed(rows[column])
    rows = each(rows, ["score"], _number, shown_score=pl.String)
    rows = each(rows, ["out_of"], _number, shown_out_of=pl.String)
    scored = pl.col("score").is_not_null() & (pl.col("out_of") > 0).fill_null(False)
    mapper.count("unscored_attempts", rows.height - rows.filter(scored).height)
    return frame(
        {
            **_common(rows), "sub": pl.lit(ATTEMPT_SUB), "id": "id", "student_type": pl.lit(rules.ATTEMPT), "tutor_type": pl.when(scored).then(pl.lit(rules.RESULT)),
            "input": "input", "outcome": pl.when(scored).then(pl.when(pl.col("score") >= pl.col("out_of")).then(pl.lit(rules.CORRECT)).otherwise(pl.lit(rules.INCORRECT))),
            "advice": pl.when(scored).then("advice"), "skills": pl.when(scored).then("skills"), "score": "shown_score", "out_of": "shown_out_of",
            **{name: name for name in NUMBERS}, "files": "files", "feedback": pl.when(~scored).then(pl.col("advice").str.head(rules.FIELD_VALUE // 3)),
        },
        rows,
    )  # fmt: skip


def _hints(rows: pl.DataFrame, mapper: Mapper) -> pl.DataFrame:
    asked = rows.filter(pl.col("hint_ids").is_not_null(), pl.col("hint_ids") != "[]")
    if not asked.height:
        return frame({}, pl.DataFrame())
    asked = each(asked, ["problem", "hint_ids"], mapper.hints, hint=pl.List(pl.Int64), unknown=pl.Int64)
    mapper.count("hints_not_in_lookup", int(asked["unknown"].sum()))
    asked = asked.with_columns(sub=pl.int_ranges(0, pl.col("hint").list.len())).explode("hint", "sub")
    asked = asked.hstack(mapper.asked_hints()[asked["hint"]])
    mapper.count_changed(asked["changed"])
    return frame(
        {
            **_common(asked), "sub": "sub", "id": pl.format("{}-h{}", "id", pl.col("sub") + 1), "student_type": pl.lit(rules.HINT_REQUEST),
            "tutor_type": pl.lit(rules.HINT_MSG), "outcome": pl.lit(rules.HINT), "advice": "advice", "hint_id": "hint_id", "help_level": "help_level",
            "total_hints": "total_hints", "skills": "skills", "time_is_of": pl.lit("the attempt"),
        },
        asked,
    )  # fmt: skip


def _common(rows: pl.DataFrame) -> dict[str, str]:  # noqa: ARG001
    names = ("line", "session", "context", "context_time", "place", "view", "time", "step", "part_attempt_guid", *GUIDS)
    return {name: name for name in names}


def _number(value: float | None) -> tuple[str | None]:
    """`1` for 1.0, else the shortest text that reads back the same."""
    if value is None:
        return (None,)
    whole = math.isfinite(value) and value == int(value) and abs(value) < 1e15
    return (str(int(value)) if whole else repr(value),)
