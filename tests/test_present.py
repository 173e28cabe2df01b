"""Previews, pictures and columns as the catalog shows them."""

from __future__ import annotations

from datetime import date

import dagster as dg
import pytest

from tests.factories import DAY, Place, bundle_key, line, statement
from torus_assets import present
from torus_assets.clients.object_store import open_store
from torus_assets.datasets.datashop.tab_form import headings
from torus_assets.presenting import columns, figures, lineage
from torus_assets.xapi import bundle_index, tables
from torus_assets.xapi.tables import TABLES


def text(value: dg.MetadataValue) -> str:
    return str(value.value)


def picture(value: dg.MetadataValue) -> list[str]:
    """The rows of a picture; it stands in a block of code, so that the UI sets it in one width."""
    first, *rows, last = text(value).split("\n")
    assert (first, last) == ("```", "```")
    return rows


def test_bars_line_up_and_end_where_the_counts_say():
    assert picture(present.bars({"not_json": 15, "too_deep": 1, "wrong_type": 0, "x": 1500})) == [
        "  not_json    15 █",
        "  too_deep     1 █",
        "wrong_type     0",
        "         x 1,500 " + "█" * present.BARS,
    ]


def test_a_count_of_one_beside_a_huge_one_still_has_a_bar():
    rows = picture(present.bars({"a": 1_000_000, "b": 1}))
    assert rows[1].count("█") == 1


@pytest.mark.parametrize("counts", [{}, {"00": 0, "01": 0}])
def test_a_picture_of_nothing_says_so(counts):
    assert text(present.bars(counts, empty="no such event on this day")) == "no such event on this day"


def test_cells_cannot_break_the_table():
    shown = text(present.markdown(["a", "b"], [("x|y", None), ("two\nlines", "z" * 500)]))
    rows = shown.split("\n")
    assert len(rows) == 4
    assert rows[2] == r"| x\|y |  |"
    assert len(rows[3]) < 2 * present.CELL_CHARACTERS


def test_a_cut_path_neither_opens_code_that_never_ends_nor_becomes_a_link():
    detail = "Expected `int`, got `str` - at `$.context.extensions.http://oli.example.edu/extensions/" + "x" * 200 + "`"
    cell = text(present.markdown(["detail"], [(detail,)])).split("\n")[2]
    assert cell.count("`") == 2
    assert cell.startswith("| `Expected int, got str - at $.context.extensions.http://")


def test_no_rows_are_said_to_be_none():
    assert text(present.markdown(["a"], [])) == "no rows"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_preview_shows_no_text_that_a_statement_could_fill(table):
    shown = [column for column in table.columns if present.is_shown(column)]
    assert [column.name for column in shown if column.type in ("text", "json", "bytes") and column.name not in present.OUR_TEXTS] == []
    assert not {"user_id", "enrollment_id", "session_id"} & {column.name for column in shown}


def test_a_preview_shows_what_was_done_and_how_it_went(tmp_path):
    place = Place(tmp_path)
    place.put(bundle_key("a"), [line(statement("part_attempt_evaluated", {"result.score.raw": 0.5}))])
    place.ingest()
    shown = text(present.preview(tables.BY_NAME["part_attempts"], place.lake.snapshot().scan("part_attempts", DAY, DAY)))
    heading, _, row = shown.split("\n")
    assert {"section_id", "timestamp", "page_id", "activity_id", "score", "out_of"} <= set(heading.strip("| ").split(" | "))
    assert " 0.5 " in row


# Columns and where they come from


def test_every_column_of_the_index_has_a_meaning():
    assert set(columns.INDEX_MEANINGS) == set(bundle_index.SCHEMA.names)
    assert [column.name for column in columns.index_schema().columns] == bundle_index.SCHEMA.names


def test_every_column_of_a_datashop_table_says_what_it_is_and_what_it_is_made_from():
    names = list(dict.fromkeys(headings(columns.ANY_COURSE)))
    schema = columns.datashop_schema().columns
    assert [column.name for column in schema] == names
    assert [column.name for column in schema if column.description in (None, "", "Not described.")] == []
    assert set(names) - set(lineage.datashop_lineage().deps_by_column) == {"Time Zone"}  # always UTC
    assert set(lineage.datashop_lineage().deps_by_column) <= set(names)


def test_a_csv_column_comes_from_what_its_expression_reads():
    deps = {name: {(d.asset_key.path[-1], d.column_name) for d in found} for name, found in lineage.csv_lineage().deps_by_column.items()}
    assert deps["response"] == {("part_attempts", "response_json")}
    assert deps["video_time_from"] == {("video_events", name) for name in ("event_kind", "video_seek_from", "video_time")}
    assert ("part_attempts", "home_page") in deps["user_id"]


def test_a_column_that_means_different_things_by_table_says_which_is_which():
    [kind] = [column for column in columns.csv_schema().columns if column.name == "event_type"]
    assert kind.description == "`attempt_evaluated`: What was evaluated. `page_viewed`: Constant. `video`: What happened."


# Figures of a day


def test_an_index_shows_when_bundles_came_and_whose_they_are(tmp_path):
    place = Place(tmp_path)
    for n in range(12):
        for second in range(n + 1):
            place.put(bundle_key(f"{second:032x}", section=3000 + n, second=second), b"{}\n")
    index = bundle_index.index_days(open_store(place.url), None, DAY, DAY, listing="always")
    shown = figures.index_figures(index.days[DAY], index, "file:///lake/x")
    assert {name: shown[name].value for name in ("bundles", "sections", "bytes", "told_by_listing", "told_by_inventory")} == {
        "bundles": 78, "sections": 12, "bytes": 78 * 3, "told_by_listing": 78, "told_by_inventory": 0,
    }  # fmt: skip
    hours = picture(shown["bundles_per_hour"])
    assert len(hours) == 24
    assert [row.split()[:2] for row in hours if "█" in row] == [["15", "78"]]
    largest = picture(shown["largest_sections"])
    assert len(largest) == figures.LARGEST
    assert largest[0].split()[:3] == ["section", "3011", "12"]


def test_an_index_of_an_empty_day_says_that_nothing_was_uploaded(tmp_path):
    day = date(2026, 2, 1)
    index = bundle_index.index_days(open_store(f"file://{tmp_path}"), None, day, day, listing="always")
    shown = figures.index_figures(index.days[day], index, "file:///lake/x")
    assert {shown[name].value for name in ("bundles", "bytes", "sections", "told_by_notification")} == {0}
    assert text(shown["bundles_per_hour"]) == text(shown["largest_sections"]) == "no bundle was uploaded on this day"


def test_fates_of_a_day_add_up_to_its_lines(tmp_path):
    place = Place(tmp_path)
    same = line(statement("page_viewed"))
    place.put(bundle_key("a"), [same, same, b"no json", b"   ", line(statement("video_played"))])
    total = place.ingest().day_total
    assert sum(figures.fates(total).values()) == total["lines"] == 5
    assert figures.quarantined_share(total) == 0.25


def test_the_share_of_a_day_of_blank_lines_is_none():
    assert figures.quarantined_share({"lines": 3, "blank": 3, "quarantined": {}}) == 0.0


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 seconds"), (119, "119 seconds"), (120, "2.0 minutes"), (9000, "2.5 hours"), (200_000, "2.3 days")]
)
def test_a_duration_is_said_in_the_unit_people_would_use(seconds, said):
    assert present.duration(seconds) == said
