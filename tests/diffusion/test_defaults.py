"""A model's own defaults."""

from pathlib import Path
from typing import Any

import pytest

from server.diffusion.defaults import recommended_arguments
from tests.diffusion.tiny_pipelines import EMOJI


class Pipeline:
    """Takes what most pipelines take."""

    def __call__(self, prompt: str, num_inference_steps: int = 50, guidance_scale: float = 7.5) -> None: ...


def recommended(folder: Path) -> dict[str, Any]:
    pipeline: Any = Pipeline()
    return recommended_arguments(pipeline, folder)


def card(folder: Path, metadata: str) -> Path:
    (folder / "README.md").write_text(f"---\n{metadata}\n---\n# A model\n")
    return folder


def test_the_embedded_model_recommends_its_own() -> None:
    assert recommended(EMOJI) == {"num_inference_steps": 20, "guidance_scale": 4}


@pytest.mark.parametrize(
    "metadata",
    [
        "license: mit",
        "inference: false",
        "inference: true",
        "inference:\n  parameters:",
        "inference:\n  widget: 1",
        "#",
    ],
)
def test_most_cards_recommend_nothing(metadata: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert recommended(card(tmp_path, metadata)) == {}
    assert not caplog.records


def test_a_model_needs_no_card(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert recommended(tmp_path) == {}
    (tmp_path / "README.md").write_text("# Only text\n")
    assert recommended(tmp_path) == {}
    assert not caplog.records


@pytest.mark.parametrize("parameter", ["strength: 0.5", "num_inference_steps: many", "guidance_scale: true"])
def test_what_cannot_be_used_is_told(parameter: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    metadata = f"inference:\n  parameters:\n    {parameter}\n    prompt: a cat"
    assert recommended(card(tmp_path, metadata)) == {}
    assert parameter.partition(":")[0] in caplog.text


@pytest.mark.parametrize("metadata", ["a: [", "- a list"])
def test_a_damaged_card_is_told(metadata: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert recommended(card(tmp_path, metadata)) == {}
    assert "cannot be read" in caplog.text
