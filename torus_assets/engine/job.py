"""The one entry point that spark-submit runs: Torus' own argument list, or work that Dagster asks for through Pipes.

It is uploaded as a file of its own, so nothing but the standard library is imported before the package is found: archives of a job are
unpacked as folders in the working directory (`--archives dataset.zip#dataset` gives `./dataset`). Never imports Dagster, only its Pipes.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

USAGE = """\
This job is started by Torus, with its arguments:

    spark-submit job.py --job_id JOB --action ACTION --section_ids 1,2 --bucket_name BUCKET ...

or by Dagster, through Pipes (docs/spark.md). It was given neither."""
FAILED, WRONG, INTERRUPTED = 1, 2, 130
WATCH_SECONDS = 1.0


def main(argv: Sequence[str]) -> int:
    """Exit status: 0 done, 1 failed, 2 wrong usage, 3 done and something is not right (Torus' own calls)."""
    if sys.version_info < (3, 11):  # noqa: UP036  EMR's own default is 3.9, and a syntax error would say nothing
        raise SystemExit(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}: `torus emr deploy` names the interpreter (docs/emr.md)"
        )
    _find_package(Path.cwd())
    from dagster_pipes import PipesEnvVarParamsLoader, open_dagster_pipes

    if argv:
        from torus_assets.engine.drop_in import called

        return called.main(argv)
    if not PipesEnvVarParamsLoader().is_dagster_pipes_process():
        sys.stderr.write(f"{USAGE}\n")
        return WRONG
    with open_dagster_pipes() as pipes:
        return _asked(pipes)


def _asked(pipes: PipesContext) -> int:
    """Does what the context's extras say. What goes wrong is a message: Dagster would store an exception with all that it quotes."""
    from torus_assets import settings
    from torus_assets.engine.registry_settings import under
    from torus_assets.engine.reports import error_message
    from torus_assets.engine.session import session
    from torus_assets.engine.work import carry_out

    def tell(message: Mapping[str, Any]) -> None:
        pipes.report_custom_message(dict(message))
        sys.stdout.flush()  # where messages are lines of the driver's log, a killed job has sent what it told

    for asked in (signal.SIGTERM, signal.SIGINT):  # the latter is ignored below a Dagster that a script started in the background
        signal.signal(asked, signal.default_int_handler)
    if "parent" in pipes.extras:
        _end_with(pipes.extras["parent"])
    try:
        chosen = settings.from_environment()
        spark = under(pipes.extras.get("registered", {}), chosen.spark)
        carry_out(pipes.extras["work"], pipes.extras["document"], tell, chosen, lambda name: session(name, spark))
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001  the boundary of the job: told in part, kept in full
        tell(error_message(error, _kept(error, pipes)))
        return FAILED
    return 0


def _kept(error: Exception, pipes: PipesContext) -> str | None:
    """Where the whole text went: a private file of this host. A cluster's driver log gets the frames alone, which quote nobody."""
    from datetime import UTC, datetime  # UTC: not before 3.11, and this module has to load to say so

    from torus_assets import settings
    from torus_assets.failures import private

    if "parent" not in pipes.extras:
        frames = traceback.format_tb(error.__traceback__)
        sys.stderr.write(f"{type(error).__name__}\n{''.join(frames)}\n")
        return None
    name = f"{pipes.run_id[:8]}-spark-{pipes.extras['work']}-{pipes.retry_number}"
    with suppress(OSError):
        return str(private.keep(settings.from_environment().home, name, error, datetime.now(UTC)))
    return None


def _end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone, however that ended. The JVM goes with it: its standard input closes."""

    def watch(ppid: Callable[[], int] = os.getppid) -> NoReturn:
        while ppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(FAILED)

    threading.Thread(target=watch, daemon=True, name="parent").start()


def _find_package(folder: Path) -> None:
    """Puts the unpacked archive that holds `torus_assets` on the path of the driver and of the executors, if it is not there yet."""
    try:
        import torus_assets  # noqa: F401
    except ModuleNotFoundError:
        places = [*sorted(folder.glob("*/torus_assets")), *sorted(folder.glob("*/lib/torus_assets"))]
        found = next((place.parent for place in places if place.is_dir()), None)
        if found is None:
            raise SystemExit(
                f"torus_assets is neither installed nor in a folder of {folder}: "
                "give its archive to spark-submit (--archives dataset.zip#dataset; `torus emr package` builds it)"
            ) from None
        sys.path.insert(0, str(found))
        from pyspark import SparkContext

        # Read by the context that starts later. Relative: an executor's working directory has a folder of the same name.
        SparkContext.setSystemProperty("spark.executorEnv.PYTHONPATH", f"./{found.relative_to(folder)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
