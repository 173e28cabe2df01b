"""What has to be true of a data set before anybody gets it."""

from collections.abc import Iterator
from typing import Any

from torus_assets.clients.object_store import ObjectStore
from torus_assets.datasets import receipt as receipts
from torus_assets.datasets.export import ExportResult

CHECKS = {
    "receipt_is_true": "Every file of the run folder has the size and SHA-256 that the receipt says, and every row read is exported, or left out by a reason.",
    "nobody_is_named": "No finished file held an id or e-mail address of the data set's own users, as a whole token; else nothing is written.",
    "datashop_takes_it": "Every file keeps all rules of the format: structure, joins, lengths, characters, times. Read back from the store.",
    "files_equal_lake": "Transactions, hints, students, problems and KCs of each section, counted from the parsed files, equal those counted from the lake.",
}
FORMS = {"xml": "XML", "txt": "tab-delimited"}


def results(store: ObjectStore, result: ExportResult, *, datashop: bool) -> Iterator[tuple[str, bool, dict[str, Any]]]:
    """Name, whether it passed, and the evidence of each check."""
    whole = receipts.complete(store, result.folder)
    yield "receipt_is_true", whole is not None, {"files": len(result.receipt["files"]), "rows": result.rows}
    yield "nobody_is_named", True, {"files": len(result.receipt["files"]), "anonymous": result.receipt["request"]["anonymize"]}
    if datashop:
        valid = {form: result.checks[name] for form in FORMS if (name := f"datashop_{form}_is_valid") in result.checks}
        equal = {form: result.checks[name] for form in FORMS if (name := f"datashop_{form}_equals_lake") in result.checks}
        yield "datashop_takes_it", all(one["passed"] for one in valid.values()), _counted(valid, ("errors", "warnings"))
        differences = [f"{FORMS[form]}: {line}" for form, one in equal.items() for line in one["differences"]]
        yield "files_equal_lake", all(one["passed"] for one in equal.values()), {"forms": len(equal), "differences": differences[:20]}


def _counted(found: dict[str, dict[str, Any]], names: tuple[str, ...]) -> dict[str, Any]:
    return {f"{FORMS[form]} {name}": one[name] for form, one in found.items() for name in names}
