"""The rendezvous: requests that share forward passes get what they would get alone."""

from __future__ import annotations

import asyncio
import gc
import itertools
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from greenlet import getcurrent
from peft import LoraConfig
from PIL import Image

from server.diffusion import Engine, Pass
from server.diffusion.batching import Rendezvous
from server.diffusion.gates import Gate, Stage, gate_of
from server.diffusion.passes import Passes
from tests.diffusion.drawing import TOLERANCE, assert_alike
from tests.diffusion.tiny_pipelines import BUILDERS, diffusers

Loaded = Callable[[str], Engine]

# PixArt and Sana choose among fixed sizes, of which these are the smallest.
SIDES = {"pixart": 256, "sana": 512}

IMAGE_TO_IMAGE = (
    "stable-diffusion",
    "stable-diffusion-xl",
    "stable-diffusion-3",
    "flux",
    "qwen-image",
    "z-image",
)
INPAINTING = IMAGE_TO_IMAGE

Work = Callable[[Any], np.ndarray]


def photo(side: int, seed: int) -> Image.Image:
    """Squares of colours that follow from the seed."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(colours).resize((side, side), Image.Resampling.NEAREST)


def drawing(seed: int, steps: int, **arguments: Any) -> Work:
    def work(pipeline: Any) -> np.ndarray:
        result = pipeline(
            **{"prompt": "a red apple", **arguments},
            num_inference_steps=steps,
            generator=torch.Generator().manual_seed(seed),
            output_type="np",
        )
        images: np.ndarray = result.images
        return images

    return work


def text_to_image(name: str, seed: int, steps: int, **more: Any) -> Work:
    side = SIDES.get(name, 64)
    return drawing(seed, steps, width=side, height=side, **more)


def from_image(seed: int, steps: int, strength: float, **more: Any) -> Work:
    return drawing(seed, steps, prompt="a blue cat", image=photo(64, seed), strength=strength, **more)


def within(context: Callable[[], AbstractContextManager[Any]], work: Work) -> Work:
    """The same, called in a context."""

    def enter(pipeline: Any) -> np.ndarray:
        with context():
            return work(pipeline)

    return enter


class Hold:
    """Work that keeps the thread of an engine from `begun` until it is told that it is `free`."""

    def __init__(self) -> None:
        self.begun, self.free = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.begun.set()
        self.free.wait()


@asynccontextmanager
async def held(engine: Engine) -> AsyncIterator[None]:
    """Have what is asked for meanwhile begin at the end, all of it at once."""
    hold = Hold()
    engine._rendezvous.submit(hold)
    await asyncio.to_thread(hold.begun.wait)
    try:
        yield
    finally:
        hold.free.set()


async def all_told(engine: Engine) -> None:
    """Wait until `on_pass` has been told of every pass: of the last ones it is told before the next request begins."""
    await engine.call(lambda _: None)


async def call_together(engine: Engine, works: list[tuple[Work, Any]]) -> list[np.ndarray]:
    """What each comes to where all begin at once."""
    async with held(engine):
        tasks = [asyncio.create_task(engine.call(work, pipeline=pipeline, seed=7)) for work, pipeline in works]
        await asyncio.sleep(0)
    return await asyncio.gather(*tasks)


async def compare(engine: Engine, works: list[tuple[Work, Any]], *, anew: bool = False) -> list[Pass]:
    """Run each alone, then all together; the passes of the latter.

    Args:
        anew: whether the latter encode their prompts again.
    """
    alone = [await engine.call(work, pipeline=pipeline, seed=7) for work, pipeline in works]
    if anew:
        engine._embeddings.forget()
    await all_told(engine)
    passes: list[Pass] = []
    engine.on_pass = passes.append
    try:
        together = await call_together(engine, works)
        await all_told(engine)
    finally:
        engine.on_pass = None
    for expected, got in zip(alone, together, strict=True):
        assert_alike(engine, expected, got)
        assert expected.std() > 0
    return passes


@pytest.fixture
def as_on_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let small pictures share the passes of an autoencoder, too."""
    monkeypatch.setattr(Gate, "most_rows", lambda gate, first, most: most)


@pytest.mark.usefixtures("as_on_a_card")
@pytest.mark.gpu_too
@pytest.mark.parametrize("name", BUILDERS)
async def test_pictures_from_text_are_the_same_in_company(name: str, engine: Loaded) -> None:
    works = [text_to_image(name, seed, steps) for seed, steps in ((1, 2), (2, 3), (3, 4))]
    works.append(text_to_image(name, 4, 3, prompt="a blue car on white"))
    passes = await compare(engine(name), [(work, None) for work in works])
    assert max(made.requests for made in passes if made.component == "transformer" or made.component == "unet") > 1


@pytest.mark.usefixtures("as_on_a_card")
@pytest.mark.gpu_too
@pytest.mark.parametrize("name", IMAGE_TO_IMAGE)
async def test_pictures_from_pictures_are_the_same_in_company(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    pipeline = diffusers.AutoPipelineForImage2Image.from_pipe(loaded.pipeline)
    # These two go by the image, but for pipelines that would scale it to a megapixel.
    size = {"width": 64, "height": 64} if name in ("qwen-image", "z-image", "flux") else {}
    works = [
        (from_image(1, 4, 0.5, **size), pipeline),
        (from_image(2, 4, 0.9, **size), pipeline),
        (text_to_image(name, 3, 3), None),
    ]
    passes = await compare(loaded, works)
    assert {"vae.encode", "vae.decode"} <= {made.component for made in passes}
    assert max(made.requests for made in passes) > 1


@pytest.mark.usefixtures("as_on_a_card")
@pytest.mark.gpu_too
@pytest.mark.parametrize("name", INPAINTING)
async def test_inpainting_is_the_same_in_company(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    pipeline = diffusers.AutoPipelineForInpainting.from_pipe(loaded.pipeline)
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 16, 48, 48))
    works = [
        (from_image(1, 4, 0.8, mask_image=mask, width=64, height=64), pipeline),
        (from_image(2, 3, 1.0, mask_image=mask, width=64, height=64), pipeline),
        (text_to_image(name, 3, 3), None),
    ]
    assert max(made.requests for made in await compare(loaded, works)) > 1


@pytest.mark.parametrize("card", [False, True])
async def test_a_processor_autoencodes_for_one_request_at_a_time(
    card: bool, engine: Loaded, request: pytest.FixtureRequest
) -> None:
    if card:
        request.getfixturevalue("as_on_a_card")
    loaded = engine("stable-diffusion")
    pipeline = diffusers.AutoPipelineForImage2Image.from_pipe(loaded.pipeline)
    passes = await compare(loaded, [(from_image(seed, 4, 0.5), pipeline) for seed in range(3)])
    most = {made.component: made.requests for made in sorted(passes, key=lambda made: made.requests)}
    autoencoded = 3 if card else 1
    assert (most["vae.encode"], most["unet"], most["vae.decode"]) == (autoencoded, 3, autoencoded)


@pytest.mark.gpu_too
async def test_guidance_schedulers_and_sizes_do_not_meet(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")

    def scheduled(name: str, work: Work) -> Work:
        def change(pipeline: Any) -> np.ndarray:
            pipeline.scheduler = getattr(diffusers, name).from_config(pipeline.scheduler.config)
            return work(pipeline)

        return change

    works = [
        scheduled("DDIMScheduler", text_to_image("stable-diffusion", 1, 3, guidance_scale=2.0)),
        scheduled("EulerDiscreteScheduler", text_to_image("stable-diffusion", 2, 3, guidance_scale=9.0)),
        scheduled("EulerAncestralDiscreteScheduler", text_to_image("stable-diffusion", 3, 3)),
        text_to_image("stable-diffusion", 4, 3, guidance_scale=1.0),
    ]
    passes = await compare(loaded, [(work, None) for work in works])
    # Timesteps in integers and in floats go together; a request without guidance has half as many rows.
    assert max(made.requests for made in passes if made.component == "unet") >= 3


async def test_a_controlnet_is_shared_too(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    torch.manual_seed(1)
    controlnet = diffusers.ControlNetModel.from_unet(
        loaded.pipeline.unet, conditioning_embedding_out_channels=(8, 8, 8, 8)
    )
    for parameter in controlnet.parameters():
        # Those of a new one are zero where they meet the model, so that it would change nothing.
        torch.nn.init.normal_(parameter, std=0.2)
    pipeline = diffusers.StableDiffusionControlNetPipeline.from_pipe(loaded.pipeline, controlnet=controlnet)

    def controlled(seed: int, steps: int, **more: Any) -> tuple[Work, Any]:
        return drawing(seed, steps, image=photo(64, seed), width=64, height=64, **more), pipeline

    works = [
        controlled(1, 3),
        controlled(2, 4),
        controlled(3, 3, guidance_scale=1.0),
        controlled(4, 3, controlnet_conditioning_scale=0.5),
        (text_to_image("stable-diffusion", 5, 3), None),
    ]
    passes = await compare(loaded, works)
    most = {made.component: made.requests for made in sorted(passes, key=lambda made: made.requests)}
    # The one of another strength keeps to itself where that makes a difference.
    assert (most["controlnet"], most["unet"]) == (3, 4)
    one, other = [
        await loaded.call(drawing(1, 3, image=photo(64, seed), width=64, height=64), pipeline=pipeline)
        for seed in (1, 2)
    ]
    assert np.abs(one - other).max() > 10 * TOLERANCE


@pytest.mark.gpu_too
async def test_as_many_pictures_as_their_latents_have_channels(engine: Loaded) -> None:
    """Z-Image returns a list of latents, each of which has as many channels as this pass has rows."""
    works = [(text_to_image("z-image", seed, 2), None) for seed in range(8)]
    passes = await compare(engine("z-image"), works)
    assert (8, 16) in {(made.requests, made.rows) for made in passes if made.component == "transformer"}


@pytest.mark.gpu_too
@pytest.mark.parametrize("name", ["qwen-image", "z-image"])
async def test_prompts_share_passes_of_a_language_model(name: str, engine: Loaded) -> None:
    prompts = ("a red apple", "a big apple", "a red table")
    works = [(text_to_image(name, seed, 2, prompt=prompt), None) for seed, prompt in enumerate(prompts)]
    passes = await compare(engine(name), works, anew=True)
    assert {made.requests for made in passes if made.component == "text_encoder"} == {3}


async def test_the_scale_of_a_text_encoders_lora_belongs_to_each_request(tiny: Callable[[str], Any]) -> None:
    """diffusers sets it in the encoder, which is shared, for as long as a prompt is encoded."""
    loaded = Engine(str(tiny("stable-diffusion")))
    encoder: Any = loaded.pipeline.text_encoder
    encoder.add_adapter(LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
    works = [text_to_image("stable-diffusion", 1, 2)]
    works += [text_to_image("stable-diffusion", 1, 2, cross_attention_kwargs={"scale": scale}) for scale in (0.2, 0.6)]
    works.append(works[0])
    await compare(loaded, [(work, None) for work in works])
    loaded.close()


async def test_automatic_casting_belongs_to_each_request(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    plain = text_to_image("stable-diffusion", 1, 3)
    cast = within(partial(torch.autocast, "cpu", torch.bfloat16), plain)
    passes = await compare(loaded, [(plain, None), (cast, None), (text_to_image("stable-diffusion", 2, 4), None)])
    assert max(made.requests for made in passes if made.component == "unet") == 2
    assert np.abs(await loaded.call(plain) - await loaded.call(cast)).max() > TOLERANCE


@pytest.mark.parametrize("name", ["stable-diffusion", "flux"])
async def test_inference_mode_belongs_to_each_request(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    inferring = within(torch.inference_mode, text_to_image(name, 1, 3))

    def write(pipeline: Any) -> np.ndarray:
        """Tensors that were made in that mode cannot be written to outside of it."""
        images = text_to_image(name, 2, 4)(pipeline)
        kept = torch.zeros(1)
        # Others go on meanwhile.
        pipeline.vae.encode(torch.zeros(1, 3, 64, 64))
        kept += 1
        assert not torch.is_inference_mode_enabled()
        return images

    await compare(loaded, [(inferring, None), (write, None), (inferring, None), (write, None)])


async def test_a_late_arrival_joins_within_one_pass(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    requests: list[int] = []
    late: list[Future[Any]] = []
    loop = asyncio.get_running_loop()

    def ddim(steps: int) -> Work:
        def work(pipeline: Any) -> np.ndarray:
            # It calls the model once a step.
            pipeline.scheduler = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config)
            return text_to_image("stable-diffusion", 1, steps)(pipeline)

        return work

    async def nothing() -> None: ...

    def follow(made: Pass) -> None:
        if made.component != "unet" or made.started < begun:
            return
        requests.append(made.requests)
        if len(requests) == 2:
            late.append(asyncio.run_coroutine_threadsafe(loaded.call(ddim(3)), loop))
            # Begun after it: when this has ended, it has asked for its pictures.
            asyncio.run_coroutine_threadsafe(nothing(), loop).result()

    begun = time.perf_counter()
    loaded.on_pass = follow
    try:
        await loaded.call(ddim(8))
        await asyncio.wrap_future(late[0])
        await loaded.call(lambda _: None)
    finally:
        loaded.on_pass = None
    # The second pass is reported just before the third is made.
    assert requests == [1, 1, 1, 2, 2, 2, 1, 1]


async def test_an_error_reaches_only_the_request_that_it_comes_from(
    engine: Loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = engine("stable-diffusion")
    model: Any = loaded.pipeline.unet
    gate = gate_of(model)
    assert gate is not None
    forward = gate.function
    guilty = 77.0

    def fail(*args: Any, **kwargs: Any) -> Any:
        sample = kwargs["sample"] if "sample" in kwargs else args[0]
        if (sample[:, 0, 0, 0] == guilty).any():
            raise ValueError("these latents are bad")
        return forward(*args, **kwargs)

    def poisoned(pipeline: Any) -> np.ndarray:
        latents = torch.full((1, 4, 8, 8), guilty)
        images: np.ndarray = pipeline(
            prompt="a red apple", num_inference_steps=2, latents=latents, guidance_scale=1.0, output_type="np"
        ).images
        return images

    plain = [text_to_image("stable-diffusion", seed, 3, guidance_scale=1.0) for seed in (1, 2)]
    alone = [await loaded.call(work) for work in plain]
    monkeypatch.setattr(gate, "function", fail)
    monkeypatch.setattr(loaded.pipeline.scheduler, "init_noise_sigma", 1.0)
    outcomes = await asyncio.gather(*(loaded.call(work) for work in [*plain, poisoned]), return_exceptions=True)
    assert isinstance(outcomes[2], ValueError)
    assert str(outcomes[2]) == "these latents are bad"
    for expected, got in zip(alone, outcomes[:2], strict=True):
        assert isinstance(got, np.ndarray)
        assert np.abs(expected - got).max() < TOLERANCE


async def test_passes_for_which_memory_is_short_are_halved(
    tiny: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of its own, for it remembers what was too much.
    loaded = Engine(str(tiny("stable-diffusion")))
    gate = gate_of(loaded.pipeline.unet)
    assert gate is not None
    forward = gate.function
    made: list[int] = []

    def run_short(*args: Any, **kwargs: Any) -> Any:
        rows = len(kwargs["sample"] if "sample" in kwargs else args[0])
        if rows > 4:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        made.append(rows)
        return forward(*args, **kwargs)

    works = [text_to_image("stable-diffusion", seed, 3) for seed in range(4)]
    alone = [await loaded.call(work) for work in works]
    monkeypatch.setattr(gate, "function", run_short)
    together = await asyncio.gather(*(loaded.call(work) for work in works))
    assert max(made) == 4
    for expected, got in zip(alone, together, strict=True):
        assert np.abs(expected - got).max() < TOLERANCE
    loaded.close()


async def test_a_canceled_request_leaves_within_one_pass(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    stays = text_to_image("stable-diffusion", 1, 6)
    expected = await loaded.call(stays)
    loop = asyncio.get_running_loop()
    together = asyncio.Event()
    after: list[int] = []

    def follow(made: Pass) -> None:
        if made.component != "unet":
            return
        if canceled.is_set():
            after.append(made.requests)
        elif made.requests == 2:
            asyncio.run_coroutine_threadsafe(cancel(), loop).result()

    async def cancel() -> None:
        leaving.cancel()
        await asyncio.wait([leaving])
        canceled.set()
        together.set()

    canceled = asyncio.Event()
    loaded.on_pass = follow
    try:
        leaving = asyncio.create_task(loaded.call(text_to_image("stable-diffusion", 2, 50)))
        staying = asyncio.create_task(loaded.call(stays))
        await together.wait()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert np.abs(await staying - expected).max() < TOLERANCE
    finally:
        loaded.on_pass = None
    # A pass is reported when the next one has been decided upon.
    assert set(after[1:]) == {1}


async def test_requests_of_two_sizes_take_turns(engine: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = engine("stable-diffusion")

    def sized(side: int) -> Work:
        def work(pipeline: Any) -> np.ndarray:
            images: np.ndarray = pipeline(
                prompt="a car", width=side, height=side, num_inference_steps=6, output_type="np"
            ).images
            return images

        return work

    order: list[int] = []
    gate = gate_of(loaded.pipeline.unet)
    assert gate is not None
    forward = gate.function

    def follow(*args: Any, **kwargs: Any) -> Any:
        order.append((kwargs["sample"] if "sample" in kwargs else args[0]).shape[-1])
        return forward(*args, **kwargs)

    monkeypatch.setattr(gate, "function", follow)
    await asyncio.gather(*(loaded.call(sized(side)) for side in (64, 64, 64, 32)))
    first = order.index(4)
    small = [index for index, side in enumerate(order) if side == 4]
    # From its first step on, the lone small one never waits for more than one pass of the large ones.
    assert small[0] == first
    assert all(after - before <= 2 for before, after in itertools.pairwise(small)), order


def test_what_prepares_comes_first_and_decoding_takes_turns_with_denoising() -> None:
    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8))
    hold = Hold()
    order: list[Stage] = []

    def work(stage: Stage, calls: int) -> None:
        gate = Gate("model", stage, lambda sample: order.append(stage))
        request: Any = getcurrent()
        for _ in range(calls):
            request.park(gate, (torch.zeros(1, 1, 2, 2),), {})

    decode, denoise, prepare = Stage.DECODE, Stage.DENOISE, Stage.PREPARE
    try:
        futures: list[Future[Any]] = [rendezvous.submit(hold)]
        hold.begun.wait()
        futures += [rendezvous.submit(partial(work, decode, 1)) for _ in range(3)]
        futures += [rendezvous.submit(partial(work, denoise, 4)), rendezvous.submit(partial(work, prepare, 2))]
        hold.free.set()
        for future in futures:
            future.result(timeout=30)
    finally:
        hold.free.set()
        rendezvous.close()
    assert order == [prepare, prepare, decode, denoise, decode, denoise, decode, denoise, denoise]


async def test_global_generators_belong_to_each_request(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")

    def drawing(pipeline: Any) -> np.ndarray:
        drawn = []

        def draw(pipe: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            drawn.append(torch.randn(1).item())
            return tensors

        pipeline(prompt="a car", num_inference_steps=4, callback_on_step_end=draw, output_type="latent")
        return np.asarray(drawn)

    alone = await loaded.call(drawing, seed=3)
    together = await asyncio.gather(*(loaded.call(drawing, seed=seed) for seed in (3, 4, 3)))
    assert np.array_equal(together[0], alone)
    assert np.array_equal(together[2], alone)
    assert not np.array_equal(together[1], alone)


async def test_gradients_stay_off_whatever_a_request_does(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")

    def careless(pipeline: Any) -> bool:
        with torch.enable_grad():
            pipeline(prompt="a car", num_inference_steps=2, output_type="latent")
            return torch.is_grad_enabled()

    careful, other = await asyncio.gather(loaded.call(lambda _: torch.is_grad_enabled()), loaded.call(careless))
    assert not careful
    assert other


async def test_a_closed_engine_cancels_and_refuses(tiny: Callable[[str], Any]) -> None:
    closing = Engine(str(tiny("stable-diffusion")))
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(made: Pass) -> None:
        loop.call_soon_threadsafe(begun.set)

    closing.on_pass = tell
    running = asyncio.create_task(closing.call(text_to_image("stable-diffusion", 1, 500)))
    await begun.wait()
    await asyncio.to_thread(closing.close)
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(RuntimeError, match="closed"):
        await closing.call(lambda _: None)


def test_who_leaves_while_waiting_never_begins_and_is_forgotten() -> None:
    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8), most_requests=1)
    hold = Hold()
    ran: list[int] = []
    try:
        first = rendezvous.submit(hold)
        hold.begun.wait()
        work = partial(ran.append, 1)
        forgotten = weakref.ref(work)
        leaving = rendezvous.submit(work)
        last = rendezvous.submit(partial(ran.append, 2))
        assert leaving.cancel()
        hold.free.set()
        first.result(timeout=30)
        last.result(timeout=30)
        assert ran == [2]
        assert leaving.cancelled()
        del work, leaving
        gc.collect()
        assert forgotten() is None
    finally:
        hold.free.set()
        rendezvous.close()


def test_who_leaves_when_its_place_was_noted_is_forgotten_too() -> None:
    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8), most_requests=1)
    ran: list[int] = []
    waiting: list[Future[Any]] = []
    works = [partial(ran.append, 1)]
    forgotten = weakref.ref(works[0])
    # What comes during a pass is noted before the next one.
    during: Iterator[Callable[[], object]] = iter(
        [lambda: waiting.append(rendezvous.submit(works.pop())), lambda: None, lambda: waiting.pop().cancel()]
    )
    gate = Gate("model", Stage.DENOISE, lambda sample: next(during)())

    def run() -> None:
        request: Any = getcurrent()
        for _ in range(3):
            request.park(gate, (torch.zeros(1, 1),), {})

    try:
        rendezvous.submit(run).result(timeout=30)
        rendezvous.submit(lambda: None).result(timeout=30)
        gc.collect()
        assert forgotten() is None
        assert ran == []
    finally:
        rendezvous.close()


def test_those_that_come_just_before_the_end_are_canceled_too() -> None:
    """One runs, one waits for its turn, and one has not even been noticed."""
    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8), most_requests=1)
    hold = Hold()
    running = rendezvous.submit(hold)
    hold.begun.wait()
    unnoticed = [rendezvous.submit(lambda: None) for _ in range(2)]
    closing = threading.Thread(target=rendezvous.close)
    closing.start()
    while True:
        try:
            unnoticed.append(rendezvous.submit(lambda: None))
        except RuntimeError:
            break
    hold.free.set()
    closing.join()
    assert running.result(timeout=30) is None
    for future in unnoticed:
        with pytest.raises(CancelledError):
            future.result(timeout=30)


def test_those_beyond_the_most_that_run_at_once_have_their_turn_in_order() -> None:
    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8), most_requests=1)
    free = threading.Event()
    order: list[int] = []
    try:
        futures: list[Future[Any]] = [rendezvous.submit(free.wait)]
        futures += [rendezvous.submit(partial(order.append, number)) for number in range(3)]
        left = rendezvous.submit(partial(order.append, 3))
        left.cancel()
        free.set()
        for future in futures:
            future.result(timeout=30)
    finally:
        rendezvous.close()
    assert order == [0, 1, 2]


async def test_an_error_that_no_future_takes_is_told_as_another(engine: Loaded) -> None:
    """An event loop would never hand on a StopIteration."""

    def stop(_: Any) -> None:
        next(iter(()))

    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        await engine("stable-diffusion").call(stop)
    assert isinstance(raised.value.__cause__, StopIteration)


def test_what_a_request_came_to_does_not_wait_for_the_garbage_collector() -> None:
    class Drawn: ...

    rendezvous = Rendezvous(Passes(torch.device("cpu"), most_rows=8))
    gc.collect()
    gc.disable()
    try:
        drawn = rendezvous.submit(Drawn).result(timeout=30)
        gone = weakref.ref(drawn)
        # When this has run, nothing of the first is at work any more.
        rendezvous.submit(lambda: None).result(timeout=30)
        del drawn
        assert gone() is None
    finally:
        gc.enable()
        rendezvous.close()
