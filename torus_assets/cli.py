"""The `torus` command. Thin: each command starts the same assets as the UI, or asks one question and prints the answer.

The commands are in `commands/`, one module for each group. Exit codes: 0 done and right, 1 failed, 2 wrong usage, 3 done and something is
not right.
"""

from __future__ import annotations

import sys
import warnings

import typer

from torus_assets import console, settings
from torus_assets.commands.backfill import backfill
from torus_assets.commands.dataset import dataset_app
from torus_assets.commands.datashop import datashop_app
from torus_assets.commands.emr import emr_app
from torus_assets.commands.forget import forget_app
from torus_assets.commands.ingest import ingest
from torus_assets.commands.lake import lake_app
from torus_assets.commands.quarantine import quarantine_app
from torus_assets.commands.reconcile import reconcile
from torus_assets.commands.status import status
from torus_assets.commands.system import demo, dev, doctor, sample
from torus_assets.commands.warehouse import warehouse_app
from torus_assets.console import FAILED, USAGE

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Torus Assets: learning events of OLI Torus, from xAPI bundles to tables, ClickHouse and data sets.\n\n"
    "Every command runs the same assets as the UI and is recorded there (`make dev`). Without settings, everything lives under TORUS_HOME (.torus). "
    "Exit codes: 0 done and right, 1 failed, 2 wrong usage, 3 done and something is not right.",
)
for command in (ingest, backfill, status, reconcile, doctor, sample, demo, dev):
    app.command()(command)
app.add_typer(warehouse_app, name="warehouse")
app.add_typer(dataset_app, name="dataset")
app.add_typer(datashop_app, name="datashop")
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(lake_app, name="lake")
app.add_typer(forget_app, name="forget")
app.add_typer(emr_app, name="emr")


def _expected() -> tuple[type[Exception], ...]:
    """What can go wrong outside: systems that do not answer, places that do not exist, numbers that make no sense."""
    store = sys.modules.get("obstore.exceptions")
    return (OSError, ValueError, RuntimeError, LookupError, *(() if store is None else (store.BaseError,)))


def main() -> None:
    """Entry point, and the boundary of the command line: what can be expected to go wrong ends in one clear sentence, without frames."""
    warnings.filterwarnings("ignore", message=".*currently in (beta|preview).*")  # Dagster says it of what we chose with open eyes
    try:
        app()
    except settings.SettingsError as error:
        console.complain(str(error))
        raise SystemExit(USAGE) from None
    except _expected() as error:
        console.complain(str(error).split("\nDebug source:")[0].strip())  # the store's client adds its own innards
        raise SystemExit(FAILED) from None


if __name__ == "__main__":
    main()
