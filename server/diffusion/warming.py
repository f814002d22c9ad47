"""The first picture of an engine, which nobody has asked for: it shows what fits, and gets ready what the next need."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.batching import Rendezvous
from server.diffusion.compiler import CompileMode, Compiler
from server.diffusion.defaults import accepted_arguments
from server.diffusion.gates import Stage
from server.diffusion.generation import draw, explaining_shortage
from server.diffusion.recordings import Recordings
from server.diffusion.spans import span
from server.diffusion.warnings import Warnings

_STEPS = 4
"""Enough for the first picture to be drawn both ways, step by step and from a recording."""


def is_worth_warming(device: torch.device) -> bool:
    """Whether a first picture tells more of a device than the time that it takes is worth."""
    return device.type == "cuda"


@span("darkroom.warm_up")
def draw_first(
    pipeline: DiffusionPipeline,
    recommended: Mapping[str, int | float],
    rendezvous: Rendezvous,
    recordings: Recordings | None,
    compiler: Compiler | None,
    mode: CompileMode,
) -> None:
    """Draw a picture, and record and compile what it takes.

    Args:
        pipeline: one that nobody else uses.
        recommended: the model card's numbers.
        rendezvous: runs it.
        recordings, compiler: what there is of them.
        mode: when to compile.

    Raises:
        OutOfMemory: the device has too little memory for it.
    """
    arguments: dict[str, Any] = {**recommended, "prompt": "a picture"}
    if "num_inference_steps" in accepted_arguments(pipeline):
        arguments["num_inference_steps"] = _STEPS
    pipeline.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
    in_background = compiler and mode is CompileMode.BACKGROUND
    with explaining_shortage(), compiler.held() if compiler and in_background else nullcontext():
        if recordings:
            rendezvous.submit(recordings.forget).result()
        rendezvous.submit(lambda: draw(pipeline, arguments, 0, Warnings()), 0).result()
        if compiler and not in_background:
            compiler.wait()
        if recordings:
            # In the background, what denoises is recorded once it is compiled, as it comes up.
            stages = {Stage.PREPARE, Stage.DECODE} if in_background else set(Stage)
            rendezvous.submit(partial(recordings.complete, *stages)).result()
