"""Whether both engines give the same rows: looked at on a day of the lake, in scratch lakes that are removed."""

from datetime import date
from typing import Any

import dagster as dg
from pydantic import Field

from resources.lake import LakeResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from resources.spark import SparkResource
from torus_assets import present, settings
from torus_assets.engine import parity, reports
from torus_assets.engine.parity import Compared, Sample
from torus_assets.partitions import EVERY_DAY
from torus_assets.settings import Settings
from torus_assets.steps import RETRIES, step
from torus_assets.xapi import day as days
from torus_assets.xapi.checks import LEDGER_KEY
from torus_assets.xapi.ingest import IngestOptions
from torus_assets.xapi.lake import Lake
from torus_assets.xapi.tombstones import tombstone_secret

PARITY = dg.AssetKey(["engine", "parity"])
AGREE = "engines_agree"
SAMPLE_BYTES = 64 << 20


COLUMNS = dg.TableSchema(
    [
        dg.TableColumn("kind", "text", description="Kind of line: of an event, `quarantined`, `duplicate`, or `bundle` for the ledger."),
        dg.TableColumn("local", "integer", description="Rows of the local engine."),
        dg.TableColumn("spark", "integer", description="Rows of Spark."),
        dg.TableColumn("only local", "integer", description="Rows that Spark does not have, or not as often."),
        dg.TableColumn("only spark", "integer", description="Rows that the local engine does not have, or not as often."),
    ]
)  # of the table that a run shows


class ParityConfig(dg.Config):
    """What is compared."""

    day: str = Field(default="", description="Upload day, YYYY-MM-DD; empty: a day of the lake at random, by the run's id.")
    max_bytes: int = Field(
        default=SAMPLE_BYTES, ge=1, description="Bytes of bundles that each engine reads at most, taken at random from the day."
    )


@dg.asset(
    key=PARITY,
    group_name="engine",
    kinds={"spark", "duckdb"},
    owners=["team:data-platform"],
    tags={"pii": "none"},
    description="Bundles of one day, decoded and settled by both engines into scratch lakes and compared row for row: events, refusals, "
    "duplicates and ledger. Holds counts only; the scratch lakes are removed.",
    metadata={"dagster/column_schema": COLUMNS},
    deps=[dg.AssetDep(LEDGER_KEY, partition_mapping=EVERY_DAY)],
    check_specs=[
        dg.AssetCheckSpec(
            AGREE, asset=PARITY, description="Every row of either engine is a row of the other, as often, in every column of every kind."
        )
    ],
    retry_policy=RETRIES,
)  # fmt: skip
def engine_parity(
    context: dg.AssetExecutionContext,
    config: ParityConfig,
    bundles: ObjectStoreResource,
    lake: LakeResource,
    spark: SparkResource,
    progress: ProgressResource,
) -> dg.MaterializeResult:
    """Takes a sample, has both engines ingest it, compares."""
    chosen, run = settings.from_environment(), context.run.run_id
    with step(context):
        opened = lake.open()
        found = parity.sample(opened, _day(config.day), run, config.max_bytes)
        context.log.info("%s: %d of %d bundles, %d bytes", found.day, len(found.bundles), found.of_bundles, found.bytes)
        with parity.scratch_root(_shared(spark.place, chosen), chosen.spool, found.day, run) as root:
            lakes = [parity.lay_out(opened, found, f"{root}/{engine}") for engine in ("local", "spark")]
            seconds = _by_local(lakes[0], bundles, found, chosen, progress)
            work = reports.ingest_work(lakes[1].root, bundles.url, [found.day], _options(chosen))
            reported = spark.run(context, reports.INGEST, work, progress.say)
            compared = parity.compare(found, lakes[0], lakes[1], chosen.spool)
    return dg.MaterializeResult(
        metadata=_shown(found, compared) | {"local_seconds": seconds} | reported.metadata, check_results=[_agree(found, compared)]
    )


def _by_local(lake: Lake, bundles: ObjectStoreResource, found: Sample, chosen: Settings, progress: ProgressResource) -> float:
    result = days.ingest(
        lake, bundles.open(), found.day, chosen.spool, _options(chosen), tombstone_key=tombstone_secret(chosen), progress=progress.say
    )
    return round(result.seconds, 3)


def _options(chosen: Settings) -> IngestOptions:
    return IngestOptions(max_quarantined_share=chosen.max_quarantined_share, max_line_bytes=chosen.max_line_bytes, workers=chosen.workers)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise dg.Failure(f"day: expected YYYY-MM-DD, got {text!r}", allow_retries=False) from None


def _shared(place: str, chosen: Settings) -> str | None:
    """Where executors of other machines find the scratch lake; both places are private."""
    return (chosen.scratch_url or f"{chosen.lake_url}/scratch") if place == "emr" else None


def _shown(found: Sample, compared: list[Compared]) -> dict[str, Any]:
    return {
        "day": found.day.isoformat(),
        **present.counts(
            {
                "bundles": len(found.bundles),
                "bundles_of_the_day": found.of_bundles,
                "bytes": found.bytes,
                "rows_compared": sum(one.local for one in compared),
                "rows_that_differ": sum(one.only_local + one.only_spark for one in compared),
            }
        ),
        "by_kind": _table(compared),
    }


def _agree(found: Sample, compared: list[Compared]) -> dg.AssetCheckResult:
    differ = [one for one in compared if not one.agrees]
    return dg.AssetCheckResult(
        check_name=AGREE,
        passed=not differ,
        metadata={
            "day": found.day.isoformat(),
            "kinds_that_differ": dg.MetadataValue.json([one.kind for one in differ]),
            "by_kind": _table(compared),
            "columns": dg.MetadataValue.json({one.kind: one.columns for one in differ if one.columns}),
            "what_to_do": f"Report it with the day. Until it is mended, set TORUS_ENGINE=local and ingest with `--rebuild` what Spark did since "
            f"the last release ({found.day} was compared)." if differ else "nothing",
        },
    )  # fmt: skip


def _table(compared: list[Compared]) -> dg.MetadataValue:
    return present.markdown([column.name for column in COLUMNS.columns], [one[:5] for one in compared])
