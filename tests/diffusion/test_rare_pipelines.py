"""Architectures that are met less often, and for which nothing was made: they load, offer what they can, and draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from server.diffusion import Engine, InputError, PictureRequest, Warnings
from server.diffusion.forms import Task
from tests.diffusion.drawing import distance, draw
from tests.diffusion.rare_pipelines import RARE_BUILDERS, build
from tests.diffusion.tiny_pipelines import diffusers

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*:FutureWarning")  # as diffusers' own calls are

TEXT, IMAGE, MASK, EDIT = Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING, Task.EDITING

# By name, as diffusers documents them: tasks, number of steps, guidance where it takes one, multiple of sides.
OFFERED: dict[str, tuple[set[Task], int, float | None, int]] = {
    "latent-consistency": ({TEXT, IMAGE}, 4, 8.5, 8),
    "upscaler": ({EDIT}, 75, 9.0, 8),
    "refiner": ({IMAGE, MASK}, 50, 5.0, 8),
    "perturbed-attention": ({TEXT, IMAGE, MASK}, 50, 7.5, 8),
    "pixart-alpha": ({TEXT}, 20, 4.5, 8),
    "sana-sprint": ({TEXT, IMAGE}, 2, 4.5, 32),
    "flux-control": ({TEXT, IMAGE, MASK}, 28, 3.5, 16),
    "sana-controlnet": ({TEXT}, 20, 4.5, 32),
    "cogview-3": ({TEXT}, 50, 5.0, 8),
    "aura-flow": ({TEXT}, 50, 3.5, 8),
    "hunyuan-dit": ({TEXT}, 50, 5.0, 8),
    "bria": ({TEXT}, 30, 5, 16),
    "ovis": ({TEXT}, 50, 5.0, 16),
    "deepfloyd": ({TEXT, IMAGE, MASK}, 100, 7.0, 8),
    "kandinsky-2-2": ({TEXT, IMAGE}, 100, 4.0, 64),
    "kandinsky-2-2-inpainting": ({MASK}, 100, 4.0, 64),
}

FIXED_SIZES = {"hunyuan-dit", "deepfloyd", "kandinsky-2-2"}
"""What comes out of these may be of another size than was asked for, and is scaled."""


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pixels of many colours, 64x64."""
    path = tmp_path_factory.mktemp("sent") / "photo.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def mask(photo: Path) -> Path:
    """White in the middle."""
    image = Image.new("L", (64, 64))
    image.paste(255, (16, 16, 48, 48))
    image.save(photo.with_name("mask.png"))
    return photo.with_name("mask.png")


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """One at a time: what a test leaves is not needed by the next."""
    return Engine(str(build(request.param, tmp_path_factory.mktemp("rare") / request.param)))


def test_all_are_tried() -> None:
    assert OFFERED.keys() == RARE_BUILDERS.keys()


@pytest.mark.parametrize(("loaded", "name"), [(name, name) for name in OFFERED], indirect=["loaded"], ids=OFFERED)
def test_it_loads_and_draws_whatever_it_offers(loaded: Engine, name: str, photo: Path, mask: Path) -> None:
    tasks, steps, guidance, multiple = OFFERED[name]
    offered: Any = loaded.narrow_inputs()
    assert loaded.forms.tasks == tasks
    assert offered["num_inference_steps"] == {"default": steps}
    assert offered["guidance_scale"] == {"default": guidance}
    assert offered["width"] == offered["height"] == {"multiple_of": multiple}
    sent: dict[Task, dict[str, Any]] = {
        TEXT: {},
        EDIT: {"image": photo},
        IMAGE: {"image": photo, "prompt_strength": 0.9},
        MASK: {"image": photo, "mask": mask},
    }
    for task in sorted(tasks):
        asked: dict[str, Any] = {"num_inference_steps": 2, **sent[task]}
        if loaded.forms.needs_control:
            asked["controlnet_image"] = mask
        # Some make a megapixel of everything.
        sizes = ((128, 64),) if name in ("sana-sprint", "hunyuan-dit") else ((64, 64), (128, 64))
        for width, height in sizes:
            warnings = Warnings()
            request = PictureRequest(prompt="a red apple", seed=7, width=width, height=height, inputs={}, **asked)
            [picture] = draw(loaded, request, warnings=warnings, preview_interval=1, on_preview=lambda *_: None)
            assert picture.image.size == (width, height)
            assert np.asarray(picture.image).std() > 0
            codes = {(one["code"], one["input"]) for one in warnings.to_list()}
            allowed = {("truncated", "image"), ("truncated", "controlnet_image"), ("ignored", "preview_interval")}
            assert codes <= allowed | ({("rounded", None)} if name in FIXED_SIZES else set())


@pytest.mark.parametrize(
    ("loaded", "class_name"),
    [
        ("latent-consistency", "LatentConsistencyModelPipeline"),
        ("perturbed-attention", "StableDiffusionPAGPipeline"),
        ("aura-flow", "AuraFlowPipeline"),
        ("bria", "BriaPipeline"),
        ("ovis", "OvisImagePipeline"),
        ("deepfloyd", "IFPipeline"),
        ("kandinsky-2-2", "KandinskyV22CombinedPipeline"),
    ],
    indirect=["loaded"],
)
def test_pixels_are_those_of_stock_diffusers(loaded: Engine, class_name: str) -> None:
    asked = PictureRequest(prompt="a red apple", seed=7, width=64, height=64, num_inference_steps=2)
    [picture] = draw(loaded, asked)
    stock = getattr(diffusers, class_name).from_pretrained(loaded.folder, dtype=torch.float32)
    stock.set_progress_bar_config(disable=True)
    given: dict[str, Any] = {"prompt": "a red apple", "width": 64, "height": 64, "num_inference_steps": 2}
    [expected] = stock(**given, generator=torch.Generator().manual_seed(7)).images
    assert distance(picture.image, expected) <= 1


@pytest.mark.parametrize("loaded", ["flux-control"], indirect=True)
def test_a_model_that_follows_a_picture_asks_for_it(loaded: Engine, mask: Path) -> None:
    offered = loaded.narrow_inputs()
    assert "controlnet_image" not in offered
    assert isinstance(offered["controlnet_conditioning_scale"], str)
    with pytest.raises(InputError, match="controlnet_image: this model draws after a picture"):
        draw(loaded, PictureRequest(prompt="a red apple", seed=7))


@pytest.mark.parametrize("loaded", ["sana-controlnet"], indirect=True)
def test_a_model_that_was_saved_with_its_controlnet_takes_its_scale(loaded: Engine, mask: Path) -> None:
    offered = loaded.narrow_inputs()
    assert not {"controlnet_image", "controlnet_conditioning_scale"} & offered.keys()
    assert isinstance(offered["controlnet_start"], str)
    asked = {"controlnet_image": mask, "controlnet_conditioning_scale": 0.5, "num_inference_steps": 1}
    request: Any = {"prompt": "a red apple", "seed": 7, "width": 64, "height": 64, **asked}
    assert draw(loaded, PictureRequest(**request))[0].image.size == (64, 64)


@pytest.mark.parametrize("loaded", ["sana-sprint"], indirect=True)
def test_a_model_of_two_steps_takes_other_numbers(loaded: Engine) -> None:
    asked = PictureRequest(prompt="a red apple", seed=7, width=64, height=64, num_inference_steps=1)
    assert draw(loaded, asked)[0].image.size == (64, 64)


@pytest.mark.parametrize("loaded", ["kandinsky-2-2"], indirect=True)
def test_what_was_squeezed_is_stretched_again(loaded: Engine, tmp_path: Path) -> None:
    """Kandinsky 2.2 takes the height for the width of a picture that it is given; so it would come back turned."""
    halves = Image.new("RGB", (128, 64), (200, 0, 0))
    halves.paste((0, 0, 200), (64, 0, 128, 64))
    halves.save(tmp_path / "halves.png")
    asked = PictureRequest(
        prompt="a car", seed=7, width=128, height=64, image=tmp_path / "halves.png", prompt_strength=0.02
    )
    [picture] = draw(loaded, asked)
    assert picture.image.size == (128, 64)


@pytest.mark.parametrize("loaded", ["kandinsky-2-2-inpainting"], indirect=True)
def test_a_strength_that_the_form_for_a_mask_lacks_is_told(loaded: Engine, photo: Path, mask: Path) -> None:
    given: dict[str, Any] = {"image": photo, "mask": mask, "prompt_strength": 0.5, "num_inference_steps": 1}
    warnings = Warnings()
    draw(loaded, PictureRequest(prompt="a car", seed=7, width=64, height=64, **given), warnings=warnings)
    assert [(one["code"], one["input"]) for one in warnings.to_list()] == [("ignored", "prompt_strength")]


@pytest.mark.parametrize("loaded", ["deepfloyd"], indirect=True)
def test_a_model_that_works_on_pixels_has_the_size_of_its_training(loaded: Engine, photo: Path) -> None:
    sent: list[dict[str, Any]] = [{}, {"image": photo, "prompt_strength": 0.9}, {"aspect_ratio": "1:1"}]
    for given in sent:
        warnings, asked = Warnings(), {"prompt": "a car", "seed": 7, "num_inference_steps": 2, **given}
        [picture] = draw(loaded, PictureRequest(**asked), warnings=warnings)
        assert picture.image.size == (32, 32)
        assert warnings.to_list() == []
