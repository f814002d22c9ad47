"""Make the pictures of the playground again: `.venv/bin/python docs/images/make_playground.py`.

It is run in the repository's root, and needs Chromium (or its path in the variable CHROMIUM). It starts a server on a
free port, with the model that ships inside.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

PROMPT = "a red apple"
WIDE = (1280, 860)
PHONE = (390, 844)
LOADING = 300_000
"""Milliseconds that the model may take to load, or to draw."""


def main() -> None:
    """Write the page on a wide screen, in light and dark; its API tab; and the page on a phone."""
    with serving() as url, sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = open_page(browser, url, WIDE)
        draw(page)
        page.evaluate("scrollTo(0, 0)")
        write(page, "playground.webp")
        page.emulate_media(color_scheme="dark")
        write(page, "playground-dark.webp")
        page.emulate_media(color_scheme="light")
        page.get_by_role("tab", name="API").click()
        page.get_by_role("tab", name="Python", exact=True).click()
        write(page, "playground-api.webp")
        page = open_page(browser, url, PHONE)
        draw(page)
        page.get_by_text("Done", exact=True).first.scroll_into_view_if_needed()
        page.locator(".output").scroll_into_view_if_needed()
        write(page, "playground-phone.webp")
        browser.close()


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server that ends afterwards."""
    command = [sys.executable, "-m", "server", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:  # noqa: S603 (nobody else's words)
        try:
            for line in process.stderr or ():
                if match := re.search(r"serves .* on (http://\S+:\d+)", line):
                    yield match[1]
                    break
        finally:
            process.terminate()


def open_page(browser: Browser, url: str, size: tuple[int, int]) -> Page:
    """The page in a window of this size, once the form is there."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme="light")
    page.set_default_timeout(LOADING)
    page.goto(url)
    page.get_by_label("Prompt", exact=True).wait_for()
    return page


def draw(page: Page) -> None:
    """Fill in the form and wait for the picture."""
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_text("Settings").click()
    page.get_by_label("Seed", exact=True).fill("1")
    page.get_by_text("Settings").click()
    page.keyboard.press("Control+Enter")
    page.locator("[data-status=succeeded] img").first.wait_for()


def write(page: Page, name: str) -> None:
    """What the window shows, beside this file."""
    page.evaluate("document.activeElement.blur()")
    Image.open(BytesIO(page.screenshot())).save(Path(__file__).with_name(name), quality=88, method=6)


if __name__ == "__main__":
    main()
