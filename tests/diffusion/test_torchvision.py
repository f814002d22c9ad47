"""Models that need torchvision, which is not installed here."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from server.diffusion import ModelError
from server.diffusion.pipeline import read
from server.diffusion.torchvision import install_command, lacks_torchvision
from tests.conftest import ROOT

SETTINGS = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2VLProcessor"}


@pytest.mark.skipif(importlib.util.find_spec("torchvision") is not None, reason="torchvision is installed")
def test_a_model_that_needs_it_says_what_to_install(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "edit"
    shutil.copytree(tiny("qwen-image"), folder)
    index = json.loads((folder / "model_index.json").read_text())
    index |= {"_class_name": "QwenImageEditPipeline", "processor": ["transformers", "Qwen2VLProcessor"]}
    (folder / "model_index.json").write_text(json.dumps(index))
    shutil.copytree(folder / "tokenizer", folder / "processor")
    (folder / "processor" / "preprocessor_config.json").write_text(json.dumps(SETTINGS))
    with pytest.raises(ModelError) as caught:
        read(folder)
    message = str(caught.value)
    assert f"The model in {folder} reads pictures with torchvision, and torchvision is not installed." in message
    assert "Run `pip install" in message


@pytest.mark.parametrize(
    ("version", "command"),
    [
        ("2.13.0+cpu", '"torchvision==0.28.*" --index-url https://download.pytorch.org/whl/cpu'),
        ("2.8.1+cu129", '"torchvision==0.23.*" --index-url https://download.pytorch.org/whl/cu129'),
        ("2.2.0", '"torchvision==0.17.*"'),
    ],
)
def test_the_command_is_for_the_torch_that_is_there(version: str, command: str) -> None:
    assert install_command(version) == f"pip install --force-reinstall --no-deps {command}"


def test_one_that_does_not_load_counts_too() -> None:
    """As torch words it where that of PyPI lies beside a torch for CPUs, and as diffusers wraps it."""
    inner = RuntimeError("operator torchvision::nms does not exist")
    outer = RuntimeError("Failed to import diffusers.pipelines because of the following error")
    outer.__cause__ = inner
    assert lacks_torchvision(outer)
    assert not lacks_torchvision(ValueError("a file is missing"))


def test_nothing_is_said_of_it_where_it_is_not_needed() -> None:
    program = "from server.diffusion import Engine; print(Engine('models/emoji-fast'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "StableDiffusionPipeline" in done.stdout
    assert "torchvision" not in done.stdout + done.stderr
