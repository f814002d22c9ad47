"""Fast paths of single forward passes, measured on a GPU: `python3 -m bench.kernels --out FILE.json --seconds 240`.

Real architectures with random weights. `--dry` goes through all of it on the CPU with tiny ones, to test this script.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import diffusers
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.kernel_networks import compiled_steps, profiles, unet_steps, vae_decodes
from bench.kernel_timing import Run, graph_time, relative
from server.diffusion.groupnorm import FusedGroupNorm, group_norm

BANDWIDTH = 3.0e12
"""Bytes that an H100 reads and writes in a second."""

SHAPES = [
    *[(16, channels, 96) for channels in (320, 640, 960)],
    *[(16, channels, 48) for channels in (320, 640, 960, 1280, 1920)],
    *[(16, channels, 24) for channels in (640, 1280, 1920, 2560)],
    *[(16, channels, 12) for channels in (1280, 2560)],
    *[(2, channels, side) for channels, side in ((320, 96), (640, 48), (1280, 24), (1280, 12), (2560, 12))],
    *[(32, channels, side) for channels, side in ((320, 96), (1280, 12))],
    *[(1, channels, side) for channels, side in ((512, 96), (512, 192), (256, 384), (256, 768), (128, 768))],
    *[(8, channels, side) for channels, side in ((512, 96), (512, 192), (256, 384), (128, 768))],
    *[(16, channels, side) for channels, side in ((320, 128), (640, 64), (1280, 32))],
]
"""(pictures, channels, height and width): of SD 2.1 at 768x768, of its autoencoder, of SDXL at 1024x1024."""


BACKENDS = (None, SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION)
"""Implementations of attention; `None` is torch's own choice."""


def name_of(backend: SDPBackend | None) -> str:
    return backend.name.partition("_")[0].lower() if backend else "default"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--sections", default=",".join(SECTIONS), help="some of these, in the order wanted")
    parser.add_argument("--dry", action="store_true")
    arguments = parser.parse_args()
    run = Run(arguments.out, time.monotonic() + arguments.seconds, arguments.dry)
    describe(run)
    for name in arguments.sections.split(","):
        start = time.monotonic()
        with run.attempt(name, "section"), torch.no_grad():
            SECTIONS[name](run)
        run.record("seconds", name, took=time.monotonic() - start)
    run.save()


def describe(run: Run) -> None:
    torch_version, diffusers_version = torch.__version__, diffusers.__version__
    run.record("machine", "software", torch=torch_version, diffusers=diffusers_version)
    if not run.dry:
        cudnn: Any = torch.backends.cudnn
        # The order of preference is set by the first call.
        x = torch.randn(1, 1, 64, 64, device="cuda", dtype=torch.bfloat16)
        functional.scaled_dot_product_attention(x, x, x)
        order = torch._C._get_sdp_priority_order()
        device = torch.cuda.get_device_name()
        run.record("machine", "gpu", device=device, cudnn=cudnn.version(), attention=str(order))


def correctness(run: Run) -> None:
    """Against torch in float64; each picture alone against all together; run against run; by bits."""
    shapes = [(2, 40, 6), (3, 64, 5)] if run.dry else [(2, 40, 6), (3, 320, 7), (2, 960, 12), (1, 8, 1), *SHAPES]
    for pictures, channels, side in shapes:
        for dtype in (torch.bfloat16, torch.float32):
            if run.late:
                return
            name = f"{pictures}x{channels}x{side}x{side} {str(dtype)[6:]}"
            with run.attempt("correctness", name):
                x = picture(run, pictures, channels, side, dtype, mean=2.0)
                weight, bias = (torch.randn(channels, device=run.device).to(dtype) for _ in range(2))
                groups = 32 if channels % 32 == 0 else 4
                fused = normalized(run, x, weight, bias, groups)
                # Of a part, or the largest wouldn't fit in float64 with its intermediates.
                part = slice(max(0, pictures - 2), None)
                exact = functional.group_norm(x[part].double(), groups, weight.double(), bias.double(), 1e-5)
                exact = functional.silu(exact)
                native = functional.silu(functional.group_norm(x[part], groups, weight, bias, 1e-5))
                error = relative(fused[part], exact)
                again = normalized(run, x, weight, bias, groups)
                alone = normalized(run, x[-1:], weight, bias, groups)
                run.record(
                    "correctness",
                    name,
                    error=error,
                    torch=relative(native, exact),
                    largest=float((fused[part].double() - exact).abs().max()),
                    same_alone=torch.equal(alone, fused[-1:]),
                    same_again=torch.equal(again, fused),
                    layout=fused.stride() == x.stride(),
                    good=error < (4e-3 if dtype == torch.bfloat16 else 1e-6),
                )
    for mean in (0.0, 30.0, 1e3, 1e5):
        with run.attempt("correctness", f"mean {mean}"):
            x = picture(run, 2, 64, 24, torch.float32, mean=mean)
            one = torch.ones(64, device=run.device)
            exact = functional.silu(functional.group_norm(x.double(), 32, one.double(), one.double(), 1e-5))
            native = functional.silu(functional.group_norm(x, 32, one, one, 1e-5))
            fused = normalized(run, x, one, one, 32)
            run.record("correctness", f"mean {mean}", error=relative(fused, exact), torch=relative(native, exact))
    with run.attempt("correctness", "tokens"):
        tokens = torch.randn(2, 40, 64, device=run.device).to(torch.bfloat16).transpose(1, 2)
        one = torch.ones(64, device=run.device, dtype=torch.bfloat16)
        fused = normalized(run, tokens, one, one, 32, silu=False)
        exact = functional.group_norm(tokens.double(), 32, one.double(), one.double(), 1e-5)
        run.record("correctness", "tokens", error=relative(fused, exact), layout=fused.stride() == tokens.stride())


def kernel_times(run: Run) -> None:
    """Fused against torch's own, GroupNorm and SiLU, in CUDA graphs; and against the memory's speed."""
    for pictures, channels, side in [(2, 64, 8)] if run.dry else SHAPES:
        if run.late:
            return
        name = f"{pictures}x{channels}x{side}x{side}"
        with run.attempt("kernel times", name):
            x = picture(run, pictures, channels, side, torch.bfloat16, mean=0.0)
            weight, bias = (torch.randn(channels, device=run.device).to(x.dtype) for _ in range(2))

            def fused(x: torch.Tensor = x, weight: torch.Tensor = weight, bias: torch.Tensor = bias) -> torch.Tensor:
                return normalized(run, x, weight, bias, 32)

            def native(x: torch.Tensor = x, weight: torch.Tensor = weight, bias: torch.Tensor = bias) -> torch.Tensor:
                y = functional.silu(functional.group_norm(x, 32, weight, bias, 1e-5))
                return y.contiguous(memory_format=torch.channels_last)

            mine, theirs = graph_time(run, fused, calls=10), graph_time(run, native, calls=10)
            three = 3 * x.numel() * x.element_size() / BANDWIDTH * 1e3
            run.record(
                "kernel times", name, ms=mine, torch=theirs, times=theirs / mine, floor=three, of_floor=mine / three
            )


def tiles(run: Run) -> None:
    """The kernels with other tiles."""
    if run.dry:
        return
    from server.diffusion import groupnorm_kernels as kernels

    chosen = (kernels.BLOCK_ROWS, kernels.BLOCK_CHANNELS, kernels.WARPS, kernels.PROGRAMS_PER_PICTURE)
    try:
        for rows, width, warps, programs in (
            chosen,
            (32, 64, 4, 1024),
            (128, 64, 4, 1024),
            (128, 64, 8, 1024),
            (32, 128, 4, 1024),
            (64, 128, 8, 1024),
            (16, 64, 2, 1024),
            (64, 64, 8, 1024),
            (64, 64, 4, 256),
            (64, 64, 4, 4096),
        ):
            kernels.BLOCK_ROWS, kernels.BLOCK_CHANNELS, kernels.WARPS = rows, width, warps
            kernels.PROGRAMS_PER_PICTURE = programs
            name = f"{rows}x{width} warps {warps} programs {programs}"
            times = {}
            for pictures, channels, side in (
                (16, 320, 96),
                (16, 640, 48),
                (16, 1280, 24),
                (2, 320, 96),
                (2, 1280, 12),
                (1, 128, 768),
                (8, 256, 384),
            ):
                if run.late:
                    return
                with run.attempt("tiles", name):
                    x = picture(run, pictures, channels, side, torch.bfloat16, mean=0.0)
                    weight = torch.randn(channels, device=run.device).to(x.dtype)
                    key = f"{pictures}x{channels}x{side}"
                    times[key] = graph_time(run, lambda x=x, w=weight: normalized(run, x, w, w, 32), calls=10)  # type: ignore[misc]
            run.record("tiles", name, **times)
    finally:
        kernels.BLOCK_ROWS, kernels.BLOCK_CHANNELS, kernels.WARPS, kernels.PROGRAMS_PER_PICTURE = chosen


def attention_times(run: Run) -> None:
    """Each backend of scaled_dot_product_attention, and torch's own choice; (batch, heads, queries, keys, head dim)."""
    shapes = [
        (16, 5, 9216, 9216, 64), (16, 5, 9216, 77, 64), (16, 10, 2304, 2304, 64), (16, 10, 2304, 77, 64),
        (16, 20, 576, 576, 64), (16, 20, 144, 144, 64), (2, 5, 9216, 9216, 64), (2, 10, 2304, 2304, 64),
        (16, 8, 4096, 4096, 40), (16, 8, 1024, 1024, 80), (16, 8, 256, 256, 160), (16, 8, 4096, 77, 40),
        (4, 10, 4096, 4096, 64), (4, 20, 1024, 1024, 64), (1, 24, 4608, 4608, 128), (1, 1, 9216, 9216, 512),
    ]  # fmt: skip
    for batch, heads, queries, keys, width in [(1, 2, 16, 16, 8)] if run.dry else shapes:
        name = f"{batch}x{heads} {queries}x{keys} d{width}"
        times: dict[str, Any] = {}
        # As the projections leave them: heads side by side.
        q, k, v = (
            torch.randn(batch, length, heads, width, device=run.device, dtype=torch.bfloat16).transpose(1, 2)
            for length in (queries, keys, keys)
        )
        for backend in BACKENDS:
            if run.late:
                return
            try:
                with sdpa_kernel(backend) if backend else nullcontext():
                    times[name_of(backend)] = graph_time(
                        run,
                        lambda q=q, k=k, v=v: functional.scaled_dot_product_attention(q, k, v),  # type: ignore[misc]
                        calls=3,
                    )
            except RuntimeError as error:
                times[name_of(backend)] = str(error).partition("\n")[0][:60]
        run.record("attention", name, **times)


def picture(run: Run, pictures: int, channels: int, side: int, dtype: torch.dtype, mean: float) -> torch.Tensor:
    generator = torch.Generator(run.device).manual_seed(channels)
    x = torch.randn(pictures, side, side, channels, device=run.device, generator=generator)
    return (x + mean).to(dtype).permute(0, 3, 1, 2)


def normalized(
    run: Run, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, silu: bool = True
) -> torch.Tensor:
    if os.environ.get("TRITON_INTERPRET") == "1":
        from server.diffusion import groupnorm_kernels

        out = torch.empty_like(x)
        groupnorm_kernels.launch(x, out, weight, bias, groups, 1e-5, silu)
        return out
    if run.dry:
        norm = FusedGroupNorm(groups, x.shape[1], dtype=x.dtype)
        norm.weight, norm.bias, norm.activation = nn.Parameter(weight), nn.Parameter(bias), silu
        result: torch.Tensor = norm(x)
        return result
    fused: torch.Tensor = group_norm(x, weight, bias, groups, 1e-5, silu)
    return fused


SECTIONS: dict[str, Callable[[Run], None]] = {
    "correctness": correctness,
    "times": kernel_times,
    "unet": unet_steps,
    "vae": vae_decodes,
    "profile": profiles,
    "attention": attention_times,
    "tiles": tiles,
    "compiled": compiled_steps,
}

if __name__ == "__main__":
    main()
