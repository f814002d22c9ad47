"""The engine: a loaded pipeline, and pictures from it for many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, aclosing
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from PIL import Image

from server.diffusion.adapters import Adapters
from server.diffusion.batching import Rendezvous
from server.diffusion.compiler import CompileMode, Compiler
from server.diffusion.controlnet import load_controlnet
from server.diffusion.defaults import recommended_arguments
from server.diffusion.description import describe
from server.diffusion.embeddings import Embeddings
from server.diffusion.errors import InputError, OutOfMemory
from server.diffusion.forms import Forms, Task
from server.diffusion.gates import put_gates
from server.diffusion.generation import Generation, OnPreview, Picture, Watching
from server.diffusion.lora_files import LoraFiles
from server.diffusion.metadata import Metadata, Provenance
from server.diffusion.narrowing import Narrowing, narrow_inputs
from server.diffusion.optimizations import optimize
from server.diffusion.own_model import own_model
from server.diffusion.passes import Pass, Passes
from server.diffusion.pipeline import best_device, private_copy, read
from server.diffusion.placement import Step, place, place_lower
from server.diffusion.planning import make_plan
from server.diffusion.previews import Previews
from server.diffusion.progress import OnProgress
from server.diffusion.provenance import provenance_of
from server.diffusion.quantization import Quantization, check_device, quantize_weights
from server.diffusion.recordings import Recordings, rungs
from server.diffusion.redaction import record_inputs
from server.diffusion.request import PictureRequest
from server.diffusion.schedulers import make_scheduler
from server.diffusion.sources import locate
from server.diffusion.spans import annotate, span
from server.diffusion.unused import check_previews
from server.diffusion.warming import draw_first, is_worth_warming
from server.diffusion.warnings import WarningCode, Warnings

_T = TypeVar("_T")


class Engine:
    """Makes pictures with one loaded model, for any number of requests at once.

    They share forward passes (`server.diffusion.batching`), each with its own steps, size, scheduler and all. What a
    request gets depends on nothing but itself: alone, the same again gives the same pixels; beside others, sums are
    rounded differently, which makes a difference of less than 1e-5 of the range in float32.

    Args:
        model: what `server.diffusion.sources.locate` takes: a folder with a diffusers pipeline, the id of one on the
            Hugging Face Hub, or a `.safetensors` file, here or anywhere.
        revision: a commit, branch or tag of a model on the Hub; `None` is what was fetched last, else its main branch.
        compile: whether the model is compiled, on a GPU. Elsewhere it is not.
        quantize: how the weights are kept that most of the memory goes to.
        cache: the folder in which compiled code is kept for the next start; `None` is torch's own temporary one.
        most_rows: how many rows a forward pass may have. A picture is one row, or two where guidance needs them.
        lora_files: finds the LoRAs that requests name; `None` keeps them in `~/.cache/darkroom/loras`.
        controlnet: a folder with a ControlNet for the model, or its id on the Hub; `None` is none.
        require_safety_checker: refuse requests that ask for pictures that the model has not checked.

    Attributes:
        folder: where the weights were read from; a file, where one holds the whole model.
        pipeline: what was loaded from there. What `setup` does to it, such as `pipeline.load_lora_weights(...)`, holds
            for every request; requests work with copies that share its weights.
        placement: where the weights are, and what that costs where they do not fit.
        optimizations: what was done to it so that it runs faster or takes less memory, in short phrases.
        adapters: the LoRAs of single requests.

    Raises:
        ModelError: the model cannot be found, fetched, loaded or quantized so, or makes no pictures.
    """

    @span("darkroom.load")
    def __init__(
        self,
        model: str,
        revision: str | None = None,
        *,
        compile: CompileMode | str = CompileMode.BACKGROUND,
        quantize: Quantization | str = Quantization.NONE,
        cache: Path | None = None,
        most_rows: int = 32,
        lora_files: LoraFiles | None = None,
        controlnet: str | None = None,
        require_safety_checker: bool = False,
    ) -> None:
        self._quantization = Quantization(quantize)
        check_device(self._quantization, best_device())
        self.folder: Path = locate(model, revision)
        self.pipeline = read(self.folder)
        quantized = quantize_weights(self.pipeline, self._quantization)
        self.placement = place(self.pipeline, best_device())
        self._controlnet = load_controlnet(controlnet, self.pipeline, self.placement.device) if controlnet else None
        # So that what it cannot do is known now; what setup does to the pipeline holds for the forms made afterwards.
        Forms(self.pipeline, self._controlnet)
        self._model = model
        self._safety_checker_is_required = require_safety_checker
        self.optimizations = [*quantized, *optimize(self.pipeline)]
        put_gates(self.pipeline)
        self._recommended = recommended_arguments(self.pipeline, self.folder)
        self._embeddings = Embeddings()
        self._previews = Previews()
        self._mode = CompileMode(compile)
        self._most_rows = most_rows
        compiles = self.placement.records and self._mode is not CompileMode.OFF
        self._compiler = Compiler(cache, rungs(most_rows)) if compiles else None
        self._start()
        annotate(pipeline=type(self.pipeline).__name__)
        self.adapters = Adapters(
            self.pipeline,
            lora_files or LoraFiles(Path.home() / ".cache" / "darkroom" / "loras"),
            on_drop=lambda gates: self._rendezvous.submit(partial(self._passes.forget_gates, gates)),
        )

    def __str__(self) -> str:
        pipeline = self.pipeline
        dtype = str(pipeline.dtype).removeprefix("torch.")
        done = "".join(f", {phrase}" for phrase in self.optimizations)
        return f"{type(pipeline).__name__} from {self.folder}, {dtype} on {self.placement.device}{done}"

    @cached_property
    def forms(self) -> Forms:
        """What the model can do, beginning with the first request."""
        forms = Forms(self.pipeline, self._controlnet)
        for task in Task:
            for controlled in (False, True):
                if form := forms.get(task, controlled):
                    put_gates(form)
        return forms

    def narrow_inputs(self) -> Narrowing:
        """What of the inputs of `predict.py` this model can honour, in the form of a predictor's `narrow_inputs`."""
        return narrow_inputs(self.forms, self._recommended, self._safety_checker_is_required)

    @cached_property
    def _provenance(self) -> Future[Provenance]:
        return provenance_of(self.pipeline, self._model, self.folder, self._quantization)

    @property
    def on_pass(self) -> Callable[[Pass], None] | None:
        """Called, by the device's thread, after each forward pass; what it raises is logged."""
        return self._passes.on_pass

    @on_pass.setter
    def on_pass(self, function: Callable[[Pass], None] | None) -> None:
        self._passes.on_pass = function

    def warm_up(self) -> None:
        """On a GPU, make a first picture, so that requests find kernels chosen and the compiler at work, or done.

        Where its memory is too short for that, weights are placed in the next step that needs less (`placement.Step`).
        Call it at the end of `setup`, before requests, and after each later change of the pipeline's weights or
        adapters: what was recorded, compiled or kept of them before holds no longer. On other devices it only forgets.

        Raises:
            OutOfMemory: the device has too little memory for a picture of the model's own size, in any step.
        """
        self._rendezvous.submit(self._embeddings.forget).result()
        self.adapters.forget()
        if not is_worth_warming(self.placement.device):
            return
        while not self._draws():
            self._place_lower()

    def _draws(self) -> bool:
        """Whether there is memory for a first picture; raises where there is no step left that needs less."""
        try:
            with self._copy() as own:
                draw_first(own, self._recommended, self._rendezvous, self._recordings, self._compiler, self._mode)
        except OutOfMemory:
            if self.placement.step is max(Step):
                raise
            # What it refers to is on the device, and gone once this is left.
            return False
        return True

    def _place_lower(self) -> None:
        on_pass = self.on_pass
        self._rendezvous.submit(self._embeddings.forget).result()
        if self._recordings:
            self._rendezvous.submit(self._recordings.forget).result()
        self._rendezvous.close()
        self.placement = place_lower(self.pipeline, self.placement)
        put_gates(self.pipeline)
        self.__dict__.pop("forms", None)
        self._start()
        self.on_pass = on_pass

    def _start(self) -> None:
        """Make what runs requests, for where the weights are now."""
        self._recordings = Recordings(rungs(self._most_rows), self._compiler) if self.placement.records else None
        make_room = self.placement.make_room
        self._passes = Passes(self.placement.device, self._most_rows, self._recordings, make_room=make_room)
        self._rendezvous = Rendezvous(self._passes)

    async def generate(
        self,
        request: PictureRequest,
        *,
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
            warnings: told of what was not done quite as asked; `None` leaves it to the log.
            on_progress: told of each denoising step, in the event loop.
            on_preview: given small previews of the pictures while they are made, in the event loop.
            preview_interval: after how many steps each there is a preview; 0 is none.

        Raises:
            InputError: the model cannot do what is asked for, or a picture that was sent cannot be read; or the
                warnings are strict, and there is one.
            PicturesWithheld: the model's safety checker blacked out every picture.
            OutOfMemory: the device has too little memory for it.
        """
        warnings = warnings or Warnings()
        for note in self.placement.notes:
            warnings.add(WarningCode.DEGRADED, None, note)
        if request.disable_safety_checker and self._safety_checker_is_required:
            rule = "who runs this server does not allow it. Leave it out."
            raise InputError("disable_safety_checker", rule)
        plan = await asyncio.to_thread(make_plan, self.forms, self._recommended, request, warnings)
        check_previews(plan, request, preview_interval, warnings)
        inputs = await asyncio.to_thread(record_inputs, request.inputs) if request.inputs is not None else None

        async with self.adapters.on(plan.pipeline, request.loras, warnings) as adapted:

            async def tell(index: int, image: Image.Image) -> Metadata | None:
                if inputs is None:
                    return None
                provenance = await asyncio.wrap_future(self._provenance)
                return describe(request, plan, provenance, adapted.digests, inputs, index, image)

            generation = Generation(
                request,
                plan,
                lambda: self._copy(adapted.pipeline, request.scheduler),
                self._rendezvous,
                self._previews,
                Watching(on_progress, on_preview, preview_interval),
                warnings,
                tell,
            )
            async with aclosing(generation.pictures()) as pictures:
                async for picture in pictures:
                    yield picture

    async def call(
        self, work: Callable[[Any], _T], *, pipeline: DiffusionPipeline | None = None, seed: int | None = None
    ) -> _T:
        """Call a stock pipeline in whatever way, together with all other requests.

        For what `generate` does not do: `await engine.call(lambda pipeline: pipeline(..., eta=0.5).images)`.
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
        with self._copy(pipeline) as own:
            async with own_model(own, self._rendezvous.submit):
                return await asyncio.wrap_future(self._rendezvous.submit(lambda: work(own), seed))

    def close(self) -> None:
        """Cancel what runs. Nothing can be asked for afterwards."""
        self.adapters.close()
        self._rendezvous.close()

    def _copy(
        self, pipeline: DiffusionPipeline | None = None, scheduler: str | None = None
    ) -> AbstractContextManager[DiffusionPipeline]:
        stock = pipeline or self.pipeline
        own = private_copy(stock, make_scheduler(scheduler, getattr(stock, "scheduler", None)))
        return self._embeddings.attached(own)
