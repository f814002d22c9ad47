"""axe-core finds nothing, in light and dark, in every state of the page, and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Page

from tests.conftest import Serve
from tests.playground.conftest import AXE, Desk, Shared, unfold

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """What axe-core says is wrong, in both colours, as the rules with the elements that break them."""
    assert AXE.exists(), "Install what tests/clients/package.json names: script/setup --dev"
    if not page.evaluate("'axe' in window"):
        # Not as an element of the page, which its policy does not let in.
        page.evaluate(AXE.read_text())
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")
        result = page.evaluate("rules => axe.run(document, { runOnly: rules })", RULES)
        found += [
            (f"{scheme}: {each['id']}", [f"{node['html']} {node['failureSummary']}" for node in each["nodes"]])
            for each in result["violations"]
        ]
    return found


@pytest.mark.parametrize("size", [{"width": 1280, "height": 900}, {"width": 360, "height": 740}])
def test_with_inputs_of_every_kind(
    context: BrowserContext, shared: Shared, tmp_path: Path, size: dict[str, int]
) -> None:
    desk = Desk(context, shared("take_everything"))
    desk.page.set_viewport_size({"width": size["width"], "height": size["height"]})
    page = desk.open()
    assert violations(page) == []
    unfold(page)
    (tmp_path / "a.txt").write_text("a")
    page.locator("#input-file").set_input_files(tmp_path / "a.txt")
    page.get_by_label("Steps", exact=True).fill("99")
    desk.run()
    desk.ends("refused")
    assert violations(page) == []
    page.get_by_role("tab", name="API").click()
    assert violations(page) == []


def test_with_pictures(context: BrowserContext, shared: Shared, tmp_path: Path) -> None:
    desk = Desk(context, shared("paint_over"))
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    Image.new("RGB", (120, 80), "lime").save(tmp_path / "photo.png")
    page.locator("#input-image").set_input_files(tmp_path / "photo.png")
    page.get_by_role("button", name="Draw a mask").click()
    page.locator("canvas[data-ready]").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Use this mask").click()
    desk.run()
    desk.ends("succeeded")
    assert violations(page) == []
    page.get_by_role("button", name="Show in full size").click()
    page.get_by_role("dialog").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_label("Fail").check()
    desk.run()
    desk.ends("failed")
    assert violations(page) == []
    page.get_by_label("Fail").uncheck()
    page.get_by_label("Wait").check()
    desk.run()
    page.get_by_text("50% done").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Cancel").click()
    desk.ends("canceled")


def test_while_it_loads_and_when_it_is_gone(context: BrowserContext, serve: Serve, tmp_path: Path) -> None:
    desk = Desk(context, serve("wait_in_setup", ready=False, env={"GO": str(tmp_path / "go")}))
    page = desk.page
    page.goto(desk.server.url)
    page.get_by_text("Setup log").click()
    assert violations(page) == []
    desk.server.process.kill()
    page.get_by_text("The server cannot be reached").wait_for()
    assert violations(page) == []
