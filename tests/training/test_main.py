"""The command line: every stage in turn, in the sizes of the tests, and what is wrong with options."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

from tests.training.conftest import SIZES
from training import stages
from training.__main__ import main


def run(*arguments: object) -> str:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_stage_takes_the_files_of_those_before(
    pack_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "Sizes", lambda: SIZES)
    monkeypatch.setattr("training.judge._RECIPES", 64)
    (tmp_path / "pack").symlink_to(pack_folder)
    work = ("--work", tmp_path)
    quick = (*work, "--steps", 2, "--batch", 2, "--eager")
    run("recipes", *work, "--count", 8)
    run("vae", *quick)
    run("unet", *quick, "--until", 0)
    assert json.loads((tmp_path / "unet.json").read_text()) == {"steps": 0, "batch": 2, "done": False}
    assert "Going on from step 0" in run("unet", *quick)
    assert json.loads((tmp_path / "unet.json").read_text()) == {"steps": 2, "batch": 2, "done": True}
    run("decoder", *quick)
    run("export", *work)
    run("judge", *quick)
    model = ("--model", tmp_path / "pipeline")
    run("lora", *work, *model, "--steps", 2, "--batch", 2)
    run("trajectories", *work, *model, "--count", 2)
    run("distil", *quick, *model, "--count", 2)
    run("export", *work, "--fast")
    fast = ("--model", tmp_path / "pipeline-fast", "--steps", 1, "--guidance", 1)
    scored = run("score", *fast, "--judge", tmp_path / "judge.safetensors", "--every", 10)
    assert "Of 3 pictures, 1 steps and guidance 1, the judge named" in scored
    (tmp_path / "prompts").write_text("a fox\na kite\n")
    lora = tmp_path / "loras" / "pixel-art" / "pytorch_lora_weights.safetensors"
    run("draw", *fast, "--lora", lora, "--prompts", tmp_path / "prompts", tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as sheet:
        assert sheet.size == (8 * SIZES.image, SIZES.image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "--every", "0"], "0 is not in the range x>=1"),
        (["score", "--steps", "0"], "0 is not in the range x>=1"),
        (["score", "--guidance", "much"], "'much' is not a valid float"),
        (["score", "--model", "/nowhere"], "'/nowhere' does not exist"),
        (["vae", "--steps", "0"], "0 is not in the range x>=1"),
        (["unet", "--seconds", "0"], "0.0 is not in the range x>0"),
        (["pack"], "Missing option '--modules'"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_says_what_is_wrong_with_its_options(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert message in result.output
