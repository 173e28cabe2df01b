"""A range of days in one run: what one day refuses does not cost the others their work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Generic, TypeVar

import dagster as dg

from torus_assets.failures.known import what_to_do

Result = TypeVar("Result")


@dataclass
class Attempted(Generic[Result]):
    """What became of the days of a run, in their order."""

    done: dict[date, Result] = field(default_factory=dict)
    refused: dict[date, Exception] = field(default_factory=dict)  # by errors that concern their day alone


def attempt(days: Iterable[date], work: Callable[[date], Result], of_one_day: tuple[type[Exception], ...]) -> Attempted[Result]:
    """Works on each day; an error of `of_one_day` is kept, so that the days after it are worked on too. Any other error ends it."""
    attempted = Attempted[Result]()
    for day in days:
        try:
            attempted.done[day] = work(day)
        except of_one_day as error:
            attempted.refused[day] = error
    return attempted


def materialized(context: dg.AssetExecutionContext, key: dg.AssetKey, day: date, metadata: Mapping[str, Any]) -> None:
    """Records one day as done in a run that will fail for others: what was committed shows as committed."""
    context.log_event(dg.AssetMaterialization(key, partition=day.isoformat(), metadata=dict(metadata)))


def refusal(attempted: Attempted[Any]) -> dg.Failure:
    """The failure that names the refused days: the days that are done stay done, and running again cures nothing by itself."""
    first = next(iter(attempted.refused.values()))
    days = [day.isoformat() for day in attempted.refused]
    more = f" ({len(days) - 1} more days were refused: see days_refused)" if len(days) > 1 else ""
    return dg.Failure(
        description=f"{first}{more}",
        metadata={
            "what_to_do": what_to_do(first),
            "days_refused": dg.MetadataValue.json({day.isoformat(): str(error) for day, error in attempted.refused.items()}),
            "days_done": len(attempted.done),
        },
        allow_retries=False,
    )
