"""Transactions as tutor-message XML, version 4 (spec/datashop.md 1 to 4).

Whole columns of text are joined: a plain element tree takes many times as long (`benchmarks/datashop_xml.py`). A message a line; each context
before its first transaction in the same file.
"""

from __future__ import annotations

import polars as pl

from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.frame import OWN_FIELDS, Fields, Place, Session, Shelves, Step
from torus_assets.datasets.datashop.model import Skill

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<{rules.ROOT} version_number="{rules.VERSION}" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    ' xsi:noNamespaceSchemaLocation="http://pslcdatashop.org/dtd/tutor_message_v4.xsd">\n'
)
FOOT = f"</{rules.ROOT}>\n"

_ZONE = f"</time><time_zone>{rules.TIME_ZONE}</time_zone></meta>"
_SPECIAL, _ESCAPED = ["&", "<", ">", '"'], ["&amp;", "&lt;", "&gt;", "&quot;"]
_TABLE = str.maketrans(dict(zip(_SPECIAL, _ESCAPED, strict=True)))
_PLAIN = frozenset(name for name, dtype in OWN_FIELDS.items() if dtype == pl.Int64) | {"score", "out_of", "time_is_of"}  # nothing to escape


class XmlForm:
    """Writes transactions; `anonymous` says that user ids are pseudonyms and are to be shown as they stand."""

    suffix, head, foot = ".xml", HEAD, FOOT

    def __init__(self, *, anonymous: bool) -> None:
        self.flag = "true" if anonymous else "false"

    def texts(self, rows: pl.DataFrame, shelves: Shelves) -> pl.Series:
        """The messages of each transaction: context if it opens one, tool, tutor if there was a reply."""
        built = rows.select(
            "opens", "tutor_type",
            who=shelves.sessions.column(rows["session"], self._who), place=shelves.places.column(rows["place"], _place),
            context_name=shelves.places.column(rows["place"], _name), step=shelves.steps.column(rows["step"], _step),
            skills=shelves.skills.column(rows["skills"], _skills), extras=shelves.extras.column(rows["extras"], _fields), time="time",
            context_time="context_time", id=_safe("id"), context=_safe("context"), student_type=_safe("student_type"),
            student_subtype=_attribute("subtype", _safe("student_subtype")), tutor_subtype=_attribute("subtype", _safe("tutor_subtype")),
            input=_element("input", _safe("input")), advice=_element("tutor_advice", _safe("advice")), evaluation=_evaluation(),
            fields=pl.concat_str([_field(name) for name in OWN_FIELDS], ignore_nulls=True),
        )  # fmt: skip
        meta = pl.concat_str([pl.lit('context_message_id="'), "context", pl.lit('">'), "who", "time", pl.lit(_ZONE)])
        context = pl.concat_str([
            pl.lit('<context_message context_message_id="'), "context", pl.lit('" name="'), "context_name", pl.lit('">'), "who", "context_time",
            pl.lit(_ZONE), "place", pl.lit("</context_message>\n"),
        ])  # fmt: skip
        tool = (
            pl.lit("<tool_message "), meta, pl.lit('<semantic_event transaction_id="'), "id", pl.lit('" name="'), "student_type", pl.lit('"'), "student_subtype",
            pl.lit("/>"), "step", "input", pl.lit("</event_descriptor>"), "fields", "extras", pl.lit("</tool_message>\n"),
        )  # fmt: skip
        reply = pl.concat_str([
            pl.lit("<tutor_message "), meta, pl.lit('<semantic_event transaction_id="'), "id", pl.lit('" name="'), "tutor_type", pl.lit('"'),
            pl.col("tutor_subtype").fill_null(""), pl.lit("/>"), "step", pl.lit("</event_descriptor>"), pl.col("evaluation").fill_null(""), pl.col("advice").fill_null(""),
            pl.col("skills").fill_null(""), pl.lit("</tutor_message>\n"),
        ])  # fmt: skip
        parts = [pl.when("opens").then(context), *tool, reply]  # a transaction without reply has no tutor_type, so its reply is null
        return built.select(text=pl.concat_str(parts, ignore_nulls=True)).to_series()

    def _who(self, session: Session) -> str:
        return f'<meta><user_id anonFlag="{self.flag}">{_escaped(session.student)}</user_id><session_id>{_escaped(session.session)}</session_id><time>'


def _escaped(text: str) -> str:
    return text.translate(_TABLE)


def _safe(name: str) -> pl.Expr:
    return pl.col(name).str.replace_many(_SPECIAL, _ESCAPED)


def _element(tag: str, value: pl.Expr) -> pl.Expr:
    """Null where the value is."""
    return pl.concat_str([pl.lit(f"<{tag}>"), value, pl.lit(f"</{tag}>")])


def _attribute(name: str, value: pl.Expr) -> pl.Expr:
    return pl.concat_str([pl.lit(f' {name}="'), value, pl.lit('"')])


def _evaluation() -> pl.Expr:
    attributes = [
        _attribute("current_hint_number", pl.col("help_level")), _attribute("total_hints_available", pl.col("total_hints")),
        _attribute("hint_id", _safe("hint_id")), _attribute("classification", _safe("classification")),
    ]  # fmt: skip
    shown = pl.concat_str([pl.lit("<action_evaluation"), *attributes, pl.lit(">")], ignore_nulls=True)
    told = pl.any_horizontal(pl.col("outcome", "help_level", "total_hints", "hint_id", "classification").is_not_null())
    return pl.when(told).then(pl.concat_str([shown, _safe("outcome").fill_null(""), pl.lit("</action_evaluation>")]))


def _field(name: str) -> pl.Expr:
    value = pl.col(name) if name in _PLAIN else _safe(name)
    return pl.concat_str([pl.lit(f"<custom_field><name>{name}</name><value>"), value, pl.lit("</value></custom_field>")])


def _fields(fields: Fields) -> str:
    return "".join(f"<custom_field><name>{_escaped(name)}</name><value>{_escaped(value)}</value></custom_field>" for name, value in fields)


def _step(step: Step) -> str:
    return f"<event_descriptor><selection>{_escaped(step.selection)}</selection><action>{_escaped(step.action)}</action>"


def _name(place: Place) -> str:
    return _escaped(place.name)


def _place(place: Place) -> str:
    """Class, data set with levels and problem, conditions and custom fields."""
    levels = "".join(f'<level type="{_escaped(type_)}"><name>{_escaped(name)}</name>' for type_, name in place.levels)
    conditions = "".join(
        f"<condition><name>{_escaped(name)}</name>{f'<type>{_escaped(type_)}</type>' if type_ else ''}</condition>"
        for name, type_ in place.conditions
    )
    return (
        f"<class><name>{place.class_name}</name></class><dataset><name>{_escaped(place.dataset)}</name>{levels}"
        f'<problem tutorFlag="{place.tutor_flag}"><name>{_escaped(place.problem)}</name></problem>{"</level>" * len(place.levels)}</dataset>'
        f"{conditions}{_fields(place.fields)}"
    )


def _skills(skills: tuple[Skill, ...]) -> str:
    """No `model_name` means the model Default; an empty category is read like none, and a strict schema may want the element."""
    return "".join(
        f"<skill><name>{_escaped(skill.name)}</name>{f'<category>{_escaped(skill.category)}</category>' if skill.category else '<category/>'}"
        f"{f'<model_name>{_escaped(skill.model)}</model_name>' if skill.model != rules.DEFAULT_MODEL else ''}</skill>"
        for skill in skills
    )
