"""The data set part of the graph: what a researcher asked for, as files with a receipt."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from dagster_duckdb import DuckDBResource
from pydantic import Field

from resources.lake import LakeResource
from resources.postgres import PostgresResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from resources.spark import SparkResource
from torus_assets import present, settings
from torus_assets.clients.object_store import ObjectStore
from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.catalog import request_key
from torus_assets.datasets.checks import CHECKS, results
from torus_assets.datasets.datashop.out import Engine
from torus_assets.datasets.export import ExportResult, export, lookup_key, result_of
from torus_assets.datasets.lookup import parse_lookup
from torus_assets.datasets.pseudonyms import pseudonym_key
from torus_assets.datasets.request import Request, parse_request
from torus_assets.engine import reports
from torus_assets.engine.choice import choose
from torus_assets.partitions import DATASET_JOBS, EVERY_DAY, SAME_JOB
from torus_assets.presenting import columns, lineage
from torus_assets.steps import RETRIES, step
from torus_assets.xapi import tables

LOOKUP, CSV, DATASHOP = (dg.AssetKey(["datasets", name]) for name in ("lookup", "csv", "datashop"))
CSV_READS = ("part_attempts", "activity_attempts", "page_attempts", "page_views", "video_events")
DATASHOP_READS = ("part_attempts", "tutor_messages", "page_views")


class DatasetConfig(dg.Config):
    """Run-time knobs of a data set. What it holds is said by its request alone."""

    engine: Literal["auto", "local", "spark"] = Field(
        default_factory=lambda: settings.from_environment().spark.engine,
        description="Who makes it: processes of this machine, Spark (docs/spark.md), or, with `auto`, the one that fits the bytes of the lake to be read. The bytes made are the same.",
    )


class AnotherAsset(ValueError):
    """The request is for the other asset."""


def _spec(key: dg.AssetKey, description: str, kinds: set[str], reads: tuple[str, ...], shown: dict[str, Any]) -> dg.AssetSpec:
    days = [dg.AssetDep(["xapi", name], partition_mapping=EVERY_DAY) for name in reads]
    return dg.AssetSpec(
        key=key,
        description=description,
        group_name="datasets",
        kinds=kinds,
        owners=["team:data-platform"],
        tags={"pii": "pseudonymous"},
        deps=[*days, dg.AssetDep(LOOKUP, partition_mapping=SAME_JOB)],
        metadata=shown,
        partitions_def=DATASET_JOBS,
    )


@dg.asset(
    key=LOOKUP,
    description="Titles, hierarchy, choices and hints of a request's content: as Torus laid them beside the request, else asked from Torus' database.",
    group_name="datasets",
    kinds={"json", "postgres"},
    owners=["team:data-platform"],
    tags={"pii": "identified"},  # may hold e-mail addresses; data sets keep a copy without
    metadata={"dagster/column_schema": columns.lookup_schema()},
    partitions_def=DATASET_JOBS,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    retry_policy=RETRIES,
)
def dataset_lookup(context: dg.AssetExecutionContext, datasets: ObjectStoreResource, postgres: PostgresResource) -> dg.MaterializeResult:
    """Keeps `contexts/{job_id}.json`; a document that is there already stays, so that the data set can be made again."""
    store, key = datasets.open(), lookup_key(context.partition_key)
    with step(context):
        request = parse_request(store.get(request_key(context.partition_key)).body)
        source = "beside the request"
        if store.head(key) is None:
            document = postgres.lookup(request.section_ids)
            source = "none: content appears under its ids" if document is None else "Torus' database"
            if document is not None:
                store.put(key, receipts.encoded(document))
        found = parse_lookup(store.get(key).body) if store.head(key) is not None else None
    counts = {name: len(getattr(found, name)) for name in ("skills", "nodes", "activities", "users")} if found is not None else {}
    problems = list(found.problems) if found is not None else []
    context.log.info("lookup: %s; %d oddities", source, len(problems))
    return dg.MaterializeResult(
        metadata={
            "source": source,
            **present.counts(counts),
            "oddities": len(problems),
            "what_is_odd": dg.MetadataValue.json(problems[:50]),
        }
    )


@dg.multi_asset(
    name="dataset_csv",
    specs=[
        _spec(
            CSV,
            "CSV (or Parquet) of the events of a request's sections, learners and attempts under keyed pseudonyms, in chunks of rows, with page, manifest and receipt.",
            {"csv", "polars"},
            CSV_READS,
            {"dagster/column_schema": columns.csv_schema(), "dagster/column_lineage": lineage.csv_lineage()},
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(name, asset=CSV, blocking=True, description=CHECKS[name]) for name in ("receipt_is_true", "nobody_is_named")
    ],
    partitions_def=DATASET_JOBS,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    retry_policy=RETRIES,
    pool="datasets",
)
def dataset_csv(
    context: dg.AssetExecutionContext,
    config: DatasetConfig,
    lake: LakeResource,
    datasets: ObjectStoreResource,
    progress: ProgressResource,
    duckdb: DuckDBResource,
    spark: SparkResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Writes `{job_id}/runs/{run}/`, the receipt last, then `{job_id}/manifest.json`. The same request over the same data is only verified."""
    yield from _made(context, CSV, config, lake, datasets, progress, duckdb, spark)


@dg.multi_asset(
    name="dataset_datashop",
    specs=[
        _spec(
            DATASHOP,
            "Transactions for DataShop of a request's sections, as tutor-message XML and tab-delimited table, with student steps, learning curves, page and receipt.",
            {"xml", "duckdb"},
            DATASHOP_READS,
            {"dagster/column_schema": columns.datashop_schema(), "dagster/column_lineage": lineage.datashop_lineage()},
        )
    ],
    check_specs=[dg.AssetCheckSpec(name, asset=DATASHOP, blocking=True, description=CHECKS[name]) for name in CHECKS],
    partitions_def=DATASET_JOBS,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
    retry_policy=RETRIES,
    pool="datasets",
)
def dataset_datashop(
    context: dg.AssetExecutionContext,
    config: DatasetConfig,
    lake: LakeResource,
    datasets: ObjectStoreResource,
    progress: ProgressResource,
    duckdb: DuckDBResource,
    spark: SparkResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Writes the run's folder, reads the files back, and publishes them if they are what DataShop takes and the lake has."""
    yield from _made(context, DATASHOP, config, lake, datasets, progress, duckdb, spark)


def _made(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    config: DatasetConfig,
    lake: LakeResource,
    datasets: ObjectStoreResource,
    progress: ProgressResource,
    duckdb: DuckDBResource,
    spark: SparkResource,
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    store, about = datasets.open(), dict[str, Any]()
    with step(context):
        request = parse_request(store.get(request_key(context.partition_key)).body)
        if (request.action == "datashop") != (key == DATASHOP):
            raise AnotherAsset(
                f"this request is for datasets/{'datashop' if request.action == 'datashop' else 'csv'}: materialize that asset"
            )
        snapshot, above = lake.open().snapshot(), settings.from_environment().spark.above_bytes
        chosen = choose(config.engine, sum(file.bytes for file in snapshot.files(kinds=request.table.kinds)), above)
        context.log.info("engine: %s", chosen.reason)
        if chosen.engine == "spark":
            reported = spark.run(context, reports.DATASET, reports.dataset_work(lake.url, datasets.url, request.job_id), progress.say)
            made, about = reports.dataset_of(reported.messages), reported.metadata
            result = result_of(store, made["folder"], reused=made["reused"])
        else:
            result = _made_here(request, snapshot, store, progress, duckdb)
    for note in request.notes:
        context.log.info("request: %s", note)
    context.log.info("%d rows in %d files; %s", result.rows, len(result.chunks), "verified again" if result.reused else "written")
    yield dg.MaterializeResult(asset_key=key, metadata=_metadata(request, store, result) | about)
    for name, passed, evidence in results(store, result, datashop=key == DATASHOP):
        yield dg.AssetCheckResult(check_name=name, asset_key=key, passed=passed, metadata=evidence)


def _made_here(request: Request, snapshot: Any, store: ObjectStore, progress: ProgressResource, duckdb: DuckDBResource) -> ExportResult:
    chosen = settings.from_environment()
    return export(
        request,
        snapshot,
        store,
        pseudonyms=pseudonym_key(chosen.pseudonym_key, chosen.home, (chosen.xapi_url, chosen.lake_url, chosen.datasets_url)),
        scratch=chosen.spool,
        workers=chosen.workers,
        engine=_engine(duckdb),
        progress=lambda done, total: progress.say("export", done, total),
    )


def _engine(resource: DuckDBResource) -> Engine:
    """Opens the resource's engine, spilling below the folder given."""

    @contextmanager
    def opened(folder: Path) -> Iterator[Any]:
        with resource.get_connection() as connection:
            connection.execute("SET temp_directory = $1", [str(folder / "duckdb")])
            yield connection

    return opened


def _metadata(request: Request, store: ObjectStore, result: ExportResult) -> dict[str, Any]:
    by_section = [[section, kind, count] for (section, kind), count in sorted(result.counts.items())]
    files = [[file["name"], file["what"], file["rows"], file["bytes"]] for file in result.receipt["files"]]
    shown = {
        **present.counts({"dagster/row_count": result.rows, "files": len(result.chunks), "excluded": sum(result.excluded.values())}),
        "excluded_by_reason": dg.MetadataValue.json(result.excluded),
        "rows_by_section_and_kind": present.markdown(["section", "kind", "rows"], by_section),
        "files_of_the_run": present.markdown(["file", "what it is", "rows", "bytes"], files),
        "notes": dg.MetadataValue.json(result.receipt["notes"]),
        "dagster/uri": dg.MetadataValue.text(store.uri(result.folder.rstrip("/"))),
        "page": dg.MetadataValue.url(store.uri(f"{result.folder}index.html")),
        "run": dg.MetadataValue.text(result.run),
        "reused": dg.MetadataValue.bool(result.reused),
        "parser_version": dg.MetadataValue.int(tables.PARSER_VERSION),
    }
    if request.action != "datashop":
        written = request.table.without(request.exclude_fields)
        shown["dagster/column_schema"] = dg.TableSchema(
            [dg.TableColumn(column.name, column.cell, description=column.doc) for column in written]
        )
        return shown
    sections = result.receipt["sections"]
    names = list(sections[0]) if sections else ["section_id"]
    totals = {name: sum(section[name] for section in sections) for name in ("transactions", "hints")}
    return shown | present.counts(totals) | {"by_section": present.markdown(names, [list(section.values()) for section in sections])}
