"""Pages as real as can be made without a lake: what `test_page.py`, the browser and the pictures of the README look at."""

from __future__ import annotations

import hashlib
import math
import random
from dataclasses import replace
from datetime import date, timedelta

from torus_assets.datasets.datashop.tab_form import Shape, headings
from torus_assets.datasets.page.dictionary import dictionary
from torus_assets.datasets.page.model import Curve, File, Page, Plots, Point, Preview, Scores, SectionCount, SectionNumbers

HEADINGS = headings(Shape(("Course", "Unit", "Module", "Page"), (("Default", 2, False),)))
SKILLS = (
    "Compare osmosis and diffusion across a membrane",
    "Predict the direction of water movement",
    "Name the phases of mitosis",
    "Read a pedigree of an autosomal recessive trait",
    "Relate enzyme shape to the rate of a reaction",
    "Tell independent from dependent variables",
)


def datashop_page() -> Page:
    """A term of two sections for DataShop, in both forms and with rollups."""
    files = (
        *(_file(f"chunk_{n}.txt", 48_450 - 1_800 * n, 31_400_112 - 655_000 * n) for n in range(2)),
        *(_file(f"chunk_{n}.xml", 19_442 - 211 * n, 33_554_998 - 8_000 * n) for n in range(5)),
        _file("learning_curve.csv", 412, 24_118, "learning_curve"),
        _file("lookup.json", None, 1_204_882, "lookup"),
        _file("student_step.csv", 61_204, 12_882_004, "student_step"),
    )
    return Page(
        title="Introductory Biology, Spring 2026",
        job_id="biology-spring-2026",
        run="5f0c1e8e3f6b4c0b9d3a7be1c2d4f680",
        action="datashop",
        formats=("datashop-xml", "datashop-tab"),
        request=(
            ("Sections", "3021, 3034"),
            ("Event days", "2026-01-12 to 2026-05-08"),
            ("Pages", "all"),
            ("Ignored students", "3"),
            ("Learners", "under pseudonyms"),
            ("Rollup", "CSV"),
        ),
        code_version="torus-assets 0.1.0, csv 2, datashop 1, parser 5",
        key_fingerprint="9b1f04c2",
        lake_version=214,
        cut_off=date(2026, 5, 10),
        first_event="2026-01-12 14:02:11",
        last_event="2026-05-08 21:40:57",
        rows_read=88_112,
        rows_exported=86_954,
        counts=(
            SectionCount(3021, "part_attempt", 47_310),
            SectionCount(3021, "tutor_message", 1_902),
            SectionCount(3034, "part_attempt", 36_240),
            SectionCount(3034, "tutor_message", 1_502),
        ),
        excluded=(("ignored_student", 871), ("date", 12)),
        superseded=(("duplicates_across_days", 201), ("superseded_evaluation", 74)),
        files=files,
        dictionary=dictionary("datashop", ("datashop-xml", "datashop-tab"), headings=HEADINGS, rollup=True),
        sections=(SectionNumbers(3021, 53_877, 4_611, 142, 388, 61), SectionNumbers(3034, 41_223, 3_120, 118, 371, 58)),
        learners=260,
        plots=Plots(_term(), _scores(), _curves()),
        preview=_preview(),
        notes={"unscored_attempts": 1_733, "astral_characters_replaced": 38, "hints_not_in_lookup": 12, "tutor_xml_unreadable": 3},
        lookup_problems=("1 container child that is not in the map: 5012",),
    )


def csv_page(**changes: object) -> Page:
    """The same term as CSV and Parquet."""
    page = datashop_page()
    files = tuple(_file(f"chunk_{n}{suffix}", 50_000 - 8_000 * n, 21_000_000) for suffix in (".csv", ".parquet") for n in range(2))
    made = replace(
        page, title="biology-attempts", job_id="biology-attempts", action="attempt_evaluated", formats=("csv", "parquet"), files=files, sections=(), notes={},
        dictionary=dictionary("attempt_evaluated", ("csv", "parquet")),
        preview=Preview(
            "chunk_0.csv",
            ("event_type", "timestamp", "user_id", "section_id", "score", "out_of", "response"),
            (("Part Attempt", "2026-01-12T14:02:11Z", "s4jq2vkx7d", "3021", "1.0", "1.0", '{"input":"water moves towards the salt"}'),) * 8,
        ),
    )  # fmt: skip
    return replace(made, **changes)


def _file(name: str, rows: int | None, size: int, what: str = "chunk") -> File:
    return File(name, rows, size, hashlib.sha256(name.encode()).hexdigest(), what)


def _term() -> tuple[tuple[date, int], ...]:
    """Busy before each Monday's deadline, a break in March, two exams."""
    chance = random.Random(7)
    found: list[tuple[date, int]] = []
    for number in range(117):
        day = date(2026, 1, 12) + timedelta(number)
        if 54 <= number < 63:
            continue
        base = (540, 430, 520, 610, 420, 760, 1_490)[day.weekday()] * (1.9 if number in (48, 49, 104, 105, 111) else 1)
        found.append((day, round(base * chance.uniform(0.75, 1.2))))
    return tuple(found)


def _scores() -> Scores:
    counts = (15_204, 310, 822, 1_940, 655, 4_021, 1_377, 2_850, 1_961, 52_677)
    return Scores(tuple((f"{n / 10:.1f}–{(n + 1) / 10:.1f}", count) for n, count in enumerate(counts)), 1_733)


def _curves() -> tuple[Curve, ...]:
    chance = random.Random(3)
    found: list[Curve] = []
    for place, skill in enumerate(SKILLS):
        start, fall, students = 0.68 - 0.07 * place, 0.1 + 0.06 * place, 240 - 20 * place
        points = tuple(
            Point(
                n,
                min(1.0, max(0.02, start * math.exp(-fall * (n - 1)) + chance.uniform(-0.04, 0.04))),
                max(2, round(students * math.exp(-0.36 * (n - 1)))),
            )
            for n in range(1, 13 - place % 3)
        )
        found.append(Curve(skill, points))
    return tuple(found)


def _preview() -> Preview:
    columns = (
        "Anon Student Id",
        "Session Id",
        "Time",
        "Student Response Type",
        "Problem Name",
        "Step Name",
        "Outcome",
        "Input",
        "Feedback Text",
        "KC (Default)",
    )
    rows = []
    for n in range(8):
        hint = n in (2, 5)
        rows.append((
            "s4jq2vkx7d0w5m9rct1ybz8nfh6glpea3", "v8kd31c9", f"2026-01-12 14:{2 + n:02}:1{n}.000", "HINT_REQUEST" if hint else "ATTEMPT",
            f"Activity 60{480 + n // 3}, Part 1", f"Activity 60{480 + n // 3}, Part 1 Multiple choice submission",
            "HINT" if hint else "CORRECT" if n % 3 else "INCORRECT", "" if hint else "Water moves towards the side with more solute",
            "Think about which side has more water molecules for the space there is, and what a membrane lets through." if hint else "Well seen.",
            SKILLS[n // 3],
        ))  # fmt: skip
    return Preview("chunk_0.txt", columns, tuple(rows))
