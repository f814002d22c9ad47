"""LoRAs of random weights for the tiny pipelines, made and written by peft and diffusers themselves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model_state_dict
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.diffusion.tiny_pipelines import diffusers

NAME = "pytorch_lora_weights.safetensors"

_ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
_TEXT = ["q_proj", "k_proj", "v_proj", "out_proj"]


def make_lora(model: Path, folder: Path, seed: int, *, text: bool = True, metadata: bool = False) -> Path:
    """Write a LoRA for the pipeline in `model`, of its denoiser and, where diffusers has that, its text encoders.

    With `metadata` the file tells peft's own settings, an alpha of 6 for the rank of 4 among them.
    """
    torch.manual_seed(seed)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(model)
    layers: dict[str, Any] = {}
    for name in type(pipeline)._lora_loadable_modules:
        component = getattr(pipeline, name)
        is_text = name.startswith("text_encoder")
        if is_text and not text:
            continue
        config = LoraConfig(r=4, lora_alpha=6, target_modules=_TEXT if is_text else _ATTENTION, init_lora_weights=False)
        component.add_adapter(config)
        layers[f"{name}_lora_layers"] = {
            key: value.clone() for key, value in get_peft_model_state_dict(component).items()
        }
        if metadata:
            layers[f"{name}_lora_adapter_metadata"] = config.to_dict()  # type: ignore[no-untyped-call]
    pipeline.save_lora_weights(folder, **layers)
    file = folder / NAME
    with safe_open(file, framework="pt") as written:
        told = written.metadata()
    # Strong enough to be seen, whatever alpha would be taken for granted.
    return write(file, {key: value * 2 for key, value in load_file(file).items()}, told)


def write(target: Path, tensors: Mapping[str, torch.Tensor], metadata: dict[str, str] | None = None) -> Path:
    """Write tensors into a safetensors file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(tensors), target, metadata or {"format": "pt"})
    return target


def to_kohya(tensors: Mapping[str, torch.Tensor], alpha: float) -> dict[str, torch.Tensor]:
    """The same LoRA as kohya's scripts and AUTOMATIC1111 write it, with an alpha."""
    prefixes = {"unet": "lora_unet", "text_encoder": "lora_te", "text_encoder_2": "lora_te2"}
    halves = {"lora_A": "lora_down", "lora_B": "lora_up"}
    kohya: dict[str, torch.Tensor] = {}
    for key, value in tensors.items():
        component, _, rest = key.partition(".")
        layer, _, half = rest.removesuffix(".weight").rpartition(".")
        if component.startswith("text_encoder") and not layer.startswith("text_model."):
            layer = f"text_model.{layer}"
        name = f"{prefixes[component]}_{layer.replace('.', '_')}"
        kohya[f"{name}.{halves[half]}.weight"] = value
        kohya[f"{name}.alpha"] = torch.tensor(alpha)
    return kohya


def stock(model: Path, *loras: tuple[Path, float], dtype: torch.dtype = torch.float32) -> Any:
    """Stock diffusers with these LoRAs, loaded by hand."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(model, dtype=dtype)
    names = [f"stock_{index}" for index in range(len(loras))]
    for name, (path, _) in zip(names, loras, strict=True):
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=name)
    if loras:
        pipeline.set_adapters(names, [scale for _, scale in loras])
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
