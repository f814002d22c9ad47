"""Which family of models a LoRA was made for, as far as the names and shapes of its tensors tell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_BY_NAME = (
    # In this order: the later ones also hold for some of the earlier.
    (r"single_transformer_blocks|single_blocks", "Flux"),
    (r"joint_blocks", "Stable Diffusion 3"),
    (r"(img|txt)_mlp", "Qwen-Image"),
    (r"caption_projection|adaln_single", "PixArt or Sana"),
    (r"double_blocks|double_stream", "Flux"),
    (r"add_[qkv]_proj|to_add_out", "Stable Diffusion 3"),
    (r"layers[._]\d+[._](attention|feed_forward)", "Z-Image or Lumina"),
    (r"(^|[._])blocks[._]\d+[._](self_attn|cross_attn)", "a video model (Wan)"),
    (r"text_encoder_2|lora_te2|conditioner", "Stable Diffusion XL"),
)

_BY_TEXT_WIDTH = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Of models with a UNet: how many numbers their text encoders have for a token."""

_CROSS_ATTENTION = re.compile(r"attn2[._](to_k|processor\.to_k_lora).*(lora_A|down)\.weight$")


def guess_family(shapes: Mapping[str, Sequence[int]]) -> str | None:
    """The family; `None` where nothing tells it.

    Args:
        shapes: the shape of each tensor of the file, by its name.
    """
    for pattern, family in _BY_NAME:
        if any(re.search(pattern, name) for name in shapes):
            return family
    for name, shape in shapes.items():
        if _CROSS_ATTENTION.search(name) and len(shape) > 1:
            return _BY_TEXT_WIDTH.get(shape[1])
    return None
