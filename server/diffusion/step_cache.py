"""Steps that are worked out in part: for single requests, by the First Block Cache of diffusers.

The first block of a transformer is made at every step. Where what it adds has hardly changed since the last step that
was made whole, the rest is not made: what the other blocks added then is taken again. What is kept so belongs to one
picture, so each gets a twin of the transformer (`server.diffusion.twins`), with a gate of its own that shares no pass
and is not recorded: what a pass does is decided in it.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from diffusers.hooks._common import _ALL_TRANSFORMER_BLOCK_IDENTIFIERS
from diffusers.hooks.first_block_cache import FirstBlockCacheConfig
from diffusers.models.cache_utils import CacheMixin
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from torch import nn

from server.diffusion.gates import remove_gates
from server.diffusion.twins import is_offloaded, make_twin, put_twin

THRESHOLD = 0.08
"""How much what the first block adds may have changed, on average, for the rest to be taken again: what the authors of
the method, and the documentation of diffusers with them, take for Flux."""

_WORKING = (FluxTransformer2DModel, QwenImageTransformer2DModel)
"""What the cache was tested with. Others that diffusers 0.42 lists fail with it: Flux 2, whose blocks return either one
tensor or two; Chroma, whose blocks it does not know."""


@dataclass(frozen=True)
class Reuse:
    """How much of the work was left out.

    Attributes:
        passes: how many passes of the transformer there were: one a step, or two where guidance makes a second.
        reused: in how many of them all blocks but the first were left out.
    """

    passes: int = 0
    reused: int = 0


def why_not(pipeline: Any) -> str | None:
    """Why a pipeline cannot leave out parts of steps; `None` where it can."""
    model: Any = getattr(pipeline, "transformer", None)
    if type(model) not in _WORKING:
        return f"this model ({type(pipeline).__name__}) has no cache of steps in diffusers that works"
    if model.is_cache_enabled:
        return "who runs this server has turned a cache on for every request"
    if is_offloaded(model):
        return "the device has too little memory for all of this model"
    return None


class StepCache:
    """The transformer of one picture, which leaves out what it can.

    Args:
        pipeline: the picture's own copy; the transformer takes the place of that one's.
    """

    def __init__(self, pipeline: Any) -> None:
        self._twin: Any = make_twin(pipeline.transformer)
        self._passes = 0
        self._whole = 0
        self._named = False
        # What each kind of pass is told by, where a pipeline does not say which it is: the embeddings of its prompt.
        self._prompts: list[Any] = []
        last = _blocks(self._twin)[-1]
        last.forward = self._counted(last.forward)
        self._twin.enable_cache(FirstBlockCacheConfig(threshold=THRESHOLD))
        self._twin.forward = self._told(self._twin.forward)
        self._twin.cache_context = self._cache_context
        put_twin(pipeline, "transformer", self._twin)

    @property
    def reuse(self) -> Reuse:
        """How much was left out so far."""
        return Reuse(self._passes, self._passes - self._whole)

    def close(self) -> None:
        """Let go of what is kept. For the thread that makes the passes."""
        remove_gates(self._twin)
        self._twin._reset_stateful_cache()
        self._prompts.clear()

    def _counted(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._whole += 1
            return forward(*args, **kwargs)

        return call

    def _told(self, forward: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(forward)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._passes += 1
            named = nullcontext() if self._named else self._context(self._name(kwargs.get("encoder_hidden_states")))
            with named:
                return forward(*args, **kwargs)

        return call

    @contextmanager
    def _cache_context(self, name: str, **where: Any) -> Iterator[None]:
        """As the twin's own, which a pipeline calls to say which of a step's passes comes."""
        self._named = True
        try:
            with self._context(name, **where):
                yield
        finally:
            self._named = False

    def _context(self, name: str, **where: Any) -> Any:
        return CacheMixin.cache_context(self._twin, name, **where)

    def _name(self, prompt: Any) -> str:
        for number, known in enumerate(self._prompts):
            if known is prompt:
                return str(number)
        self._prompts.append(prompt)
        return str(len(self._prompts) - 1)


@asynccontextmanager
async def step_cache(pipeline: Any, submit: Callable[[Callable[[], None]], object]) -> AsyncIterator[StepCache]:
    """A cache for one picture, for as long as the block runs.

    Args:
        pipeline: the picture's own copy.
        submit: has something done on the thread that makes the passes, after what that is at.
    """
    cache = await asyncio.to_thread(StepCache, pipeline)
    try:
        yield cache
    finally:
        # Where the engine has been closed, nothing is left to let go of it for.
        with suppress(RuntimeError):
            submit(cache.close)


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks that the cache works on, in order."""
    lists = [part for name, part in model.named_children() if name in _ALL_TRANSFORMER_BLOCK_IDENTIFIERS]
    return [block for part in lists if isinstance(part, nn.ModuleList) for block in part]
