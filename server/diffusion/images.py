"""Pictures to files."""

import base64
import io
import shutil
import tempfile
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

_RUNS = 3
"""What zlib calls Z_RLE."""

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
            # Looking for nothing but runs takes a third of the time of the usual level, for files of the same size.
            picture.save(path, "PNG", compress_level=1, compress_type=_RUNS)
        case ending:
            raise ValueError(f"{ending!r} is not the ending of a format that can be written: {', '.join(FORMATS)}")


def data_url(image: Image.Image) -> str:
    """A picture as text: a data URL with a WebP of middling quality, for previews."""
    buffer = io.BytesIO()
    _with_channels(image).save(buffer, "WEBP", quality=60)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


class OutputFolders:
    """A temporary folder for each request, removed once a server must have read it, the last ones when this ends.

    A server reads the files of a request when its function has returned, and some servers never remove them.

    Args:
        kept: how many folders of requests that have ended are kept: as many as a server may still be reading.
    """

    def __init__(self, kept: int = 64) -> None:
        self._root = tempfile.mkdtemp(prefix="darkroom-")
        weakref.finalize(self, shutil.rmtree, self._root, ignore_errors=True)
        self._kept = kept
        self._ended: deque[Path] = deque()

    @contextmanager
    def new(self) -> Iterator[Path]:
        """An empty folder for the files of a request, which lasts as long as the context."""
        folder = Path(tempfile.mkdtemp(dir=self._root))
        try:
            yield folder
        finally:
            self._ended.append(folder)
            while len(self._ended) > self._kept:
                shutil.rmtree(self._ended.popleft(), ignore_errors=True)


def _with_channels(image: Image.Image) -> Image.Image:
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode != "RGBA":
        return image
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image).convert("RGB")
