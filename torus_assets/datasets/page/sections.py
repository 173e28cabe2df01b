"""The sections of the page: what was asked, counts, preview, data dictionary, files, how to load them."""

from __future__ import annotations

from urllib.parse import quote

from torus_assets.datasets.page.howto import ways
from torus_assets.datasets.page.markup import Column, Content, Markup, code, cut, number, plural, table, tag, text, value
from torus_assets.datasets.page.model import CHUNK, LEARNING_CURVE, STUDENT_STEP, XML, Page

PREVIEW_ROWS = 8
WHATS = {
    CHUNK: "data",
    STUDENT_STEP: "student-step rollup",
    LEARNING_CURVE: "learning curves",
    "lookup": "the course's lookup, without users",
}
KINDS = {
    "part_attempt": "Part attempts",
    "activity_attempt": "Activity attempts",
    "page_attempt": "Page attempts",
    "page_viewed": "Page views",
    "video": "Video events",
    "tutor_message": "Tutor messages",
}
REASONS = {
    "sub_type": "another sub type",
    "date": "outside the dates",
    "project": "another project",
    "page": "another page",
    "ignored_student": "a student to be ignored",
    "duplicates_across_days": "the same event on another day",
    "superseded_evaluation": "an earlier evaluation of the same attempt",
    "tutor_xml_unreadable": "tutor message that cannot be read as XML",
    "tutor_xml_without_message": "tutor message with nothing in it",
}


def asked(page: Page) -> list[Content]:
    made = [
        ("First event (UTC)", _instant(page.first_event)),
        ("Last event (UTC)", _instant(page.last_event)),
        ("Data up to", [page.cut_off.isoformat(), " (newest upload day read)"] if page.cut_off else "no upload day was read"),
        ("Lake version", str(page.lake_version)),
        ("Code", value(page.code_version)),
        ("Key fingerprint", code(page.key_fingerprint)),
        ("Job", value(page.job_id)),
        ("Run", code(page.run)),
    ]
    links = [
        "The same request over the same data gives the same bytes. Proof of that is in ", tag("a", "receipt.json", href="receipt.json"),
        "; when it ran, in ", tag("a", "run.json", href="run.json"), ".",
    ]  # fmt: skip
    return [
        tag(
            "div",
            _pairs("The request", [(value(label[:1].upper() + label[1:]), value(shown)) for label, shown in page.request]),
            _pairs("Where it comes from", made),
            class_="columns",
        ),
        tag("p", links),
    ]


def _pairs(heading: str, pairs: list[tuple[str, Content]]) -> Markup:
    return tag(
        "div", tag("h3", heading), tag("dl", [tag("div", tag("dt", label), tag("dd", shown)) for label, shown in pairs], class_="pairs")
    )


def _instant(shown: str | None) -> Content:
    return value(shown) if shown else "none"


def counts(page: Page) -> list[Content]:
    tables: list[Markup] = []
    if page.sections:
        names = ("transactions", "hints", "students", "problems", "skills")
        columns = [Column("Section"), *(Column(name.capitalize(), numeric=True) for name in names)]
        tables.append(table("As DataShop counts them", columns, [[str(s[0]), *map(number, s[1:])] for s in page.sections]))
    if page.counts:
        tables.append(_by_kind(page))
    left_out = [(reason, n) for reason, n in (*page.excluded, *page.superseded) if n]
    if left_out:
        rows = [[REASONS.get(reason) or value(_words(reason)), number(n)] for reason, n in left_out]
        tables.append(table("Rows that are left out", [Column("Why"), Column("Rows", numeric=True)], rows))
    return [tag("p", _fates(page)), tag("div", tables)]


def _by_kind(page: Page) -> Markup:
    """A row per section, a column per kind."""
    kinds = sorted({count.kind for count in page.counts})
    rows = {(count.section, count.kind): count.rows for count in page.counts}
    sections = sorted({section for section, _ in rows})
    columns = [Column("Section"), *(Column(KINDS.get(kind) or value(_words(kind)), numeric=True) for kind in kinds)]
    shown = [[str(section), *(number(rows.get((section, kind), 0)) for kind in kinds)] for section in sections]
    foot = ["All", *(number(sum(rows.get((section, kind), 0) for section in sections)) for kind in kinds)] if len(sections) > 1 else []
    return table("Rows of the lake", columns, shown, foot=foot)


def _fates(page: Page) -> str:
    out = sum(n for _, n in page.excluded)
    superseded = sum(n for _, n in page.superseded)
    return (
        f"Of {plural(page.rows_read, 'row')} of these sections in the lake, {page.rows_exported:,} are in this data set, "
        f"{out:,} did not match the request, and {superseded:,} were superseded by another row."
    )


def preview(page: Page) -> Content:
    shown = page.preview
    if shown is None or not shown.rows:
        return tag("p", "There are no rows to show.")
    rows = [[text(cut(cell)) for cell in row] for row in shown.rows[:PREVIEW_ROWS]]
    caption = ["The first ", plural(len(rows), "row") if len(rows) > 1 else "row", " of ", value(shown.of), "; long cells are cut (…)"]
    return table(caption, [Column(value(name)) for name in shown.columns], rows, class_="preview")


def described(page: Page) -> list[Content]:
    columns = [Column("Name"), Column("Type"), Column("Meaning"), Column("Empty")]
    parts: list[Content] = []
    for place, one in enumerate(page.dictionary):
        rows = [[code(entry.name), entry.type, value(entry.meaning), value(entry.empty) if entry.empty else ""] for entry in one.entries]
        content = table("Elements" if one.kind == XML else "Columns, in order", columns, rows, class_="dictionary")
        summary = tag("summary", tag("h3", value(one.title)), " ", tag("span", plural(len(one.entries), "entry", "entries")))
        parts.append(tag("details", summary, tag("p", value(one.about)), content, open=place == 0))
    return parts or [tag("p", "No file is described.")]


def files(page: Page) -> Content:
    if not page.files:
        return tag("p", "There are no files: nothing was exported.")
    columns = [Column("File"), Column("What"), Column("Rows", numeric=True), Column("Size", numeric=True), Column("SHA-256")]
    rows = [
        [
            tag("a", value(file.name), href=quote(f"./{file.name}", errors="replace")),
            value(WHATS.get(file.what, file.what)),
            number(file.rows),
            size_of(file.bytes),
            tag("code", text(file.sha256)),
        ]
        for file in page.files
    ]
    check = [
        "To check a file, compare the last column with what ",
        tag("code", "sha256sum"),
        " says, or let ",
        tag("code", "torus dataset verify"),
        " do it.",
    ]
    return [table("Files of this data set", columns, rows, class_="files"), tag("p", check)]


def loading(page: Page) -> list[Content]:
    found = ways(page)
    parts = [
        tag(
            "div",
            tag("h3", way.title),
            tag("p", way.says),
            tag("pre", tag("code", way.snippet), tabindex=0, aria_label=f"{way.language}: {way.title}") if way.snippet else None,
        )
        for way in found
    ]
    return [*parts] or [tag("p", "There is nothing to load.")]


def size_of(size: int) -> str:
    """Bytes in units of 1,000, three digits."""
    shown, unit = float(size), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if shown < 999.5 or unit == "TB":
            break
        shown /= 1000
    return f"{shown:,.0f} {unit}" if unit == "B" or shown >= 99.5 else f"{shown:.1f} {unit}"


def _words(name: str) -> str:
    return name.replace("_", " ")
