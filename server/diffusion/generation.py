"""One request at work: its pictures side by side, each a run of the pipeline, and who is told how far they are."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
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
from server.diffusion.memory import is_shortage
from server.diffusion.previews import Previews
from server.diffusion.progress import OnProgress, Progress
from server.diffusion.raster import Raster, deliver_as_raster
from server.diffusion.request import TextToImage

_log = logging.getLogger(__name__)

OnPreview = Callable[[int, Image.Image], None]
"""Given a small preview of the picture of this number, counted from 0."""


@dataclass(frozen=True)
class Picture:
    """A finished picture.

    Attributes:
        image: as the pipeline made it; black where it was withheld.
        seed: makes the same picture again, alone.
        withheld: whether the model's own safety checker blacked it out.
    """

    image: Image.Image
    seed: int
    withheld: bool = False


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
        copies: makes a pipeline that belongs to one picture alone.
        arguments: what it is called with.
        rendezvous: runs it.
        previews: makes previews.
        watching: who is told.
    """

    def __init__(
        self,
        request: TextToImage,
        copies: Callable[[], DiffusionPipeline],
        arguments: Mapping[str, Any],
        rendezvous: Rendezvous,
        previews: Previews,
        watching: Watching,
    ) -> None:
        self._request = request
        self._copies = copies
        self._arguments = arguments
        self._rendezvous = rendezvous
        self._previews = previews
        self._watching = watching
        self._told: set[str] = set()

    async def pictures(self) -> AsyncGenerator[Picture, None]:
        """The pictures in order, each as soon as it and those before it are done."""
        self._loop, self._context = asyncio.get_running_loop(), contextvars.copy_context()
        progress = Progress(self._request.num_outputs, self._watching.on_progress, self._schedule)
        tasks = [asyncio.create_task(self._make(index, progress)) for index in range(self._request.num_outputs)]
        withheld = 0
        try:
            for index, task in enumerate(tasks):
                picture = await task
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
        pipeline, arguments, seed = self._copies(), self._arguments, self._request.seed_of(index)
        progress.attach(pipeline, index)
        deliver_as_raster(pipeline)
        if self._watching.on_preview and self._watching.preview_interval:
            with notices.once(self._told):
                arguments = self._previews.attach(
                    arguments,
                    accepted_arguments(pipeline),
                    self._watching.preview_interval,
                    partial(self._schedule, self._show, index),
                )
        with explaining_shortage():
            drawn = await asyncio.wrap_future(
                self._rendezvous.submit(lambda: draw(pipeline, arguments, seed, self._told), seed)
            )
        progress.finish_picture(index)
        return await asyncio.to_thread(drawn.picture)

    def _schedule(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call a function in the event loop, as this request; from any thread."""
        self._loop.call_soon_threadsafe(function, *arguments, context=self._context)

    def _show(self, index: int, preview: Raster) -> None:
        fetched = self._loop.run_in_executor(None, preview.__getitem__, 0)
        fetched.add_done_callback(lambda future: self._hand_over(index, future), context=self._context)

    def _hand_over(self, index: int, preview: asyncio.Future[Image.Image]) -> None:
        if not preview.cancelled() and self._watching.on_preview:
            self._watching.on_preview(index, preview.result())

    def _report(self, picture: Picture, index: int) -> None:
        if picture.withheld:
            _log.warning(
                "Warning: picture %d (seed %d) is black: the model's safety checker withheld it. "
                "Try another prompt or seed.",
                index,
                picture.seed,
            )
        size = picture.image.size
        wanted = (self._request.width or size[0], self._request.height or size[1])
        if size != wanted:
            _log.warning("Warning: the model made picture %d %dx%d, not %dx%d.", index, *size, *wanted)


@dataclass(frozen=True)
class Drawn:
    """What a pipeline returned for one picture; it may still be on its way from the device."""

    images: Any
    seed: int
    withheld: bool

    def picture(self) -> Picture:
        """The picture; waits for it."""
        return Picture(self.images[0], self.seed, self.withheld)


def draw(pipeline: Any, arguments: Mapping[str, Any], seed: int, told: set[str]) -> Drawn:
    """Call a pipeline for one picture.

    Args:
        pipeline: one that nobody else uses.
        arguments: what it is called with, but for the generator.
        seed: what the noise is made from.
        told: the notices that are not to be repeated.
    """
    # On the CPU, so that a seed means the same noise on every device.
    generator = torch.Generator("cpu").manual_seed(seed)
    with notices.once(told):
        result = pipeline(**arguments, generator=generator)
    checked = getattr(result, "nsfw_content_detected", None)
    return Drawn(result.images, seed, withheld=bool(checked and checked[0]))


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
