"""The first picture of an engine, on a device whose memory is too short for it: a module that refuses plays it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from server.diffusion import Engine, OutOfMemory, PictureRequest, Warnings, engine
from server.diffusion.forms import Task
from server.diffusion.placement import Step
from tests.diffusion.drawing import distance, draw

Tiny = Callable[[str], Path]

ASKED = PictureRequest(prompt="a red apple", seed=7, num_inference_steps=2, width=64, height=64)


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU is warmed up as a GPU is."""
    monkeypatch.setattr(engine, "is_worth_warming", lambda device: True)


@contextmanager
def short_until(loaded: Engine, step: Step) -> Iterator[list[Step]]:
    """Let the UNet's first layer find no memory in steps before this one; the steps in which it was called."""
    called: list[Step] = []

    def check(*_: Any) -> None:
        called.append(loaded.placement.step)
        if called[-1] < step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    unet: Any = loaded.pipeline.unet
    hook = unet.conv_in.register_forward_pre_hook(check)
    try:
        yield called
    finally:
        hook.remove()


@pytest.mark.parametrize("step", Step)
def test_the_next_step_is_taken_until_a_picture_fits(step: Step, tiny: Tiny, caplog: pytest.LogCaptureFixture) -> None:
    loaded = Engine(str(tiny("stable-diffusion")))
    [before] = draw(loaded, ASKED)
    loaded.on_pass = seen = lambda _: None
    with short_until(loaded, step) as called:
        loaded.warm_up()
    assert list(dict.fromkeys(called)) == list(Step)[: step + 1]
    assert loaded.placement.step is step
    assert caplog.text.count("has too little memory for a picture; the next step is tried") == step
    warnings = Warnings()
    [after] = draw(loaded, ASKED, warnings=warnings)
    assert distance(before.image, after.image) <= 1
    assert [one["code"] for one in warnings.to_list()] == ["degraded"] * (step > 0)
    assert loaded.on_pass is seen


def test_other_forms_work_after_a_step_down(tiny: Tiny, tmp_path: Path) -> None:
    loaded = Engine(str(tiny("stable-diffusion")))
    assert Task.IMAGE_TO_IMAGE in loaded.forms.tasks
    [made] = draw(loaded, ASKED)
    made.image.save(tmp_path / "made.png")
    asked = PictureRequest(
        prompt="a car", seed=7, num_inference_steps=2, width=64, height=64, image=tmp_path / "made.png"
    )
    [before] = draw(loaded, asked)
    with short_until(loaded, Step.BY_MODEL):
        loaded.warm_up()
    [after] = draw(loaded, asked)
    assert distance(before.image, after.image) <= 1


def test_what_fits_in_no_step_is_told(tiny: Tiny) -> None:
    loaded = Engine(str(tiny("stable-diffusion")))
    with short_until(loaded, Step(Step.BY_LAYER)) as called:
        loaded.pipeline.unet.conv_in.register_forward_pre_hook(_out_of_memory)
        with pytest.raises(OutOfMemory):
            loaded.warm_up()
    assert set(called) == set(Step)


def test_another_error_moves_nothing(tiny: Tiny) -> None:
    loaded = Engine(str(tiny("stable-diffusion")))
    hook = loaded.pipeline.unet.conv_in.register_forward_pre_hook(_fail)
    with pytest.raises(ArithmeticError):
        loaded.warm_up()
    hook.remove()
    assert loaded.placement.step is Step.WHOLE
    assert draw(loaded, ASKED)


def _out_of_memory(*_: Any) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def _fail(*_: Any) -> None:
    raise ArithmeticError("broken")
