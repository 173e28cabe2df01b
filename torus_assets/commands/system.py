"""`torus doctor`, `sample`, `demo` and `dev`: an installation as a whole."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from typing import Annotated

import typer

from torus_assets import console, settings
from torus_assets.commands.options import Json
from torus_assets.console import DONE, NOT_RIGHT


def doctor(as_json: Json = False) -> None:
    """Say which system is embedded, which is real, and whether each answers."""
    from torus_assets import doctor as examiner

    found = examiner.examine(settings.from_environment())
    ok = all(one.ok for one in found)
    if as_json:
        console.document({"systems": [vars(one) for one in found], "ok": ok})
    else:
        console.table(
            "systems",
            ["system", "kind", "place", "answer"],
            [[f.system, f.kind, f.place, f.answer if f.ok else f"NO: {f.answer}"] for f in found],
        )
    if not ok:
        raise typer.Exit(NOT_RIGHT)


def sample(
    out: Annotated[str, typer.Option(metavar="URL", help="Where to write: file:///folder or s3://bucket/prefix.")],
    statements: Annotated[int, typer.Option(min=1, metavar="N", help="How many statements.")] = 20_000,
    sections: Annotated[int, typer.Option(min=1, metavar="K", help="How many course sections.")] = 3,
    students: Annotated[int, typer.Option(min=1, metavar="S", help="How many students, over all sections.")] = 60,
    days: Annotated[int, typer.Option(min=1, metavar="D", help="How many upload days.")] = 7,
    first_day: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="First upload day.", show_default="2026-02-02")
    ] = datetime(2026, 2, 2),  # noqa: DTZ001
    seed: Annotated[int, typer.Option(metavar="X", help="The same seed and options give the same bytes.")] = 7,
    damage: Annotated[float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Share of lines that are damaged.")] = 0.02,
    duplicates: Annotated[float, typer.Option(min=0, max=0.5, metavar="SHARE", help="Share of lines that are replays.")] = 0.02,
    as_json: Json = False,
) -> None:
    """Make a seeded sample world: bundles, inventory, lookups, requests, and the truth about all of it."""
    from torus_assets.bars import Bars
    from torus_assets.sample.options import SampleOptions
    from torus_assets.sample.world import make_world

    options = SampleOptions(
        out=out, statements=statements, sections=sections, students=students, days=days, first_day=first_day.date(), seed=seed, damage=damage, duplicates=duplicates
    )  # fmt: skip
    with Bars().shown() as bars:
        truth = make_world(options, progress=lambda done, total: bars.say("sample", done, total))
    if as_json:
        console.document(
            {
                "out": out,
                "truth": f"{out.rstrip('/')}/truth.json",
                "statements": truth["statements"],
                "bundles": truth["bundles"],
                "ok": True,
            }
        )
    else:
        console.out.print(
            f"{truth['statements']:,} statements in {truth['bundles']:,} bundles under {out}; the truth is in truth.json", soft_wrap=True
        )


def demo(
    statements: Annotated[int, typer.Option(min=2000, metavar="N", help="How many statements.")] = 20_000, as_json: Json = False
) -> None:
    """The main job on a sample world under TORUS_HOME: ingest, load, data sets, reconcile, and the truth compared."""
    from torus_assets import demo as show

    ok = show.run(settings.from_environment(), statements, as_json=as_json)
    raise typer.Exit(DONE if ok else NOT_RIGHT)


def dev(
    port: Annotated[int, typer.Option(help="Port of the UI.")] = 3000,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
) -> None:
    """Start the Dagster UI and daemon on the same home, with the runs of the command line in it."""
    from resources.deployments import PROJECT, instance_home

    home = instance_home(settings.from_environment())
    os.environ.update(DAGSTER_HOME=str(home), TORUS_HOME=str(settings.from_environment().home))
    os.chdir(PROJECT)
    os.execv(sys.executable, [sys.executable, "-m", "dagster", "dev", "-w", str(PROJECT / "workspace.yaml"), "-p", str(port), "-h", host])  # noqa: S606  this process becomes the server
