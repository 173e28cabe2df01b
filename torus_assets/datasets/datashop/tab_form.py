"""Transactions as DataShop's tab-delimited table (spec/datashop.md 7): a row each, the same values as in the XML.

What the XML says by nesting stands in columns here, so all files of a data set have one heading, which `Shape` fixes beforehand. The one
difference in content: `Input` holds 255 bytes here, and a classification stands only beside a feedback text. `Attempt At Step` is for people: DataShop
counts attempts itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.frame import OWN_FIELDS, Place, Session, Shelves, each
from torus_assets.datasets.datashop.model import Skill
from torus_assets.datasets.datashop.text import heading_name

PLACE_FIELDS = ("section_id", "page_id", "activity_id", "part_id", "activity_type", "item")  # custom fields that every context may have
FIELDS = (*PLACE_FIELDS, *OWN_FIELDS)
TAB = "\t"


@dataclass(frozen=True)
class Shape:
    """What the heading of all files depends on."""

    level_types: tuple[str, ...]
    models: tuple[tuple[str, int, bool], ...]  # KC model, columns (skills of one transaction at most), with categories
    extras: tuple[str, ...] = ()  # custom fields of embedded tutors
    conditions: int = 0  # of one context at most


class TabForm:
    """Writes transactions."""

    suffix, foot = ".txt", ""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.head = TAB.join(headings(shape)) + "\n"

    def texts(self, rows: pl.DataFrame, shelves: Shelves) -> pl.Series:
        """The row of each transaction, with its line end."""
        places, tutored = shelves.places, pl.col("tutor_type").is_not_null()
        own = [_cell(name) if dtype == pl.String else pl.col(name).cast(pl.String).fill_null("") for name, dtype in OWN_FIELDS.items()]
        attempt = tutored.cast(pl.Int64).cum_sum().over("context", "step")  # a context is one view of one problem
        cells = [
            _cell("id"), shelves.sessions.column(rows["session"], _who), "time", pl.lit(rules.TIME_ZONE), _cell("student_type"), _cell("student_subtype"),
            _cell("tutor_type"), _cell("tutor_subtype"), places.column(rows["place"], self._levels), pl.col("view").cast(pl.String), "context_time",
            pl.when(tutored).then(shelves.steps.column(rows["step"], lambda step: cell(step.name, rules.STEP))).otherwise(pl.lit("")),
            pl.when(tutored).then(attempt).cast(pl.String).fill_null(""), _cell("outcome"),
            shelves.steps.column(rows["step"], lambda step: f"{cell(step.selection, rules.SELECTION)}{TAB}{cell(step.action, rules.ACTION)}"),
            _cut_input(rows["input"]), _cell("advice"), pl.when(pl.col("advice").is_not_null()).then(_cell("classification")).otherwise(pl.lit("")),
            pl.col("help_level").cast(pl.String).fill_null(""), pl.col("total_hints").cast(pl.String).fill_null(""),
            *([places.column(rows["place"], self._conditions)] if self.shape.conditions else []),
            *([shelves.skills.column(rows["skills"], self._skills).fill_null(self._skills(()))] if self.shape.models else []),
            places.column(rows["place"], self._end), *own, *([self._extras(rows, shelves)] if self.shape.extras else []),
        ]  # fmt: skip
        return rows.select(text=pl.concat_str([pl.concat_str(cells, separator=TAB), pl.lit("\n")])).to_series()

    def _levels(self, place: Place) -> str:
        names = dict(place.levels)
        return TAB.join(
            [*(cell(names.get(type_, ""), rules.LEVEL) for type_ in self.shape.level_types), cell(place.problem, rules.PROBLEM)]
        )

    def _conditions(self, place: Place) -> str:
        pairs = [
            cell(text, limit) for one in place.conditions for text, limit in zip(one, (rules.CONDITION, rules.CONDITION_TYPE), strict=True)
        ]
        return TAB.join(pairs + [""] * (2 * self.shape.conditions - len(pairs)))

    def _end(self, place: Place) -> str:
        fields = dict(place.fields)
        return TAB.join([cell(place.class_name, rules.CLASS), *(cell(fields.get(name, ""), rules.FIELD_VALUE) for name in PLACE_FIELDS)])

    def _extras(self, rows: pl.DataFrame, shelves: Shelves) -> pl.Series:
        """Custom fields of embedded tutors: a transaction's own, else its context's."""

        def cells(place: int, extras: int | None) -> tuple[str]:
            known = dict(shelves.places.values[place].fields) | (dict(shelves.extras.values[extras]) if extras is not None else {})
            return (TAB.join(cell(known.get(name, ""), rules.FIELD_VALUE) for name in self.shape.extras),)

        return each(rows.select("place", "extras"), ["place", "extras"], cells, cells=pl.String)["cells"]

    def _skills(self, skills: tuple[Skill, ...]) -> str:
        cells: list[str] = []
        for model, columns, categories in self.shape.models:
            mine = [skill for skill in skills if skill.model == model]
            for place in range(columns):
                skill = mine[place] if place < len(mine) else None
                cells.append(cell(skill.name, rules.SKILL) if skill else "")
                if categories:
                    cells.append(cell(skill.category, rules.SKILL_CATEGORY) if skill else "")
        return TAB.join(cells)


def headings(shape: Shape) -> list[str]:
    """The heading row."""
    found = [*rules.TAB_HEAD[2:], *(rules.TAB_LEVEL.format(type_) for type_ in shape.level_types)]
    found += [*rules.TAB_PROBLEM, *rules.TAB_FEEDBACK, *["Condition Name", "Condition Type"] * shape.conditions]
    for model, columns, categories in shape.models:
        found += [rules.TAB_KC.format(model), *([rules.TAB_KC_CATEGORY.format(model)] if categories else [])] * columns
    return [*found, "Class", *(rules.TAB_FIELD.format(name) for name in (*FIELDS, *shape.extras))]


def tutor_heading(name: str) -> str:
    """A custom field of an embedded tutor as both forms name it: never like one of ours."""
    heading = heading_name(name, rules.FIELD_NAME)
    return f"tutor_{heading}" if heading in FIELDS else heading


def cell(text: str, limit: int) -> str:
    """A cell: every backslash doubled, as the loader reads escapes; at most `limit` bytes, cut between characters."""
    escaped = text.replace("\\", "\\\\") if "\\" in text else text
    if len(escaped) * 3 <= limit or len(escaped.encode()) <= limit:
        return escaped
    text = text.encode()[:limit].decode(errors="ignore")
    while len((escaped := text.rstrip().replace("\\", "\\\\")).encode()) > limit:
        text = text[:-1]
    return escaped


def _cell(name: str) -> pl.Expr:
    """A column of texts that are within their limits."""
    return pl.col(name).str.replace_all("\\", "\\\\", literal=True).fill_null("")


def _cut_input(values: pl.Series) -> pl.Series:
    """The one column whose limit is narrower here; long texts and those with a backslash are looked at one by one, each once."""
    odd = values.filter((values.str.len_bytes() > rules.TAB_INPUT) | values.str.contains("\\", literal=True)).unique().drop_nulls()
    cut = pl.Series([cell(text, rules.TAB_INPUT) for text in odd], dtype=pl.String)
    return (values.replace(odd, cut) if odd.len() else values).fill_null("")


def _who(session: Session) -> str:
    return f"{cell(session.student, rules.USER)}{TAB}{cell(session.session, rules.SESSION)}"
