"""Any mix of requests: each gets what it would get alone, or ends as it would alone, and nothing is left of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st
from PIL import Image

from server.diffusion import SCHEDULERS, Engine, Pass
from server.diffusion.gates import gate_of
from server.diffusion.schedulers import make_scheduler, usable_schedulers
from tests.diffusion.drawing import TOLERANCE
from tests.diffusion.test_batching import photo
from tests.diffusion.tiny_pipelines import diffusers

BAD_ROW = 77.0
"""What the embeddings of a request's prompt consist of that the model cannot take; those of the next one add one."""

FLOW_SCHEDULERS = ("K_EULER", "K_EULER_BETA", "K_EULER_EXPONENTIAL", "K_EULER_KARRAS", "UniPC")


@dataclass(frozen=True)
class Drawing:
    """What a request is to draw.

    Attributes:
        model: `stable-diffusion` or `flux`, both by the same engine.
        task: `text`, `image` or `inpaint`: what it begins with.
        scheduler: the name of one; `None` is the model's own.
        pictures: how many at once, as rows of the same calls.
    """

    model: str
    task: str
    seed: int
    steps: int
    size: tuple[int, int]
    guidance: float
    scheduler: str | None
    pictures: int


@dataclass(frozen=True)
class Asked:
    """A request, and what becomes of it.

    Attributes:
        arrives: after how many passes of all requests it comes; or when no other runs.
        leaves: after how many more passes it is canceled, if it still runs.
        fails_at: at the end of which step its own code raises an error, if it has that many.
        is_bad: whether its rows make any pass fail.
    """

    drawing: Drawing
    arrives: int
    leaves: int | None = None
    fails_at: int | None = None
    is_bad: bool = False


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    model = draw(st.sampled_from(["stable-diffusion", "stable-diffusion", "flux"]))
    # Flux takes no other, but for those of its kind.
    schedulers = SCHEDULERS if model == "stable-diffusion" else FLOW_SCHEDULERS
    task = draw(st.sampled_from(["text", "text", "image", "inpaint"]))
    return Drawing(
        model=model,
        task=task,
        seed=draw(st.integers(0, 1)),
        steps=draw(st.integers(2, 4)),
        size=draw(st.sampled_from([(64, 64), (64, 64), (32, 64)])),
        guidance=draw(st.sampled_from([1.0, 5.0])),
        scheduler=draw(st.one_of(st.none(), st.sampled_from(schedulers))),
        pictures=draw(st.sampled_from([1, 1, 2])) if task == "text" else 1,
    )


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    drawing, arrives = draw(drawings()), draw(st.integers(0, 12))
    match draw(st.sampled_from(["stay", "stay", "stay", "leave", "leave", "fail", "bad"])):
        case "leave":
            return Asked(drawing, arrives, leaves=draw(st.integers(0, 8)))
        case "fail":
            return Asked(drawing, arrives, fails_at=draw(st.integers(0, 3)))
        case "bad":
            by_text = replace(drawing, model="stable-diffusion", task="text", scheduler=None)
            return Asked(by_text, arrives, is_bad=True)
    return Asked(drawing, arrives)


class OwnError(Exception):
    """What the code of a request raises, with the number of the request."""


class Studio:
    """An engine for all requests, with pipelines for each model and task."""

    def __init__(self, engine: Engine, pipelines: dict[tuple[str, str], Any]) -> None:
        self.engine = engine
        self._pipelines = pipelines
        self._alone: dict[Drawing, Any] = {}

    def pixels_alone(self, drawing: Drawing) -> Any:
        """Its pixels; or the error, where diffusers cannot draw it."""
        if drawing not in self._alone:
            self._alone[drawing] = asyncio.run(ended(self.call(drawing, lambda _: {})))
        return self._alone[drawing]

    async def call(self, drawing: Drawing, more: Callable[[Any], dict[str, Any]]) -> np.ndarray:
        """Draw, with what `more` makes of the pipeline as further arguments."""
        stock = self._pipelines[drawing.model, drawing.task]

        def work(pipeline: Any) -> np.ndarray:
            pipeline.scheduler = make_scheduler(drawing.scheduler, stock.scheduler)
            images: np.ndarray = pipeline(**arguments(drawing) | more(pipeline)).images
            return images

        return await self.engine.call(work, pipeline=stock, seed=drawing.seed)


def arguments(drawing: Drawing) -> dict[str, Any]:
    width, height = drawing.size
    given: dict[str, Any] = {
        "prompt": ["a red apple", "a blue cat"][drawing.seed],
        "num_inference_steps": drawing.steps,
        "guidance_scale": drawing.guidance,
        "num_images_per_prompt": drawing.pictures,
        "generator": torch.Generator().manual_seed(drawing.seed),
        "output_type": "np",
    }
    if drawing.task != "text":
        given |= {"image": photo(64, drawing.seed).resize(drawing.size), "strength": 0.7}
    if drawing.task == "inpaint":
        given["mask_image"] = Image.new("L", drawing.size)
        given["mask_image"].paste(255, (8, 8, 24, 48))
    if drawing.task != "image" or drawing.model == "flux":
        given |= {"width": width, "height": height}
    return given


async def ended(work: Coroutine[Any, Any, Any]) -> Any:
    """What it returned, or raised."""
    return (await asyncio.gather(work, return_exceptions=True))[0]


class Mix:
    """Requests at once, that come and go after so many passes."""

    def __init__(self, studio: Studio, asked: list[Asked]) -> None:
        self.canceled: set[int] = set()
        self.failed: set[int] = set()
        self.copies: list[weakref.ref[Any]] = []
        self._studio = studio
        self._asked = asked
        self._passes = 0
        self._to_come = sorted(range(len(asked)), key=lambda index: asked[index].arrives)
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        self._leaving: dict[int, int] = {}

    async def outcomes(self) -> list[Any]:
        """What became of each."""
        self._loop = asyncio.get_running_loop()
        engine = self._studio.engine
        engine.on_pass = self._on_pass
        try:
            self._come_and_go()
            while running := [task for task in self._tasks.values() if not task.done()]:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                self._come_and_go()
        finally:
            engine.on_pass = None
        # What was canceled is gone when whoever came after it is done.
        await engine.call(lambda _: None)
        return await asyncio.gather(*map(self._tasks.__getitem__, range(len(self._asked))), return_exceptions=True)

    def _on_pass(self, _: Pass) -> None:
        asyncio.run_coroutine_threadsafe(self._count_pass(), self._loop).result()

    async def _count_pass(self) -> None:
        self._passes += 1
        self._come_and_go()

    def _come_and_go(self) -> None:
        for index in [index for index, passes in self._leaving.items() if passes <= self._passes]:
            del self._leaving[index]
            if self._tasks[index].cancel():
                self.canceled.add(index)
        while self._to_come and (
            self._asked[self._to_come[0]].arrives <= self._passes or all(task.done() for task in self._tasks.values())
        ):
            self._start(self._to_come.pop(0))

    def _start(self, index: int) -> None:
        asked = self._asked[index]
        self._tasks[index] = asyncio.create_task(self._studio.call(asked.drawing, partial(self._more, index)))
        if asked.leaves is not None:
            self._leaving[index] = self._passes + asked.leaves

    def _more(self, index: int, pipeline: Any) -> dict[str, Any]:
        """In what this request is called otherwise than alone."""
        self.copies.append(weakref.ref(pipeline))
        asked = self._asked[index]
        if asked.is_bad:
            embeddings = torch.full((1, 77, 32), BAD_ROW + index)
            return {"prompt": None, "prompt_embeds": embeddings, "negative_prompt_embeds": embeddings}

        def on_step_end(_: Any, step: int, time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            if step == asked.fails_at:
                self.failed.add(index)
                raise OwnError(index)
            return tensors

        return {"callback_on_step_end": on_step_end}


@pytest.fixture(scope="module")
def studio(tiny: Callable[[str], Path]) -> Iterator[Studio]:
    engine = Engine(str(tiny("stable-diffusion")))
    flux = diffusers.FluxPipeline.from_pretrained(tiny("flux"), dtype=torch.float32)
    pipelines = {}
    for model, stock in (("stable-diffusion", engine.pipeline), ("flux", flux)):
        pipelines[model, "text"] = stock
        pipelines[model, "image"] = diffusers.AutoPipelineForImage2Image.from_pipe(stock)
        pipelines[model, "inpaint"] = diffusers.AutoPipelineForInpainting.from_pipe(stock)
    for pipeline in pipelines.values():
        pipeline.set_progress_bar_config(disable=True)
    assert usable_schedulers(flux.scheduler) == FLOW_SCHEDULERS
    gate: Any = gate_of(engine.pipeline.unet)
    forward = gate.function

    def refuse_bad_rows(**given: Any) -> Any:
        first = given["encoder_hidden_states"][:, 0, 0]
        if bad := [value for value in first.tolist() if value >= BAD_ROW]:
            raise ValueError(f"bad rows: {sorted(set(bad))}")
        return forward(**given)

    gate.function = refuse_bad_rows
    yield Studio(engine, pipelines)
    engine.close()


@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    # A mix is small enough to be read, and to make it smaller takes minutes.
    phases=(Phase.generate,),
    suppress_health_check=(HealthCheck.too_slow,),
)
@given(
    asked=st.lists(requests(), min_size=3, max_size=6),
    most_requests=st.sampled_from([64, 64, 2]),
    most_rows=st.sampled_from([32, 32, 3]),
)
def test_each_gets_what_it_would_get_alone(
    studio: Studio, asked: list[Asked], most_requests: int, most_rows: int
) -> None:
    note("\n".join(map(repr, asked)))
    rendezvous: Any = studio.engine._rendezvous
    rendezvous._most_requests, rendezvous._passes._most_rows = most_requests, most_rows
    expected = [studio.pixels_alone(each.drawing) for each in asked]
    mix = Mix(studio, asked)
    outcomes = asyncio.run(mix.outcomes())
    for index, (each, alone, outcome) in enumerate(zip(asked, expected, outcomes, strict=True)):
        if index in mix.canceled:
            assert isinstance(outcome, asyncio.CancelledError)
        elif each.is_bad:
            assert isinstance(outcome, ValueError)
            assert str(outcome) == f"bad rows: [{BAD_ROW + index}]"
        elif index in mix.failed:
            assert isinstance(outcome, OwnError)
            assert outcome.args == (index,)
        elif isinstance(alone, Exception):
            assert (type(outcome), str(outcome)) == (type(alone), str(alone))
        else:
            assert isinstance(outcome, np.ndarray), outcome
            assert np.abs(outcome - alone).max() < TOLERANCE
    for left in (rendezvous._running, rendezvous._parked, rendezvous._waiting, rendezvous._known, rendezvous._runnable):
        assert not left
    copies = mix.copies
    # Errors, and tasks that have ended in one, hold on to the frames that they went through.
    del mix, outcomes, outcome
    gc.collect()
    assert [copy for copy in copies if copy() is not None] == []
