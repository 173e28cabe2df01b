"""The plots of a page, each with its words and its numbers: what it shows, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence

from torus_assets.datasets.page.days import Bars, bars, length, spoken
from torus_assets.datasets.page.markup import Column, Content, Markup, number, plural, table, tag, value
from torus_assets.datasets.page.model import ACTIONS, Curve, Page, Scores
from torus_assets.datasets.page.svg import FEW_STUDENTS, NARROW, WIDE, Bar, Size, bar_chart, curve_chart

DAYS_OF_WEEK = 7
MOST_CURVES = 6
MOST_OPPORTUNITIES = 12
LEAST_OPPORTUNITIES = 4  # of the axis, so that short curves do not look long


def figures(page: Page) -> list[Markup]:
    """All plots that apply to the data set."""
    found = [_days(page)]
    if page.plots.scores is not None:
        found.append(_scores(page.plots.scores))
    if page.plots.curves is not None:
        found.append(_curves(page.plots.curves))
    return found


def _days(page: Page) -> Markup:
    counted = ACTIONS[page.action][1]
    heading = f"{counted.capitalize()} per day"
    found = bars(page.plots.per_day)
    if found is None or not any(found.counts):
        return _figure("days", heading, f"There are no {counted} in this data set.")
    first, last = min(page.plots.per_day)[0], max(page.plots.per_day)[0]
    with_any = sum(1 for _, n in page.plots.per_day if n)
    most = max(page.plots.per_day, key=lambda one: (one[1], -one[0].toordinal()))
    says = (
        f"{plural(sum(found.counts), counted.removesuffix('s'))} on {with_any:,} of {plural(length(first, last), 'day')}, "
        f"{spoken(first)} to {spoken(last)} (UTC). The most on one day: {number(most[1])}, on {spoken(most[0])}."
    )
    if found.unit != "day":
        heading = f"{counted.capitalize()} per {found.unit}"
        says += f" So many days are drawn by {found.unit}" + (", each from Monday." if found.unit == "week" else ".")
    drawn = [bar_chart("days", heading, says, _drawn_days(found, size), size) for size in (WIDE, NARROW)]
    rows = [[found.label(start), number(n)] for start, n in zip(found.starts, found.counts, strict=True) if n]
    columns = [Column(found.unit.capitalize()), Column(counted.capitalize(), numeric=True)]
    return _figure("days", heading, says, drawn, table(f"{heading}; those without any are left out", columns, rows))


def _drawn_days(found: Bars, size: Size) -> list[Bar]:
    """Every so many bars have a label. The year stands with the first, and where it is another one than the label before had."""
    every = -(-len(found.starts) // size.labels)
    if found.unit == "day" and every > DAYS_OF_WEEK / 2:
        every = -(-every // DAYS_OF_WEEK) * DAYS_OF_WEEK
    drawn: list[Bar] = []
    year = None
    for place, (start, n) in enumerate(zip(found.starts, found.counts, strict=True)):
        label = ""
        if place % every == 0:
            label, year = found.label(start, year=start.year != year), start.year
        drawn.append(Bar(n, f"{'Week from ' if found.unit == 'week' else ''}{found.label(start)}: {number(n)}", label))
    return drawn


def _scores(scores: Scores) -> Markup:
    heading = "Scores"
    total = sum(n for _, n in scores.bins)
    unscored = f"{plural(scores.unscored, 'attempt')} without a score, or with nothing to score, {'is' if scores.unscored == 1 else 'are'} not drawn."
    if not total:
        return _figure("scores", heading, "No attempt has a score." + (f" {unscored}" if scores.unscored else ""))
    says = f"{plural(total, 'scored attempt')} by share of the points possible. " + (
        unscored if scores.unscored else "Every attempt has a score."
    )
    drawn = [
        bar_chart("scores", "Attempts by share of the points", says, _drawn_scores(scores, size is NARROW), size, counts_shown=size is WIDE)
        for size in (WIDE, NARROW)
    ]
    columns = [Column("Share of the points"), Column("Attempts", numeric=True), Column("Percent", numeric=True)]
    rows = [[label, number(n), f"{n / total:.1%}"] for label, n in scores.bins]
    return _figure("scores", heading, says, drawn, table("Attempts by share of the points", columns, rows))


def _drawn_scores(scores: Scores, narrow: bool) -> list[Bar]:
    """On a narrow screen a bin is named by where it begins."""
    return [Bar(n, f"{label}: {number(n)}", label.split("–")[0] if narrow else label) for label, n in scores.bins]


def _curves(curves: Sequence[Curve]) -> Markup:
    heading = "Learning curves"
    shown = [Curve(curve.skill, tuple(p for p in curve.points if p.opportunity <= MOST_OPPORTUNITIES)) for curve in curves[:MOST_CURVES]]
    shown = [curve for curve in shown if curve.points]
    if not shown:
        return _figure("curves", heading, "No skill has attempts from which a curve could be drawn.")
    of_which = f"The {len(shown)} most frequent skills" if len(shown) > 1 else "The most frequent skill"
    says = (
        f"{of_which}: share of students whose first attempt was incorrect or a hint, by opportunity (1: their first step with the skill), "
        f"up to {MOST_OPPORTUNITIES}. Larger dots have more students; rings and dashes have fewer than {FEW_STUDENTS}. "
        "Students who leave early shape the right end of a curve."
    )
    last = max(LEAST_OPPORTUNITIES, *(point.opportunity for curve in shown for point in curve.points))
    drawn = [_curve(f"curve-{place}", curve, last) for place, curve in enumerate(shown, start=1)]
    columns = [Column("Skill"), *(Column(name, numeric=True) for name in ("Opportunity", "Error rate", "Students"))]
    rows = [[value(c.skill), number(p.opportunity), f"{p.error_rate:.1%}", number(p.students)] for c in shown for p in c.points]
    return _figure("curves", heading, says, tag("div", drawn, class_="curves"), table("Error rate by skill and opportunity", columns, rows))


def _curve(id_: str, curve: Curve, last: int) -> Markup:
    first, end = curve.points[0], curve.points[-1]
    says = f"Error rate {first.error_rate:.0%} at opportunity {first.opportunity} ({plural(first.students, 'student')})"
    if end is not first:
        says += f", {end.error_rate:.0%} at opportunity {end.opportunity} ({plural(end.students, 'student')})"
    return tag("div", tag("h4", value(curve.skill)), curve_chart(id_, f"Learning curve: {curve.skill}", f"{says}.", curve.points, last))


def _figure(id_: str, heading: str, says: str, drawn: Content = None, numbers: Markup | None = None) -> Markup:
    details = tag("details", tag("summary", "The numbers"), numbers) if numbers else None
    return tag("figure", tag("figcaption", tag("h3", heading), tag("p", says)), drawn, details, id=f"plot-{id_}")
