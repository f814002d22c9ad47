"""Requests for which memory is short, in which modules that refuse too much play the device."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion import Engine, OutOfMemory, PictureRequest
from server.diffusion.shortage import tiled
from server.diffusion.warnings import Warnings
from tests.diffusion.drawing import distance, draw, same
from tests.diffusion.tiny_pipelines import diffusers

Tiny = Callable[[str], Path]
Loaded = Callable[[str], Engine]


def request(**changes: Any) -> PictureRequest:
    return PictureRequest(
        **{"prompt": "a red apple", "seed": 7, "num_inference_steps": 2, "width": 128, "height": 128, **changes}
    )


@contextmanager
def refusing(module: Any, most: int, size: Callable[[torch.Tensor], int] = torch.Tensor.numel) -> Iterator[list[int]]:
    """Let a module raise that memory is short where its input is larger; the sizes that it was asked for."""
    asked: list[int] = []

    def check(_: Any, given: tuple[torch.Tensor, ...]) -> None:
        asked.append(size(given[0]))
        if asked[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    hook = module.register_forward_pre_hook(check)
    try:
        yield asked
    finally:
        hook.remove()


def rows(tensor: torch.Tensor) -> int:
    return tensor.shape[0]


def side(tensor: torch.Tensor) -> int:
    return max(tensor.shape[-2:])


def together(engine: Engine, *requests: PictureRequest) -> tuple[list[Any], list[list[str]]]:
    """The first picture of each of several requests at the same time, or its error, and what each is told."""
    warnings = [Warnings() for _ in requests]

    async def make(asked: PictureRequest, told: Warnings) -> Any:
        [picture] = [picture async for picture in engine.generate(asked, warnings=told)]
        return picture.image

    async def gather() -> list[Any]:
        return await asyncio.gather(*map(make, requests, warnings), return_exceptions=True)

    made = asyncio.run(gather())
    return made, [[str(one["message"]) for one in told.to_list()] for told in warnings]


def test_a_picture_that_cannot_be_decoded_whole_is_decoded_in_tiles(tiny: Tiny, engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")
    small = request(width=64, height=64)
    alone = [picture.image for picture in draw(loaded, small)]
    decoder = loaded.pipeline.vae.decoder
    with refusing(decoder, 8, side):
        (large, other), (notes, none) = together(loaded, request(), small)
    stock = diffusers.StableDiffusionPipeline.from_pretrained(tiny("stable-diffusion"), dtype=torch.float32)
    stock.vae.enable_tiling()
    [expected] = stock(
        prompt="a red apple",
        width=128,
        height=128,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(7),
    ).images
    assert distance(large, expected) <= 1
    [note] = notes
    assert note.startswith("Memory was short for vae.decode: it worked in tiles, which may show faintly where they")
    # The one beside it is as it would be alone, and so is the next.
    assert distance(other, alone[0]) <= 1
    assert none == []
    assert not loaded.pipeline.vae.use_tiling
    assert same(draw(loaded, small)[0].image, alone[0])


def test_tiles_become_smaller_until_they_fit(engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")
    with refusing(loaded.pipeline.vae.decoder, 4, side) as asked:
        [image], [notes] = together(loaded, request())
    assert image.size == (128, 128)
    assert len(notes) == 1
    assert asked[0] == asked[1] == 16
    assert set(asked[2:]) >= {8, 4}


def test_rows_are_computed_one_after_the_other(engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")
    [expected] = draw(loaded, request(guidance_scale=5.0))
    with refusing(loaded.pipeline.unet.conv_in, 1, rows) as asked:
        [image], [notes] = together(loaded, request(guidance_scale=5.0))
    assert distance(image, expected.image) <= 1
    assert notes == ["Memory was short for unet: its 2 rows were computed one after the other, which took longer."]
    # For each pass, of which PNDM makes one more than there are steps.
    assert asked.count(1) == 2 * 3


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("stable-diffusion-xl", "unet.conv_in"),
        ("stable-diffusion-3", "transformer.pos_embed.proj"),
        ("pixart", "transformer.pos_embed.proj"),
        ("z-image", "transformer.t_embedder.mlp.0"),
    ],
)
def test_rows_of_other_architectures_are_computed_one_after_the_other(name: str, layer: str, engine: Loaded) -> None:
    loaded: Any = engine(name)
    asked = request(guidance_scale=5.0, **({"width": 256, "height": 256} if name == "pixart" else {}))
    [expected] = draw(loaded, asked)
    component, _, part = layer.partition(".")
    with refusing(getattr(loaded.pipeline, component).get_submodule(part), 1, rows):
        [image], [notes] = together(loaded, asked)
    assert "its 2 rows were computed one after the other" in notes[0]
    assert distance(image, expected.image) <= 1


def test_what_fits_in_no_way_fails_that_request_alone(engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")
    small = request(width=64, height=64)
    with refusing(loaded.pipeline.vae.decoder.conv_in, 0, lambda latents: int(side(latents) != 8)):
        (large, other), (_, none) = together(loaded, request(), small)
    assert isinstance(large, OutOfMemory)
    assert "Ask for smaller pictures (width, height)" in str(large)
    assert other.size == (64, 64)
    assert none == []
    assert not loaded.pipeline.vae.use_tiling
    [image], [notes] = together(loaded, request())
    assert image.size == (128, 128)
    assert notes == []


def test_a_moment_of_shortage_costs_nothing(engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")
    [expected] = draw(loaded, request())
    failures = iter([1])
    with refusing(loaded.pipeline.vae.decoder, 0, lambda _: next(failures, 0)):
        [image], [notes] = together(loaded, request())
    assert same(image, expected.image)
    assert notes == []


def test_another_error_while_it_is_tried_again_is_told(engine: Loaded) -> None:
    loaded: Any = engine("stable-diffusion")

    def fail(*_: Any) -> int:
        raise ValueError("bad weights")

    sizes = iter([lambda _: 1, fail])
    with refusing(loaded.pipeline.vae.decoder, 0, lambda latents: next(sizes)(latents)):
        [error], _ = together(loaded, request())
    assert isinstance(error, ValueError)


def test_it_is_in_the_requests_log(engine: Loaded, capfd: pytest.CaptureFixture[str]) -> None:
    loaded: Any = engine("stable-diffusion")
    with refusing(loaded.pipeline.vae.decoder, 8, side):
        draw(loaded, request())
    assert "Warning: Memory was short for vae.decode" in capfd.readouterr().err


@pytest.mark.parametrize("name", ["stable-diffusion", "sana", "qwen-image"])
def test_an_autoencoder_is_afterwards_as_it_was(name: str, engine: Loaded) -> None:
    vae: Any = engine(name).pipeline.vae
    before = dict(vars(vae))
    with tiled(vae, 2):
        assert vae.use_tiling
        assert any(name.startswith("tile_") and value < before[name] for name, value in vars(vae).items())
    assert dict(vars(vae)) == before
