"""How a request is done: which form of the model does it, of what size, from which pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from server.diffusion import Engine, InputError, Picture, PictureRequest, PicturesWithheld, Warnings
from server.diffusion.fitting import ResizeMode, fit_picture
from server.diffusion.forms import Task
from server.diffusion.reading import SentPicture, read_picture
from server.diffusion.sizing import Size
from tests.diffusion.drawing import distance, draw, same
from tests.diffusion.markers import marked
from tests.diffusion.tiny_pipelines import diffusers

Loaded = Callable[[str], Engine]

OWN = {"width": None, "height": None}
"""Leaves the size to the model, and to the picture that is sent."""


@pytest.fixture
def tiny_sd(engine: Loaded) -> Engine:
    return engine("stable-diffusion")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture of 64 x 48, which the model can make as it is."""
    return saved(marked(), tmp_path / "photo.png")


@pytest.fixture
def mask(tmp_path: Path) -> Path:
    """A mask of its left half, with an edge where latents have one, too."""
    return saved(half(), tmp_path / "mask.png")


def half(size: tuple[int, int] = (64, 48)) -> Image.Image:
    grey = Image.new("L", size)
    grey.paste(255, (0, 0, size[0] // 2, size[1]))
    return grey


def saved(picture: Image.Image, path: Path) -> Path:
    picture.save(path)
    return path


def request(**changes: Any) -> PictureRequest:
    """For the size of `photo`, unless `changes` say otherwise."""
    small = {"width": 64, "height": 48, "num_inference_steps": 2}
    return PictureRequest(**{"prompt": "a red apple", "seed": 7, **small, **changes})


def make(engine: Engine, **changes: Any) -> tuple[list[Picture], list[tuple[str, str | None]]]:
    """The pictures of a request, and codes and inputs of its warnings; with `strict`, of one that is."""
    warnings = Warnings(changes.pop("strict", False))
    pictures = draw(engine, request(**changes), warnings=warnings)
    return pictures, [(str(warning["code"]), warning["input"]) for warning in warnings.to_list()]


def refusal(engine: Engine, **changes: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        make(engine, **changes)
    return caught.value


# From a picture.


def test_nothing_changes_at_strength_zero(tiny_sd: Engine, photo: Path) -> None:
    progress: list[tuple[int, int]] = []
    asked = request(image=photo, prompt_strength=0, num_outputs=2, inputs={})
    pictures = draw(tiny_sd, asked, on_progress=lambda done, total: progress.append((done, total)))
    assert [picture.seed for picture in pictures] == [7, 8]
    for picture in pictures:
        assert same(picture.image, marked())
        assert picture.metadata
        assert (picture.metadata.strength, picture.metadata.edited) == (0, True)
    assert progress[-1][0] == progress[-1][1]


@pytest.mark.parametrize("mode", [None, *ResizeMode])
def test_at_strength_zero_it_is_the_picture_as_it_is_fitted(
    mode: ResizeMode | None, tiny_sd: Engine, photo: Path
) -> None:
    [picture], warned = make(tiny_sd, image=photo, prompt_strength=0, width=64, height=64, resize_mode=mode)
    expected = fit_picture(SentPicture(marked(), None), Size(64, 64), mode, "image", Warnings())
    assert same(picture.image, expected.rgb)
    cut = [] if mode else [("truncated", "image")]
    assert warned == [*cut, ("ignored", "num_inference_steps")]


def test_pixels_are_those_of_stock_diffusers(tiny_sd: Engine, tiny: Callable[[str], Path], photo: Path) -> None:
    [picture], warned = make(tiny_sd, image=photo, prompt_strength=0.6, num_inference_steps=5)
    stock = diffusers.AutoPipelineForImage2Image.from_pretrained(tiny("stable-diffusion"), dtype=torch.float32)
    given = {"prompt": "a red apple", "image": marked(), "strength": 0.6, "num_inference_steps": 5}
    assert distance(picture.image, stock(**given, generator=torch.Generator().manual_seed(7)).images[0]) <= 1
    assert not same(picture.image, marked())
    assert warned == []


def test_pixels_of_inpainting_are_those_of_stock_diffusers(
    tiny_sd: Engine, tiny: Callable[[str], Path], photo: Path, mask: Path
) -> None:
    [picture], warned = make(tiny_sd, image=photo, mask=mask, prompt_strength=1, keep_unmasked=False)
    stock = diffusers.AutoPipelineForInpainting.from_pretrained(tiny("stable-diffusion"), dtype=torch.float32)
    given = {"image": marked(), "mask_image": half(), "strength": 1.0, "width": 64, "height": 48}
    generator = torch.Generator().manual_seed(7)
    expected = stock(prompt="a red apple", **given, num_inference_steps=2, generator=generator).images[0]
    assert distance(picture.image, expected) <= 1
    assert warned == []


@pytest.mark.parametrize("strength", [1e-6, 0.01, 0.49])
def test_less_than_a_step_becomes_one(strength: float, tiny_sd: Engine, photo: Path, mask: Path) -> None:
    for given in ({}, {"mask": mask}):
        [picture], warned = make(tiny_sd, image=photo, prompt_strength=strength, inputs={}, **given)
        assert picture.image.size == (64, 48)
        assert warned == [("clamped", "prompt_strength")]
        assert picture.metadata
        assert picture.metadata.strength == pytest.approx(0.5)
        [of_one_step], warned = make(tiny_sd, image=photo, prompt_strength=0.5, **given)
        assert same(picture.image, of_one_step.image)
        assert warned == []
    assert refusal(tiny_sd, strict=True, image=photo, prompt_strength=strength).input == "prompt_strength"


def test_less_than_a_step_by_the_models_own_strength_becomes_one(tiny_sd: Engine, photo: Path) -> None:
    [picture], warned = make(tiny_sd, image=photo, num_inference_steps=1)
    assert warned == [("clamped", "num_inference_steps")]
    assert same(picture.image, make(tiny_sd, image=photo, num_inference_steps=1, prompt_strength=1)[0][0].image)


@pytest.mark.parametrize("scheduler", ["HeunDiscrete", "LCM", "UniPC", "K_EULER_ANCESTRAL"])
def test_a_single_step_works_with_other_schedulers(scheduler: str, tiny_sd: Engine, photo: Path) -> None:
    [picture], _ = make(tiny_sd, image=photo, num_inference_steps=4, prompt_strength=0.25, scheduler=scheduler)
    assert picture.image.size == (64, 48)


def test_a_mask_changes_what_it_covers_alone(tiny_sd: Engine, photo: Path, mask: Path) -> None:
    [picture], warned = make(tiny_sd, image=photo, mask=mask, prompt_strength=1)
    made, sent = np.asarray(picture.image), np.asarray(marked())
    assert np.array_equal(made[:, 32:], sent[:, 32:])
    assert np.abs(made[:, :16].astype(int) - sent[:, :16]).mean() > 10
    assert warned == []


def test_what_the_model_makes_passes_through_where_asked(tiny_sd: Engine, photo: Path, mask: Path) -> None:
    [picture], warned = make(tiny_sd, image=photo, mask=mask, prompt_strength=1, keep_unmasked=False)
    made, sent = np.asarray(picture.image), np.asarray(marked())
    assert not np.array_equal(made[:, 32:], sent[:, 32:])
    assert warned == []


def test_what_is_transparent_is_painted_anew(tiny_sd: Engine, tmp_path: Path, photo: Path, mask: Path) -> None:
    clear = marked()
    clear.putalpha(half().point(lambda grey: 255 - grey))
    path = saved(clear, tmp_path / "clear.png")
    [by_alpha], warned = make(tiny_sd, image=path, prompt_strength=1)
    seen = read_picture(path, "image", Warnings()).rgb
    assert np.array_equal(np.asarray(by_alpha.image)[:, 32:], np.asarray(seen)[:, 32:])
    assert warned == []
    white = saved(seen, tmp_path / "white.png")
    assert same(by_alpha.image, make(tiny_sd, image=white, mask=mask, prompt_strength=1)[0][0].image)


def test_a_mask_is_stronger_than_what_is_transparent(tiny_sd: Engine, tmp_path: Path, mask: Path) -> None:
    clear = marked()
    clear.putalpha(half())
    [picture], warned = make(tiny_sd, image=saved(clear, tmp_path / "a.png"), mask=mask, prompt_strength=1)
    # What is transparent shows white, and is kept.
    assert np.asarray(picture.image)[:, 32:].min() == 255
    assert warned == [("converted", "image")]


def test_an_opaque_picture_with_transparency_has_no_mask(tiny_sd: Engine, tmp_path: Path, photo: Path) -> None:
    opaque = saved(marked().convert("RGBA"), tmp_path / "a.png")
    pictures = [make(tiny_sd, image=path, prompt_strength=0.5)[0][0].image for path in (opaque, photo)]
    assert same(*pictures)


def test_a_mask_of_another_size_covers_the_same(tiny_sd: Engine, tmp_path: Path, photo: Path) -> None:
    large = saved(half((640, 480)), tmp_path / "large.png")
    [picture], warned = make(tiny_sd, image=photo, mask=large, prompt_strength=1)
    assert np.array_equal(np.asarray(picture.image)[:, 33:], np.asarray(marked())[:, 33:])
    assert warned == []
    tall = saved(half((64, 128)), tmp_path / "tall.png")
    assert make(tiny_sd, image=photo, mask=tall)[1] == [("converted", "mask")]


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_mask_of_a_picture_as_it_is_stored_is_turned_with_it(
    orientation: int, tiny_sd: Engine, tmp_path: Path, photo: Path, mask: Path
) -> None:
    back = {5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE}
    turn = back.get(orientation, Image.Transpose.ROTATE_270)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = tmp_path / "stored.png"
    marked().transpose(turn).save(stored, exif=exif)
    drawn_on_it = saved(half().transpose(turn), tmp_path / "drawn.png")
    [picture], warned = make(tiny_sd, image=stored, mask=drawn_on_it, prompt_strength=1)
    assert warned == [("converted", "mask")]
    assert same(picture.image, make(tiny_sd, image=photo, mask=mask, prompt_strength=1)[0][0].image)
    # One that is the way up that the picture is seen stays as it is.
    [upright], warned = make(tiny_sd, image=stored, mask=mask, prompt_strength=1)
    assert warned == []
    assert same(picture.image, upright.image)


def test_a_mask_without_effect_is_told(tiny_sd: Engine, tmp_path: Path, photo: Path) -> None:
    black = saved(Image.new("L", (64, 48)), tmp_path / "black.png")
    [picture], warned = make(tiny_sd, image=photo, mask=black, prompt_strength=1)
    assert same(picture.image, marked())
    assert warned == [("ignored", "mask")]
    assert refusal(tiny_sd, strict=True, image=photo, mask=black).input == "mask"


async def test_a_withheld_picture_is_black_though_a_part_was_to_be_kept(
    engine: Loaded, monkeypatch: pytest.MonkeyPatch, photo: Path, mask: Path
) -> None:
    loaded = engine("stable-diffusion")
    inpainting = type(loaded.forms.get(Task.INPAINTING))

    def withhold(self: Any, image: Any, *_: Any) -> Any:
        image[0] = 0
        return image, [True]

    monkeypatch.setattr(inpainting, "run_safety_checker", withhold)
    pictures = loaded.generate(request(image=photo, mask=mask))
    picture = await anext(pictures)
    assert picture.withheld
    assert picture.image.getextrema() == ((0, 0),) * 3
    with pytest.raises(PicturesWithheld):
        await anext(pictures)


# What cannot be.


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("mask", ("mask",)),
        ("reference_images", ("reference_images",)),
        ("controlnet_image", ("controlnet_image",)),
        ("controlnet_image", ("controlnet_image", "image")),
    ],
)
def test_pictures_of_no_use_are_refused(name: str, given: tuple[str, ...], tiny_sd: Engine, photo: Path) -> None:
    pictures: dict[str, Any] = {each: (photo,) if each == "reference_images" else photo for each in given}
    error = refusal(tiny_sd, **pictures)
    assert error.input == name
    assert str(error).startswith(f"{name}: ")
    assert str(error).endswith(".")


@pytest.mark.parametrize("name", ["image", "mask"])
def test_a_file_that_is_no_picture_is_refused(name: str, tiny_sd: Engine, tmp_path: Path, photo: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!DOCTYPE html><html></html>")
    error = refusal(tiny_sd, **{"image": photo, name: page})
    assert error.input == name
    assert "an HTML page" in str(error)
    assert refusal(tiny_sd, **{"image": photo, name: tmp_path / "missing.png"}).input == name


def test_a_model_without_forms_takes_no_picture(engine: Loaded, photo: Path) -> None:
    error = refusal(engine("sana"), image=photo)
    assert error.input == "image"
    assert "from text alone" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt_strength", 0.5),
        ("prompt_strength", 0),
        ("resize_mode", "fit"),
        ("keep_unmasked", False),
        ("controlnet_conditioning_scale", 0.5),
        ("controlnet_start", 0.1),
        ("controlnet_end", 0.9),
    ],
)
def test_what_has_no_effect_without_its_picture_is_told(name: str, value: Any, tiny_sd: Engine) -> None:
    [picture], warned = make(tiny_sd, **{name: value})
    assert warned == [("ignored", name)]
    assert same(picture.image, make(tiny_sd)[0][0].image)
    assert refusal(tiny_sd, strict=True, **{name: value}).input == name


# Sizes. The model was trained for 64 x 64, and takes multiples of 8.


@pytest.mark.parametrize(
    ("given", "size", "warned"),
    [
        ({}, (64, 64), []),
        ({"aspect_ratio": "1:1"}, (64, 64), []),
        # 64 x 64 pixels in that aspect are 85.3 x 48.
        ({"aspect_ratio": "16:9"}, (88, 48), []),
        ({"aspect_ratio": "9:16"}, (48, 88), []),
        ({"aspect_ratio": "16:9", "megapixels": 0.01}, (136, 80), []),
        ({"aspect_ratio": "custom"}, (64, 64), [("ignored", "aspect_ratio")]),
        # The square root of 0.01 * 1024 * 1024 is 102.4.
        ({"megapixels": 0.01}, (104, 104), []),
        ({"width": 72, "height": 40}, (72, 40), []),
        ({"width": 72, "height": 40, "aspect_ratio": "custom"}, (72, 40), []),
        ({"width": 96, "aspect_ratio": "2:3"}, (96, 144), []),
        ({"width": 71, "height": 41}, (72, 40), [("rounded", "width"), ("rounded", "height")]),
        ({"width": 72.0, "height": 40.0}, (72, 40), []),
        ({"width": 72, "height": 40, "megapixels": 1}, (72, 40), [("ignored", "megapixels")]),
        ({"width": 72, "height": 40, "aspect_ratio": "1:1"}, (64, 64), [("ignored", "width"), ("ignored", "height")]),
    ],
)
def test_sizes(given: dict[str, Any], size: tuple[int, int], warned: list[Any], tiny_sd: Engine) -> None:
    [picture], got = make(tiny_sd, num_inference_steps=1, **{**OWN, **given})
    assert picture.image.size == size
    assert got == warned
    if warned:
        assert refusal(tiny_sd, strict=True, **{**OWN, **given}).input == warned[0][1]


@pytest.mark.parametrize(
    ("given", "size", "warned"),
    [
        # 64 x 64 pixels in the aspect of 4:3 are 73.9 x 55.4; rounding to multiples of 8 takes 4 % off so small a size.
        ({}, (72, 56), [("truncated", "image")]),
        ({"aspect_ratio": "match_input_image"}, (72, 56), [("truncated", "image")]),
        ({"aspect_ratio": "match_input_image", "resize_mode": "fit"}, (72, 56), []),
        ({"aspect_ratio": "match_input_image", "megapixels": 0.01}, (120, 88), []),
        ({"aspect_ratio": "1:1"}, (64, 64), [("truncated", "image")]),
        ({"aspect_ratio": "1:1", "resize_mode": "fit"}, (64, 64), []),
        ({"aspect_ratio": "9:16", "resize_mode": "cover"}, (48, 88), []),
        ({"aspect_ratio": "9:16", "resize_mode": "stretch"}, (48, 88), []),
        ({"width": 96}, (96, 72), []),
        ({"height": 48}, (64, 48), []),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_sizes_from_a_picture(
    given: dict[str, Any],
    size: tuple[int, int],
    warned: list[Any],
    masked: bool,
    tiny_sd: Engine,
    tmp_path: Path,
) -> None:
    image = saved(marked((200, 150)), tmp_path / "image.png")
    pictures = {"image": image} | ({"mask": saved(half((200, 150)), tmp_path / "mask.png")} if masked else {})
    [picture], got = make(tiny_sd, prompt_strength=0.5, **pictures, **{**OWN, **given})
    assert picture.image.size == size
    assert got == warned


@pytest.mark.parametrize(
    ("sent", "size", "codes"),
    [
        ((6000, 4000), (80, 56), []),
        ((1, 1), (64, 64), []),
        ((3, 500), (16, 2048), ["clamped"]),
        ((61, 43), (80, 56), []),
    ],
)
def test_huge_and_odd_pictures(
    sent: tuple[int, int], size: tuple[int, int], codes: list[str], tiny_sd: Engine, tmp_path: Path
) -> None:
    image = saved(marked(sent), tmp_path / "image.png")
    [picture], warned = make(tiny_sd, image=image, prompt_strength=0.5, **OWN)
    assert picture.image.size == size
    assert [code for code, _ in warned if code != "truncated"] == codes


def test_matching_a_picture_needs_one(tiny_sd: Engine) -> None:
    assert refusal(tiny_sd, aspect_ratio="match_input_image", **OWN).input == "aspect_ratio"


# Several pictures.


def test_several_prompts_are_made_in_order_as_each_alone(tiny_sd: Engine) -> None:
    text = "a red apple|| a blue car |a green cat"
    together, warned = make(tiny_sd, prompt=text, prompt_delimiter="|", num_outputs=2, inputs={"a": 1})
    prompts = [prompt for prompt in ("a red apple", "a blue car", "a green cat") for _ in range(2)]
    assert [picture.seed for picture in together] == [7, 8, 9, 10, 11, 12]
    assert warned == []
    for index, (picture, prompt) in enumerate(zip(together, prompts, strict=True)):
        [alone], _ = make(tiny_sd, prompt=prompt, seed=7 + index)
        assert distance(alone.image, picture.image) <= 1
        told = picture.metadata
        assert told
        assert (told.prompt, told.seed, told.index) == (prompt, 7 + index, index)
        assert (told.width, told.height, told.inputs) == (64, 48, {"a": 1})


def test_more_than_two_hundred_pictures_are_refused(tiny_sd: Engine) -> None:
    error = refusal(tiny_sd, prompt="a|b|c", prompt_delimiter="|", num_outputs=67)
    assert error.input == "num_outputs"
    assert "200" in str(error)
    assert refusal(tiny_sd, num_outputs=201).input == "num_outputs"


def test_two_hundred_pictures_are_made(tiny_sd: Engine) -> None:
    prompt = "\n".join(["a red apple"] * 100)
    given = {"width": 16, "height": 16, "num_inference_steps": 1}
    pictures, warned = make(tiny_sd, prompt=prompt, prompt_delimiter="\\n", num_outputs=2, **given)
    assert [picture.seed for picture in pictures] == list(range(7, 207))
    assert warned == []


# What the file tells.


def test_the_metadata_of_a_picture_from_text(tiny_sd: Engine) -> None:
    [picture], _ = make(tiny_sd, inputs={}, negative_prompt="blue", guidance_scale=3, scheduler="DDIM")
    told = picture.metadata
    assert told
    assert (told.prompt, told.negative_prompt, told.guidance_scale) == ("a red apple", "blue", 3)
    assert (told.num_inference_steps, told.scheduler, told.strength, told.edited) == (2, "DDIM", None, False)
    assert told.provenance.pipeline == "StableDiffusionPipeline"


def test_the_metadata_of_a_picture_from_a_picture(tiny_sd: Engine, photo: Path, mask: Path) -> None:
    for given, strength in (
        ({"prompt_strength": 0.5}, 0.5),
        # As `StableDiffusionImg2ImgPipeline` has it.
        ({"num_inference_steps": 5}, 0.8),
        # As `StableDiffusionInpaintPipeline` has it.
        ({"mask": mask}, 1),
    ):
        [picture], _ = make(tiny_sd, inputs={}, image=photo, **given)
        told = picture.metadata
        assert told
        assert (told.strength, told.edited, told.scheduler) == (strength, True, "PNDMScheduler")


def test_nothing_is_told_where_nothing_is_to_be(tiny_sd: Engine) -> None:
    [picture], _ = make(tiny_sd)
    assert picture.metadata is None


def test_the_safety_checker_cannot_be_turned_off_where_it_is_required(tiny: Callable[[str], Path]) -> None:
    required = Engine(str(tiny("stable-diffusion")), require_safety_checker=True)
    assert refusal(required, disable_safety_checker=True).input == "disable_safety_checker"
    assert make(required)[0]
