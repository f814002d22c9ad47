"""LoRAs of single requests: what each gets is what stock diffusers makes with the same LoRAs, loaded by hand."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import json
import weakref
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from server.diffusion import Engine, InputError, Lora, LoraFiles, ModelError, Pass, PictureRequest
from server.diffusion import adapters as adapters_module
from server.diffusion.adapters import Adapters
from server.diffusion.compiler import Compiler
from server.diffusion.gates import gate_of
from server.diffusion.interning import Interned
from server.diffusion.lora_loading import load_twins
from server.diffusion.rows import see_rows
from server.diffusion.warnings import Warnings
from tests.conftest import ROOT
from tests.diffusion.drawing import TOLERANCE, assert_alike
from tests.diffusion.made_up_loras import make_lora, stock, to_kohya, write
from tests.diffusion.test_batching import from_image, text_to_image
from tests.diffusion.tiny_pipelines import diffusers

PIXEL_ART = ROOT / "models" / "emoji-loras" / "pixel-art" / "pytorch_lora_weights.safetensors"

# Of peft, where a second LoRA is loaded, by hand as well.
pytestmark = pytest.mark.filterwarnings("ignore:Already found a `peft_config` attribute")

FAMILIES = (
    "stable-diffusion",
    "stable-diffusion-xl",
    "stable-diffusion-3",
    "flux",
    "sana",
    "qwen-image",
    "z-image",
)

Tiny = Callable[[str], Path]
Made = Callable[..., Path]
Engines = Callable[[str], Engine]


@pytest.fixture(scope="session")
def lora(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The file of a made-up LoRA, by the name of the pipeline that it is for and a seed."""
    made: dict[Any, Path] = {}

    def find(name: str, seed: int = 1, **options: Any) -> Path:
        key = (name, seed, *options.items())
        if key not in made:
            made[key] = make_lora(tiny(name), tmp_path_factory.mktemp("lora"), seed, **options)
        return made[key]

    return find


@pytest.fixture
def engines(tiny: Tiny, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """An engine of its own for a test, which takes the files of made-up LoRAs by their paths."""
    made: list[Engine] = []

    def load(name: str) -> Engine:
        files = LoraFiles(tmp_path / "cache", folders=[tmp_path_factory.getbasetemp()])
        made.append(Engine(str(tiny(name)), compile="off", lora_files=files))
        return made[-1]

    yield load
    for engine in made:
        engine.close()


async def draw(engine: Engine, loras: list[Lora], work: Any, warnings: Warnings | None = None) -> np.ndarray:
    async with engine.adapters.pipeline_with(loras, warnings or Warnings()) as pipeline:
        images: np.ndarray = await engine.call(work, pipeline=pipeline)
        return images


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one - other).max())


def weights_of(pipeline: Any) -> dict[str, torch.Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module)
        for key, value in part.state_dict().items()
    }


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    # In a row: what is as long as one element may have any stride there.
    return tensor.flatten().view(torch.uint8)


def assert_untouched(pipeline: Any, before: dict[str, torch.Tensor]) -> None:
    after = weights_of(pipeline)
    assert after.keys() == before.keys()
    assert all(torch.equal(_bits(after[key]), _bits(before[key])) for key in before)
    assert not any(hasattr(part, "peft_config") for part in pipeline.components.values())


@pytest.mark.parametrize("name", FAMILIES)
async def test_pixels_are_those_of_stock_diffusers(name: str, tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, path, work = engines(name), lora(name), text_to_image(name, 3, 3)
    before = weights_of(engine.pipeline)
    got = await draw(engine, [Lora(str(path), 0.7)], work)
    assert difference(got, work(stock(tiny(name), (path, 0.7)))) < TOLERANCE
    assert difference(got, await draw(engine, [], work)) > 0.01
    assert_untouched(engine.pipeline, before)


async def test_the_embedded_model_with_its_own_lora() -> None:
    model = ROOT / "models" / "emoji-fast"
    engine = Engine(str(model), lora_files=LoraFiles(Path("unused"), folders=[PIXEL_ART.parent]))
    work = text_to_image("emoji-fast", 1, 4, prompt="a penguin")
    got = await draw(engine, [Lora(str(PIXEL_ART), 0.7)], work)
    by_hand = stock(model)
    by_hand.load_lora_weights(PIXEL_ART.parent, weight_name=PIXEL_ART.name)
    # set_adapters fails on this UNet, whose blocks differ in how many layers they have; this is the other way.
    scaled = text_to_image("emoji-fast", 1, 4, prompt="a penguin", cross_attention_kwargs={"scale": 0.7})
    assert difference(got, scaled(by_hand)) < TOLERANCE
    asked = PictureRequest(prompt="a penguin", seed=1, num_inference_steps=4)
    with_lora = replace(asked, loras=(Lora(str(PIXEL_ART)),))
    [plain] = [picture async for picture in engine.generate(asked)]
    [styled] = [picture async for picture in engine.generate(with_lora)]
    assert np.asarray(plain.image).tobytes() != np.asarray(styled.image).tobytes()
    engine.close()


async def test_the_files_are_in_the_metadata_by_their_digests(lora: Made, engines: Engines) -> None:
    paths = [lora("stable-diffusion", seed) for seed in (1, 2, 3)]
    loras = tuple(Lora(str(path), scale) for path, scale in zip(paths, (0.7, 1.0, 0.0), strict=True))
    asked = PictureRequest(prompt="a cat", seed=1, num_inference_steps=1, width=64, height=64, loras=loras, inputs={})
    [picture] = [picture async for picture in engines("stable-diffusion").generate(asked)]
    assert picture.metadata
    told = [(used.source, used.scale, used.sha256) for used in picture.metadata.loras]
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    assert told == [(str(paths[0]), 0.7, digests[0]), (str(paths[1]), 1.0, digests[1])]


@pytest.mark.gpu_too
async def test_requests_at_the_same_time_get_what_they_get_alone(lora: Made, engines: Engines) -> None:
    engine = engines("stable-diffusion")
    before = weights_of(engine.pipeline)
    first, second = str(lora("stable-diffusion", 1)), str(lora("stable-diffusion", 2, text=False))
    asked: list[list[Lora]] = [
        [],
        [Lora(first)],
        [Lora(first)],
        [Lora(first, 0.5)],
        [Lora(second)],
        [Lora(second), Lora(first, -0.5)],
        [],
    ]
    works = [text_to_image("stable-diffusion", seed, 3) for seed in range(len(asked))]
    alone = [await draw(engine, loras, work) for loras, work in zip(asked, works, strict=True)]
    passes: list[Pass] = []
    engine.on_pass = passes.append
    together = await asyncio.gather(*(draw(engine, loras, work) for loras, work in zip(asked, works, strict=True)))
    engine.on_pass = None
    for one, other in zip(alone, together, strict=True):
        assert_alike(engine, one, other)
    # Those of the same set share passes, and so do those without.
    assert max(made.requests for made in passes if made.component == "unet") == 2
    assert_untouched(engine.pipeline, before)


async def test_two_loras_in_either_order(tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, work = engines("stable-diffusion-xl"), text_to_image("stable-diffusion-xl", 5, 3)
    first, second = lora("stable-diffusion-xl", 1), lora("stable-diffusion-xl", 2)
    expected = work(stock(tiny("stable-diffusion-xl"), (first, 0.6), (second, 0.9)))
    loras = [Lora(str(first), 0.6), Lora(str(second), 0.9, "extra_lora")]
    assert difference(await draw(engine, loras, work), expected) < TOLERANCE
    assert difference(await draw(engine, loras[::-1], work), expected) < TOLERANCE
    twice = await draw(engine, [loras[0], loras[0]], work)
    assert difference(twice, await draw(engine, [Lora(str(first), 1.2)], work)) < TOLERANCE


async def test_what_setup_has_loaded_stays_at_work(tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 5, 3)
    always, asked = lora("stable-diffusion", 1), lora("stable-diffusion", 2)
    engine.pipeline.load_lora_weights(always.parent, weight_name=always.name, adapter_name="always")
    engine.pipeline.set_adapters(["always"], [0.8])
    alone = await draw(engine, [], work)
    got = await draw(engine, [Lora(str(asked), 0.5)], work)
    assert difference(got, work(stock(tiny("stable-diffusion"), (always, 0.8), (asked, 0.5)))) < TOLERANCE
    assert np.array_equal(await draw(engine, [], work), alone)
    assert engine.pipeline.get_list_adapters() == {"unet": ["always"], "text_encoder": ["always"]}


async def test_what_is_loaded_later_is_at_work_after_warming_up(tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 5, 3)
    always, asked = lora("stable-diffusion", 1), lora("stable-diffusion", 2)
    await draw(engine, [Lora(str(asked), 0.5)], work)
    engine.pipeline.load_lora_weights(always.parent, weight_name=always.name, adapter_name="always")
    engine.warm_up()
    got = await draw(engine, [Lora(str(asked), 0.5)], work)
    assert difference(got, work(stock(tiny("stable-diffusion"), (always, 1.0), (asked, 0.5)))) < TOLERANCE


async def test_the_format_of_kohya_with_its_alpha(tiny: Tiny, lora: Made, engines: Engines, tmp_path: Path) -> None:
    for name in ("stable-diffusion", "stable-diffusion-xl"):
        engine, work = engines(name), text_to_image(name, 5, 3)
        path = write(tmp_path / f"{name}.safetensors", to_kohya(load_file(lora(name)), alpha=2.0))
        got = await draw(engine, [Lora(str(path), 0.9)], work)
        assert difference(got, work(stock(tiny(name), (path, 0.9)))) < TOLERANCE
        # With an alpha of half the rank it works half as strongly.
        assert difference(got, await draw(engine, [Lora(str(lora(name)), 0.45)], work)) < TOLERANCE


async def test_the_alpha_in_a_files_metadata(tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 5, 3)
    told, silent = lora("stable-diffusion", metadata=True), lora("stable-diffusion")
    got = await draw(engine, [Lora(str(told), 0.5)], work)
    assert difference(got, work(stock(tiny("stable-diffusion"), (told, 0.5)))) < TOLERANCE
    # Without it, alpha is taken to be the rank.
    assert difference(got, await draw(engine, [Lora(str(silent), 0.75)], work)) < TOLERANCE


async def test_another_pipeline_of_the_same_models(tiny: Tiny, lora: Made, engines: Engines) -> None:
    engine, path, work = engines("stable-diffusion"), lora("stable-diffusion"), from_image(4, 4, 0.6)
    other = diffusers.AutoPipelineForImage2Image.from_pipe(engine.pipeline)
    async with engine.adapters.pipeline_with([Lora(str(path))], Warnings(), other) as pipeline:
        assert type(pipeline) is type(other)
        got = await engine.call(work, pipeline=pipeline)
    by_hand = diffusers.AutoPipelineForImage2Image.from_pipe(stock(tiny("stable-diffusion"), (path, 1.0)))
    assert difference(got, work(by_hand)) < TOLERANCE


async def test_a_scale_of_zero_is_none_and_said(lora: Made, engines: Engines) -> None:
    engine, work, warnings = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2), Warnings()
    async with engine.adapters.pipeline_with([Lora("owner/nowhere", 0.0)], warnings) as pipeline:
        assert pipeline is engine.pipeline
    [warning] = warnings.to_list()
    assert (warning["code"], warning["input"]) == ("ignored", "lora_weights")
    path = str(lora("stable-diffusion"))
    half = await draw(engine, [Lora(path), Lora("owner/nowhere", 0, "extra_lora")], work)
    assert np.array_equal(half, await draw(engine, [Lora(path)], work))


@pytest.mark.parametrize("scale", [float("nan"), float("inf")])
async def test_a_scale_has_to_be_a_number(scale: float, engines: Engines) -> None:
    with pytest.raises(InputError, match=r"extra_lora: its scale is (nan|inf)"):
        await draw(engines("stable-diffusion"), [Lora("owner/nowhere", scale, "extra_lora")], None)


async def test_tensors_without_a_place_are_a_warning(lora: Made, engines: Engines, tmp_path: Path) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2)
    tensors = load_file(lora("stable-diffusion"))
    layer = "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    strange = {
        "unet.no_such_block.0.to_q.lora_A.weight": torch.ones(4, 32),
        "unet.no_such_block.0.to_q.lora_B.weight": torch.ones(32, 4),
        "vae.decoder.conv_in.lora_A.weight": torch.ones(4, 4),
        f"{layer}.to_q.weight": torch.ones(64, 64),
        f"{layer}.norm.lora_B.weight": torch.ones(4, 4),
    }
    alone = tensors.keys() - {f"{layer}.to_q.lora_B.weight"}
    path = write(tmp_path / "more.safetensors", {key: tensors[key] for key in alone} | strange)
    clean = write(
        tmp_path / "clean.safetensors", {key: tensors[key] for key in alone - {f"{layer}.to_q.lora_A.weight"}}
    )
    before = weights_of(engine.pipeline)
    for _ in range(2):
        # Whether it is loaded now or has been before.
        warnings = Warnings()
        got = await draw(engine, [Lora(str(path))], work, warnings)
        [warning] = warnings.to_list()
        assert (warning["code"], warning["input"]) == ("ignored", "lora_weights")
        assert warning["message"] is not None
        assert warning["message"].startswith("6 of the file's tensors have no place in this model")
    assert difference(got, await draw(engine, [Lora(str(clean))], work)) < TOLERANCE
    with pytest.raises(InputError, match="extra_lora: 6 of the file's tensors"):
        await draw(engine, [Lora(str(path), 1.0, "extra_lora")], work, Warnings(strict=True))
    assert_untouched(engine.pipeline, before)


async def test_strange_tensors_in_a_file_of_kohya(lora: Made, engines: Engines, tmp_path: Path) -> None:
    engine, work, warnings = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2), Warnings()
    tensors = to_kohya(load_file(lora("stable-diffusion")), alpha=4.0)
    more = {"lora_unet_mid_block_x.hada_w1_a": torch.ones(4, 4), "step": torch.ones(1)}
    path = write(tmp_path / "kohya.safetensors", tensors | more)
    got = await draw(engine, [Lora(str(path))], work, warnings)
    assert "2 of the file's tensors" in str(warnings.to_list()[0]["message"])
    assert difference(got, await draw(engine, [Lora(str(lora("stable-diffusion")))], work)) < TOLERANCE


async def test_what_does_not_fit_is_refused_and_leaves_no_trace(
    tiny: Tiny, lora: Made, engines: Engines, tmp_path: Path
) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2)
    plain, before = await draw(engine, [], work), weights_of(engine.pipeline)
    real_xl = {
        f"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k.lora_{half}.weight": torch.ones(shape)
        for half, shape in (("down", (4, 2048)), ("up", (64, 4)))
    }
    unlike = {"unet.conv_in.weight": torch.ones(4), "unet.conv_in.bias": torch.ones(4)}
    olora = write(
        tmp_path / "olora.safetensors",
        load_file(lora("stable-diffusion", text=False)),
        {"format": "pt", "lora_adapter_metadata": json.dumps({"unet.init_lora_weights": "olora", "unet.r": 4})},
    )
    for path, rule in (
        (lora("flux"), "does not match this model .StableDiffusionPipeline.. It seems made for"),
        (lora("stable-diffusion-xl"), "does not fit this model: .* wide here and .* wide there"),
        (write(tmp_path / "xl.safetensors", real_xl), "seems made for Stable Diffusion XL"),
        (write(tmp_path / "no_lora.safetensors", unlike), "holds no LoRA: its tensors are unet.conv_in.bias, unet"),
        (write(tmp_path / "empty.safetensors", {}), "holds no LoRA"),
        (olora, "'olora', which changes the model's own weights"),
    ):
        with pytest.raises(InputError, match=f"extra_lora: .*{rule}"):
            await draw(engine, [Lora(str(lora("stable-diffusion"))), Lora(str(path), 1.0, "extra_lora")], work)
    assert_untouched(engine.pipeline, before)
    assert np.array_equal(await draw(engine, [], work), plain)


async def test_a_model_that_takes_no_lora(engines: Engines) -> None:
    with pytest.raises(InputError, match=r"lora_weights: this model .PixArtSigmaPipeline. takes no LoRA"):
        await draw(engines("pixart"), [Lora("owner/name")], None)


async def test_loading_draws_no_random_numbers_and_keeps_the_models_type(tiny: Tiny, lora: Made) -> None:
    path, work = lora("stable-diffusion"), text_to_image("stable-diffusion", 2, 3)
    base = stock(tiny("stable-diffusion"), dtype=torch.bfloat16)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    twins = await asyncio.to_thread(load_twins, base, [(path, 0.7)])
    assert torch.equal(torch.get_rng_state(), before)
    assert {value.dtype for twin in twins.models.values() for value in twin.parameters()} == {torch.bfloat16}
    got = work(twins.put_into(base))
    assert np.array_equal(got, work(stock(tiny("stable-diffusion"), (path, 0.7), dtype=torch.bfloat16)))


async def test_a_set_is_loaded_once(lora: Made, engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, loaded = engines("stable-diffusion"), []

    def count(*arguments: Any) -> Any:
        loaded.append(arguments)
        return load_twins(*arguments)

    monkeypatch.setattr(adapters_module, "load_twins", count)
    work, path = text_to_image("stable-diffusion", 1, 2), str(lora("stable-diffusion"))
    await asyncio.gather(*(draw(engine, [Lora(path)], work) for _ in range(3)))
    await draw(engine, [Lora(path)], work)
    assert len(loaded) == 1
    await draw(engine, [Lora(path, 0.5)], work)
    assert len(loaded) == 2


async def test_what_is_not_used_leaves_and_its_memory_with_it(
    lora: Made,
    engines: Engines,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2)
    files = LoraFiles(tmp_path / "files", folders=[tmp_path_factory.getbasetemp()])
    dropped: list[str] = []
    # Not the gates, which hold on to their models.
    kept = Adapters(engine.pipeline, files, most=2, on_drop=lambda gates: dropped.extend(gate.name for gate in gates))

    async def use(scale: float) -> weakref.ref[nn.Module]:
        async with kept.pipeline_with([Lora(str(lora("stable-diffusion")), scale)], Warnings()) as pipeline:
            await engine.call(work, pipeline=pipeline)
            return weakref.ref(pipeline.unet)

    gc.collect()
    gc.disable()
    try:
        first, second = await use(0.1), await use(0.2)
        await use(0.1)
        third = await use(0.3)
        assert second() is None
        assert set(dropped) == {"unet", "text_encoder"}
        assert first() is not None
        assert third() is not None
        kept.forget()
        assert first() is third() is None
    finally:
        gc.enable()
    kept.close()


async def test_who_finds_no_room_waits_for_it(
    lora: Made,
    engines: Engines,
    tmp_path_factory: pytest.TempPathFactory,
    tmp_path: Path,
) -> None:
    engine = engines("stable-diffusion")
    files = LoraFiles(tmp_path / "files", folders=[tmp_path_factory.getbasetemp()])
    # Less than any LoRA has, so that there is room for one at a time.
    kept = Adapters(engine.pipeline, files, most_bytes=1)
    path = str(lora("stable-diffusion"))
    entered: asyncio.Queue[float] = asyncio.Queue()

    async def use(scale: float, until: asyncio.Event) -> None:
        async with kept.pipeline_with([Lora(path, scale)], Warnings()):
            entered.put_nowait(scale)
            await until.wait()

    async with AsyncExitStack() as inside:
        await inside.enter_async_context(kept.pipeline_with([Lora(path, 0.1)], Warnings()))
        at_once, free = asyncio.Event(), asyncio.Event()
        at_once.set()
        waiting = asyncio.create_task(use(0.2, free))
        # The same set needs no room of its own.
        await use(0.1, at_once)
        assert entered.get_nowait() == 0.1
        assert entered.empty()
    assert await entered.get() == 0.2
    left = asyncio.create_task(use(0.3, free))
    free.set()
    await asyncio.gather(waiting, left)
    kept.close()


async def test_a_canceled_request_leaves_the_others_alone(lora: Made, engines: Engines) -> None:
    engine, path = engines("stable-diffusion"), str(lora("stable-diffusion"))
    work = text_to_image("stable-diffusion", 1, 3)
    leaving = asyncio.create_task(draw(engine, [Lora(path)], work))
    staying = asyncio.create_task(draw(engine, [Lora(path)], work))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert difference(await staying, await draw(engine, [Lora(path)], work)) < TOLERANCE


async def test_embeddings_are_kept_where_the_text_encoders_are_the_models_own(lora: Made, engines: Engines) -> None:
    engine, work = engines("stable-diffusion"), text_to_image("stable-diffusion", 1, 2)
    of_text, of_unet = str(lora("stable-diffusion", 1)), str(lora("stable-diffusion", 2, text=False))
    passes: list[Pass] = []
    await draw(engine, [], work)

    async def encoded(*loras: Lora) -> bool:
        passes.clear()
        engine.on_pass = passes.append
        await draw(engine, list(loras), work)
        # The last pass is reported when the next work begins.
        await engine.call(lambda _: None)
        return any(made.component == "text_encoder" for made in passes)

    assert not await encoded()
    assert not await encoded(Lora(of_unet))
    assert await encoded(Lora(of_text))
    assert await encoded(Lora(of_text))
    assert not await encoded()


async def test_twins_are_not_compiled(lora: Made, engines: Engines) -> None:
    engine = engines("stable-diffusion")
    async with engine.adapters.pipeline_with([Lora(str(lora("stable-diffusion")))], Warnings()) as pipeline:
        gate = gate_of(pipeline.unet)
    own = gate_of(engine.pipeline.unet)
    assert gate is not None
    assert gate.original is own
    rows = see_rows({"sample": torch.zeros(1, 4, 8, 8)}, Interned())
    assert rows is not None
    compiler = Compiler(None, (1,))
    assert compiler.find(gate, rows, 1) is None
    assert not compiler._ready


async def test_hooks_that_lead_back_to_the_model_are_refused(lora: Made, engines: Engines) -> None:
    engine = engines("stable-diffusion")
    forward = engine.pipeline.unet.conv_in.forward

    def hooked(*args: Any) -> Any:
        return forward(*args)

    engine.pipeline.unet.conv_in.forward = hooked
    with pytest.raises(ModelError, match="not possible with what was put on the model's conv_in"):
        await draw(engine, [Lora(str(lora("stable-diffusion")))], None)
