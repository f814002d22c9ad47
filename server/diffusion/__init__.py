"""Pictures from text with any diffusers pipeline. Knows nothing of HTTP, of Cog or of the rest of the server.

engine = Engine("models/emoji")
for picture in engine.generate(TextToImage(prompt="a red apple", seed=7)):
    save(picture.image, Path("apple.webp"), quality=90)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.diffusion.engine import Engine, Picture
    from server.diffusion.errors import DiffusionError, InputError, ModelError, OutOfMemory, PicturesWithheld
    from server.diffusion.images import FORMATS, OutputFolders, save
    from server.diffusion.request import SEEDS, TextToImage
    from server.diffusion.schedulers import SCHEDULERS

__all__ = [
    "FORMATS",
    "SCHEDULERS",
    "SEEDS",
    "DiffusionError",
    "Engine",
    "InputError",
    "ModelError",
    "OutOfMemory",
    "OutputFolders",
    "Picture",
    "PicturesWithheld",
    "TextToImage",
    "save",
]

_MODULES = ("errors", "images", "request", "schedulers", "engine")


def __getattr__(name: str) -> Any:
    # Imported at first use: to fetch a model, `server.diffusion.weights` need not wait seconds for torch.
    if name in __all__:
        for module in map(import_module, (f"{__name__}.{module}" for module in _MODULES)):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
