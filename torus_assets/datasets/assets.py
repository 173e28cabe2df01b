"""The data set part of the graph: what a researcher asked for, as files with a receipt."""

import csv
import io
from collections.abc import Iterator

import dagster as dg

from resources.lake import LakeResource
from resources.progress import ProgressResource
from resources.s3 import ObjectStoreResource
from torus_assets import present, settings
from torus_assets.clients.object_store import ObjectStore
from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.export import ExportResult, HeldDays, UnknownSections, export
from torus_assets.datasets.pseudonyms import KeyMissing, pseudonym_key
from torus_assets.datasets.request import Request, RequestError, parse_request
from torus_assets.partitions import DATASET_JOBS, EVERY_DAY
from torus_assets.xapi import tables
from torus_assets.xapi.checks import without_retry
from torus_assets.xapi.lake import LakeMissing

CSV = dg.AssetKey(["datasets", "csv"])
READ = ("part_attempts", "activity_attempts", "page_attempts", "page_views", "video_events")

PREVIEWED = (
    "event_type",
    "timestamp",
    "section_id",
    "project_id",
    "page_id",
    "activity_id",
    "score",
    "out_of",
    "video_length",
    "video_progress",
)
PREVIEW_BYTES = 64 << 10


def request_key(job_id: str) -> str:
    """Where a request stands in the data set store."""
    return f"requests/{job_id}.json"


@dg.multi_asset(
    name="dataset_csv",
    specs=[
        dg.AssetSpec(
            key=CSV,
            description="CSV (or Parquet) of the events of a request's sections, learners under keyed pseudonyms, in chunks of rows, with manifest and receipt.",
            group_name="datasets",
            kinds={"csv", "polars"},
            owners=["team:data-platform"],
            tags={"pii": "pseudonymous"},
            deps=[dg.AssetDep(["xapi", name], partition_mapping=EVERY_DAY) for name in READ],
            partitions_def=DATASET_JOBS,
        )
    ],
    check_specs=[
        dg.AssetCheckSpec(
            "receipt_is_true",
            asset=CSV,
            blocking=True,
            description="Every file of the run folder has the size and SHA-256 that the receipt says, and every row read is exported, or excluded by a reason.",
        )
    ],
    partitions_def=DATASET_JOBS,
    backfill_policy=dg.BackfillPolicy.multi_run(1),
)
def dataset_csv(
    context: dg.AssetExecutionContext, lake: LakeResource, datasets: ObjectStoreResource, progress: ProgressResource
) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    """Writes `{job_id}/runs/{run}/`, the receipt last, then `{job_id}/manifest.json`. The same request over the same data is only verified."""
    store = datasets.open()
    chosen = settings.from_environment()
    with without_retry((RequestError, UnknownSections, HeldDays, KeyMissing, LakeMissing, FileNotFoundError)):
        request = parse_request(store.get(request_key(context.partition_key)).body)
        key = pseudonym_key(chosen.pseudonym_key, chosen.home, (chosen.xapi_url, chosen.lake_url, chosen.datasets_url))
        result = export(
            request,
            lake.open().snapshot(),
            store,
            pseudonyms=key,
            scratch=chosen.spool,
            progress=lambda done, total: progress.say("export", done, total),
        )
    context.log.info("%d rows in %d files; %s", result.rows, len(result.chunks), "verified again" if result.reused else "written")
    shown = {"dagster/column_schema": _schema(request), "preview": _preview(store, result)}
    yield dg.MaterializeResult(asset_key=CSV, metadata=_metadata(result, store.uri(result.folder.rstrip("/"))) | shown)
    whole = receipts.complete(store, result.folder)
    yield dg.AssetCheckResult(
        check_name="receipt_is_true",
        asset_key=CSV,
        passed=whole is not None,
        metadata={"files": len(result.chunks), "rows": result.rows},
    )


def _schema(request: Request) -> dg.TableSchema:
    columns = request.table.without(request.exclude_fields)
    return dg.TableSchema(columns=[dg.TableColumn(column.name, column.cell, description=column.doc) for column in columns])


def _preview(store: ObjectStore, result: ExportResult) -> dg.MetadataValue:
    """The first rows of the first file, without pseudonyms, attempts' ids and anything a learner wrote."""
    first = next((chunk for chunk in result.chunks if chunk.endswith(".csv")), None)
    if first is None:
        return dg.MetadataValue.md("no CSV file to show")
    head = next(iter(store.stream(f"{result.folder}{first.rsplit('/', 1)[-1]}", PREVIEW_BYTES).chunks), b"")[:PREVIEW_BYTES]
    rows = list(csv.DictReader(io.StringIO(head.decode(errors="ignore"), newline="")))[: present.PREVIEW_ROWS]
    columns = [name for name in PREVIEWED if rows and name in rows[0]]
    return present.markdown(columns, [[row[name] for name in columns] for row in rows])


def _metadata(result: ExportResult, place: str) -> dict[str, dg.MetadataValue]:
    by_section = [[section, kind, count] for (section, kind), count in sorted(result.counts.items())]
    return {
        **present.counts({"dagster/row_count": result.rows, "files": len(result.chunks), "excluded": sum(result.excluded.values())}),
        "excluded_by_reason": dg.MetadataValue.json(result.excluded),
        "rows_by_section_and_kind": present.markdown(["section", "kind", "rows"], by_section),
        "dagster/uri": dg.MetadataValue.text(place),
        "run": dg.MetadataValue.text(result.run),
        "reused": dg.MetadataValue.bool(result.reused),
        "parser_version": dg.MetadataValue.int(tables.PARSER_VERSION),
    }
