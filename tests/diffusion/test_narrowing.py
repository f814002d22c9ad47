"""What of predict.py's inputs each architecture takes."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import Any

import pytest

import server.cog
from server.diffusion import Engine
from server.diffusion.schedulers import SCHEDULERS
from server.schema.inspect import inspect_predictor
from server.schema.narrowing import narrow
from tests.conftest import ROOT
from tests.diffusion.test_tasks import STOCK

Loaded = Callable[[str], Engine]

NO_INPAINTING = {"mask", "keep_unmasked"}
TEXT_ALONE = {"image", "mask", "keep_unmasked", "prompt_strength", "resize_mode"}
NO_LORA = {"lora_weights", "lora_scale", "extra_lora", "extra_lora_scale"}
CONTROLNET = {f"controlnet_{name}" for name in ("image", "conditioning_scale", "start", "end")}

# Beside the safety checker and the ControlNet, which no tiny pipeline has.
REMOVED: dict[str, set[str]] = {
    "stable-diffusion": {"go_fast", "reference_images"},
    "stable-diffusion-inpainting": {"go_fast", "reference_images"},
    "instruct-pix2pix": {"go_fast", "reference_images", "prompt_strength", *NO_INPAINTING},
    "stable-diffusion-xl": {"go_fast", "reference_images"},
    "stable-diffusion-3": {"go_fast", "reference_images"},
    "flux": {"reference_images", "negative_prompt"},
    "flux-schnell": {"reference_images", "negative_prompt", "guidance_scale"},
    "flux-kontext": {"reference_images", "negative_prompt"},
    "flux-fill": {"reference_images", "negative_prompt"},
    "flux-2-klein": {"go_fast", "negative_prompt"},
    "flux-2-klein-distilled": {"go_fast", "negative_prompt", "guidance_scale"},
    "pixart": {"go_fast", "reference_images", "preview_interval", *TEXT_ALONE, *NO_LORA},
    "sana": {"go_fast", "reference_images", *TEXT_ALONE},
    "qwen-image": {"reference_images"},
    "z-image": {"go_fast", "reference_images"},
    "lumina-2": {"go_fast", "reference_images", *TEXT_ALONE},
    "chroma": {"go_fast", "reference_images", *NO_INPAINTING},
    "kandinsky-3": {"go_fast", "reference_images", *NO_INPAINTING},
}

# Of guidance_scale, num_inference_steps, and the multiple of width and height, as diffusers documents them.
NUMBERS: dict[str, tuple[float | None, int, int]] = {
    "stable-diffusion": (7.5, 50, 8),
    "stable-diffusion-inpainting": (7.5, 50, 8),
    "instruct-pix2pix": (7.5, 100, 8),
    "stable-diffusion-xl": (5.0, 50, 8),
    "stable-diffusion-3": (7.0, 28, 16),
    "flux": (3.5, 28, 16),
    "flux-schnell": (None, 28, 16),
    "flux-kontext": (3.5, 28, 16),
    "flux-fill": (30.0, 50, 16),
    "flux-2-klein": (4.0, 50, 16),
    "flux-2-klein-distilled": (None, 50, 16),
    "pixart": (4.5, 20, 8),
    "sana": (4.5, 20, 32),
    "qwen-image": (4.0, 50, 16),
    "z-image": (5.0, 50, 16),
    "lumina-2": (4.0, 30, 16),
    "chroma": (5.0, 35, 16),
    "kandinsky-3": (3.0, 25, 64),
}

FLOW_MATCHING = {"stable-diffusion-3", "sana", "qwen-image", "z-image", "lumina-2", "chroma"}


@pytest.fixture(scope="module")
def predictor() -> Any:
    """That of predict.py, not set up."""
    specification = importlib.util.spec_from_file_location("predict_narrowed", ROOT / "predict.py")
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cog", server.cog)
        specification.loader.exec_module(module)
    return module.Predictor()


def changed(engine: Engine) -> Any:
    return engine.narrow_inputs()


@pytest.mark.parametrize("name", STOCK)
def test_what_a_model_cannot_take_is_removed(name: str, engine: Loaded) -> None:
    removed = {name for name, change in changed(engine(name)).items() if isinstance(change, str)}
    assert removed == REMOVED[name] | CONTROLNET | {"disable_safety_checker"}


@pytest.mark.parametrize("name", STOCK)
def test_numbers_are_the_models_own(name: str, engine: Loaded) -> None:
    changes = changed(engine(name))
    guidance, steps, multiple = NUMBERS[name]
    assert guidance is None or changes["guidance_scale"] == {"default": guidance}
    assert changes["num_inference_steps"] == {"default": steps}
    assert [changes[side]["multiple_of"] for side in ("width", "height")] == [multiple, multiple]
    for change in changes.values():
        if isinstance(change, dict) and "default" in change:
            assert type(change["default"]) in (int, float)


@pytest.mark.parametrize("name", STOCK)
def test_choices_are_those_that_work(name: str, engine: Loaded) -> None:
    changes = changed(engine(name))
    schedulers = changes["scheduler"]["choices"]
    if name.startswith("flux") or name in FLOW_MATCHING:
        assert "DDIM" not in schedulers
    else:
        assert schedulers == list(SCHEDULERS)
    from_text_alone = "image" in REMOVED[name]
    assert ("aspect_ratio" in changes) == from_text_alone
    assert not from_text_alone or "match_input_image" not in changes["aspect_ratio"]["choices"]


@pytest.mark.parametrize("name", STOCK)
def test_the_served_form_takes_it(name: str, engine: Loaded, predictor: Any) -> None:
    changes = changed(engine(name))
    predictor.engine = engine(name)
    narrowed = narrow(predictor, inspect_predictor(predictor))
    assert {field.field.name for field in narrowed.removed} == REMOVED[name] | CONTROLNET | {"disable_safety_checker"}
    fields = {field.name: field for field in narrowed.inputs}
    for input_name, change in changes.items():
        for rule, value in change.items() if isinstance(change, dict) else ():
            assert getattr(fields[input_name], rule) == (tuple(value) if rule == "choices" else value)
