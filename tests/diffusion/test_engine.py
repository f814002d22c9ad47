"""The engine with every tiny pipeline."""

import asyncio
import gc
import re
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor

from server.diffusion import (
    SEEDS,
    Engine,
    InputError,
    ModelError,
    OutOfMemory,
    PictureRequest,
    PicturesWithheld,
    Warnings,
)
from server.diffusion.schedulers import usable_schedulers
from tests.diffusion.drawing import distance, draw, draw_together, same
from tests.diffusion.tiny_pipelines import BUILDERS, diffusers, stable_diffusion

Tiny = Callable[[str], Path]
Loaded = Callable[[str], Engine]

# PixArt and Sana choose among fixed sizes, of which these are the smallest.
SMALL: dict[str, Any] = {
    "pixart": {"width": 256, "height": 256},
    "sana": {"width": 512, "height": 512},
}


def request(name: str, **changes: Any) -> PictureRequest:
    small = SMALL.get(name, {"width": 64, "height": 48})
    return PictureRequest(**{"prompt": "a red apple", "seed": 7, "num_inference_steps": 2, **small, **changes})


def images(engine: Engine, asked: PictureRequest) -> list[Image.Image]:
    return [picture.image for picture in draw(engine, asked)]


def stock(folder: Path, **arguments: Any) -> Any:
    """What diffusers makes, called by hand."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    return pipeline(**arguments).images


@pytest.mark.parametrize("name", BUILDERS)
def test_pixels_are_those_of_stock_diffusers(name: str, tiny: Tiny, engine: Loaded) -> None:
    asked = request(name, guidance_scale=3.0)
    [image] = images(engine(name), asked)
    [expected] = stock(
        tiny(name),
        prompt=asked.prompt,
        width=asked.width,
        height=asked.height,
        num_inference_steps=asked.num_inference_steps,
        # Qwen-Image's pipeline calls the scale so, and guides only with a negative prompt.
        **({"true_cfg_scale": 3.0, "negative_prompt": " "} if name == "qwen-image" else {"guidance_scale": 3.0}),
        generator=torch.Generator().manual_seed(asked.seed),
    )
    assert same(image, expected)


@pytest.mark.parametrize("name", BUILDERS)
def test_every_picture_can_be_made_again_alone(name: str, engine: Loaded) -> None:
    together = draw(engine(name), request(name, num_outputs=3))
    assert [picture.seed for picture in together] == [7, 8, 9]
    assert not same(together[0].image, together[1].image)
    for picture in together:
        [alone] = images(engine(name), request(name, seed=picture.seed))
        assert distance(alone, picture.image) <= 1


def test_the_greatest_seed_is_followed_by_zero(engine: Loaded) -> None:
    pictures = draw(engine("stable-diffusion"), request("stable-diffusion", seed=SEEDS - 1, num_outputs=2))
    assert [picture.seed for picture in pictures] == [SEEDS - 1, 0]
    assert distance(pictures[1].image, images(engine("stable-diffusion"), request("stable-diffusion", seed=0))[0]) <= 1


def test_whole_floats_are_integers(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    asked = request("stable-diffusion", width=64.0, height=48.0, num_inference_steps=2.0, seed=7.0, num_outputs=1.0)
    assert same(images(loaded, asked)[0], images(loaded, request("stable-diffusion"))[0])


def test_a_noisy_scheduler_follows_the_seed_too(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    asked = request("stable-diffusion", scheduler="K_EULER_ANCESTRAL", num_inference_steps=4)
    first, second = images(loaded, asked), images(loaded, asked)
    assert same(first[0], second[0])


def test_noise_from_the_global_generator_follows_the_seed_too(tiny: Tiny, engine: Loaded) -> None:
    """Flow matching with `stochastic_sampling` draws noise that no generator can be handed for."""
    loaded = Engine(str(tiny("stable-diffusion-3")))
    loaded.pipeline.scheduler.register_to_config(stochastic_sampling=True)
    asked = request("stable-diffusion-3", num_inference_steps=4)
    state = torch.random.get_rng_state()
    first = images(loaded, asked)
    assert torch.equal(torch.random.get_rng_state(), state)
    torch.rand(1)
    assert same(first[0], images(loaded, asked)[0])
    assert not same(first[0], images(engine("stable-diffusion-3"), asked)[0])


@pytest.mark.parametrize("name", BUILDERS)
def test_requests_leave_no_trace(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    scheduler: Any = loaded.pipeline.scheduler
    before = dict(vars(loaded.pipeline)), repr(scheduler), dict(vars(scheduler))
    [first] = images(loaded, request(name))
    for scheduler_name in usable_schedulers(scheduler):
        images(loaded, request(name, scheduler=scheduler_name, num_inference_steps=1))
    assert (dict(vars(loaded.pipeline)), repr(scheduler), dict(vars(scheduler))) == before
    assert same(first, images(loaded, request(name))[0])


def test_requests_at_the_same_time_do_not_meet(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    schedulers = usable_schedulers(loaded.pipeline.scheduler)
    requests = [request("stable-diffusion", scheduler=name, num_outputs=2) for name in schedulers]
    alone = [images(loaded, asked) for asked in requests]
    together = draw_together(loaded, requests)
    for name, expected, pictures in zip(schedulers, alone, together, strict=True):
        assert all(distance(one, other.image) <= 1 for one, other in zip(expected, pictures, strict=True)), name


def test_event_loops_in_several_threads_share_an_engine(engine: Loaded) -> None:
    loaded = engine("stable-diffusion")
    [expected] = images(loaded, request("stable-diffusion"))
    with ThreadPoolExecutor(4) as threads:
        for [image] in threads.map(lambda _: images(loaded, request("stable-diffusion")), range(4)):
            assert distance(image, expected) <= 1


@pytest.mark.parametrize("name", BUILDERS)
async def test_canceling_takes_effect_within_one_step(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    [expected] = [picture.image async for picture in loaded.generate(request(name))]
    model: torch.nn.Module = getattr(loaded.pipeline, "unet", None) or loaded.pipeline.transformer
    loop, third = asyncio.get_running_loop(), asyncio.Event()
    steps = 0

    def count(*_: Any) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            asyncio.run_coroutine_threadsafe(cancel(), loop).result()

    async def cancel() -> None:
        making.cancel()
        third.set()

    async def make() -> None:
        async for _ in loaded.generate(request(name, num_inference_steps=20)):
            pass

    hook = model.register_forward_pre_hook(count)
    making = asyncio.create_task(make())
    await third.wait()
    with pytest.raises(asyncio.CancelledError):
        await making
    # What another one gets shows that the first is gone: the passes that it would have taken part in are counted.
    [image] = [picture.image async for picture in loaded.generate(request(name))]
    hook.remove()
    assert distance(image, expected) == 0
    assert steps <= 3 + 1 + 2 * (2 if "qwen" in name else 1)


def test_progress_is_one_bar_of_whole_lines(engine: Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = engine("stable-diffusion")
    capfd.readouterr()
    images(loaded, request("stable-diffusion", num_outputs=3, num_inference_steps=4))
    lines = capfd.readouterr().err.splitlines()
    # Where Replicate's clients look for progress: blanks, the percentage, the bar, then how many of how many.
    states = [re.match(r"\s*\d+%\s*\|.+?\|\s*(\d+)/(\d+)", line) for line in lines]
    done = [(int(state[1]), int(state[2])) for state in states if state]
    assert len(done) == len(lines)
    assert done[0] == (0, 12)
    assert done[-1] == (12, 12)
    assert sorted(done) == done


def test_words_past_the_limit_are_named_once(engine: Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = engine("stable-diffusion")
    capfd.readouterr()
    prompt = "a red apple " * 40 + "with a zebra"
    images(loaded, request("stable-diffusion", prompt=prompt, num_outputs=3))
    warnings = [line for line in capfd.readouterr().err.splitlines() if "%|" not in line]
    assert len(warnings) == 1
    assert warnings[0].startswith("Warning: prompt: it is too long")
    assert "zebra" in warnings[0]


def test_a_lone_side_is_honoured(engine: Loaded) -> None:
    for name in ("stable-diffusion", "stable-diffusion-xl", "stable-diffusion-3"):
        [image] = images(engine(name), PictureRequest(prompt="a red apple", seed=0, width=32, num_inference_steps=1))
        assert image.size == (32, 64)


def test_another_size_than_asked_for_is_told(engine: Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    loaded: Any = engine("stable-diffusion")
    hook = loaded.pipeline.vae.decoder.register_forward_hook(lambda module, given, decoded: decoded[..., :32])
    [image] = images(loaded, request("stable-diffusion"))
    hook.remove()
    assert image.size == (64, 48)
    assert "the model made picture 0 32x48; it was scaled to the 64x48 that were asked for" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("sana", {"image": Path("a.png")}, "image: this model makes pictures from text alone. *"),
        ("flux", {"mask": Path("a.png")}, "mask: there is no image that it belongs to. *"),
        (
            "flux",
            {"scheduler": "DDIM"},
            "scheduler: 'DDIM' does not work * Use one of K_EULER, *UniPC, or leave it out *",
        ),
    ],
)
def test_what_the_model_cannot_do_is_refused_at_once(
    name: str, changes: dict[str, Any], message: str, engine: Loaded
) -> None:
    with pytest.raises(InputError) as caught:
        draw(engine(name), request(name, **changes))
    assert fnmatchcase(str(caught.value), message)


@pytest.mark.parametrize(
    "shortage",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 68719476736 bytes."),
    ],
)
def test_too_little_memory_fails_that_request_alone(shortage: RuntimeError, engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")

    def fail(*_: Any) -> None:
        raise shortage

    hook = loaded.pipeline.unet.register_forward_pre_hook(fail)
    with pytest.raises(OutOfMemory, match="Ask for smaller pictures"):
        images(loaded, request("stable-diffusion"))
    hook.remove()
    assert images(loaded, request("stable-diffusion"))


def test_a_model_that_does_something_else_is_refused(tmp_path: Path) -> None:
    unet = diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        layers_per_block=1,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    )
    diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"DDPMPipeline does not make pictures from text, .*: it takes no prompt"):
        Engine(str(tmp_path))


def test_what_was_loaded_can_be_told(engine: Loaded, tiny: Tiny) -> None:
    assert str(engine("flux")) == f"FluxPipeline from {tiny('flux')}, float32 on cpu"


def test_pictures_that_the_model_withholds_are_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = _with_safety_checker(tmp_path)
    checker: Any = loaded.pipeline.safety_checker
    embeddings: list[torch.Tensor] = []
    hook = checker.visual_projection.register_forward_hook(lambda *arguments: embeddings.append(arguments[2]))
    torch.nn.init.constant_(checker.concept_embeds_weights, 2)
    asked = request("stable-diffusion", num_outputs=2)
    assert not any(picture.withheld for picture in draw(loaded, asked))
    hook.remove()

    # Now the limit is between what the checker sees in the first picture and what it sees in the second.
    near = [torch.cosine_similarity(seen, checker.concept_embeds).max().item() for seen in embeddings]
    torch.nn.init.constant_(checker.concept_embeds_weights, sum(near) / 2)
    pictures = draw(loaded, asked)
    assert [picture.withheld for picture in pictures] == [similarity == max(near) for similarity in near]
    place = near.index(max(near))
    assert pictures[place].image.getextrema() == ((0, 0),) * 3
    assert f"picture {place} (seed {7 + place}) is black" in capfd.readouterr().err

    torch.nn.init.constant_(checker.concept_embeds_weights, -2)
    with pytest.raises(PicturesWithheld, match="Try another prompt or seed"):
        images(loaded, asked)


def _with_safety_checker(folder: Path) -> Engine:
    """Stable Diffusion with its safety checker, of random weights."""
    torch.manual_seed(0)
    tower = {"hidden_size": 32, "intermediate_size": 37, "num_attention_heads": 4, "num_hidden_layers": 1}
    checker: Any = StableDiffusionSafetyChecker(
        CLIPConfig(vision_config={**tower, "image_size": 30, "patch_size": 15}, projection_dim=8)
    )
    torch.nn.init.normal_(checker.concept_embeds)
    torch.nn.init.constant_(checker.special_care_embeds_weights, 2)
    pipeline = stable_diffusion()
    processor = CLIPImageProcessor(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    pipeline.register_modules(safety_checker=checker, feature_extractor=processor)
    pipeline.save_pretrained(folder)
    return Engine(str(folder))


def test_what_a_request_holds_does_not_wait_for_the_garbage_collector(engine: Loaded) -> None:
    """Its pictures are large, and what it left would be there until some hundreds of others have been."""
    loaded = engine("stable-diffusion")

    async def draw_one() -> weakref.ref[PictureRequest]:
        asked = PictureRequest(prompt="a car", seed=1, num_inference_steps=2, width=64, height=64)
        warnings, nobody = Warnings(), lambda *_: None
        watching: dict[str, Any] = {"on_progress": nobody, "on_preview": nobody, "preview_interval": 1}
        assert len([picture async for picture in loaded.generate(asked, warnings=warnings, **watching)]) == 1
        return weakref.ref(asked)

    async def look() -> bool:
        gone = await draw_one()
        # Behind what the request has left to be done on the device's thread, and in this one.
        await loaded.call(lambda _: None)
        await asyncio.sleep(0)
        return gone() is None

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(look())
    finally:
        gc.enable()
