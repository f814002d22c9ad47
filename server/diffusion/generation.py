"""One request at work: its pictures side by side, each a run of the pipeline, and who is told how far they are."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image

from server.diffusion import notices
from server.diffusion.batching import Rendezvous
from server.diffusion.defaults import accepted_arguments
from server.diffusion.errors import OutOfMemory, PicturesWithheld
from server.diffusion.fitting import ResizeMode, plan_fitting
from server.diffusion.forms import Task
from server.diffusion.memory import is_shortage
from server.diffusion.metadata import Metadata
from server.diffusion.metrics import count_image
from server.diffusion.own_model import changes_its_model, own_model
from server.diffusion.planning import Plan
from server.diffusion.previews import Previews
from server.diffusion.progress import OnProgress, Progress
from server.diffusion.prompts import watch_length
from server.diffusion.raster import Raster, deliver_as_raster
from server.diffusion.request import PictureRequest
from server.diffusion.sizing import Size
from server.diffusion.spans import annotate, span
from server.diffusion.step_cache import Reuse, StepCache, step_cache
from server.diffusion.warnings import WarningCode, Warnings

OnPreview = Callable[[int, Image.Image], None]
"""Given a small preview of the picture of this number, counted from 0."""


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    Attributes:
        image: as the pipeline made it; black where it was withheld.
        seed: makes the same picture again, alone.
        metadata: how it was made, for its file; `None` where the request does not want it told.
        withheld: whether the model's own safety checker blacked it out.
        reuse: how much of the work was left out, where the request may go fast.
    """

    image: Image.Image
    seed: int
    metadata: Metadata | None = None
    withheld: bool = False
    reuse: Reuse | None = None


@dataclass(frozen=True)
class Watching:
    """Who is told how far a request is, in the event loop.

    Attributes:
        on_progress: told of each denoising step.
        on_preview: given previews.
        preview_interval: after how many steps each there is one; 0 is none.
    """

    on_progress: OnProgress | None = None
    on_preview: OnPreview | None = None
    preview_interval: int = 0


class Generation:
    """Makes the pictures of one request.

    Args:
        request: what is asked for.
        plan: how it is done.
        copies: makes a pipeline that belongs to one picture alone, for as long as it is drawn.
        rendezvous: runs it.
        previews: makes previews.
        watching: who is told.
        warnings: told of what was not done quite as asked.
        describe: says how the picture of a number was made.
    """

    def __init__(
        self,
        request: PictureRequest,
        plan: Plan,
        copies: Callable[[], AbstractContextManager[DiffusionPipeline]],
        rendezvous: Rendezvous,
        previews: Previews,
        watching: Watching,
        warnings: Warnings,
        describe: Callable[[int, Image.Image], Awaitable[Metadata | None]],
    ) -> None:
        self._request = request
        self._plan = plan
        self._copies = copies
        self._rendezvous = rendezvous
        self._previews = previews
        self._watching = watching
        self._warnings = warnings
        self._describe = describe
        self._alone = asyncio.Lock()

    async def pictures(self) -> AsyncGenerator[Picture, None]:
        """The pictures in order, each as soon as it and those before it are done."""
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()
        self._schedule = _scheduler(self._loop, self._context)
        count = len(self._plan.prompts)
        progress = Progress(count, self._watching.on_progress, self._schedule)
        tasks = [asyncio.create_task(self._make(index, progress)) for index in range(count)]
        withheld = 0
        try:
            for index, task in enumerate(tasks):
                picture = await task
                count_image()
                self._report(picture, index)
                withheld += picture.withheld
                yield picture
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if withheld == len(tasks):
            raise PicturesWithheld(
                "The model's safety checker withheld every picture of this request. Try another prompt or seed."
            )

    async def _make(self, index: int, progress: Progress) -> Picture:
        with span("darkroom.picture", index=index):
            picture = await self._draw(index, progress)
            annotate(steps=progress.steps_of(index))
            return picture

    async def _draw(self, index: int, progress: Progress) -> Picture:
        seed = self._request.seed_of(index)
        if self._plan.untouched:
            progress.skip_picture(index)
            return Picture(self._plan.untouched, seed, await self._describe(index, self._plan.untouched))
        with self._copies() as pipeline:
            drawn, reuse = await self._run(pipeline, index, seed, progress)
        progress.finish_picture(index)
        image = await asyncio.to_thread(self._fetch, drawn, index)
        return Picture(image, seed, await self._describe(index, image), drawn.withheld, reuse)

    async def _run(
        self, pipeline: DiffusionPipeline, index: int, seed: int, progress: Progress
    ) -> tuple[Drawn, Reuse | None]:
        arguments = self._plan.arguments_of(index)
        progress.attach(pipeline, index)
        if self._request.disable_safety_checker and hasattr(pipeline, "safety_checker"):
            pipeline.safety_checker = None
        deliver_as_raster(pipeline)
        watch_length(pipeline, self._plan.prompts[index], self._request.negative_prompt)
        if self._watching.on_preview and self._watching.preview_interval:
            with notices.told_to(self._warnings):
                arguments = self._previews.attach(
                    arguments,
                    accepted_arguments(pipeline),
                    self._watching.preview_interval,
                    partial(self._schedule, self._show, index),
                )
        async with self._with_own_model(pipeline) as cache:
            with explaining_shortage():
                drawn = await asyncio.wrap_future(
                    self._rendezvous.submit(lambda: draw(pipeline, arguments, seed, self._warnings), seed)
                )
        return drawn, cache.reuse if cache else None

    @asynccontextmanager
    async def _with_own_model(self, pipeline: DiffusionPipeline) -> AsyncIterator[StepCache | None]:
        # One by one: such pictures share no passes of the model. Side by side they take memory, and no less time.
        if self._request.go_fast:
            async with self._alone, step_cache(pipeline, self._rendezvous.submit) as cache:
                yield cache
        elif changes_its_model(pipeline):
            async with self._alone, own_model(pipeline, self._rendezvous.submit):
                yield None
        else:
            yield None

    def _fetch(self, drawn: Drawn, index: int) -> Image.Image:
        try:
            image: Image.Image = drawn.images[0]
        except Exception as error:
            # What fails on a GPU may show when the pixels are fetched.
            self._rendezvous.check(error)
            raise
        image = self._fitted(image, index)
        return image if drawn.withheld else self._plan.finish(image)

    def _fitted(self, image: Image.Image, index: int) -> Image.Image:
        """A picture in the size that was promised: some models make a few sizes alone, whatever is asked for."""
        made, wanted = Size(*image.size), self._plan.size
        if wanted is None or made == wanted:
            return image
        self._warnings.add(
            WarningCode.ROUNDED,
            None,
            f"the model made picture {index} {made.width}x{made.height}; it was scaled to the "
            f"{wanted.width}x{wanted.height} that were asked for, and cut where the shape is another.",
        )
        # One that has the sides of the other, as Kandinsky 2.2's from pictures, has squeezed what it was given.
        is_squeezed = made == Size(wanted.height, wanted.width) and self._plan.task is not Task.TEXT_TO_IMAGE
        mode = ResizeMode.STRETCH if is_squeezed else ResizeMode.COVER
        return plan_fitting(made, wanted, mode).apply(image.convert("RGB"))

    def _show(self, index: int, preview: Raster) -> None:
        fetched = self._loop.run_in_executor(None, preview.__getitem__, 0)
        fetched.add_done_callback(lambda future: self._hand_over(index, future), context=self._context)

    def _hand_over(self, index: int, preview: asyncio.Future[Image.Image]) -> None:
        if not preview.cancelled() and self._watching.on_preview:
            self._watching.on_preview(index, preview.result())

    def _report(self, picture: Picture, index: int) -> None:
        if picture.withheld:
            self._warnings.add(
                WarningCode.WITHHELD,
                None,
                f"picture {index} (seed {picture.seed}) is black: the model's safety checker withheld it. Try another "
                "prompt or seed.",
            )


def _scheduler(loop: asyncio.AbstractEventLoop, context: contextvars.Context) -> Callable[..., None]:
    """Calls a function in the event loop, as the request of this context; from any thread.

    It holds nothing else of the request: pipelines, which it is handed to, wait for the garbage collector.
    """

    def schedule(function: Callable[..., Any], *arguments: Any) -> None:
        loop.call_soon_threadsafe(function, *arguments, context=context)

    return schedule


@dataclass(frozen=True)
class Drawn:
    """What a pipeline returned for one picture; it may still be on its way from the device."""

    images: Any
    withheld: bool


def draw(pipeline: Any, arguments: Mapping[str, Any], seed: int, warnings: Warnings) -> Drawn:
    """Call a pipeline for one picture.

    Args:
        pipeline: one that nobody else uses.
        arguments: what it is called with, but for the generator.
        seed: what the noise is made from.
        warnings: told what the libraries have to say.
    """
    # On the CPU, so that a seed means the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(seed)
    with notices.told_to(warnings):
        result = pipeline(**arguments, generator=generator)
    checked = getattr(result, "nsfw_content_detected", None)
    return Drawn(result.images, withheld=bool(checked and checked[0]))


@contextmanager
def explaining_shortage() -> Iterator[None]:
    """Say of a lack of memory what can be done about it.

    Raises:
        OutOfMemory: memory ran short within.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_shortage(error):
            raise
        raise OutOfMemory(
            "This request needs more memory than the device has left. Ask for smaller pictures (width, height)."
        ) from error
