"""Pipelines that change their model while they run: each picture gets a twin of it for itself.

Perturbed attention (PAG) is such: for as long as a picture is made, it puts processors of its own on some of the
model's layers, and these tell by the place of a row in its batch which rows they are to perturb. On a shared model they
would be at work, or missing, in the passes of all others; and a pass of several requests has other rows in each place.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from diffusers.pipelines.pag.pag_utils import PAGMixin

from server.diffusion.errors import ModelError
from server.diffusion.gates import Gate, remove_gates
from server.diffusion.twins import is_offloaded, make_twin, put_twin

_CHANGING = {
    "StableDiffusionAttendAndExcitePipeline",
    "StableDiffusionGLIGENPipeline",
    "StableDiffusionGLIGENTextImagePipeline",
    "StableDiffusionSAGPipeline",
}
"""Those that are known to, beside all with perturbed attention."""


def changes_its_model(pipeline: Any) -> bool:
    """Whether a pipeline changes the layers of the model that denoises while it is called."""
    return isinstance(pipeline, PAGMixin) or type(pipeline).__name__ in _CHANGING


@asynccontextmanager
async def own_model(pipeline: Any, submit: Callable[[Callable[[], list[Gate]]], object]) -> AsyncIterator[None]:
    """Give a pipeline that changes its model one of its own, for as long as the block runs; leave others as they are.

    Args:
        pipeline: one that nobody else uses.
        submit: has something done on the thread that makes the passes, after what that is at.

    Raises:
        ModelError: the model is not on the device as a whole, so that it cannot have a twin.
    """
    if not changes_its_model(pipeline):
        yield
        return
    name = "unet" if hasattr(pipeline, "unet") else "transformer"
    model = getattr(pipeline, name)
    if is_offloaded(model):
        raise ModelError(
            f"{type(pipeline).__name__} changes its model while it draws, and needs it on the device as a whole, for "
            "which that has too little memory. Use a device with more memory, or a model without perturbed attention."
        )
    twin = await asyncio.to_thread(make_twin, model)
    put_twin(pipeline, name, twin)
    try:
        yield
    finally:
        # Where the engine has been closed, nothing is left to take them off for.
        with suppress(RuntimeError):
            submit(partial(remove_gates, twin))
