"""The form of a model that has an input of every kind: what stands in it, what it sends, and what is wrong with it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.conftest import Server
from tests.playground.conftest import Desk, Shared, unfold

FIRST = {"z_required": "z", "required": 1}


@pytest.fixture(scope="module")
def server(shared: Shared) -> Server:
    return shared("take_everything")


@pytest.fixture
def page(desk: Desk) -> Page:
    """The form, unfolded, with what must be given."""
    page = desk.open()
    unfold(page)
    page.get_by_label("Z required", exact=True).fill("z")
    page.get_by_label("Required", exact=True).fill("1")
    return page


FOLDS = ["Settings", "Size", "Pictures to start from"]


def fold_of(page: Page, title: str) -> Locator:
    """The fields in the group of this title."""
    return page.locator(".fold", has=page.get_by_text(title, exact=True)).locator("[data-input]")


def request_of(page: Page) -> dict[str, Any]:
    """The input that the API tab says would be sent."""
    page.get_by_role("tab", name="API").click()
    text = page.get_by_label("Request: curl").inner_text()
    page.get_by_role("tab", name="Demo").click()
    body: dict[str, dict[str, Any]] = json.loads(text.partition("<<'JSON'\n")[2].rpartition("JSON")[0])
    return body["input"]


def test_the_order_is_the_models_and_defaults_stand_there(desk: Desk) -> None:
    page = desk.open()
    names = page.locator("[data-input]").evaluate_all("fields => fields.map((field) => field.dataset.input)")
    schema = desk.server.client.get("/openapi.json").json()["components"]["schemas"]["Input"]
    assert sorted(names) == sorted(schema["properties"])
    # What must be given or is written comes first; in each part the order is that of the signature.
    parts = {}
    for part, found in (("", page.locator("form > .field")), *((title, fold_of(page, title)) for title in FOLDS)):
        parts[part] = found.evaluate_all("fields => fields.map((field) => field.dataset.input)")
        order = [schema["properties"][name]["x-order"] for name in parts[part]]
        assert order == sorted(order)
    assert names == [name for part in parts.values() for name in part]
    assert parts[""][:2] == ["z_required", "required"]
    assert parts["Pictures to start from"] == ["image", "images"]
    assert page.locator(".fold-title").all_inner_texts() == FOLDS
    unfold(page)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("3")
    expect(page.get_by_label("Text", exact=True)).to_have_value("abc")
    expect(page.get_by_label("Size", exact=True).locator("option:checked")).to_have_text("small")
    assert [page.get_by_label(tag, exact=True).is_checked() for tag in "ab"] == [True, False]
    expect(page.get_by_label("Maybe", exact=True)).to_have_value("")
    expect(page.get_by_label("Grid", exact=True)).to_have_value("[\n  [\n    1\n  ]\n]")
    expect(page.locator("#about-z_required")).to_have_text("Required, and last in the alphabet")


def test_only_what_differs_from_the_defaults_is_sent(page: Page) -> None:
    assert request_of(page) == FIRST
    page.get_by_label("Steps", exact=True).fill("4")
    page.get_by_label("Steps", exact=True).fill("3")
    assert request_of(page) == FIRST


@pytest.mark.parametrize(
    ("label", "text", "expected"),
    [
        ("Text", "xyz", {"text": "xyz"}),
        ("Text", "", {"text": ""}),
        ("Steps", "7", {"steps": 7}),
        ("Steps", "", {}),
        ("Scale", "0.75", {"scale": 0.75}),
        ("Maybe", "0", {"maybe": 0}),
        ("Grid", "[[2, 3], []]", {"grid": [[2, 3], []]}),
        ("Grid", "", {}),
        ("Either", "12", {"either": 12}),
        ("Either", '"12"', {"either": "12"}),
        ("Either", "twelve {", {"either": "twelve {"}),
        ("One or many", "[1, 2]", {"one_or_many": [1, 2]}),
        ("Anything", "null", {"anything": None}),
        ("Options", '{"a": {"b": 1}}', {"options": {"a": {"b": 1}}}),
        ("Numbers, item 1", "5", {"numbers": [5]}),
        ("Words, item 1", "5", {"words": ["5"]}),
    ],
)
def test_what_is_written_is_sent(page: Page, label: str, text: str, expected: dict[str, Any]) -> None:
    page.get_by_label(label, exact=True).fill(text)
    assert request_of(page) == FIRST | expected


def test_what_is_chosen_is_sent(page: Page) -> None:
    page.get_by_label("Steps, slider").press("End")
    page.get_by_label("Flag", exact=True).check()
    page.get_by_label("Size", exact=True).select_option("großé")
    page.get_by_label("Width", exact=True).select_option("256")
    page.get_by_label("Zoom", exact=True).select_option("1e-7")
    page.get_by_label("b", exact=True).check()
    page.get_by_role("button", name="Add an item to Words").click()
    expect(page.get_by_label("Words, item 2", exact=True)).to_be_focused()
    page.keyboard.type("two")
    page.get_by_role("button", name="Remove item 1 of Numbers").click()
    assert request_of(page) == FIRST | {
        "steps": 10,
        "flag": True,
        "size": "großé",
        "width": 256,
        "zoom": 1e-7,
        "tags": ["a", "b"],
        "words": ["a", "two"],
        "numbers": [],
    }
    page.get_by_role("button", name="Reset").click()
    assert request_of(page) == {}


def test_files_and_secrets_are_sent_and_shown_to_nobody(desk: Desk, page: Page, tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.txt" for name in "abc"]
    for path in paths:
        path.write_text(path.stem * 200)
    page.locator("#input-file").set_input_files(paths[0])
    page.locator("#input-images").set_input_files(paths[1:])
    page.get_by_label("Token", exact=True).fill("hunter2")
    expect(page.get_by_label("Token", exact=True)).to_have_attribute("type", "password")
    expect(page.locator(".chosen")).to_have_count(3)
    shown = request_of(page)
    assert shown["token"] == "…"
    assert shown["file"].endswith("… (200 bytes)")
    assert "hunter2" not in page.inner_text("body")
    page.get_by_role("button", name="Copy link").click()
    link = page.evaluate("navigator.clipboard.readText()")
    assert "hunter2" not in link
    desk.run()
    desk.ends("succeeded")
    expect(page.locator(".output .text")).to_contain_text("file, flag, grid, image, images, letter")
    # Nor is it kept.
    kept = page.evaluate(
        """() => new Promise((resolve) => {
            const opening = indexedDB.open("darkroom-playground");
            opening.onsuccess = () => {
                const asking = opening.result.transaction("predictions").objectStore("predictions").getAll();
                asking.onsuccess = () => resolve(JSON.stringify(asking.result));
            };
        })"""
    )
    assert "z_required" in kept
    assert "hunter2" not in kept


def test_what_the_server_refuses_stands_at_the_inputs(desk: Desk) -> None:
    page = desk.open()
    page.get_by_label("Text", exact=True).fill("a")
    unfold(page)
    page.get_by_label("Steps", exact=True).fill("99")
    unfold(page)
    desk.run()
    desk.ends("refused")
    answer = desk.server.predict(text="a", steps=99).json()["detail"]
    told = {each["loc"][2]: each["msg"] for each in answer}
    assert told.keys() == {"z_required", "required", "text", "steps"}
    for name, message in told.items():
        expect(page.locator(f"#error-{name}")).to_have_text(message)
    expect(page.get_by_label("Z required", exact=True)).to_be_focused()
    expect(page.get_by_label("Steps", exact=True)).to_be_visible()
    expect(page.get_by_label("Steps", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Steps", exact=True)).to_have_attribute("aria-describedby", re.compile("error-steps"))
    page.get_by_label("Steps", exact=True).fill("9")
    expect(page.locator("#error-steps")).to_have_count(0)
    desk.forgive("422")


def test_what_is_no_json_is_not_sent(desk: Desk, page: Page) -> None:
    page.get_by_label("Options", exact=True).fill("{a: 1}")
    desk.run()
    expect(page.locator("#error-options")).to_contain_text("This is no JSON")
    expect(page.get_by_label("Options", exact=True)).to_be_focused()
