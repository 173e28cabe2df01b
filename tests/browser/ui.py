"""Dagster's screens as a person uses them: Debian's Chromium, driven by Playwright, by the words that are on the screen."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.browser.chromium import browser
from tests.browser.screenshots import IMAGES

WIDTH, HEIGHT = 1400, 900
SECONDS = 60  # for anything to appear; under 3 on a quiet machine
LOCATION = "torus"
WANTED = "TORUS_TEST_SCREENSHOTS"  # set to 1, the pictures of docs/ui.md are made anew


def pictures_are_wanted() -> bool:
    """Whether docs/images is to be written; else pictures go with the test's folder."""
    return os.environ.get(WANTED) == "1"


class Screens:
    """One window. What its console called an error is in `errors`."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self.errors: list[str] = []
        self._url = url
        self._pictures = pictures
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.errors.append(f"exception: {error}"))

    def open(self, path: str) -> None:
        self.page.goto(self._url + path)

    def picture(self, name: str, *, height: int = HEIGHT) -> Path:
        """A PNG of what is shown now, when everything asked for has come; the window keeps its new height."""
        self.page.set_viewport_size({"width": WIDTH, "height": height})
        self.page.mouse.move(WIDTH - 2, height - 2)  # nothing is lit because the pointer rests on it
        self.page.wait_for_load_state("networkidle", timeout=SECONDS * 1000)
        self.page.wait_for_timeout(600)  # ends of transitions; they make no request
        path = self._pictures / f"ui-{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=path)
        return path

    def shows(self, *texts: str) -> None:
        """Each text is to be seen, somewhere.

        Raises:
            AssertionError: one is not there within SECONDS.
        """
        for text in texts:
            expect(self.page.get_by_text(text, exact=True).filter(visible=True).first).to_be_visible()

    # The graph

    def open_graph(self) -> None:
        """The lineage of all assets, groups closed."""
        self.open("/asset-groups")
        expect(self.page.get_by_role("button", name="Materialize all")).to_be_visible()

    def expand_groups(self) -> None:
        self.page.keyboard.press("Alt+e")

    # Materializing

    def choose(self, job: str, partitions: str) -> Locator:
        """The dialog of a job with its partitions filled in: `2026-02-03` or `[2026-02-03...2026-02-05]`."""
        self.open(f"/locations/{LOCATION}/jobs/{job}")
        self.page.get_by_role("button", name="Materialize all").click()
        dialog = self.page.get_by_role("dialog")
        field = dialog.get_by_placeholder("No matching partitions")
        field.fill(partitions)
        field.press("Enter")
        return dialog

    def launch(self, dialog: Locator, button: str) -> None:
        """Presses the button and waits until the dialog has gone."""
        dialog.get_by_role("button", name=button).click()
        expect(dialog).to_be_hidden()

    def created_backfill(self) -> str:
        """Id of the backfill that the screen has just announced."""
        toast = self.page.get_by_text(re.compile("Created backfill [a-z]+")).first
        found = re.search("Created backfill ([a-z]+)", toast.inner_text())
        assert found
        return found[1]

    # Sensors

    def switch(self) -> Locator:
        """The switch of the sensor whose page is open."""
        return self.page.get_by_role("row").filter(has_text="Running").locator("input[type=checkbox]")

    def open_sensor(self, name: str) -> None:
        self.open(f"/locations/{LOCATION}/sensors/{name}")
        expect(self.switch()).to_be_attached()

    def press_switch(self) -> None:
        self.switch().dispatch_event("click")  # the drawing of the switch lies over it

    # Metadata

    def partition_metadata(self, asset: str, partition: str) -> dict[str, str]:
        """The table of a partition's page: label -> what is shown of it."""
        self.open(f"/assets/{asset}?view=partitions&partition={partition}")
        expect(self.page.get_by_text("dagster/partition_row_count", exact=True).first).to_be_visible()
        table = self.page.get_by_role("table").filter(has_text="dagster/partition_row_count").first  # a preview is a table inside of it
        rows = table.get_by_role("row").all()
        cells = [row.get_by_role("cell").all_inner_texts() for row in rows]
        return {found[0].strip(): found[1].strip() for found in cells if len(found) > 1}

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} at {message.location.get('url')}")


@contextmanager
def screens(url: str, scratch: Path) -> Iterator[Screens]:
    """A window on the server at `url`, in the light theme, in English and UTC."""
    with sync_playwright() as playwright:
        window = playwright.chromium.launch(executable_path=browser(), headless=True, args=["--no-sandbox"])
        try:
            page = window.new_page(
                viewport={"width": WIDTH, "height": HEIGHT},
                color_scheme="light",
                locale="en-US",
                timezone_id="UTC",
                reduced_motion="reduce",
            )
            page.set_default_timeout(SECONDS * 1000)
            expect.set_options(timeout=SECONDS * 1000)
            yield Screens(page, url, IMAGES if pictures_are_wanted() else scratch)
        finally:
            window.close()
