"""Sections of `bench.kernels`: whole networks of Stable Diffusion 2.1 at 768x768, with random weights."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import diffusers as untyped_diffusers
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.kernel_timing import Run, capture, eager_time, graph_time, profile, relative, synchronize
from server.diffusion.groupnorm import fuse_group_norms
from server.diffusion.optimizations import keep_channels_last

diffusers: Any = untyped_diffusers
compiler: Any = torch.compiler
dynamo: Any = torch._dynamo

ORDERS = {
    "cuDNN attention": [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION],
    "flash attention": [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION],
    "efficient attention": [SDPBackend.EFFICIENT_ATTENTION],
}
"""Backends of attention, the first that takes a shape being used."""


def unet_steps(run: Run) -> None:
    """One step in CUDA graphs, with one measure after the other; two rows are one picture."""
    unet = make_unet(run)
    before = unet(*unet_inputs(run, 2))[0]
    _steps(run, "unet", unet, "plain", 16)
    _convert_weights(unet)
    _steps(run, "unet", unet, "channels-last weights", 2, 16)
    keep_channels_last(unet)
    _steps(run, "unet", unet, "channels-last", 2, 16)
    count = fuse_group_norms(unet)
    run.record("unet", "fused norms", count=count, difference=relative(unet(*unet_inputs(run, 2))[0], before))
    _steps(run, "unet", unet, "fused norms", 2, 4, 8, 16, 32)
    for name, order in ORDERS.items():
        with run.attempt("unet", name), sdpa_kernel([*order, SDPBackend.MATH], set_priority=True):
            _steps(run, "unet", unet, f"fused norms, {name}", 2, 16)
    with run.attempt("unet", "cudnn.benchmark"):
        torch.backends.cudnn.benchmark = True
        _steps(run, "unet", unet, "fused norms, cudnn.benchmark", 2, 16)
    torch.backends.cudnn.benchmark = False
    with run.attempt("unet", "fused qkv"):
        unet.fuse_qkv_projections()
        _steps(run, "unet", unet, "fused norms, fused qkv", 2, 16)


def compiled_steps(run: Run) -> None:
    """One step by torch.compile in CUDA graphs: for any number of rows, then for 16 only."""
    unet = make_unet(run)
    keep_channels_last(unet)
    fuse_group_norms(unet)
    eager = unet(*unet_inputs(run, 4))[0]
    for name in ("dynamic", "static"):
        if run.late:
            return
        compiler.reset()
        with run.attempt("compiled", name):
            step: Any = torch.compile(
                unet.forward,
                fullgraph=True,
                dynamic=None if name == "dynamic" else False,
                backend="aot_eager" if run.dry else "inductor",
            )
            inputs = unet_inputs(run, 16)
            if name == "dynamic":
                for tensor in inputs[:3]:
                    # From 64 rows on, Upsample2D takes another path.
                    dynamo.mark_dynamic(tensor, 0, min=2, max=63)
            start = time.monotonic()
            step(*inputs)
            synchronize(run)
            run.record("compiled", f"{name}: first call", seconds=time.monotonic() - start)
            _steps(run, "compiled", step, name, *((16, 2, 4, 8, 32) if name == "dynamic" else (16,)))
            if name == "dynamic":
                difference = relative(step(*unet_inputs(run, 4))[0], eager)
                run.record("compiled", "dynamic against eager", difference=difference)
                if not run.dry:
                    profile(run, "profile: compiled, 16 rows", capture(partial(step, *inputs)).replay)


def vae_decodes(run: Run) -> None:
    """The autoencoder's decoder, from latents of 96x96 to 768x768."""
    sizes: dict[str, Any] = {"block_out_channels": (8, 8, 8, 8), "norm_num_groups": 4}
    if not run.dry:
        sizes = {"block_out_channels": (128, 256, 512, 512)}
    with torch.device(run.device):
        vae = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            **sizes,
        )
    vae.to(torch.bfloat16).eval().requires_grad_(False)
    side = 8 if run.dry else 96
    latents = torch.randn(8, 4, side, side, device=run.device).to(torch.bfloat16)
    before = vae.decode(latents[:1]).sample
    _decodes(run, vae, latents, "plain")
    keep_channels_last(vae)
    _decodes(run, vae, latents, "channels-last")
    count = fuse_group_norms(vae)
    run.record("vae", "fused norms", count=count, difference=relative(vae.decode(latents[:1]).sample, before))
    _decodes(run, vae, latents, "fused norms")
    with run.attempt("vae", "cudnn.benchmark"):
        torch.backends.cudnn.benchmark = True
        _decodes(run, vae, latents, "fused norms, cudnn.benchmark")
    torch.backends.cudnn.benchmark = False
    if not run.dry:
        profile(run, "profile: decode, 4 images", capture(partial(vae.decode, latents[:4])).replay)


def profiles(run: Run) -> None:
    """What is left of a step in a CUDA graph, by kernel."""
    if run.dry:
        return
    unet = make_unet(run)
    keep_channels_last(unet)
    fuse_group_norms(unet)
    inputs = unet_inputs(run, 16)
    profile(run, "profile: 16 rows", capture(partial(unet, *inputs)).replay)


def make_unet(run: Run) -> Any:
    sizes: dict[str, Any] = {
        "block_out_channels": (320, 640, 1280, 1280),
        "attention_head_dim": (5, 10, 20, 20),
        "cross_attention_dim": 1024,
        "sample_size": 96,
    }
    if run.dry:
        sizes = {
            "block_out_channels": (8, 8, 8, 8),
            "attention_head_dim": 2,
            "cross_attention_dim": 8,
            "norm_num_groups": 4,
        }
    torch.manual_seed(0)
    with torch.device(run.device):
        unet = diffusers.UNet2DConditionModel(use_linear_projection=True, **sizes)
    return unet.to(torch.bfloat16).eval().requires_grad_(False)


def unet_inputs(run: Run, rows: int) -> tuple[Any, ...]:
    """Positional arguments of a step of `rows` different timesteps, whose result is a tuple."""
    side, width = (8, 8) if run.dry else (96, 1024)
    latents = torch.randn(rows, 4, side, side)
    states = torch.randn(rows, 77, width)
    timesteps = torch.linspace(1, 999, rows)
    generator = torch.Generator().manual_seed(rows)
    latents.normal_(generator=generator)
    states.normal_(generator=generator)
    half = (latents.to(run.device, torch.bfloat16), timesteps.to(run.device), states.to(run.device, torch.bfloat16))
    nothing = (None,) * 9
    return (*half, *nothing, False)


def _steps(run: Run, section: str, step: Any, name: str, *all_rows: int) -> None:
    for rows in all_rows:
        if run.late:
            return
        with run.attempt(section, f"{name}, {rows} rows"):
            inputs = unet_inputs(run, rows)
            start = time.monotonic()
            step(*inputs)
            synchronize(run)
            first = time.monotonic() - start
            ms = graph_time(run, partial(step, *inputs))
            run.record(section, f"{name}, {rows} rows", ms=ms, ms_per_image=2 * ms / rows, first_call_s=first)


def _decodes(run: Run, vae: Any, latents: torch.Tensor, name: str) -> None:
    for images in (1, 2, 4, 8):
        if run.late:
            return
        with run.attempt("vae", f"{name}, {images} images"):
            part = latents[:images]
            graph = graph_time(run, partial(vae.decode, part))
            eager = eager_time(run, partial(vae.decode, part))
            run.record("vae", f"{name}, {images} images", graph_ms=graph, eager_ms=eager, ms_per_image=graph / images)


def _convert_weights(network: nn.Module) -> None:
    convolutions: list[Any] = [part for part in network.modules() if isinstance(part, nn.Conv2d)]
    for convolution in convolutions:
        convolution.to(memory_format=torch.channels_last)
