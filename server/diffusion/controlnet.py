"""Loads a ControlNet beside a pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from huggingface_hub import hf_hub_download

from server.diffusion.errors import ModelError, first_line

_CONFIG = "config.json"

CONTROLS = {
    "controlnet_image": "control_image",
    "controlnet_conditioning_scale": "controlnet_conditioning_scale",
    "controlnet_start": "control_guidance_start",
    "controlnet_end": "control_guidance_end",
}
"""The inputs for a ControlNet, each with what pipelines call it."""


def load_controlnet(model: str, pipeline: DiffusionPipeline, device: torch.device) -> Any:
    """The ControlNet in a folder, or of the Hub, in the type of a pipeline, on a device.

    Args:
        model: a folder that `save_pretrained` wrote, or an id on the Hugging Face Hub.
        pipeline: what it is for.
        device: where.

    Raises:
        ModelError: there is none, or it cannot be loaded.
    """
    folder = Path(model).expanduser()
    try:
        config = folder / _CONFIG if folder.is_dir() else Path(hf_hub_download(model, _CONFIG))
        name = json.loads(config.read_text()).get("_class_name")
        network = getattr(diffusers, str(name), None)
        if network is None or "ControlNet" not in name:
            raise ModelError(f"{model} is no ControlNet of diffusers: its {_CONFIG} names the class {name!r}.")
        controlnet = network.from_pretrained(
            folder if folder.is_dir() else model, torch_dtype=pipeline.dtype, use_safetensors=True
        )
    except ModelError:
        raise
    except Exception as error:
        reason = first_line(error)
        raise ModelError(
            f"The ControlNet {model} cannot be loaded: {type(error).__name__}: {reason}. Set CONTROLNET_ID to a folder "
            "that holds one, or to its id on the Hugging Face Hub."
        ) from error
    return controlnet.to(device).eval()
