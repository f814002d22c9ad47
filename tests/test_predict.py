"""The predictor at the top, with the embedded model."""

import ast
import asyncio
import importlib.util
import sys
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

import server.cog
from server.cog.scope import Scope, prediction_scope
from server.diffusion import (
    FORMATS,
    SCHEDULERS,
    SEEDS,
    InputError,
    MetadataError,
    OutputFolders,
    read_metadata,
)
from server.diffusion.fitting import ResizeMode
from server.diffusion.planning import MOST_PICTURES
from server.diffusion.sizing import ASPECT_RATIOS
from server.worker.messages import MetricMode
from tests.conftest import ROOT
from tests.diffusion.tiny_pipelines import build

SOURCE = ROOT / "predict.py"

PROMPTS = ("a red heart", "a car", "a green apple on a blue background")


def load(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import predict.py as the child process does, with our `cog`."""
    monkeypatch.setitem(sys.modules, "cog", server.cog)
    specification = importlib.util.spec_from_file_location("predict_under_test", SOURCE)
    assert specification
    assert specification.loader
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def predictor() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.delenv("MODEL_ID", raising=False)
        loaded = load(monkeypatch).Predictor()
        loaded.setup()
        yield loaded


@pytest.fixture
def predict(predictor: Any) -> Callable[..., tuple[list[Path], dict[str, Any]]]:
    """Run a prediction with defaults as the server fills them in; return its files and its metrics."""

    def run(**given: Any) -> tuple[list[Path], dict[str, Any]]:
        metrics: dict[str, Any] = {}
        with prediction_scope(Scope({}, lambda name, value, mode: metrics.update({name: value}))):
            return asyncio.run(collect(predictor, {**defaults(predictor), **given})), metrics

    return run


def defaults(predictor: Any) -> dict[str, Any]:
    """What the server fills in."""
    return {name: value.default.default for name, value in signature(predictor.predict).parameters.items()}


async def collect(predictor: Any, inputs: dict[str, Any]) -> list[Path]:
    """The files of a prediction, in order."""
    return [path async for path in predictor.predict(**inputs)]


def inputs() -> dict[str, Any]:
    """The `Input` of each parameter."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        predict = load(monkeypatch).Predictor.predict
    return {name: value.default for name, value in signature(predict).parameters.items() if name != "self"}


def pixels(path: Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=int)


def test_what_is_not_the_signature_can_be_read_in_one_sitting() -> None:
    [predict] = [node for node in ast.walk(ast.parse(SOURCE.read_text())) if isinstance(node, ast.AsyncFunctionDef)]
    signature_lines = predict.body[0].lineno - predict.lineno
    assert len(SOURCE.read_text().splitlines()) - signature_lines < 120


def test_it_imports_nothing_but_cog_the_engine_and_the_standard_library() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SOURCE.read_text())):
        match node:
            case ast.Import(names=names):
                imported |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module)):
                imported.add(module)
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert foreign == {"cog", "server.diffusion"}


def test_its_choices_and_limits_are_those_of_the_engine() -> None:
    fields = inputs()
    assert set(fields["scheduler"].choices) == set(SCHEDULERS)
    assert set(fields["output_format"].choices) == set(FORMATS)
    assert set(fields["aspect_ratio"].choices) == set(ASPECT_RATIOS)
    assert set(fields["resize_mode"].choices) == set(ResizeMode)
    assert fields["num_outputs"].le == MOST_PICTURES
    assert (fields["seed"].ge, fields["seed"].le) == (0, SEEDS - 1)


def test_the_most_important_inputs_come_first_and_all_are_explained() -> None:
    fields = inputs()
    assert list(fields) == [
        "prompt",
        "negative_prompt",
        "image",
        "mask",
        "prompt_strength",
        "keep_unmasked",
        "reference_images",
        "controlnet_image",
        "controlnet_conditioning_scale",
        "controlnet_start",
        "controlnet_end",
        "aspect_ratio",
        "megapixels",
        "width",
        "height",
        "resize_mode",
        "num_outputs",
        "prompt_delimiter",
        "num_inference_steps",
        "guidance_scale",
        "scheduler",
        "seed",
        "lora_weights",
        "lora_scale",
        "extra_lora",
        "extra_lora_scale",
        "output_format",
        "output_quality",
        "embed_metadata",
        "go_fast",
        "disable_safety_checker",
        "preview_interval",
        "strict",
    ]
    assert [name for name, field in fields.items() if not field.has_default] == ["prompt"]
    assert all(field.description and field.description.endswith(".") for field in fields.values())


# What the embedded model draws in the middle of white paper: red, green or blue has to stand out.
@pytest.mark.parametrize(
    ("prompt", "channel", "given"),
    [
        ("a red apple", 0, {}),
        ("a green heart", 1, {"num_inference_steps": 8}),
        ("a blue diamond", 2, {"num_inference_steps": 8}),
        ("a red heart", 0, {"num_inference_steps": 8}),
    ],
)
def test_the_picture_shows_the_colour_of_the_prompt(
    prompt: str, channel: int, given: dict[str, Any], predict: Any
) -> None:
    [path], _ = predict(prompt=prompt, seed=1, **given)
    picture = pixels(path)
    assert picture.shape == (192, 192, 3)
    middle = picture[64:128, 64:128].reshape(-1, 3)
    stands_out = middle[:, channel] - np.delete(middle, channel, axis=1).max(axis=1)
    assert (stands_out > 20).mean() > 0.8
    corners = picture[[4, 4, -4, -4], [4, -4, 4, -4]]
    assert corners.min() > 225


def test_the_background_follows_the_prompt(predict: Any) -> None:
    [path], _ = predict(prompt="a red apple on a blue background", seed=1, num_inference_steps=8)
    red, green, blue = pixels(path)[4, 4]
    assert blue > max(red, green) + 60
    red, green, blue = pixels(path)[96, 96]
    assert red > max(green, blue) + 60


def test_a_seed_makes_the_same_picture_and_is_in_the_metrics(predict: Any) -> None:
    both, metrics = predict(prompt="a red heart", seed=0, num_outputs=2, num_inference_steps=3, output_format="png")
    assert metrics == {"seed": 0, "progress": 1.0}
    assert [path.name for path in both] == ["out-0.png", "out-1.png"]
    first, second = map(pixels, both)
    [path], metrics = predict(prompt="a red heart", seed=1, num_inference_steps=3, output_format="png")
    assert metrics == {"seed": 1, "progress": 1.0}
    # Beside another picture, sums are rounded differently.
    assert np.abs(pixels(path) - second).max() <= 1
    assert not np.array_equal(first, second)


def test_a_seed_that_was_drawn_can_be_used_again(predict: Any) -> None:
    drawn = []
    for _ in range(3):
        [path], metrics = predict(prompt="a car", num_inference_steps=1, output_format="png")
        picture = pixels(path)
        [again], _ = predict(prompt="a car", num_inference_steps=1, output_format="png", seed=metrics["seed"])
        assert np.array_equal(pixels(again), picture)
        drawn.append(metrics["seed"])
    assert len(set(drawn)) == 3
    assert all(0 <= seed < SEEDS for seed in drawn)


@pytest.mark.parametrize(
    ("output_format", "kind"), [("webp", "WEBP"), ("jpg", "JPEG"), ("png", "PNG"), ("avif", "AVIF")]
)
def test_formats(output_format: str, kind: str, predict: Any) -> None:
    [path], _ = predict(prompt="a car", num_inference_steps=1, width=64, height=96, output_format=output_format)
    assert path.suffix == f".{output_format}"
    with Image.open(path) as image:
        assert (image.format, image.size) == (kind, (64, 96))


def test_one_side_alone_is_joined_by_the_models_own(predict: Any) -> None:
    [path], _ = predict(prompt="a car", num_inference_steps=1, width=72)
    assert pixels(path).shape == (192, 72, 3)


@pytest.fixture(scope="module")
def by_scheduler(predictor: Any) -> dict[str, Any]:
    """The pixels of one prediction with each scheduler, all made at the same time."""
    given = {"prompt": "a red heart", "seed": 1, "num_inference_steps": 12, "width": 128, "height": 128}

    async def draw() -> list[list[Path]]:
        asked = [{**defaults(predictor), **given, "scheduler": name} for name in SCHEDULERS]
        return await asyncio.gather(*(collect(predictor, each) for each in asked))

    with prediction_scope(Scope({}, lambda name, value, mode: None)):
        made = asyncio.run(draw())
    return {name: pixels(path) for name, [path] in zip(SCHEDULERS, made, strict=True)}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_draws_with_the_embedded_model(scheduler: str, by_scheduler: dict[str, Any]) -> None:
    red, green, blue = by_scheduler[scheduler][42:86, 42:86].mean((0, 1))
    assert red > max(green, blue) + 40


def test_what_was_not_done_as_asked_is_in_the_metrics(predict: Any) -> None:
    [path], metrics = predict(prompt="a car", width=100, num_inference_steps=1)
    assert pixels(path).shape[1] == 104
    [warning] = metrics["warnings"]
    assert warning.keys() == {"code", "input", "message"}
    assert (warning["code"], warning["input"]) == ("rounded", "width")
    with pytest.raises(InputError, match="width: 100 became 104"):
        predict(prompt="a car", width=100, strict=True)


def test_an_operator_may_have_all_requests_strict(
    predictor: Any, predict: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(type(predictor).predict.__globals__, "STRICT", True)
    with pytest.raises(InputError, match="width: 100 became 104"):
        predict(prompt="a car", width=100)


def test_what_the_model_cannot_do_is_refused(predict: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mask: there is no image"):
        predict(prompt="a car", mask=tmp_path / "mask.png")


def test_the_inputs_are_in_the_file_unless_that_is_turned_off(predict: Any) -> None:
    given = {"prompt": "a car", "seed": 3, "num_inference_steps": 1, "width": 64, "height": 64}
    for output_format in FORMATS:
        [path], _ = predict(**given, output_format=output_format)
        told = read_metadata(path)
        assert (told.prompt, told.seed, told.num_inference_steps) == ("a car", 3, 1)
        assert told.inputs["output_format"] == output_format
        [path], _ = predict(**given, output_format=output_format, embed_metadata=False)
        with pytest.raises(MetadataError):
            read_metadata(path)
        with Image.open(path) as image:
            assert not {"exif", "xmp", "parameters", "icc_profile", "comment"} & image.info.keys()
        assert b"a car" not in path.read_bytes()


def test_a_picture_becomes_another_and_comes_back_where_nothing_may_change(predict: Any) -> None:
    given = {"num_inference_steps": 8, "seed": 1, "output_format": "png"}
    [red], _ = predict(prompt="a red apple", **given)
    [same], _ = predict(prompt="a green apple", image=red, prompt_strength=0, **given)
    assert np.array_equal(pixels(same), pixels(red))
    [green], metrics = predict(prompt="a green apple", image=red, prompt_strength=0.9, **given)
    assert "warnings" not in metrics
    middle = pixels(green)[64:128, 64:128].mean((0, 1))
    assert middle[1] > middle[0]


def test_files_do_not_pile_up(predictor: Any, predict: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "outputs", OutputFolders(kept=1))
    [first], _ = predict(prompt="a car", num_inference_steps=1)
    assert first.exists()
    predict(prompt="a car", num_inference_steps=1)
    assert not first.exists()


def test_previews_come_at_the_interval_and_are_gone_at_the_end(predictor: Any) -> None:
    told: list[tuple[str, Any, MetricMode]] = []
    given = {**defaults(predictor), "prompt": "a red heart", "num_inference_steps": 6, "preview_interval": 2}
    with prediction_scope(Scope({}, lambda name, value, mode: told.append((name, value, mode)))):
        asyncio.run(collect(predictor, given))
    previews = [(value, mode) for name, value, mode in told if name == "preview"]
    assert previews[-1] == (None, MetricMode.DELETE)
    shown = [value for value, _ in previews[:-1]]
    assert 2 <= len(shown) <= 3
    assert all(value["index"] == 0 and value["image"].startswith("data:image/webp;base64,") for value in shown)
    progress = [value for name, value, _ in told if name == "progress"]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert len(progress) >= 6


def test_predictions_at_the_same_time_share_passes_and_keep_to_themselves(predictor: Any, predict: Any) -> None:
    given = {"num_inference_steps": 4, "width": 64, "height": 64, "output_format": "png"}
    alone = [pixels(predict(prompt=prompt, seed=seed, **given)[0][0]) for seed, prompt in enumerate(PROMPTS)]
    shared: list[int] = []
    predictor.engine.on_pass = lambda made: shared.append(made.requests)

    async def together() -> list[list[Path]]:
        inputs = [
            {**defaults(predictor), **given, "prompt": prompt, "seed": seed} for seed, prompt in enumerate(PROMPTS)
        ]
        results: list[list[Path]] = await asyncio.gather(*(collect(predictor, each) for each in inputs))
        return results

    try:
        for [path], expected in zip(asyncio.run(together()), alone, strict=True):
            assert np.abs(pixels(path) - expected).max() <= 1
    finally:
        predictor.engine.on_pass = None
    assert max(shared) == len(PROMPTS)


def test_another_model_needs_one_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODEL_ID", str(build("flux", tmp_path / "flux")))
    predictor = load(monkeypatch).Predictor()
    predictor.setup()
    assert "Ready: FluxPipeline from" in capsys.readouterr().out
    told: list[tuple[str, Any, MetricMode]] = []
    given = {**defaults(predictor), "prompt": "a cat", "num_inference_steps": 3, "num_outputs": 2, "go_fast": True}
    with prediction_scope(Scope({}, lambda name, value, mode: told.append((name, value, mode)))):
        paths = asyncio.run(collect(predictor, {**given, "width": 64, "height": 64}))
    assert len(paths) == 2
    counted = [(value, mode) for name, value, mode in told if name == "go_fast.passes"]
    assert counted == [(3, MetricMode.INCREMENT)] * 2
    assert len([name for name, _, _ in told if name == "go_fast.reused"]) == 2
    metadata = read_metadata(paths[1])
    assert metadata.inputs["go_fast"] is True
