"""Charts as inline SVG: shapes and labels only. Colours are classes of `style.css`, so that both colour schemes and print have their own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from torus_assets.datasets.page.markup import Markup, tag
from torus_assets.datasets.page.model import Point

FEW_STUDENTS = 5  # below, a point of a curve says little and is drawn lighter
LETTER = 7.2  # width of a digit of the labels
TICKS = (1, 2, 5)
STEPS_UP = 4  # most grid lines above zero


class Size(NamedTuple):
    """Of a chart, in its own units; it is drawn as wide as its place, so a narrow screen gets a chart of its own."""

    name: str
    width: int
    height: int
    labels: int  # along the bottom, at most


WIDE, NARROW = Size("wide", 920, 270, 8), Size("narrow", 360, 250, 3)
CURVE = Size("small", 300, 200, 5)
TOP, BOTTOM, RIGHT = 14, 30, 12


class Bar(NamedTuple):
    n: int
    says: str  # in full, shown when pointed at
    label: str = ""  # below it; empty: none


def bar_chart(id_: str, title: str, says: str, bars: Sequence[Bar], size: Size, *, counts_shown: bool = False) -> Markup:
    """Vertical bars from zero. `counts_shown`: each with its count above."""
    step = tick_step(max(bar.n for bar in bars))
    top = max(step, -(-max(bar.n for bar in bars) // step) * step)
    left = LETTER * len(f"{top:,}") + 14
    width, height = size.width - left - RIGHT, size.height - TOP - BOTTOM
    each = width / len(bars)
    ground = size.height - BOTTOM
    parts = [_grid(left, size, ground - height * at / top, f"{at:,}") for at in range(0, top + 1, step)]
    for place, bar in enumerate(bars):
        x, high = left + each * place, height * bar.n / top
        if bar.n:
            gap = min(each * 0.2, 6)
            shown = tag(
                "rect", tag("title", bar.says), x=_n(x + gap / 2), y=_n(ground - high), width=_n(each - gap), height=_n(high), class_="bar"
            )
            parts.append(shown)
        if counts_shown:
            parts.append(_label(x + each / 2, ground - high - 5, f"{bar.n:,}", "value"))
        if bar.label:
            parts.append(_x_label(x + each / 2, size, bar.label))
    return _svg(id_, title, says, parts, size)


def curve_chart(id_: str, title: str, says: str, points: Sequence[Point], last: int) -> Markup:
    """Error rate from 0 to 100 % by opportunity from 1 to `last`. Points of fewer than five students are rings, their lines dashed."""
    size, left = CURVE, 46
    width, height, ground = size.width - left - RIGHT, size.height - TOP - BOTTOM, size.height - BOTTOM

    def place(point: Point) -> tuple[float, float]:
        across = (point.opportunity - 1) / max(1, last - 1)
        return left + 8 + (width - 16) * across, ground - height * point.error_rate

    parts = [_grid(left, size, ground - height * share, f"{share:.0%}") for share in (0, 0.5, 1)]
    every = -(-last // size.labels)
    parts += [_x_label(place(Point(n, 0, 0))[0], size, str(n)) for n in range(1, last + 1, every)]
    for one, other in pairwise(points):
        if other.opportunity == one.opportunity + 1:
            (x1, y1), (x2, y2) = place(one), place(other)
            few = min(one.students, other.students) < FEW_STUDENTS
            parts.append(tag("line", x1=_n(x1), y1=_n(y1), x2=_n(x2), y2=_n(y2), class_="line few" if few else "line"))
    most = max((point.students for point in points), default=1)
    for point in points:
        x, y = place(point)
        few = point.students < FEW_STUDENTS
        hint = f"Opportunity {point.opportunity}: {point.error_rate:.0%} of {point.students:,}"
        radius = 2.5 + 2.5 * (point.students / max(1, most)) ** 0.5
        parts.append(tag("circle", tag("title", hint), cx=_n(x), cy=_n(y), r=_n(radius), class_="dot few" if few else "dot"))
    return _svg(id_, title, says, parts, size)


def tick_step(most: int) -> int:
    """Distance of grid lines: 1, 2 or 5 times a power of ten, so that there are at most four above zero."""
    power = 1
    while True:
        for tick in TICKS:
            if most <= tick * power * STEPS_UP:
                return tick * power
        power *= 10


def _svg(id_: str, title: str, says: str, parts: Sequence[Markup], size: Size) -> Markup:
    name = f"{id_}-{size.name}"
    labels = [tag("title", title, id=f"{name}-title"), tag("desc", says, id=f"{name}-desc")]
    return tag(
        "svg", labels, parts, viewBox=f"0 0 {size.width} {size.height}", class_=size.name, role="img",
        aria_labelledby=f"{name}-title", aria_describedby=f"{name}-desc",
    )  # fmt: skip


def _grid(left: float, size: Size, y: float, label: str) -> Markup:
    line = tag("line", x1=_n(left), x2=size.width - RIGHT, y1=_n(y), y2=_n(y), class_="grid")
    return Markup(line + tag("text", label, x=_n(left - 7), y=_n(y + 4.5), class_="axis end"))


def _x_label(x: float, size: Size, label: str) -> Markup:
    """Below the axis, moved inwards where it would be cut off."""
    half = LETTER * len(label) / 2
    return _label(min(x, size.width - half - 2), size.height - 9, label, "axis middle")


def _label(x: float, y: float, label: str, class_: str) -> Markup:
    return tag("text", label, x=_n(x), y=_n(y), class_=class_)


def _n(number: float) -> str:
    """Two digits are finer than any screen, and keep the page small."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
