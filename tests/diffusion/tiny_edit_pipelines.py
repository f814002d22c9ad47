"""Further tiny pipelines: those that edit pictures or only paint parts of them anew, and rarer architectures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.diffusion import tiny_parts, tiny_pipelines
from tests.diffusion.tiny_parts import changed
from tests.diffusion.tiny_pipelines import diffusers


def build(name: str, folder: Path) -> Path:
    """Write the pipeline `name` of `ALL_BUILDERS` into `folder` and return that folder."""
    torch.manual_seed(0)
    ALL_BUILDERS[name]().save_pretrained(folder)
    return folder


def controlnet_for(unet: Any) -> Any:
    """A ControlNet that makes a difference: a new one is zero where it meets the model."""
    torch.manual_seed(1)
    controlnet = diffusers.ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 8, 8, 8))
    for parameter in controlnet.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return controlnet


def stable_diffusion_inpainting() -> Any:
    """Takes the mask and the masked picture as further channels."""
    plain = tiny_pipelines.stable_diffusion()
    return diffusers.StableDiffusionInpaintPipeline(
        **{**plain.components, "unet": changed(plain.unet, in_channels=9)}, requires_safety_checker=False
    )


def instruct_pix2pix() -> Any:
    """Takes the picture to edit as further channels, and has no argument for a size."""
    plain = tiny_pipelines.stable_diffusion()
    return diffusers.StableDiffusionInstructPix2PixPipeline(
        **{**plain.components, "unet": changed(plain.unet, in_channels=8)}, requires_safety_checker=False
    )


def flux_schnell() -> Any:
    """Flux that was not trained to take a guidance."""
    plain = tiny_pipelines.flux()
    transformer = changed(plain.transformer, guidance_embeds=False)
    return diffusers.FluxPipeline(**{**plain.components, "transformer": transformer})


def flux_kontext() -> Any:
    """Flux that takes a picture's tokens beside its own."""
    return diffusers.FluxKontextPipeline(**tiny_pipelines.flux().components)


def flux_fill() -> Any:
    """Takes the masked picture, and each pixel of the mask, as further channels."""
    components = tiny_pipelines.flux().components
    latents, pixels = 16, 64 * 4
    components["transformer"] = changed(
        components["transformer"], in_channels=2 * latents + pixels, out_channels=latents
    )
    return diffusers.FluxFillPipeline(
        **{name: part for name, part in components.items() if name not in ("image_encoder", "feature_extractor")}
    )


def flux_2_klein() -> Any:
    """Makes pictures and edits several; reads three inner layers of its text encoder."""
    return diffusers.Flux2KleinPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=diffusers.AutoencoderKLFlux2(
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            sample_size=64,
        ),
        text_encoder=tiny_parts.qwen3(16, layers=28, vocabulary=512),
        tokenizer=tiny_parts.qwen_tokenizer(),
        transformer=diffusers.Flux2Transformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=3 * 16,
            timestep_guidance_channels=32,
            axes_dims_rope=(4, 4, 4, 4),
            guidance_embeds=False,
        ),
        is_distilled=False,
    )


def flux_2_klein_distilled() -> Any:
    """Guides nothing, whatever the scale."""
    return diffusers.Flux2KleinPipeline(**flux_2_klein().components, is_distilled=True)


def lumina_2() -> Any:
    """One transformer for text and picture, and a language model that is told what it is to do."""
    return diffusers.Lumina2Pipeline(
        transformer=diffusers.Lumina2Transformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            hidden_size=24,
            num_layers=2,
            num_attention_heads=3,
            num_kv_heads=1,
            multiple_of=16,
            axes_dim_rope=(4, 2, 2),
            cap_feat_dim=8,
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=6.0),
        vae=tiny_parts.vae(latent_channels=4),
        text_encoder=tiny_parts.gemma(layers=2),
        tokenizer=tiny_parts.gemma_tokenizer(),
    )


def chroma() -> Any:
    """Flux with one text encoder, and true guidance."""
    flux = tiny_pipelines.flux()
    return diffusers.ChromaPipeline(
        scheduler=flux.scheduler,
        vae=flux.vae,
        text_encoder=flux.text_encoder_2,
        tokenizer=flux.tokenizer_2,
        transformer=diffusers.ChromaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
            approximator_hidden_dim=32,
            approximator_layers=1,
            approximator_num_channels=16,
        ),
    )


def kandinsky_3() -> Any:
    """A large UNet after a T5, and an autoencoder of codes."""
    return diffusers.Kandinsky3Pipeline(
        tokenizer=tiny_parts.t5_tokenizer(),
        text_encoder=tiny_parts.t5(width=32).eval(),
        unet=diffusers.Kandinsky3UNet(
            in_channels=4,
            time_embedding_dim=4,
            groups=2,
            attention_head_dim=4,
            layers_per_block=3,
            block_out_channels=(32, 64),
            cross_attention_dim=4,
            encoder_hid_dim=32,
        ),
        scheduler=diffusers.DDPMScheduler(
            beta_start=0.00085, beta_end=0.012, steps_offset=1, beta_schedule="squaredcos_cap_v2"
        ),
        movq=diffusers.VQModel(
            block_out_channels=(32, 32, 32, 32),
            down_block_types=("DownEncoderBlock2D",) * 3 + ("AttnDownEncoderBlock2D",),
            up_block_types=("AttnUpDecoderBlock2D",) + ("UpDecoderBlock2D",) * 3,
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=8,
            norm_type="spatial",
            num_vq_embeddings=12,
            vq_embed_dim=4,
        ),
    )


EDIT_BUILDERS: dict[str, Callable[[], Any]] = {
    "stable-diffusion-inpainting": stable_diffusion_inpainting,
    "instruct-pix2pix": instruct_pix2pix,
    "flux-schnell": flux_schnell,
    "flux-kontext": flux_kontext,
    "flux-fill": flux_fill,
    "flux-2-klein": flux_2_klein,
    "flux-2-klein-distilled": flux_2_klein_distilled,
    "lumina-2": lumina_2,
    "chroma": chroma,
    "kandinsky-3": kandinsky_3,
}

ALL_BUILDERS: dict[str, Callable[[], Any]] = {**tiny_pipelines.BUILDERS, **EDIT_BUILDERS}
