"""The page with the model that ships inside: written, run, seen; stopped; and done again from memory."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import ROOT, Server
from tests.playground.conftest import Desk, Shared, shown


@pytest.fixture(scope="module")
def server(shared: Shared) -> Server:
    return shared(ROOT)


def draw(desk: Desk, prompt: str = "a red apple", steps: str = "4") -> None:
    desk.page.get_by_label("Prompt", exact=True).fill(prompt)
    desk.page.get_by_text("Settings").click()
    desk.page.get_by_label("Number of inference steps", exact=True).fill(steps)
    desk.page.keyboard.press("Control+Enter")


def test_a_picture_is_drawn_and_seen(desk: Desk) -> None:
    page = desk.open("/playground")
    draw(desk)
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    desk.ends("succeeded")
    picture = page.get_by_alt_text("Output 1 of 1: a red apple")
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")
    expect(page.get_by_label("Metrics")).to_contain_text(re.compile(r"Seed\s*\d+"))
    expect(page.get_by_text("Done", exact=True).first).to_be_visible()
    page.get_by_text("Logs", exact=True).click()
    expect(page.get_by_label("Logs")).to_contain_text("4/4")
    # No preview is left in what was kept.
    page.get_by_text("Response", exact=True).click()
    response = json.loads(page.get_by_label("Response").inner_text())
    assert (response["status"], "preview" in response["metrics"]) == ("succeeded", False)


def test_it_is_seen_while_it_becomes(desk: Desk) -> None:
    page = desk.open()
    draw(desk, steps="500")
    preview = page.get_by_alt_text("Preview of the picture in the making")
    preview.wait_for()
    bar = page.get_by_role("progressbar")
    expect(page.get_by_text(re.compile(r"Step \d+ of 500"))).to_be_visible()
    before = float(bar.get_attribute("value") or 0)
    page.wait_for_function("before => document.querySelector('progress').value > before", arg=before)
    page.get_by_role("button", name="Cancel").click()
    desk.ends("canceled")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    expect(preview).to_have_count(0)


def test_a_run_can_be_repeated_and_varied(desk: Desk) -> None:
    page = desk.open()
    draw(desk)
    desk.ends("succeeded")
    seeds: list[str] = []
    pictures: list[bytes] = []

    def note() -> None:
        [seed] = re.findall(r"Seed\s*(\d+)", page.get_by_label("Metrics").inner_text())
        seeds.append(seed)
        # The files differ: each tells whether its seed was asked for.
        pictures.append(shown(page.locator(".pictures img")).tobytes())

    note()
    for button in ("Again", "Vary the seed"):
        count = page.locator(".earlier").count()
        page.get_by_role("button", name=button).first.click()
        expect(page.locator(".earlier")).to_have_count(count + 1)
        note()
    assert seeds[0] == seeds[1] != seeds[2]
    assert pictures[0] == pictures[1] != pictures[2]
    # They outlive the page, with their pictures and settings.
    page.reload()
    expect(page.locator(".earlier img")).to_have_count(3)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")
    page.get_by_role("button", name="Open a red apple").last.click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("a red apple")
    expect(page.get_by_alt_text("Output 1 of 1: a red apple")).to_be_visible()
    page.get_by_role("button", name="Forget all").click()
    expect(page.locator(".earlier")).to_have_count(0)


def test_a_link_fills_in_the_form(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("ein Apfel, 100 % rot & süß #1")
    page.get_by_text("Size", exact=True).click()
    page.get_by_label("Width", exact=True).fill("256")
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert json.loads(unquote(link.partition("#input=")[2])) == {
        "prompt": "ein Apfel, 100 % rot & süß #1",
        "width": 256,
    }
    page.goto("about:blank")
    page.goto(link)
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("ein Apfel, 100 % rot & süß #1")
    page.get_by_text("Size", exact=True).click()
    expect(page.get_by_label("Width", exact=True)).to_have_value("256")


BROKEN = ["#input=%7B", "#input=%", "#input=%5B1%5D", "#input=null", "#other", "#input=%7B%22gone%22:1%7D"]


@pytest.mark.parametrize("fragment", BROKEN)
def test_a_broken_link_does_no_harm(desk: Desk, fragment: str) -> None:
    page = desk.open(f"/{fragment}")
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("")


def test_on_a_phone_nothing_is_cut_off(desk: Desk) -> None:
    page = desk.page
    page.set_viewport_size({"width": 360, "height": 740})
    desk.open()
    draw(desk, "a red apple with a very long name " + "x" * 200)
    desk.ends("succeeded")
    for summary in page.locator("summary").all():
        if summary.locator("..").get_attribute("open") is None:
            summary.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_role("tab", name="API").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def go_to(page: Page, place: Locator) -> None:
    """Press Tab until the focus is there."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if place.evaluate("element => element === document.activeElement"):
            return
    pytest.fail(f"Tab does not lead to {place}")


def test_the_keyboard_is_enough(desk: Desk) -> None:
    page = desk.open()
    go_to(page, page.get_by_label("Prompt", exact=True))
    page.keyboard.type("a red apple")
    go_to(page, page.locator("summary", has_text="Size"))
    page.keyboard.press("Enter")
    go_to(page, page.get_by_label("Width, slider"))
    page.keyboard.press("Home")
    expect(page.get_by_label("Width", exact=True)).to_have_value("64")
    page.get_by_role("tab", name="Demo").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="API")).to_be_focused()
    expect(page.get_by_label("Request: curl")).to_contain_text('"width": 64')


def test_colours_are_chosen_and_kept(desk: Desk) -> None:
    page = desk.open()
    background = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    page.emulate_media(color_scheme="light")
    light = page.evaluate(background)
    assert dark != light
    page.get_by_role("button", name="Colours").click()
    page.get_by_role("button", name="Colours").click()
    page.reload()
    page.get_by_role("button", name="Colours: Dark").wait_for()
    assert page.evaluate(background) == dark
