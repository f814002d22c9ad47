"""Weights of eight bits. What fp8 makes of pictures needs a GPU that computes so, and is skipped elsewhere."""

from __future__ import annotations

import gc
import math
import sys
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from server.diffusion import Engine, Lora, LoraFiles, ModelError, PictureRequest, Quantization, Warnings
from server.diffusion.pipeline import read
from server.diffusion.placement import Step, arrange, choose
from server.diffusion.quantization import check_capability, layers_to_quantize, quantize_weights
from server.diffusion.step_cache import Reuse
from server.diffusion.turns import bytes_of
from server.diffusion.twins import make_twin
from tests.conftest import ROOT
from tests.diffusion.drawing import TOLERANCE, distance, draw, draw_together, psnr
from tests.diffusion.made_up_loras import make_lora, stock
from tests.diffusion.test_batching import compare, drawing, from_image, photo, text_to_image
from tests.diffusion.test_placement import SIZES, pictures
from tests.diffusion.tiny_pipelines import diffusers

EMOJI = ROOT / "models" / "emoji"
CPU = torch.device("cpu")

Tiny = Callable[[str], Path]

# PixArt and Sana are so tiny that no side of their denoisers' layers is a multiple of 16.
FAMILIES = ("stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3", "flux", "qwen-image", "z-image")

pytestmark = pytest.mark.filterwarnings("ignore:TorchaoLoraLinear was instantiated")


def quantized(folder: Path, large: int = 0) -> Any:
    pipeline = read(folder)
    quantize_weights(pipeline, Quantization.INT8, large)
    return pipeline


@pytest.fixture(scope="module")
def engines(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """Engines with weights in int8, by the names of tiny pipelines."""
    made: dict[str, Engine] = {}
    files = LoraFiles(tmp_path_factory.mktemp("cache"), folders=[tmp_path_factory.getbasetemp()])

    def load(name: str) -> Engine:
        if name not in made:
            made[name] = Engine(str(tiny(name)), quantize="int8", compile="off", lora_files=files)
        return made[name]

    yield load
    for engine in made.values():
        engine.close()


def test_blocks_of_linear_layers_are_quantized_and_nothing_else(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("flux"))
    names = {name for name, _ in layers_to_quantize(pipeline.transformer)}
    assert {"transformer_blocks.0.attn.to_q", "transformer_blocks.0.norm1.linear"} <= names
    assert {"single_transformer_blocks.0.proj_mlp", "single_transformer_blocks.0.proj_out"} <= names
    # What is before and after the blocks.
    assert all(name.startswith(("transformer_blocks.", "single_transformer_blocks.")) for name in names)
    whole = {name: parameter.data_ptr() for name, parameter in pipeline.transformer.named_parameters()}
    done = quantize_weights(pipeline, Quantization.INT8)
    for name, parameter in pipeline.transformer.named_parameters():
        assert (type(parameter) is nn.Parameter) == (name.removesuffix(".weight") not in names), name
        if type(parameter) is nn.Parameter:
            assert parameter.data_ptr() == whole[name]
    # Its text encoders are small.
    assert done[0] == "int8 weights of transformer"
    assert len(done) == 2


def test_odd_sizes_and_layers_whose_weights_others_read_are_left() -> None:
    block = nn.ModuleList([nn.Linear(32, 48), nn.Linear(24, 32), nn.Linear(32, 40), nn.MultiheadAttention(32, 2)])
    model = nn.ModuleDict({"embed": nn.Linear(32, 32), "blocks": block, "blocks_out": nn.Linear(32, 32)})
    assert [name for name, _ in layers_to_quantize(model)] == ["blocks.0"]


@pytest.mark.parametrize("name", FAMILIES)
def test_pictures_are_close_to_those_of_whole_weights(name: str, tiny: Tiny) -> None:
    whole, small = read(tiny(name)), quantized(tiny(name))
    size = SIZES.get(name, {"width": 64, "height": 64})
    expected = pictures(whole, arrange(whole, CPU, Step.WHOLE), **size)
    got = pictures(small, arrange(small, CPU, Step.WHOLE), **size)
    # 50.4 dB is the least that was seen, of Z-Image; the others begin at 58. Weights that are wrong give 20 or less.
    assert all(45 < psnr(one, other) < math.inf for one, other in zip(expected, got, strict=True))


def test_the_embedded_model_draws_nearly_the_same() -> None:
    request = PictureRequest(prompt="a red apple", seed=7, num_inference_steps=12, inputs={})
    whole, small = Engine(str(EMOJI)), Engine(str(EMOJI), quantize="int8")
    [expected], [got] = draw(whole, request), draw(small, request)
    # 45.2 dB is the least of 18 pictures that were measured, of 4 to 25 steps.
    assert 40 < psnr(expected.image, got.image) < math.inf
    assert "int8 weights of unet" in str(small)
    assert "int8" not in str(whole)
    assert got.metadata
    assert expected.metadata
    assert got.metadata.provenance.quantization == "int8"
    assert got.metadata.provenance.versions.keys() - expected.metadata.provenance.versions.keys() == {"torchao"}
    assert expected.metadata.provenance.quantization is None
    for engine in (whole, small):
        engine.close()


def test_weights_take_a_quarter_of_what_float32_takes(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("flux"))
    model = pipeline.transformer
    layers = [layer.weight for _, layer in layers_to_quantize(model)]
    rows, whole = sum(weight.shape[0] for weight in layers), sum(weight.nbytes for weight in layers)
    before = bytes_of(model)
    [_, told] = quantize_weights(pipeline, Quantization.INT8)
    # A byte a weight, and a scale and a zero a row.
    assert bytes_of(model) == before - whole + whole // 4 + rows * (4 + 1)
    memory = {id(part): part for tensor in model.parameters() for part in inner(tensor)}
    assert sum(part.untyped_storage().nbytes() for part in memory.values()) == bytes_of(model)
    sizes = [bytes_of(part) for part in pipeline.components.values() if isinstance(part, nn.Module)]
    assert told == f"{sum(sizes) / 1e6:.1f} MB in place of {(sum(sizes) - bytes_of(model) + before) / 1e6:.1f}"


def inner(tensor: Any) -> list[torch.Tensor]:
    return [tensor] if type(tensor) is nn.Parameter else [tensor.qdata, tensor.scale, tensor.zero_point]


def test_the_whole_weights_are_let_go(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("flux"))
    whole = [weakref.ref(layer.weight) for _, layer in layers_to_quantize(pipeline.transformer)]
    quantize_weights(pipeline, Quantization.INT8)
    gc.collect()
    assert [reference() for reference in whole] == [None] * len(whole)


def test_where_a_model_is_placed_goes_by_what_is_left_of_it() -> None:
    model = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(4096, 4096, bias=False) for _ in range(4)])})
    free = 80 << 20
    assert choose({"transformer": bytes_of(model)}, free, pixels=0) is Step.BY_LAYER
    pipeline: Any = Bare(model)
    quantize_weights(pipeline, Quantization.INT8)
    assert choose({"transformer": bytes_of(pipeline.components["transformer"])}, free, pixels=0) is Step.WHOLE


class Bare:
    """As much of a pipeline as is looked at."""

    def __init__(self, layers: nn.Module) -> None:
        model = diffusers.models.modeling_utils.ModelMixin()
        model.layers = layers
        self.components = {"transformer": model}


def test_large_text_encoders_are_quantized_too(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("flux"))
    sizes = {name: sum(p.numel() for p in getattr(pipeline, name).parameters()) for name in ("text_encoder",)}
    done = quantize_weights(pipeline, Quantization.INT8, sizes["text_encoder"])
    assert done[:-1] == ["int8 weights of text_encoder", "int8 weights of transformer"]
    assert type(pipeline.text_encoder_2.encoder.block[0].layer[0].SelfAttention.q.weight) is nn.Parameter
    assert type(pipeline.vae.encoder.mid_block.attentions[0].to_q.weight) is nn.Parameter


@pytest.mark.gpu_too
@pytest.mark.parametrize("name", FAMILIES)
async def test_pictures_are_the_same_in_company(name: str, engines: Callable[[str], Engine]) -> None:
    works = [(text_to_image(name, seed, steps), None) for seed, steps in ((1, 2), (2, 3), (3, 4))]
    passes = await compare(engines(name), works)
    assert max(made.requests for made in passes if made.component in ("transformer", "unet")) > 1


async def test_pictures_from_pictures_are_the_same_in_company(engines: Callable[[str], Engine]) -> None:
    engine = engines("flux")
    other = diffusers.AutoPipelineForImage2Image.from_pipe(engine.pipeline)
    await compare(engine, [(from_image(1, 4, 0.6), other), (text_to_image("flux", 2, 3), None)])


@pytest.mark.parametrize("step", [Step.BY_MODEL, Step.BY_LAYER])
@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
def test_pictures_are_the_same_wherever_the_weights_are(name: str, step: Step, tiny: Tiny) -> None:
    whole, other = quantized(tiny(name)), quantized(tiny(name))
    expected = pictures(whole, arrange(whole, CPU, Step.WHOLE), width=64, height=64)
    got = pictures(other, arrange(other, CPU, step), width=64, height=64)
    assert all(psnr(one, another) > 60 for one, another in zip(expected, got, strict=True))


def test_twins_share_the_small_weights(tiny: Tiny) -> None:
    model = quantized(tiny("flux")).transformer
    twin = make_twin(model)
    for own, other in zip(model.parameters(), twin.parameters(), strict=True):
        for part, copy in zip(inner(own), inner(other), strict=True):
            assert part.data_ptr() == copy.data_ptr()


@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
async def test_loras_of_single_requests_work_on_them(
    name: str, tiny: Tiny, engines: Callable[[str], Engine], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = make_lora(tiny(name), tmp_path_factory.mktemp("lora"), seed=1)
    engine, work = engines(name), text_to_image(name, 3, 3)
    plain = await engine.call(work)
    async with engine.adapters.pipeline_with([Lora(str(path), 0.7)], Warnings(strict=True)) as pipeline:
        got = await engine.call(work, pipeline=pipeline)
    # What stock diffusers makes of the LoRA on the whole weights, but for the rounding of the weights.
    expected = work(stock(tiny(name), (path, 0.7)))
    assert psnr(got * 255, expected * 255) > 45
    assert psnr(got * 255, plain * 255) < 40
    assert np.abs(await engine.call(work) - plain).max() < TOLERANCE


def test_all_at_once(tiny: Tiny, engines: Callable[[str], Engine], tmp_path_factory: pytest.TempPathFactory) -> None:
    lora = Lora(str(make_lora(tiny("flux"), tmp_path_factory.mktemp("lora"), seed=1)), 0.7)
    request = PictureRequest(prompt="a cat", seed=1, num_inference_steps=4, width=64, height=64, loras=(lora,))
    fast = replace(request, go_fast=True)
    [plain], [first], [second] = draw_together(engines("flux"), [request, fast, fast])
    # Four steps of random weights have nothing in common that could be left out.
    assert first.reuse == Reuse(4, 0)
    assert distance(first.image, second.image) == 0
    assert distance(first.image, plain.image) <= 1


def test_beside_a_controlnet(tiny: Tiny, controlnet: Path, tmp_path: Path) -> None:
    loaded = Engine(str(tiny("stable-diffusion")), quantize="int8", controlnet=str(controlnet))
    photo(64, 1).save(tmp_path / "photo.png")
    request = PictureRequest(prompt="a cat", seed=1, num_inference_steps=2, width=64, height=64)
    [plain], [led] = draw_together(loaded, [request, replace(request, controlnet_image=tmp_path / "photo.png")])
    assert distance(plain.image, led.image) > 1
    loaded.close()


@pytest.mark.parametrize("capability", [(8, 9), (9, 0), (12, 0)])
def test_cards_that_compute_in_fp8_may(capability: tuple[int, int]) -> None:
    check_capability(capability, "cuda")


@pytest.mark.parametrize(
    ("capability", "found"), [((8, 6), "cuda has 8.6"), ((7, 5), "cuda has 7.5"), (None, "this is cuda")]
)
def test_other_devices_are_told_what_would_do(capability: tuple[int, int] | None, found: str) -> None:
    with pytest.raises(ModelError, match=rf"--quantize fp8 needs .* 8\.9 or more.*; {found}\. Take int8, which"):
        check_capability(capability, "cuda")


def test_fp8_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"this is cpu\. Take int8"):
        Engine(str(tmp_path / "missing"), quantize="fp8")


def test_without_torchao_the_command_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torchao.quantization", None)
    with pytest.raises(ModelError, match=r"needs torchao .* python -m pip install 'torchao>=0\.18'"):
        Engine(str(tmp_path / "missing"), quantize="int8")


def test_a_model_with_nothing_to_quantize_is_refused(tiny: Tiny) -> None:
    with pytest.raises(ModelError, match=r"would change nothing of this model \(SanaPipeline\).*Take none"):
        Engine(str(tiny("sana")), quantize="int8")


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
def test_pictures_in_fp8_are_close_to_those_of_whole_weights(name: str, tiny: Tiny) -> None:
    device = torch.device("cuda")
    whole, small = read(tiny(name)), read(tiny(name))
    quantize_weights(small, Quantization.FP8)
    expected = pictures(whole, arrange(whole, device, Step.WHOLE), width=64, height=64)
    got = pictures(small, arrange(small, device, Step.WHOLE), width=64, height=64)
    assert all(25 < psnr(one, other) < math.inf for one, other in zip(expected, got, strict=True))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
@pytest.mark.parametrize("quantization", [Quantization.INT8, Quantization.FP8])
async def test_they_are_compiled_and_pictures_are_the_same_in_company(
    name: str, quantization: Quantization, tiny: Tiny
) -> None:
    engine = Engine(str(tiny(name)), quantize=quantization, compile="wait", most_rows=8)
    engine.warm_up()
    # Of the model's own size, for which it is compiled first.
    works = [(drawing(seed, 3), None) for seed in range(4)]
    passes = await compare(engine, works)
    engine.close()
    assert {made.requests for made in passes if made.kind == "compiled"} & {2, 3, 4}
