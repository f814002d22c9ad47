"""The reference: a stock text-to-image pipeline, one request at a time, as `cog-stable-diffusion` has it.

Served by the real Cog. Three variables choose: BENCH_MODEL, a folder; BENCH_DTYPE, float32 or float16; and
BENCH_SAFETY_CHECKER, the folder of a safety checker that sees every picture, or nothing.
"""

import os
from typing import Any

import diffusers as untyped_diffusers
import torch
from cog import BasePredictor, Path
from transformers import CLIPImageProcessor

diffusers: Any = untyped_diffusers


class Predictor(BasePredictor):
    def setup(self) -> None:
        options: dict[str, Any] = {}
        dtype = getattr(torch, os.environ["BENCH_DTYPE"])
        if folder := os.environ.get("BENCH_SAFETY_CHECKER"):
            from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

            options["safety_checker"] = StableDiffusionSafetyChecker.from_pretrained(folder, dtype=dtype)
            options["feature_extractor"] = CLIPImageProcessor()
        pipeline = diffusers.DiffusionPipeline.from_pretrained(os.environ["BENCH_MODEL"], dtype=dtype, **options)
        self.pipeline = pipeline.to("cuda" if torch.cuda.is_available() else "cpu")
        self.schedulers = {"DPMSolverMultistep": diffusers.DPMSolverMultistepScheduler}

    @torch.inference_mode()
    def predict(
        self,
        prompt: str,
        width: int,
        height: int,
        num_inference_steps: int,
        guidance_scale: float,
        seed: int,
        # Not by `Input(default=...)`: Cog takes such defaults from a schema, which a predictor not built by it lacks.
        scheduler: str = "",
        output_format: str = "png",
    ) -> list[Path]:
        if scheduler:
            self.pipeline.scheduler = self.schedulers[scheduler].from_config(self.pipeline.scheduler.config)
        result = self.pipeline(
            prompt=prompt,
            width=width,
            height=height,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=torch.Generator(self.pipeline.device).manual_seed(seed),
        )
        paths = []
        for index, image in enumerate(result.images):
            path = Path.cwd() / f"out-{index}.{output_format}"
            image.save(path)
            paths.append(path)
        return paths
