from __future__ import annotations

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from tests.training.conftest import SIZES
from training.budget import Budget
from training.distillation import (
    GUIDANCE,
    STEPS,
    TEACHER_STEPS,
    Distillation,
    draw_trajectories,
    turns,
    velocity_between,
)
from training.networks import make_few_step_scheduler

CAPTIONS = ["a red apple", "a fox on a blue background", "a kite"]


def captions(pipeline: StableDiffusionPipeline) -> torch.Tensor:
    encoded = pipeline.tokenizer(CAPTIONS, padding="max_length", return_tensors="pt")
    tokens: torch.Tensor = encoded["input_ids"]
    return tokens


def test_the_target_velocity_is_the_one_that_ddim_steps_with() -> None:
    torch.manual_seed(0)
    scheduler = make_few_step_scheduler()
    scheduler.set_timesteps(STEPS)
    angles = turns(scheduler)
    assert angles.shape == (STEPS,)
    here = torch.randn(2, 4, 8, 8)
    for timestep, angle in zip(scheduler.timesteps, angles, strict=True):
        velocity = torch.randn_like(here)
        there = scheduler.step(velocity, timestep, here, return_dict=False)[0]
        torch.testing.assert_close(velocity_between(here, there, angle), velocity, atol=1e-3, rtol=1e-3)
        here = there


def test_a_trajectory_is_what_the_pipeline_draws(pipeline: StableDiffusionPipeline) -> None:
    tokens = captions(pipeline)
    kept = draw_trajectories(pipeline, tokens, seed=3, batch=2)
    assert (kept.shape, kept.dtype) == ((3, STEPS + 1, 4, 8, 8), torch.float16)
    torch.manual_seed(3)
    noise = torch.cat([torch.randn(2, 4, 8, 8), torch.randn(1, 4, 8, 8)])  # of two batches
    assert torch.equal(kept[:, 0], noise.half())
    pipeline.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
    drawn = pipeline(
        CAPTIONS,
        num_inference_steps=TEACHER_STEPS,
        guidance_scale=GUIDANCE,
        latents=noise,
        output_type="latent",
    ).images
    torch.testing.assert_close(kept[:, -1].float(), drawn, atol=0.002, rtol=0.002)


def test_the_student_learns_the_way_from_place_to_place(pipeline: StableDiffusionPipeline) -> None:
    tokens = captions(pipeline)
    trajectories = draw_trajectories(pipeline, tokens, seed=0)
    scheduler = make_few_step_scheduler()
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        words = pipeline.text_encoder(tokens)[0]

    def error() -> float:
        """Of all steps of DDIM that the student takes from where the teacher was."""
        total = 0.0
        with torch.no_grad():
            for number, timestep in enumerate(scheduler.timesteps):
                here = trajectories[:, number].float()
                made = pipeline.unet(here, timestep, words, return_dict=False)[0]
                there = scheduler.step(made, timestep, here, return_dict=False)[0]
                total += float((there - trajectories[:, number + 1]).square().mean())
        return total

    before = error()
    distillation = Distillation(pipeline.unet, pipeline.text_encoder, trajectories, tokens, batch=6)
    student = distillation.train(Budget(0, steps=60), seed=0)
    pipeline.unet = student.eval()
    assert student.config["sample_size"] == SIZES.image // 8
    assert error() < 0.9 * before
