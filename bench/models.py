"""The measured models: stock diffusers folders with the configurations of the real ones and random weights.

A forward pass takes as long whatever the weights are, so nothing need be fetched. What differs from the originals, and
why it does not count: tokenizers are small (prompts are padded to the same length), and weights lie on disk in half
precision (the pipelines convert them when they load them).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import diffusers as untyped_diffusers
import torch
import transformers as untyped_transformers

from bench.workloads import ROOT

diffusers: Any = untyped_diffusers
transformers: Any = untyped_transformers

SAFETY_CHECKER = "safety-checker"
"""The folder, beside those of the models, of what `cog-stable-diffusion` puts every picture through."""


def build(model: str, cache: Path) -> Path:
    """Write a model of `BUILDERS` below `cache`, unless it is there, and return its folder."""
    folder = cache / model
    if not (folder / "model_index.json").exists() and not (folder / "config.json").exists():
        started = time.perf_counter()
        partial = cache / f"{model}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        torch.manual_seed(0)
        BUILDERS[model]().save_pretrained(partial)
        # Only what is whole gets the name.
        partial.rename(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        print(f"Built {folder}: {size / 1e9:.1f} GB in {time.perf_counter() - started:.0f} s", flush=True)
    return folder


def stable_diffusion_21() -> Any:
    """Stable Diffusion 2.1 for 768x768: 866M parameters in the UNet; it predicts v."""
    with _random_weights(torch.float16):
        unet = diffusers.UNet2DConditionModel(
            sample_size=96,
            attention_head_dim=[5, 10, 20, 20],
            cross_attention_dim=1024,
            use_linear_projection=True,
            upcast_attention=True,
        )
        vae = _vae(latent_channels=4, sample_size=768)
        text_encoder = transformers.CLIPTextModel(_clip_text(1024, layers=23, heads=16, act="gelu", projection=512))
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
            prediction_type="v_prediction",
        ),
        # The original has none either: who wants one hands it over when loading.
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def safety_checker() -> Any:
    """The safety checker of Stable Diffusion: CLIP ViT-L/14 and concepts, which random weights never meet."""
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker

    vision = {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "projection_dim": 768,
    }
    config = transformers.CLIPConfig(
        text_config=_clip_text(768, layers=12, heads=12, projection=768).to_dict(),
        vision_config=vision,
        projection_dim=768,
    )
    with _random_weights(torch.float16):
        return StableDiffusionSafetyChecker(config)


def stable_diffusion_xl() -> Any:
    """SDXL base: 2.6B parameters in the UNet, two text encoders."""
    with _random_weights(torch.float16):
        unet = diffusers.UNet2DConditionModel(
            sample_size=128,
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=[1, 2, 10],
            attention_head_dim=[5, 10, 20],
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )
        vae = _vae(latent_channels=4, sample_size=1024, scaling_factor=0.13025)
        text_encoder = transformers.CLIPTextModel(_clip_text(768, layers=12, heads=12, projection=768))
        text_encoder_2 = transformers.CLIPTextModelWithProjection(
            _clip_text(1280, layers=32, heads=20, act="gelu", projection=1280)
        )
    return diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=text_encoder,
        text_encoder_2=text_encoder_2,
        tokenizer=_clip_tokenizer(),
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
            timestep_spacing="leading",
        ),
    )


def flux() -> Any:
    """Flux dev: 12B parameters in the transformer, and T5-XXL; 34 GB in all."""
    with _random_weights(torch.bfloat16):
        transformer = diffusers.FluxTransformer2DModel(guidance_embeds=True)
        vae = _vae(
            latent_channels=16,
            sample_size=1024,
            scaling_factor=0.3611,
            shift_factor=0.1159,
            use_quant_conv=False,
            use_post_quant_conv=False,
        )
        text_encoder = transformers.CLIPTextModel(_clip_text(768, layers=12, heads=12, projection=768))
        text_encoder_2 = transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=32128,
                d_model=4096,
                d_kv=64,
                d_ff=10240,
                num_layers=24,
                num_heads=64,
                feed_forward_proj="gated-gelu",
                tie_word_embeddings=False,
            )
        )
    return diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=_clip_tokenizer(),
        text_encoder_2=text_encoder_2,
        tokenizer_2=_t5_tokenizer(),
        transformer=transformer,
    )


BUILDERS: dict[str, Callable[[], Any]] = {
    "sd21": stable_diffusion_21,
    SAFETY_CHECKER: safety_checker,
    "sdxl": stable_diffusion_xl,
    "flux": flux,
}


@contextmanager
def _random_weights(dtype: torch.dtype) -> Iterator[None]:
    """Make modules in this precision, on the GPU where there is one: drawing 12 billion numbers takes it a second."""
    standard = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            yield
    finally:
        torch.set_default_dtype(standard)


def _vae(**config: Any) -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        **config,
    )


def _clip_text(width: int, *, layers: int, heads: int, projection: int, act: str = "quick_gelu") -> Any:
    tokenizer = _clip_tokenizer()
    return transformers.CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_act=act,
        projection_dim=projection,
        # Its own would be tokens that this tokenizer does not have, and the end of the prompt would not be found.
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _clip_tokenizer() -> Any:
    return transformers.CLIPTokenizer.from_pretrained(ROOT / "models" / "emoji" / "tokenizer")


def _t5_tokenizer() -> Any:
    letters = [(f"{start}{letter}", -3.0) for start in ("▁", "") for letter in "abcdefghijklmnopqrstuvwxyz,.0123456789"]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *letters]
    return transformers.T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512)
