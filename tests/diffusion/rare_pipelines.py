"""Tiny pipelines of architectures that are met less often, by name."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import torch

from tests.diffusion import tiny_pipelines
from tests.diffusion.tiny_parts import (
    changed,
    clip_config,
    clip_tokenizer,
    qwen3,
    qwen_tokenizer,
    t5,
    t5_tokenizer,
    vae,
)
from tests.diffusion.tiny_pipelines import diffusers, transformers

_LATENT = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def latent_consistency() -> Any:
    """Guidance is an input of the UNet."""
    plain = tiny_pipelines.stable_diffusion()
    unet = changed(plain.unet, time_cond_proj_dim=32)
    scheduler = diffusers.LCMScheduler(**_LATENT)
    return _of(plain, diffusers.LatentConsistencyModelPipeline, unet=unet, scheduler=scheduler)


def upscaler() -> Any:
    """Makes of a picture one that is larger by as much as its autoencoder makes of a latent: 8 times here."""
    plain = tiny_pipelines.stable_diffusion()
    unet = changed(plain.unet, in_channels=7, num_class_embeds=1000)
    small = changed(plain.vae, scaling_factor=0.08333)
    schedulers = {"low_res_scheduler": diffusers.DDPMScheduler(), "scheduler": diffusers.DDIMScheduler(**_LATENT)}
    return _of(plain, diffusers.StableDiffusionUpscalePipeline, vae=small, unet=unet, **schedulers)


def refiner() -> Any:
    """Stable Diffusion XL with one text encoder, which is told of a picture how beautiful it should be."""
    plain = tiny_pipelines.stable_diffusion_xl()
    unet = changed(plain.unet, cross_attention_dim=32, projection_class_embeddings_input_dim=5 * 8 + 32)
    pipeline_class = diffusers.StableDiffusionXLImg2ImgPipeline
    return _of(plain, pipeline_class, unet=unet, text_encoder=None, tokenizer=None, requires_aesthetics_score=True)


def perturbed_attention() -> Any:
    """Stable Diffusion with perturbed attention."""
    return _of(tiny_pipelines.stable_diffusion(), diffusers.StableDiffusionPAGPipeline)


def pixart_alpha() -> Any:
    """PixArt of the first kind."""
    return diffusers.PixArtAlphaPipeline(**tiny_pipelines.pixart().components)


def sana_sprint() -> Any:
    """Takes two steps, with a noise level of its own between them."""
    parts = tiny_pipelines.sana().components
    transformer = changed(parts["transformer"], sample_size=32, guidance_embeds=True)
    return diffusers.SanaSprintPipeline(**{**parts, "transformer": transformer, "scheduler": diffusers.SCMScheduler()})


def sana_controlnet() -> Any:
    """Saved with its ControlNet; diffusers knows no form of it without."""
    parts = tiny_pipelines.sana().components
    config = {name: value for name, value in parts["transformer"].config.items() if not name.startswith("_")}
    taken = signature(diffusers.SanaControlNetModel.__init__).parameters
    controlnet = diffusers.SanaControlNetModel(**{name: value for name, value in config.items() if name in taken})
    return diffusers.SanaControlNetPipeline(**parts, controlnet=controlnet)


def flux_control() -> Any:
    """Takes lines or depths as further channels, and draws nothing without."""
    plain = tiny_pipelines.flux()
    return _of(
        plain,
        diffusers.FluxControlPipeline,
        transformer=changed(plain.transformer, in_channels=32, out_channels=16),
    )


def cogview_3() -> Any:
    """Predicts velocity, in a transformer that is told the size."""
    return diffusers.CogView3PlusPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(32),
        vae=vae(4),
        scheduler=diffusers.CogVideoXDDIMScheduler(),
        transformer=diffusers.CogView3PlusTransformer2DModel(
            patch_size=2,
            in_channels=4,
            num_layers=1,
            attention_head_dim=4,
            num_attention_heads=2,
            out_channels=4,
            text_embed_dim=32,
            time_embed_dim=8,
            condition_dim=2,
            pos_embed_max_size=16,
            sample_size=8,
        ),
    )


def aura_flow() -> Any:
    """Flow matching with one text encoder, of UMT5."""
    config = transformers.UMT5Config(vocab_size=16, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4)
    return diffusers.AuraFlowPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=transformers.UMT5EncoderModel(config),
        vae=vae(4),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=1.73),
        transformer=diffusers.AuraFlowTransformer2DModel(
            sample_size=8,
            patch_size=2,
            in_channels=4,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=4,
            caption_projection_dim=32,
            joint_attention_dim=32,
            out_channels=4,
            pos_embed_max_size=256,
        ),
    )


def hunyuan_dit() -> Any:
    """Makes a few sizes alone, of about a megapixel, whatever it is called with."""
    words = Path(tempfile.mkdtemp()) / "vocab.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "apple"]))
    tokenizer = transformers.BertTokenizer(str(words))
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    return diffusers.HunyuanDiTPipeline(
        vae=vae(4),
        text_encoder=transformers.BertModel(config),
        tokenizer=tokenizer,
        transformer=diffusers.HunyuanDiT2DModel(
            sample_size=16,
            num_layers=2,
            patch_size=2,
            attention_head_dim=8,
            num_attention_heads=3,
            in_channels=4,
            cross_attention_dim=32,
            cross_attention_dim_t5=32,
            pooled_projection_dim=16,
            hidden_size=24,
            activation_fn="gelu-approximate",
        ),
        scheduler=diffusers.DDPMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
        text_encoder_2=t5(32),
        tokenizer_2=t5_tokenizer(),
    )


def bria() -> Any:
    """Built as Flux, with T5 alone."""
    return diffusers.BriaPipeline(
        transformer=diffusers.BriaTransformer2DModel(
            patch_size=1,
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=32,
            pooled_projection_dim=None,
            axes_dims_rope=[0, 4, 4],
        ),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(4),
        text_encoder=t5(32),
        tokenizer=t5_tokenizer(),
    )


def ovis() -> Any:
    """Built as Flux, with Qwen 3."""
    return diffusers.OvisImagePipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
        vae=vae(4),
        text_encoder=qwen3(32),
        tokenizer=qwen_tokenizer(),
        transformer=diffusers.OvisImageTransformer2DModel(
            patch_size=1,
            in_channels=16,
            out_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=32,
            axes_dims_rope=(4, 4, 8),
        ),
    )


def deepfloyd() -> Any:
    """Works on pixels, without an autoencoder, and makes the size that it was trained for of a picture."""
    return diffusers.IFPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=t5(32),
        unet=diffusers.UNet2DConditionModel(
            sample_size=32,
            layers_per_block=1,
            block_out_channels=(32, 64),
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            in_channels=3,
            out_channels=6,
            cross_attention_dim=32,
            encoder_hid_dim=32,
            attention_head_dim=8,
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            cross_attention_norm="group_norm",
            resnet_time_scale_shift="scale_shift",
            act_fn="gelu",
            norm_num_groups=8,
        ),
        scheduler=diffusers.DDPMScheduler(
            beta_schedule="squaredcos_cap_v2", thresholding=True, variance_type="learned_range"
        ),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )


def kandinsky_2_2(channels: int = 4, pipeline_class: Any = None) -> Any:
    """The decoder with its prior, in one folder; both draw in steps."""
    vision = transformers.CLIPVisionConfig(
        hidden_size=32, projection_dim=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=2
    )
    return (pipeline_class or diffusers.KandinskyV22CombinedPipeline)(
        unet=diffusers.UNet2DConditionModel(
            in_channels=channels,
            out_channels=8,
            addition_embed_type="image",
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            block_out_channels=(32, 64),
            layers_per_block=1,
            encoder_hid_dim=32,
            encoder_hid_dim_type="image_proj",
            cross_attention_dim=32,
            attention_head_dim=4,
            resnet_time_scale_shift="scale_shift",
        ),
        scheduler=diffusers.DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, clip_sample=False, set_alpha_to_one=False
        ),
        movq=diffusers.VQModel(
            block_out_channels=[32, 32, 32, 64],
            down_block_types=["DownEncoderBlock2D"] * 3 + ["AttnDownEncoderBlock2D"],
            up_block_types=["AttnUpDecoderBlock2D"] + ["UpDecoderBlock2D"] * 3,
            latent_channels=4,
            norm_num_groups=8,
            norm_type="spatial",
            num_vq_embeddings=12,
            vq_embed_dim=4,
        ),
        prior_prior=diffusers.PriorTransformer(
            num_attention_heads=2, attention_head_dim=12, embedding_dim=32, num_layers=1
        ),
        prior_image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        prior_text_encoder=transformers.CLIPTextModelWithProjection(clip_config()),
        prior_tokenizer=clip_tokenizer(),
        prior_scheduler=diffusers.UnCLIPScheduler(
            variance_type="fixed_small_log", prediction_type="sample", clip_sample_range=10.0
        ),
        prior_image_processor=transformers.CLIPImageProcessor(),
    )


def kandinsky_2_2_inpainting() -> Any:
    """Takes the mask and the masked picture as further channels."""
    return kandinsky_2_2(9, diffusers.KandinskyV22InpaintCombinedPipeline)


RARE_BUILDERS: dict[str, Callable[[], Any]] = {
    "latent-consistency": latent_consistency,
    "upscaler": upscaler,
    "refiner": refiner,
    "perturbed-attention": perturbed_attention,
    "pixart-alpha": pixart_alpha,
    "sana-sprint": sana_sprint,
    "flux-control": flux_control,
    "sana-controlnet": sana_controlnet,
    "cogview-3": cogview_3,
    "aura-flow": aura_flow,
    "hunyuan-dit": hunyuan_dit,
    "bria": bria,
    "ovis": ovis,
    "deepfloyd": deepfloyd,
    "kandinsky-2-2": kandinsky_2_2,
    "kandinsky-2-2-inpainting": kandinsky_2_2_inpainting,
}


def build(name: str, folder: Path) -> Path:
    """Write the pipeline `name` of `RARE_BUILDERS` into `folder` and return that folder."""
    torch.manual_seed(0)
    RARE_BUILDERS[name]().save_pretrained(folder)
    return folder


def _of(plain: Any, pipeline_class: Any, **changes: Any) -> Any:
    """A pipeline of another class with the same parts, but for changes."""
    taken = signature(pipeline_class.__init__).parameters
    parts = {name: part for name, part in plain.components.items() if name in taken}
    checker = {"requires_safety_checker": False} if "requires_safety_checker" in taken else {}
    return pipeline_class(**{**parts, **checker, **changes})
