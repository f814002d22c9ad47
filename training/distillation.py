"""Distils the UNet: few steps without guidance, for the many with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.budget import Budget, learning_rate
from training.device import mixed_precision, move, record, report
from training.networks import make_few_step_scheduler, make_scheduler
from training.tokenizer import empty_caption

STEPS = 8
"""In how many steps the student draws. It is taught these and no others."""
TEACHER_STEPS = 24
GUIDANCE = 5.0
_RATE = 3e-4


@torch.no_grad()
def draw_trajectories(pipeline: StableDiffusionPipeline, tokens: Tensor, seed: int, batch: int = 512) -> Tensor:
    """Let the teacher draw each caption, and keep where it passes: (captions, STEPS + 1, 4, h, w) in float16.

    The first of the STEPS + 1 is noise, the last the finished latents. The tokens are (captions, 77).
    """
    device = tokens.device
    unet, text_encoder = pipeline.unet, pipeline.text_encoder
    size, channels = unet.config.sample_size, unet.config.in_channels
    kept = torch.empty(len(tokens), STEPS + 1, channels, size, size, dtype=torch.float16, device=device)
    torch.manual_seed(seed)
    empty = empty_caption(pipeline.tokenizer).to(device)
    for start in range(0, len(tokens), batch):
        part = tokens[start : start + batch]
        scheduler = make_scheduler()
        scheduler.set_timesteps(TEACHER_STEPS, device=device)
        with mixed_precision(device):
            words = text_encoder(torch.cat([empty.expand_as(part), part]))[0]
        latents = torch.randn(len(part), channels, size, size, device=device)
        for number, timestep in enumerate(scheduler.timesteps):
            if number % (TEACHER_STEPS // STEPS) == 0:
                kept[start : start + batch, number // (TEACHER_STEPS // STEPS)] = latents
            both = torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last)
            with mixed_precision(device):
                free, led = unet(both, timestep, words, return_dict=False)[0].float().chunk(2)
            latents = scheduler.step(free + GUIDANCE * (led - free), timestep, latents, return_dict=False)[0]
        kept[start : start + batch, STEPS] = latents
    return kept


def turns(scheduler: DDIMScheduler) -> Tensor:
    """By what angle each of the scheduler's steps turns the latents, in radians: (steps,)."""
    signal = scheduler.alphas_cumprod[scheduler.timesteps]
    # The angle whose cosine is the signal's amplitude and whose sine is the noise's, ending without noise.
    angle = torch.cat([signal.sqrt().arccos(), torch.zeros(1)])
    return angle[:-1] - angle[1:]


def velocity_between(here: Tensor, there: Tensor, turn: Tensor) -> Tensor:
    """The velocity that takes a step of DDIM from here to there, as there = cos(turn) here - sin(turn) velocity."""
    return (turn.cos() * here - there) / turn.sin()


class Distillation:
    """Teaches a UNet to go from each kept place of a trajectory to the next in one step of DDIM.

    As in Salimans and Ho, "Progressive Distillation for Fast Sampling of Diffusion Models" (2022), with guidance
    distilled along (Meng et al., "On Distillation of Guided Diffusion Models", 2023), but in one stage, and on the
    teacher's own trajectories. The trajectories may be filled in later, in place.
    """

    def __init__(
        self, unet: UNet2DConditionModel, text_encoder: nn.Module, trajectories: Tensor, tokens: Tensor, batch: int
    ) -> None:
        self.device = trajectories.device
        self._student = unet.train()
        self._text_encoder = text_encoder
        move(self._student, self.device)
        move(self._text_encoder, self.device)
        self._trajectories, self._tokens, self._batch = trajectories, tokens, batch
        scheduler = make_few_step_scheduler()
        scheduler.set_timesteps(STEPS)
        self._timesteps = scheduler.timesteps.to(self.device)
        self._turn = turns(scheduler).to(self.device)
        self._rate = torch.zeros((), device=self.device)
        self._loss = torch.zeros((), device=self.device)
        cuda = self.device.type == "cuda"
        self._parameters = list(self._student.parameters())
        self._optimizer = torch.optim.AdamW(
            self._parameters, lr=self._rate, betas=(0.9, 0.99), weight_decay=0.0, fused=cuda, capturable=cuda
        )
        self._unet: Callable[..., tuple[Tensor]] = self._student
        self._advance: Callable[[], None] = self._step

    def compile(self) -> None:
        """Compile the UNet and record a whole step."""
        self._unet = torch.compile(self._student)
        self._advance = record(self._step, self._state)

    def train(self, budget: Budget, seed: int) -> UNet2DConditionModel:
        """The student, with the running average of its weights."""
        torch.manual_seed(seed)
        average: Any = AveragedModel(self._student, multi_avg_fn=get_ema_multi_avg_fn(0.99))  # type: ignore[no-untyped-call]
        self._loss.zero_()
        step = 0
        budget.begin()
        while (progress := budget.progress(step)) < 1:
            self._rate.fill_(_RATE * learning_rate(step, progress, warm_up=100))
            self._advance()
            step += 1
            if step % 10 == 0:
                average.update_parameters(self._student)
            if step % 500 == 0:
                report(f"Distillation step {step}, loss {float(self._loss) / 500:.5f}")
                self._loss.zero_()
        report(f"Distilled in {step} steps")
        averaged: UNet2DConditionModel = average.module if step >= 10 else self._student
        return averaged

    def _step(self) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        drawn = torch.randint(len(self._trajectories), (self._batch,), device=self.device)
        place = torch.randint(STEPS, (self._batch,), device=self.device)
        here, there = self._trajectories[drawn, place].float(), self._trajectories[drawn, place + 1].float()
        velocity = velocity_between(here, there, self._turn[place][:, None, None, None])
        with torch.no_grad(), mixed_precision(self.device):
            words = self._text_encoder(self._tokens[drawn])[0]
        with mixed_precision(self.device):
            noisy = here.contiguous(memory_format=torch.channels_last)
            made = self._unet(noisy, self._timesteps[place], words, return_dict=False)[0]
        loss = (made.float() - velocity).square().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0, foreach=True)
        self._optimizer.step()
        self._loss += loss.detach()

    def _state(self) -> Iterator[Tensor]:
        yield from self._parameters
        for parameter in self._parameters:
            yield from (value for _, value in sorted(self._optimizer.state[parameter].items()))
