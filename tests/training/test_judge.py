from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors import safe_open
from torch import Tensor

from training.budget import Budget
from training.drawing import Settings, draw, grid, recommended_settings, score
from training.judge import Judge, read_judge, train_judge, write_judge
from training.pack import Pack
from training.vocabulary import plain


@pytest.fixture(scope="module")
def judge(pack: Pack) -> Judge:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.judge._RECIPES", 64)
        return train_judge(pack, Budget(0, steps=2), batch=4, seed=0, device=torch.device("cpu"), compiled=False)


def test_reads_what_was_written(judge: Judge, pack: Pack, tmp_path: Path) -> None:
    write_judge(judge, tmp_path / "judge.safetensors")
    read = read_judge(tmp_path / "judge.safetensors")
    assert read.labels == tuple(plain(concept.label) for concept in pack.concepts)
    assert "person with beard" in read.labels
    assert not read.training
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        scores = read(pictures)
        assert (scores.shape, scores.dtype) == ((2, len(pack.concepts)), torch.float32)
        torch.testing.assert_close(scores, judge(pictures), atol=0.01, rtol=0.01)


def test_counts_steps_that_float16_could_not(judge: Judge, tmp_path: Path) -> None:
    counter = judge.get_buffer("features.0.1.num_batches_tracked")
    before = counter.clone()
    counter.fill_(1_000_001)
    write_judge(judge, tmp_path / "judge.safetensors")
    counter.copy_(before)
    with safe_open(tmp_path / "judge.safetensors", "pt") as opened:
        assert int(opened.get_tensor("features.0.1.num_batches_tracked")) == 1_000_001
        assert opened.get_tensor("concepts.weight").dtype == torch.float16


class Sure(Judge):
    """Sees the same in every picture: the concepts in the order of their labels."""

    def forward(self, pictures: Tensor) -> Tensor:
        return -torch.arange(len(self.labels)).float().expand(len(pictures), -1)


def test_scores_by_name(pipeline: StableDiffusionPipeline) -> None:
    judge = Sure(["fox", "owl", "apple", "elk", "sunglasses", "person with beard", "kite"])
    result = score(pipeline, judge, range(7), Settings(steps=1, guidance=1.0), batch=4)
    assert result.pictures == 7
    assert [result.top_1, result.top_5] == pytest.approx([1 / 7, 5 / 7])
    assert result.missed == ("a person with beard", "a kite")
    every_third = score(pipeline, judge, range(0, 7, 3), Settings(steps=1, guidance=1.0))
    assert (every_third.pictures, every_third.missed) == (3, ("a kite",))


def test_a_picture_is_that_of_its_prompt_and_seed(pipeline: StableDiffusionPipeline) -> None:
    settings = Settings(steps=1, guidance=1.0)
    pictures = draw(pipeline, ["a fox", "a kite", "a fox"], settings, batch=2)
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert draw(pipeline, ["a fox"], settings, seed=2)[0].tobytes() != pictures[0].tobytes()
    sheet = grid([*pictures], columns=2)
    assert sheet.size == (128, 128)
    assert sheet.crop((64, 0, 128, 64)).tobytes() == pictures[1].tobytes()
    assert sheet.crop((64, 64, 128, 128)).getcolors() == [(64 * 64, (255, 255, 255))]


CARD = "---\nlicense: apache-2.0\n{}---\n\n# A model\n"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("inference:\n  parameters:\n    num_inference_steps: 8\n    guidance_scale: 1\n", Settings(8, 1)),
        ("inference:\n  parameters:\n    num_inference_steps: 8\n", Settings(8, 5)),
        ("inference: false\n", Settings(20, 5)),
        ("", Settings(20, 5)),
    ],
)
def test_settings_are_those_of_the_model_card(tmp_path: Path, metadata: str, expected: Settings) -> None:
    (tmp_path / "README.md").write_text(CARD.format(metadata))
    assert recommended_settings(tmp_path) == expected


def test_settings_without_a_card_and_those_given() -> None:
    assert recommended_settings(Path("nowhere")) == Settings(20, 5)
    assert Settings(8, 1).but(None, None) == Settings(8, 1)
    assert Settings(8, 1).but(3, None) == Settings(3, 1)
    assert Settings(8, 1).but(None, 0.0) == Settings(8, 0.0)
