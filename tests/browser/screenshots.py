"""Makes the pictures of a data set's page for the README: `python -m tests.browser.screenshots [folder]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.browser.chromium import picture
from tests.browser.pages import datashop_page
from torus_assets.datasets.page.render import render

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH, HEIGHT = 1280, 2390


def screenshots(page: bytes, folder: Path, *, width: int = WIDTH, height: int = HEIGHT) -> list[Path]:
    """The top of the page in both colour schemes."""
    made: list[Path] = []
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "index.html"
        path.write_bytes(page)
        for scheme in ("light", "dark"):
            made.append(
                picture(path, folder / f"dataset-page-{scheme}.png", Path(scratch) / scheme, scheme=scheme, width=width, height=height)
            )
    return made


if __name__ == "__main__":
    for made in screenshots(render(datashop_page()), Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES):
        print(made)
