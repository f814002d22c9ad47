"""What a loaded model can do, and with which pipelines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion import Engine, ModelError
from server.diffusion.forms import Forms, Task
from tests.diffusion.test_tasks import STOCK
from tests.diffusion.tiny_edit_pipelines import ALL_BUILDERS, controlnet_for
from tests.diffusion.tiny_pipelines import diffusers, qwen_image

Loaded = Callable[[str], Engine]


def test_every_tiny_pipeline_is_tested() -> None:
    assert STOCK.keys() == ALL_BUILDERS.keys()


@pytest.mark.parametrize("name", STOCK)
def test_each_task_has_the_pipeline_that_diffusers_has_for_it(name: str, engine: Loaded) -> None:
    forms = engine(name).forms
    assert {task: type(forms.get(task)).__name__ for task in forms.tasks} == STOCK[name]
    assert forms.controlled_tasks == frozenset()


@pytest.mark.parametrize("name", STOCK)
def test_forms_share_their_weights(name: str, engine: Loaded) -> None:
    loaded = engine(name)
    for task in loaded.forms.tasks:
        form: Any = loaded.forms.get(task)
        for part, component in loaded.pipeline.components.items():
            if isinstance(component, torch.nn.Module):
                assert getattr(form, part) is component


@pytest.mark.parametrize("name", STOCK)
def test_references_are_for_models_that_take_several_pictures(name: str, engine: Loaded) -> None:
    several = name.startswith("flux-2-klein")
    assert engine(name).forms.most_references == (8 if several else int(Task.EDITING in STOCK[name]))


@pytest.mark.parametrize(
    ("class_name", "tasks", "references"),
    [
        ("QwenImageEditPipeline", {Task.EDITING, Task.INPAINTING}, 1),
        ("QwenImageEditPlusPipeline", {Task.EDITING}, 8),
    ],
)
def test_qwen_image_edits(class_name: str, tasks: set[Task], references: int) -> None:
    # Its processor of pictures needs torchvision, and has no part in this.
    forms = Forms(getattr(diffusers, class_name)(**qwen_image().components, processor=None))
    assert forms.tasks == tasks
    assert forms.most_references == references


@pytest.mark.parametrize("name", ["stable-diffusion", "stable-diffusion-xl"])
def test_a_controlnet_has_a_form_for_each_task(name: str, engine: Loaded) -> None:
    pipeline: Any = engine(name).pipeline
    forms = Forms(pipeline, controlnet_for(pipeline.unet))
    family = "StableDiffusionXL" if name.endswith("xl") else "StableDiffusion"
    assert {task: type(forms.get(task, controlled=True)).__name__ for task in forms.controlled_tasks} == {
        Task.TEXT_TO_IMAGE: f"{family}ControlNetPipeline",
        Task.IMAGE_TO_IMAGE: f"{family}ControlNetImg2ImgPipeline",
        Task.INPAINTING: f"{family}ControlNetInpaintPipeline",
    }
    # Without a picture for it, it has no part.
    assert {task: type(forms.get(task)).__name__ for task in forms.tasks} == STOCK[name]


def test_a_model_saved_with_its_controlnet_works_without_it_too(engine: Loaded) -> None:
    pipeline: Any = engine("stable-diffusion").pipeline
    saved = diffusers.StableDiffusionControlNetPipeline(
        **pipeline.components, controlnet=controlnet_for(pipeline.unet), requires_safety_checker=False
    )
    forms = Forms(saved)
    assert {task: type(forms.get(task)).__name__ for task in forms.tasks} == STOCK["stable-diffusion"]
    assert forms.controlled_tasks == {Task.TEXT_TO_IMAGE, Task.IMAGE_TO_IMAGE, Task.INPAINTING}


@pytest.mark.parametrize("name", ["stable-diffusion-xl", "flux", "sana", "flux-2-klein"])
def test_a_controlnet_of_another_family_is_refused(name: str, tiny: Callable[[str], Path], controlnet: Path) -> None:
    with pytest.raises(ModelError, match=r"ControlNetModel.* Choose one that was made for this model, or none\."):
        Engine(str(tiny(name)), controlnet=str(controlnet))


def test_a_decoder_that_needs_a_prior_is_refused() -> None:
    """Kandinsky 2.2's prior is a repository of its own; what its decoder needs is no text."""
    decoder = object.__new__(diffusers.KandinskyV22Pipeline)
    with pytest.raises(ModelError, match=r"KandinskyV22Pipeline does not make pictures from text.*image_embeds"):
        Forms(decoder)


@pytest.mark.parametrize(
    "class_name",
    [
        "AudioLDM2Pipeline",
        "CogVideoXVideoToVideoPipeline",
        "FluxPriorReduxPipeline",
        "KandinskyV22PriorPipeline",
        "LattePipeline",
        "MusicLDMPipeline",
        "ShapEPipeline",
        "StableAudioPipeline",
        "StableCascadePriorPipeline",
        "WanPipeline",
    ],
)
def test_what_makes_no_pictures_is_refused(class_name: str) -> None:
    made = object.__new__(getattr(diffusers, class_name))
    with pytest.raises(ModelError, match=f"{class_name} does not make pictures from text.* Choose a model that does"):
        Forms(made)
