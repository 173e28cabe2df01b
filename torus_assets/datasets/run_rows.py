"""Reads the rows of a finished run back from its files, whatever their format: batches of text columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import pyarrow.parquet as pq

from torus_assets.datasets.datashop.parsed import ParsedTransaction
from torus_assets.datasets.request_reader import TABLES
from torus_assets.datasets.run_folder import Run

FORMS = {"csv": ".csv", "parquet": ".parquet", "datashop-xml": ".xml", "datashop-tab": ".txt"}  # best for a comparison first
BLOCK_BYTES = 64 << 20  # of CSV; a cell may hold what a line of 16 MB brought
BATCH_ROWS = 20_000


def columns_of(run: Run, form: str) -> list[str]:
    """The columns of a run's rows; a transaction's are those of `ParsedTransaction`."""
    request = run.receipt["request"]
    if form.startswith("datashop"):
        return list(ParsedTransaction._fields)
    return [column.name for column in TABLES[request["action"]].without(tuple(request["exclude_fields"]))]


def batches(run: Run, form: str, scratch: Path, *, as_numbers: bool = False) -> Iterator[pa.RecordBatch]:
    """All rows of a run in the order of its files. Null stays null; a transaction's lists are JSON.

    Args:
        scratch: room for one file of a store that is no folder.
        as_numbers: numbers are written one way, so that the cells of different formats can be compared.

    Raises:
        FileNotFoundError: a file that the receipt names is gone.
    """
    columns = columns_of(run, form)
    names = [file["name"] for file in run.files() if file["name"].endswith(FORMS[form])]
    if form.startswith("datashop"):
        yield from _transactions(run, names, scratch)
        return
    numbers = (
        {column.name for column in TABLES[run.receipt["request"]["action"]].columns if column.cell == "number"} if as_numbers else set()
    )
    for name in names:
        with _local(run, name, scratch) as path:
            for batch in _csv(path, columns) if form == "csv" else pq.ParquetFile(path).iter_batches(BATCH_ROWS, columns=columns):
                yield pa.record_batch([_text(batch.column(name), name in numbers) for name in columns], names=columns)


def _csv(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """An empty field is null, `""` is empty text (csv_tables.py)."""
    reading = pcsv.open_csv(
        path,
        pcsv.ReadOptions(block_size=min(BLOCK_BYTES, max(path.stat().st_size, 1) + 1), use_threads=False),
        pcsv.ParseOptions(newlines_in_values=True),
        pcsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), include_columns=columns, strings_can_be_null=True, quoted_strings_can_be_null=False,
            null_values=[""],
        ),
    )  # fmt: skip
    with reading:
        yield from reading


def _text(values: pa.Array, is_number: bool) -> pa.Array:
    if is_number:
        values = pc.cast(values, pa.float64())
    return values if pa.types.is_string(values.type) else pc.cast(values, pa.string())


def _transactions(run: Run, names: list[str], scratch: Path) -> Iterator[pa.RecordBatch]:
    from torus_assets.datasets.datashop.verify import iter_transactions

    schema = pa.schema([(name, pa.string()) for name in ParsedTransaction._fields])
    for name in names:
        with _local(run, name, scratch) as path:
            found = iter_transactions([(name, lambda path=path: path.open("rb"))])
            while rows := list(islice(found, BATCH_ROWS)):
                yield pa.record_batch([pa.array(map(_cell, cells), pa.string()) for cells in zip(*rows, strict=True)], schema=schema)


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


@contextmanager
def _local(run: Run, name: str, scratch: Path) -> Iterator[Path]:
    """The file on this machine; one that had to be fetched is gone afterwards."""
    key = run.folder + name
    if run.store.is_local:
        path = run.store.path(key)
        if not path.is_file():
            raise FileNotFoundError(f"{run.store.uri(key)}: named in the receipt, and gone")
        yield path
        return
    path = scratch / f"fetched{Path(name).suffix}"
    with path.open("wb") as file:
        for piece in run.store.stream(key).chunks:
            file.write(piece)
    yield path
    path.unlink()
