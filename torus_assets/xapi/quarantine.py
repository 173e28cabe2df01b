"""Refused lines, as an operator looks at them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any, NamedTuple

import polars as pl

from torus_assets.xapi import tables
from torus_assets.xapi.bundles import PARTITIONS
from torus_assets.xapi.lake import Lake

POSITION = r"\b(byte|after) \d+"  # where in the line: lines that are broken alike are one group


class UnknownReason(ValueError):
    """Not one of the reasons a line is refused for."""


class Waiting(NamedTuple):
    """Refused lines of a day that a replay is asked for."""

    whole: int  # their bytes were kept: they can be parsed again
    incomplete: int  # only a prefix was: their bundle has to be read again


def known_reason(reason: str) -> str:
    """The reason itself; UnknownReason when it is none of ours."""
    if reason not in tables.REASONS:
        raise UnknownReason(f"unknown reason {reason!r}; the reasons are {', '.join(tables.REASONS)}")
    return reason


def _refused(lake_url: str, first: date, last: date, reason: str | None) -> pl.LazyFrame:
    if reason is not None:
        known_reason(reason)
    rows = Lake(lake_url).snapshot().scan("quarantine", first, last)
    return rows if reason is None else rows.filter(pl.col("reason") == reason)


def _key(source_file: str) -> str:
    """The key of an object, from its address."""
    return next((source_file[at:] for home in PARTITIONS if (at := source_file.rfind(f"{home}/")) >= 0), source_file)


def groups(lake_url: str, first: date, last: date, reason: str | None = None) -> list[dict[str, Any]]:
    """Refused lines per day, reason and detail, most frequent first, with the place of the first of each; no learner's text.

    Raises:
        UnknownReason: `reason` is none of ours.
        LakeMissing: there is no lake yet.
    """
    found = (
        _refused(lake_url, first, last, reason)
        .with_columns(pl.col("detail").str.replace_all(POSITION, "$1 N"))
        .group_by("upload_date", "reason", "detail")
        .agg(pl.len().alias("lines"), pl.struct("source_file", "source_line").sort().first().alias("place"))
        .sort("upload_date", -pl.col("lines").cast(pl.Int64), "reason", "detail")
        .collect()
    )
    return [
        {
            "day": row["upload_date"].isoformat(),
            "reason": row["reason"],
            "lines": row["lines"],
            "detail": row["detail"],
            "first": f"{_key(row['place']['source_file'])} line {row['place']['source_line']}",
        }
        for row in found.iter_rows(named=True)
    ]


def lines(lake_url: str, first: date, last: date, reason: str | None = None, limit: int = 10) -> list[dict[str, Any]]:
    """Refused lines whole, in order of day and place; bytes that are no UTF-8 are shown escaped.

    Raises:
        UnknownReason, LakeMissing: as `groups`.
    """
    wanted = ["upload_date", "source_file", "source_line", "event_hash", "reason", "detail", "raw_bytes", "raw"]
    found = _refused(lake_url, first, last, reason).sort("upload_date", "source_file", "source_line").select(wanted).head(limit).collect()
    return [
        row | {"upload_date": row["upload_date"].isoformat(), "raw": row["raw"].decode("utf-8", "backslashreplace")}
        for row in found.iter_rows(named=True)
    ]


def waiting(lake_url: str, first: date, last: date, reasons: Collection[str] = tables.REASONS) -> dict[date, Waiting]:
    """Refused lines of these reasons by day; days without any are left out.

    Raises:
        LakeMissing: there is no lake yet.
    """
    prefix = pl.col("raw").bin.size() < pl.col("raw_bytes")
    found = (
        _refused(lake_url, first, last, None)
        .filter(pl.col("reason").is_in(list(reasons)))
        .group_by("upload_date")
        .agg((~prefix).sum().cast(pl.Int64), prefix.sum().cast(pl.Int64).alias("incomplete"))
        .sort("upload_date")
        .collect()
    )
    return {day: Waiting(whole, incomplete) for day, whole, incomplete in found.iter_rows()}


def stretches(days: Collection[date]) -> list[tuple[date, date]]:
    """Days that follow one another as (first, last), in order."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and (day - found[-1][1]).days == 1:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found
