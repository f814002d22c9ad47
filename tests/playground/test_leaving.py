"""What runs goes on when the page is loaded anew, closed, or broken, and is found again; and what earlier runs left."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from tests.conftest import Serve
from tests.playground.conftest import Desk, Shared, unfold


def begin(desk: Desk, folder: Path, name: str) -> Page:
    page = desk.open()
    page.get_by_label("Folder", exact=True).fill(str(folder))
    page.get_by_label("Name", exact=True).fill(name)
    desk.run()
    page.get_by_text("Running…").wait_for()
    return page


def test_a_run_is_shown_again_when_the_page_is_loaded_anew(
    context: BrowserContext, shared: Shared, tmp_path: Path
) -> None:
    desk = Desk(context, shared("wait_for_file"))
    page = begin(desk, tmp_path, "a")
    page.reload()
    page.get_by_text("Running…").wait_for()
    expect(page.get_by_label("Name", exact=True)).to_have_value("a")
    expect(page.locator(".earlier")).to_have_count(0)
    (tmp_path / "a.go").touch()
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_have_text("a")
    expect(page.locator(".earlier")).to_have_count(1)
    assert not (tmp_path / "a.stopped").exists()
    assert desk.complaints == []


def test_a_run_of_a_closed_page_is_found_among_the_earlier(
    context: BrowserContext, shared: Shared, tmp_path: Path
) -> None:
    desk = Desk(context, shared("wait_for_file"))
    begin(desk, tmp_path, "a").close()
    desk.page = page = context.new_page()
    desk.open()
    earlier = page.locator(".earlier")
    expect(earlier).to_contain_text("running")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    earlier.locator(".picture").click()
    page.get_by_role("button", name="Cancel").click()
    desk.ends("canceled")
    assert (tmp_path / "a.stopped").exists()
    assert desk.complaints == []


def kept(page: Page) -> int:
    """How many runs the browser has stored."""
    count: int = page.evaluate(
        """() => new Promise((resolve) => {
            const opening = indexedDB.open("darkroom-playground");
            opening.onsuccess = () => {
                const asking = opening.result.transaction("predictions").objectStore("predictions").count();
                asking.onsuccess = () => { opening.result.close(); resolve(asking.result); };
            };
        })"""
    )
    return count


NO_ROOM = """(times) => {
    IDBObjectStore.prototype.real ??= IDBObjectStore.prototype.put;
    IDBObjectStore.prototype.put = function (...values) {
        const asked = this.real(...values);
        if (times-- > 0) {
            // As browsers tell it: the transaction is given up when it is to be written.
            Object.defineProperty(this.transaction, "error", { value: new DOMException("full", "QuotaExceededError") });
            this.transaction.abort();
        }
        return asked;
    };
}"""


def test_where_there_is_no_room_the_oldest_make_some(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.open()

    def run(text: str, entries: int) -> None:
        page.get_by_label("Text", exact=True).fill(text)
        desk.run()
        expect(page.locator(".earlier-title").first).to_have_text(text[:120])
        expect(page.locator(".earlier")).to_have_count(entries)

    run("a", 1)
    run("b", 2)
    page.evaluate(NO_ROOM, 1)
    run("c", 2)
    # Of none that there is room for at all there is one in memory, as long as the page is open.
    page.evaluate(NO_ROOM, 1000)
    run("d", 1)
    assert kept(page) == 0
    desk.ends("succeeded")
    assert desk.complaints == []


HOSTILE = {
    "text": "javascript:alert(1)",
    "longtext": "<img src=x onerror=alert(1)>" * 3,
    "file": "javascript:alert(1)",
    "images": "https://example.com/a.png",
    "image": {"toString": 1},
    "steps": "1e999",
    "scale": [0.5],
    "flag": "no",
    "size": "gigantic",
    "tags": "a",
    "numbers": {"length": 3},
    "options": 1,
    "constructor": {"prototype": 1},
    "__proto__": {"required": 1},
    "no_such_input": 1,
}


def test_a_hostile_link_does_no_harm(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("take_everything"))
    page = desk.page
    page.on("dialog", lambda dialog: desk.complaints.append(dialog.message))
    desk.open(f"/#input={quote(json.dumps(HOSTILE))}")
    notice = page.get_by_role("status").filter(has_text="Not everything could be filled in")
    for name in ("File", "Images", "Image", "Steps", "Flag", "Size", "Tags", "Numbers", "Constructor", "No such input"):
        expect(notice).to_contain_text(name)
    unfold(page)
    expect(page.get_by_label("Text", exact=True)).to_have_value("javascript:alert(1)")
    expect(page.get_by_label("Steps", exact=True)).to_have_value("3")
    assert page.locator("[href^=javascript], img[src^=javascript], img[src='x'], .chosen").count() == 0
    page.get_by_role("tab", name="API").click()
    page.get_by_role("tab", name="Demo").click()
    page.get_by_role("button", name="Reset").click()
    expect(notice).to_have_count(0)
    assert desk.complaints == []
    assert desk.elsewhere == []


@pytest.mark.parametrize(
    "value", ["[" * 50_000 + "]" * 50_000, json.dumps("x" * 300_000), "1e999", "-0", '"\\ud800\\u2028\\u0000"']
)
def test_values_beyond_measure_in_a_link_do_no_harm(context: BrowserContext, shared: Shared, value: str) -> None:
    desk = Desk(context, shared("take_everything"))
    names = ("anything", "text", "steps", "grid", "options")
    page = desk.open("/#input=" + quote("{" + ",".join(f'"{name}":{value}' for name in names) + "}"))
    page.get_by_role("tab", name="API").click()
    page.get_by_label("Request: curl").wait_for()
    assert desk.complaints == []


def test_what_cannot_be_drawn_says_so_and_leads_on(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.page
    broken = True

    def answer(route: Route) -> None:
        if broken:
            route.fulfill(json={"openapi": "3.0.2", "info": {"title": "Cog"}, "components": {}})
        else:
            route.continue_()

    page.route("**/openapi.json", answer)
    page.goto(f"{desk.server.url}/#input=%7B%22text%22%3A%22a%22%7D")
    expect(page.get_by_role("alert")).to_contain_text("The page cannot be shown")
    broken = False
    page.get_by_role("button", name="Load the page anew").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value("x")
    assert desk.complaints == []


def test_an_output_that_cannot_be_drawn_leaves_the_form(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("repeat_back"))
    page = desk.open()
    answer = {"status": "succeeded", "output": "data:text/plain,%E0%A4%A", "metrics": {"warnings": None}}
    events = f"event: completed\ndata: {json.dumps(answer)}\n\n"
    page.route("**/predictions", lambda route: route.fulfill(content_type="text/event-stream", body=events))
    page.get_by_label("Text", exact=True).fill("kept")
    desk.run()
    expect(page.get_by_role("alert")).to_contain_text("The output cannot be shown")
    expect(page.get_by_label("Text", exact=True)).to_have_value("kept")
    page.unroute("**/predictions")
    desk.run()
    expect(page.locator(".output .text")).to_have_text("kept:1:0.0")


def test_a_model_that_trains_has_a_page_for_that(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    desk = Desk(context, serve("train_weights", trainer="train_weights.py:train", x_mode="train"))
    page = desk.page
    page.goto(desk.server.url)
    (tmp_path / "a.txt").write_text("lesson")
    page.locator("#input-data").set_input_files(tmp_path / "a.txt")
    page.get_by_label("Steps", exact=True).fill("3")
    page.get_by_role("tab", name="API").click()
    expect(page.get_by_label("Request: curl")).to_contain_text(f"{desk.server.url}/trainings")
    assert page.get_by_role("tablist", name="Language").get_by_role("tab").all_inner_texts() == [
        "curl",
        "Python",
        "JavaScript",
        "Command line",
    ]
    page.get_by_role("tab", name="Command line").click()
    expect(page.get_by_label("Request: Command line")).to_contain_text("darkroom predict --x-mode train")
    page.get_by_role("button", name="Train", exact=True).click()
    desk.ends("succeeded")
    expect(page.get_by_label("Metrics")).to_contain_text(re.compile(r"Loss\s*0\.3333"))
    expect(page.get_by_label("Output as JSON")).to_contain_text('"steps": 3')
    expect(page.locator(".earlier")).to_have_count(1)
    assert desk.complaints == []
