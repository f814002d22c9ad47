"""Checkpoints as the authors of Stable Diffusion publish them: a pipeline's weights in one file, by their first names.

Written by the layout of that code (github.com/Stability-AI/generative-models), for tiny pipelines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.diffusion.tiny_pipelines import diffusers, stable_diffusion, stable_diffusion_xl, transformers

Weights = dict[str, torch.Tensor]

CONFIGURATIONS = {
    "stable-diffusion": "stable-diffusion-v1-5/stable-diffusion-v1-5",
    "stable-diffusion-xl": "stabilityai/stable-diffusion-xl-base-1.0",
}
"""Where diffusers looks for the configuration of each."""


def build_pipeline(name: str) -> Any:
    """A tiny pipeline that can be told from a file of its weights as the real one can."""
    torch.manual_seed(0)
    if name == "stable-diffusion":
        return stable_diffusion()
    pipeline = stable_diffusion_xl()
    # Real ones differ in width, and by the tenth layer of the second diffusers knows the whole model.
    config = pipeline.text_encoder_2.config
    wider = transformers.CLIPTextConfig(**{**config.to_dict(), "hidden_size": 64, "num_hidden_layers": 10})
    pipeline.register_modules(text_encoder_2=transformers.CLIPTextModelWithProjection(wider).eval())
    unet = diffusers.UNet2DConditionModel.from_config({**pipeline.unet.config, "cross_attention_dim": 32 + 64})
    pipeline.register_modules(unet=unet.eval())
    return pipeline


def write_checkpoint(pipeline: Any, file: Path, leave_out: str = "nothing") -> Path:
    """Write the weights of a tiny Stable Diffusion, XL or not, into one file."""
    weights = {f"model.diffusion_model.{name}": value for name, value in _unet(pipeline.unet)}
    weights |= {f"first_stage_model.{name}": value for name, value in _vae(pipeline.vae)}
    if hasattr(pipeline, "text_encoder_2"):
        weights |= _under("conditioner.embedders.0.transformer.", _clip(pipeline.text_encoder))
        weights |= _under("conditioner.embedders.1.model.", _open_clip(pipeline.text_encoder_2))
    else:
        weights |= _under("cond_stage_model.transformer.", _clip(pipeline.text_encoder))
    save_file({name: value.contiguous() for name, value in weights.items() if not name.startswith(leave_out)}, file)
    return file


def _under(prefix: str, weights: Weights) -> Weights:
    return {prefix + name: value for name, value in weights.items()}


def _unet(unet: Any) -> Iterator[tuple[str, torch.Tensor]]:
    layers, levels = unet.config.layers_per_block, len(unet.config.block_out_channels)
    places = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0",
        "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
        "mid_block.resnets.0": "middle_block.0",
        "mid_block.attentions.0": "middle_block.1",
        "mid_block.resnets.1": "middle_block.2",
    }
    for level in range(levels):
        for layer in range(layers):
            block = 1 + level * (layers + 1) + layer
            places[f"down_blocks.{level}.resnets.{layer}"] = f"input_blocks.{block}.0"
            places[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        places[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * (layers + 1)}.0.op"
        for layer in range(layers + 1):
            block = level * (layers + 1) + layer
            places[f"up_blocks.{level}.resnets.{layer}"] = f"output_blocks.{block}.0"
            places[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{block}.1"
        # After the attention, where there is one.
        last = 2 if hasattr(unet.up_blocks[level], "attentions") else 1
        block = level * (layers + 1) + layers
        places[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{block}.{last}.conv"
    resnet = {
        "norm1": "in_layers.0",
        "conv1": "in_layers.2",
        "norm2": "out_layers.0",
        "conv2": "out_layers.3",
        "time_emb_proj": "emb_layers.1",
        "conv_shortcut": "skip_connection",
    }
    for name, value in unet.state_dict().items():
        place = next(place for place in places if name.startswith(f"{place}."))
        rest = name.removeprefix(place)
        if ".resnets." in place:
            _, part, kind = rest.split(".")
            rest = f".{resnet[part]}.{kind}"
        yield places[place] + rest, value


def _vae(vae: Any) -> Iterator[tuple[str, torch.Tensor]]:
    levels = len(vae.config.block_out_channels)
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    for name, value in vae.state_dict().items():
        name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
        name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
        name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
        name = re.sub(r"up_blocks\.(\d+)\.resnets", lambda found: f"up.{levels - 1 - int(found[1])}.block", name)
        name = re.sub(
            r"up_blocks\.(\d+)\.upsamplers\.0", lambda found: f"up.{levels - 1 - int(found[1])}.upsample", name
        )
        name = name.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if found := re.fullmatch(r"(.+)mid_block\.attentions\.0\.(.+)\.(weight|bias)", name):
            name = f"{found[1]}mid.attn_1.{attention[found[2]]}.{found[3]}"
            # A convolution of one pixel, there.
            value = value[:, :, None, None] if value.ndim == 2 else value
        yield name, value


def _clip(encoder: Any) -> Weights:
    weights = encoder.state_dict()
    return {name if name.startswith("text_model.") else f"text_model.{name}": value for name, value in weights.items()}


def _open_clip(encoder: Any) -> Weights:
    weights: Weights = {}
    own: Weights = encoder.state_dict()
    names = {
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
    for name, value in own.items():
        if name == "text_projection.weight":
            weights["text_projection"] = value.T
        elif name in names:
            weights[names[name]] = value
        elif found := re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            block, part, kind = f"transformer.resblocks.{found[1]}", found[2], found[3]
            if part in parts:
                weights[f"{block}.{parts[part]}.{kind}"] = value
            elif part == "self_attn.out_proj":
                weights[f"{block}.attn.out_proj.{kind}"] = value
            elif part == "self_attn.q_proj":
                three = [own[name.replace("q_proj", other)] for other in ("q_proj", "k_proj", "v_proj")]
                weights[f"{block}.attn.in_proj_{kind}"] = torch.cat(three)
    return weights
