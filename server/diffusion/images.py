"""Pictures to files."""

import shutil
import tempfile
import weakref
from collections import deque
from pathlib import Path

from PIL import Image

FORMATS = ("webp", "jpg", "png")
"""The endings of the files that `save` writes."""


def save(image: Image.Image, path: Path, quality: int) -> None:
    """Write a picture in the format that the ending of `path` names, one of `FORMATS`.

    Args:
        image: with or without transparency; JPEG has none, so there it is laid on white.
        path: where to.
        quality: 0 (small) to 100 (good). PNG loses nothing and takes no notice of it.
    """
    picture = _with_channels(image)
    match path.suffix:
        case ".webp":
            picture.save(path, "WEBP", quality=quality)
        case ".jpg":
            picture = _on_white(picture)
            picture.save(path, "JPEG", quality=quality)
        case ".png":
            # Higher levels take five times as long for files a few per cent smaller.
            picture.save(path, "PNG", compress_level=1)
        case ending:
            raise ValueError(f"{ending!r} is not the ending of a format that can be written: {', '.join(FORMATS)}")


class OutputFolders:
    """A temporary folder for each request, removed once a server must have read it, the last ones when this ends.

    A server reads the files of a request before it gives the same place to the next one, and some never remove them.

    Args:
        concurrency: how many requests may run at once.
    """

    def __init__(self, concurrency: int = 1) -> None:
        self._root = tempfile.mkdtemp(prefix="darkroom-")
        weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self._concurrency = concurrency
        self._folders: deque[Path] = deque()

    def new(self) -> Path:
        """An empty folder. Call it when a request begins."""
        while len(self._folders) >= self._concurrency:
            shutil.rmtree(self._folders.popleft(), ignore_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._root))
        self._folders.append(folder)
        return folder


def _with_channels(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
