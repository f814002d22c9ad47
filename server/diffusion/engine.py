"""The engine: a loaded pipeline, and pictures from it for many requests at once."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.adapters import Adapters, Lora
from server.diffusion.batching import Rendezvous
from server.diffusion.compiler import CompileMode, Compiler
from server.diffusion.defaults import accepted_arguments, recommended_arguments
from server.diffusion.embeddings import Embeddings
from server.diffusion.errors import ModelError
from server.diffusion.gates import Stage, put_gates
from server.diffusion.generation import Generation, OnPreview, Picture, Watching, draw, explaining_shortage
from server.diffusion.hub import locate
from server.diffusion.lora_files import LoraFiles
from server.diffusion.optimizations import optimize
from server.diffusion.passes import Pass, Passes
from server.diffusion.pipeline import load, private_copy
from server.diffusion.previews import Previews
from server.diffusion.progress import OnProgress
from server.diffusion.recordings import Recordings, rungs
from server.diffusion.request import TextToImage, call_arguments
from server.diffusion.schedulers import make_scheduler
from server.diffusion.warnings import Warnings

_T = TypeVar("_T")

_WARM_UP_STEPS = 4
"""Enough for the first picture to be drawn both ways, step by step and from a recording."""


class Engine:
    """Makes pictures with one loaded text-to-image model, for any number of requests at once.

    They share forward passes (`server.diffusion.batching`), each with its own steps, size, scheduler and all. What a
    request gets depends on nothing but itself: alone, the same again gives the same pixels; beside others, sums are
    rounded differently, which makes a difference of less than 1e-5 of the range in float32.

    Args:
        model: a folder with a diffusers pipeline, or the id of one on the Hugging Face Hub.
        revision: a commit, branch or tag of a model on the Hub; `None` is what was fetched last, else its main branch.
        compile: whether the model is compiled, on a GPU. Elsewhere it is not.
        cache: the folder in which compiled code is kept for the next start; `None` is torch's own temporary one.
        most_rows: how many rows a forward pass may have. A picture is one row, or two where guidance needs them.
        lora_files: finds the LoRAs that requests name; `None` keeps them in `~/.cache/darkroom/loras`.

    Attributes:
        folder: where the weights were read from.
        pipeline: what was loaded from there. What `setup` does to it, such as `pipeline.load_lora_weights(...)`, holds
            for every request; requests work with copies that share its weights.
        optimizations: what was done to it so that it runs faster, in short phrases.
        adapters: the LoRAs of single requests.

    Raises:
        ModelError: the model cannot be found, fetched or loaded, or does not make pictures from text.
    """

    def __init__(
        self,
        model: str,
        revision: str | None = None,
        *,
        compile: CompileMode | str = CompileMode.BACKGROUND,
        cache: Path | None = None,
        most_rows: int = 32,
        lora_files: LoraFiles | None = None,
    ) -> None:
        self.folder: Path = locate(model, revision)
        self.pipeline = load(self.folder)
        _check_task(self.pipeline)
        self.optimizations = optimize(self.pipeline)
        put_gates(self.pipeline)
        self._recommended = recommended_arguments(self.pipeline, self.folder)
        self._embeddings = Embeddings()
        self._previews = Previews()
        self._mode = CompileMode(compile)
        self._recordings: Recordings | None = None
        self._compiler: Compiler | None = None
        if self.pipeline.device.type == "cuda":
            self._compiler = None if self._mode is CompileMode.OFF else Compiler(cache, rungs(most_rows))
            self._recordings = Recordings(rungs(most_rows), self._compiler)
        self._passes = Passes(self.pipeline.device, most_rows, self._recordings)
        self._rendezvous = Rendezvous(self._passes)
        self.adapters = Adapters(
            self.pipeline,
            lora_files or LoraFiles(Path.home() / ".cache" / "darkroom" / "loras"),
            on_drop=lambda gates: self._rendezvous.submit(partial(self._passes.forget_gates, gates)),
        )

    def __str__(self) -> str:
        pipeline = self.pipeline
        dtype = str(pipeline.dtype).removeprefix("torch.")
        done = "".join(f", {phrase}" for phrase in self.optimizations)
        return f"{type(pipeline).__name__} from {self.folder}, {dtype} on {pipeline.device}{done}"

    @property
    def on_pass(self) -> Callable[[Pass], None] | None:
        """Called, by the device's thread, after each forward pass."""
        return self._passes.on_pass

    @on_pass.setter
    def on_pass(self, function: Callable[[Pass], None] | None) -> None:
        self._passes.on_pass = function

    def warm_up(self) -> None:
        """On a GPU, make a first picture, so that requests find kernels chosen and the compiler at work, or done.

        Call it at the end of `setup`, and after each later change of the pipeline's weights or adapters: what was
        recorded or compiled before holds no longer. Elsewhere it does nothing.

        Raises:
            OutOfMemory: the device has too little memory for a picture of the model's own size.
        """
        if not self._recordings:
            return
        arguments = {**self._recommended, "prompt": "a picture"}
        if "num_inference_steps" in accepted_arguments(self.pipeline):
            arguments["num_inference_steps"] = _WARM_UP_STEPS
        own = self._copy()
        own.set_progress_bar_config(disable=True)  # type: ignore[no-untyped-call]
        self.adapters.forget()
        self._rendezvous.submit(self._recordings.forget).result()
        in_background = self._compiler and self._mode is CompileMode.BACKGROUND
        with self._compiler.held() if self._compiler and in_background else nullcontext():
            with explaining_shortage():
                self._rendezvous.submit(lambda: draw(own, arguments, 0, set()), 0).result()
            if self._compiler and not in_background:
                self._compiler.wait()
            # In the background, what denoises is recorded once it is compiled, as it comes up.
            stages = {Stage.PREPARE, Stage.DECODE} if in_background else set(Stage)
            self._rendezvous.submit(partial(self._recordings.complete, *stages)).result()

    def generate(
        self,
        request: TextToImage,
        *,
        loras: Sequence[Lora] = (),
        warnings: Warnings | None = None,
        on_progress: OnProgress | None = None,
        on_preview: OnPreview | None = None,
        preview_interval: int = 0,
    ) -> AsyncGenerator[Picture, None]:
        """Make the pictures of a request, in order, with a progress bar on standard error.

        Each is made by itself, with its own seed. Closing the generator, or canceling the task that waits for it, stops
        all of them within one step.

        Args:
            request: what to make.
            loras: LoRAs for this request alone, fetched and loaded if need be.
            warnings: told of what was not done quite as asked.
            on_progress: told of each denoising step, in the event loop.
            on_preview: given small previews of the pictures while they are made, in the event loop.
            preview_interval: after how many steps each there is a preview; 0 is none.

        Raises:
            InputError: the model cannot do what is asked for.
            PicturesWithheld: the model's safety checker blacked out every picture.
            OutOfMemory: the device has too little memory for it.
        """
        arguments = call_arguments(self.pipeline, self._recommended, request)
        # Each picture makes its own; this one is to refuse a name now, before any work is done.
        make_scheduler(request.scheduler, getattr(self.pipeline, "scheduler", None))
        watching = Watching(on_progress, on_preview, preview_interval)

        async def pictures() -> AsyncGenerator[Picture, None]:
            async with self.adapters.pipeline_with(loras, warnings or Warnings()) as pipeline:
                generation = Generation(
                    request,
                    lambda: self._copy(pipeline, request.scheduler),
                    arguments,
                    self._rendezvous,
                    self._previews,
                    watching,
                )
                async with aclosing(generation.pictures()) as made:
                    async for picture in made:
                        yield picture

        return pictures()

    async def call(
        self, work: Callable[[Any], _T], *, pipeline: DiffusionPipeline | None = None, seed: int | None = None
    ) -> _T:
        """Call a stock pipeline in whatever way, together with all other requests.

        For what `generate` does not do: `await engine.call(lambda pipeline: pipeline(image=..., prompt=...).images)`.
        Canceling the task stops it at the pipeline's next step.

        Args:
            work: gets a copy of the pipeline that is its own: scheduler and attributes may be changed, weights not.
                It runs on the thread that owns the device and should do nothing there that takes long otherwise.
            pipeline: another one on the same device, such as `AutoPipelineForImage2Image.from_pipe(engine.pipeline)`
                makes once, in `setup`; `None` is `engine.pipeline`.
            seed: what the global random generators begin with; `None` leaves them to chance.

        Raises:
            Exception: whatever `work` raises.
        """
        if pipeline:
            put_gates(pipeline)
        own = self._copy(pipeline)
        return await asyncio.wrap_future(self._rendezvous.submit(lambda: work(own), seed))

    def close(self) -> None:
        """Cancel what runs. Nothing can be asked for afterwards."""
        self.adapters.close()
        self._rendezvous.close()

    def _copy(self, pipeline: DiffusionPipeline | None = None, scheduler: str | None = None) -> DiffusionPipeline:
        stock = pipeline or self.pipeline
        own = private_copy(stock, make_scheduler(scheduler, getattr(stock, "scheduler", None)))
        self._embeddings.attach(own)
        return own


def _check_task(pipeline: DiffusionPipeline) -> None:
    accepted = accepted_arguments(pipeline)
    needed = {name for name, default in accepted.items() if default is inspect.Parameter.empty} - {"prompt"}
    foreign = needed | (accepted.keys() & {"mask_image", "num_frames"})
    if "prompt" not in accepted or foreign:
        why = f"it works on {', '.join(sorted(foreign))}" if foreign else "it takes no prompt"
        raise ModelError(
            f"{type(pipeline).__name__} does not make pictures from text alone: {why}. Choose a text-to-image model."
        )
