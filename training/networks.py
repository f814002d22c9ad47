"""The parts of the embedded model, untrained: sizes chosen for two processor cores and 40 MB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer


@dataclass(frozen=True)
class Sizes:
    """What decides how large and how quick the model is; `image` is the width and height of its pictures."""

    image: int = 192
    vae: tuple[int, ...] = (32, 48, 96, 96)
    unet: tuple[int, ...] = (64, 128, 192)
    unet_layers: tuple[int, ...] = (2, 2, 1)
    text: int = 256
    text_layers: int = 3


_NOISE: dict[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.022,
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}

LATENT_CHANNELS = 4
REDUCTION = 8
"""How many times smaller than the picture the latents are, each way."""


def make_vae(sizes: Sizes) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(sizes.vae),
        up_block_types=("UpDecoderBlock2D",) * len(sizes.vae),
        block_out_channels=sizes.vae,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=sizes.image,
        # Training ends by folding the latents' mean and deviation into the convolutions beside them.
        scaling_factor=1.0,
        mid_block_add_attention=False,
        force_upcast=False,
    )


def make_unet(sizes: Sizes) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=sizes.image // REDUCTION,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=sizes.unet,
        layers_per_block=sizes.unet_layers,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=tuple(channels // 32 for channels in sizes.unet),  # diffusers' name for the number of heads
        cross_attention_dim=sizes.text,
        norm_num_groups=32,
        use_linear_projection=True,
    )


def make_text_encoder(sizes: Sizes, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=sizes.text,
            intermediate_size=3 * sizes.text,
            projection_dim=sizes.text,
            num_hidden_layers=sizes.text_layers,
            num_attention_heads=sizes.text // 64,
            max_position_embeddings=tokenizer.model_max_length,
            hidden_act="quick_gelu",
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def make_scheduler() -> DPMSolverMultistepScheduler:
    """The noise that training adds, and the solver that takes it away.

    `beta_end` is larger than Stable Diffusion's: the last step is then noise alone (a signal of 1e-4 in power), and a
    picture may be as dark or as bright as its background asks (Lin et al., "Common Diffusion Noise Schedules and
    Sample Steps Are Flawed", 2023).
    """
    return DPMSolverMultistepScheduler(**_NOISE, steps_offset=1)


def make_few_step_scheduler() -> DDIMScheduler:
    """What the distilled UNet was taught to take its steps with."""
    return DDIMScheduler(**_NOISE, steps_offset=1, clip_sample=False, set_alpha_to_one=True)
