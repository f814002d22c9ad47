"""Inputs without effect: each of predict.py's is told of where it has none, or has one always."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from server.diffusion import Engine, InputError, LoraFiles, PictureRequest, Warnings
from server.diffusion.unused import DEFAULTS
from tests.conftest import ROOT
from tests.diffusion.drawing import draw
from tests.diffusion.made_up_loras import make_lora

SMALL = {"prompt": "a red apple", "seed": 1, "num_inference_steps": 2, "width": 64, "height": 64}


@dataclass(frozen=True)
class Case:
    """Inputs beside `SMALL`, one of which has no effect.

    Attributes:
        given: the inputs; pictures and LoRAs by their names in `files`.
        model: which tiny pipeline.
    """

    given: dict[str, Any] = field(default_factory=dict)
    model: str = "controlled"


NOTHING_CHANGES = {"image": "photo", "prompt_strength": 0}

# By input, when it has no effect. What a model has no form for is refused in the tests of planning and narrowing.
UNUSED: dict[str, list[Case]] = {
    "negative_prompt": [
        Case({"negative_prompt": "blue", "guidance_scale": 1}),
        Case({"negative_prompt": "blue", **NOTHING_CHANGES}),
    ],
    "mask": [Case({"mask": "black", "image": "photo"}), Case({"mask": "mask", **NOTHING_CHANGES})],
    "prompt_strength": [
        Case({"prompt_strength": 0.5}),
        Case({"prompt_strength": 0.5, "image": "photo"}, "flux-2-klein"),
    ],
    "keep_unmasked": [Case({"keep_unmasked": False}), Case({"keep_unmasked": False, "image": "photo"})],
    "controlnet_image": [
        Case({"controlnet_image": "photo", "controlnet_conditioning_scale": 0}),
        Case({"controlnet_image": "photo", **NOTHING_CHANGES}),
    ],
    "controlnet_conditioning_scale": [Case({"controlnet_conditioning_scale": 0.5})],
    "controlnet_start": [Case({"controlnet_start": 0.1})],
    "controlnet_end": [Case({"controlnet_end": 0.9})],
    "aspect_ratio": [Case({"aspect_ratio": "custom", "width": None, "height": None})],
    "megapixels": [Case({"megapixels": 0.5})],
    "resize_mode": [Case({"resize_mode": "fit"}), Case({"resize_mode": "fit", "image": "photo"}, "flux-2-klein")],
    "prompt_delimiter": [Case({"prompt_delimiter": "|"}), Case({"prompt_delimiter": "\\n"})],
    "num_inference_steps": [Case({**NOTHING_CHANGES, "num_inference_steps": 3})],
    "guidance_scale": [
        Case({"guidance_scale": 3}, "flux-2-klein-distilled"),
        Case({"guidance_scale": 3, **NOTHING_CHANGES}),
    ],
    "scheduler": [Case({"scheduler": "DDIM", **NOTHING_CHANGES})],
    "lora_weights": [
        Case({"lora_weights": "lora", "lora_scale": 0}),
        Case({"lora_weights": "lora", **NOTHING_CHANGES}),
    ],
    "lora_scale": [Case({"lora_scale": 0.5}), Case({"lora_scale": 0})],
    "extra_lora": [
        Case({"extra_lora": "lora", "extra_lora_scale": 0}),
        Case({"extra_lora": "lora", **NOTHING_CHANGES}),
    ],
    "extra_lora_scale": [Case({"extra_lora_scale": 0.5}), Case({"extra_lora_scale": 0.5, "lora_weights": "lora"})],
    "output_quality": [Case({"output_quality": 50, "output_format": "png"})],
    "go_fast": [
        Case({"go_fast": True, "num_inference_steps": 1}, "flux"),
        Case({"go_fast": True, **NOTHING_CHANGES}, "flux"),
    ],
    "disable_safety_checker": [Case({"disable_safety_checker": True})],
    "preview_interval": [
        Case({"preview_interval": 3}),
        Case({"preview_interval": 2, "image": "photo", "prompt_strength": 0.5}),
        Case({"preview_interval": 1, **NOTHING_CHANGES}),
    ],
}

USED = {
    "prompt": "what is made of it depends on all else",
    "image": "whatever takes none refuses it",
    "reference_images": "whatever takes none refuses them; the rest is below",
    "width": "told of in the sizes below",
    "height": "told of in the sizes below",
    "num_outputs": "so many come out",
    "seed": "it is told of, and in the file, whatever is made",
    "output_format": "so it is written",
    "embed_metadata": "so it is written",
    "strict": "holds for all others",
}
"""Inputs that always have an effect, and why."""


def inputs_of_predict() -> dict[str, Any]:
    """Those of predict.py, by name, with their defaults."""
    tree = ast.parse((ROOT / "predict.py").read_text())
    [predict] = [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]
    names = [argument.arg for argument in predict.args.args if argument.arg != "self"]
    calls = [
        {key.arg: key.value for key in call.keywords} for call in predict.args.defaults if isinstance(call, ast.Call)
    ]
    defaults = [ast.literal_eval(call["default"]) if "default" in call else None for call in calls]
    return dict(zip(names, defaults, strict=True))


@pytest.fixture(scope="module")
def files(tiny: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A picture, two masks and a LoRA, by name."""
    folder = tmp_path_factory.mktemp("sent")
    made = {name: folder / f"{name}.png" for name in ("photo", "mask", "black")}
    colours = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(colours).save(made["photo"])
    mask = Image.new("L", (64, 64))
    mask.save(made["black"])
    mask.paste(255, (0, 0, 32, 64))
    mask.save(made["mask"])
    return made | {"lora": make_lora(tiny("stable-diffusion"), folder, 1)}


@pytest.fixture(scope="module")
def engines(
    tiny: Callable[[str], Path], engine: Callable[[str], Engine], controlnet: Path, files: dict[str, Path]
) -> Callable[[str], Engine]:
    """Engines by name; `controlled` is Stable Diffusion with a ControlNet, and may read the LoRA."""
    loras = LoraFiles(files["lora"].parent / "cache", folders=[files["lora"].parent])
    controlled = Engine(str(tiny("stable-diffusion")), controlnet=str(controlnet), lora_files=loras)
    return lambda name: controlled if name == "controlled" else engine(name)


def told(engine: Engine, files: dict[str, Path], given: dict[str, Any], strict: bool = False) -> list[tuple[str, str]]:
    """Codes and inputs of the warnings of a prediction."""
    sent = {
        name: (str(files[value]) if "lora" in name else files[value]) if value in files else value
        for name, value in given.items()
        if isinstance(value, str)
    }
    inputs = {**inputs_of_predict(), **SMALL, **given, **sent}
    warnings = Warnings(strict)
    request = PictureRequest.from_inputs(inputs, warnings, tell=False)
    draw(engine, request, warnings=warnings, preview_interval=inputs["preview_interval"], on_preview=lambda *_: None)
    return [(str(one["code"]), str(one["input"])) for one in warnings.to_list()]


def test_every_input_is_told_of_or_has_always_an_effect() -> None:
    assert UNUSED.keys() | USED.keys() == inputs_of_predict().keys()
    assert not UNUSED.keys() & USED.keys()


def test_defaults_are_those_of_predict() -> None:
    inputs = inputs_of_predict()
    assert {name: inputs[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(
    ("name", "case"),
    [pytest.param(name, case, id=f"{name}-{i}") for name, cases in UNUSED.items() for i, case in enumerate(cases)],
)
def test_what_has_no_effect_is_told(
    name: str, case: Case, engines: Callable[[str], Engine], files: dict[str, Path]
) -> None:
    loaded = engines(case.model)
    assert ("ignored", name) in told(loaded, files, case.given)
    with pytest.raises(InputError, match=r"no effect|not used|nothing is painted anew"):
        told(loaded, files, case.given, strict=True)


def test_defaults_are_never_told_of(engines: Callable[[str], Engine], files: dict[str, Path]) -> None:
    for given in ({}, {"image": "photo"}, {"image": "photo", "mask": "mask"}, {"output_format": "png"}):
        assert told(engines("controlled"), files, given, strict=True) == []
    # As the server fills in those of the loaded model.
    own = {"num_inference_steps": 50, "guidance_scale": 7.5}
    assert told(engines("controlled"), files, {**NOTHING_CHANGES, **own}, strict=True) == []


def test_what_has_an_effect_is_not_told_of(engines: Callable[[str], Engine], files: dict[str, Path]) -> None:
    for given in (
        {"lora_weights": "lora", "lora_scale": 0.5},
        {"extra_lora": "lora", "extra_lora_scale": 0.5},
        {"output_format": "webp", "output_quality": 50},
        {"prompt": "a|b", "prompt_delimiter": "|"},
        {"preview_interval": 2},
        {"preview_interval": 3, "scheduler": "HeunDiscrete"},
        {"aspect_ratio": "custom"},
        {"controlnet_image": "photo", "controlnet_conditioning_scale": 0.5, "resize_mode": "fit"},
        {"image": "photo", "mask": "mask", "keep_unmasked": False, "prompt_strength": 0.5},
    ):
        assert told(engines("controlled"), files, given, strict=True) == []


def test_references_of_a_model_that_takes_them_beside_a_mask(
    engines: Callable[[str], Engine], files: dict[str, Path]
) -> None:
    given = {"image": "photo", "mask": "mask", "reference_images": [files["photo"]]}
    assert told(engines("flux-2-klein"), files, given) == []
