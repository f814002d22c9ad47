"""LoRAs for single requests, beside others that have other ones or none.

A pipeline's own models are never changed. For each set of LoRAs that requests ask for there are twins of the models
that it reaches (`server.diffusion.twins`), with gates of their own; so requests of the same set share forward passes,
those of different sets do not, and what was recorded or compiled of the models themselves stays valid.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from server.diffusion.errors import InputError, OutOfMemory
from server.diffusion.gates import Gate
from server.diffusion.lora_files import LoraFile, LoraFiles
from server.diffusion.lora_loading import Twins, load_twins
from server.diffusion.lora_tensors import UnfitLora
from server.diffusion.memory import is_shortage
from server.diffusion.spans import span
from server.diffusion.warnings import WarningCode, Warnings


@dataclass(frozen=True)
class Lora:
    """A LoRA that a request asks for.

    Attributes:
        weights: where it is, as `LoraFiles.open` takes it.
        scale: how strongly it works, as `pipeline.set_adapters` of diffusers takes it: 1 is as it was trained, 0 not at
            all; less than 0 is the opposite.
        input: the name of the request's input that it comes from, for errors and warnings.
    """

    weights: str
    scale: float = 1.0
    input: str = "lora_weights"


@dataclass(frozen=True)
class Adapted:
    """A pipeline with LoRAs.

    Attributes:
        pipeline: shared; make a private copy of it.
        digests: the SHA-256 of each one's file, in hexadecimal; those of scale 0 have none.
    """

    pipeline: DiffusionPipeline
    digests: Mapping[Lora, str]


_Set = tuple[tuple[str, float], ...]
"""The digests of the files, each with its scale, in ascending order."""


class Adapters:
    """Keeps the LoRAs that were asked for last, on the device. Its methods belong to one event loop.

    Args:
        pipeline: what they are loaded onto, once everything that holds for all requests has been done to it.
        files: finds their files.
        most: how many sets of LoRAs are kept.
        most_bytes: how much memory they may take. What was not used for longest goes first; what is in use stays, and
            a request for which there is no room waits. A set that is larger than all is loaded when no other is there.
        on_drop: given the gates of what has gone; nothing calls them any more.
    """

    def __init__(
        self,
        pipeline: DiffusionPipeline,
        files: LoraFiles,
        *,
        most: int = 16,
        most_bytes: int = 4 << 30,
        on_drop: Callable[[Collection[Gate]], object] | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._files = files
        self._most = most
        self._most_bytes = most_bytes
        self._on_drop = on_drop
        self._kept: OrderedDict[_Set, _Kept] = OrderedDict()
        self._released = asyncio.Event()
        # One after the other: loading is work for the processor, which the requests that run need, too.
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="darkroom-loras")

    @asynccontextmanager
    async def pipeline_with(
        self, loras: Sequence[Lora], warnings: Warnings, pipeline: DiffusionPipeline | None = None
    ) -> AsyncIterator[DiffusionPipeline]:
        """A pipeline that has these LoRAs, for as long as the block runs. It is shared: make a private copy of it.

        Those of scale 0 are left out; where no other is left, it is the pipeline itself.

        Args:
            loras: which, and how strongly. LoRAs that `setup` loaded stay at work beside them.
            warnings: told of tensors of a file that have no place in the model.
            pipeline: another one with the same models, such as `AutoPipelineForImage2Image.from_pipe` makes; `None` is
                the one that this was made with.

        Raises:
            InputError: a LoRA cannot be had, or does not fit the model; or, where the request is strict, a part of it
                does not.
            OutOfMemory: the device has no room for it.
            ModelError: something was put on the pipeline that makes LoRAs of single requests impossible.
        """
        async with self.on(pipeline or self._pipeline, loras, warnings) as adapted:
            yield adapted.pipeline

    @asynccontextmanager
    async def on(
        self, pipeline: DiffusionPipeline, loras: Sequence[Lora], warnings: Warnings
    ) -> AsyncIterator[Adapted]:
        """As `pipeline_with`, and tells which files these are."""
        wanted = [lora for lora in loras if self._check(lora, warnings)]
        if not wanted:
            yield Adapted(pipeline, {})
            return
        async with AsyncExitStack() as pins:
            with span("darkroom.load_loras", loras=len(wanted)):
                files = await _open_all(self._files, wanted, pins)
                order = sorted(range(len(wanted)), key=lambda index: (files[index].digest, wanted[index].scale))
                wanted, files = [wanted[index] for index in order], [files[index] for index in order]
                kept = await self._acquire(wanted, files)
        try:
            for lora, leftovers in zip(wanted, kept.twins.leftovers, strict=True):
                _warn(lora, leftovers, warnings)
            digests = {lora: file.digest for lora, file in zip(wanted, files, strict=True)}
            yield Adapted(kept.twins.put_into(pipeline), digests)
        finally:
            self._release(kept)

    def forget(self) -> None:
        """Drop what no request uses: the pipeline's own layers have changed."""
        for key in [key for key, kept in self._kept.items() if not kept.users and kept.is_loaded]:
            self._drop(key)

    def close(self) -> None:
        """Load nothing any more."""
        self._loader.shutdown(wait=False, cancel_futures=True)

    def _check(self, lora: Lora, warnings: Warnings) -> bool:
        if not math.isfinite(lora.scale):
            raise InputError(lora.input, f"its scale is {lora.scale}, which is no number. Give one from 0 to 1, or so.")
        if not hasattr(self._pipeline, "load_lora_weights"):
            raise InputError(
                lora.input, f"this model ({type(self._pipeline).__name__}) takes no LoRA in diffusers. Leave it out."
            )
        if lora.scale == 0:
            warnings.add(WarningCode.IGNORED, lora.input, "it has no effect with a scale of 0, and was not fetched.")
        return lora.scale != 0

    async def _acquire(self, loras: Sequence[Lora], files: Sequence[LoraFile]) -> _Kept:
        key = tuple((file.digest, lora.scale) for lora, file in zip(loras, files, strict=True))
        while (kept := self._kept.get(key)) is None:
            # What a file takes on the device is known once it is there.
            if self._make_room(sum(file.size for file in files)):
                kept = self._kept[key] = self._load(key, loras, files)
                break
            await self._released.wait()
        kept.users += 1
        self._kept.move_to_end(key)
        try:
            kept.twins = await asyncio.shield(kept.loading)
            return kept
        except BaseException as error:
            self._release(kept)
            if isinstance(error, UnfitLora):
                raise InputError(loras[error.index].input, str(error)) from error
            if is_shortage(error):
                self.forget()
                raise OutOfMemory(
                    "The LoRA needs more memory than the device has left. Try again later, or choose a smaller one."
                ) from error
            raise

    def _load(self, key: _Set, loras: Sequence[Lora], files: Sequence[LoraFile]) -> _Kept:
        parts = [(file.path, lora.scale) for lora, file in zip(loras, files, strict=True)]
        loading = asyncio.get_running_loop().run_in_executor(self._loader, load_twins, self._pipeline, parts)
        kept = _Kept(loading, sum(file.size for file in files))

        def settle(done: asyncio.Future[Twins]) -> None:
            if done.cancelled() or done.exception():
                self._kept.pop(key, None)
            else:
                kept.bytes = done.result().bytes
            self._wake()

        loading.add_done_callback(settle)
        return kept

    def _make_room(self, size: int) -> bool:
        while len(self._kept) >= self._most or self._bytes() + size > self._most_bytes:
            idle = next((key for key, kept in self._kept.items() if not kept.users and kept.is_loaded), None)
            if idle is None:
                return not self._kept
            self._drop(idle)
        return True

    def _bytes(self) -> int:
        return sum(kept.bytes for kept in self._kept.values())

    def _drop(self, key: _Set) -> None:
        gates = self._kept.pop(key).loading.result().dismiss()
        if self._on_drop:
            self._on_drop(gates)

    def _release(self, kept: _Kept) -> None:
        kept.users -= 1
        self._wake()

    def _wake(self) -> None:
        self._released.set()
        self._released = asyncio.Event()


@dataclass(eq=False)
class _Kept:
    """A set of LoRAs that is on the device, or on its way there.

    Attributes:
        loading: what it comes to.
        bytes: how much memory it takes, or may take.
        users: how many requests use it or wait for it.
        twins: what it has come to.
    """

    loading: asyncio.Future[Twins]
    bytes: int
    users: int = 0
    twins: Twins = field(init=False)

    @property
    def is_loaded(self) -> bool:
        return self.loading.done() and not self.loading.cancelled() and not self.loading.exception()


async def _open_all(files: LoraFiles, loras: Sequence[Lora], pins: AsyncExitStack) -> list[LoraFile]:
    # One after the other, so that of two that are wrong the first is told of.
    return [await pins.enter_async_context(files.open(lora.weights, lora.input)) for lora in loras]


def _warn(lora: Lora, leftovers: Sequence[str], warnings: Warnings) -> None:
    if not leftovers:
        return
    shown = ", ".join(leftovers[:3]) + (" and others" if len(leftovers) > 3 else "")
    warnings.add(
        WarningCode.IGNORED,
        lora.input,
        f"{len(leftovers)} of the file's tensors have no place in this model and were ignored: {shown}. It may have "
        "been made for another model, or with another tool.",
    )
