"""The page of a data set in a real browser: nothing is refused, nothing overflows, both colour schemes can be read.

The page itself has no script and allows none, so the questions are asked by a page around it.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from typing import Any

import pytest

from tests.browser.chromium import browser, dom, picture
from tests.browser.pages import csv_page, datashop_page
from torus_assets.datasets.page.model import Preview
from torus_assets.datasets.page.render import CONTENT_POLICY, render

pytestmark = pytest.mark.skipif(browser() is None, reason="no Chromium on the PATH")

LEAST_CONTRAST = 4.5  # WCAG 2.2 AA, of text
LEAST_GRAPHIC_CONTRAST = 3  # of what a plot is drawn with

# Frames as wide as a telephone and as a screen: a window without a screen is at least 500 pixels wide.
FRAMES = """
<body><iframe src="page.html" style="width:{width}px;height:900px;border:0"></iframe><pre id="answer"></pre>
<script>
onload = () => {{
  const doc = document.querySelector("iframe").contentDocument, view = doc.defaultView, root = doc.scrollingElement;
  const colour = (one, name) => view.getComputedStyle(one)[name];
  const texts = [...doc.querySelectorAll("p, li, dt, dd, th, td, h1, h2, h3, h4, caption, a, summary, code, pre, span.mark, summary span")].filter(one => one.textContent.trim());
  const paper = one => {{ for (; one; one = one.parentElement) {{ const c = colour(one, "backgroundColor"); if (!c.startsWith("rgba(0, 0, 0, 0")) return c; }} }};
  const pairs = new Set(texts.map(one => one.tagName + " " + colour(one, "color") + " on " + paper(one)));
  doc.querySelectorAll("svg text").forEach(one => pairs.add("text " + colour(one, "fill") + " on " + paper(one.closest("figure"))));
  const drawn = new Set([...doc.querySelectorAll(".bar, .dot:not(.few)")].map(one => colour(one, "fill") + " on " + paper(one.closest("figure"))));
  const wide = [...doc.querySelectorAll("body *")].filter(one => !one.closest(".scroll, pre, .skip, svg") && one.getClientRects().length
    && one.getBoundingClientRect().right > view.innerWidth + 1).map(one => one.tagName + "." + one.className);
  const small = [...doc.querySelectorAll("svg text")].filter(one => one.getClientRects().length && one.getBoundingClientRect().height < 9.5).map(one => one.textContent);
  const cut = [...doc.querySelectorAll("svg")].filter(one => one.getClientRects().length).flatMap(svg => {{
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll("text")].filter(one => {{ const box = one.getBoundingClientRect(); return box.left < frame.left - 1 || box.right > frame.right + 1; }}).map(one => one.textContent);
  }});
  const shown = [...doc.querySelectorAll("svg.wide, svg.narrow")].filter(one => one.getClientRects().length).map(one => one.getAttribute("class"));
  document.getElementById("answer").textContent = JSON.stringify({{
    overflow: root.scrollWidth - root.clientWidth, width: view.innerWidth, background: colour(doc.documentElement, "backgroundColor"),
    pairs: [...pairs], drawn: [...drawn], wide, small, cut, shown,
  }});
}};
</script>
"""


def asked(tmp_path, page, *, scheme: Any = "light", width=1280) -> dict[str, Any]:
    """What the browser says about the page in a frame of that width. Frames of files may look into each other only with this setting."""
    (tmp_path / "page.html").write_bytes(render(page))
    (tmp_path / "frames.html").write_text(FRAMES.format(width=width))
    shown, said = dom(tmp_path / "frames.html", tmp_path / "profile", scheme=scheme, more=("--allow-file-access-from-files",))
    assert said == ""
    [answer] = re.findall(r'<pre id="answer">(.*?)</pre>', shown, re.DOTALL)
    assert answer, "the frame did not answer"
    return json.loads(html.unescape(answer))


def contrast(pair: str) -> float:
    """Of `rgb(…) on rgb(…)`, by WCAG's formula."""
    light, dark = sorted((luminance(colour) for colour in re.findall(r"rgba?\(([^)]*)\)", pair)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    channels = [float(part) / 255 for part in colour.split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_page_as_it_is_has_no_error_in_the_console(tmp_path):
    (tmp_path / "index.html").write_bytes(render(datashop_page()))
    shown, said = dom(tmp_path / "index.html", tmp_path / "profile", scheme="light")
    assert said == ""
    assert shown.count("<section") == render(datashop_page()).count(b"<section")


def test_the_policy_of_the_page_refuses_scripts(tmp_path):
    page = render(datashop_page()).replace(b"</body>", b"<script>document.title = 'ran'</script></body>")
    assert CONTENT_POLICY.startswith("default-src 'none'")
    (tmp_path / "index.html").write_bytes(page)
    shown, said = dom(tmp_path / "index.html", tmp_path / "profile", scheme="light")
    assert "<title>ran" not in shown
    assert "Content Security Policy" in said


LONG = "Lopado" * 60
HOSTILE = replace(
    datashop_page(), title=LONG, job_id=LONG, request=((LONG, LONG),), permitted_by=LONG, anonymize=False, held_days=("2026-02-03",) * 20,
    preview=Preview(LONG, (LONG, "b"), ((LONG, LONG),)), lookup_problems=(LONG,), notes={LONG: 3},
)  # fmt: skip


@pytest.mark.parametrize("page", [datashop_page(), csv_page(), HOSTILE], ids=["datashop", "csv", "long words"])
@pytest.mark.parametrize("width", [360, 700, 1280, 1600])
def test_nothing_is_wider_than_the_screen_and_labels_are_whole(tmp_path, page, width):
    found = asked(tmp_path, page, width=width)
    assert found["width"] == width
    assert (found["overflow"], found["wide"], found["cut"], found["small"]) == (0, [], [], [])
    assert set(found["shown"]) == {"narrow" if width < 688 else "wide"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_that_can_be_read(tmp_path, scheme):
    found = asked(tmp_path, HOSTILE, scheme=scheme)
    assert len(found["pairs"]) > 20
    assert [pair for pair in found["pairs"] if contrast(pair) < LEAST_CONTRAST] == []
    assert found["drawn"]
    assert [pair for pair in found["drawn"] if contrast(pair) < LEAST_GRAPHIC_CONTRAST] == []


def test_light_and_dark_have_backgrounds_of_their_own(tmp_path):
    light, dark = (luminance(asked(tmp_path, datashop_page(), scheme=scheme)["background"][4:-1]) for scheme in ("light", "dark"))
    assert light > 0.9
    assert dark < 0.05


def test_a_picture_can_be_taken(tmp_path):
    (tmp_path / "index.html").write_bytes(render(datashop_page()))
    made = picture(tmp_path / "index.html", tmp_path / "page.png", tmp_path / "profile", scheme="dark", width=800, height=600)
    head = made.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (800, 600)
