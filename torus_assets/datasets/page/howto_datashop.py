"""How to load a DataShop data set: its table, DataShop itself, and learning curves of the student-step rollup."""

from __future__ import annotations

from torus_assets.datasets.page.model import STUDENT_STEP, TAB, XML, File, Page
from torus_assets.datasets.page.snippets import Way, python_files, r_files, range_of


def ways(page: Page) -> list[Way]:
    """All that apply to the files there are."""
    found: list[Way] = []
    if page.chunks(TAB):
        found += [_tab_pandas(page), _tab_r(page)]
    if page.chunks(TAB) or page.chunks(XML):
        found.append(_datashop(page))
    step = next((file for file in page.files if file.what == STUDENT_STEP), None)
    if step:
        found += [_steps_pandas(step), _steps_r(step)]
    return found


def _tab_pandas(page: Page) -> Way:
    lines = [
        "import csv",
        "",
        "import pandas as pd",
        "",
        f"files = {python_files(page.chunks(TAB))}",
        'read = dict(sep="\\t", dtype="string", quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=[""])',
        "data = pd.concat((pd.read_csv(file, **read) for file in files), ignore_index=True)",
        'data = data.replace(r"\\\\\\\\", r"\\\\", regex=True)  # a backslash is written twice',
        'data["Time"] = pd.to_datetime(data["Time"], utc=True)',
    ]
    return Way("pandas", "Of columns with the same heading, the second and later ones get .1, .2 … behind it.", "\n".join(lines), "Python")


def _tab_r(page: Page) -> Way:
    lines = [
        "library(readr)",
        "",
        f"files <- {r_files(page.chunks(TAB))}",
        'data <- read_tsv(files, quote = "", na = "", col_types = cols(.default = "c"), name_repair = "unique")',
        'data[] <- lapply(data, function(cell) gsub("\\\\\\\\", "\\\\", cell, fixed = TRUE))  # a backslash is written twice',
        'data$Time <- as.POSIXct(data$Time, tz = "UTC", format = "%Y-%m-%d %H:%M:%OS")',
    ]
    return Way("R", "With readr.", "\n".join(lines), "R")


def _datashop(page: Page) -> Way:
    tab, xml = page.chunks(TAB), page.chunks(XML)
    parts: list[str] = []
    if tab:
        several = (
            f" Put the {len(tab)} files into one zip archive: they have the same headings and make one upload." if len(tab) > 1 else ""
        )
        parts.append(
            f"Sign in to DataShop, choose “Upload a dataset”, and give it the tab-delimited {'files' if len(tab) > 1 else 'file'} ({range_of(tab)}).{several}"
        )
    if xml:
        besides = " The XML holds the same transactions; do not send both." if tab else ""
        parts.append(f"XML ({range_of(xml)}) is loaded by DataShop's staff: write to them, and send all files together.{besides}")
    if page.anonymize:
        parts.append("Where it asks about student ids, say that the data is already de-identified: they are pseudonyms.")
    else:
        parts.append("This data set names people: DataShop takes de-identified data only. Ask for one with pseudonyms instead.")
    parts.append("Loading the same data twice gives every transaction twice.")
    return Way("DataShop", " ".join(parts))


def _steps_pandas(file: File) -> Way:
    name, parquet = file.name, file.name.endswith(".parquet")
    lines = [
        "import pandas as pd",
        "",
        f'steps = pd.read_{"parquet" if parquet else "csv"}("{name}")',
        'steps = steps.dropna(subset=["First Attempt", "KC (Default)"])',
        'skills = ["KC (Default)", "Opportunity (Default)"]',
        'steps[skills] = steps[skills].astype(str).apply(lambda cell: cell.str.split("~~"))',
        'steps = steps.explode(skills).astype({"Opportunity (Default)": int})',
        'steps["Error"] = steps["First Attempt"] != "correct"',
        'curve = steps.groupby(skills)["Error"].agg(["mean", "count"])',
    ]
    return Way("Learning curves in pandas", "Error rate and number of students for each skill and opportunity.", "\n".join(lines), "Python")


def _steps_r(file: File) -> Way:
    read = (
        f'arrow::read_parquet("{file.name}")'
        if file.name.endswith(".parquet")
        else f'readr::read_csv("{file.name}", na = "", guess_max = Inf)'
    )
    lines = [
        "library(dplyr)",
        "library(tidyr)",
        "library(lme4)",
        "",
        f"steps <- {read} |>",
        "  filter(!is.na(`First Attempt`), !is.na(`KC (Default)`)) |>",
        "  select(student = `Anon Student Id`, first = `First Attempt`, kc = `KC (Default)`, opportunity = `Opportunity (Default)`) |>",
        "  mutate(opportunity = as.character(opportunity)) |>",
        '  separate_rows(kc, opportunity, sep = "~~") |>',
        '  mutate(opportunity = as.integer(opportunity), correct = first == "correct")',
        "",
        "model <- glmer(correct ~ opportunity + (1 | student) + (1 + opportunity | kc), data = steps, family = binomial)",
        "summary(model)",
    ]
    says = "An additive factors model: students differ in what they know, skills in how hard they are and how fast they are learnt."
    return Way("Learning curves in R", says, "\n".join(lines), "R")
