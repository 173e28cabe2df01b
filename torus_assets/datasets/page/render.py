"""The page of a data set: one HTML file that needs no network and no script, and is the same for the same `Page`."""

from __future__ import annotations

from pathlib import Path

from torus_assets.datasets.page import sections
from torus_assets.datasets.page.figures import figures
from torus_assets.datasets.page.markup import Content, Markup, number, tag, value
from torus_assets.datasets.page.model import ACTIONS, DATASHOP, FORMATS, Page
from torus_assets.datasets.page.notices import Notice, notices

CONTENT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
STYLE = Path(__file__).with_name("style.css")
SECTIONS = (
    ("asked", "What was asked", sections.asked),
    ("counts", "Counts", sections.counts),
    ("plots", "Plots", figures),
    ("preview", "Preview", sections.preview),
    ("dictionary", "Data dictionary", sections.described),
    ("files", "Files", sections.files),
    ("load", "How to load it", sections.loading),
)


def render(page: Page) -> bytes:
    """The page as UTF-8."""
    parts = [_section(id_, heading, content(page)) for id_, heading, content in SECTIONS]
    links = [tag("li", tag("a", heading, href=f"#{id_}")) for id_, heading, _ in SECTIONS]
    nav = tag("nav", tag("ul", links), aria_label="Contents")
    body = [
        tag("a", "Skip to the content", href="#content", class_="skip"),
        tag("div", nav, tag("main", _header(page), _notices(page), parts, id="content"), class_="page"),
    ]
    document = tag("html", _head(page), tag("body", body), lang="en")
    return f"<!doctype html>\n{document}\n".encode()


def _head(page: Page) -> Markup:
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=CONTENT_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="robots", content="noindex"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", f"{page.title} – {ACTIONS[page.action][0]}"),
        tag("style", Markup(STYLE.read_text(encoding="utf-8"))),
    )


def _section(id_: str, heading: str, content: Content) -> Markup:
    return tag("section", tag("h2", heading, id=f"{id_}-heading"), content, id=id_, aria_labelledby=f"{id_}-heading")


# Top ------------------------------------------------------------------------------------------------------------------


def _header(page: Page) -> Markup:
    kind = ACTIONS[page.action][0]
    formats = " and ".join(FORMATS[name] for name in page.formats)
    period = _period(page)
    about = [f"{kind} as {formats}", f", {period}" if period else "", ". Made from learning events of OLI Torus."]
    return tag(
        "header", tag("p", "Data set", class_="eyebrow"), tag("h1", value(page.title)), tag("p", about, class_="lead"), _key_numbers(page)
    )


def _period(page: Page) -> Content:
    if not page.first_event or not page.last_event:
        return None
    first, last = page.first_event[:10], page.last_event[:10]
    return f"events of {first}" if first == last else f"events from {first} to {last}"


def _key_numbers(page: Page) -> Markup:
    rows = sum(section.transactions for section in page.sections) if page.action == DATASHOP else page.rows_exported
    of = {count.section for count in page.counts} | {section.section for section in page.sections}
    numbers = (
        (rows, "transaction" if page.action == DATASHOP else "row"),
        (page.learners, "learner"),
        (len(of), "section"),
        (len(page.files), "file"),
    )
    shown = [(number(n), unit if n == 1 else f"{unit}s") for n, unit in numbers if n is not None]
    shown.append((sections.size_of(sum(file.bytes for file in page.files)), "in all"))
    return tag("dl", [tag("div", tag("dt", name), tag("dd", n)) for n, name in shown], class_="key")


def _notices(page: Page) -> list[Markup]:
    """The grave ones open, the others in one box below them."""
    found = notices(page)
    grave = [_notice(notice) for notice in found if notice.grave]
    quiet = [_notice(notice) for notice in found if not notice.grave]
    return [*grave, tag("section", quiet, class_="quiet", aria_label="Notes")] if quiet else grave


def _notice(notice: Notice) -> Markup:
    body = [tag("p", notice.body) if notice.body else None, tag("ul", [tag("li", item) for item in notice.items]) if notice.items else None]
    if notice.grave:
        return tag("div", tag("h2", tag("span", "Warning", class_="mark"), " ", notice.title), body, class_="warning", role="note")
    return tag("div", tag("h2", notice.title), body)
