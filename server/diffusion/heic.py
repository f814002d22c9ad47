"""HEIC pictures, unpacked in a process of their own: over damaged files the library for them may crash.

Run as a program, this file is that process: it writes a line of JSON to its standard output, and then a PNG file,
unless the picture is too large.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60
"""How long a picture may take."""


class HeicError(Exception):
    """A picture cannot be unpacked."""


@dataclass(frozen=True)
class Heic:
    """What an HEIC file holds.

    Attributes:
        size: width and height, the right way up.
        bits: how many each colour has.
        pictures: how many there are.
        png: the main one as a PNG file of 8 bits, the right way up, with its colour profile; empty where it is larger
            than was allowed.
    """

    size: tuple[int, int]
    bits: int
    pictures: int
    png: bytes


def can_read_heic() -> bool:
    """Whether the library for it is installed."""
    return importlib.util.find_spec("pi_heif") is not None


def read_heic(path: Path, max_pixels: int, max_side: int) -> Heic:
    """Unpack a file, unless it has more pixels, or longer sides, than that.

    Raises:
        HeicError: it is damaged.
    """
    # Without -P the files beside this one would stand in for modules of the standard library.
    command = [sys.executable, "-P", __file__, str(path), str(max_pixels), str(max_side)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise HeicError(f"it takes longer than {SECONDS} s") from error
    if done.returncode < 0:
        raise HeicError("the decoder crashed")
    if done.returncode:
        raise HeicError(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    about, _, png = done.stdout.partition(b"\n")
    return Heic(**json.loads(about), png=png)


def _main(path: str, max_pixels: int, max_side: int) -> None:
    from pi_heif import HeifImageFile

    with Path(path).open("rb") as file:
        image = HeifImageFile(file)
        width, height = image.size
        about = {"size": (width, height), "bits": image.info["bit_depth"], "pictures": image.n_frames}
        sys.stdout.buffer.write(json.dumps(about).encode() + b"\n")
        if width * height <= max_pixels and max(width, height) <= max_side:
            profile = image.info.get("icc_profile")
            image.save(sys.stdout.buffer, "PNG", compress_level=0, icc_profile=profile, exif=b"")


if __name__ == "__main__":
    _main(sys.argv[1], *map(int, sys.argv[2:]))
