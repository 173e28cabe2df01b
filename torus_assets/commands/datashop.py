"""`torus datashop`: files for DataShop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from torus_assets import console
from torus_assets.commands.options import Json, failed
from torus_assets.console import NOT_RIGHT

if TYPE_CHECKING:
    from torus_assets.datasets.datashop.verify import Report

datashop_app = typer.Typer(no_args_is_help=True, help="Files for DataShop.")


@datashop_app.callback()
def datashop() -> None:
    """Files for DataShop."""


@datashop_app.command("verify")
def datashop_verify(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help="All files of one upload: tutor-message XML, or tab-delimited tables.")
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether DataShop takes these files, and what becomes of them: schema, limits, joins. Exit code 3 when something is not right."""
    from torus_assets.datasets.datashop.verify import verify

    missing = [path for path in files if not path.is_file()]
    if missing:
        failed([f"{path}: there is no such file" for path in missing])
    report = verify([(str(path), lambda path=path: path.open("rb")) for path in files])
    right = report.ok and not (strict and report.warnings)
    if as_json:
        console.document({**report.document(), "strict": strict, "ok": right})
    else:
        _show(report, right)
    if not right:
        raise typer.Exit(NOT_RIGHT)


def _show(report: Report, right: bool) -> None:
    for file in report.files:
        what = "messages" if file.form == "xml" else "rows"
        console.out.print(f"{file.name}: {file.form}, {file.bytes:,} bytes, {file.messages:,} {what}", soft_wrap=True, markup=False)
    _show_sections(report)
    if report.findings:
        _show_findings(report)
    if right:
        console.out.print(f"DataShop takes this; warnings: {report.warnings:,}")
    else:
        console.out.print(f"[bold red]not right[/]: errors: {report.errors:,}, warnings: {report.warnings:,}")


def _show_sections(report: Report) -> None:
    rows = [{"class": name or "(none)", **counts.document()} for name, counts in sorted(report.sections.items())]
    columns = [name for name in rows[0] if name != "by_outcome"] if rows else []
    if rows:
        console.table("what DataShop makes of it", columns, [[row[name] for name in columns] for row in rows])


def _show_findings(report: Report) -> None:
    from torus_assets.datasets.datashop.findings import RULES

    ordered = sorted(report.counts.items(), key=lambda item: (RULES[item[0]].severity, item[0]))
    console.table(
        "rules",
        ["rule", "severity", "found", "why it matters"],
        [[rule, RULES[rule].severity, count, RULES[rule].why] for rule, count in ordered],
    )
    for finding in report.findings:
        place = finding.place
        where = f"{place.file}:{'?' if place.line is None else place.line}  {place.where}".rstrip()
        console.out.print(f"{where}  {finding.rule}: {finding.text}", soft_wrap=True, markup=False)
    left = sum(report.counts.values()) - len(report.findings)
    if left:
        console.out.print(f"... and {left:,} more of these rules")
