"""`torus emr package` and `deploy`: code and application of EMR Serverless. The commands of job runs are in `emr_jobs.py`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.emr_asked import usage
from torus_assets.commands.emr_jobs import cancel, status, submit
from torus_assets.commands.options import Json
from torus_assets.console import USAGE

if TYPE_CHECKING:
    from torus_assets.emr.deploy import Package, Plan
    from torus_assets.emr.package import Built, Packaged, Progress
    from torus_assets.emr.releases import Platform
    from torus_assets.settings import Settings

LOCK = Path(__file__).parents[2] / "uv.lock"

emr_app = typer.Typer(no_args_is_help=True, help="Spark on EMR Serverless: its code, its application, its job runs.")

PlatformOf = Annotated[
    str | None, typer.Option("--platform", metavar="P", help="Processor of the application's workers: x86_64 or arm64 (default: x86_64).")
]


@emr_app.command()
def package(
    release: Annotated[
        str | None,
        typer.Option(metavar="R", help="EMR release to build for, e.g. emr-7.13.0 (default: EMR_RELEASE_LABEL, else emr-7.13.0)."),
    ] = None,
    platform: PlatformOf = None,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where the archive is written (default: TORUS_HOME/emr).")] = None,
    lock: Annotated[
        Path, typer.Option(metavar="FILE", help="Lock file with the exact versions (default: the project's uv.lock).", show_default=False)
    ] = LOCK,
    from_environment: Annotated[
        bool,
        typer.Option(
            "--from-environment", help="Take what is installed here and never ask a package index. Default: when it fits, else pip fetches."
        ),
    ] = False,
    fetch: Annotated[bool, typer.Option("--fetch", help="Have pip fetch the wheels, also when what is installed would fit.")] = False,
    requirements: Annotated[
        bool,
        typer.Option("--requirements", help="Only print the exact requirements with digests, for the container image. Contacts nobody."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Build the archive of our code and its packages for one EMR release: dataset.zip, dataset.json and job.py."""
    chosen = settings.from_environment()
    if from_environment and fetch:
        raise _wrong("--from-environment and --fetch: choose one")
    with usage():
        built = _built(lock, release or chosen.emr.release, platform)
    if requirements:
        from torus_assets.emr.wheels import requirements_text

        sys.stdout.write(requirements_text(built.pins))
        return
    folder = to or chosen.home / "emr"
    with usage(), _bar() as progress:
        made = _packaged(built, folder, folder / "wheels", from_environment=from_environment, fetch=fetch, progress=progress)
    if as_json:
        places = {"archive": str(made.archive), "job": str(made.job), "archive_bytes": made.bytes_, "version": made.version}
        console.document({**places, **made.document, "ok": True})
    else:
        said = made.document
        console.out.print(
            f"{made.archive}: {made.bytes_ / 1e6:,.0f} MB ({made.unpacked_bytes / 1e6:,.0f} MB unpacked on each worker), version {made.version}\n"
            f"for {said['release']} (Spark {said['spark']}, Python {said['python']}) on {said['platform']}: "
            f"{said['modules']} modules of ours, {len(said['distributions'])} packages",
            soft_wrap=True,
        )


@emr_app.command()
def deploy(
    folder: Annotated[
        Path | None, typer.Option("--package", metavar="FOLDER", help="What `torus emr package` wrote (default: TORUS_HOME/emr).")
    ] = None,
    platform: PlatformOf = None,
    code_only: Annotated[bool, typer.Option("--code-only", help="Upload the code; leave the application as it is.")] = False,
    most_vcpus: Annotated[
        int | None,
        typer.Option(
            "--max-vcpu",
            min=8,
            metavar="N",
            help="Most vCPUs of all jobs together, with 4 GB each (default: 100 for a new application; else as it is).",
        ),
    ] = None,
    idle_minutes: Annotated[
        int | None,
        typer.Option(
            "--idle-minutes",
            min=1,
            max=10080,
            metavar="N",
            help="Stop the application when idle for so long (default: 15 for a new one; else as it is).",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing anywhere.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Upload the code to EMR_CODE_URL, and create or update the application; says what Torus needs in its settings."""
    from torus_assets.clients.emr import connect
    from torus_assets.emr import deploy as deploying

    chosen = settings.from_environment()
    if not (dry_run or yes or sys.stdin.isatty()):
        raise _wrong("nobody is there to ask: say --yes, or --dry-run to see what would be done")
    with usage():
        what = _package_of(chosen, folder or chosen.home / "emr", platform)
        client = None if code_only else connect()
        plan = deploying.plan(chosen, what, client, most_vcpus=most_vcpus, idle_minutes=idle_minutes)
    if not as_json:
        _show(plan)
    if dry_run:
        if as_json:
            console.document({**plan.document(), "dry_run": True, "ok": True})
        return
    if (plan.uploads or plan.creation or plan.change) and not yes and not typer.confirm("Do it?", err=True):
        console.say("nothing was done")
        return
    done = deploying.carry_out(plan, client, at=datetime.now(UTC).isoformat(timespec="seconds"), say=console.say, sleep=time.sleep)
    if as_json:
        console.document({**plan.document(), **done, "dry_run": False, "ok": True})
    else:
        console.out.print(f"version {done['version']} is in place", soft_wrap=True)


def _built(lock: Path, release: str, platform: str | None) -> Built:
    from torus_assets.emr.package import plan
    from torus_assets.emr.pins import Target
    from torus_assets.emr.releases import release_of

    return plan(lock, Target(release_of(release), _platform(platform)))


def _packaged(built: Built, folder: Path, wheels: Path, *, from_environment: bool, fetch: bool, progress: Progress) -> Packaged:
    from torus_assets.emr.package import package
    from torus_assets.emr.wheels import NotFitting

    if not fetch:
        try:
            return package(built, folder, wheels=None, progress=progress)
        except NotFitting as error:
            if from_environment:
                raise
            console.say(f"fetching wheels: {error}")
    return package(built, folder, wheels=wheels, progress=progress)


def _platform(said: str | None) -> Platform:
    from torus_assets.emr.releases import PLATFORMS

    for known in PLATFORMS:
        if known == (said or PLATFORMS[0]):
            return known
    raise _wrong(f"--platform: expected {' or '.join(PLATFORMS)}, got {said!r}")


def _package_of(chosen: Settings, folder: Path, platform: str | None) -> Package:
    from torus_assets.emr.deploy import job_only, packaged

    if chosen.emr.image_uri:
        return job_only(chosen, _platform(platform))
    return packaged(folder, chosen, _platform(platform) if platform else None)


def _show(plan: Plan) -> None:
    """The plan for people."""
    said = plan.document()
    console.out.print(f"[bold]version {said['version']}[/] for {said['release']} on {said['platform']}", soft_wrap=True)
    for each in said["uploads"]:
        console.out.print(f"  upload {each['to']} ({each['bytes'] / 1e6:,.1f} MB)", markup=False, soft_wrap=True)
    if not said["uploads"]:
        console.out.print("  the code is in place", soft_wrap=True)
    for word, document in (("create the application", plan.creation), (f"change application {said['application']}", plan.change)):
        for name, value in (document or {}).items():
            console.out.print(f"  {word}: {name} = {value}", markup=False, soft_wrap=True)
    console.out.print("Torus' settings for this job:", soft_wrap=True)
    for name, value in plan.torus.items():
        console.out.print(f"  {name}={value}", markup=False, soft_wrap=True)


@contextmanager
def _bar() -> Iterator[Any]:
    """A bar on the terminal while files are packed; nothing when standard error is no terminal."""
    from rich.progress import Progress as Shown

    if not console.errors.is_terminal:
        yield lambda *_: None
        return
    with Shown(console=console.errors, transient=True) as shown:
        task = shown.add_task("package", total=None)
        yield lambda _, done, total: shown.update(task, completed=done, total=total)


def _wrong(text: str) -> typer.Exit:
    console.complain(text)
    return typer.Exit(USAGE)


for command in (submit, status, cancel):
    emr_app.command()(command)
