"""`darkroom reproduce`: pictures made again from their files."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from server.diffusion import read_metadata
from tests.test_cli import darkroom

REFERENCE = str(Path(__file__).parent / "predictors" / "draw_recorded.py:Predictor")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a model in it."""
    (tmp_path / "model.bin").write_bytes(b"model")
    return tmp_path


def run(folder: Path, command: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {"MODEL_ID": str(folder / "model.bin"), **environment}
    return darkroom(command, "--predictor", REFERENCE, *arguments, cwd=folder, **variables)


def draw(folder: Path, *inputs: str, output: str = "picture.png") -> Path:
    result = run(folder, "predict", *(f"-i{text}" for text in inputs), "-o", output)
    assert result.returncode == 0, result.stderr
    return folder / output


def reproduce(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    result = run(folder, "reproduce", *arguments, **environment)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stdout, result.stderr


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change the record in a PNG, and leave its pixels."""
    with Image.open(path) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        record = json.loads(str(image.text["darkroom"]))
        image.load()
        copy = image.copy()
    edit(record)
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("darkroom", json.dumps(record))
    copy.save(path, pnginfo=chunks)


def edit_pixels(path: Path, edit: Callable[[Image.Image], Image.Image]) -> None:
    """Change the pixels of a PNG, and leave its record."""
    with Image.open(path) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        chunks = PngImagePlugin.PngInfo()
        chunks.add_itxt("darkroom", str(image.text["darkroom"]))
        edit(image.convert("RGB")).save(path, pnginfo=chunks)


@pytest.mark.parametrize("ending", ["png", "webp", "jpg", "avif"])
def test_every_picture_of_a_request_is_made_again(ending: str, folder: Path) -> None:
    inputs = ["prompt=a 😀 'apple'", "seed=7", "num_outputs=3", f"output_format={ending}", "output_quality=60"]
    draw(folder, *inputs, output=f"a.{ending}")
    status, output, _ = reproduce(folder, f"a-2.{ending}", "-o", f"again.{ending}")
    assert (status, output) == (0, f"Same pixels: a-2.{ending} was made again exactly, 64x48.\n")
    with Image.open(folder / f"again.{ending}") as again, Image.open(folder / f"a-2.{ending}") as before:
        assert np.array_equal(np.asarray(again), np.asarray(before))
    assert read_metadata(folder / f"again.{ending}").seed == 9


def test_another_model_makes_other_pixels_and_is_named(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    (folder / "model.bin").write_bytes(b"another")
    status, output, _ = reproduce(folder, path.name, "-o", "now.png")
    assert status == 1
    before, after = (np.asarray(Image.open(folder / name), dtype=int) for name in ("picture.png", "now.png"))
    psnr = 10 * np.log10(255**2 / np.mean((before - after) ** 2))
    digests = [hashlib.sha256(content).hexdigest() for content in (b"model", b"another")]
    largest = np.abs(before - after).max()
    assert output.splitlines() == [
        f"Different pixels: the largest difference from picture.png is {largest} of 255, PSNR {psnr:.1f} dB.",
        "What is different now:",
        f"  digest: {digests[0]} then, {digests[1]} now",
    ]


def test_a_lora_that_was_replaced_is_named(folder: Path) -> None:
    """Under the same name there is another file: a branch that moved, or a page with a new version."""
    (folder / "style.safetensors").write_bytes(b"style")
    path = draw(folder, "prompt=x", "lora_weights=style.safetensors")
    assert reproduce(folder, path.name)[0] == 0
    (folder / "style.safetensors").write_bytes(b"other")
    status, output, _ = reproduce(folder, path.name)
    assert status == 1
    digests = [hashlib.sha256(content).hexdigest() for content in (b"style", b"other")]
    assert output.splitlines()[1:] == [
        "What is different now:",
        f"  the LoRA style.safetensors is another file: SHA-256 {digests[0]} then, {digests[1]} now",
    ]


def test_a_picture_that_was_changed_is_different(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    whole = path.read_bytes()

    def flip(image: Image.Image) -> Image.Image:
        pixels = np.asarray(image).copy()
        pixels[3, 3, 0] ^= 128
        return Image.fromarray(pixels)

    edit_pixels(path, flip)
    status, output, _ = reproduce(folder, path.name)
    assert status == 1
    psnr = 10 * np.log10(255**2 / (128**2 / (64 * 48 * 3)))
    assert f"is 128 of 255, PSNR {psnr:.1f} dB." in output
    assert "Nothing that the file tells of is different now." in output

    change(path, lambda record: record["provenance"].update(versions={"torch": "1.0"}, device="cuda: abacus"))
    change(path, lambda record: record.update(loras=[{"source": "owner/style"}]))
    status, output, _ = reproduce(folder, path.name)
    assert status == 1
    assert output.splitlines()[1:] == [
        "What is different now:",
        "  device: cuda: abacus then, hand now",
        "  torch: 1.0 then, none now",
        "  drawing: none then, 1 now",
        "  loras: owner/style (1.0, SHA-256 not known) then, none now",
    ]

    path.write_bytes(whole)
    edit_pixels(path, lambda image: image.resize((32, 24)))
    status, output, _ = reproduce(folder, path.name)
    assert status == 1
    assert "Different: picture.png is 32x24, and what was made 64x48." in output
    assert "It was 64x48 when it was made: it has been scaled or cut since." in output


@pytest.mark.parametrize(("lossless", "status"), [(True, 0), (False, 1)])
def test_a_picture_that_was_converted(lossless: bool, status: int, folder: Path) -> None:
    with Image.open(draw(folder, "prompt=x", "output_format=jpg", output="a.jpg")) as image:
        image.save(folder / "a.webp", xmp=image.info["xmp"], lossless=lossless)
    found, output, _ = reproduce(folder, "a.webp")
    assert found == status
    assert ("It was made as JPEG and is WEBP: it has been converted since." in output) == (not lossless)


def test_files_and_secrets_have_to_be_brought(folder: Path) -> None:
    for name in ("photo", "one", "two"):
        (folder / f"{name}.bin").write_text(name)
    url = "https://example.com/a.safetensors?token=hunter2"
    inputs = ["image=@photo.bin", "styles=@one.bin", "styles=@two.bin", f"lora_weights={url}", "token=hunter2"]
    path = draw(folder, "prompt=x", *inputs)
    assert b"hunter2" not in path.read_bytes()
    assert reproduce(folder, path.name, *(f"-i{text}" for text in inputs))[0] == 0
    status, output, error = reproduce(folder, path.name, *(f"-i{text}" for text in inputs[1:]))
    assert (status, output) == (2, "")
    assert error.strip() == (
        f"darkroom: image: the picture was made with the file of SHA-256 {hashlib.sha256(b'photo').hexdigest()}, "
        "and its file does not hold that. Give it by -i image=@FILE; 0 given."
    )


def test_a_file_that_tells_nothing_cannot_be_made_again(folder: Path) -> None:
    draw(folder, "prompt=x", "embed_metadata=false")
    (folder / "page.png").write_bytes(b"<html>")
    for name, reason in (
        ("picture.png", "does not tell how it was made. It was saved with embed_metadata false"),
        ("page.png", "is not a picture of a kind that can be read"),
        ("absent.png", "There is no file absent.png."),
    ):
        status, output, error = reproduce(folder, name)
        assert (status, output) == (2, "")
        assert error.startswith("darkroom: ")
        assert reason in error
        assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": "7"}, "Expected `int`, got `str` - at `$.seed`"),
        ({"inputs": {"num_inference_steps": "many"}}, 'num_inference_steps: "many" is not of type "integer"'),
        ({"inputs": {"image": "@/etc/passwd"}}, "image: what the file tells of it points somewhere else"),
    ],
)
def test_a_record_that_was_tampered_with_is_a_clear_error(changes: dict[str, Any], reason: str, folder: Path) -> None:
    path = draw(folder, "prompt=x")
    change(path, lambda record: record.update(changes))
    status, output, error = reproduce(folder, path.name)
    assert (status, output) == (2, "")
    assert reason in error


PLAIN = "from cog import Path\ndef predict(prompt: str) -> {}:\n    {}\n"


@pytest.mark.parametrize(
    ("kind", "code", "status", "reason"),
    [
        ("str", "return prompt", 2, "put no file out"),
        ("str", "raise ValueError('no luck')", 2, "ValueError: no luck"),
        ("Path", "open('n.txt', 'w').close(); return Path('n.txt')", 2, "n.txt cannot be read"),
        (
            "Path",
            "from PIL import Image; Image.new('RGB', (64, 48)).save('n.png'); return Path('n.png')",
            1,
            "What is different now cannot be told",
        ),
    ],
)
def test_a_predictor_of_another_kind(kind: str, code: str, status: int, reason: str, folder: Path) -> None:
    path = draw(folder, "prompt=x")
    (folder / "predict.py").write_text(PLAIN.format(kind, code))
    (folder / "cog.yaml").write_text("predict: predict.py:predict\n")
    result = darkroom("reproduce", str(path), cwd=folder)
    assert result.returncode == status
    assert reason in result.stdout + result.stderr


def test_the_model_of_the_hub_that_the_file_names_is_taken(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    commit = "ab" * 20
    change(path, lambda record: record["provenance"].update(model="owner/name", revision=commit))
    (folder / "predict.py").write_text(
        PLAIN.format("str", "import os; raise ValueError((os.environ.get('MODEL_ID'), os.environ['MODEL_REVISION']))")
    )
    (folder / "cog.yaml").write_text("predict: predict.py:predict\n")
    result = darkroom("reproduce", str(path), cwd=folder)
    assert f"ValueError: ('owner/name', '{commit}')" in result.stderr
    assert f"The model is owner/name at commit {commit}, as the file says" in result.stderr
    result = darkroom("reproduce", str(path), "--model-id", "other", "--model-revision", "main", cwd=folder)
    assert "ValueError: ('other', 'main')" in result.stderr
    change(path, lambda record: record["provenance"].update(model="../secrets"))
    assert "KeyError: 'MODEL_REVISION'" in darkroom("reproduce", str(path), cwd=folder).stderr


def rounded(record: dict[str, Any], to: str | None) -> None:
    record["provenance"]["quantization"] = to


def test_the_weights_are_rounded_as_the_file_says(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    (folder / "predict.py").write_text(PLAIN.format("str", "import os; raise ValueError(os.environ['QUANTIZE'])"))
    (folder / "cog.yaml").write_text("predict: predict.py:predict\n")
    for told, flags, used in (
        ("int8", (), "int8"),
        ("int8", ("--quantize", "none"), "none"),
        (None, (), "none"),
        ("../x", (), "none"),
    ):
        change(path, partial(rounded, to=told))
        result = darkroom("reproduce", str(path), *flags, cwd=folder)
        assert f"ValueError: {used}" in result.stderr
        assert ("Its weights were int8, as the file says" in result.stderr) == (told == used)


def test_weights_that_are_rounded_otherwise_are_named(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    change(path, partial(rounded, to="int8"))
    (folder / "model.bin").write_bytes(b"other")
    assert "  quantization: int8 then, none now\n" in reproduce(folder, path.name)[1]


def test_what_stands_in_the_way_is_exit_status_2(folder: Path) -> None:
    path = draw(folder, "prompt=x")
    result = darkroom("reproduce", path.name, cwd=folder)
    assert result.returncode == 2
    assert result.stderr.startswith("darkroom: There is no cog.yaml in ")
    assert run(folder, "reproduce", "--x-mode", "train", "--trainer", "a.py:b", path.name).returncode == 2


def test_the_record_of_the_drawing_is_what_the_request_was(folder: Path) -> None:
    metadata = read_metadata(draw(folder, "prompt=x", "seed=5"))
    assert (metadata.prompt, metadata.seed, metadata.inputs["num_outputs"]) == ("x", 5, 1)
