from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor
from transformers import CLIPTokenizer

from tests.training.conftest import SIZES
from training.budget import Budget
from training.latents import empty_latents
from training.networks import make_few_step_scheduler, make_scheduler
from training.painting import Painter
from training.unet import Objective, UNetTraining, make_denoiser

STEPS = 6


class Interrupted(Budget):
    """Ends the run after some of its steps, as the clock would."""

    def __init__(self, steps: int, after: int) -> None:
        super().__init__(0, steps)
        self.left = after + 1

    def interrupted(self) -> bool:
        self.left -= 1
        return self.left == 0


def new_training(painter: Painter, tokenizer: CLIPTokenizer, seed: int = 0) -> UNetTraining:
    torch.manual_seed(seed)
    latents = empty_latents(painter.count, SIZES.image, painter.device).normal_()
    return UNetTraining(make_denoiser(SIZES, tokenizer), latents, painter.tokens, tokenizer, batch=4, seed=seed)


def weights(training: UNetTraining) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in training.denoiser.parameters()]


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def test_runs_of_a_seed_are_equal_and_others_are_not(painter: Painter, tokenizer: CLIPTokenizer) -> None:
    runs = []
    for seed in (0, 0, 1):
        training = new_training(painter, tokenizer, seed)
        assert training.train(Budget(0, steps=STEPS))
        runs.append(weights(training))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("after", [0, 3])
def test_goes_on_as_if_nothing_had_happened(
    painter: Painter, tokenizer: CLIPTokenizer, tmp_path: Path, after: int
) -> None:
    whole = new_training(painter, tokenizer)
    untrained = weights(whole)
    assert whole.train(Budget(0, steps=STEPS))

    stopped = new_training(painter, tokenizer)
    assert not stopped.train(Interrupted(STEPS, after))
    assert stopped.step_count == after
    stopped.save(tmp_path / "unet.pt")
    assert [file.name for file in tmp_path.iterdir()] == ["unet.pt"]

    resumed = new_training(painter, tokenizer)
    assert same(weights(resumed), untrained)
    resumed.load(tmp_path / "unet.pt")
    assert same(weights(resumed), weights(stopped))
    assert (resumed.step_count, resumed.spent) == (after, stopped.spent)
    assert resumed.train(Budget(0, steps=STEPS))
    assert resumed.step_count == whole.step_count == STEPS
    assert same(weights(resumed), weights(whole))
    for training in (resumed, whole):
        training.averaged()
    assert same(weights(resumed), weights(whole))


def test_the_average_lies_between_the_first_weights_and_the_last(painter: Painter, tokenizer: CLIPTokenizer) -> None:
    training = new_training(painter, tokenizer)
    first = weights(training)
    training.train(Budget(0, steps=8))
    last = weights(training)
    training.averaged()
    # Averaged after four steps and after eight, by 5/44 and 9/48 kept.
    assert not same(weights(training), last)
    away = sum(float((one - other).abs().sum()) for one, other in zip(weights(training), last, strict=True))
    assert away < sum(float((one - other).abs().sum()) for one, other in zip(first, last, strict=True))


def test_the_loss_is_that_of_the_velocity() -> None:
    """Of diffusers' own scheduler, weighted by min(SNR + 1, 6) / (SNR + 1)."""
    torch.manual_seed(0)
    objective = Objective(torch.device("cpu"))
    scheduler: DDIMScheduler = make_few_step_scheduler()
    latents = torch.randn(6, 4, 8, 8)
    timesteps = torch.tensor([0, 20, 200, 500, 800, 999])
    signal = scheduler.alphas_cumprod[timesteps]

    def right(noisy: Tensor, at: Tensor) -> Tensor:
        assert torch.equal(at, timesteps)
        part = signal[:, None, None, None]
        noise = (noisy - part.sqrt() * latents) / (1 - part).sqrt()
        velocity: Tensor = scheduler.get_velocity(latents, noise, at)  # type: ignore[arg-type]
        return velocity

    assert float(objective.loss(right, latents, timesteps)) == pytest.approx(0, abs=1e-6)
    ratio = signal / (1 - signal)
    expected = float((ratio.add(1).clamp(max=6) / (ratio + 1)).mean()) * 0.25
    assert float(objective.loss(lambda *args: right(*args) + 0.5, latents, timesteps)) == pytest.approx(
        expected, rel=1e-3
    )


def test_the_last_noise_level_is_noise_alone() -> None:
    scheduler = make_scheduler()
    assert float(scheduler.alphas_cumprod[-1]) < 5e-4
    scheduler.set_timesteps(20)
    assert int(scheduler.timesteps[0]) == 999


def test_draws_every_timestep() -> None:
    torch.manual_seed(0)
    drawn = Objective(torch.device("cpu")).draw_timesteps(100_000)
    assert (int(drawn.min()), int(drawn.max())) == (0, 999)
    assert 450 < float(drawn.float().mean()) < 500
