"""Steps that are worked out in part: what a request gets is what diffusers makes with the same cache by hand."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from inspect import unwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.hooks.first_block_cache import FirstBlockCacheConfig
from PIL import Image

from server.diffusion import Engine, InputError, Lora, LoraFiles, Pass, Picture, PictureRequest, step_cache
from server.diffusion.forms import Task
from server.diffusion.gates import gate_of, put_gate, remove_gates
from server.diffusion.interning import Interned
from server.diffusion.narrowing import narrow_inputs
from server.diffusion.passes import Call, Passes, Raised, Returned
from server.diffusion.pipeline import private_copy, read
from server.diffusion.placement import Step, arrange
from server.diffusion.planning import Plan, _check_cache
from server.diffusion.rows import see_rows
from server.diffusion.step_cache import Reuse, StepCache, why_not
from server.diffusion.threadstate import ThreadState
from tests.diffusion.drawing import distance, draw, draw_together, psnr, same
from tests.diffusion.made_up_loras import make_lora, stock
from tests.diffusion.test_batching import photo
from tests.diffusion.tiny_pipelines import diffusers

Tiny = Callable[[str], Path]
Loaded = Callable[[str], Engine]

STEPS = 8

FLUX = PictureRequest(
    prompt="a red apple", seed=3, num_inference_steps=STEPS, width=64, height=64, go_fast=True, inputs={"go_fast": True}
)


@pytest.fixture(autouse=True)
def high_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a model of random weights adds changes more from step to step than what a trained one does."""
    monkeypatch.setattr(step_cache, "THRESHOLD", 0.4)


def by_hand(pipeline: Any, request: PictureRequest, form: str = "", **more: Any) -> Image.Image:
    """What stock diffusers makes of a request with the cache turned on."""
    if form:
        pipeline = getattr(diffusers, form).from_pipe(pipeline)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.transformer.enable_cache(FirstBlockCacheConfig(threshold=step_cache.THRESHOLD))
    # Pipelines that do not say which of a step's passes comes have one a step here.
    says = "cache_context" in unwrap(type(pipeline).__call__).__code__.co_names
    with nullcontext() if says else pipeline.transformer.cache_context("cond"):
        image: Image.Image = pipeline(
            prompt=request.prompt,
            num_inference_steps=request.num_inference_steps,
            width=64,
            height=64,
            generator=torch.Generator().manual_seed(request.seed),
            **more,
        ).images[0]
    return image


def made(engine: Engine, request: PictureRequest) -> Picture:
    [picture] = draw(engine, request)
    return picture


@pytest.mark.parametrize("name", ["flux", "qwen-image"])
def test_pixels_are_those_of_diffusers_with_the_same_cache(name: str, tiny: Tiny, engine: Loaded) -> None:
    picture = made(engine(name), FLUX)
    arguments: dict[str, Any] = {**engine(name)._recommended}
    assert same(picture.image, by_hand(diffusers.DiffusionPipeline.from_pretrained(tiny(name)), FLUX, **arguments))
    assert picture.reuse
    assert 0 < picture.reuse.reused < picture.reuse.passes
    assert distance(picture.image, made(engine(name), replace(FLUX, go_fast=False)).image) > 0


def test_guidance_has_a_cache_of_its_own(tiny: Tiny, engine: Loaded) -> None:
    request = replace(FLUX, negative_prompt="blue", guidance_scale=4.0)
    picture = made(engine("qwen-image"), request)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tiny("qwen-image"))
    assert same(picture.image, by_hand(pipeline, request, negative_prompt="blue", true_cfg_scale=4.0))
    assert picture.reuse
    assert picture.reuse.passes == 2 * STEPS


@pytest.mark.parametrize("name", ["flux", "qwen-image"])
def test_from_a_picture(name: str, tiny: Tiny, engine: Loaded, tmp_path: Path) -> None:
    photo(64, 1).save(tmp_path / "photo.png")
    request = replace(FLUX, image=tmp_path / "photo.png", prompt_strength=0.75)
    picture = made(engine(name), request)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tiny(name))
    expected = by_hand(pipeline, request, "AutoPipelineForImage2Image", image=photo(64, 1), strength=0.75)
    assert same(picture.image, expected)
    assert picture.reuse
    assert picture.reuse.passes == STEPS * 3 // 4
    assert picture.reuse.reused > 0


def test_flux_that_edits(tiny: Tiny, engine: Loaded) -> None:
    picture = made(engine("flux-kontext"), FLUX)
    arguments: dict[str, Any] = {"max_area": 64 * 64, **engine("flux-kontext")._recommended}
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tiny("flux-kontext"))
    assert same(picture.image, by_hand(pipeline, FLUX, **arguments))
    assert picture.reuse
    assert picture.reuse.reused > 0


@pytest.mark.parametrize("name", ["flux", "flux-fill"])
def test_painting_a_part_anew(name: str, tiny: Tiny, engine: Loaded, tmp_path: Path) -> None:
    photo(64, 1).save(tmp_path / "photo.png")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    mask.save(tmp_path / "mask.png")
    sent: dict[str, Any] = {"image": tmp_path / "photo.png", "mask": tmp_path / "mask.png", "prompt_strength": 1.0}
    request = replace(FLUX, keep_unmasked=False, **sent)
    picture = made(engine(name), request)
    arguments: dict[str, Any] = {"image": photo(64, 1), "mask_image": mask, "strength": 1.0}
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tiny(name))
    form = "" if name == "flux-fill" else "AutoPipelineForInpainting"
    assert same(picture.image, by_hand(pipeline, request, form, **arguments))
    assert picture.reuse


def test_so_many_blocks_are_left_out_as_is_told(engine: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (diffusers.models.transformers.transformer_flux, ("FluxTransformerBlock", "FluxSingleTransformerBlock"))
    calls = dict.fromkeys(kinds[1], 0)
    for name in calls:
        kind = getattr(kinds[0], name)

        def counted(*args: Any, name: str = name, forward: Any = kind.forward, **kwargs: Any) -> Any:
            calls[name] += 1
            return forward(*args, **kwargs)

        monkeypatch.setattr(kind, "forward", counted)
    passes: list[Pass] = []
    loaded = engine("flux")
    loaded.on_pass = passes.append
    picture = made(loaded, FLUX)
    loaded.on_pass = None
    assert picture.reuse
    assert picture.reuse.passes == STEPS == calls["FluxTransformerBlock"]
    assert calls["FluxSingleTransformerBlock"] == STEPS - picture.reuse.reused < STEPS
    denoising = [one for one in passes if one.component == "transformer"]
    assert {(one.requests, one.kind) for one in denoising} == {(1, "eager")}


@pytest.mark.parametrize("name", ["flux", "qwen-image"])
def test_company_changes_nothing(name: str, engine: Loaded) -> None:
    others = [replace(FLUX, seed=seed, go_fast=False) for seed in (3, 4)]
    requests = [FLUX, *others, replace(FLUX, seed=5)]
    alone = [made(engine(name), request) for request in requests]
    passes: list[Pass] = []
    engine(name).on_pass = passes.append
    together = [pictures[0] for pictures in draw_together(engine(name), requests)]
    engine(name).on_pass = None
    for request, one, other in zip(requests, alone, together, strict=True):
        # What shares passes is rounded differently.
        assert distance(one.image, other.image) <= (0 if request.go_fast else 1)
        assert one.reuse == other.reuse
    assert max(one.requests for one in passes if one.component == "transformer") == 2


def test_each_picture_of_a_request_is_as_it_is_alone(engine: Loaded) -> None:
    first, second = draw(engine("flux"), replace(FLUX, num_outputs=2))
    assert same(first.image, made(engine("flux"), FLUX).image)
    assert same(second.image, made(engine("flux"), replace(FLUX, seed=4)).image)


def test_previews_and_progress_are_told(engine: Loaded) -> None:
    told: list[float] = []
    previews: list[int] = []
    watching = {"on_progress": lambda done, total: told.append(done / total), "preview_interval": 4}
    [picture] = draw(engine("flux"), FLUX, **watching, on_preview=lambda index, _: previews.append(index))
    assert same(picture.image, made(engine("flux"), FLUX).image)
    assert told[-1] == 1
    assert previews


def test_the_file_tells_of_it(engine: Loaded) -> None:
    picture = made(engine("flux"), FLUX)
    assert picture.metadata
    assert picture.metadata.inputs["go_fast"] is True


def test_with_loras_of_the_request(tiny: Tiny, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = make_lora(tiny("flux"), tmp_path_factory.mktemp("lora"), seed=1)
    loaded = Engine(str(tiny("flux")), lora_files=LoraFiles(tmp_path, folders=[path.parent]))
    picture = made(loaded, replace(FLUX, loras=(Lora(str(path), 0.7),)))
    arguments: dict[str, Any] = {**loaded._recommended}
    assert same(picture.image, by_hand(stock(tiny("flux"), (path, 0.7)), FLUX, **arguments))
    assert picture.reuse
    assert picture.reuse.reused > 0
    loaded.close()


@pytest.fixture
def transformers() -> Callable[[], int]:
    """How many transformers there are more than at the start of the test."""

    def count() -> int:
        gc.collect()
        return sum(type(one) is diffusers.FluxTransformer2DModel for one in gc.get_objects())

    before = count()
    return lambda: count() - before


def test_nothing_is_left_when_it_is_done(engine: Loaded, transformers: Callable[[], int]) -> None:
    loaded = engine("flux")
    start = transformers()
    made(loaded, FLUX)
    loaded._rendezvous.submit(lambda: None).result()
    assert transformers() == start
    assert not loaded.pipeline.transformer.is_cache_enabled


async def test_nothing_is_left_when_it_is_canceled(engine: Loaded, transformers: Callable[[], int]) -> None:
    loaded, begun, start = engine("flux"), asyncio.Event(), transformers()

    async def collect() -> None:
        async for _ in loaded.generate(replace(FLUX, num_inference_steps=500), on_progress=lambda *_: begun.set()):
            pass

    task = asyncio.create_task(collect())
    await begun.wait()
    assert transformers() == start + 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    del task
    await asyncio.wrap_future(loaded._rendezvous.submit(lambda: None))
    assert transformers() == start


def test_nothing_is_left_when_it_fails(
    engine: Loaded, transformers: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, start = engine("flux"), transformers()
    with monkeypatch.context() as patch:
        patch.setattr(diffusers.FlowMatchEulerDiscreteScheduler, "step", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            made(loaded, FLUX)
    loaded._rendezvous.submit(lambda: None).result()
    assert transformers() == start


def test_models_without_a_cache_refuse_it(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    with pytest.raises(InputError, match=r"no cache of steps in diffusers that works\. Leave it out") as refused:
        draw(loaded, FLUX)
    assert refused.value.input == "go_fast"
    assert "no cache of steps" in str(narrow_inputs(loaded.forms, {}, False)["go_fast"])
    assert "go_fast" not in engine("flux").narrow_inputs()


@pytest.mark.parametrize("name", ["stable-diffusion-3", "pixart", "z-image", "chroma", "flux-2-klein"])
def test_which_models_have_none(name: str, tiny: Tiny) -> None:
    assert "no cache of steps in diffusers" in str(why_not(read(tiny(name))))


def test_a_model_that_is_offloaded_refuses_it(tiny: Tiny) -> None:
    for step in (Step.BY_MODEL, Step.BY_LAYER):
        pipeline: Any = read(tiny("flux"))
        arrange(pipeline, torch.device("cpu"), step)
        assert "too little memory" in str(why_not(pipeline))


def test_a_cache_that_setup_has_turned_on_stays_as_it_is(tiny: Tiny) -> None:
    pipeline: Any = read(tiny("flux"))
    pipeline.transformer.enable_cache(FirstBlockCacheConfig())
    assert "turned a cache on for every request" in str(why_not(pipeline))


def test_it_does_not_go_with_a_controlnet(engine: Loaded, tmp_path: Path) -> None:
    plan = Plan(Task.TEXT_TO_IMAGE, engine("flux").pipeline, {}, ("a red apple",))
    with pytest.raises(InputError, match="cannot be worked out in part with a ControlNet"):
        _check_cache(plan, replace(FLUX, controlnet_image=tmp_path / "lines.png"))


def test_a_pass_is_made_once_even_where_memory_is_short(tiny: Tiny) -> None:
    model: Any = read(tiny("flux")).transformer
    tries = []

    def short(hidden_states: torch.Tensor) -> None:
        tries.append(hidden_states)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    model.forward = short
    put_gate("transformer", model, stateful=True)
    gate = gate_of(model)
    assert gate
    [outcome] = Passes(torch.device("cpu"), 32).run(
        [Call(gate, {"hidden_states": torch.ones(2, 3)}, None, ThreadState())]
    )
    assert isinstance(outcome, Raised)
    assert len(tries) == 1
    remove_gates(model)


def test_it_is_not_recorded(tiny: Tiny) -> None:
    class Recordings:
        def find(self, *_: object) -> None:
            raise AssertionError("this must not be recorded")

    own: Any = private_copy(read(tiny("flux")), None)
    cache = StepCache(own)
    gate = gate_of(own.transformer)
    assert gate
    gate.function = lambda **_: "made"
    passes = Passes(torch.device("cpu"), 32, Recordings())  # type: ignore[arg-type]
    arguments = {"hidden_states": torch.ones(1, 3)}
    outcomes = passes.run([Call(gate, arguments, see_rows(arguments, Interned()), ThreadState())])
    assert outcomes == [Returned("made")]
    assert cache.reuse == Reuse()
    cache.close()
    assert gate_of(own.transformer) is None


@pytest.mark.gpu
def test_on_a_gpu_beside_others(engine: Loaded) -> None:
    plain = replace(FLUX, go_fast=False)
    asked = [FLUX, plain, replace(FLUX, seed=4), replace(plain, num_inference_steps=3)]
    alone = [made(engine("flux"), request) for request in asked]
    together = draw_together(engine("flux"), asked)
    for one, [other] in zip(alone, together, strict=True):
        assert psnr(one.image, other.image) >= 40
        assert one.reuse == other.reuse
    assert alone[0].reuse
    assert 0 < alone[0].reuse.reused < STEPS
