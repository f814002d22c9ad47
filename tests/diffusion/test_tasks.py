"""Each architecture at each of its tasks: the pixels are those of stock diffusers, called by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from server.diffusion import Engine, PictureRequest
from server.diffusion.forms import Task
from server.diffusion.warnings import Warnings
from tests.diffusion.drawing import distance, draw
from tests.diffusion.tiny_pipelines import diffusers

Tiny = Callable[[str], Path]
Loaded = Callable[[str], Engine]

# By name and task, the class that does it.
STOCK: dict[str, dict[Task, str]] = {
    "stable-diffusion": {
        Task.TEXT_TO_IMAGE: "StableDiffusionPipeline",
        Task.IMAGE_TO_IMAGE: "StableDiffusionImg2ImgPipeline",
        Task.INPAINTING: "StableDiffusionInpaintPipeline",
    },
    "stable-diffusion-inpainting": {Task.INPAINTING: "StableDiffusionInpaintPipeline"},
    "instruct-pix2pix": {Task.EDITING: "StableDiffusionInstructPix2PixPipeline"},
    "stable-diffusion-xl": {
        Task.TEXT_TO_IMAGE: "StableDiffusionXLPipeline",
        Task.IMAGE_TO_IMAGE: "StableDiffusionXLImg2ImgPipeline",
        Task.INPAINTING: "StableDiffusionXLInpaintPipeline",
    },
    "stable-diffusion-3": {
        Task.TEXT_TO_IMAGE: "StableDiffusion3Pipeline",
        Task.IMAGE_TO_IMAGE: "StableDiffusion3Img2ImgPipeline",
        Task.INPAINTING: "StableDiffusion3InpaintPipeline",
    },
    "flux": {
        Task.TEXT_TO_IMAGE: "FluxPipeline",
        Task.IMAGE_TO_IMAGE: "FluxImg2ImgPipeline",
        Task.INPAINTING: "FluxInpaintPipeline",
    },
    "flux-schnell": {
        Task.TEXT_TO_IMAGE: "FluxPipeline",
        Task.IMAGE_TO_IMAGE: "FluxImg2ImgPipeline",
        Task.INPAINTING: "FluxInpaintPipeline",
    },
    "flux-kontext": {
        Task.TEXT_TO_IMAGE: "FluxKontextPipeline",
        Task.EDITING: "FluxKontextPipeline",
        Task.INPAINTING: "FluxKontextInpaintPipeline",
    },
    "flux-fill": {Task.INPAINTING: "FluxFillPipeline"},
    "flux-2-klein": {
        Task.TEXT_TO_IMAGE: "Flux2KleinPipeline",
        Task.EDITING: "Flux2KleinPipeline",
        Task.INPAINTING: "Flux2KleinInpaintPipeline",
    },
    "flux-2-klein-distilled": {
        Task.TEXT_TO_IMAGE: "Flux2KleinPipeline",
        Task.EDITING: "Flux2KleinPipeline",
        Task.INPAINTING: "Flux2KleinInpaintPipeline",
    },
    "pixart": {Task.TEXT_TO_IMAGE: "PixArtSigmaPipeline"},
    "sana": {Task.TEXT_TO_IMAGE: "SanaPipeline"},
    "qwen-image": {
        Task.TEXT_TO_IMAGE: "QwenImagePipeline",
        Task.IMAGE_TO_IMAGE: "QwenImageImg2ImgPipeline",
        Task.INPAINTING: "QwenImageInpaintPipeline",
    },
    "z-image": {
        Task.TEXT_TO_IMAGE: "ZImagePipeline",
        Task.IMAGE_TO_IMAGE: "ZImageImg2ImgPipeline",
        Task.INPAINTING: "ZImageInpaintPipeline",
    },
    "lumina-2": {Task.TEXT_TO_IMAGE: "Lumina2Pipeline"},
    "chroma": {
        Task.TEXT_TO_IMAGE: "ChromaPipeline",
        Task.IMAGE_TO_IMAGE: "ChromaImg2ImgPipeline",
    },
    "kandinsky-3": {
        Task.TEXT_TO_IMAGE: "Kandinsky3Pipeline",
        Task.IMAGE_TO_IMAGE: "Kandinsky3Img2ImgPipeline",
    },
}

CASES = [(name, task) for name, tasks in STOCK.items() for task in tasks]

# PixArt and Sana choose among fixed sizes, of which these are the smallest.
SIDES = {"pixart": 256, "sana": 512}

TAKES_GUIDANCE = STOCK.keys() - {"flux-schnell", "flux-2-klein-distilled"}


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Squares of many colours, 64x64."""
    colours = np.random.default_rng(1).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    Image.fromarray(colours).resize((64, 64), Image.Resampling.NEAREST).save(path)
    return path


@pytest.fixture(scope="session")
def mask(photo: Path) -> Path:
    """White in the middle."""
    path = photo.with_name("mask.png")
    image = Image.new("L", (64, 64))
    image.paste(255, (16, 16, 48, 48))
    image.save(path)
    return path


def request(name: str, **asked: Any) -> PictureRequest:
    side = SIDES.get(name, 64)
    guidance = {"guidance_scale": 3.0} if name in TAKES_GUIDANCE else {}
    usual: dict[str, Any] = {"prompt": "a red apple", "seed": 7, "num_inference_steps": 4}
    if "mask" in asked:
        usual["keep_unmasked"] = False
    return PictureRequest(**{**usual, "width": side, "height": side, **guidance, **asked})


def pictures_for(task: Task, photo: Path, mask: Path) -> dict[str, Any]:
    match task:
        case Task.TEXT_TO_IMAGE:
            return {}
        case Task.EDITING:
            return {"image": photo}
        case Task.IMAGE_TO_IMAGE:
            return {"image": photo, "prompt_strength": 0.6}
        case Task.INPAINTING:
            return {"image": photo, "mask": mask, "prompt_strength": 0.6}


def stock(folder: Path, class_name: str, asked: PictureRequest, **more: Any) -> Image.Image:
    """What diffusers makes of the same, with a pipeline built of the model's parts."""
    loaded = diffusers.DiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline_class = getattr(diffusers, class_name)
    taken = inspect.signature(pipeline_class.__init__).parameters
    parts = {**loaded.components, **more.pop("parts", {})}
    options = {name: loaded.config[name] for name in ("is_distilled", "requires_safety_checker") if name in taken}
    pipeline: Any = pipeline_class(**{name: part for name, part in parts.items() if name in taken}, **options)
    pipeline.set_progress_bar_config(disable=True)
    accepted = inspect.signature(pipeline.__call__).parameters
    arguments: dict[str, Any] = {"prompt": asked.prompt, "num_inference_steps": asked.num_inference_steps}
    if "width" in accepted:
        arguments |= {"width": asked.width, "height": asked.height}
    if "max_area" in accepted:
        # Otherwise Kontext makes a megapixel of any size.
        arguments |= {"max_area": 64 * 64} | ({"_auto_resize": False} if asked.mask else {})
    if class_name.startswith("QwenImage"):
        arguments |= {"true_cfg_scale": asked.guidance_scale, "negative_prompt": asked.negative_prompt or " "}
    else:
        arguments |= {"guidance_scale": asked.guidance_scale} if asked.guidance_scale is not None else {}
        arguments |= {"negative_prompt": asked.negative_prompt} if asked.negative_prompt else {}
    if asked.image:
        arguments["image"] = Image.open(asked.image).convert("RGB")
    if asked.mask:
        arguments["mask_image"] = Image.open(asked.mask)
    if asked.prompt_strength is not None:
        arguments["strength"] = asked.prompt_strength
    [image] = pipeline(**arguments, **more, generator=torch.Generator().manual_seed(asked.seed)).images
    assert isinstance(image, Image.Image)
    return image


@pytest.mark.parametrize(("name", "task"), CASES)
def test_pixels_are_those_of_stock_diffusers(
    name: str, task: Task, tiny: Tiny, engine: Loaded, photo: Path, mask: Path
) -> None:
    asked = request(name, **pictures_for(task, photo, mask))
    [picture] = draw(engine(name), asked)
    assert picture.image.size == (asked.width, asked.height)
    assert distance(picture.image, stock(tiny(name), STOCK[name][task], asked)) <= 1


@pytest.mark.parametrize("name", [name for name, tasks in STOCK.items() if Task.INPAINTING in tasks])
def test_what_the_mask_leaves_out_stays(name: str, engine: Loaded, photo: Path, mask: Path) -> None:
    asked = request(name, image=photo, mask=mask, keep_unmasked=True)
    [picture] = draw(engine(name), asked)
    sent, made = Image.open(photo), picture.image
    box = (16, 16, 48, 48)
    assert distance(sent.crop(box), made.crop(box)) > 0
    for image in (sent, made):
        image.paste((0, 0, 0), box)
    assert distance(sent, made) == 0


@pytest.fixture(scope="module")
def controlled(tiny: Tiny, controlnet: Path) -> Engine:
    """Stable Diffusion with a ControlNet."""
    return Engine(str(tiny("stable-diffusion")), controlnet=str(controlnet))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"controlnet_conditioning_scale": 0.5},
        {"controlnet_start": 0.5},
        {"controlnet_end": 0.5, "controlnet_conditioning_scale": 2.0},
        {"controlnet_start": 0, "controlnet_end": 1, "controlnet_conditioning_scale": 2},
    ],
    ids=lambda settings: " ".join(settings) or "as it is",
)
@pytest.mark.parametrize("task", [Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING])
def test_a_controlnet_is_followed_as_in_stock_diffusers(
    task: Task, settings: dict[str, float], tiny: Tiny, controlled: Engine, controlnet: Path, photo: Path, mask: Path
) -> None:
    asked = request(
        "stable-diffusion", **pictures_for(task, photo, mask), controlnet_image=mask, **settings, num_inference_steps=4
    )
    [picture] = draw(controlled, asked)
    class_name = STOCK["stable-diffusion"][task].replace("StableDiffusion", "StableDiffusionControlNet")
    names = {"controlnet_start": "control_guidance_start", "controlnet_end": "control_guidance_end"}
    expected = stock(
        tiny("stable-diffusion"),
        class_name,
        asked,
        parts={"controlnet": diffusers.ControlNetModel.from_pretrained(controlnet)},
        **{"image" if task is Task.TEXT_TO_IMAGE else "control_image": Image.open(mask).convert("RGB")},
        **{names.get(name, name): float(value) for name, value in settings.items()},
    )
    assert distance(picture.image, expected) <= 1
    [without] = draw(controlled, request("stable-diffusion", **pictures_for(task, photo, mask)))
    assert distance(picture.image, without.image) > 1


def test_kontext_edits_at_the_size_that_was_asked_for(engine: Loaded, photo: Path) -> None:
    [picture] = draw(engine("flux-kontext"), request("flux-kontext", image=photo, width=96, height=64))
    assert picture.image.size == (96, 64)


def test_a_model_without_sizes_edits_at_the_size_of_the_picture_it_gets(engine: Loaded, photo: Path) -> None:
    [picture] = draw(engine("instruct-pix2pix"), request("instruct-pix2pix", image=photo, width=96, height=64))
    assert picture.image.size == (96, 64)


def test_several_pictures_are_edited_together(tiny: Tiny, engine: Loaded, photo: Path, mask: Path) -> None:
    asked = request("flux-2-klein", image=photo, reference_images=(mask,))
    [picture] = draw(engine("flux-2-klein"), asked)
    images = [Image.open(photo), Image.open(mask).convert("RGB")]
    expected = stock(tiny("flux-2-klein"), "Flux2KleinPipeline", request("flux-2-klein"), image=images)
    # So small a model makes little of it.
    assert distance(picture.image, expected) == 0
    [alone] = draw(engine("flux-2-klein"), request("flux-2-klein", image=photo))
    assert distance(picture.image, alone.image) > 0


def test_a_part_is_painted_anew_after_a_reference(tiny: Tiny, engine: Loaded, photo: Path, mask: Path) -> None:
    asked = request("flux-2-klein", image=photo, mask=mask, reference_images=(mask,))
    [picture] = draw(engine("flux-2-klein"), asked)
    reference = Image.open(mask).convert("RGB")
    expected = stock(tiny("flux-2-klein"), "Flux2KleinInpaintPipeline", asked, image_reference=reference)
    assert distance(picture.image, expected) == 0


def test_a_negative_prompt_for_a_model_that_edits_by_two_guidances(tiny: Tiny, engine: Loaded, photo: Path) -> None:
    asked = request("instruct-pix2pix", image=photo, negative_prompt="a blue cat")
    [picture] = draw(engine("instruct-pix2pix"), asked)
    expected = stock(tiny("instruct-pix2pix"), "StableDiffusionInstructPix2PixPipeline", asked)
    assert distance(picture.image, expected) <= 1


@pytest.mark.parametrize(("name", "value"), [("prompt_strength", 0.5), ("resize_mode", "fit")])
def test_what_means_nothing_when_editing_is_told(name: str, value: Any, engine: Loaded, photo: Path) -> None:
    warnings = Warnings()
    draw(engine("flux-2-klein"), request("flux-2-klein", image=photo, **{name: value}), warnings=warnings)
    assert [(one["code"], one["input"]) for one in warnings.to_list()] == [("ignored", name)]
