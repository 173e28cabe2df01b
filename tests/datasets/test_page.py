"""The page of a data set: right numbers, nothing that a value could break, nothing loaded, snippets that run."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from datetime import date, timedelta
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import duckdb
import lxml.html
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.browser.pages import HEADINGS, csv_page, datashop_page
from torus_assets.datasets.csv_tables import ACTIONS, POLARS, cells
from torus_assets.datasets.datashop import rules
from torus_assets.datasets.datashop.model import FACTS
from torus_assets.datasets.datashop.tab_form import FIELDS, cell
from torus_assets.datasets.page import figures, howto, howto_datashop
from torus_assets.datasets.page.days import bars
from torus_assets.datasets.page.dictionary import dictionary
from torus_assets.datasets.page.model import Curve, File, Plots, Point, Preview, Scores
from torus_assets.datasets.page.notices import NOTES, notices
from torus_assets.datasets.page.render import CONTENT_POLICY, render
from torus_assets.datasets.page.svg import tick_step
from torus_assets.datasets.rollup import rollup

HOSTILE = [
    "<script>alert(1)</script>",
    "</style><img src=x onerror=alert(1)>",
    '"\'><b onclick="alert(1)">& &amp; &#60;',
    "\u202eevil\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u2066",
    "x" * 3_000,
    "nul\x00 bell\x07 surrogate\ud800 sep\u2028",
    "</title></svg>]]>-->{{7*7}}",
    "javascript:alert(1)",
]
KEYS = {"action", "formats", "dialect", "kind", "what", "suffix"}  # words of ours, not values


class Strict(HTMLParser):
    """Every element is closed where it was opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.starts: list[tuple[str, dict[str, Any]]] = []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag}: an attribute twice"
        self.starts.append((tag, dict(attrs)))
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> of nothing"
        assert self.open.pop() == tag


def parsed(page) -> tuple[str, Strict]:
    html = render(page).decode()
    strict = Strict()
    strict.feed(html)
    strict.close()
    assert strict.open == []
    return html, strict


def tree(page):
    return lxml.html.fromstring(render(page))


def poisoned(value, text: str, key: str = ""):
    """The same shape with `text` wherever there was text."""
    if key in KEYS:
        return value
    if isinstance(value, str):
        return f"{text}{value[value.rindex('.') :]}" if key == "name" and "." in value else text
    if is_dataclass(value):
        return replace(value, **{field.name: poisoned(getattr(value, field.name), text, field.name) for field in fields(value)})
    if hasattr(value, "_fields"):
        return type(value)(*(poisoned(item, text, name) for name, item in zip(value._fields, value, strict=True)))
    if isinstance(value, tuple):
        return tuple(poisoned(item, text) for item in value)
    if isinstance(value, dict):
        return dict.fromkeys([text], 3)
    return value


# Form -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [datashop_page(), csv_page(), csv_page(dialect="compat", anonymize=False, held_days=("2026-02-03",))])
def test_a_page_is_whole_html_that_loads_nothing_and_runs_nothing(page):
    html, strict = parsed(page)
    assert html.startswith('<!doctype html>\n<html lang="en">')
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": CONTENT_POLICY}) in strict.starts
    names = {name for name, _ in strict.starts}
    assert not names & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "style2"}
    for name, attributes in strict.starts:
        assert not [one for one in attributes if one.startswith("on") or one in {"src", "srcset", "style", "action"}]
        if "href" in attributes:
            assert re.fullmatch(r"#[a-z]+|\./[\w.]+|receipt\.json|run\.json", attributes["href"]), (name, attributes["href"])
    assert "://" not in html.replace("http://www.w3.org", "")
    assert "url(" not in html
    assert "@import" not in html


def test_ids_are_unique_and_every_reference_has_its_target():
    _, strict = parsed(datashop_page())
    ids = [attributes["id"] for _, attributes in strict.starts if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = [attributes[name] for _, attributes in strict.starts for name in ("aria-labelledby", "aria-describedby") if name in attributes]
    wanted += [attributes["href"][1:] for _, attributes in strict.starts if attributes.get("href", "").startswith("#")]
    assert set(wanted) <= set(ids)


@pytest.mark.parametrize("page", [datashop_page(), csv_page(anonymize=False)])
def test_headings_skip_no_level_and_tables_and_plots_say_what_they_are(page):
    html = tree(page)
    levels = [int(heading.tag[1]) for heading in html.xpath("//h1|//h2|//h3|//h4")]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(len(table.xpath("./caption")) == 1 and table.xpath("./thead//th[@scope='col']") for table in html.xpath("//table"))
    assert all(svg.xpath("./title") and svg.xpath("./desc") and svg.xpath(".//text") for svg in html.xpath("//svg"))


def test_the_same_page_gives_the_same_bytes_and_no_clock_time():
    assert render(datashop_page()) == render(datashop_page())
    assert "run.json" in render(datashop_page()).decode()


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("page", [datashop_page(), csv_page(permitted_by="x", anonymize=False, held_days=("2026-02-03",))])
def test_no_value_becomes_markup(page, text):
    good, bad = parsed(page)[1], parsed(poisoned(page, text))[1]
    allowed = {name for name, _ in good.starts} | {"li", "ul"}
    assert {name for name, _ in bad.starts} <= allowed
    known = {name for _, attributes in good.starts for name in attributes}
    assert {name for _, attributes in bad.starts for name in attributes} <= known
    for _, attributes in bad.starts:
        if "href" in attributes:
            assert re.match(r"#|\./|receipt\.json$|run\.json$", attributes["href"])


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_title_is_shown_as_the_text_it_is(text):
    shown = tree(replace(datashop_page(), title=text)).xpath("string(//h1)")
    assert shown == re.sub("[\x00-\x1f\ud800-\udfff\u2028\u202a-\u202e\u2066-\u2069]", "\ufffd", text)


# Numbers --------------------------------------------------------------------------------------------------------------


def table_of(html, caption: str) -> list[list[str]]:
    [found] = [table for table in html.xpath("//table") if table.xpath("string(./caption)").startswith(caption)]
    return [[cell.text_content() for cell in row.xpath("./th|./td")] for row in found.xpath(".//tr")]


def test_counts_stand_by_section_and_kind_with_what_was_left_out_and_why():
    html = tree(datashop_page())
    assert table_of(html, "Rows of the lake") == [
        ["Section", "Part attempts", "Tutor messages"],
        ["3021", "47,310", "1,902"],
        ["3034", "36,240", "1,502"],
        ["All", "83,550", "3,404"],
    ]
    assert table_of(html, "Rows that are left out")[1:] == [
        ["a student to be ignored", "871"],
        ["outside the dates", "12"],
        ["the same event on another day", "201"],
        ["an earlier evaluation of the same attempt", "74"],
    ]
    assert table_of(html, "As DataShop counts them")[1] == ["3021", "53,877", "4,611", "142", "388", "61"]
    assert (
        "Of 88,112 rows of these sections in the lake, 86,954 are in this data set, 883 did not match the request, and 275"
        in html.text_content()
    )
    key = [[one.xpath("string(dd)"), one.xpath("string(dt)")] for one in html.xpath("//dl[@class='key']/div")]
    assert key[:3] == [["95,100", "transactions"], ["260", "learners"], ["2", "sections"]]


def test_files_are_linked_relative_to_the_page_with_size_and_checksum():
    page = datashop_page()
    html = tree(page)
    rows = table_of(html, "Files of this data set")[1:]
    assert [(row[0], row[4]) for row in rows] == [(file.name, file.sha256) for file in page.files]
    assert rows[0][1:4] == ["data", "48,450", "31.4 MB"]
    assert [row[2] for row in rows if row[0] == "lookup.json"] == [""]
    assert [link.get("href") for link in html.xpath("//table//a")] == [f"./{file.name}" for file in page.files]


def test_the_preview_has_eight_rows_and_cuts_long_cells():
    long = Preview("chunk_0.txt", ("a", "b"), (("x" * 81, "y" * 80),) * 20)
    rows = table_of(tree(replace(datashop_page(), preview=long)), "The first 8 rows of chunk_0.txt")
    assert len(rows) == 9
    assert rows[1] == ["x" * 79 + "…", "y" * 80]


def test_an_empty_data_set_says_so_in_words():
    empty = replace(
        datashop_page(), rows_exported=0, counts=(), sections=(), files=(), preview=None, first_event=None, last_event=None, cut_off=None, learners=None,
        plots=Plots((), Scores(tuple((f"{n}", 0) for n in range(10)), 0), ()),
    )  # fmt: skip
    text = tree(empty).text_content()
    for sentence in (
        "This data set is empty", "There are no attempts in this data set.", "No attempt has a score.", "No skill has attempts", "no rows to show",
        "There are no files", "There is nothing to load.",
    ):  # fmt: skip
        assert sentence in text
    assert not tree(empty).xpath("//svg")


# Notices --------------------------------------------------------------------------------------------------------------


def test_names_of_people_and_held_days_are_warnings_before_anything_else():
    page = csv_page(anonymize=False, permitted_by="IRB 2026-17", held_days=("2026-02-03", "2026-02-04"))
    html = tree(page)
    warnings = html.xpath("//div[@class='warning']")
    assert [one.xpath("string(h2)") for one in warnings] == ["Warning This data set names people", "Warning Some days are incomplete"]
    assert "IRB 2026-17" in warnings[0].text_content()
    assert "2026-02-03, 2026-02-04" in warnings[1].text_content()
    assert "De-identified" not in html.text_content()
    assert not tree(csv_page()).xpath("//div[@class='warning']")


def test_every_note_is_counted_and_an_unknown_one_is_still_shown():
    page = replace(datashop_page(), notes={"texts_cut": 1, "something_new": 4, "unscored_attempts": 0})
    [found] = [one for one in notices(page) if one.title == "Changed or not found"]
    text = tree(page).text_content()
    assert "1 text cut to" in text
    assert "4 × something new" in text
    assert len(found.items) == 2
    assert all("|" in counted for counted, _ in NOTES.values())


# Plots ----------------------------------------------------------------------------------------------------------------


def test_days_without_events_are_bars_of_height_zero():
    found = bars([(date(2026, 1, 5), 3), (date(2026, 1, 8), 4)])
    assert found is not None
    assert (found.unit, found.counts) == ("day", (3, 0, 0, 4))


@pytest.mark.parametrize(
    ("days", "unit"), [(1, "day"), (120, "day"), (121, "week"), (835, "week"), (900, "month"), (3_600, "month"), (4_000, "year")]
)
def test_many_days_go_by_week_month_or_year_and_lose_nothing(days, unit):
    first = date(2020, 1, 6)
    found = bars([(first + timedelta(n), n % 7) for n in range(days)])
    assert found is not None
    assert found.unit == unit
    assert sum(found.counts) == sum(n % 7 for n in range(days))
    assert len(found.counts) <= 120
    if unit == "week":
        assert {start.weekday() for start in found.starts} == {0}
        page = replace(datashop_page(), plots=Plots(tuple((first + timedelta(n), 1) for n in range(days))))
        assert "drawn by week, each from Monday" in tree(page).text_content()


def test_the_first_and_last_day_of_the_calendar_can_be_drawn():
    page = replace(datashop_page(), plots=Plots(((date.min, 1), (date.max, 2))))
    assert "Attempts per year" in tree(page).text_content()


def test_bars_are_as_high_as_their_numbers():
    page = replace(datashop_page(), plots=Plots(((date(2026, 1, 5), 50), (date(2026, 1, 6), 100), (date(2026, 1, 8), 25))))
    [plot] = tree(page).xpath("//svg[@class='wide']")
    heights = [float(bar.get("height")) for bar in plot.xpath(".//rect")]
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.02)
    assert heights[1] == pytest.approx(4 * heights[2], abs=0.03)
    grounds = {round(float(bar.get("y")) + float(bar.get("height")), 1) for bar in plot.xpath(".//rect")}
    assert len(grounds) == 1
    assert plot.xpath("string(.//rect[2]/title)") == "6 Jan 2026: 100"
    assert "175 attempts on 3 of 4 days, 5 Jan 2026 to 8 Jan 2026 (UTC). The most on one day: 100, on 6 Jan 2026." in plot.xpath(
        "string(desc)"
    )


@pytest.mark.parametrize(
    ("most", "step"), [(0, 1), (1, 1), (4, 1), (5, 2), (8, 2), (9, 5), (20, 5), (21, 10), (3_053, 1_000), (8_001, 5_000)]
)
def test_grid_lines_are_few_and_round(most, step):
    assert tick_step(most) == step


def test_unscored_attempts_are_said_and_not_drawn():
    bins = tuple((f"{n / 10:.1f}–{(n + 1) / 10:.1f}", n) for n in range(10))
    html = tree(replace(datashop_page(), plots=Plots(scores=Scores(bins, 1))))
    assert (
        "45 scored attempts by share of the points possible. 1 attempt without a score, or with nothing to score, is not drawn."
        in html.text_content()
    )
    assert table_of(html, "Attempts by share")[-1] == ["0.9–1.0", "9", "20.0%"]


def test_curves_are_cut_at_twelve_opportunities_and_six_skills_and_few_students_are_drawn_lighter():
    points = tuple(Point(n, 0.5 if n != 2 else 0.25, 30 if n < 4 else 4) for n in (1, 2, 3, 4, 6, 13))
    page = replace(datashop_page(), plots=Plots(curves=tuple(Curve(f"Skill {n}", points) for n in range(8))))
    html = tree(page)
    charts = html.xpath("//svg[@class='small']")
    assert len(charts) == 6
    dots = charts[0].xpath(".//circle")
    assert [dot.get("class") for dot in dots] == ["dot", "dot", "dot", "dot few", "dot few"]
    assert [line.get("class") for line in charts[0].xpath(".//line[contains(@class, 'line')]")] == [
        "line",
        "line",
        "line few",
    ]  # 5 is missing: a gap
    assert float(dots[1].get("cy")) > float(dots[0].get("cy"))
    assert float(dots[0].get("r")) > float(dots[3].get("r"))
    assert dots[1].xpath("string(title)") == "Opportunity 2: 25% of 30"
    assert len(table_of(html, "Error rate by skill")) == 1 + 6 * 5


def test_plots_that_do_not_apply_are_left_out():
    headings = [h.text_content() for h in tree(replace(csv_page(), action="video", plots=Plots())).xpath("//figure//h3")]
    assert headings == ["Video events per day"]
    assert figures.MOST_CURVES == 6


# Dictionary -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
def test_the_dictionary_has_every_column_of_a_table_in_order(action):
    [csv, parquet] = dictionary(action, ("csv", "parquet"), excluded=("page_id",))
    wanted = [name for name in ACTIONS[action].names if name != "page_id"]
    assert [entry.name for entry in csv.entries] == [entry.name for entry in parquet.entries] == wanted
    assert all(entry.meaning and entry.type for entry in csv.entries)


def test_the_dictionary_says_for_which_rows_a_column_is_empty():
    [csv] = dictionary("attempt_evaluated", ("csv",))
    empty = {entry.name: entry.empty for entry in csv.entries}
    assert empty["part_id"] == "of activities and pages"
    assert empty["activity_id"] == "of pages"
    assert empty["score"] == ""


def test_every_heading_that_datashop_files_can_have_is_described():
    every = (
        *rules.TAB_HEAD,
        *rules.TAB_PROBLEM,
        *rules.TAB_FEEDBACK,
        *rules.TAB_TAIL,
        "Condition Name",
        "Condition Type",
        *HEADINGS,
        "KC Category (Default)",
    )
    found = dictionary("datashop", ("datashop-tab", "datashop-xml"), headings=every, rollup=True)
    assert [one.kind for one in found] == ["datashop-tab", "datashop-xml", "student_step", "learning_curve"]
    meanings = {entry.name: entry.meaning for entry in found[0].entries}
    assert set(meanings) == set(every)
    assert "Not described." not in meanings.values()
    assert all(not meanings[f"CF ({name})"].startswith("Custom field") for name in FIELDS)
    assert all(entry.meaning for one in found for entry in one.entries)


# Snippets -------------------------------------------------------------------------------------------------------------


def queried(query: str) -> duckdb.DuckDBPyRelation:
    found = duckdb.sql(query)
    assert found is not None
    return found


def snippet(found, title: str) -> str:
    return next(way.snippet for way in found if way.title == title)


def attempts(tmp_path, dialect: Any, files: int):
    """CSV files by the writer of data sets, one attempt in each, and their page."""
    action = ACTIONS["attempt_evaluated"]
    rows = {
        "event_type": ["Part Attempt", "Page Attempt"], "timestamp": ["2026-01-05T10:00:00Z", "2026-01-05T10:00:00.5-05:00"], "user_id": ["s1", "s2"],
        "section_id": [3021, 3022], "page_id": [7, 8], "activity_id": [9_007_199_254_740_993, None], "attached_objectives": ["[10,11]", None],
        "part_id": ["NA", None], "score": [0.5, 1.0], "out_of": [1.0, None], "response": ['{"input":"null, \\"é\\"\\n"}', None], "hints": ["[]", None],
    }  # fmt: skip
    frame = pl.DataFrame({c.name: pl.Series(c.name, rows.get(c.name, [None, None]), POLARS[c.cell]) for c in action.columns})
    text = cells(frame, action.columns, dialect, is_part=pl.Series([True, False]))
    for number in range(files):
        text.write_csv(tmp_path / f"chunk_{number}.csv")
    listed = tuple(File(f"chunk_{number}.csv", 2, 1, "0" * 64, "chunk") for number in range(files))
    return csv_page(files=listed, dialect=dialect, dictionary=dictionary("attempt_evaluated", ("csv",), dialect=dialect))


@pytest.mark.parametrize("files", [1, 5])
@pytest.mark.parametrize("dialect", ["rfc4180", "compat"])
def test_the_pandas_snippet_reads_the_files_with_their_types(tmp_path, monkeypatch, dialect, files):
    page = attempts(tmp_path, dialect, files)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet(howto.ways(page), "pandas"), found)
    data = found["data"]
    assert len(data) == 2 * files
    assert data["activity_id"][0] == 9_007_199_254_740_993
    assert pd.isna(data["activity_id"][1])
    assert data["part_id"][0] == "NA"
    assert data["response"][0] == {"input": 'null, "é"\n'}
    assert [str(one) for one in data["attached_objectives"][0]] == ["10", "11"]
    assert data["hints"][0] == []
    assert data["timestamp"][1] == pd.Timestamp("2026-01-05T15:00:00.5Z")
    assert data["score"].tolist()[:2] == [0.5, 1.0]


@pytest.mark.parametrize("files", [1, 5])
def test_the_duckdb_snippet_reads_the_files(tmp_path, monkeypatch, files):
    page = attempts(tmp_path, "rfc4180", files)
    monkeypatch.chdir(tmp_path)
    query = snippet(howto.ways(page), "DuckDB")
    assert queried(query).fetchall() == [(3021, files), (3022, files)]
    all_of_it = queried(query.replace("section_id, count(*) AS events", "timestamp, part_id, score, response", 1).partition("GROUP BY")[0])
    assert [str(type_) for type_ in all_of_it.types] == ["TIMESTAMP WITH TIME ZONE", "VARCHAR", "DOUBLE", "VARCHAR"]
    assert json.loads(all_of_it.fetchall()[0][3]) == {"input": 'null, "é"\n'}


def test_snippets_leave_out_what_the_data_set_left_out(tmp_path, monkeypatch):
    (tmp_path / "chunk_0.csv").write_text("event_type,score\nPart Attempt,1.0\n")
    only = dictionary(
        "attempt_evaluated", ("csv",), excluded=[n for n in ACTIONS["attempt_evaluated"].names if n not in ("event_type", "score")]
    )
    page = csv_page(files=(File("chunk_0.csv", 1, 1, "0" * 64, "chunk"),), dictionary=only)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet(howto.ways(page), "pandas"), found)
    assert found["data"].to_dict("list") == {"event_type": ["Part Attempt"], "score": [1.0]}
    assert queried(snippet(howto.ways(page), "DuckDB")).fetchall() == [(1,)]


def test_the_parquet_snippets_read_the_files(tmp_path, monkeypatch):
    pl.DataFrame({"section_id": [1, 2]}).write_parquet(tmp_path / "chunk_0.parquet")
    page = csv_page(formats=("parquet",), files=(File("chunk_0.parquet", 2, 1, "0" * 64, "chunk"),))
    monkeypatch.chdir(tmp_path)
    python, _, rest = snippet(howto.ways(page), "Parquet").partition("# R\n")
    found: dict = {}
    exec(python, found)
    assert found["data"]["section_id"].tolist() == [1, 2]
    assert queried(rest.partition("# DuckDB\n")[2]).fetchall() == [(2,)]


def test_the_tab_snippet_gives_back_quotes_and_backslashes(tmp_path, monkeypatch):
    text = 'C:\\new "quoted" \\\\ NA'
    (tmp_path / "chunk_0.txt").write_text(
        f"Time\tInput\tKC (Default)\tKC (Default)\n2026-01-05 10:00:00.500\t{cell(text, 255)}\tOsmosis\t\n"
    )
    page = replace(datashop_page(), files=(File("chunk_0.txt", 1, 1, "0" * 64, "chunk"),))
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet(howto.ways(page), "pandas"), found)
    assert found["data"]["Input"][0] == text
    assert found["data"]["Time"][0] == pd.Timestamp("2026-01-05T10:00:00.5Z")
    assert pd.isna(found["data"]["KC (Default).1"][0])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_learning_curve_snippet_counts_what_the_rollup_counts(tmp_path, monkeypatch, form):
    facts = [
        {"number": n, "transaction_id": f"t{n}", "section_id": 1, "student": student, "session": student, "time": 1_000 * n, "problem_hierarchy": "Page P",
         "problem": f"p{n}", "view": 1, "problem_start": 1_000 * n, "step": "s a", "student_type": "ATTEMPT", "outcome": outcome, "skills": skills}
        for n, (student, outcome, skills) in enumerate([("a", "CORRECT", ["K", "L"]), ("a", "INCORRECT", ["K"]), ("b", "HINT", ["K"]), ("b", None, ["K"])])
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(facts, schema=FACTS), tmp_path / "facts.parquet")
    with duckdb.connect() as connection:
        made = rollup(connection, [tmp_path / "facts.parquet"], tmp_path, form)
    listed = tuple(File(path.name, rows, 1, "0" * 64, path.stem) for path, rows in made)
    page = replace(datashop_page(), files=listed)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(snippet(howto_datashop.ways(page), "Learning curves in pandas"), found)
    curve = {key: (row["mean"], row["count"]) for key, row in found["curve"].iterrows()}
    read = pd.read_csv if form == "csv" else pd.read_parquet
    table = read(tmp_path / f"learning_curve.{form}")
    assert curve == {(row["KC"], row["Opportunity"]): (row["Error Rate"], row["Students"]) for _, row in table.iterrows()}
    assert curve[("K", 1)] == (0.5, 2)


def test_datashop_is_told_that_pseudonyms_are_pseudonyms_and_never_gets_names():
    says = next(way.says for way in howto.ways(datashop_page()) if way.title == "DataShop")
    assert "chunk_0.txt and chunk_1.txt" in says
    assert "chunk_0.xml to chunk_4.xml" in says
    assert "already de-identified" in says
    named = next(way.says for way in howto.ways(replace(datashop_page(), anonymize=False)) if way.title == "DataShop")
    assert "already de-identified" not in named
    assert "names people" in named
