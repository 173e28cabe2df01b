"""Where long work says how far it is: nowhere, or a bar on the terminal that started it."""

from collections.abc import Callable

import dagster as dg

Told = Callable[[str, int, int], None]  # what is being done, done, of how many


class ProgressResource(dg.ConfigurableResource):
    """The default: a run of the daemon has its log and its metadata, and no terminal."""

    def say(self, stage: str, done: int, total: int) -> None:
        """Nobody looks."""
