"""What is typed is never lost nor overwritten: neither by answers that come late, nor because the page is slow."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.playground.conftest import Desk, Shared

TYPE_AND_RUN = """async (text) => {
    const field = document.querySelector("#input-text");
    field.focus();
    field.value = text;
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    // As far as a page comes between two events of which the second waits already: it draws, but no effect runs.
    for (let turn = 0; turn < 20; turn += 1) await null;
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
}"""

PASTE_TWICE = """() => {
    for (const name of ["first.txt", "second.txt"]) {
        const transfer = new DataTransfer();
        transfer.items.add(new File([name], name, { type: "text/plain" }));
        document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData: transfer }));
    }
}"""


def test_what_was_typed_last_is_what_runs(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.open()
    page.get_by_label("Text", exact=True).fill("first")
    page.evaluate(TYPE_AND_RUN, "second")
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_have_text("second:1:0.0")
    assert desk.complaints == []


def test_each_of_two_files_that_come_at_once_has_its_place(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("paint_over"))
    page = desk.open()
    page.evaluate(PASTE_TWICE)
    expect(page.locator("[data-input=image] .file-name")).to_have_text("first.txt")
    expect(page.locator("[data-input=mask] .file-name")).to_have_text("second.txt")


class SetUpAgain:
    """A server whose model is set up a second time, once `page` is open: it takes other inputs then."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._again = False
        self._held: list[Route] = []
        page.route("**/health-check*", self._health)
        page.route("**/openapi.json", self._document)

    def happens(self) -> None:
        """The page hears of it, but the server takes its time to say what the inputs are now."""
        self._again = True
        with self._page.expect_request("**/openapi.json"):
            self._page.evaluate("dispatchEvent(new Event('online'))")

    def is_told(self) -> None:
        """The answer comes: the default of `n` is another, and there is no `f` any more."""
        [route] = self._held
        answer = route.fetch()
        document: dict[str, Any] = answer.json()
        properties = document["components"]["schemas"]["Input"]["properties"]
        properties["n"]["default"] = 2
        del properties["f"]
        route.fulfill(response=answer, json=document)

    def _health(self, route: Route) -> None:
        answer = route.fetch()
        health = answer.json()
        if self._again:
            health["setup"]["completed_at"] = "2100-01-01T00:00:00+00:00"
        route.fulfill(response=answer, json=health)

    def _document(self, route: Route) -> None:
        if self._again:
            self._held.append(route)
        else:
            route.continue_()


def test_what_is_typed_while_the_inputs_change_stays(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    setup = SetUpAgain(desk.page)
    page = desk.open()
    text = page.get_by_label("Text", exact=True)
    text.fill("before")
    setup.happens()
    text.press("End")
    page.keyboard.type(" and after")
    setup.is_told()
    expect(page.locator("[data-input=f]")).to_have_count(0)
    expect(text).to_be_focused()
    page.keyboard.type(" it")
    expect(text).to_have_value("before and after it")
    expect(page.get_by_label("N", exact=True)).to_have_value("2")
    desk.run()
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_have_text("before and after it:1:0.0")


def test_inputs_that_could_not_be_read_are_asked_for_again(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    refused: list[str] = []

    def refuse_once(route: Route) -> None:
        if refused:
            route.continue_()
        else:
            refused.append(route.request.url)
            route.fulfill(status=502, body="a proxy's own words")

    desk.page.route("**/openapi.json", refuse_once)
    desk.open()
    assert refused
    desk.forgive("502")
    assert desk.complaints == []
