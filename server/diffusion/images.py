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

from server.diffusion.imprint import jpeg_arguments, other_arguments, png_arguments
from server.diffusion.metadata import Metadata
from server.diffusion.spans import span
from server.diffusion.warnings import Warnings

_RUNS = 3
"""What zlib calls Z_RLE."""

_FULL_COLOUR = 90
"""The quality from which on JPEG and AVIF keep the colour of every pixel; below, four share one. As in ImageMagick."""

# A square of 768 pixels in 0.2 s on two processors; slower speeds gain a few percent in size. Two threads or more make
# the same file on every machine, and one alone another.
_AVIF = {"speed": 8, "max_threads": 4}

FORMATS = ("webp", "jpg", "png", "avif")
"""The endings of the files that `save` writes."""


@span("darkroom.encode_file")
def save(
    image: Image.Image,
    path: Path,
    quality: int,
    metadata: Metadata | None = None,
    warnings: Warnings | None = None,
) -> None:
    """Write a picture in the format that the ending of `path` names, one of `FORMATS`.

    The same picture, quality and metadata make the same file.

    Args:
        image: with or without transparency; JPEG has none, so there it is laid on white. Its pixels alone are written:
            nothing that was in the file that it may come from.
        path: where to.
        quality: 0 (small) to 100 (good). PNG loses nothing and takes no notice of it; the others lose something even
            at 100.
        metadata: what the file tells of how the picture was made, beside the marking as made by a model; `None` is
            nothing at all.
        warnings: told of what the format has no room for.
    """
    picture = _with_channels(image)
    picture.info = {}
    subsampling = "4:4:4" if quality >= _FULL_COLOUR else "4:2:0"
    match path.suffix:
        case ".webp":
            carried = other_arguments(metadata) if metadata else {}
            picture.save(path, "WEBP", quality=quality, **carried)
        case ".jpg":
            carried = jpeg_arguments(metadata, warnings) if metadata else {}
            _on_white(picture).save(path, "JPEG", quality=quality, subsampling=subsampling, **carried)
        case ".png":
            carried = png_arguments(metadata) if metadata else {}
            # Looking for nothing but runs takes a third of the time of the usual level, for files of the same size.
            picture.save(path, "PNG", compress_level=1, compress_type=_RUNS, **carried)
        case ".avif":
            carried = other_arguments(metadata) if metadata else {}
            picture.save(path, "AVIF", quality=quality, subsampling=subsampling, **_AVIF, **carried)
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
