"""A browser without a screen, and pages in it that must not complain nor ask any other host for anything."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from urllib.request import urlopen

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from tests.conftest import Server, running_server

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
AXE = Path(sys.prefix, "node_modules", "axe-core", "axe.min.js")

Shared = Callable[[str | Path], Server]

_PATIENCE = 20_000
"""Milliseconds that a selector is waited for: the embedded model is slow where other tests take the processor."""


class Desk:
    """One person's browser, looking at one server.

    Attributes:
        page: what is open.
        server: where it comes from.
        complaints: what the browser wrote to its console as an error or a warning, and errors that nobody caught.
        elsewhere: addresses that were asked for on any other host.
    """

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.server = server
        self.complaints: list[str] = []
        self.elsewhere: list[str] = []
        context.on("request", lambda request: self._asked(request.url))
        context.on("console", self._heard)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(_PATIENCE)

    def open(self, path: str = "/") -> Page:
        """Load the page, and wait until the form is there."""
        self.page.goto(self.server.url + path)
        self.page.get_by_role("button", name="Run", exact=True).wait_for()
        return self.page

    def run(self) -> None:
        """Press the button."""
        self.page.get_by_role("button", name="Run", exact=True).click()

    def ends(self, status: str) -> None:
        """Wait until what runs has ended so."""
        self.page.locator(f".result[data-status={status}]").wait_for()

    def forgive(self, what: str) -> None:
        """Take complaints that have this in them for what they are: the browser's words for a status that is meant."""
        forgiven = [complaint for complaint in self.complaints if what in complaint]
        assert forgiven, f"nothing of {what!r} in {self.complaints}"
        self.complaints = [complaint for complaint in self.complaints if complaint not in forgiven]

    def _asked(self, url: str) -> None:
        if not url.startswith((self.server.url + "/", "data:", "blob:")):
            self.elsewhere.append(url)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")


def shown(image: Locator) -> Image.Image:
    """The picture that the page shows there, in RGB."""
    with urlopen(image.get_attribute("src") or "") as file:
        return Image.open(io.BytesIO(file.read())).convert("RGB")


def unfold(page: Page) -> None:
    """Open all groups of the form."""
    for fold in page.locator(".fold").all():
        if fold.get_attribute("open") is None:
            fold.locator("summary").click()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. Not for longer: Playwright keeps an event loop running, which others could not start."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed. On Debian or Ubuntu: apt install chromium")
    expect.set_options(timeout=_PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def shared() -> Iterator[Shared]:
    """The server of a model, as its settings are by default: started for the first test that wants it, for all of them.

    What one test does to it must not matter to another.
    """
    with ExitStack() as stack:
        yield cache(lambda predictor: stack.enter_context(running_server(predictor)))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A person who was never here before, with a clipboard."""
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        yield context


@pytest.fixture
def desk(context: BrowserContext, server: Server) -> Iterator[Desk]:
    """A browser at the module's `server`; afterwards it has complained of nothing and asked nobody else."""
    desk = Desk(context, server)
    yield desk
    assert desk.complaints == []
    assert desk.elsewhere == []
