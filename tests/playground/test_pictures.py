"""Pictures as inputs and outputs: chosen, dropped, pasted, fetched, masked, used again; and a prediction that fails."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.conftest import Server
from tests.playground.conftest import Desk, Shared, shown

SIZE = (120, 80)


@pytest.fixture(scope="module")
def server(shared: Shared) -> Server:
    return shared("paint_over")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.new("RGB", SIZE, "lime").save(path)
    return path


def hand_over(page: Page, event: str, target: str, photo: Path) -> None:
    """What dragging a file from a desktop, or pasting one, comes to for a page."""
    script = """([event, target, data]) => {
        const transfer = new DataTransfer();
        const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
        transfer.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        document.querySelector(target).dispatchEvent(event === "paste"
            ? new ClipboardEvent(event, { ...options, clipboardData: transfer })
            : new DragEvent(event, { ...options, dataTransfer: transfer }));
    }"""
    page.evaluate(script, [event, target, base64.b64encode(photo.read_bytes()).decode()])


def test_a_picture_is_chosen_and_comes_back(desk: Desk, photo: Path) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    page.locator("#input-image").set_input_files(photo)
    expect(page.get_by_alt_text("Image: photo.png")).to_be_visible()
    desk.run()
    desk.ends("succeeded")
    picture = shown(page.get_by_alt_text("Output 1 of 1: a hat"))
    assert (picture.size, picture.getpixel((0, 0))) == (SIZE, (0, 255, 0))


@pytest.mark.parametrize(
    ("event", "target", "field"),
    [
        ("drop", "[data-input=mask] .drop", "Mask"),
        ("paste", "[data-input=mask] input[type=url]", "Mask"),
        ("paste", "body", "Image"),
    ],
)
def test_a_picture_is_dropped_or_pasted(desk: Desk, photo: Path, event: str, target: str, field: str) -> None:
    page = desk.open()
    hand_over(page, event, target, photo)
    preview = page.get_by_alt_text(f"{field}: dropped.png")
    preview.wait_for()
    assert shown(preview).size == SIZE
    page.get_by_role("button", name=f"Remove {field}").click()
    expect(preview).to_have_count(0)


def test_the_server_fetches_a_url_and_the_page_does_not(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    address = page.get_by_label("URL of Image")
    address.fill("picture.png")
    address.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("A URL begins with https:// or http://.")
    # No picture, but what the server says of it shows that it went there.
    address.fill(f"{desk.server.url}/playground/nothing.png")
    address.press("Enter")
    expect(page.get_by_text("fetched by the server")).to_be_visible()
    desk.run()
    desk.ends("failed")
    expect(page.locator(".reason")).to_contain_text("nothing.png")


def test_a_mask_is_drawn_over_the_picture(desk: Desk, photo: Path) -> None:
    page = desk.open()
    expect(page.get_by_role("button", name="Draw a mask")).to_be_disabled()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    page.locator("#input-image").set_input_files(photo)
    page.get_by_role("button", name="Draw a mask").click()
    canvas = page.locator("canvas[data-ready]")
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Use this mask").click()
    mask = shown(page.get_by_alt_text("Mask: mask.png"))
    assert mask.size == SIZE
    assert [mask.getpixel((x, 40)) for x in (12, 40, 70)] == [(255, 255, 255)] * 3
    assert [mask.getpixel(place) for place in ((0, 0), (100, 40), (40, 70))] == [(0, 0, 0)] * 3
    desk.run()
    desk.ends("succeeded")
    painted = shown(page.get_by_alt_text("Output 1 of 1: a hat"))
    assert [painted.getpixel(place) for place in ((40, 40), (100, 40))] == [(255, 0, 0), (0, 255, 0)]


def test_a_mask_is_drawn_by_keyboard_and_mended(desk: Desk, photo: Path) -> None:
    page = desk.open()
    page.locator("#input-image").set_input_files(photo)
    page.get_by_role("button", name="Draw a mask").click()
    canvas = page.locator("canvas[data-ready]")
    canvas.focus()
    page.keyboard.down(" ")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.up(" ")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    page.get_by_role("button", name="Use this mask").click()

    def pixels() -> list[float | tuple[int, ...] | None]:
        mask = shown(page.get_by_alt_text("Mask: mask.png")).convert("L")
        return [mask.getpixel((x, 40)) for x in (60, 72, 96)]

    assert pixels() == [255, 255, 0]
    page.get_by_role("button", name="Change the mask").click()
    canvas.wait_for()
    page.get_by_role("button", name="Invert").click()
    page.get_by_role("button", name="Use this mask").click()
    assert pixels() == [0, 0, 255]
    page.get_by_role("button", name="Change the mask").click()
    canvas.wait_for()
    page.get_by_role("button", name="Clear").click()
    page.get_by_role("button", name="Undo").click()
    page.get_by_label("Erase").check()
    canvas.focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press(" ")
    page.get_by_role("button", name="Use this mask").click()
    assert pixels() == [0, 0, 0]
    page.get_by_role("button", name="Change the mask").click()
    canvas.wait_for()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_mask_is_drawn_by_touch_with_one_finger(desk: Desk, photo: Path) -> None:
    page = desk.open()
    page.locator("#input-image").set_input_files(photo)
    page.get_by_role("button", name="Draw a mask").click()
    canvas = page.locator("canvas[data-ready]")
    box = canvas.bounding_box()
    assert box
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [
            {"x": box["x"] + box["width"] * x, "y": box["y"] + box["height"] * y, "id": number}
            for number, (x, y) in enumerate(places)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", (0.1, 0.5))
    touch("touchStart", (0.1, 0.5), (0.5, 0.9))
    touch("touchMove", (0.4, 0.5), (0.9, 0.9))
    touch("touchEnd")
    page.get_by_role("button", name="Use this mask").click()

    def pixels() -> list[float | tuple[int, ...] | None]:
        mask = shown(page.get_by_alt_text("Mask: mask.png")).convert("L")
        return [mask.getpixel(place) for place in ((12, 40), (48, 40), (60, 72), (105, 72))]

    assert pixels() == [255, 255, 0, 0]
    page.get_by_role("button", name="Change the mask").click()
    canvas.wait_for()
    touch("touchStart", (0.9, 0.9))
    touch("touchEnd")
    canvas.focus()
    page.keyboard.press("Control+z")
    page.get_by_role("button", name="Use this mask").click()
    assert pixels() == [255, 255, 0, 0]


def test_what_is_no_picture_cannot_be_drawn_on(desk: Desk, tmp_path: Path) -> None:
    page = desk.open()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page.locator("#input-image").set_input_files(tmp_path / "broken.png")
    page.get_by_role("button", name="Draw a mask").click()
    expect(page.get_by_role("alert")).to_contain_text("cannot show this picture")
    expect(page.get_by_role("button", name="Use this mask")).to_be_disabled()


def test_an_output_is_seen_large_downloaded_and_used_again(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    desk.run()
    desk.ends("succeeded")
    page.get_by_role("button", name="Show in full size").click()
    expect(page.get_by_role("dialog", name="Full size").get_by_alt_text("Output 1 of 1: a hat")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download output 1").click()
    assert download.value.suggested_filename == "output-0.png"
    with Image.open(download.value.path()) as picture:
        assert picture.size == (64, 48)
    page.get_by_role("button", name="Use as input").click()
    assert shown(page.get_by_alt_text("Image: output")).size == (64, 48)


def test_warnings_stand_above_and_beside_the_input(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    desk.run()
    desk.ends("succeeded")
    expect(page.get_by_label("Warnings")).to_contain_text("It has no effect.")
    expect(page.locator("[data-input=seed] .note")).to_have_text("It has no effect.")
    page.get_by_label("Warnings").get_by_role("button", name="Seed").click()
    expect(page.get_by_label("Seed", exact=True)).to_be_focused()


def test_a_failure_says_why_and_shows_the_log(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("a hat")
    page.get_by_label("Fail").check()
    desk.run()
    desk.ends("failed")
    expect(page.locator(".reason")).to_have_text("ValueError: the paint is out")
    expect(page.get_by_label("Logs")).to_have_text("Painting a hat")
    expect(page.get_by_role("status").filter(has_text="the paint is out")).to_have_count(1)
