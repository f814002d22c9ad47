"""Pictures with any diffusers pipeline. Knows nothing of HTTP, of Cog or of the rest of the server.

engine = Engine("models/emoji")
async for picture in engine.generate(PictureRequest(prompt="a red apple", seed=7)):
    save(picture.image, Path("apple.webp"), quality=90)

Requests that are made at the same time share the model's forward passes; so do stock calls of its pipeline, in any form
that diffusers knows: `await engine.call(lambda pipeline: pipeline("a red apple", guidance_rescale=0.7).images)`.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.diffusion.adapters import Lora
    from server.diffusion.compiler import CompileMode
    from server.diffusion.engine import Engine
    from server.diffusion.errors import (
        DiffusionError,
        InputError,
        MetadataError,
        ModelError,
        OutOfMemory,
        PicturesWithheld,
    )
    from server.diffusion.generation import Picture
    from server.diffusion.images import FORMATS, OutputFolders, data_url, save
    from server.diffusion.imprint import read_metadata
    from server.diffusion.lora_files import LoraFiles
    from server.diffusion.metadata import Metadata, Provenance
    from server.diffusion.passes import Pass
    from server.diffusion.provenance import provenance_of
    from server.diffusion.quantization import Quantization
    from server.diffusion.redaction import record_inputs
    from server.diffusion.request import SEEDS, PictureRequest
    from server.diffusion.schedulers import SCHEDULERS
    from server.diffusion.warnings import Warnings

__all__ = [
    "FORMATS",
    "SCHEDULERS",
    "SEEDS",
    "CompileMode",
    "DiffusionError",
    "Engine",
    "InputError",
    "Lora",
    "LoraFiles",
    "Metadata",
    "MetadataError",
    "ModelError",
    "OutOfMemory",
    "OutputFolders",
    "Pass",
    "Picture",
    "PictureRequest",
    "PicturesWithheld",
    "Provenance",
    "Quantization",
    "Warnings",
    "data_url",
    "provenance_of",
    "read_metadata",
    "record_inputs",
    "save",
]

# Where torchao is installed, Diffusers imports it, and they tell of other GPUs' kernels: nothing that one could act on.
for _logger in ("torchao", "torch.utils._pytree", "diffusers.quantizers.torchao.torchao_quantizer"):
    logging.getLogger(_logger).setLevel(logging.ERROR)

_MODULES = (
    "errors",
    "warnings",
    "images",
    "redaction",
    "metadata",
    "imprint",
    "quantization",
    "provenance",
    "request",
    "schedulers",
    "compiler",
    "generation",
    "passes",
    "lora_files",
    "adapters",
    "engine",
)


def __getattr__(name: str) -> Any:
    # Imported at first use: to fetch a model, `server.diffusion.weights` need not wait seconds for torch.
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES)):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
