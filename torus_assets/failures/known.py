"""What is known of each failure: whether running again can cure it, what to do, and whether its message may be shown.

Classes stand here by their qualified names, so that no library is imported to know them. The nearest class counts: an error's own
entry, else that of the class it derives from.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from typing import NamedTuple

PACKAGES = ("torus_assets.", "resources.")  # errors defined here are ours: their messages hold no learner data


class Known(NamedTuple):
    """One entry of the table."""

    permanent: bool  # running again changes nothing until somebody acts
    what_to_do: str
    shows_message: bool | None = None  # None: only if the class is ours


def _permanent(what_to_do: str, *, shows_message: bool | None = None) -> Known:
    return Known(True, what_to_do, shows_message)


def _transient(what_to_do: str, *, shows_message: bool | None = None) -> Known:
    return Known(False, what_to_do, shows_message)


_AGAIN = "It is tried again by itself. If it stays, "
_STORE = _AGAIN + "look whether the store answers (`torus doctor`), then run it again."
_HOUSE = _AGAIN + "look whether ClickHouse answers (`torus doctor`) and what its log says, then load the day again."
_DELTA = _AGAIN + "look whether another program writes to the lake, then run it again."
_MEMORY = _AGAIN + "give the process more memory, or fewer workers (TORUS_WORKERS), then run it again."
_RIGHTS = "Check the credentials and rights of this process (`torus doctor` says which store refuses), then run it again."

UNKNOWN = _transient(
    "It is tried again by itself. If it stays, read its text in the file named (it may quote learners: share it with care), then run it "
    "again or report it."
)

KNOWN: Mapping[str, Known] = {
    # the lake and its bundles
    "torus_assets.xapi.ledger.RowsWouldVanish": _permanent(
        "Leave the day as it is; or, if a lifecycle rule deleted the objects and their rows may go too, `torus ingest --rebuild --drop-vanished` it."
    ),
    "torus_assets.xapi.lake.LakeMissing": _permanent("Ingest first: `torus ingest --from DAY --to DAY`. Check TORUS_LAKE_URL if that was done."),
    "torus_assets.xapi.lake.DayChanged": _transient(_AGAIN + "another job writes the same day in a loop: find it, then run again."),
    "torus_assets.xapi.inventory.UnusableInventory": _permanent(
        "Mend the inventory's configuration (Parquet, with size, ETag and last-modified date), or ingest with `listing: always` until the next one."
    ),
    "torus_assets.xapi.quarantine.UnknownReason": _permanent("Name one of the reasons that the message lists."),
    "torus_assets.xapi.decode.BundleGone": _transient("The object was deleted while it was read. Running again lists the day anew."),
    "torus_assets.xapi.workers.WorkerFailed": _transient(
        _AGAIN + "look at memory and disk of this machine; fewer workers (TORUS_WORKERS) need less. Nothing was changed."
    ),
    # Spark
    "torus_assets.emr.worker_sizes.NoSuchWorker": _permanent("Set cores and memory as the message says (docs/spark.md)."),
    "torus_assets.engine.registry_settings.RegisteredSettingsError": _permanent("Mend the pipeline's row as the message says."),
    "torus_assets.engine.session.SparkDidNotStart": _permanent(
        "Install Java 17 or newer, or set JAVA_HOME (docs/spark.md). If Java is there, give it memory (TORUS_SPARK_MEMORY)."
    ),
    "torus_assets.engine.work.UnknownWork": _permanent("Upload the code of this release: `torus emr deploy`."),
    "torus_assets.engine.parity.NothingToCompare": _permanent("Name a day that was ingested and has bundles."),
    "torus_assets.engine.parity.SampleChanged": _permanent("Compare again in a new run, or name another day."),
    "torus_assets.emr.spark_parameters.NotForEmr": _permanent("Set the variable as the message says (docs/emr.md)."),
    "torus_assets.clients.emr_errors.TokenUsed": _permanent("Start a new run."),
    "torus_assets.clients.emr_errors.EmrError": _transient(_AGAIN + "look at the permission or quota that the message names (docs/emr.md)."),
    "pyspark.errors.exceptions.base.PySparkException": _transient(
        _AGAIN + "read its text in the file named. If memory ran out: TORUS_SPARK_MEMORY, or fewer TORUS_WORKERS."
    ),
    "py4j.protocol.Py4JError": _transient(_AGAIN + "the JVM ended, mostly for want of memory (TORUS_SPARK_MEMORY, TORUS_WORKERS)."),
    # the warehouse
    "torus_assets.warehouse.load.HeldDay": _permanent(
        "Look at `torus quarantine list`, then mend the cause and ingest again, or lift the hold with `torus ingest --max-quarantined` "
        "(docs/operations.md, A day is held)."
    ),
    "torus_assets.warehouse.load.MissingDay": _permanent("Ingest the day, then load it: `torus ingest --from DAY --to DAY`."),
    "torus_assets.warehouse.load.LoadError": _transient(_AGAIN + "look for another writer to raw_events. Loading again is safe."),
    "torus_assets.warehouse.schema.UnfitTable": _permanent("Mend the table as the message says, or choose another CLICKHOUSE_DATABASE."),
    "torus_assets.clients.clickhouse.WarehouseBusy": _transient(
        _AGAIN + "another load or a UI keeps the chDB folder open: end it, or set CLICKHOUSE_HOST to a server."
    ),
    "clickhouse_connect.driver.exceptions.ClickHouseError": _transient(_HOUSE),
    # data sets
    "torus_assets.datasets.request.RequestError": _permanent(
        "`torus dataset status JOB` lists the mistakes. Mend the named keys and submit the request again.", shows_message=False
    ),
    "torus_assets.datasets.export.UnknownSections": _permanent("Check the section's id in the request, and that its days are ingested."),
    "torus_assets.datasets.export.HeldDays": _permanent('Repair the held days (docs/operations.md), or ask with "include_held": true.'),
    "torus_assets.datasets.pseudonyms.KeyMissing": _permanent("Make a key once, as the message says, and keep it in your secret store."),
    "torus_assets.datasets.lookup.LookupInvalid": _permanent("Write the lookup again as in docs/lookup.md, then run the data set again."),
    "torus_assets.datasets.lookup_database.LookupDatabaseError": _transient(
        _AGAIN + "check TORUS_DATABASE_URL and the section ids, or lay the lookup beside the request (docs/lookup.md)."
    ),
    "torus_assets.datasets.release.PersonalData": _permanent("Nothing was published. Please report it: replacing such places is the export's task."),
    "torus_assets.datasets.assets.AnotherAsset": _permanent("Materialize the asset that the message names."),
    "torus_assets.datasets.catalog.NoSuchJob": _permanent("`torus dataset list` shows what was asked for."),
    "torus_assets.datasets.run_folder.NoSuchRun": _permanent("Name a job with a published run, JOB/RUN, or the URL of a folder with a receipt."),
    # forgetting
    "torus_assets.xapi.commit.LearnerForgotten": _transient("A learner was forgotten meanwhile. Running again plans the day anew."),
    "torus_assets.xapi.tombstones.OtherKey": _permanent("Set TORUS_TOMBSTONE_KEY as the message says. Until then nothing may be ingested."),
    "torus_assets.xapi.tombstones.DamagedTombstone": _permanent(
        "Restore the object from a backup, or remove it and forget that learner again (`torus forget`)."
    ),
    "torus_assets.warehouse.erase.EraseError": _transient(_AGAIN + "stop the other writer to raw_events, then run it again."),
    "torus_assets.forgetting.forget.StillThere": _transient(_AGAIN + "give every ingest the same TORUS_TOMBSTONE_KEY and release, then run it again."),
    "torus_assets.forgetting.learner.NoLearner": _permanent("Name the learner as the message says."),
    # settings
    "torus_assets.settings.SettingsError": _permanent("Set the variable as the message says (docs/settings.md), then start again."),
    "torus_assets.demo.NotTheDemosPlace": _permanent("Unset the variable, or set another TORUS_HOME."),
    # stores, network, disks
    "builtins.FileNotFoundError": _permanent("Look why the object is not there (deleted, never written, another URL set?), then run it again."),
    "builtins.PermissionError": _permanent(_RIGHTS),
    "builtins.OSError": _transient(_STORE),
    "obstore.exceptions.PermissionDeniedError": _permanent(_RIGHTS, shows_message=True),
    "obstore.exceptions.UnauthenticatedError": _permanent(_RIGHTS, shows_message=True),
    "obstore.exceptions.BaseError": _transient(_STORE, shows_message=True),
    "botocore.exceptions.NoCredentialsError": _permanent(_RIGHTS, shows_message=True),
    "botocore.exceptions.BotoCoreError": _transient(_STORE, shows_message=True),
    "botocore.exceptions.ClientError": _transient(_STORE, shows_message=True),
    "_internal.DeltaError": _transient(_DELTA),  # so the extension module of deltalake calls itself
    "builtins.MemoryError": _transient(_MEMORY),
    "_duckdb.OutOfMemoryException": _transient(_MEMORY),
    "_duckdb.IOException": _transient(_AGAIN + "look at the space below TORUS_HOME/spool (`torus lake maintain` clears it), then run it again."),
}  # fmt: skip

DISKS: Mapping[int, str] = {
    errno.ENOSPC: "The lake is as it was. Free space below TORUS_HOME/spool (`torus lake maintain` clears it), then run it again.",
    errno.EDQUOT: "The lake is as it was. Free space below TORUS_HOME (its quota is used up), then run it again.",
    errno.EROFS: "The disk is read-only. Make TORUS_HOME writable, then run it again.",
}


def known(error: BaseException) -> Known:
    """The entry of an error; `UNKNOWN`, which is transient, for one that nobody thought of."""
    found = next((KNOWN[name] for name in map(qualified, type(error).__mro__) if name in KNOWN), UNKNOWN)
    number = _system_number(error)
    return found._replace(what_to_do=DISKS[number]) if number is not None and number in DISKS else found


def _system_number(error: BaseException) -> int | None:
    """Number of a system's error, also of one that a decoding process reported as text."""
    if isinstance(error, OSError):
        return error.errno
    told = re.search(r"\[Errno (\d+)\]", str(error)) if is_ours(error) else None
    return int(told[1]) if told else None


def what_to_do(error: BaseException) -> str:
    """A sentence or two for the person who reads of the error."""
    return known(error).what_to_do


def is_ours(error: BaseException) -> bool:
    """Defined in this project, so that its message was written to be shown."""
    return qualified(type(error)).startswith(PACKAGES)


def qualified(kind: type) -> str:
    """Module and name of a class, as the table writes them."""
    return f"{kind.__module__}.{kind.__qualname__}"
