"""Who is to be forgotten, and the places where they have to be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torus_assets.xapi.kinds import host
from torus_assets.xapi.tombstones import Tombstones, mark, tombstones_of

MBOX = "mailto:"


class NoLearner(ValueError):
    """What was given names no learner; the message says what is missing and never what was given."""


@dataclass(frozen=True, repr=False)
class Learner:
    """One learner. Neither id nor host may reach a log, a receipt or a repr; the mark does.

    `home_page` may be spelt in any way; None for learners whom statements name by `mbox` alone, as `mailto:ada@example.edu`.
    """

    home_page: str | None
    user_id: str
    secret: bytes  # of the tombstones

    @cached_property
    def mark(self) -> str:
        return mark(self.secret, self.home_page, self.user_id)

    @cached_property
    def alone(self) -> Tombstones:
        """Tombstones of this learner and nobody else, for looking where they are."""
        return tombstones_of(self.secret, self.home_page, self.user_id)

    @property
    def home(self) -> str | None:
        """The host as rows of the lake have it."""
        return None if self.home_page is None else host(self.home_page)


def learner(home_page: str | None, user_id: str, secret: bytes) -> Learner:
    """The learner as people name them.

    Raises:
        NoLearner: no id, or no home page beside an id that is no `mailto:`.
    """
    if not user_id.strip():
        raise NoLearner("--user: expected the learner's user id, got nothing")
    if home_page is None and not user_id.startswith(MBOX):
        raise NoLearner("--home-page: expected the host of the learner's account; only an id that begins with mailto: has none")
    return Learner(home_page, user_id, secret)
