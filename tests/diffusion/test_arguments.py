"""What a pipeline is called with."""

from typing import Any

import pytest

from server.diffusion import InputError, PictureRequest
from server.diffusion.arguments import call_arguments, size_limits, size_multiple
from server.diffusion.sizing import Size
from server.diffusion.warnings import Warnings


class Pipeline:
    """As much of a pipeline as decides on its arguments."""

    vae_scale_factor = 8


class Plain(Pipeline):
    """Has the least that a pipeline may have."""

    def __call__(self, prompt: str, num_inference_steps: int = 50) -> None: ...


class Guided(Pipeline):
    """Stable Diffusion and its like."""

    def __call__(
        self,
        prompt: str,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: str | None = None,
    ) -> None: ...

    @property
    def do_classifier_free_guidance(self) -> bool:
        return self._guidance_scale > 1

    _guidance_scale = 0.0


class GuidedFromZero(Guided):
    """Z-Image: any guidance above 0 counts."""

    @property
    def do_classifier_free_guidance(self) -> bool:
        return self._guidance_scale > 0


class Distilled(Pipeline):
    """Flux: guidance is an input of the transformer, or has no effect; beside it is the true one, off by default."""

    def __init__(self, guidance_embeds: bool) -> None:
        self.transformer = type("Transformer", (), {"config": {"guidance_embeds": guidance_embeds}})()

    def __call__(
        self,
        prompt: str,
        negative_prompt: str | None = None,
        true_cfg_scale: float = 1.0,
        num_inference_steps: int = 28,
        guidance_scale: float = 3.5,
    ) -> None: ...


class TrulyGuided(Pipeline):
    """Qwen-Image: the true guidance is on by default, and needs a negative prompt."""

    def __call__(
        self,
        prompt: str,
        negative_prompt: str | None = None,
        true_cfg_scale: float = 4.0,
        guidance_scale: float | None = None,
    ) -> None: ...


def arguments(
    pipeline: Any, recommended: dict[str, Any] | None = None, warnings: Warnings | None = None, **asked: Any
) -> dict[str, Any]:
    request = PictureRequest(**{"prompt": "a cat", "seed": 0, **asked})
    return call_arguments(pipeline, recommended or {}, request, warnings or Warnings())


def test_what_is_left_out_is_left_to_the_pipeline() -> None:
    assert arguments(Guided()) == {}


def test_the_model_card_comes_before_the_pipeline_and_the_request_before_both() -> None:
    card: dict[str, Any] = {"num_inference_steps": 4, "guidance_scale": 0}
    assert arguments(Guided(), card) == card
    assert arguments(Guided(), card, guidance_scale=3)["guidance_scale"] == 3


def test_what_is_asked_for_is_handed_over() -> None:
    asked: dict[str, Any] = {
        "num_inference_steps": 5,
        "guidance_scale": 2.0,
        "negative_prompt": "a dog",
    }
    assert arguments(Guided(), **asked) == asked


@pytest.mark.parametrize(("name", "value"), [("guidance_scale", 2.0), ("negative_prompt", "a dog")])
def test_what_the_pipeline_has_no_setting_for_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=rf"^{name}: this model \(Plain\) has no such setting. Leave it out.$"):
        arguments(Plain(), **{name: value})


def test_an_empty_negative_prompt_asks_for_nothing() -> None:
    assert arguments(Plain(), negative_prompt="") == {}
    assert arguments(Guided(), negative_prompt="")["negative_prompt"] == ""


@pytest.mark.parametrize(
    ("pipeline", "asked", "warned"),
    [
        (Guided(), {}, False),
        (Guided(), {"guidance_scale": 1}, True),
        (GuidedFromZero(), {"guidance_scale": 0.5}, False),
        (GuidedFromZero(), {"guidance_scale": 0}, True),
        (Distilled(guidance_embeds=True), {}, True),
        (TrulyGuided(), {}, False),
        (TrulyGuided(), {"guidance_scale": 1}, True),
    ],
)
def test_a_negative_prompt_without_effect_is_told(pipeline: Any, asked: dict[str, Any], warned: bool) -> None:
    warnings = Warnings()
    arguments(pipeline, warnings=warnings, negative_prompt="a dog", **asked)
    assert [(one["code"], one["input"]) for one in warnings.to_list()] == [("ignored", "negative_prompt")] * warned


@pytest.mark.parametrize("guidance_embeds", [True, False])
def test_guidance_without_effect_is_told(guidance_embeds: bool) -> None:
    warnings = Warnings()
    assert arguments(Distilled(guidance_embeds), warnings=warnings, guidance_scale=2.0)["guidance_scale"] == 2.0
    assert [one["input"] for one in warnings.to_list()] == ["guidance_scale"] * (not guidance_embeds)


def test_a_strict_request_is_refused_where_something_has_no_effect() -> None:
    with pytest.raises(InputError, match=r"^negative_prompt: it has no effect without guidance"):
        arguments(Guided(), warnings=Warnings(strict=True), negative_prompt="a dog", guidance_scale=1)


def test_guidance_is_the_kind_that_the_model_runs_with() -> None:
    assert arguments(TrulyGuided(), guidance_scale=2.0) == {
        "true_cfg_scale": 2.0,
        "negative_prompt": " ",
    }
    assert arguments(TrulyGuided(), guidance_scale=2.0, negative_prompt="a dog")["negative_prompt"] == "a dog"


@pytest.mark.parametrize(
    ("attributes", "own"),
    [
        ({"default_sample_size": 16}, (128, 128)),
        ({"unet": 12}, (96, 96)),
        ({"transformer": (10, 20)}, (160, 80)),
        ({}, (1024, 1024)),
    ],
)
def test_a_models_own_size_is_what_it_was_trained_for(attributes: dict[str, Any], own: tuple[int, int]) -> None:
    pipeline: Any = Guided()
    for name, value in attributes.items():
        model = type("Model", (), {"config": {"sample_size": value}})()
        setattr(pipeline, name, value if name == "default_sample_size" else model)
    assert size_limits(pipeline).own == Size(*own)


def test_the_size_follows_the_autoencoder_and_the_patches() -> None:
    pipeline: Any = Guided()
    assert size_multiple(pipeline) == 8
    pipeline.patch_size = 2
    assert size_multiple(pipeline) == 16
    pipeline.image_processor = type("Processor", (), {"config": {"vae_scale_factor": 32}})()
    assert size_multiple(pipeline) == 32
