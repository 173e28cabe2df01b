"""`torus dataset status`, `list`, `withdraw` and `expire`: what was asked for, and taking it back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from torus_assets import console, settings
from torus_assets.commands.options import Json
from torus_assets.console import NOT_RIGHT

if TYPE_CHECKING:
    from torus_assets.clients.object_store import ObjectStore
    from torus_assets.datasets.catalog import JobState


def status(
    job: Annotated[str | None, typer.Argument(metavar="[JOB]", help="One job; without it, all.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Say what became of a request: its state, its newest run, and how the platform's last attempt at it ended."""
    from torus_assets.datasets import catalog

    store = _store()
    found = [catalog.state(store, job)] if job else catalog.jobs(store)
    attempts = _newest_attempts([one.job_id for one in found])
    if as_json:
        console.document({"jobs": [{**one.document(), "attempt": attempts.get(one.job_id)} for one in found], "ok": _right(found)})
    elif job:
        _show_one(found[0], attempts.get(job))
    else:
        _show(found, attempts)
    if not _right(found):
        raise typer.Exit(NOT_RIGHT)


def list_jobs(as_json: Json = False) -> None:
    """List all data sets that were asked for, with the size of what was made."""
    from torus_assets.datasets import catalog

    found = catalog.jobs(_store())
    if as_json:
        console.document({"jobs": [one.document() for one in found], "ok": _right(found)})
    else:
        _show(found, {})
    if not _right(found):
        raise typer.Exit(NOT_RIGHT)


def withdraw(
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job to take back.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who takes it back; kept with the date.")],
    as_json: Json = False,
) -> None:
    """Take a request back: nobody finds its results any more, and `torus dataset expire` removes them after some days."""
    from torus_assets.datasets import withdrawal

    is_new = withdrawal.withdraw(_store(), job, by, datetime.now(UTC))
    if as_json:
        console.document({"job_id": job, "withdrawn_before": not is_new, "ok": True})
    else:
        console.out.print(f"{job} {'is' if is_new else 'was already'} withdrawn", soft_wrap=True)


def expire(
    keep_days: Annotated[
        int, typer.Option(min=0, metavar="DAYS", help="Runs that a newer one replaced: so long after they finished.")
    ] = 365,
    withdrawn_days: Annotated[int, typer.Option(min=0, metavar="DAYS", help="Runs of withdrawn jobs: so long after the withdrawal.")] = 7,
    unfinished_days: Annotated[int, typer.Option(min=0, metavar="DAYS", help="What killed runs left: so long after the last file.")] = 7,
    lookup_days: Annotated[
        int, typer.Option(min=0, metavar="DAYS", help="Lookups, which may hold e-mail addresses: so long after their job's newest run.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; change nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Remove results and lookups whose time is over. The published run of a job stays until the job is withdrawn."""
    from torus_assets.datasets import expiry

    rule = expiry.Rule(keep_days, withdrawn_days, unfinished_days, lookup_days)
    removed = expiry.expire(_store(), datetime.now(UTC), rule, dry_run=dry_run)
    if as_json:
        console.document({"removed": [one.document() for one in removed], "dry_run": dry_run, "ok": True})
        return
    if removed:
        console.table(
            "would be removed" if dry_run else "removed",
            ["what", "why", "files", "bytes"],
            [[one.key, one.reason, one.files, one.bytes] for one in removed],
        )
    else:
        console.out.print("nothing has expired")


def _store() -> ObjectStore:
    from torus_assets.clients.object_store import open_store

    return open_store(settings.from_environment().datasets_url)


def _right(found: Sequence[JobState]) -> bool:
    return all(one.state != "invalid" for one in found)


def _newest_attempts(job_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The newest Dagster run of each job's partition, where there is one."""
    if not job_ids:
        return {}
    import dagster as dg

    from torus_assets import runs

    found: dict[str, dict[str, Any]] = {}
    with runs.instance() as instance:
        for job_id in job_ids:
            records = instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": job_id}), limit=1)
            for record in records:
                started = datetime.fromtimestamp(record.start_time, UTC).isoformat() if record.start_time else None
                found[job_id] = {"run_id": record.dagster_run.run_id, "status": record.dagster_run.status.value, "started": started}
    return found


def _show(found: Sequence[JobState], attempts: dict[str, dict[str, Any]]) -> None:
    if not found:
        console.out.print("no data set was asked for")
        return
    more = ["last attempt"] if attempts else []
    console.table(
        "data sets",
        ["job", "action", "state", "submitted", "rows", "files", "bytes", *more],
        [
            [
                one.job_id, one.action or "", one.state, f"{one.submitted_at:%Y-%m-%d %H:%M}" if one.submitted_at else "",
                *("" if number is None else number for number in (one.rows, one.files, one.bytes)),
                *([attempts.get(one.job_id, {}).get("status", "")] if more else []),
            ]
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        for problem in one.problems:
            console.complain(f"{one.job_id}: {problem}")


def _show_one(one: JobState, attempt: dict[str, Any] | None) -> None:
    words = {
        "submitted": "submitted; there is no published run of this request yet",
        "complete": "complete",
        "withdrawn": f"withdrawn by {one.withdrawn_by} at {one.withdrawn_at}",
        "invalid": "invalid",
    }
    lines = [f"{one.job_id}: {words[one.state]}"]
    if one.run:
        lines.append(f"run {one.run}: {one.rows:,} rows, {one.files} files, {one.bytes:,} bytes, finished {one.finished_at}")
    if attempt:
        lines.append(f"last attempt: {attempt['status']}, started {attempt['started'] or 'not yet'}, Dagster run {attempt['run_id']}")
    lines += [f"note: {note}" for note in one.notes]
    for line in lines:
        console.out.print(line, markup=False, soft_wrap=True)
    for problem in one.problems:
        console.complain(problem)
