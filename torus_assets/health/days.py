"""Which upload days need attention, why, and what to run next: judged from plain facts, without asking any system.

A day may need attention for several reasons; a day that is in order is not named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple

from torus_assets.health.lake_days import LakeDay, Waiting
from torus_assets.xapi.day_content import NOTHING

HELD, FAILED, LEFT, WRITING = "held", "failed", "left by a killed run", "being written"
WAITING, NOT_LOADED, OLD_PARSER = "bundles waiting", "not in ClickHouse", "older parser"
WAREHOUSE = "warehouse/"  # assets below it are mended by a load alone


class Failed(NamedTuple):
    """The latest attempt at a partition did not succeed."""

    asset: str  # e.g. "warehouse/raw_events"
    run_id: str


@dataclass(frozen=True)
class Facts:
    """What is known of the days."""

    now: datetime
    parser_version: int
    waiting: Mapping[date, Waiting] = field(default_factory=dict)
    lake: Mapping[date, LakeDay] = field(default_factory=dict)
    loaded: Mapping[date, str] = field(default_factory=dict)  # what ClickHouse has of the day, as `day_content`
    writing: Mapping[date, tuple[str, ...]] = field(default_factory=dict)  # by runs (ids), or by a process without one
    left: Mapping[date, tuple[str, ...]] = field(default_factory=dict)  # by runs whose process is gone, or as a folder alone
    failed: Mapping[date, tuple[Failed, ...]] = field(default_factory=dict)
    patience: timedelta = timedelta(0)  # what arrived may be under way for so long, if something is there to take it

    @property
    def days(self) -> list[date]:
        """Every day that something is known of."""
        return sorted({*self.waiting, *self.lake, *self.writing, *self.left, *self.failed})


class Attention(NamedTuple):
    """One day, or neighbouring days with the same need."""

    first: date
    last: date
    state: str
    detail: str
    runs: tuple[str, ...]
    command: str  # what to run next; "" when waiting is enough
    urgent: bool  # a person, or nobody, will do it
    bundles: int = 0  # that wait

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    def document(self) -> dict[str, object]:
        """As `torus status --json` prints it."""
        return {
            **self._asdict(),
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "runs": list(self.runs),
            "days": self.days,
        }


def not_loaded(lake: Mapping[date, LakeDay], loaded: Mapping[date, str]) -> dict[date, LakeDay]:
    """Days that ClickHouse does not have, or has as they were before. Held days are not expected there."""
    return {day: found for day, found in lake.items() if not found.held and loaded.get(day, NOTHING) != found.content}


def counted(failed: Mapping[date, tuple[Failed, ...]], lake: Mapping[date, LakeDay]) -> dict[date, tuple[Failed, ...]]:
    """The failures that count: held days are told as held, and of a day that the lake does not have there is nothing to load."""
    kept = {
        day: tuple(one for one in found if day in lake or not one.asset.startswith(WAREHOUSE))
        for day, found in failed.items()
        if day not in lake or not lake[day].held
    }
    return {day: found for day, found in kept.items() if found}


def attention(facts: Facts) -> list[Attention]:
    """What needs attention, neighbouring days of one need together; the most pressing need first, then by day."""
    needs = [need for day in facts.days for need in _needs(day, facts)]
    alike = sorted(needs, key=lambda need: (need.state, need.command, need.detail, need.urgent, need.first))
    return sorted(_merged(alike), key=lambda need: (_ORDER.index(need.state), need.first))


def in_order(facts: Facts, found: Iterable[Attention]) -> int:
    """How many days of the lake need nothing."""
    troubled = {need.first + timedelta(days=n) for need in found for n in range(need.days)}
    return len(set(facts.lake) - troubled)


def spelled(first: date, last: date) -> str:
    """A range of days for people."""
    return first.isoformat() if first == last else f"{first} to {last}"


def for_days(command: str, first: date, last: date) -> str:
    """The command over the days: `torus backfill --from 2026-02-02 --to 2026-02-03`."""
    name, _, options = command.partition(" --")
    return f"{name} --from {first} --to {last}" + (f" --{options}" if options else "")


_ORDER = (FAILED, LEFT, HELD, WAITING, NOT_LOADED, WRITING, OLD_PARSER)
BACKFILL, LOAD, LOOK, TIDY = "torus backfill", "torus warehouse load", "torus quarantine list", "torus lake maintain"
REBUILD = "torus backfill --rebuild"


def _needs(day: date, facts: Facts) -> Iterator[Attention]:
    """The needs of one day, with a command that does not name the days yet."""
    busy = day in facts.writing
    in_lake = facts.lake.get(day)

    def need(state: str, detail: str, command: str, runs: Iterable[str] = (), *, urgent: bool = True) -> Attention:
        return Attention(day, day, state, detail, tuple(runs), command, urgent)

    if busy:
        yield need(WRITING, "a run or a command works on it", "", facts.writing[day], urgent=False)
    if failed := facts.failed.get(day):
        command = LOAD if all(one.asset.startswith(WAREHOUSE) for one in failed) else BACKFILL
        yield need(FAILED, "the latest attempt failed: " + ", ".join(one.asset for one in failed), command, [one.run_id for one in failed])
    if (left := facts.left.get(day)) is not None and not busy:
        yield need(LEFT, "its process is gone; running it again finishes the work" if left else "a folder in the spool", BACKFILL if left else TIDY, left)  # fmt: skip
    if in_lake and in_lake.held:
        yield need(HELD, "too many lines were refused: no load or data set has it", LOOK)
    if (waiting := facts.waiting.get(day)) and not busy:
        detail = "arrived, and not in the lake"
        yield need(WAITING, detail, BACKFILL, urgent=_overdue(facts, waiting.since))._replace(bundles=waiting.bundles)
    elif in_lake and not busy and not_loaded({day: in_lake}, facts.loaded):
        detail = "the lake is newer" if day in facts.loaded else "never loaded"
        yield need(NOT_LOADED, detail, LOAD, urgent=_overdue(facts, in_lake.committed))
    if in_lake and in_lake.parser_version < facts.parser_version:
        yield need(OLD_PARSER, f"read by parser {in_lake.parser_version}, today's is {facts.parser_version}", REBUILD, urgent=False)


def _overdue(facts: Facts, since: datetime) -> bool:
    return facts.now - since > facts.patience


def _merged(needs: Iterable[Attention]) -> Iterator[Attention]:
    """Neighbouring days of one need as one, with the command over all of them."""
    open_: Attention | None = None
    for need in needs:
        if open_ and _joins(open_, need):
            runs = tuple(dict.fromkeys((*open_.runs, *need.runs)))
            open_ = open_._replace(last=need.last, runs=runs, bundles=open_.bundles + need.bundles)
            continue
        if open_:
            yield _commanded(open_)
        open_ = need
    if open_:
        yield _commanded(open_)


def _joins(one: Attention, next_: Attention) -> bool:
    alike = (one.state, one.detail, one.command, one.urgent) == (next_.state, next_.detail, next_.command, next_.urgent)
    return alike and next_.first - one.last == timedelta(days=1)


def _commanded(need: Attention) -> Attention:
    """With the days in the command; tidying up takes none."""
    return need if need.command in ("", TIDY) else need._replace(command=for_days(need.command, need.first, need.last))
