"""Fast paths of single forward passes, measured on a GPU: `python3 -m bench.kernels --out FILE.json --seconds 240`.

Real architectures with random weights. `--dry` goes through all of it on the CPU with tiny ones, to test this script.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers as untyped_diffusers
import torch
from torch import nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from server.diffusion.groupnorm import FusedGroupNorm, fuse_group_norms, group_norm
from server.diffusion.optimizations import keep_channels_last

diffusers: Any = untyped_diffusers

BANDWIDTH = 3.0e12  # bytes/s of an H100's memory, read and written
BACKENDS = {
    "cuDNN": [SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION],
    "flash": [SDPBackend.FLASH_ATTENTION],
    "efficient": [SDPBackend.EFFICIENT_ATTENTION],
}
# (pictures, channels, side): of SD 2.1 at 768x768, of its autoencoder, of SDXL at 1024x1024.
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


@dataclass
class Run:
    """One call of this script.

    Attributes:
        out: where the results go, after each section.
        until: `time.monotonic()` at which no new measurement starts.
        dry: tiny networks on the CPU.
    """

    out: Path
    until: float
    dry: bool
    results: dict[str, Any] = field(default_factory=dict)

    @property
    def device(self) -> str:
        return "cpu" if self.dry else "cuda"

    def record(self, section: str, name: str, **values: Any) -> None:
        self.results.setdefault(section, {})[name] = values
        shown = "  ".join(
            f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in values.items()
        )
        print(f"[{section}] {name}: {shown}", flush=True)

    def save(self) -> None:
        self.out.write_text(json.dumps(self.results, indent=1))

    @contextlib.contextmanager
    def attempt(self, section: str, name: str) -> Iterator[None]:
        """Record an error instead of stopping: the lease is short and the other figures are wanted."""
        try:
            yield
        except Exception as error:
            if self.dry:
                raise
            traceback.print_exc(limit=-4)
            self.record(section, name, error=f"{type(error).__name__}: {str(error)[:300]}")
            torch.cuda.empty_cache()
        self.save()

    @property
    def late(self) -> bool:
        return time.monotonic() > self.until


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
    run.record("machine", "torch", version=torch.__version__, diffusers=diffusers.__version__)
    if not run.dry:
        run.record(
            "machine",
            "gpu",
            name=torch.cuda.get_device_name(),
            cudnn=torch.backends.cudnn.version(),
            sdp_order=str(getattr(torch._C, "_get_sdp_priority_order", lambda: None)()),
        )


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
                    times[key] = graph_time(run, lambda x=x, w=weight: normalized(run, x, w, w, 32), calls=10)
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
        for backend, chosen in {"default": None, **BACKENDS}.items():
            if run.late:
                return
            try:
                with sdpa_kernel(chosen[:1]) if chosen else contextlib.nullcontext():
                    times[backend] = graph_time(
                        run, lambda q=q, k=k, v=v: functional.scaled_dot_product_attention(q, k, v), calls=3
                    )
            except RuntimeError as error:
                times[backend] = str(error).partition("\n")[0][:60]
        run.record("attention", name, **times)


def unet_steps(run: Run) -> None:
    """SD 2.1's UNet at 768x768 in CUDA graphs, one measure after the other put on."""
    unet = make_unet(run)
    before = {rows: unet(*unet_inputs(run, rows))[0] for rows in (2,)}
    measure_unet(run, unet, "plain", (16,))
    for part in unet.modules():
        if isinstance(part, nn.Conv2d):
            part.to(memory_format=torch.channels_last)
    measure_unet(run, unet, "channels-last weights", (2, 16))
    keep_channels_last(unet)
    measure_unet(run, unet, "+ channels-last transformers", (2, 16))
    count = fuse_group_norms(unet)
    run.record("unet", "fused norms", count=count, difference=relative(unet(*unet_inputs(run, 2))[0], before[2]))
    measure_unet(run, unet, "+ fused norms", (2, 4, 8, 16, 32))
    for backend, order in BACKENDS.items():
        with run.attempt("unet", f"+ {backend}"), sdpa_kernel([*order, SDPBackend.MATH], set_priority=True):
            measure_unet(run, unet, f"+ fused norms + {backend}", (2, 16))
    with run.attempt("unet", "cudnn.benchmark"):
        torch.backends.cudnn.benchmark = True
        measure_unet(run, unet, "+ fused norms + cudnn.benchmark", (2, 16))
    torch.backends.cudnn.benchmark = False
    with run.attempt("unet", "qkv"):
        unet.fuse_qkv_projections()
        measure_unet(run, unet, "+ fused norms + fused qkv", (2, 16))


def measure_unet(run: Run, unet: Any, name: str, all_rows: tuple[int, ...], section: str = "unet") -> None:
    for rows in all_rows:
        if run.late:
            return
        with run.attempt(section, f"{name}, {rows} rows"):
            inputs = unet_inputs(run, rows)
            first = time.monotonic()
            unet(*inputs)
            synchronize(run)
            first = time.monotonic() - first
            took = graph_time(run, lambda inputs=inputs: unet(*inputs)[0])
            run.record(section, f"{name}, {rows} rows", ms=took, ms_per_image=took / (rows / 2), first_call_s=first)


def compiled(run: Run) -> None:
    """torch.compile with a dynamic batch, then static at 16 rows; both in CUDA graphs."""
    unet = make_unet(run)
    keep_channels_last(unet)
    fuse_group_norms(unet)
    eager = unet(*unet_inputs(run, 4))[0]
    forward = unet.forward
    for name, dynamic in (("dynamic", True), ("static", False)):
        if run.late:
            return
        torch.compiler.reset()
        with run.attempt("compiled", name):
            step = torch.compile(
                forward,
                fullgraph=True,
                dynamic=None if dynamic else False,
                backend="aot_eager" if run.dry else "inductor",
            )
            inputs = unet_inputs(run, 16)
            if dynamic:
                # From 64 rows on, Upsample2D takes another path.
                for tensor in inputs[:3]:
                    torch._dynamo.mark_dynamic(tensor, 0, min=2, max=63)
            start = time.monotonic()
            step(*inputs)
            synchronize(run)
            run.record("compiled", f"{name}: first call", seconds=time.monotonic() - start)
            measure_unet(run, step, name, (16, 2, 4, 8, 32) if dynamic else (16,), "compiled")
            if dynamic:
                run.record(
                    "compiled", "dynamic against eager", difference=relative(step(*unet_inputs(run, 4))[0], eager)
                )


def vae_decodes(run: Run) -> None:
    """SD's autoencoder, from latents of 96x96 to 768x768."""
    sizes = (8, 8, 8, 8) if run.dry else (128, 256, 512, 512)
    with torch.device(run.device):
        vae = diffusers.AutoencoderKL(
            block_out_channels=sizes,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
            norm_num_groups=4 if run.dry else 32,
        ).to(torch.bfloat16)
    vae.eval().requires_grad_(False)
    side = 8 if run.dry else 96
    latents = torch.randn(8, 4, side, side, device=run.device).to(torch.bfloat16)
    before = vae.decode(latents[:1]).sample

    def measure(name: str) -> None:
        for images in (1, 2, 4, 8):
            if run.late:
                return
            with run.attempt("vae", f"{name}, {images} images"):

                def decode(images: int = images) -> Any:
                    return vae.decode(latents[:images], return_dict=False)[0]

                graph, eager = graph_time(run, decode), eager_time(run, decode)
                run.record(
                    "vae", f"{name}, {images} images", graph_ms=graph, eager_ms=eager, ms_per_image=graph / images
                )

    measure("plain")
    keep_channels_last(vae)
    measure("channels-last")
    count = fuse_group_norms(vae)
    run.record("vae", "fused norms", count=count, difference=relative(vae.decode(latents[:1]).sample, before))
    measure("fused norms")
    with run.attempt("vae", "cudnn.benchmark"):
        torch.backends.cudnn.benchmark = True
        measure("fused norms + cudnn.benchmark")
    torch.backends.cudnn.benchmark = False
    if not run.dry:
        graph = capture(lambda: vae.decode(latents[:4], return_dict=False)[0])
        profile(run, "profile of decode, 4 images", graph.replay)


def profiles(run: Run) -> None:
    """What is left: the kernels of one step, by time."""
    if run.dry:
        return
    unet = make_unet(run)
    keep_channels_last(unet)
    fuse_group_norms(unet)
    inputs = unet_inputs(run, 16)
    profile(run, "profile of the UNet, 16 rows", capture(lambda: unet(*inputs)[0]).replay)


def profile(run: Run, section: str, work: Callable[[], object]) -> None:
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as record

    work()
    torch.cuda.synchronize()
    with record(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as recorded:
        for _ in range(3):
            work()
        torch.cuda.synchronize()
    events = [event for event in recorded.key_averages() if event.device_type == DeviceType.CUDA]
    events.sort(key=lambda event: -event.self_device_time_total)
    run.record(section, "all", ms=sum(event.self_device_time_total for event in events) / 3e3)
    for event in events[:20]:
        run.record(section, event.key[:110], ms=event.self_device_time_total / 3e3, calls=event.count // 3)


def make_unet(run: Run) -> Any:
    sizes: dict[str, Any] = (
        {
            "block_out_channels": (8, 8, 8, 8),
            "attention_head_dim": 2,
            "cross_attention_dim": 8,
            "norm_num_groups": 4,
            "sample_size": 8,
        }
        if run.dry
        else {
            "block_out_channels": (320, 640, 1280, 1280),
            "attention_head_dim": (5, 10, 20, 20),
            "cross_attention_dim": 1024,
            "sample_size": 96,
        }
    )
    torch.manual_seed(0)
    with torch.device(run.device):
        unet = diffusers.UNet2DConditionModel(use_linear_projection=True, **sizes)
    return unet.to(torch.bfloat16).eval().requires_grad_(False)


def unet_inputs(run: Run, rows: int) -> tuple[Any, ...]:
    side, width = (8, 8) if run.dry else (96, 1024)
    generator = torch.Generator(run.device).manual_seed(rows)
    latents = torch.randn(rows, 4, side, side, device=run.device, generator=generator).to(torch.bfloat16)
    states = torch.randn(rows, 77, width, device=run.device, generator=generator).to(torch.bfloat16)
    timesteps = torch.linspace(1, 999, rows, device=run.device)
    # The last six positional arguments are class_labels ... added_cond_kwargs; the results come as a tuple.
    return (latents, timesteps, states, None, None, None, None, None, None, None, None, None, False)


def picture(run: Run, pictures: int, channels: int, side: int, dtype: torch.dtype, mean: float) -> torch.Tensor:
    generator = torch.Generator(run.device).manual_seed(channels)
    x = torch.randn(pictures, side, side, channels, device=run.device, generator=generator)
    return (x + mean).to(dtype).permute(0, 3, 1, 2)


def normalized(
    run: Run, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, groups: int, silu: bool = True
) -> torch.Tensor:
    if run.dry:
        norm = FusedGroupNorm(groups, x.shape[1], dtype=x.dtype)
        norm.weight, norm.bias, norm.activation = nn.Parameter(weight), nn.Parameter(bias), silu
        return norm(x)
    result: torch.Tensor = group_norm(x, weight, bias, groups, 1e-5, silu)
    return result


def relative(result: torch.Tensor, exact: torch.Tensor) -> float:
    return float((result.double() - exact.double()).norm() / exact.double().norm())


def graph_time(run: Run, work: Callable[[], object], calls: int = 1) -> float:
    """Milliseconds of one call of `work`: the median of several replays of a CUDA graph of `calls` calls."""
    if run.dry:
        return eager_time(run, work)
    graph = capture(lambda: [work() for _ in range(calls)][-1])
    times = []
    for _ in range(3):
        graph.replay()
    spent = time.monotonic() + 1.0
    while len(times) < 5 or (len(times) < 30 and time.monotonic() < spent):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end) / calls)
    return statistics.median(times)


def capture(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph


def eager_time(run: Run, work: Callable[[], object]) -> float:
    times = []
    for _ in range(1 if run.dry else 5):
        synchronize(run)
        start = time.perf_counter()
        work()
        synchronize(run)
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)


def synchronize(run: Run) -> None:
    if not run.dry:
        torch.cuda.synchronize()


SECTIONS: dict[str, Callable[[Run], None]] = {
    "correctness": correctness,
    "times": kernel_times,
    "unet": unet_steps,
    "vae": vae_decodes,
    "profile": profiles,
    "attention": attention_times,
    "tiles": tiles,
    "compiled": compiled,
}

if __name__ == "__main__":
    sys.exit(main())
