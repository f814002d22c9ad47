"""Outputs that are no pictures: text while it comes, objects, files."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.conftest import Serve
from tests.playground.conftest import Desk, Shared


def test_pieces_are_seen_as_they_come(context: BrowserContext, shared: Shared, tmp_path: Path) -> None:
    desk = Desk(context, shared("stream_on_file"))
    page = desk.open()
    page.get_by_label("Go", exact=True).fill(str(tmp_path / "go"))
    desk.run()
    expect(page.get_by_label("Output as JSON")).to_contain_text("one")
    expect(page.get_by_role("button", name="Cancel")).to_be_visible()
    (tmp_path / "go").touch()
    desk.ends("succeeded")
    expect(page.get_by_label("Output as JSON")).to_contain_text("two")
    expect(page.get_by_label("Metrics")).to_contain_text("Count")
    assert desk.complaints == []


def test_text_is_joined(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("write_words"))
    page = desk.open()
    desk.run()
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_have_text("one two three")


def test_an_object_and_the_files_in_it(context: BrowserContext, shared: Shared, tmp_path: Path) -> None:
    desk = Desk(context, shared("describe"))
    page = desk.open()
    (tmp_path / "a.txt").write_text("the text")
    page.locator("#input-file").set_input_files(tmp_path / "a.txt")
    desk.run()
    desk.ends("succeeded")
    expect(page.get_by_label("Output as JSON")).to_contain_text('"file": "the text"')


def test_a_file_is_read_and_downloaded(context: BrowserContext, shared: Shared) -> None:
    desk = Desk(context, shared("write_file"))
    page = desk.open()
    page.get_by_label("Text", exact=True).fill("grüße")
    desk.run()
    desk.ends("succeeded")
    expect(page.locator(".other-file .text")).to_have_text("grüße")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert Path(download.value.path()).read_text() == "grüße"
    assert download.value.suggested_filename == "output.txt"


@pytest.mark.parametrize("options", [{"stream_any": False}, {"stream_history": 0}])
def test_without_a_stream_it_asks(context: BrowserContext, serve: Serve, options: dict[str, object]) -> None:
    desk = Desk(context, serve("repeat_back", **options))
    page = desk.open()
    page.get_by_label("Text", exact=True).fill("again")
    desk.run()
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_have_text("again:1:0.0")
    if "stream_any" in options:
        desk.forgive("406")
