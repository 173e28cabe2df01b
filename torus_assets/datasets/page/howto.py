"""How to load a data set: snippets with the names and types of its own files, to be copied as they stand."""

from __future__ import annotations

from torus_assets.datasets.page import howto_datashop
from torus_assets.datasets.page.model import CSV, PARQUET, Page
from torus_assets.datasets.page.snippets import Way, python_files, python_list, r_files, sql_files, wrapped

PANDAS = {"text": "string", "integer": "Int64", "number": "Float64"}
DUCKDB = {"integer": "BIGINT", "number": "DOUBLE", "ISO 8601 time": "TIMESTAMPTZ"}  # else VARCHAR
R = {"integer": "d", "number": "d"}  # else c; ids may be larger than R's integers


def ways(page: Page) -> list[Way]:
    """All that apply to the files there are."""
    found: list[Way] = []
    if page.chunks(CSV) and page.described(CSV):
        found += [_pandas(page), _duckdb(page), _r(page)]
    if page.chunks(PARQUET):
        found.append(_parquet(page))
    return found + howto_datashop.ways(page)


def _pandas(page: Page) -> Way:
    types = _types(page)
    shown = {name: PANDAS.get(type_, "string") for name, type_ in types.items()}
    lines = [
        *(["import json", ""] if _json(types, "JSON") else []),
        "import pandas as pd",
        "",
        f"files = {python_files(page.chunks(CSV))}",
        *wrapped("types = {", [f'"{name}": "{type_}"' for name, type_ in shown.items()], "}"),
        'read = dict(dtype=types, keep_default_na=False, na_values=[""])',
        "data = pd.concat((pd.read_csv(file, **read) for file in files), ignore_index=True)",
    ]
    if "timestamp" in types:
        lines.append('data["timestamp"] = pd.to_datetime(data["timestamp"], format="ISO8601", utc=True)')
    lines += _python_json(types, page.dialect)
    says = "Only an empty field is missing: an answer such as “NA” or “null” stays the text it is. Whole numbers stay whole where some are missing."
    return Way("pandas", says, "\n".join(lines), "Python")


def _python_json(types: dict[str, str], dialect: str) -> list[str]:
    """Lines that make values of JSON and lists. The former exports' cells have quotes around them, and lists no brackets."""
    lines: list[str] = []
    old = dialect == "compat"
    if old and (lists := _json(types, "list")):
        split = 'cell[1:-1].split(",") if len(cell) > 2 else []'
        lines += [f"for name in {python_list(lists)}:", f"    data[name] = [cell if pd.isna(cell) else {split} for cell in data[name]]"]
    if values := _json(types, "JSON"):
        text = "cell[1:-1]" if old else "cell"
        lines += [
            f"for name in {python_list(values)}:",
            f"    data[name] = [cell if pd.isna(cell) else json.loads({text}) for cell in data[name]]",
        ]
    return lines


def _duckdb(page: Page) -> Way:
    types = _types(page)
    shown = [f"{name}: '{DUCKDB.get(type_, 'VARCHAR')}'" for name, type_ in types.items()]
    lines = [
        f"SELECT {'section_id, ' if 'section_id' in types else ''}count(*) AS events",
        f"FROM read_csv({sql_files(page.chunks(CSV))}, header = true, allow_quoted_nulls = false,",
        *wrapped("    columns = {", shown, "})" if "section_id" in types else "});"),
    ]
    if "section_id" in types:
        lines.append("GROUP BY section_id ORDER BY section_id;")
    says = "Reads all files as one table, from Python, R or the command line, without loading them first. Lists and JSON stay text."
    return Way("DuckDB", says, "\n".join(lines), "SQL")


def _r(page: Page) -> Way:
    types = _types(page)
    shown = "".join(R.get(type_, "c") for type_ in types.values())
    lines = ["library(readr)", "", f"files <- {r_files(page.chunks(CSV))}", f'data <- read_csv(files, col_types = "{shown}", na = "")']
    if "timestamp" in types:
        lines.append("data$timestamp <- lubridate::ymd_hms(data$timestamp)  # UTC")
    if values := _json(types, "JSON"):
        cell = f"data${values[0]}"
        if page.dialect == "compat":
            cell = f"substr({cell}, 2, nchar({cell}) - 1)"
        lines += ["parsed <- function(cell) if (is.na(cell)) NULL else jsonlite::fromJSON(cell)", f"{values[0]} <- lapply({cell}, parsed)"]
    return Way("R", "With readr; ids are read as numbers, as they may be larger than R's integers.", "\n".join(lines), "R")


def _parquet(page: Page) -> Way:
    files = page.chunks(PARQUET)
    lines = [
        "# Python",
        "import pandas as pd",
        f"data = pd.concat(map(pd.read_parquet, {python_files(files)}), ignore_index=True)",
        "",
        "# R",
        f"data <- dplyr::collect(arrow::open_dataset({r_files(files)}))",
        "",
        "# DuckDB",
        f"SELECT count(*) FROM read_parquet({sql_files(files)});",
    ]
    return Way("Parquet", "Types come with the files; lists and JSON are text.", "\n".join(lines), "Python, R, SQL")


def _types(page: Page) -> dict[str, str]:
    """Columns of the CSV files, in order."""
    described = page.described(CSV)
    return {entry.name: entry.type for entry in described.entries} if described else {}


def _json(types: dict[str, str], word: str) -> list[str]:
    """Columns whose type has the word in it."""
    return [name for name, type_ in types.items() if word in type_]
