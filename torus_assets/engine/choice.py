"""Which engine does a piece of work: as somebody said, or by its size."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torus_assets.settings import Engine

UNITS = ("bytes", "kB", "MB", "GB", "TB")


class Choice(NamedTuple):
    """The engine, and the sentence that a run logs about it."""

    engine: Literal["local", "spark"]
    reason: str


def choose(asked: Engine, bytes_: int | None, above: int | None) -> Choice:
    """The engine that does the work (DESIGN 6).

    Args:
        asked: a named engine is taken whatever the size; `auto` decides by it.
        bytes_: what the work has to read; None: not counted, which an `auto` with a limit takes for nothing.
        above: more bytes than this go to Spark; None: none do by themselves.
    """
    read = "" if bytes_ is None else f"; {size(bytes_)} to read"
    if asked != "auto":
        return Choice(asked, f"{asked}: asked for{read}")
    if above is None:
        return Choice("local", f"local: no size is set above which Spark does it (TORUS_SPARK_ABOVE_BYTES){read}")
    limit = f"TORUS_SPARK_ABOVE_BYTES ({size(above)})"
    if (bytes_ or 0) > above:
        return Choice("spark", f"spark: {size(bytes_ or 0)} to read is above {limit}")
    return Choice("local", f"local: {size(bytes_ or 0)} to read is not above {limit}")


def size(bytes_: int) -> str:
    """A size for people, in powers of 1000: `12.3 GB`, `10 GB`, `512 bytes`."""
    value, unit = float(bytes_), 0
    while round(value, 1) >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f}".removesuffix(".0") + f" {UNITS[unit]}"
